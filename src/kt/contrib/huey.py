"""huey: queue, schedule and results in Kyoto Tycoon or Tokyo Tyrant.

::

    from kt.contrib.huey import KtHuey

    huey = KtHuey("shop", place="kt://localhost:1978")

The server needs the library of Lua scripts (``kt-tycoon -scr kt.lua``, ``kt-tyrant -ext kt.lua``):
see `kt.lua`. What belongs to the application ``shop`` has keys that begin with ``huey.shop.``:

=================  ===============================================================================
``queue``          a `kt.lua.Queue`; with priorities a `kt.lua.SortedSet`
``schedule``       a `kt.lua.SortedSet` of tasks by the time when they are due
``result.KEY``     results, and what else huey remembers
``counter.KEY``    counters
=================  ===============================================================================

What was stored for some seconds (a lock) has its end in front of its value, because the server
counts whole seconds and would keep a lock of one second for up to two. The clock is that of whoever
looks, as with the schedule::

    STAMPED | end: microseconds since the epoch, 8 bytes | value

A value that begins with `STAMPED` itself is stored in the same way, with an end that never comes.

huey pickles tasks and results unless it has another serializer: whoever can write to the server can
then run code in the consumer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from struct import Struct, pack
from typing import Any, Final

from huey.api import Huey
from huey.constants import EmptyData
from huey.storage import BaseStorage

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.errors import ArgumentError
from kt.local.opening import open_database
from kt.lua import SCRIPTS, Queue, SortedSet
from kt.serializers import KT_NONE

Client = KyotoTycoon[Any, Any] | TokyoTyrant[Any, Any]

STAMP = 8
"""Bytes before a task with a priority: when it was put into the queue."""

STAMPED: Final = b"\0kt"
"""How a value begins that has its end in front."""

END: Final = Struct(">q")

NEVER: Final = 2**63 - 1
"""The end of a value that only looks as if it had one."""


def connect(place: str | Client | None, options: dict[str, Any]) -> Client:
    """Return a client of a server, or of a database that is opened in this process."""
    if isinstance(place, KyotoTycoon | TokyoTyrant):
        if options:
            raise ArgumentError(f"a client has its options already: leave out {', '.join(options)}")
        return place
    if place is not None and not isinstance(place, str):
        raise ArgumentError(f"tasks are at a URL, in a database, or have a client, not {place!r}")
    if place is not None and place.startswith(("tt:", "tts:", "tt+unix:")):
        return TokyoTyrant.from_url(place, **options)
    if place is None or "://" in place:
        return KyotoTycoon.from_url(place, **options)
    client: Client = open_database(place, **{"scripts": SCRIPTS, **options})
    return client


class KtStorage(BaseStorage):
    """Storage of huey, without priorities; any number of tasks costs the same.

    Args:
        name: of the application.
        place: ``kt://HOST:PORT/DB``, ``tt://HOST:PORT``, the name of a database to be opened in
            this process, or a client; None: the URL of a Kyoto Tycoon server in ``KT_URL``.
        blocking: whether a worker waits for a task at the server; on Tokyo Tyrant it looks again
            and again.
        read_timeout: seconds for which it does.
        expire_time: seconds for which results are kept that nobody fetches; None for ever. Tokyo
            Tyrant has no expiry and takes only None.
        options: for the client.

    Raises:
        ArgumentError: an argument is none of these.
    """

    priority = False

    def __init__(
        self,
        name: str = "huey",
        place: str | Client | None = None,
        blocking: bool = True,
        read_timeout: float = 1.0,
        expire_time: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name)
        self.blocking = blocking
        self._read_timeout = read_timeout if blocking else 0.0
        self._expire_time = expire_time
        self._is_ours = not isinstance(place, KyotoTycoon | TokyoTyrant)
        self._client: Client = connect(place, options).using(serializer=KT_NONE)
        self._tycoon = self._client if isinstance(self._client, KyotoTycoon) else None
        if self._tycoon is None and expire_time is not None:
            raise ArgumentError("Tokyo Tyrant has no expiry: leave out expire_time")
        self._prefix = f"huey.{name}."
        self._queue = Queue(self._client, self._prefix + "queue")
        self._schedule = SortedSet(self._client, self._prefix + "schedule")

    def close(self) -> bool:
        """Close the connections, or the database, unless a client was given."""
        if self._is_ours:
            self._client.close()
        return self._is_ours

    # ------------------------------------------------------------------------------------- queue

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Add a task to the queue.

        Raises:
            NotImplementedError: it has a priority; `KtPriorityStorage` is for these.
        """
        if priority:
            raise NotImplementedError("this storage has no priorities: use KtPriorityHuey")
        self._queue.push(data)

    def dequeue(self) -> bytes | None:
        """Remove the first task and return it; None if there was none in time."""
        return self._queue.pop(self._read_timeout)

    def queue_size(self) -> int:
        """Return how many tasks are in the queue."""
        return self._queue.length()

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        """Return the tasks that come next, at most `limit`, which stay."""
        return self._queue.slice(0, limit or None)

    def flush_queue(self) -> None:
        """Remove all tasks from the queue."""
        self._queue.clear()

    # ---------------------------------------------------------------------------------- schedule

    def add_to_schedule(self, data: bytes, ts: datetime) -> None:
        """Keep a task until the time `ts` (naive, as all of huey's)."""
        self._schedule.set(data, _seconds(ts))

    def read_schedule(self, ts: datetime) -> list[bytes]:
        """Remove the tasks that are due at `ts` and return them, the earliest first.

        Each comes once, whoever else reads at the same time.
        """
        due = [task for task, _ in self._schedule.range(high=_seconds(ts))]
        if not due:
            return []
        removed = self._schedule._call("sortedRemove", *due)  # with their scores
        return removed[::2]

    def schedule_size(self) -> int:
        """Return how many tasks are scheduled."""
        return self._schedule.length()

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        """Return the scheduled tasks, the earliest first, at most `limit`."""
        return [task for task, _ in self._schedule.slice(0, limit or None)]

    def flush_schedule(self) -> None:
        """Remove all scheduled tasks."""
        self._schedule.clear()

    # ----------------------------------------------------------------------------------- results

    def put_data(self, key: str | bytes, value: bytes, is_result: bool = False) -> None:
        """Store a value."""
        data = _stored(value)
        if self._tycoon is not None and is_result and self._expire_time is not None:
            self._tycoon.set_bytes(self._result(key), data, expire_time=self._expire_time)
        else:
            self._client.set_bytes(self._result(key), data)

    def peek_data(self, key: str | bytes) -> Any:
        """Return a value, which stays, or EmptyData."""
        return _found(self._client.get_bytes(self._result(key)))

    def peek_many(self, keys: Iterable[str | bytes]) -> dict[str | bytes, bytes]:
        """Return those of the values that there are, in one request."""
        names = {self._result(key): key for key in keys}
        found = self._client.get_bulk(names)
        return {names[_text(name)]: value for name, value in _live(found)}

    def pop_data(self, key: str | bytes) -> Any:
        """Remove a value and return it, or EmptyData. One caller gets it."""
        name = self._result(key)
        if self._tycoon is not None:
            value = self._tycoon.seize(name)
        else:  # who removes it, has it
            value = self._client.get_bytes(name)
            if value is not None and not self._client.remove(name):
                value = None
        return _found(value)

    def delete_data(self, key: str | bytes) -> bool:
        """Remove a value. Returns whether there was one."""
        return self.pop_data(key) is not EmptyData

    def has_data_for_key(self, key: str | bytes) -> bool:
        """Return whether there is a value."""
        return self.peek_data(key) is not EmptyData

    def put_if_empty(self, key: str | bytes, value: bytes, ttl: float | None = None) -> bool:
        """Store a value if there is none, for `ttl` seconds. Returns whether there was none.

        Raises:
            NotImplementedError: `ttl` on Tokyo Tyrant.
        """
        name = self._result(key)
        if self._tycoon is None:
            if ttl is not None:
                raise NotImplementedError("Tokyo Tyrant has no expiry")
            return self._client.add(name, _stored(value))
        data, seconds = _stored(value, ttl), None if ttl is None else max(ttl, 0)
        while not self._tycoon.add(name, data, expire_time=seconds):
            old = self._tycoon.get_bytes(name)
            if old is None:
                continue
            if _found(old) is not EmptyData:
                return False
            if self._tycoon.cas(name, old, data, expire_time=seconds):
                break
        return True

    def incr(self, key: str | bytes, amount: int = 1) -> int:
        """Add to a counter and return the sum."""
        return self._client.incr(f"{self._prefix}counter.{_text(key)}", amount)

    def delete_counter(self, key: str | bytes) -> None:
        """Remove a counter."""
        self._client.remove(f"{self._prefix}counter.{_text(key)}")

    def result_store_size(self) -> int:
        """Return how many values there are; it goes through all of them.

        One that was stored for some seconds counts for up to a second longer.
        """
        return len(self._keys("result."))

    def result_items(self) -> dict[str, bytes]:
        """Return all values."""
        found = self._client.get_bulk(self._keys("result."))
        return {_text(key).removeprefix(self._result("")): data for key, data in _live(found)}

    def flush_results(self) -> None:
        """Remove all values."""
        self._client.remove_bulk(self._keys("result."))

    def flush_counters(self) -> None:
        """Remove all counters."""
        self._client.remove_bulk(self._keys("counter."))

    def _result(self, key: str | bytes) -> str:
        return f"{self._prefix}result.{_text(key)}"

    def _keys(self, kind: str) -> list[Any]:
        return self._client.match_prefix(self._prefix + kind, None)


class KtPriorityStorage(KtStorage):
    """The same with priorities. A task costs the more, the more there are in the queue."""

    priority = True

    def __init__(self, name: str = "huey", *args: Any, **kwargs: Any) -> None:
        super().__init__(name, *args, **kwargs)
        self.blocking = False  # whoever waits looks again and again, as huey does it
        self._tasks = SortedSet(self._client, self._prefix + "queue")

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Add a task; those with higher priorities come first, of equal ones the older."""
        self._tasks.set(pack(">Q", time.time_ns()) + data, -(priority or 0))

    def dequeue(self) -> bytes | None:
        """Remove the first task and return it; None if there is none."""
        first = self._tasks.pop()
        return first[0][0][STAMP:] if first else None

    def queue_size(self) -> int:
        """Return how many tasks are in the queue."""
        return self._tasks.length()

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        """Return the tasks that come next, at most `limit`, which stay."""
        return [task[STAMP:] for task, _ in self._tasks.slice(0, limit or None)]

    def flush_queue(self) -> None:
        """Remove all tasks from the queue."""
        self._tasks.clear()


class KtHuey(Huey):
    """huey with `KtStorage`, whose arguments it takes besides its own."""

    storage_class = KtStorage


class KtPriorityHuey(Huey):
    """huey with `KtPriorityStorage`, whose arguments it takes besides its own."""

    storage_class = KtPriorityStorage


def _stored(value: bytes, ttl: float | None = None) -> bytes:
    """Return a value as it is stored for `ttl` seconds, or for ever."""
    if ttl is None:
        return STAMPED + END.pack(NEVER) + value if value.startswith(STAMPED) else value
    return STAMPED + END.pack(int(min((time.time() + ttl) * 10**6, NEVER))) + value


def _found(data: bytes | None) -> Any:
    """Return the value that is stored so, or EmptyData if there is none, or its end is over."""
    if data is None:
        return EmptyData
    if not data.startswith(STAMPED):
        return data
    (end,) = END.unpack_from(data, len(STAMPED))
    over = end <= time.time() * 10**6
    return EmptyData if over else data[len(STAMPED) + END.size :]


def _live(found: Mapping[Any, bytes]) -> Iterator[tuple[Any, bytes]]:
    """Yield keys and values of those whose end is not over."""
    for key, data in found.items():
        value = _found(data)
        if value is not EmptyData:
            yield key, value


def _text(key: str | bytes) -> str:
    return key.decode() if isinstance(key, bytes) else key


def _seconds(ts: datetime) -> float:
    """A number that orders naive times as they are."""
    return ts.replace(tzinfo=UTC).timestamp()
