"""Verbs on a server, or on a whole database."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kt.cli.commands import Call, data, flag, hex_in, hex_out, option, unhex, verb, word
from kt.cli.faults import Usage

if TYPE_CHECKING:
    from kt.options import Moment


@verb()
def do_ping(call: Call) -> None:
    """Ask a server for a sign of life."""
    call.target.client.ping()
    if call.out.as_json:
        call.out.object({"ping": True})
    else:
        call.out.raw(b"pong" + call.out.end)


@verb()
def do_report(call: Call) -> None:
    """Show what the server tells about itself."""
    target = call.target
    if call.out.as_json:
        db = target.client
        call.out.measures(db.status() if target.kind == "tyrant" else target.tycoon.report())
    elif target.kind == "tyrant":
        call.out.measures(target.tyrant.stat())
    else:
        call.out.measures(dict(sorted(target.tycoon.rpc("report").items())))


def status_of(call: Call) -> dict[str, bytes | str]:
    """What a server tells about a database, in its words."""
    target = call.target
    if target.kind == "tyrant":
        return dict(target.tyrant.stat())
    columns = {"DB": str(target.tycoon.default_db)}
    return dict(sorted(target.tycoon.rpc("status", columns).items()))


@verb()
def do_status(call: Call) -> None:
    """Show what the server tells about a database."""
    if call.out.as_json:
        call.out.measures(call.target.client.status())
    else:
        call.out.measures(status_of(call))


@verb(
    word("server", required=False, shown="[HOST]"),
    flag("st", "-st", help="Show everything that the server tells."),
)
def do_inform(call: Call, server: str | None, st: bool) -> None:
    """Show how many records a database has, and its size."""
    if server is not None:
        from kt.cli.tyrant import inform

        call.at_host(server)
        inform(call, st)
        return
    status = status_of(call)
    if call.target.kind == "tyrant":
        status = {"count": status["rnum"], "size": status["size"], **status}
    call.out.measures(status if st else {name: status[name] for name in ("count", "size")})


@verb(
    flag("yes", "-y", "--yes", help="Do not ask."),
    patient=True,
)
def do_clear(call: Call, yes: bool) -> None:
    """Remove all records of a database."""
    if call.session.interactive and not yes:
        import click

        click.confirm(f"Remove all records of {call.target.url}?", abort=True)
    call.target.client.clear()


@verb(
    word("server", required=False, shown="[HOST]"),
    flag("hard", "-hard", "--hard", help="Wait until the device has it."),
    option("command", "-cmd", "--command", help="Program of the server to run on the file."),
    patient=True,
)
def do_sync(call: Call, server: str | None, hard: bool, command: str | None) -> None:
    """Write what a database has in memory to its file."""
    if server is not None:
        call.at_host(server)
    if call.target.kind == "tycoon":
        call.target.tycoon.synchronize(hard=hard, command=command)
    elif command is not None:
        raise Usage("Tokyo Tyrant runs no command")
    else:
        call.target.tyrant.synchronize()


@verb(
    option("step", "-step", "--step", type=int, default=0, help="Look at so many records."),
    patient=True,
)
def do_vacuum(call: Call, step: int) -> None:
    """Remove expired records, and give back space (Tokyo Tyrant: close gaps in the file)."""
    if call.target.kind == "tycoon":
        call.target.tycoon.vacuum(step=step)
    else:
        call.target.tyrant.defragment(step or None)


@verb(
    word("name"),
    data("words", many=True, required=False, shown="[KEY VALUE]..."),
    hex_in(),
    hex_out(),
    flag("binary", "-bin", hidden=True),
    patient=True,
)
def do_script(call: Call, name: str, words: tuple[bytes, ...], sx: bool, binary: bool) -> None:
    """Call a Lua function of the server.

    Kyoto Tycoon takes names and values in turn and returns such pairs; Tokyo Tyrant takes a key and
    a value and returns one value.
    """
    given = [unhex(each, sx) for each in words]
    if call.target.kind == "tyrant":
        if len(given) > 2:
            raise Usage("a function of Tokyo Tyrant takes a key and a value")
        key, value = (*given, b"", b"")[:2]
        found = call.target.tyrant.script(name, key, value)
        call.out.line(found or b"")
        return
    if len(given) % 2:
        raise Usage("the last name has no value")
    result = call.target.tycoon.script(name, dict(zip(given[::2], given[1::2], strict=True)))
    if call.out.as_json:
        call.out.object({os.fsdecode(key): value for key, value in result.items()})
        return
    for key in sorted(result):
        call.out.line(key, result[key])


@verb(
    word("master", required=False, shown="[HOST]"),
    option("mport", "-mport", "--master-port", type=int, help="Port of the master."),
    option("ts", "-ts", help="Take updates after this: nanoseconds, or 'now'."),
    option("interval", "-iv", "--interval", type=float, help="Milliseconds between requests."),
)
def do_tunerepl(
    call: Call, master: str | None, mport: int | None, ts: str | None, interval: float | None
) -> None:
    """Make the server the slave of HOST; without HOST, end its replication."""
    call.target.tycoon.tune_replication(master, mport, ts=_moment(ts), interval=interval)


def _moment(ts: str | None) -> int | Moment | None:
    from kt.options import Moment

    if ts is not None and ts != "now" and not ts.isdecimal():
        raise Usage("-ts is a number of nanoseconds, or now")
    return Moment.NOW if ts == "now" else None if ts is None else int(ts)


@verb(
    word("master", shown="HOST"),
    option("mport", "-mport", "--master-port", type=int, help="Port of the master."),
    option("ts", "-ts", help="Take updates after this: nanoseconds, or 'now'."),
    flag("writable", "--writable", help="It goes on taking writes of others."),
)
def do_slave(call: Call, master: str, mport: int | None, ts: str | None, writable: bool) -> None:
    """Make the server a slave of HOST, which takes no writes of others."""
    call.target.tycoon.tune_replication(master, mport, ts=_moment(ts), read_only=not writable)


@verb()
def do_promote(call: Call) -> None:
    """End following, and take writes; shows up to which time stamp (ns) the master's are there."""
    stamp = call.target.tycoon.promote()
    if call.out.as_json:
        call.out.object({"ts": stamp})
    else:
        call.out.line(b"%d" % stamp)
