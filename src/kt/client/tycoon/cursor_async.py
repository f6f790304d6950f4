"""Cursors: walking along the records of a Kyoto Tycoon database.

A cursor lives in the server and belongs to one connection, so an `AsyncCursor` keeps a connection
for itself from its first use until it is closed, exhausted or forgotten. The server knows cursors
by number; as nobody else uses the connection, ours is always number 1.

Iterating asks for records ahead, in batches: one call with ``max`` of kt-tycoon, which answers with
several records, or pipelined calls where the first answer shows that the server knows no ``max``::

    server's cursor                         v
    records   a    b    c    d    e    f    g
    yielded   a    b         |____________|
                   ^ _last        _ahead

To the caller, the cursor stands on the record yielded last. Before any other operation it is
brought back there (`_settle`), and when iterating goes on it first steps over that record. A batch
grows with the first answers, up to `BATCH_MAX` records or about `BATCH_BYTES` bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, cast

from kt.client.expiry import unpack_expiry
from kt.client.tycoon.columns import MISSED, Columns, column, expiry, number, succeeded
from kt.client.values import Values
from kt.errors import KTError
from kt.types import ExpireTime, K, Key, Record, V
from kt.wire.codec import decode_key, encode_key
from kt.wire.tycoon_rpc import Field, decode_columns, pack_rpc, read_rpc_reply

if TYPE_CHECKING:
    from kt.net.aio import Connection, Pool

T = TypeVar("T")

Result = dict[bytes, bytes]

Pair = tuple[bytes | None, bytes]
"""What iterating has read of a record: its key, if that was asked for, and its value."""

CURSOR: Final[tuple[Key, Field]] = ("CUR", 1)
STEP: Final[tuple[Key, Field]] = ("step", "")

DELETE: Final = pack_rpc("cur_delete", [CURSOR])

MOVING: Final = ("cur_step", "cur_step_back", "cur_remove", "cur_seize")
"""Operations after which the cursor stands on another record."""

DIRECTIONS: Final = {False: ("cur_jump", "cur_step"), True: ("cur_jump_back", "cur_step_back")}
"""Backward or not -> how to begin and how to go on."""

PLACE: Final = 4
"""So many bytes are before a key where there are several: ``_`` and three digits."""

BATCH_MIN: Final = 4
BATCH_MAX: Final = 512
BATCH_GROWTH: Final = 8
BATCH_BYTES: Final = 256 * 1024


class AsyncCursor(Generic[K, V]):
    """A position in a database; made by `AsyncKyotoTycoon.cursor`.

    A new cursor stands nowhere: `jump` first. Iterating does that by itself, and yields key and
    value of the record that the cursor stands on and of all that follow. The order is that of the
    database: by key in trees, none in hash tables.

    Operations return None or False when the cursor stands on no record. Neither threads nor tasks
    may share a cursor::

        async with db.cursor() as cursor:
            await cursor.jump("b")
            async for key, value in cursor:
                if value == "":
                    await cursor.remove()
    """

    def __init__(
        self, pool: Pool, values: Values, decode_keys: bool, timeout: float | None, db: int
    ) -> None:
        self._pool = pool
        self._values = values
        self._decode_keys = decode_keys
        self._timeout = timeout
        self._db = db
        self._connection: Connection | None = None
        self._batch_size = BATCH_MIN
        self._ahead: deque[Pair] = deque()
        self._many = True  # as far as is known, the server gives several records at once
        self._backward = False  # the direction in which `_ahead` was read
        self._forget()

    def _forget(self) -> None:
        """Stand nowhere."""
        self._placed = False
        self._ahead.clear()
        self._last: bytes | None = None
        self._yielded = False  # iterating has yielded the record under the server's cursor

    async def jump(self, key: Key | None = None) -> bool:
        """Go to the record of `key`, or to the first of all; in trees, the first from `key` on.

        Returns:
            False if there is no such record.
        """
        return await self._jump("cur_jump", key)

    async def jump_back(self, key: Key | None = None) -> bool:
        """Go to the record of `key` or the last one before it, or to the last of all.

        Returns:
            False if there is no such record.

        Raises:
            ServerError: the database has no order.
        """
        return await self._jump("cur_jump_back", key)

    async def step(self) -> bool:
        """Go to the next record; False if there is none, and the cursor stands nowhere then."""
        return await self._do("cur_step") is not None

    async def step_back(self) -> bool:
        """Go to the record before; False if there is none, and the cursor stands nowhere then.

        Raises:
            ServerError: the database has no order.
        """
        return await self._do("cur_step_back") is not None

    async def get(self, step: bool = False) -> tuple[K, V] | None:
        """Return key and value; with `step`, go to the next record afterwards."""
        result = await self._do("cur_get", step)
        return None if result is None else self._pair(result)

    async def get_key(self, step: bool = False) -> K | None:
        """Return the key; with `step`, go to the next record afterwards."""
        result = await self._do("cur_get_key", step)
        return None if result is None else self._key(result)

    async def get_value(self, step: bool = False) -> V | None:
        """Return the value; with `step`, go to the next record afterwards."""
        result = await self._do("cur_get_value", step)
        return None if result is None else self._value(result)

    async def get_record(self, step: bool = False) -> Record | None:
        """Return the record with its expiry; with `step`, go to the next one afterwards."""
        result = await self._do("cur_get", step)
        if result is None:
            return None
        expires = unpack_expiry(number(result, b"xt", int)) if b"xt" in result else None
        return Record(self._db, *self._pair(result), expires)

    async def set_value(
        self, value: Any, step: bool = False, expire_time: ExpireTime | None = None
    ) -> bool:
        """Replace the value and the expiry; with `step`, go to the next record afterwards."""
        columns: Columns = [("value", self._values.dump(value, None))]
        columns += expiry(expire_time)
        return await self._do("cur_set_value", step, columns) is not None

    async def remove(self) -> bool:
        """Remove the record; the cursor stands on the next one then."""
        return await self._do("cur_remove") is not None

    async def seize(self) -> tuple[K, V] | None:
        """Return key and value and remove the record; the cursor stands on the next one then."""
        result = await self._do("cur_seize")
        return None if result is None else self._pair(result)

    def backward(self) -> AsyncScan[tuple[K, V]]:
        """Iterate backwards, from where the cursor stands or from the last record.

        Raises (when iterated):
            ServerError: the database has no order.
        """
        return AsyncScan(self, "cur_get", self._pair_of, backward=True)

    __reversed__ = backward

    def __aiter__(self) -> AsyncScan[tuple[K, V]]:
        return AsyncScan(self, "cur_get", self._pair_of)

    async def close(self) -> None:
        """Delete the server's cursor and give its connection back; a later `jump` begins anew."""
        connection, self._connection = self._connection, None
        self._forget()
        if connection is None:
            return
        try:
            if not connection.closed:
                await connection.call(DELETE, read_rpc_reply, self._timeout)
        except KTError:
            pass  # the connection is closed now, and the server's cursor gone with it
        finally:
            self._pool.release(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        if self._connection is not None:
            self._pool.abandon(self._connection)

    async def _jump(self, procedure: str, key: Key | None) -> bool:
        """Place the cursor."""
        if self._connection is not None and self._connection.closed:
            await self.close()
        self._forget()
        columns: Columns = [] if key is None else [("key", encode_key(key))]
        self._placed = await self._call(procedure, columns) is not None
        return self._placed

    async def _do(
        self, procedure: str, step: bool = False, columns: Columns | None = None
    ) -> Result | None:
        """Carry out an operation on the record that the caller sees the cursor on."""
        if not await self._settle():
            return None
        result = await self._call(procedure, [*(columns or ()), *([STEP] if step else ())])
        if step or procedure in MOVING:
            self._yielded = False
        return result

    async def _settle(self) -> bool:
        """Bring the server's cursor back to the record yielded last; False if that is gone."""
        if self._last is None:
            return True
        last, self._last = self._last, None
        self._ahead.clear()
        found = await self._call("cur_jump", [("key", last)])
        if found is not None:  # a tree goes to the next record if there is no such key
            found = await self._call("cur_get_key", [])
        self._yielded = found is not None and found.get(b"key") == last
        return self._yielded

    async def _call(self, procedure: str, columns: Columns) -> Result | None:
        """Call a procedure with this cursor; None if it stands on no record."""
        connection = await self._leased()
        request = self._pack(procedure, columns)
        reply = await connection.call(request, read_rpc_reply, self._timeout)
        if reply.status == MISSED:
            return None
        succeeded(reply)
        return decode_columns(reply.body, reply.encoding)

    def _pack(self, procedure: str, columns: Columns) -> bytes:
        return pack_rpc(procedure, [CURSOR, ("DB", self._db), *columns])

    async def _leased(self) -> Connection:
        """Return the cursor's own connection."""
        if self._connection is None:
            self._connection = await self._pool.acquire(self._timeout)
        return self._connection

    async def _advance(self, procedure: str, backward: bool) -> Pair | None:
        """Return the next record of an iteration; None, and close, at the end."""
        if backward != self._backward:
            await self._settle()
            self._backward = backward
        if not self._ahead:
            await self._fetch(procedure)
        if not self._ahead:
            await self.close()
            return None
        pair = self._ahead.popleft()
        self._last = pair[0]
        return pair

    async def _fetch(self, procedure: str) -> None:
        """Ask for the next batch of records."""
        jump, step = DIRECTIONS[self._backward]
        if not self._placed and not await self._jump(jump, None):
            return
        if self._backward:
            requests = [self._pack(procedure, []), self._pack(step, [])] * self._batch_size
        elif self._many:
            read = "cur_get_key" if procedure == "cur_get_key" else "cur_get"
            requests = [self._pack(read, [STEP, ("max", self._batch_size)])]
        else:
            requests = [self._pack(procedure, [STEP])] * self._batch_size
        if self._yielded:
            requests.insert(0, self._pack(step, []))
        connection = await self._leased()
        calls = ((request, read_rpc_reply) for request in requests)
        batches = connection.call_many(calls, self._timeout)
        replies = [reply async for batch in batches for reply in batch]
        self._yielded = False
        for reply in replies:
            if reply.status != MISSED:
                self._read(procedure, decode_columns(succeeded(reply).body, reply.encoding))
        size = sum(len(reply.body) for reply in replies) // max(len(self._ahead), 1) + 1
        self._batch_size = min(self._batch_size * BATCH_GROWTH, BATCH_MAX, BATCH_BYTES // size + 1)

    def _read(self, procedure: str, columns: Result) -> None:
        """Keep the records of an answer: several, their places before their keys, one, or none."""
        name = next(iter(columns), b"")
        if name[:1] == b"_":
            self._ahead.extend([(key[PLACE:], value) for key, value in sorted(columns.items())])
        elif name:
            self._many = self._many and self._backward
            key = None if procedure == "cur_get_value" else column(columns, b"key")
            value = b"" if procedure == "cur_get_key" else column(columns, b"value")
            self._ahead.append((key, value))

    def _key(self, result: Result) -> K:
        return cast(K, decode_key(column(result, b"key"), self._decode_keys))

    def _value(self, result: Result, key: K | None = None) -> V:
        value: V = self._values.load(column(result, b"value"), key)
        return value

    def _pair(self, result: Result) -> tuple[K, V]:
        key = self._key(result)
        return key, self._value(result, key)

    def _key_of(self, pair: Pair) -> K:
        assert pair[0] is not None  # `_read` sees to it
        return cast(K, decode_key(pair[0], self._decode_keys))

    def _value_of(self, pair: Pair) -> V:
        value: V = self._values.load(pair[1], None)
        return value

    def _pair_of(self, pair: Pair) -> tuple[K, V]:
        key = self._key_of(pair)
        return key, self._values.load(pair[1], key)


class AsyncScan(Generic[T]):
    """An iterator over a database that asks for records as they are needed.

    It has a connection for itself until it is exhausted, closed (by `close` or ``async with``) or
    forgotten.
    """

    def __init__(
        self,
        cursor: AsyncCursor[Any, Any],
        procedure: str,
        shape: Callable[[Pair], T],
        backward: bool = False,
    ) -> None:
        self._cursor = cursor
        self._procedure = procedure
        self._shape = shape
        self._backward = backward
        self._exhausted = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        cursor = self._cursor
        if cursor._ahead and cursor._backward is self._backward and not self._exhausted:
            pair = cursor._ahead.popleft()  # as `_advance` does it, without its call
            cursor._last = pair[0]
            return self._shape(pair)
        if not self._exhausted:
            found = await cursor._advance(self._procedure, self._backward)
            if found is not None:
                return self._shape(found)
            self._exhausted = True
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the iteration and give its connection back."""
        self._exhausted = True
        await self._cursor.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
