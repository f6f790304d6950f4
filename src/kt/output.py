"""The standard output of programs, which may be a closed pipe or a full disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def written(work: Callable[[], int]) -> int:
    """Return what `work` returns, once all of its output is written; 0 if nobody reads on.

    What cannot be written is given up. It would be tried again when the interpreter ends, which
    prints a second error and has an exit status of its own then.

    Raises:
        OSError: it cannot be written; or what `work` raises.
    """
    try:
        status = work()
        _flush()
    except BrokenPipeError:
        _give_up()
        return 0
    except BaseException:
        try:
            _flush()
        except OSError:
            _give_up()
        raise
    return status


def _flush() -> None:
    if sys.stdout is not None:  # it was closed by whoever started us
        sys.stdout.flush()


def _give_up() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
