"""The file that keeps how far a slave has come: the stamp of the newest change that is done.

A decimal number and a line's end, as the original servers read and write it, so either goes on
where the other has stopped, and administrators may write it.
"""

from __future__ import annotations

import os
import re
from typing import Final

from kt.errors import ImproperlyConfigured

STAMP_MAX: Final = 2**64 - 1
_NUMBER: Final = re.compile(rb"\s*([0-9]{1,20})[\s\0]*\Z")
_LONGEST: Final = 64


class StampFile:
    """One such file.

    Args:
        path: of the file; it need not be there.
        digits: so many are written at least, with zeros before the number.
    """

    def __init__(self, path: str, digits: int = 1) -> None:
        self.path = path
        self._digits = digits

    def read(self) -> int:
        """The stamp; 0 if there is no file, or nothing in it.

        Raises:
            OSError: it cannot be read.
            ImproperlyConfigured: what is in it is no stamp.
        """
        try:
            with open(self.path, "rb") as file:
                text = file.read(_LONGEST).partition(b"\n")[0]
        except FileNotFoundError:
            return 0
        found = _NUMBER.match(text)
        if text.strip(b" \t\r\0") and found is None:
            raise ImproperlyConfigured(
                f"{self.path} begins with {text!r}, which is no time stamp: set one, or remove it"
            )
        return min(int(found[1]), STAMP_MAX) if found is not None else 0

    def write(self, stamp: int) -> None:
        """Replace the stamp.

        Raises:
            OSError: it cannot be written.
        """
        overwrite(self.path, b"%0*d\n" % (self._digits, stamp))


def overwrite(path: str, data: bytes) -> None:
    """Replace what is in a short file, in place: a process that is killed has done so, or not.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.pwrite(descriptor, data, 0) != len(data):
            raise OSError(f"{path} cannot be written: the device is full")
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)
