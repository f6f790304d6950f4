"""A new log file with some of the records of others, as they are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from kt.device import synchronize_path
from kt.log.files import Entry, Kind
from kt.wire.log import tycoon

MODE: Final = 0o644
"""Permissions of a new file, before the process's mask takes some of them away."""


def write_log(path: Path, kind: Kind, entries: Iterable[Entry], overwrite: bool) -> int:
    """Write a log file and return how many records it has. It appears whole, or not at all.

    Raises:
        FileExistsError: there is a file of this name, and `overwrite` is false.
        OSError: it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            count = _write(file, kind, entries)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, MODE & ~_mask())
        if overwrite:
            os.replace(name, path)
        else:
            os.link(name, path)  # fails if it exists
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
    synchronize_path(str(path.parent))
    return count


def _write(file: IO[bytes], kind: Kind, entries: Iterable[Entry]) -> int:
    begin = tycoon.HEADER_SIZE if kind is Kind.TYCOON else 0
    file.write(bytes(begin))
    count = newest = 0
    for entry in entries:
        file.write(entry.raw)
        newest = max(newest, entry.change.stamp)
        count += 1
    if kind is Kind.TYCOON:
        size = file.tell()
        file.seek(0)
        file.write(tycoon.pack_header(tycoon.Header(size, newest)))
    return count


def _mask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask
