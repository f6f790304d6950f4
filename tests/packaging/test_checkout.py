"""What `make build` runs in a checkout, where compilers fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT

KERNELS = Path("src/kt/wire/kernels")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Enough of one: a compiled module, and not all of them, so that it takes a moment."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(
        ROOT / KERNELS, tmp_path / KERNELS, ignore=shutil.ignore_patterns("*.so", "*.c")
    )
    return tmp_path


@pytest.mark.parametrize("compiler", ["exit 1", 'kill -9 "$$"'], ids=["fails", "is killed"])
def test_a_failed_compilation_fails(checkout: Path, compiler: str) -> None:
    program = checkout / "compiler"
    program.write_text(f"#!/bin/sh\n{compiler}\n")
    program.chmod(0o755)
    built = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
        check=False,
        capture_output=True,
        text=True,
        cwd=checkout,
        env=os.environ | {"CC": str(program), "CXX": str(program)},
    )
    assert built.returncode != 0
    assert str(program) in built.stderr, built.stderr
