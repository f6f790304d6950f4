"""Make what a release consists of: the source archive, and a wheel that needs nothing.

    tools/make_wheel.py [DIRECTORY]

The archive is made of the files that git knows, and the wheel of the archive: a file that the
archive lacks is missed here, and a stray one does not get in. Then auditwheel (on macOS delocate)
copies the storage libraries, and what these need, into the wheel and names the oldest system that
it runs on: the C library and the C++ library stay the system's, and are older on older systems.
For wheels that run on nearly all systems, see [tool.cibuildwheel] in pyproject.toml.

DIRECTORY is dist by default. What comes there replaces what was there of the same name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "kt/wire/kernels/_compiled.",
    "kt/server/engines/io/_io.",
    "kt/server/engines/log/_log.",
    "kt/server/engines/relay/_relay.",
    "kt/server/engines/kyoto/_engine.",
    "kt/server/engines/tokyo/_engine.",
)
"""Beginnings of the compiled modules that must not be left out here."""

BUILD = (sys.executable, "-m", "build", "--no-isolation")

REPAIR = {
    "linux": ("auditwheel", "repair", "--wheel-dir"),
    "darwin": ("delocate-wheel", "--wheel-dir"),
}


class Failure(Exception):
    """A wheel could not be made, or is not what it should be."""


def run(*command: str | Path, cwd: Path) -> None:
    """Run a program, which may be one of this Python's environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        command,
        cwd=cwd,
        check=False,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise Failure(f"{command[0]} ended with {done.returncode}:\n{done.stdout}")


def copy_sources(target: Path) -> Path:
    """Copy the files that git knows, or all where this is no repository: an unpacked archive."""
    if not (ROOT / ".git").exists():
        unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.so", "__pycache__")
        return Path(shutil.copytree(ROOT, target, ignore=unwanted))
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # not one that was removed a moment ago
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def make_archive(sources: Path, directory: Path) -> Path:
    """Make the source archive of `sources`."""
    run(*BUILD, "--sdist", "--outdir", directory, cwd=sources)
    return only(directory, "*.tar.gz")


def make_wheel(archive: Path, scratch: Path) -> Path:
    """Make a wheel of the archive, for this machine as it is."""
    with tarfile.open(archive) as opened:
        if hasattr(tarfile, "data_filter"):  # Debian's Python 3.11 is older than that
            opened.extraction_filter = tarfile.data_filter
        opened.extractall(scratch)
    sources = only(scratch, "*")
    out = sources / "dist"
    run(*BUILD, "--wheel", "--outdir", out, cwd=sources)
    wheel = only(out, "*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for module in MODULES:
        if not any(name.startswith(module) for name in names):
            raise Failure(f"{module[:-1]} could not be compiled; see what make build says")
    return wheel


def carry_libraries(wheel: Path, directory: Path, scratch: Path) -> Path:
    """Make a wheel that holds the libraries that `wheel` needs."""
    scratch.mkdir()
    run(*REPAIR[sys.platform], scratch, wheel, cwd=scratch)
    made = only(scratch, "*.whl")
    return Path(shutil.copy2(made, directory / made.name))


def only(directory: Path, pattern: str) -> Path:
    """Return the one path in `directory` of this pattern."""
    [path] = directory.glob(pattern)
    return path


def main() -> None:
    directory = Path(sys.argv[1] if sys.argv[1:] else ROOT / "dist").absolute()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kt-wheel-") as name:
        scratch = Path(name)
        archive = make_archive(copy_sources(scratch / "sources"), scratch / "archive")
        wheel = make_wheel(archive, scratch / "unpacked")
        carrying = carry_libraries(wheel, directory, scratch / "carrying")
        shutil.copy2(archive, directory / archive.name)
    print(directory / archive.name, carrying, sep="\n")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"make_wheel: {failure}")
