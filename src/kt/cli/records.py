"""Verbs on single records, and on some at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from kt.cli.commands import Call, data, expire, flag, hex_in, hex_out, option, unhex, verb, word
from kt.cli.faults import No, Usage
from kt.client.expiry import pack_expiry
from kt.types import ExpireTime

if TYPE_CHECKING:
    from kt.cli.target import Tyrant

BATCH = 1000
"""Records of one request of an import."""

NEVER = 2**63 - 1
"""The expiry of a record that does not expire, and what the originals show then."""

FILE = option("file", "--file", help="Read the value from this file.")


def _no_expiry(call: Call, xt: int | None) -> None:
    if xt is not None and call.target.kind == "tyrant":
        raise Usage("records of Tokyo Tyrant do not expire")


def _value(value: bytes | None, file: str | None, sx: bool) -> bytes:
    """The value: a word, what a file has, or what comes from standard input."""
    if file is not None:
        if value is not None:
            raise Usage("the value is a word or in a file, not both")
        return Path(file).read_bytes()
    return sys.stdin.buffer.read() if value is None else unhex(value, sx)


@verb(
    data("words", many=True, shown="KEY"),
    hex_in(),
    hex_out(),
    flag("rm", "-rm", "--remove", help="Remove the record, too."),
    flag("pt", "-pt", "--expiry", help="Show when it expires."),
    flag("pz", "-pz", "--raw", help="Write the value and nothing after it."),
)
def do_get(call: Call, words: tuple[bytes, ...], sx: bool, rm: bool, pt: bool, pz: bool) -> None:
    """Write the value of KEY to standard output."""
    if len(words) == 2 and not call.is_told:  # as tcrmgr has it
        call.at_host(words[0].decode())
    elif len(words) != 1:
        raise Usage("get takes one key; getbulk takes many")
    key = unhex(words[-1], sx)
    value, expiry = _found(call, key, rm, pt or call.out.as_json)
    if value is None:
        raise No("there is no such record")
    out = call.out
    if out.as_json:
        out.record(key, value, expiry)
        return
    out.raw(out.shown(value))
    if pt:
        out.raw(f"\t{NEVER if expiry is None else expiry}".encode())
    if not pz:
        out.raw(out.end)


def _found(call: Call, key: bytes, rm: bool, pt: bool) -> tuple[bytes | None, int | None]:
    """Value and expiry of a record."""
    target = call.target
    if target.kind == "tyrant":
        value = target.tyrant.get(key)
        if rm and value is not None:
            target.tyrant.remove(key)
        return value, None
    expiry = None
    db = target.tycoon
    if pt:
        records = db.get_bulk_details([(db.default_db, key)])
        if not records:
            return None, None
        value = records[0].value
        expiry = seconds(records[0].expires)
    if rm or not pt:
        value = db.seize(key) if rm else db.get(key)
    return value, expiry


def seconds(expires: ExpireTime | None) -> int | None:
    """The moment of an expiry in seconds since the epoch."""
    packed = pack_expiry(expires)
    return None if packed == NEVER else -packed


@verb(
    data("key"),
    data("value", required=False),
    hex_in(),
    expire(),
    FILE,
    flag("add", "-add", "--add", help="Only if there is no record."),
    flag("rep", "-rep", "--replace", help="Only if there is a record."),
    flag("app", "-app", "--append", help="Append to the record."),
    flag("inci", "-inci", help="Add VALUE to an integer."),
    flag("incd", "-incd", help="Add VALUE to a real number."),
)
def do_set(
    call: Call,
    key: bytes,
    value: bytes | None,
    sx: bool,
    xt: int | None,
    file: str | None,
    **modes: bool,
) -> None:
    """Store a record. Without VALUE, standard input is the value."""
    chosen = [mode for mode, given in modes.items() if given]
    if len(chosen) > 1:
        raise Usage("these options exclude each other: -" + " -".join(chosen))
    _no_expiry(call, xt)
    given = _value(value, file, sx)
    _store(call, chosen[0] if chosen else "set", unhex(key, sx), given, xt)


def _store(call: Call, mode: str, key: bytes, value: bytes, xt: int | None) -> None:
    if mode in ("inci", "incd"):
        _increment(call, key, value.decode("ascii", "replace"), mode == "incd", None, xt)
        return
    target = call.target
    if target.kind == "tyrant":
        stored = _store_tyrant(target.tyrant, mode, key, value)
    elif mode == "add":
        stored = target.tycoon.add(key, value, None, xt)
    elif mode == "rep":
        stored = target.tycoon.replace(key, value, None, xt)
    elif mode == "app":
        stored = target.tycoon.append(key, value, None, xt)
    else:
        stored = target.tycoon.set(key, value, None, xt) > 0
    if not stored:
        raise No("there is such a record" if mode == "add" else "there is no such record")


def _store_tyrant(db: Tyrant, mode: str, key: bytes, value: bytes) -> bool:
    if mode == "rep":
        raise Usage("Tokyo Tyrant cannot replace only")
    if mode == "add":
        return db.add(key, value)
    return db.append(key, value) if mode == "app" else db.set(key, value)


@verb(data("key"), data("value", required=False), hex_in(), expire(), FILE)
def do_add(
    call: Call, key: bytes, value: bytes | None, sx: bool, xt: int | None, file: str | None
) -> None:
    """Store a record if there is none of KEY. Without VALUE, standard input is the value."""
    _no_expiry(call, xt)
    _store(call, "add", unhex(key, sx), _value(value, file, sx), xt)


@verb(data("key"), data("value", required=False), hex_in(), expire(), FILE)
def do_replace(
    call: Call, key: bytes, value: bytes | None, sx: bool, xt: int | None, file: str | None
) -> None:
    """Store a record if there is one of KEY. Without VALUE, standard input is the value."""
    _no_expiry(call, xt)
    _store(call, "rep", unhex(key, sx), _value(value, file, sx), xt)


@verb(data("key"), data("value", required=False), hex_in(), expire(), FILE)
def do_append(
    call: Call, key: bytes, value: bytes | None, sx: bool, xt: int | None, file: str | None
) -> None:
    """Append VALUE, or standard input, to a record, which is made if there is none."""
    _no_expiry(call, xt)
    _store(call, "app", unhex(key, sx), _value(value, file, sx), xt)


@verb(
    data("key"),
    data("old", required=False),
    data("new", required=False),
    hex_in(),
    expire(),
    flag("missing", "--missing", help="There must be no record: give only NEW."),
    flag("remove", "--remove", help="Remove the record: give only OLD."),
)
def do_cas(
    call: Call,
    key: bytes,
    old: bytes | None,
    new: bytes | None,
    sx: bool,
    xt: int | None,
    missing: bool,
    remove: bool,
) -> None:
    """Compare and swap: if the value of KEY is OLD, make it NEW."""
    if missing and new is None:
        old, new = None, old
    if (old is None) != missing or (new is None) != remove:
        raise Usage("give OLD and NEW, or one of them with --missing or --remove")
    before, after = (None if each is None else unhex(each, sx) for each in (old, new))
    if not call.target.tycoon.cas(unhex(key, sx), before, after, None, xt):
        raise No("the value is another one")


@verb(
    data("key"),
    word("number", required=False),
    flag("real", "--float", help="A real number."),
    option("orig", "--orig", help="What to start from where there is no record."),
    hex_in(),
    expire(),
)
def do_incr(
    call: Call,
    key: bytes,
    number: str | None,
    real: bool,
    orig: str | None,
    sx: bool,
    xt: int | None,
) -> None:
    """Add NUMBER (1) to a counter, and write the sum."""
    _no_expiry(call, xt)
    _increment(call, unhex(key, sx), number or "1", real, orig, xt)


def _number(text: str, real: bool) -> float:
    try:
        return float(text) if real else int(text)
    except ValueError:
        hint = "" if real else ": --float adds real numbers"
        raise Usage(f"{text!r} is no {'' if real else 'whole '}number{hint}") from None


def _increment(
    call: Call, key: bytes, number: str, real: bool, orig: str | None, xt: int | None
) -> None:
    target = call.target
    step = _number(number, real)
    start = None if orig is None else _number(orig, real)
    total: float
    if target.kind == "tyrant":
        if start is not None:
            raise Usage("counters of Tokyo Tyrant start from 0")
        db = target.tyrant
        total = db.incr_double(key, step) if real else db.incr(key, int(step))
    else:
        kyoto = target.tycoon
        if real:
            total = kyoto.incr_double(key, step, start, None, xt)
        else:
            total = kyoto.incr(key, int(step), None if start is None else int(start), None, xt)
    if call.out.as_json:
        call.out.object({"key": key, "value": total})
    else:
        call.out.number(f"{total:f}" if real else int(total))


@verb(data("keys", many=True, shown="KEY..."), hex_in())
def do_remove(call: Call, keys: tuple[bytes, ...], sx: bool) -> None:
    """Remove records; 1 is the exit status if there was none of them."""
    target = call.target
    wanted = [unhex(key, sx) for key in keys]
    if target.kind == "tyrant":
        removed = sum(target.tyrant.remove(key) for key in wanted)
    else:
        removed = target.tycoon.remove_bulk(wanted)
    if call.out.as_json:
        call.out.object({"removed": removed})
    if not removed:
        raise No("there is no such record")


@verb(data("key"), hex_in())
def do_exists(call: Call, key: bytes, sx: bool) -> None:
    """Tell by the exit status whether there is a record, and show its size and expiry."""
    target = call.target
    wanted = unhex(key, sx)
    expires = None
    if target.kind == "tyrant":
        size = target.tyrant.length(wanted)
    else:
        found = target.tycoon.check(wanted)
        size = None if found is None else found.size
        expires = None if found is None else seconds(found.expires)
    if size is None:
        raise No("there is no such record")
    call.out.measures({"size": size} | ({} if expires is None else {"expires": expires}))


BINARY = flag("binary", "-bin", hidden=True)  # here it always is


@verb(data("keys", many=True, shown="KEY..."), hex_in(), hex_out(), BINARY)
def do_getbulk(call: Call, keys: tuple[bytes, ...], sx: bool, binary: bool) -> None:
    """Write those of the records that there are, in the order of their keys."""
    found = call.target.client.get_bulk([unhex(key, sx) for key in keys])
    for key in sorted(found):
        call.out.record(key, found[key])


@verb(data("words", many=True, shown="KEY VALUE..."), hex_in(), expire(), BINARY)
def do_setbulk(
    call: Call, words: tuple[bytes, ...], sx: bool, xt: int | None, binary: bool
) -> None:
    """Store records."""
    _no_expiry(call, xt)
    plain = [unhex(each, sx) for each in words]
    if len(plain) % 2:
        raise Usage("the last key has no value")
    _set_bulk(call, dict(zip(plain[::2], plain[1::2], strict=True)), xt)


def _set_bulk(call: Call, records: dict[bytes, bytes], xt: int | None) -> None:
    if call.target.kind == "tyrant":
        call.target.tyrant.set_bulk(records)
    else:
        call.target.tycoon.set_bulk(records, None, xt)


@verb(data("keys", many=True, shown="KEY..."), hex_in(), BINARY)
def do_removebulk(call: Call, keys: tuple[bytes, ...], sx: bool, binary: bool) -> None:
    """Remove records; it is no error if there are none."""
    call.target.client.remove_bulk([unhex(key, sx) for key in keys])


@verb(word("file", required=False), hex_in(), expire(), patient=True)
def do_import(call: Call, file: str | None, sx: bool, xt: int | None) -> None:
    """Store records from a file, or from standard input: in each line a key, a tab, a value.

    A line without a tab is the key of a record to be removed.
    """
    _no_expiry(call, xt)
    stored = 0
    with open(file, "rb") if file is not None else sys.stdin.buffer as lines:
        stream = (line.rstrip(b"\r\n").split(b"\t", 1) for line in lines)
        while batch := list(islice(stream, BATCH)):
            for records in _groups(batch, sx):
                if isinstance(records, dict):
                    _set_bulk(call, records, xt)
                else:
                    call.target.client.remove_bulk(records)
            stored += len(batch)
    if call.out.as_json:
        call.out.object({"lines": stored})


def _groups(lines: list[list[bytes]], sx: bool) -> Iterator[dict[bytes, bytes] | list[bytes]]:
    """Neighbours that are to be stored, or removed, together; the order is kept."""
    stored: dict[bytes, bytes] = {}
    removed: list[bytes] = []
    for fields in lines:
        key, *value = (unhex(field, sx) for field in fields)
        if value:
            if removed:
                yield removed
                removed = []
            stored[key] = value[0]
        elif key:
            if stored:
                yield stored
                stored = {}
            removed.append(key)
    yield stored or removed
