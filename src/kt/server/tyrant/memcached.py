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
incr, decr KEY NUMBER [noreply]                 the number, which has a floor of 0; NOT_FOUND
stats                                           STAT NAME VALUE ... END
flush_all [DELAY] [noreply]                     OK
version                                         VERSION 1.1.41
quit                                            none: the end
==============================================  ==================================================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from kt.server.engines.tokyo._engine import Event
from kt.server.tyrant.options import Command
from kt.server.tyrant.status import GET_MISSES, OUT_MISSES, PUT_MISSES, TYRANT_VERSION, stats
from kt.wire.http import parse_number
from kt.wire.magic import SIZE_MAX
from kt.wire.tyrant_text import read_data

if TYPE_CHECKING:
    from kt.server.tyrant.server import TyrantServer
    from kt.server.tyrant.session import TyrantConnection

STORED: Final = b"STORED\r\n"
NOT_STORED: Final = b"NOT_STORED\r\n"
NOT_FOUND: Final = b"NOT_FOUND\r\n"
TOO_FEW: Final = b"CLIENT_ERROR error\r\n"
FORBIDDEN: Final = b"CLIENT_ERROR forbidden\r\n"
FAILED: Final = b"SERVER_ERROR unexpected\r\n"
END: Final = b"END\r\n"
INT64_MAX: Final = 2**63 - 1


# Commands with data. None: there is a record that should not be, or none that should.


def store(server: TyrantServer, key: bytes, data: bytes) -> bool | None:
    return server.database.put(key, data)


def add(server: TyrantServer, key: bytes, data: bytes) -> bool | None:
    return server.database.putkeep(key, data) or None


def replace(server: TyrantServer, key: bytes, data: bytes) -> bool | None:
    with server.locks.record(key):
        exists = server.database.vsiz(key) is not None
        return server.database.put(key, data) if exists else None


def append(server: TyrantServer, key: bytes, data: bytes) -> bool | None:
    with server.locks.record(key):
        exists = server.database.vsiz(key) is not None
        return server.database.putcat(key, data) if exists else None


def prepend(server: TyrantServer, key: bytes, data: bytes) -> bool | None:
    with server.locks.record(key):
        old = server.database.get(key)
        return None if old is None else server.database.put(key, data + old)


class Storing(NamedTuple):
    """A command with data: what it does, and what it counts as and is forbidden as."""

    store: Callable[[TyrantServer, bytes, bytes], bool | None]
    command: Command


STORING: Final = {
    b"set": Storing(store, Command.PUT),
    b"add": Storing(add, Command.PUTKEEP),
    b"replace": Storing(replace, Command.PUT),
    b"append": Storing(append, Command.PUT),
    b"prepend": Storing(prepend, Command.PUT),
}


def _begin_storing(connection: TyrantConnection, storing: Storing, words: list[bytes]) -> None:
    connection.server.core.count(storing.command)
    size = max(parse_number(words[4]), 0)
    if size > SIZE_MAX:
        connection.close()
        return
    quiet = words[5:6] == [b"noreply"]
    finish = partial(_finish_storing, connection, storing, words[1], quiet)
    connection.read(partial(read_data, size), finish)


def _finish_storing(
    connection: TyrantConnection, storing: Storing, key: bytes, quiet: bool, data: bytes | None
) -> None:
    server = connection.server
    if data is None:
        server.note(storing.command, Event.INVALID)
        connection.part()
    else:
        _answer(connection, storing.command, quiet, partial(_store, server, storing, key, data))


def _store(server: TyrantServer, storing: Storing, key: bytes, data: bytes) -> bytes:
    stored = storing.store(server, key, data)
    if stored:
        return STORED
    server.core.count(PUT_MISSES)
    if stored is None:
        return NOT_STORED
    server.note(storing.command, Event.FAILED)
    return FAILED


# The other commands


def get(connection: TyrantConnection, words: list[bytes]) -> None:
    server = connection.server
    server.core.count(Command.GET, len(words) - 1)
    if _is_forbidden(server, Command.GET, Command.ALLREAD):
        server.core.count(GET_MISSES, len(words) - 1)
        connection.write(END)
    else:
        connection.run(partial(_get, server, words[1:]))


def _get(server: TyrantServer, keys: list[bytes]) -> bytes:
    found = []
    for key in keys:
        value = server.database.get(key)
        if value is None:
            server.core.count(GET_MISSES)
        else:
            found.append(b"VALUE %b 0 %d\r\n%b\r\n" % (key, len(value), value))
    return b"".join([*found, END])


def delete(connection: TyrantConnection, words: list[bytes]) -> None:
    server = connection.server
    server.core.count(Command.OUT)
    quiet = b"noreply" in words[2:4]
    _answer(connection, Command.OUT, quiet, partial(_delete, server, words[1]))


def _delete(server: TyrantServer, key: bytes) -> bytes:
    if server.database.out(key):
        return b"DELETED\r\n"
    server.core.count(OUT_MISSES)
    return NOT_FOUND


def incr(connection: TyrantConnection, words: list[bytes]) -> None:
    _add(connection, words, parse_number(words[2]))


def decr(connection: TyrantConnection, words: list[bytes]) -> None:
    _add(connection, words, -parse_number(words[2]))


def _add(connection: TyrantConnection, words: list[bytes], number: int) -> None:
    server = connection.server
    server.core.count(Command.ADDINT)
    quiet = words[3:4] == [b"noreply"]
    _answer(connection, Command.ADDINT, quiet, partial(_added, server, words[1], number))


def _added(server: TyrantServer, key: bytes, number: int) -> bytes:
    with server.locks.record(key):
        old = server.database.get(key)
        if old is None:
            return NOT_FOUND
        total = b"%d" % min(max(parse_number(old) + number, 0), INT64_MAX)
        if server.database.put(key, total):
            return total + b"\r\n"
    server.note(Command.ADDINT, Event.FAILED)
    return FAILED


def send_stats(connection: TyrantConnection, words: list[bytes]) -> None:
    server = connection.server
    server.core.count(Command.STAT)
    if _is_forbidden(server, Command.STAT, Command.ALLREAD):
        connection.write(FORBIDDEN)
    else:
        connection.run(lambda: stats(server) + END)


def flush_all(connection: TyrantConnection, words: list[bytes]) -> None:
    server = connection.server
    server.core.count(Command.VANISH)
    server.note(Command.VANISH, Event.DOING)
    quiet = b"noreply" in words[1:3]
    _answer(connection, Command.VANISH, quiet, partial(_flush_all, server), slow=True)


def _flush_all(server: TyrantServer) -> bytes:
    if server.database.vanish():
        return b"OK\r\n"
    server.note(Command.VANISH, Event.FAILED)
    return FAILED


def version(connection: TyrantConnection, words: list[bytes]) -> None:
    server = connection.server
    server.core.count(Command.STAT)
    forbidden = _is_forbidden(server, Command.STAT, Command.ALLREAD)
    connection.write(FORBIDDEN if forbidden else f"VERSION {TYRANT_VERSION}\r\n".encode())


def close(connection: TyrantConnection, words: list[bytes]) -> None:
    connection.part()


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


def serve_memcached(connection: TyrantConnection, words: list[bytes]) -> None:
    """Serve the line with these words; a line that is no command ends the connection."""
    name = words[0] if words else b""
    if name in STORING:
        if len(words) >= 5:
            _begin_storing(connection, STORING[name], words)
            return
    elif name in OTHERS:
        serve, least = OTHERS[name]
        if len(words) >= least:
            serve(connection, words)
            return
    else:
        connection.part()
        return
    connection.write(TOO_FEW)
    connection.part()


def _is_forbidden(server: TyrantServer, command: Command, group: Command) -> bool:
    forbidden = server.forbids(command, group, Command.ALLMC)
    if forbidden:
        server.note(command, Event.FORBIDDEN)
    return forbidden


def _answer(
    connection: TyrantConnection,
    command: Command,
    quiet: bool,
    work: Callable[[], bytes],
    *,
    slow: bool = False,
) -> None:
    """Do and answer what changes the database, if the mask allows it."""
    if _is_forbidden(connection.server, command, Command.ALLWRITE):
        connection.write(b"" if quiet else FORBIDDEN)
    elif quiet:
        connection.run(lambda: work()[:0], slow=slow)
    else:
        connection.run(work, slow=slow)
