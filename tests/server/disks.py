"""Small file systems in memory, to be filled."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from .processes import SECONDS

small_disk = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs a small file system, which root may mount"
)


def mounted(directory: Path, options: str) -> ExitStack:
    """Mount a file system in memory there, until the end of the block; skip if we may not.

    Args:
        directory: made if there is none.
        options: of tmpfs.
    """
    directory.mkdir(exist_ok=True)
    stack = ExitStack()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode()}")
    stack.callback(subprocess.run, ["umount", "-l", str(directory)], check=True, timeout=SECONDS)
    return stack


def fill_up(filler: Path) -> None:
    with filler.open("wb", buffering=0) as out, suppress(OSError):
        while out.write(bytes(1 << 12)):
            pass
