"""Arguments that the methods of both clients take, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kt.errors import ArgumentError
from kt.types import Key


def listed(keys: Iterable[Key]) -> Iterable[Key]:
    """Return `keys`; raises ArgumentError for a single one, which would be taken for its parts."""
    if isinstance(keys, str | bytes | bytearray | memoryview):
        raise ArgumentError(f"several keys are needed, in a list for example, not {keys!r}")
    return keys


def merged(data: Mapping[Any, Any] | None, more: dict[str, Any]) -> Mapping[Any, Any]:
    """Return the records of an argument and of keyword arguments."""
    if data is None:
        return more
    if not hasattr(data, "items"):
        raise ArgumentError(f"records are a dict, key to value, not {type(data).__name__}")
    return {**data, **more} if more else data
