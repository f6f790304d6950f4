"""What `misc` can be asked for on a cluster, and the iterator."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from kt.cluster.commands import Failure, Steps, illogical, no_record, not_here
from kt.cluster.contract import Database
from kt.cluster.walks import PAGE_MAX, Ahead, Bounds
from kt.wire.magic import NEVER

Items: TypeAlias = list[bytes]


class Iterator:
    """The keys of a database, one after the other; a client's own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ahead: Ahead | None = None

    def begin(self, key: bytes | None = None) -> Steps[None]:
        """Start before the first key, or before `key`; without order, before one just given."""
        if key is not None and not self._database.settings.ordered:
            if self._ahead is None or not self._ahead.back_to(key):
                raise not_here("in a flat database an iterator goes only to where it has just been")
            return
        self._ahead = Ahead(self._database.walk(Bounds(b"-" if key is None else b"[" + key)))
        yield from ()

    def next(self) -> Steps[tuple[bytes, bytes]]:
        """The next record. Raises `Failure` at the end."""
        while self._ahead is not None and (key := (yield from self._ahead.first())) is not None:
            self._ahead.pop()
            [record] = yield from self._database.get_many([key])
            if record is not None:
                return key, record[0]
        raise no_record()


Store: TypeAlias = Callable[[Database, bytes, bytes, int], Steps[None]]
SET: Final[Store] = lambda database, *record: database.set(*record)  # noqa: E731 - one of three
ADD: Final[Store] = lambda database, *record: database.add(*record)  # noqa: E731
APPEND: Final[Store] = lambda database, *record: database.append(*record)  # noqa: E731

Function: TypeAlias = Callable[[Database, Iterator, Items], Steps[Items]]


def _number(items: Items, at: int, default: int) -> int:
    """As the C function `atoi` reads one."""
    found = re.match(rb"\s*[-+]?\d+", items[at]) if len(items) > at else None
    return default if found is None else int(found[0])


def _need(items: Items, count: int) -> None:
    if len(items) < count:
        raise illogical("too few arguments")


def _store(store: Store, database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    _need(items, 2)
    yield from store(database, items[0], items[1], NEVER)
    return []


def _out(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    _need(items, 1)
    yield from database.remove(items[0])
    return []


def _get(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    _need(items, 1)
    value, _ = yield from database.get(items[0])
    return [value]


def _getpart(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    """Key, how many bytes to leave out, how many to give; fewer than none: all."""
    _need(items, 1)
    begin, size = max(_number(items, 1, 0), 0), _number(items, 2, -1)
    value, _ = yield from database.get(items[0])
    if len(value) <= begin:
        raise no_record()
    return [value[begin:] if size < 0 else value[begin : begin + size]]


def _putlist(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    pairs = zip(items[::2], items[1::2], strict=False)
    yield from database.set_many([(key, value, NEVER) for key, value in pairs])
    return []


def _outlist(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    yield from database.remove_bulk(items)
    return []


def _getlist(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    return (yield from _records(database, items))


def _records(database: Database, keys: Items) -> Steps[Items]:
    """Those of which there are records, each followed by its value."""
    found = yield from database.get_bulk(keys)
    return [item for key in keys if key in found for item in (key, found[key][0])]


def _range(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    """The first key, at most so many records (0: all), the key that comes after the last."""
    if not database.settings.ordered:
        raise not_here("a range of a flat database")
    most = max(_number(items, 1, 0), 0)
    end = b"(" + items[2] if len(items) > 2 else b"+"
    walk = database.walk(Bounds(b"[" + items[0] if items else b"-", end))
    found: Items = []
    while not most or len(found) < 2 * most:
        left = most - len(found) // 2 if most else PAGE_MAX
        keys = yield from walk.more(min(left, PAGE_MAX))
        if not keys:
            break
        found += yield from _records(database, keys)
    return found[: 2 * most] if most else found


def _regex(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    """An expression, with a star before it for letters of either case; at most so many (0: all)."""
    _need(items, 1)
    pattern, most = items[0], _number(items, 1, 0)
    if pattern.startswith(b"*"):
        pattern = b"(?i)" + pattern[1:]
    keys = yield from database.match_regex(pattern, most if most > 0 else -1)
    return (yield from _records(database, keys))


def _iterinit(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    yield from iterator.begin(items[0] if items else None)
    return []


def _iternext(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    return list((yield from iterator.next()))


def synchronize(database: Database) -> Steps[None]:
    """As the database's own; that it failed is told like a request that cannot be met.

    Unlike where a record is asked for, the protocol's failure means just this here.
    """
    try:
        yield from database.synchronize(False)
    except Failure as error:
        raise illogical("no replica has all of it") from error


def _sync(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    yield from synchronize(database)
    return []


def _optimize(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    yield from database.vacuum()
    return []


def _vanish(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    yield from database.clear()
    return []


def _nothing(database: Database, iterator: Iterator, items: Items) -> Steps[Items]:
    yield from ()
    return []


FUNCTIONS: Final[dict[bytes, Function]] = {
    b"put": partial(_store, SET),
    b"putkeep": partial(_store, ADD),
    b"putcat": partial(_store, APPEND),
    b"out": _out,
    b"get": _get,
    b"getpart": _getpart,
    b"putlist": _putlist,
    b"outlist": _outlist,
    b"getlist": _getlist,
    b"range": _range,
    b"regex": _regex,
    b"iterinit": _iterinit,
    b"iternext": _iternext,
    b"sync": _sync,
    b"optimize": _optimize,
    b"vanish": _vanish,
    b"defrag": _nothing,
    b"cacheclear": _nothing,
}
"""Those that there are on a cluster; others, those of tables and duplicates, fail."""
