"""What the asyncio classes need of asyncio; `kt.lua.blocking` has the same for threads."""

from __future__ import annotations

from asyncio import sleep as pause
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from kt.lua.results import Outcome

__all__ = ["Attempt", "pause"]

T = TypeVar("T")

Attempt: TypeAlias = Callable[[bytes, bytes], Awaitable[Outcome[T]]]
"""An attempt to consume; see `kt.lua.calls_async`."""
