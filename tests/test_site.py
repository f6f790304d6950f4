"""`make docs` makes a site of all pages, and of all public names, without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kt
import kt.lua

DOCS = Path(__file__).parent.parent / "docs"
SHOWN = re.compile(r"^\.\. auto\w+:: (\S+)$", re.MULTILINE)
PAGE = re.compile(r"\]\(([\w/-]+\.(?:md|rst))\)")


@pytest.mark.timeout(600)  # some 10 s where nothing else runs
def test_builds_without_a_warning(tmp_path: Path) -> None:
    """With a builder that writes nothing, and without what takes long and can bring no warning."""
    pytest.importorskip("sphinx", reason="sphinx is missing: tools/bootstrap installs it")
    extensions = "extensions=myst_parser,sphinx.ext.autodoc,sphinx.ext.napoleon"
    quick = ["-D", extensions, "-D", "default_role=code"]  # no links to source, none in docstrings
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "dummy"]
    done = subprocess.run(
        [*command, *quick, "-d", tmp_path / "doctrees", DOCS, tmp_path / "site"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_is_in_the_reference() -> None:
    pages = [page.read_text(encoding="utf-8") for page in DOCS.glob("reference/*.rst")]
    shown = [name for page in pages for name in SHOWN.findall(page)]
    public = {f"kt.{name}" for name in [*kt.__all__, "open"]} - {"kt.__version__"}
    public |= {f"kt.lua.{name}" for name in kt.lua.__all__}
    assert sorted(shown) == sorted(set(shown))
    assert not public - set(shown)


def test_the_index_names_every_page_once() -> None:
    named = PAGE.findall((DOCS / "index.md").read_text(encoding="utf-8"))
    pages = [*DOCS.glob("*.md"), *DOCS.glob("reference/*.rst")]
    assert sorted(named) == sorted(
        page.relative_to(DOCS).as_posix() for page in pages if page.name != "index.md"
    )
