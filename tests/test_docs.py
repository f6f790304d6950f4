"""The documents tell the truth: their examples run, and their links lead somewhere.

Python examples run as they are. In ``console`` examples a line after ``$`` is run by a shell, with
the programs of this environment before others; what it prints must be what stands below it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parent.parent
BUNDLED_ONLY = {"frameworks.md"}
"""Pages that must not depend on which other servers there are on PATH."""

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")

documents = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS]
)


def run_console(example: Example) -> None:
    """Run the lines of a console example and compare what they print."""
    for block in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        line, _, expected = block.partition("\n")
        done = subprocess.run(
            line,
            shell=True,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.stdout == expected, line


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the programs of this checkout on PATH, whether they are installed or not."""
    folder = tmp_path / "programs"
    folder.mkdir()
    program = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m kt.cli "$@"\n'
    (folder / "kt").write_text(program)
    (folder / "kt").chmod(0o755)
    path = (str(folder), str(Path(sys.executable).parent), os.environ["PATH"])
    monkeypatch.setenv("PATH", os.pathsep.join(path))


@documents
@pytest.mark.usefixtures("programs")
def test_examples(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All examples of a document, from top to bottom, in one namespace and one directory.

    It has nothing but `examples`, as in the project's directory.
    """
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path / "here")
    if document.name in BUNDLED_ONLY:
        for name in ("ktserver", "ttserver"):
            original = tmp_path / "programs" / name
            original.write_text("#!/bin/sh\nexit 1\n")
            original.chmod(0o755)
    for name in ("KT_URL", "TABLES", "FOLLOWED", "BEFORE"):  # an example may set them
        monkeypatch.setenv(name, "")
    console = CodeBlockParser("console", run_console)
    parsers = [PythonCodeBlockParser(), console, SkipParser()]
    sybil = Sybil(parsers=parsers, path=str(document.parent))
    for example in sybil.parse(document).examples():
        example.evaluate()


@documents
def test_links(document: Path) -> None:
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


def test_the_design_names_what_there_is() -> None:
    """Files and folders in the text of docs/design.md, each by the end of its path."""
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w*/]+(?:/|\.py|\.h|\.cpp))`", text)
    missing = [name for name in named if not any(ROOT.glob(f"{name}*")) and not found(name)]
    assert len(named) > 20
    assert not missing


def found(name: str) -> bool:
    return any((ROOT / "src/kt").glob(f"**/{name.rstrip('/')}"))


def test_every_extra_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "docs/installing.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(project["optional-dependencies"]) <= named
