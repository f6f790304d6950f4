"""memcached's text commands on a Tokyo Cabinet database.

Flags and expiry are taken and dropped. A command with too few words, or data that does not end
where it should, ends the connection unless something has come behind it. ``noreply`` holds back
every answer but ``CLIENT_ERROR error``.

==============================================  ==================================================
command                                         answer
==============================================  ==================================================
set, add, replace, append, prepend              STORED, NOT_STORED
    KEY FLAGS EXPIRY SIZE [noreply], data
get, gets KEY ...                               VALUE KEY 0 SIZE, data, ... END
delete KEY [TIME] [noreply]                     DELETED, NOT_FOUND
incr, decr KEY NUMBER [noreply]                 the number, NOT_FOUND; the sum wraps around at 64
                                                bits, signed, and has a floor of 0
stats                                           STAT NAME VALUE ... END
flush_all [DELAY] [noreply]                     OK
version                                         VERSION 1.1.41
quit                                            none: the end
==============================================  ==================================================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from kt.server.engines import LargeValue
from kt.server.engines.tokyo._engine import Event, hurried
from kt.server.tyrant.answering import LARGE_VALUE, Answering, Pieces
from kt.server.tyrant.options import Command
from kt.server.tyrant.service import TyrantService
from kt.server.tyrant.status import GET_MISSES, OUT_MISSES, PUT_MISSES, stats
from kt.wire.http import parse_number
from kt.wire.magic import SIZE_MAX
from kt.wire.memcached import (
    DELETED,
    END,
    NOT_FOUND,
    NOT_STORED,
    OK,
    STORED,
    added_up,
    client_error,
    read_data,
    server_error,
    value_head,
)
from kt.wire.tyrant_commands import TYRANT_VERSION

TOO_FEW: Final = client_error(b"error")
FORBIDDEN: Final = client_error(b"forbidden")
FAILED: Final = server_error(b"unexpected")


# Commands with data. None: there is a record that should not be, or none that should.


def store(service: TyrantService, key: bytes, data: bytes) -> bool | None:
    return service.database.put(key, data)


def add(service: TyrantService, key: bytes, data: bytes) -> bool | None:
    return service.database.putkeep(key, data) or None


def replace(service: TyrantService, key: bytes, data: bytes) -> bool | None:
    with service.locks.record(key):
        exists = service.database.vsiz(key) is not None
        return service.database.put(key, data) if exists else None


def append(service: TyrantService, key: bytes, data: bytes) -> bool | None:
    with service.locks.record(key):
        exists = service.database.vsiz(key) is not None
        return service.database.putcat(key, data) if exists else None


def prepend(service: TyrantService, key: bytes, data: bytes) -> bool | None:
    with service.locks.record(key):
        old = service.database.get(key)
        return None if old is None else service.database.put(key, data + old)


class Storing(NamedTuple):
    """A command with data: what it does, and what it counts as and is forbidden as."""

    store: Callable[[TyrantService, bytes, bytes], bool | None]
    command: Command


STORING: Final = {
    b"set": Storing(store, Command.PUT),
    b"add": Storing(add, Command.PUTKEEP),
    b"replace": Storing(replace, Command.PUT),
    b"append": Storing(append, Command.PUT),
    b"prepend": Storing(prepend, Command.PUT),
}


def _begin_storing(session: Answering, storing: Storing, words: list[bytes]) -> None:
    session.service.core.count(storing.command)
    size = max(parse_number(words[4]), 0)
    if size > SIZE_MAX:
        session.close()
        return
    quiet = words[5:6] == [b"noreply"]
    finish = partial(_finish_storing, session, storing, words[1], quiet)
    session.read(partial(read_data, size), finish)


def _finish_storing(
    session: Answering, storing: Storing, key: bytes, quiet: bool, data: bytes | None
) -> None:
    service = session.service
    if data is None:
        service.note(storing.command, Event.INVALID)
        session.part()
    else:
        work = partial(_store, service, storing, key, data)
        _answer(session, storing.command, quiet, work, slow=len(data) > LARGE_VALUE)


def _store(service: TyrantService, storing: Storing, key: bytes, data: bytes) -> bytes:
    stored = storing.store(service, key, data)
    if stored:
        return STORED
    service.core.count(PUT_MISSES)
    if stored is None:
        return NOT_STORED
    service.note(storing.command, Event.FAILED)
    return FAILED


# The other commands


def get(session: Answering, words: list[bytes]) -> None:
    service = session.service
    service.core.count(Command.GET, len(words) - 1)
    if _is_forbidden(session, Command.GET, Command.ALLREAD):
        service.core.count(GET_MISSES, len(words) - 1)
        session.write(END)
    else:
        session.run(partial(_get, service, words[1:]))


def _get(service: TyrantService, keys: list[bytes]) -> Pieces:
    pieces = []
    size = misses = 0
    for key in keys:
        value = service.database.get(key)
        if value is None:
            misses += 1
        else:
            size += len(value)
            if size > LARGE_VALUE and hurried():
                raise LargeValue("the values are too large for a thread in a hurry")
            pieces += [value_head(key, 0, len(value)), value, b"\r\n"]
    pieces.append(END)
    service.core.count(GET_MISSES, misses)
    return pieces if size > LARGE_VALUE else b"".join(pieces)


def delete(session: Answering, words: list[bytes]) -> None:
    service = session.service
    service.core.count(Command.OUT)
    quiet = b"noreply" in words[2:4]
    _answer(session, Command.OUT, quiet, partial(_delete, service, words[1]))


def _delete(service: TyrantService, key: bytes) -> bytes:
    if service.database.out(key):
        return DELETED
    service.core.count(OUT_MISSES)
    return NOT_FOUND


def incr(session: Answering, words: list[bytes]) -> None:
    _add(session, words, parse_number(words[2]))


def decr(session: Answering, words: list[bytes]) -> None:
    _add(session, words, -parse_number(words[2]))


def _add(session: Answering, words: list[bytes], number: int) -> None:
    service = session.service
    service.core.count(Command.ADDINT)
    quiet = words[3:4] == [b"noreply"]
    _answer(session, Command.ADDINT, quiet, partial(_added, service, words[1], number))


def _added(service: TyrantService, key: bytes, number: int) -> bytes:
    with service.locks.record(key):
        old = service.database.get(key)
        if old is None:
            return NOT_FOUND
        total = b"%d" % added_up(parse_number(old), number)
        if service.database.put(key, total):
            return total + b"\r\n"
    service.note(Command.ADDINT, Event.FAILED)
    return FAILED


def send_stats(session: Answering, words: list[bytes]) -> None:
    service = session.service
    service.core.count(Command.STAT)
    if _is_forbidden(session, Command.STAT, Command.ALLREAD):
        session.write(FORBIDDEN)
    else:
        session.run(lambda: stats(service) + END)


def flush_all(session: Answering, words: list[bytes]) -> None:
    service = session.service
    service.core.count(Command.VANISH)
    service.note(Command.VANISH, Event.DOING)
    quiet = b"noreply" in words[1:3]
    _answer(session, Command.VANISH, quiet, partial(_flush_all, service), slow=True)


def _flush_all(service: TyrantService) -> bytes:
    if service.database.vanish():
        return OK
    service.note(Command.VANISH, Event.FAILED)
    return FAILED


def version(session: Answering, words: list[bytes]) -> None:
    service = session.service
    service.core.count(Command.STAT)
    forbidden = _is_forbidden(session, Command.STAT, Command.ALLREAD)
    session.write(FORBIDDEN if forbidden else f"VERSION {TYRANT_VERSION}\r\n".encode())


def close(session: Answering, words: list[bytes]) -> None:
    session.part()


OTHERS: Final = {
    b"get": (get, 2),
    b"gets": (get, 2),
    b"delete": (delete, 2),
    b"incr": (incr, 3),
    b"decr": (decr, 3),
    b"stats": (send_stats, 1),
    b"flush_all": (flush_all, 1),
    b"version": (version, 1),
    b"quit": (close, 1),
}
"""By name, the commands without data: what to do, and the least number of words."""

MEMCACHED: Final = STORING.keys() | OTHERS.keys()


def serve_memcached(session: Answering, words: list[bytes]) -> None:
    """Serve the line with these words; a line that is no command ends the connection."""
    name = words[0] if words else b""
    if name in STORING:
        if len(words) >= 5:
            _begin_storing(session, STORING[name], words)
            return
    elif name in OTHERS:
        serve, least = OTHERS[name]
        if len(words) >= least:
            serve(session, words)
            return
    else:
        session.part()
        return
    session.write(TOO_FEW)
    session.part()


def _is_forbidden(session: Answering, command: Command, group: Command) -> bool:
    forbidden = session.forbids(command, group, Command.ALLMC)
    if forbidden:
        session.service.note(command, Event.FORBIDDEN)
    return forbidden


def _answer(
    session: Answering,
    command: Command,
    quiet: bool,
    work: Callable[[], bytes],
    *,
    slow: bool = False,
) -> None:
    """Do and answer what changes the database, if the mask allows it."""
    if _is_forbidden(session, command, Command.ALLWRITE):
        session.write(b"" if quiet else FORBIDDEN)
    elif quiet:
        session.run(lambda: work()[:0], slow=slow)
    else:
        session.run(work, slow=slow)
