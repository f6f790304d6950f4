"""Operators that Python cannot await: refused at once, with what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import kt
import kt.lua
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client_async import AsyncTokyoTyrant

CONTAINERS = [name for name in kt.lua.__all__ if name.startswith("Async")]


def everything() -> Iterator[Any]:
    """An object of every asyncio class that users get; nothing of it needs a server."""
    tycoon, tyrant = AsyncKyotoTycoon(), AsyncTokyoTyrant()
    yield from (tycoon, tyrant, tycoon.using(timeout=1))
    yield from (tycoon.cursor(), tycoon.values(), tycoon.items(), tycoon.lua, tyrant.lua)
    yield from (tycoon.pipeline(), tyrant.pipeline())
    query = tyrant.query()
    yield from (query, query.union(query), tyrant.table(City))
    for name in CONTAINERS:
        arguments = {"AsyncRateLimiter": (1, 1), "AsyncCounter": (1,)}.get(name, ())
        yield getattr(kt.lua, name)(tycoon, "k", *arguments)


class City(kt.Model):
    name: str


EVERYTHING = list(everything())


@pytest.mark.parametrize("thing", EVERYTHING, ids=lambda thing: type(thing).__name__)
def test_nothing_waits_for_ever(thing: Any) -> None:
    with pytest.raises(TypeError):
        "k" in thing  # noqa: B015
    with pytest.raises(TypeError):
        0 in thing  # noqa: B015
    with pytest.raises(TypeError):
        list(thing)
    with pytest.raises(TypeError):
        iter(thing)


@pytest.mark.parametrize("thing", EVERYTHING, ids=lambda thing: type(thing).__name__)
def test_message_says_what_to_write(thing: Any) -> None:
    if not hasattr(type(thing), "__getitem__"):
        pytest.skip("Python's own message says it")
    method = "contains" if type(thing).__module__.startswith("kt.lua") else "exists"
    with pytest.raises(TypeError, match=f"await x.{method}"):
        "k" in thing  # noqa: B015
    with pytest.raises(TypeError, match="async for"):
        list(thing)
    assert hasattr(thing, method)
