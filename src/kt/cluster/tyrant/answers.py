"""Requests of Tokyo Tyrant's clients, answered by a database on a cluster: bytes in, bytes out.

Records lie there as those of Kyoto Tycoon do, without an expiry, so clients of both may share them.
A flat database is what ``*`` is to kt-tyrant, a tree what ``+`` is, but without duplicates.

The protocol has one byte for what failed, and it means "no such record" where a record is asked
for. So it is used for what the database itself says, and for what there is not on a cluster; a
cluster that cannot be asked raises, and the client must not get that byte (`CLEAR_FAILURES` are the
commands for which it means nothing else).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from kt.cluster.commands import Failure, Steps, illogical, no_record
from kt.cluster.contract import Database
from kt.cluster.tyrant.functions import ADD, APPEND, FUNCTIONS, SET, Iterator, Store, synchronize
from kt.wire import tyrant_commands as codes
from kt.wire.magic import NEVER
from kt.wire.reading import Buffer, Incomplete, Reader
from kt.wire.tyrant_server import (
    AddDouble,
    AddInt,
    FwmKeys,
    Misc,
    PutShl,
    Record,
    pack_adddouble_reply,
    pack_addint_reply,
    pack_fwmkeys_reply,
    pack_get_reply,
    pack_iternext_reply,
    pack_mget_reply,
    pack_misc_reply,
    pack_rnum_reply,
    pack_size_reply,
    pack_stat_reply,
    pack_vsiz_reply,
)
from kt.wire.tyrant_server import read_request as read_value

EMPTY_LIST: Final = codes.OK_REPLY + bytes(4)
FAILED_LIST: Final = codes.FAILURE_REPLY + bytes(4)
INT_MIN: Final = -(2**31)
DOUBLE: Final = struct.Struct("<d")
"""As Tokyo Cabinet stores one, on the machines that people have."""

SINGLE: Final = frozenset(
    (
        *(codes.PUT, codes.PUTKEEP, codes.PUTCAT, codes.PUTNR, codes.OUT),
        *(codes.GET, codes.MGET, codes.VSIZ, codes.ADDINT),
    )
)
"""Commands that are one round of the engine's."""

CLEAR_FAILURES: Final = frozenset(
    (
        *(codes.PUT, codes.PUTCAT, codes.PUTSHL, codes.FWMKEYS),
        *(codes.SYNC, codes.OPTIMIZE, codes.VANISH),
    )
)
"""Commands of which the failure byte says that they failed, and nothing about a record."""


class Request(NamedTuple):
    """A request: the number of its command, and what `kt.wire.tyrant_server` reads of it."""

    code: int
    value: Any


def read_request(data: Buffer, pos: int) -> tuple[Request, int] | Incomplete[Request]:
    """A request of whatever command. Raises `ProtocolError` for what is none."""
    return _read_coded(read_value, data, pos)


def _read_coded(
    reader: Reader[Any], data: Buffer, pos: int
) -> tuple[Request, int] | Incomplete[Request]:
    found = reader(data, pos)
    if isinstance(found, Incomplete):
        return Incomplete(found.need, partial(_read_coded, found.resume))
    value, end = found
    return Request(data[pos + 1], value), end


def failure(code: int) -> bytes:
    """The reply to a command that failed."""
    if code in (codes.PUTNR, codes.REPL):
        return b""
    return FAILED_LIST if code in (codes.FWMKEYS, codes.MISC) else codes.FAILURE_REPLY


def masked(code: int) -> bytes:
    """The reply to a command that the server's mask forbids."""
    if code in (codes.MGET, codes.FWMKEYS, codes.MISC):
        return EMPTY_LIST
    return pack_rnum_reply(0) if code in (codes.RNUM, codes.SIZE) else failure(code)


class Session:
    """What a client has to itself: its place in the database.

    Args:
        database: the one there is.
        facts: what `stat` tells besides.
        refuses: the reply if the client may not have this carried out; None if it may.
    """

    def __init__(
        self,
        database: Database,
        facts: Callable[[], dict[str, object]] = dict,
        refuses: Callable[[Request], bytes | None] = lambda request: None,
    ) -> None:
        self.database = database
        self.iterator = Iterator(database)
        self._facts = facts
        self._refuses = refuses

    def is_single(self, request: Request) -> bool:
        return request.code in SINGLE

    def answer(self, request: Request) -> Steps[bytes]:
        """The reply; empty if there is none.

        Raises:
            KTError: the cluster does not say; `Failure` if it refuses.
        """
        if (refusal := self._refuses(request)) is not None:
            return refusal
        run = COMMANDS.get(request.code)
        if run is None:
            return failure(request.code)
        try:
            reply: bytes = yield from run(self, request.value)
        except Failure as error:
            if error.status == 500:
                raise
            return failure(request.code)
        return b"" if request.code == codes.PUTNR else reply

    def stat(self) -> Steps[bytes]:
        """The lines that `stat` answers."""
        status = yield from self.database.status()
        ordered = self.database.settings.ordered
        kind = "B+ tree" if ordered else "on-memory hash"  # as clients know it
        lines = self._facts() | {"type": kind, "path": status[b"path"].decode()}
        lines |= {"rnum": int(status[b"count"]), "size": int(status[b"size"])}
        others = ("layout", "masters", "ack", "buckets")
        lines |= {n: status[n.encode()].decode() for n in others if n.encode() in status}
        return "".join(f"{name}\t{value}\n" for name, value in lines.items()).encode()


# Commands: what each does to the database, and its reply

Command: TypeAlias = Callable[[Session, Any], Steps[bytes]]


def _store(store: Store, session: Session, record: Record) -> Steps[bytes]:
    yield from store(session.database, record.key, record.value, NEVER)
    return codes.OK_REPLY


def _putshl(session: Session, request: PutShl) -> Steps[bytes]:
    def shifted(value: bytes | None) -> bytes:
        if value is None:  # nothing is cut off then
            return request.value
        whole = value + request.value
        return whole[max(len(whole) - request.width, 0) :]

    yield from session.database.rewrite(request.key, shifted, NEVER)
    return codes.OK_REPLY


def _out(session: Session, key: bytes) -> Steps[bytes]:
    yield from session.database.remove(key)
    return codes.OK_REPLY


def _get(session: Session, key: bytes) -> Steps[bytes]:
    value, _ = yield from session.database.get(key)
    return pack_get_reply(value)


def _mget(session: Session, keys: list[bytes]) -> Steps[bytes]:
    found = yield from session.database.get_bulk(keys)
    return pack_mget_reply([(key, found[key][0]) for key in keys if key in found])


def _vsiz(session: Session, key: bytes) -> Steps[bytes]:
    size, _ = yield from session.database.check(key)
    return pack_vsiz_reply(size)


def _iterinit(session: Session, request: None) -> Steps[bytes]:
    yield from session.iterator.begin()
    return codes.OK_REPLY


def _iternext(session: Session, request: None) -> Steps[bytes]:
    key, _ = yield from session.iterator.next()
    return pack_iternext_reply(key)


def _fwmkeys(session: Session, request: FwmKeys) -> Steps[bytes]:
    keys = yield from session.database.match_prefix(request.prefix, max(request.maximum, -1))
    return pack_fwmkeys_reply(keys)


def _addint(session: Session, request: AddInt) -> Steps[bytes]:
    total = yield from session.database.add_int(request.key, request.n)
    return pack_addint_reply(None if total == INT_MIN else total)  # the library's own failure


def _adddouble(session: Session, request: AddDouble) -> Steps[bytes]:
    total = 0.0

    def added(value: bytes | None) -> bytes:
        nonlocal total
        if value is not None and len(value) != DOUBLE.size:
            raise illogical()
        before: float = 0.0 if value is None else DOUBLE.unpack(value)[0]
        total = before + request.n
        return DOUBLE.pack(total)

    yield from session.database.rewrite(request.key, added, NEVER)
    return pack_adddouble_reply(total)


def _sync(session: Session, request: None) -> Steps[bytes]:
    yield from synchronize(session.database)
    return codes.OK_REPLY


def _optimize(session: Session, parameters: bytes) -> Steps[bytes]:
    yield from session.database.vacuum()
    return codes.OK_REPLY


def _vanish(session: Session, request: None) -> Steps[bytes]:
    yield from session.database.clear()
    return codes.OK_REPLY


def _rnum(session: Session, request: None) -> Steps[bytes]:
    return pack_rnum_reply((yield from session.database.count()))


def _size(session: Session, request: None) -> Steps[bytes]:
    status = yield from session.database.status()
    return pack_size_reply(int(status[b"size"]))


def _stat(session: Session, request: None) -> Steps[bytes]:
    return pack_stat_reply((yield from session.stat()))


def _misc(session: Session, request: Misc) -> Steps[bytes]:
    function = FUNCTIONS.get(request.name)
    if function is None:
        raise no_record()
    items = yield from function(session.database, session.iterator, request.items)
    return pack_misc_reply(items)


COMMANDS: Final[dict[int, Command]] = {
    codes.PUT: partial(_store, SET),
    codes.PUTKEEP: partial(_store, ADD),
    codes.PUTCAT: partial(_store, APPEND),
    codes.PUTSHL: _putshl,
    codes.PUTNR: partial(_store, SET),
    codes.OUT: _out,
    codes.GET: _get,
    codes.MGET: _mget,
    codes.VSIZ: _vsiz,
    codes.ITERINIT: _iterinit,
    codes.ITERNEXT: _iternext,
    codes.FWMKEYS: _fwmkeys,
    codes.ADDINT: _addint,
    codes.ADDDOUBLE: _adddouble,
    codes.SYNC: _sync,
    codes.OPTIMIZE: _optimize,
    codes.VANISH: _vanish,
    codes.RNUM: _rnum,
    codes.SIZE: _size,
    codes.STAT: _stat,
    codes.MISC: _misc,
}
"""Those that there are on a cluster; others fail (``ext``, ``copy``, ``restore``, ``setmst``)."""
