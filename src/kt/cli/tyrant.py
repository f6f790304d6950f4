"""Verbs of tcrmgr, for Tokyo Tyrant. Their first word is the host, unless a URL is given."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from kt.cli.commands import Call, flag, hex_in, hex_out, option, since, stamp, unhex, verb, word
from kt.cli.faults import No, Usage

if TYPE_CHECKING:
    from kt.cli.target import Tyrant

SEPARATOR = option("sep", "-sep", "--separator", help="Stands for NUL, between columns of rows.")
PUT_MODES = ("dk", "dc", "dai", "dad")


def _words(shown: str) -> click.Argument:
    return word("words", many=True, required=False, shown=f"[HOST] {shown}")


def _taken(call: Call, words: tuple[str, ...], least: int, most: int | None) -> list[str]:
    """The words of a line without its host."""
    rest = call.without_host(words)
    if len(rest) < least or (most is not None and len(rest) > most):
        raise Usage("this is not how many words the verb takes")
    return rest


def _given(text: str, sx: bool, sep: str | None) -> bytes:
    data = unhex(os.fsencode(text), sx)
    return data if sep is None or sx else data.replace(_character(sep), b"\0")


def _character(sep: str) -> bytes:
    if sep == "\\t":
        return b"\t"
    return os.fsencode(sep[:1])


def _show_rows_with(call: Call, sep: str | None) -> None:
    if sep is not None:
        call.out.separator = _character(sep)


@verb(
    _words("KEY VALUE"),
    hex_in(),
    SEPARATOR,
    flag("dk", "-dk", help="Only if there is no record."),
    flag("dc", "-dc", help="Append to the record."),
    flag("dai", "-dai", help="Add VALUE to an integer."),
    flag("dad", "-dad", help="Add VALUE to a real number."),
    option("ds", "-ds", type=int, help="Append, and keep so many bytes from the end."),
    kind="tyrant",
)
def do_put(
    call: Call,
    words: tuple[str, ...],
    sx: bool,
    sep: str | None,
    ds: int | None,
    **modes: bool,
) -> None:
    """Store a record."""
    key, value = (_given(each, sx, sep) for each in _taken(call, words, 2, 2))
    db = call.target.tyrant
    mode = next((mode for mode in PUT_MODES if modes[mode]), None)
    if mode in ("dai", "dad"):
        _add(call, db, key, value, mode == "dad")
    elif mode == "dk":
        if not db.add(key, value):
            raise No("there is such a record")
    elif mode == "dc":
        db.append(key, value)
    elif ds is not None:
        db.addshl(key, value, ds)
    else:
        db.set(key, value)


def _add(call: Call, db: Tyrant, key: bytes, value: bytes, real: bool) -> None:
    try:
        if real:
            call.out.number(f"{db.incr_double(key, float(value)):.6f}")
        else:
            call.out.number(db.incr(key, int(value)))
    except ValueError as error:
        raise Usage(str(error)) from None


@verb(_words("KEY"), hex_in(), SEPARATOR, kind="tyrant")
def do_out(call: Call, words: tuple[str, ...], sx: bool, sep: str | None) -> None:
    """Remove a record."""
    (key,) = _taken(call, words, 1, 1)
    if not call.target.tyrant.remove(_given(key, sx, sep)):
        raise No("there is no such record")


@verb(
    _words("KEY"),
    hex_in(),
    hex_out(),
    SEPARATOR,
    flag("pz", "-pz", help="Write the value and nothing after it."),
    kind="tyrant",
)
def do_get(call: Call, words: tuple[str, ...], sx: bool, sep: str | None, pz: bool) -> None:
    """Write the value of KEY to standard output."""
    (key,) = _taken(call, words, 1, 1)
    value = call.target.tyrant.get(_given(key, sx, sep))
    if value is None:
        raise No("there is no such record")
    _show_rows_with(call, sep)
    call.out.raw(call.out.shown(value) + (b"" if pz else call.out.end))


@verb(_words("KEY..."), hex_in(), hex_out(), SEPARATOR, kind="tyrant")
def do_mget(call: Call, words: tuple[str, ...], sx: bool, sep: str | None) -> None:
    """Write those of the records that there are."""
    keys = [_given(each, sx, sep) for each in _taken(call, words, 0, None)]
    _show_rows_with(call, sep)
    for key, value in call.target.tyrant.get_bulk(keys).items():
        call.out.record(key, value)


@verb(
    _words(""),
    SEPARATOR,
    hex_out(),
    option("m", "-m", type=int, help="At most so many."),
    flag("pv", "-pv", help="Show the values."),
    option("fm", "-fm", help="Only keys that begin so."),
    kind="tyrant",
    patient=True,
)
def do_list(
    call: Call, words: tuple[str, ...], sep: str | None, m: int | None, pv: bool, fm: str | None
) -> None:
    """List keys."""
    _taken(call, words, 0, 0)
    _show_rows_with(call, sep)
    db = call.target.tyrant
    limit = None if m is None or m < 0 else m
    if pv and fm is None:
        for key, value in islice(db.items(), limit):
            call.out.record(key, value)
        return
    keys: Iterable[bytes] = db if fm is None else db.match_prefix(os.fsencode(fm), limit)
    for key in islice(keys, limit):
        call.out.record(key, db.get(key) if pv else None)


@verb(
    _words("FUNCTION [KEY [VALUE]]"),
    hex_in(),
    hex_out(),
    SEPARATOR,
    flag("xlr", "-xlr", help="Lock the record."),
    flag("xlg", "-xlg", help="Lock everything."),
    flag("pz", "-pz", help="Write the result and nothing after it."),
    kind="tyrant",
    patient=True,
)
def do_ext(
    call: Call, words: tuple[str, ...], sx: bool, sep: str | None, xlr: bool, xlg: bool, pz: bool
) -> None:
    """Call a Lua function of the server."""
    from kt.options import ScriptLock

    name, *rest = _taken(call, words, 1, 3)
    key, value = (*(_given(each, sx, sep) for each in rest), b"", b"")[:2]
    lock = ScriptLock.GLOBAL if xlg else ScriptLock.RECORD if xlr else ScriptLock.NONE
    result = call.target.tyrant.script(name, key, value, lock=lock)
    _show_rows_with(call, sep)
    call.out.raw(call.out.shown(result) + (b"" if pz else call.out.end))


@verb(
    _words("FUNCTION [ARGUMENT]..."),
    hex_in(),
    hex_out(),
    SEPARATOR,
    flag("mnu", "-mnu", help="Leave the update log as it is."),
    kind="tyrant",
    patient=True,
)
def do_misc(call: Call, words: tuple[str, ...], sx: bool, sep: str | None, mnu: bool) -> None:
    """Call one of the database's own functions."""
    name, *rest = _taken(call, words, 1, None)
    arguments = [_given(each, sx, sep) for each in rest]
    result = call.target.tyrant.misc(name, arguments, update_log=not mnu)
    if result is False:
        raise No(f"{name} found nothing, or failed")
    _show_rows_with(call, sep)
    if isinstance(result, dict):
        result = [each for pair in result.items() for each in pair]
    elif not isinstance(result, list):
        result = [] if result is True else [result]
    for each in result:
        call.out.line(each)


def inform(call: Call, st: bool) -> None:
    """Show records and size as tcrmgr does."""
    db = call.target.tyrant
    if call.out.as_json:
        call.out.measures(db.status())
    elif st:
        for name, value in db.stat().items():
            call.out.line(name, value)
    else:
        call.out.measures({"record number": db.count(), "file size": db.size})


@verb(_words(""), flag("st", "-st", help="Everything that the server tells."), kind="tyrant")
def do_inform(call: Call, words: tuple[str, ...], st: bool) -> None:
    """Show how many records the database has, and its size."""
    _taken(call, words, 0, 0)
    inform(call, st)


@verb(_words(""), kind="tyrant", patient=True)
def do_sync(call: Call, words: tuple[str, ...]) -> None:
    """Write what the database has in memory to its file."""
    _taken(call, words, 0, 0)
    call.target.tyrant.synchronize()


@verb(_words("[PARAMETERS]"), kind="tyrant", patient=True)
def do_optimize(call: Call, words: tuple[str, ...]) -> None:
    """Rebuild the storage of the database; PARAMETERS such as #bnum=1000000."""
    call.target.tyrant.optimize(*_taken(call, words, 0, 1))


@verb(_words(""), kind="tyrant", patient=True)
def do_vanish(call: Call, words: tuple[str, ...]) -> None:
    """Remove all records."""
    _taken(call, words, 0, 0)
    call.target.tyrant.clear()


@verb(_words("PATH"), kind="tyrant", patient=True)
def do_copy(call: Call, words: tuple[str, ...]) -> None:
    """Have the server copy its database file to PATH."""
    call.target.tyrant.copy(*_taken(call, words, 1, 1))


@verb(
    _words("[FILE]"),
    SEPARATOR,
    flag("nr", "-nr", help="Do not wait for replies."),
    flag("sc", "-sc", help="Make keys lower case."),
    kind="tyrant",
    patient=True,
)
def do_importtsv(call: Call, words: tuple[str, ...], sep: str | None, nr: bool, sc: bool) -> None:
    """Store records from FILE, or from standard input: in each line a key, a tab and a value."""
    rest = _taken(call, words, 0, 1)
    with Path(rest[0]).open("rb") if rest else sys.stdin.buffer as lines:
        _import(call, lines, sep, nr, sc)


def _import(call: Call, lines: IO[bytes], sep: str | None, nr: bool, sc: bool) -> None:
    fields = (line.rstrip(b"\r\n").split(b"\t", 1) for line in lines)
    records = (pair for pair in fields if len(pair) == 2)
    stored = 0
    while batch := list(islice(records, 1000)):
        made = {
            key.lower() if sc else key: value
            if sep is None
            else value.replace(_character(sep), b"\0")
            for key, value in batch
        }
        call.target.tyrant.set_bulk(made, no_reply=nr)
        stored += len(batch)
    if call.out.as_json:
        call.out.object({"records": stored})


@verb(
    _words("PATH"),
    since(),
    flag("rcc", "-rcc", help="Check that the changes fit."),
    kind="tyrant",
    patient=True,
)
def do_restore(call: Call, words: tuple[str, ...], ts: str | None, rcc: bool) -> None:
    """Have the server carry out again what the update log in PATH says."""
    (path,) = _taken(call, words, 1, 1)
    call.target.tyrant.restore(path, stamp(ts, 1000), check=rcc)


@verb(
    _words("[MASTER]"),
    option("mport", "-mport", type=int, default=1978, help="Port of the master."),
    since(),
    flag("rcc", "-rcc", help="Check that the changes fit."),
    kind="tyrant",
)
def do_setmst(call: Call, words: tuple[str, ...], mport: int, ts: str | None, rcc: bool) -> None:
    """Make the server a slave of MASTER; without it, end its replication."""
    rest = _taken(call, words, 0, 1)
    master = rest[0] if rest else None
    call.target.tyrant.set_master(master, mport, stamp(ts, 1000), check=rcc)
