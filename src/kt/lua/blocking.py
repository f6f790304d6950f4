"""What the blocking classes need of the system; `kt.lua.aio` has the same for asyncio."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep as pause
from typing import TypeAlias, TypeVar

from kt.lua.results import Outcome

__all__ = ["Attempt", "pause"]

T = TypeVar("T")

Attempt: TypeAlias = Callable[[bytes, bytes], Outcome[T]]
"""An attempt to consume; see `kt.lua.calls`."""
