# Generated from cursor_async.py by tools/async_to_sync.py: edit that one.
"""Cursors: walking along the records of a Kyoto Tycoon database.

A cursor lives in the server and belongs to one connection, so an `Cursor` keeps a connection
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
from collections.abc import Iterator
from operator import itemgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, cast

from kt.client.expiry import unpack_expiry
from kt.client.tycoon.columns import MISSED, Columns, column, expiry, number, succeeded
from kt.client.values import Values
from kt.errors import KTError
from kt.types import ExpireTime, K, Key, Record, V
from kt.wire.codec import decode_key, encode_key, load_value
from kt.wire.tycoon_rpc import (
    Field,
    RpcReply,
    decode_columns,
    decode_places,
    pack_rpc,
    read_rpc_reply,
)
from kt.wire.values import Loads, ValueFailure

if TYPE_CHECKING:
    from kt.net.blocking import Connection, Pool

T = TypeVar("T")

Result = dict[bytes, bytes]

Pair = tuple[bytes, bytes]
"""What iterating has read of a record: its key and its value; what was not asked for is empty."""

CURSOR: Final[tuple[Key, Field]] = ("CUR", 1)
STEP: Final[tuple[Key, Field]] = ("step", "")

DELETE: Final = pack_rpc("cur_delete", [CURSOR])

MOVING: Final = ("cur_step", "cur_step_back", "cur_remove", "cur_seize")
"""Operations after which the cursor stands on another record."""

DIRECTIONS: Final = {False: ("cur_jump", "cur_step"), True: ("cur_jump_back", "cur_step_back")}
"""Backward or not -> how to begin and how to go on."""

BATCH_MIN: Final = 4
BATCH_MAX: Final = 512
BATCH_GROWTH: Final = 8
BATCH_BYTES: Final = 256 * 1024


class Cursor(Generic[K, V]):
    """A position in a database; made by `KyotoTycoon.cursor`.

    A new cursor stands nowhere: `jump` first. Iterating does that by itself, and yields key and
    value of the record that the cursor stands on and of all that follow. The order is that of the
    database: by key in trees, none in hash tables.

    Operations return None or False when the cursor stands on no record. Neither threads nor tasks
    may share a cursor::

        with db.cursor() as cursor:
            cursor.jump("b")
            for key, value in cursor:
                if value == "":
                    cursor.remove()
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

    def jump(self, key: Key | None = None) -> bool:
        """Go to the record of `key`, or to the first of all; in trees, the first from `key` on.

        Returns:
            False if there is no such record.
        """
        return self._jump("cur_jump", key)

    def jump_back(self, key: Key | None = None) -> bool:
        """Go to the record of `key` or the last one before it, or to the last of all.

        Returns:
            False if there is no such record.

        Raises:
            ServerError: the database has no order.
        """
        return self._jump("cur_jump_back", key)

    def step(self) -> bool:
        """Go to the next record; False if there is none, and the cursor stands nowhere then."""
        return self._do("cur_step") is not None

    def step_back(self) -> bool:
        """Go to the record before; False if there is none, and the cursor stands nowhere then.

        Raises:
            ServerError: the database has no order.
        """
        return self._do("cur_step_back") is not None

    def get(self, step: bool = False) -> tuple[K, V] | None:
        """Return key and value; with `step`, go to the next record afterwards."""
        result = self._do("cur_get", step)
        return None if result is None else self._pair(result)

    def get_key(self, step: bool = False) -> K | None:
        """Return the key; with `step`, go to the next record afterwards."""
        result = self._do("cur_get_key", step)
        return None if result is None else self._key(result)

    def get_value(self, step: bool = False) -> V | None:
        """Return the value; with `step`, go to the next record afterwards."""
        result = self._do("cur_get_value", step)
        return None if result is None else self._value(result)

    def get_record(self, step: bool = False) -> Record | None:
        """Return the record with its expiry; with `step`, go to the next one afterwards."""
        result = self._do("cur_get", step)
        if result is None:
            return None
        expires = unpack_expiry(number(result, b"xt", int)) if b"xt" in result else None
        return Record(self._db, *self._pair(result), expires)

    def set_value(
        self, value: Any, step: bool = False, expire_time: ExpireTime | None = None
    ) -> bool:
        """Replace the value and the expiry; with `step`, go to the next record afterwards."""
        columns: Columns = [("value", self._values.dump(value, None))]
        columns += expiry(expire_time)
        return self._do("cur_set_value", step, columns) is not None

    def remove(self) -> bool:
        """Remove the record; the cursor stands on the next one then."""
        return self._do("cur_remove") is not None

    def seize(self) -> tuple[K, V] | None:
        """Return key and value and remove the record; the cursor stands on the next one then."""
        result = self._do("cur_seize")
        return None if result is None else self._pair(result)

    def backward(self) -> Scan[tuple[K, V]]:
        """Iterate backwards, from where the cursor stands or from the last record.

        Raises (when iterated):
            ServerError: the database has no order.
        """
        return CursorScan(self, backward=True)

    __reversed__ = backward

    def __iter__(self) -> Scan[tuple[K, V]]:
        return CursorScan(self, backward=False)

    def close(self) -> None:
        """Delete the server's cursor and give its connection back; a later `jump` begins anew."""
        connection, self._connection = self._connection, None
        self._forget()
        if connection is None:
            return
        try:
            if not connection.closed:
                connection.call(DELETE, read_rpc_reply, self._timeout)
        except KTError:
            pass  # the connection is closed now, and the server's cursor gone with it
        finally:
            self._pool.release(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._connection is not None:
            self._pool.abandon(self._connection)

    def _jump(self, procedure: str, key: Key | None) -> bool:
        """Place the cursor."""
        if self._connection is not None and self._connection.closed:
            self.close()
        self._forget()
        columns: Columns = [] if key is None else [("key", encode_key(key))]
        self._placed = self._call(procedure, columns) is not None
        return self._placed

    def _do(
        self, procedure: str, step: bool = False, columns: Columns | None = None
    ) -> Result | None:
        """Carry out an operation on the record that the caller sees the cursor on."""
        if not self._settle():
            return None
        result = self._call(procedure, [*(columns or ()), *([STEP] if step else ())])
        if step or procedure in MOVING:
            self._yielded = False
        return result

    def _settle(self) -> bool:
        """Bring the server's cursor back to the record yielded last; False if that is gone."""
        if self._last is None:
            return True
        last, self._last = self._last, None
        self._ahead.clear()
        found = self._call("cur_jump", [("key", last)])
        if found is not None:  # a tree goes to the next record if there is no such key
            found = self._call("cur_get_key", [])
        self._yielded = found is not None and found.get(b"key") == last
        return self._yielded

    def _call(self, procedure: str, columns: Columns) -> Result | None:
        """Call a procedure with this cursor; None if it stands on no record."""
        connection = self._leased()
        request = self._pack(procedure, columns)
        reply = connection.call(request, read_rpc_reply, self._timeout)
        if reply.status == MISSED:
            return None
        succeeded(reply)
        return decode_columns(reply.body, reply.encoding)

    def _pack(self, procedure: str, columns: Columns) -> bytes:
        return pack_rpc(procedure, [CURSOR, ("DB", self._db), *columns])

    def _leased(self) -> Connection:
        """Return the cursor's own connection."""
        if self._connection is None:
            self._connection = self._pool.acquire(self._timeout)
        return self._connection

    def _advance(self, procedure: str, backward: bool) -> Pair | None:
        """Return the next record of an iteration; None, and close, at the end."""
        if backward != self._backward:
            self._settle()
            self._backward = backward
        if not self._ahead:
            self._fetch(procedure)
        if not self._ahead:
            self.close()
            return None
        pair = self._ahead.popleft()
        self._last = pair[0]
        return pair

    def _fetch(self, procedure: str) -> None:
        """Ask for the next batch of records, and keep them as they are."""
        replies = self._ask(procedure)
        self._ahead.extend(self._pairs(procedure, replies, False, None))
        self._grow(replies, len(self._ahead))

    def _take_batch(self, procedure: str) -> Iterator[Any]:
        """Return the next records of an iteration that nothing interrupts; None, and close, at the
        end.

        What fails to decode is decoded once more when it is its turn: those before it come first.
        """
        replies = self._ask(procedure)
        loads = None if procedure == "cur_get_key" else self._values.loads
        records: list[Any]
        try:
            records = self._pairs(procedure, replies, self._decode_keys, loads)
            shaped = iter(records)
        except ValueFailure:
            records = self._pairs(procedure, replies, False, None)
            shaped = map(self._pair_of, records)
        self._grow(replies, len(records))
        if not records:
            self.close()
        return shaped

    def _ask(self, procedure: str) -> list[RpcReply]:
        """Return the answers to the request for a batch, or to its requests."""
        jump, step = DIRECTIONS[self._backward]
        if not self._placed and not self._jump(jump, None):
            return []
        if self._backward:
            requests = [self._pack(procedure, []), self._pack(step, [])] * self._batch_size
        elif self._many:
            read = "cur_get_key" if procedure == "cur_get_key" else "cur_get"
            requests = [self._pack(read, [STEP, ("max", self._batch_size)])]
        else:
            requests = [self._pack(procedure, [STEP])] * self._batch_size
        if self._yielded:
            requests.insert(0, self._pack(step, []))
        connection = self._leased()
        calls = ((request, read_rpc_reply) for request in requests)
        batches = connection.call_many(calls, self._timeout)
        replies = [reply for batch in batches for reply in batch]
        self._yielded = False
        return [succeeded(reply) for reply in replies if reply.status != MISSED]

    def _grow(self, replies: list[RpcReply], count: int) -> None:
        """Choose how many records to ask for next."""
        size = sum(len(reply.body) for reply in replies) // max(count, 1) + 1
        self._batch_size = min(self._batch_size * BATCH_GROWTH, BATCH_MAX, BATCH_BYTES // size + 1)

    def _pairs(
        self, procedure: str, replies: list[RpcReply], decode_keys: bool, loads: Loads
    ) -> list[tuple[Any, Any]]:
        """Return the records of answers: each has several, one, or none."""
        pairs: list[tuple[Any, Any]] = []
        for reply in replies:
            some = decode_places(reply.body, reply.encoding, decode_keys, loads)
            if not some and (columns := decode_columns(reply.body, reply.encoding)):
                self._many = self._many and self._backward
                some = [self._one(procedure, columns, decode_keys, loads)]
            pairs += some
        return pairs

    def _one(
        self, procedure: str, columns: Result, decode_keys: bool, loads: Loads
    ) -> tuple[Any, Any]:
        if procedure == "cur_get_value":
            return None, load_value(column(columns, b"value"), loads, None)
        key = decode_key(column(columns, b"key"), decode_keys)
        if procedure == "cur_get_key":
            return key, b""
        return key, load_value(column(columns, b"value"), loads, key)

    def _key(self, result: Result) -> K:
        return cast(K, decode_key(column(result, b"key"), self._decode_keys))

    def _value(self, result: Result, key: K | None = None) -> V:
        value: V = self._values.load(column(result, b"value"), key)
        return value

    def _pair(self, result: Result) -> tuple[K, V]:
        key = self._key(result)
        return key, self._value(result, key)

    def _pair_of(self, pair: Pair) -> tuple[K, V]:
        key: Any = decode_key(pair[0], self._decode_keys)
        return key, self._values.load(pair[1], key)


class Scan(Generic[T]):
    """An iterator over a database that asks for records as they are needed.

    It has a connection for itself until it is exhausted, closed (by `close` or ``with``) or
    forgotten.
    """

    def __init__(self, cursor: Cursor[Any, Any]) -> None:
        self._cursor = cursor
        self._exhausted = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        raise NotImplementedError

    def close(self) -> None:
        """End the iteration and give its connection back."""
        self._exhausted = True
        self._cursor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class CursorScan(Scan[tuple[K, V]]):
    """One from where a cursor stands, which goes along with it."""

    def __init__(self, cursor: Cursor[K, V], backward: bool) -> None:
        super().__init__(cursor)
        self._backward = backward

    def __next__(self) -> tuple[K, V]:
        cursor = self._cursor
        if cursor._ahead and cursor._backward is self._backward and not self._exhausted:
            pair = cursor._ahead.popleft()  # as `_advance` does it, without its call
            cursor._last = pair[0]
            return cursor._pair_of(pair)
        if not self._exhausted:
            found = cursor._advance("cur_get", self._backward)
            if found is not None:
                return cursor._pair_of(found)
            self._exhausted = True
        raise StopIteration


class RecordScan(Scan[T]):
    """One with a cursor that nobody else has, so that it takes over whole batches.

    Args:
        cursor: stands nowhere.
        procedure: reads a record.
        part: of key and value, what is yielded: 0 or 1; None for both.
    """

    def __init__(self, cursor: Cursor[Any, Any], procedure: str, part: int | None = None) -> None:
        super().__init__(cursor)
        self._procedure = procedure
        self._part = part
        self._batch: Iterator[T] = iter(())

    def __next__(self) -> T:
        if not self._exhausted:
            for thing in self._batch:
                return thing
            batch = self._cursor._take_batch(self._procedure)
            self._batch = batch if self._part is None else map(itemgetter(self._part), batch)
            for thing in self._batch:
                return thing
            self._exhausted = True
        raise StopIteration
