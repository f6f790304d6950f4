"""The verbs `repl` and, for lines of ktremotemgr, `slave`: a log in the originals' words.

One connection that shows the log as a slave sees it: what a lost connection or a gap in the log
means is for whoever reads on. `kt changes` (`following`) is the other way.

======================  ===========================================================================
Kyoto Tycoon            stamp (ns), server, database, what was done; key, stored value in base64
Tokyo Tyrant, as text   stamp (us), server:master, command; the request in hexadecimal
Tokyo Tyrant, as bytes  records of an update log, which tcrmgr restore and kt log read
======================  ===========================================================================
"""

from __future__ import annotations

import sys
from base64 import b64encode
from contextlib import closing
from typing import Final

import click

from kt.cli.commands import Call, flag, option, since, stamp, verb, word
from kt.cli.faults import Usage
from kt.client.changes import SILENCE
from kt.client.tyrant.changes import NOBODY
from kt.errors import ServerConnectionError, ServerError
from kt.net.streams.blocking import Stream
from kt.types import What
from kt.wire import tycoon as tycoon_wire
from kt.wire import tyrant as tyrant_wire
from kt.wire import tyrant_commands as commands
from kt.wire.log import tycoon, tyrant

NAMES: Final = {
    getattr(commands, name.upper()): name
    for name in (
        *("put", "putkeep", "putcat", "putshl", "putnr", "out", "addint", "adddouble"),
        *("sync", "optimize", "vanish", "misc"),
    )
}
"""What commands that change a database are called."""


def tycoon_line(stamp: int, message: bytes) -> bytes:
    """Return a message of Kyoto Tycoon's log as ktremotemgr shows it."""
    change = tycoon.decode_message(tycoon.Record(stamp, message), persistent=True)
    fields = [b"%d" % stamp, b"%d" % change.sid, b"%d" % change.db]
    if change.what is What.OTHER:
        return b"\t".join([*fields, b"unknown", b64encode(message[4:])])
    parts = (part for part in (change.key, change.value) if part is not None)
    return b"\t".join([*fields, change.what.value.encode(), *map(b64encode, parts)])


def tyrant_line(update: tyrant_wire.Update, master: int) -> bytes:
    """Return a message of Tokyo Tyrant's log as tcrmgr shows it."""
    name = NAMES.get(update.request[1], "(unknown)") if len(update.request) > 1 else "(broken)"
    hexadecimal = update.request.hex(" ").upper()
    return f"{update.since}\t{update.server}:{master}\t{name}\t{hexadecimal}".encode()


def follow_tycoon(
    call: Call, since: int, sid: int, only: bool, wait: bool, number: int | None
) -> None:
    """Write what Kyoto Tycoon logs; `wait` for more where there is no more yet."""
    stream = Stream.open(call.target.tycoon._pool.followed(), call.given_timeout)
    with closing(stream):
        flags = tycoon.ONLY_SERVER if only else 0
        stream.send(tycoon_wire.pack_replication(since, sid, flags))
        accepted = stream.receive(tycoon_wire.read_replication_reply, call.given_timeout)
        if isinstance(accepted, ServerError):
            raise ServerError("the server keeps no update log, or cannot read it")
        while number is None or number > 0:
            update = stream.receive(tycoon_wire.read_update, call.given_timeout or SILENCE)
            if update.message:
                _write(tycoon_line(update.stamp, update.message) + call.out.end)
                number = None if number is None else number - 1
            elif update.message is None:
                if not wait:
                    return
                stream.send(tycoon.ACKNOWLEDGEMENT)


def follow_tyrant(call: Call, since: int, sid: int, text: bool, number: int | None) -> None:
    """Write what Tokyo Tyrant logs."""
    stream = Stream.open(call.target.tyrant._pool.followed(), call.given_timeout)
    with closing(stream):
        stream.send(tyrant_wire.pack_repl(max(since, 1), sid or NOBODY))
        master, update = _greeted(call, stream)
        while True:
            if update is not None:
                record = tyrant.Record(update.since, update.server, master, update.request)
                line = tyrant_line(update, master) + call.out.end
                _write(line if text else tyrant.pack_record(record))
                number = None if number is None else number - 1
            if number == 0:
                return
            update = stream.receive(tyrant_wire.read_update, call.given_timeout or SILENCE)


def _greeted(call: Call, stream: Stream) -> tuple[int, tyrant_wire.Update | None]:
    """The master's id and its first message; a server that sends no log just hangs up."""
    try:
        master = stream.receive(tyrant_wire.read_repl_reply, call.given_timeout)
        return master, stream.receive(tyrant_wire.read_update, call.given_timeout)
    except ServerConnectionError as error:
        call.target.client.ping()  # or it is of the other kind, which this finds out
        text = "the server keeps no update log, has no id (-sid), or forbids this (-mask repl)"
        raise ServerError(text) from error


def _write(data: bytes) -> None:
    """Hand on at once what somebody waits for."""
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def _no_json(call: Call) -> None:
    if call.out.as_json:
        raise Usage("kt changes gives JSON")


@verb(
    word("server", required=False, shown="[HOST]"),
    since(),
    option("sid", "-sid", "--as-sid", type=int, default=0, help="Leave out what this server did."),
    flag("ph", "-ph", "--text", help="Tokyo Tyrant: lines of text, as on a terminal."),
    option("number", "-n", "--count", type=click.IntRange(1), help="End after so many changes."),
)
def do_repl(
    call: Call, server: str | None, ts: str | None, sid: int, ph: bool, number: int | None
) -> None:
    """Follow a server's log as a slave sees it, from its begin on, until Ctrl-C or --count.

    Kyoto Tycoon: stamp, server, database, what was done, and key and value in base64. Tokyo Tyrant:
    stamp, server and master, command, and the request in hexadecimal; where standard output is no
    terminal, records of an update log instead, unless -ph is given. kt changes is JSON, and makes
    lost connections again.
    """
    if server is not None:
        call.at_host(server)
    _no_json(call)
    if call.target.kind == "tyrant":
        text = ph or sys.stdout.isatty()
        follow_tyrant(call, stamp(ts, tyrant.NANOSECONDS), sid, text, number)
    else:
        follow_tycoon(call, stamp(ts, 1), sid, False, True, number)


@verb(
    since(),
    option("sid", "-sid", type=int, default=0, help="Leave out what this server did."),
    flag("ux", "-ux", help="Only what this server did."),
    flag("uw", "-uw", help="Wait for more."),
    flag("uf", "-uf", help="List the files of the log: path, size, newest stamp."),
    flag("ur", "-ur", help="Remove the files of the log up to -ts, or all."),
    patient=True,
)
def do_slave(call: Call, ts: str | None, sid: int, ux: bool, uw: bool, uf: bool, ur: bool) -> None:
    """Show what a Kyoto Tycoon logged: stamp, server, database, what, key and value in base64."""
    _no_json(call)
    since = stamp(ts, 1)
    if ur:
        call.target.tycoon.ulog_remove(since or None)
    elif uf:
        for file in call.target.tycoon.ulog_list():
            call.out.line(file.path, file.size, file.timestamp)
    else:
        follow_tycoon(call, since, sid, ux, uw, None)
