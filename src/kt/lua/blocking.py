"""What the blocking classes need of the system; `kt.lua.aio` has the same for asyncio."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from kt.lua.results import Outcome

T = TypeVar("T")

Attempt: TypeAlias = Callable[[bytes, bytes], Outcome[T]]
"""An attempt to consume; see `kt.lua.calls`."""


def pause(seconds: float) -> None:
    """Sleep; by what `time.sleep` is now, which gevent may have replaced."""
    time.sleep(seconds)
