"""Containers, locks and limits that many programs share, in the records of a server.

A library of Lua scripts (`SCRIPTS`, which a server of either kind loads), and typed classes that
call them. There is one of each for blocking clients, named here, and one for asyncio clients, with
``Async`` before its name::

    with kt.EmbeddedServer(scripts=kt.lua.SCRIPTS) as server:
        jobs = kt.lua.Queue(server.client, "jobs")
        jobs.push("first", "second")
        assert jobs.pop() == "first"

An operation is one round trip, and atomic. See docs/lua-library.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kt.lua.limits import Counter, Lock, RateLimiter
    from kt.lua.limits_async import AsyncCounter, AsyncLock, AsyncRateLimiter
    from kt.lua.mappings import Hash, SortedSet
    from kt.lua.mappings_async import AsyncHash, AsyncSortedSet
    from kt.lua.queues import Queue, Schedule
    from kt.lua.queues_async import AsyncQueue, AsyncSchedule
    from kt.lua.records import expire_time, get_part, move, touch, touch_bulk
    from kt.lua.records_async import expire_time as async_expire_time
    from kt.lua.records_async import get_part as async_get_part
    from kt.lua.records_async import move as async_move
    from kt.lua.records_async import touch as async_touch
    from kt.lua.records_async import touch_bulk as async_touch_bulk
    from kt.lua.results import LockLost, Permit
    from kt.lua.sequences import List, Set
    from kt.lua.sequences_async import AsyncList, AsyncSet
    from kt.lua.shapes import Triple, Var
    from kt.lua.triples import Triples
    from kt.lua.triples_async import AsyncTriples

__all__ = [
    "SCRIPTS",
    "Hash",
    "AsyncHash",
    "Set",
    "AsyncSet",
    "List",
    "AsyncList",
    "SortedSet",
    "AsyncSortedSet",
    "Queue",
    "AsyncQueue",
    "Schedule",
    "AsyncSchedule",
    "Triples",
    "AsyncTriples",
    "Triple",
    "Var",
    "RateLimiter",
    "AsyncRateLimiter",
    "Permit",
    "Lock",
    "AsyncLock",
    "LockLost",
    "Counter",
    "AsyncCounter",
    "touch",
    "async_touch",
    "expire_time",
    "async_expire_time",
    "touch_bulk",
    "async_touch_bulk",
    "get_part",
    "async_get_part",
    "move",
    "async_move",
]

SCRIPTS: Final = str(Path(__file__).with_name("kt.lua"))
"""Path of the library, for ``-scr`` and ``-ext``; the bundled servers know it as ``kt.lua``."""

_HOME: Final = {
    "limits": "Counter Lock RateLimiter",
    "mappings": "Hash SortedSet",
    "queues": "Queue Schedule",
    "records": "expire_time get_part move touch touch_bulk",
    "sequences": "List Set",
    "triples": "Triples",
}

_PLAIN: Final = {"LockLost": "results", "Permit": "results", "Triple": "shapes", "Var": "shapes"}
"""Names that blocking and asyncio programs share."""


def __getattr__(name: str) -> Any:
    plain = name.removeprefix("Async").removeprefix("async_")
    module = next((home for home, names in _HOME.items() if plain in names.split()), None)
    module = _PLAIN.get(name, module)
    if module is None or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    asynchronous = name != plain
    home = __import__(f"{__name__}.{module}{'_async' if asynchronous else ''}", fromlist=["*"])
    value = getattr(home, plain if name.startswith("async_") else name)
    globals()[name] = value  # the next access is an ordinary one
    return value


def __dir__() -> list[str]:
    return __all__
