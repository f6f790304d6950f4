"""How a container calls its scripts, on either server, and how it waits.

A call is one request: name of the function, key, arguments. Kyoto Tycoon runs it in a visitor of
the record, Tokyo Tyrant under a lock of the key.

A consumer that finds nothing waits for a signal, which Kyoto Tycoon has: nobody asks again and
again. A signal that nobody waits for is lost, so the record counts the consumers that are going to
wait; a producer learns of them with its own reply, and repeats the signal until one has heard it::

    consumer   pop: nothing (1 waits)              wait ─────────┐ pop: x
    producer                        push x: 1 waits, 0 heard  signal: 1 heard

As nobody can tell whether a consumer still lives, a producer repeats at most `REPEATS` times. In
case that the consumer came later still, it looks by itself: first after `FIRST_LOOK` seconds, then
after twice as many and so on, up to `HEARTBEAT`. Tokyo Tyrant has no signals: a consumer looks
every `POLL` seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from kt.client.arguments import checked_db
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tycoon.columns import measured
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.client.values import Values
from kt.errors import ArgumentError
from kt.lua.aio import Attempt, pause
from kt.lua.arguments import patience
from kt.lua.packing import pack, unpack
from kt.lua.results import NEVER
from kt.options import ScriptLock, Signal
from kt.types import K, Key, V
from kt.wire.codec import encode_key

T = TypeVar("T")

AsyncDatabase: TypeAlias = AsyncKyotoTycoon[K, V] | AsyncTokyoTyrant[K, V]
"""A client of either server."""

FIRST_LOOK: Final = 0.1
HEARTBEAT: Final = 5.0
REPEATS: Final = 20
REPEAT_PAUSE: Final = 0.001
POLL: Final = 0.02
SHORTEST: Final = 0.001
"""The server takes 0 for its own time-out."""


class AsyncCalls(Protocol):
    """Calls of the scripts of one server.

    Attributes:
        db: the database, as the scripts are told; empty if there is only one.
    """

    db: bytes

    async def call(self, name: str, key: bytes, args: Iterable[bytes]) -> list[bytes]:
        """Call a script for one record; returns its results."""

    async def call_for_two(self, name: str, key: bytes, args: Iterable[bytes]) -> list[bytes]:
        """Call a script that also writes a container at another key; returns its results."""

    async def call_and_signal(
        self, name: str, key: bytes, args: Iterable[bytes], broadcast: bool
    ) -> tuple[list[bytes], int]:
        """Call a script, and signal that `key` has changed; returns also how many heard that."""

    async def signal(self, key: bytes, broadcast: bool) -> int:
        """Signal that `key` has changed; returns how many heard that."""

    async def wait(self, key: bytes, seconds: float) -> bool:
        """Wait until `key` has changed; False if it has not after `seconds`."""


class AsyncTycoonCalls:
    """Calls of Kyoto Tycoon's scripts, for records of one database."""

    def __init__(self, client: AsyncKyotoTycoon[Any, Any], db: int | None) -> None:
        self._client = client
        self.db = b"%d" % (client.default_db if db is None else checked_db(db))

    async def call(self, name: str, key: bytes, args: Iterable[bytes]) -> list[bytes]:
        columns = {b"db": self.db, b"key": key, b"args": pack(args)}
        results = await self._client.script(name, columns, encode_values=False)
        return unpack(next(iter(results.values()), b""))

    async def call_for_two(self, name: str, key: bytes, args: Iterable[bytes]) -> list[bytes]:
        return await self.call(name, key, args)

    async def call_and_signal(
        self, name: str, key: bytes, args: Iterable[bytes], broadcast: bool
    ) -> tuple[list[bytes], int]:
        columns: dict[str, str | bytes | int] = {
            "name": name,
            "_db": self.db,
            "_key": key,
            "_args": pack(args),
        }
        signal = Signal(self._name(key), broadcast)
        results = await self._client.rpc("play_script", columns, signal=signal)
        return unpack(results.get("_results", b"")), measured(results, "SIGNALED", int)

    async def signal(self, key: bytes, broadcast: bool) -> int:
        return await self._client.signal(self._name(key), broadcast=broadcast)

    async def wait(self, key: bytes, seconds: float) -> bool:
        return await self._client.wait(self._name(key), seconds)

    def _name(self, key: bytes) -> bytes:
        """Return the name of the signal for `key`."""
        return b"%b:%b" % (self.db, key)


class AsyncTyrantCalls:
    """Calls of Tokyo Tyrant's scripts."""

    def __init__(self, client: AsyncTokyoTyrant[Any, Any], db: int | None) -> None:
        if db is not None:
            raise ArgumentError("Tokyo Tyrant has one database only: leave out db")
        self._client = client
        self.db = b""

    async def call(self, name: str, key: bytes, args: Iterable[bytes]) -> list[bytes]:
        return unpack(await self._client.script(name, key, pack(args), lock=ScriptLock.RECORD))

    async def call_for_two(self, name: str, key: bytes, args: Iterable[bytes]) -> list[bytes]:
        return unpack(await self._client.script(name, key, pack(args), lock=ScriptLock.GLOBAL))

    async def call_and_signal(
        self, name: str, key: bytes, args: Iterable[bytes], broadcast: bool
    ) -> tuple[list[bytes], int]:
        return await self.call(name, key, args), REPEATS

    async def signal(self, key: bytes, broadcast: bool) -> int:
        return REPEATS

    async def wait(self, key: bytes, seconds: float) -> bool:
        await pause(min(seconds, POLL))
        return False


def calls_of(client: AsyncDatabase[Any, Any], db: int | None) -> AsyncCalls:
    """Return the calls of the server that `client` is for."""
    if isinstance(client, AsyncKyotoTycoon):
        return AsyncTycoonCalls(client, db)
    if isinstance(client, AsyncTokyoTyrant):
        return AsyncTyrantCalls(client, db)
    raise ArgumentError(f"not a client of this kind: {client!r}")


class AsyncContainer(Generic[V]):
    """Base of all containers: the record `key` of a database, with what belongs to it.

    A container is a light object; any number of them, in any number of programs, may stand for the
    same record. What is not there is empty, and what becomes empty is not there any more. An
    operation is one round trip and atomic, against the other operations of this library; on Kyoto
    Tycoon, against all that anybody does with the record.

    Args:
        client: client of a server that has loaded the scripts; its serializer is that of the
            container, too.
        key: the record.
        db: index of the database; None for the client's default.

    Every operation raises ServerError if the server has not loaded the scripts, or if the record is
    something else.
    """

    def __init__(self, client: AsyncDatabase[Any, V], key: Key, db: int | None = None) -> None:
        self.key = key
        self._key = encode_key(key)
        self._calls = calls_of(client, db)
        self._values = Values(client.serializer)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r}>"

    def _dump(self, value: Any) -> bytes:
        return self._values.dump(value, self.key)

    def _load(self, data: bytes) -> V:
        value: V = self._values.load(data, self.key)
        return value

    async def _call(self, name: str, *args: bytes) -> list[bytes]:
        return await self._calls.call(name, self._key, args)

    async def _count(self, name: str, *args: bytes) -> int:
        """Call a script whose result is a whole number."""
        return int((await self._call(name, *args))[0])

    async def _test(self, name: str, *args: bytes) -> bool:
        """Call a script whose first result is a truth value."""
        return (await self._call(name, *args))[0] == b"1"

    async def _consume(
        self,
        attempt: Attempt[T],
        timeout: float | None,
    ) -> T | None:
        """Attempt until there is something; None if there is nothing after `timeout` seconds.

        `attempt` is told whether to take back the mark of a consumer that waits, and whether to
        leave one if there is nothing.
        """
        seconds = patience(timeout)
        deadline = NEVER if seconds is None else monotonic() + seconds
        heard, look = True, FIRST_LOOK
        while True:
            left = deadline - monotonic()
            result, again = await attempt(_flag(not heard), _flag(left > 0))
            if result is not None or left <= 0:
                return result
            heard = await self._calls.wait(self._key, max(min(left, again, look), SHORTEST))
            look = min(look * 2, HEARTBEAT)

    async def _produce(self, name: str, args: list[bytes], broadcast: bool) -> list[bytes]:
        """Call a script that brings something and tells, as last result, how many to wake."""
        results, heard = await self._calls.call_and_signal(name, self._key, args, broadcast)
        await self._wake(int(results[-1]), heard, broadcast)
        return results

    async def _wake(self, wanted: int, heard: int, broadcast: bool) -> None:
        """Signal until as many consumers have heard it as wait, of which some have already."""
        for repeat in range(REPEATS):
            if heard >= wanted:
                break
            await pause(REPEAT_PAUSE * repeat)
            heard += await self._calls.signal(self._key, broadcast)

    def _beside(self, other: AsyncContainer[Any]) -> bytes:
        """Return the key of another container that a script can change together with this one."""
        if not isinstance(other, type(self)):
            raise ArgumentError(f"{other!r} is no {type(self).__name__}")
        if other._calls.db != self._calls.db:
            raise ArgumentError(f"{other!r} is in another database than {self!r}")
        return other._key


def _flag(value: bool) -> bytes:
    return b"1" if value else b"0"
