"""The source archive: all that is needed to build kt and to test it."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from tests.packaging.conftest import ROOT

pytestmark = pytest.mark.timeout(1800)

MADE = {"PKG-INFO", "setup.cfg"}


@pytest.fixture(scope="session")
def names(archive: Path) -> set[str]:
    with tarfile.open(archive) as opened:
        files = [PurePosixPath(member.name) for member in opened if member.isfile()]
    return {str(PurePosixPath(*file.parts[1:])) for file in files}


def test_holds_what_git_knows_and_nothing_else(names: set[str]) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no repository: an unpacked source archive")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    known = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    made = {name for name in names if name in MADE or ".egg-info/" in name}
    assert names - made == known


@pytest.mark.parametrize("suffix", [".pyx", ".pxd", ".pxi", ".h", ".cpp", ".lua", ".pyi"])
def test_holds_every_source(names: set[str], suffix: str) -> None:
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "src").rglob(f"*{suffix}")
        if suffix != ".cpp" or not path.name.startswith("_")  # Cython's
    }
    assert sources
    assert sources <= names
