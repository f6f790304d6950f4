"""What Tokyo Tyrant's scripts can do with files. Paths are bytes; failures are results."""

from __future__ import annotations

import glob
import os
import shutil
import stat
from typing import Final

FIELDS: Final = b"dev ino mode nlink uid gid rdev size blksize blocks atime mtime ctime".split()
"""Of a file's status, with ``st_`` before them in POSIX."""


def stat_path(path: bytes) -> dict[bytes, object] | None:
    """The status of a file, of a link itself: `FIELDS`, and some more with an underscore."""
    path = path.partition(b"\0")[0]
    try:
        status = os.lstat(path)
    except OSError:
        return None
    fields: dict[bytes, object] = {
        name: int(getattr(status, f"st_{name.decode()}", 0)) for name in FIELDS
    }
    fields[b"_regular"] = stat.S_ISREG(status.st_mode)
    fields[b"_directory"] = stat.S_ISDIR(status.st_mode)
    for name, bit in ((b"_readable", 4), (b"_writable", 2), (b"_executable", 1)):
        fields[name] = _permitted(status, bit)
    fields[b"_realpath"] = os.path.realpath(path)
    return fields


def _permitted(status: os.stat_result, bit: int) -> bool:
    mode = status.st_mode & bit
    if status.st_uid == os.geteuid():
        mode |= status.st_mode >> 6 & bit
    if status.st_gid == os.getegid():
        mode |= status.st_mode >> 3 & bit
    return bool(mode)


def glob_paths(pattern: bytes) -> list[bytes]:
    """The paths that match; ``?`` and ``*`` are special."""
    return sorted(glob.glob(pattern.partition(b"\0")[0]))


def remove_path(path: bytes) -> bool:
    """Remove a file, or a directory with all that is in it."""
    path = path.partition(b"\0")[0]
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    except OSError:
        return False
    return True


def make_directory(path: bytes) -> bool:
    try:
        os.mkdir(path.partition(b"\0")[0], 0o755)
    except OSError:
        return False
    return True
