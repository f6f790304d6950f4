"""The clock that the engines' seconds come from."""

from __future__ import annotations

import sys
import time

COARSE = 5 if sys.platform == "linux" else time.CLOCK_REALTIME
"""Linux' CLOCK_REALTIME_COARSE, which has no name in Python: the C library's `time` reads it."""


def engine_second() -> int:
    """The present second of that clock, which may be some milliseconds behind Python's."""
    return int(time.clock_gettime(COARSE))
