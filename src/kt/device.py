"""What is to be there after a loss of power, brought to the device."""

from __future__ import annotations

import os


def synchronize_path(path: str) -> None:
    """Bring to the device what a file holds, or which names a directory has.

    Raises:
        OSError: that failed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def synchronize_names(path: str) -> None:
    """Bring to the device which files there are beside `path`.

    Raises:
        OSError: that failed.
    """
    synchronize_path(os.path.dirname(path) or ".")
