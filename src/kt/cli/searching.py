"""Verbs that find records: by prefix, by regular expression, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice

from kt.cli.commands import Call, data, flag, hex_in, hex_out, option, unhex, verb
from kt.cli.faults import Usage
from kt.cli.records import BATCH, NEVER, seconds
from kt.cli.target import Target
from kt.client.patterns import glob_regex

LIMIT = option("limit", "-max", "-limit", "--limit", type=int, help="At most so many.")
REGEX = option("regex", "--regex", help="Only keys in which this regular expression is found.")

GLOB = option("glob", "--glob", help="Only keys that this pattern fits, as in a shell: user:*.")


def pattern_of(regex: str | None, glob: str | None) -> str | None:
    """Return the regular expression that is meant; None for every key."""
    if glob is None:
        return regex
    if regex is not None:
        raise Usage("--regex and --glob are two ways to say the same: take one")
    return os.fsdecode(glob_regex(os.fsencode(glob)))


def limited(limit: int | None) -> int | None:
    """Return how many records are wanted; None for all (a negative number, in the originals)."""
    return None if limit is None or limit < 0 else limit


def keys_of(
    target: Target, prefix: bytes = b"", regex: str | None = None, limit: int | None = None
) -> Iterator[bytes]:
    """Find keys; with both a prefix and a regular expression, those that both fit."""
    if regex is not None:
        pattern = os.fsencode(regex)
        found: Iterable[bytes]
        whole = None if prefix else limit
        if target.kind == "tyrant":
            found = target.tyrant.match_regex(pattern, whole)
        else:
            found = target.tycoon.match_regex(pattern, whole)
        found = (key for key in found if key.startswith(prefix))
    elif not prefix:
        found = target.client
    elif target.kind == "tyrant":
        found = target.tyrant.match_prefix(prefix, limit)
    else:
        found = target.tycoon.match_prefix(prefix, limit)
    yield from islice(found, limit)


def records_of(
    target: Target, prefix: bytes, regex: str | None, limit: int | None
) -> Iterator[tuple[bytes, bytes]]:
    """Find records in the same way."""
    if not prefix and regex is None:
        yield from islice(target.client.items(), limit)
        return
    keys = keys_of(target, prefix, regex, limit)
    while batch := list(islice(keys, BATCH)):
        yield from target.client.get_bulk(batch).items()


@verb(data("prefix", required=False), REGEX, GLOB, LIMIT, hex_in(), hex_out(), patient=True)
def do_ls(
    call: Call,
    prefix: bytes | None,
    regex: str | None,
    glob: str | None,
    limit: int | None,
    sx: bool,
) -> None:
    """List keys: all, or those that begin with PREFIX."""
    start = unhex(prefix or b"", sx)
    call.read_only = True
    for key in keys_of(call.target, start, pattern_of(regex, glob), limited(limit)):
        call.out.record(key)


@verb(data("prefix", required=False), REGEX, GLOB, LIMIT, hex_in(), hex_out(), patient=True)
def do_scan(
    call: Call,
    prefix: bytes | None,
    regex: str | None,
    glob: str | None,
    limit: int | None,
    sx: bool,
) -> None:
    """Show keys and values: all, or those of keys that begin with PREFIX."""
    start = unhex(prefix or b"", sx)
    call.read_only = True
    for key, value in records_of(call.target, start, pattern_of(regex, glob), limited(limit)):
        call.out.record(key, value)


@verb(
    data("key", required=False),
    flag("des", "-des", "--backward", help="Go backwards."),
    LIMIT,
    flag("rm", "-rm", "--remove", help="Remove the records, too."),
    flag("pv", "-pv", "--values", help="Show the values."),
    flag("pt", "-pt", "--expiry", help="Show when they expire."),
    hex_in(),
    hex_out(),
    patient=True,
)
def do_list(
    call: Call,
    key: bytes | None,
    des: bool,
    limit: int | None,
    rm: bool,
    pv: bool,
    pt: bool,
    sx: bool,
) -> None:
    """List keys in the database's order, from KEY on."""
    if call.target.kind == "tyrant":
        if des or rm or pt:
            raise Usage("Tokyo Tyrant cannot do this")
        _list_tyrant(call, key, limited(limit), pv)
        return
    start = None if key is None else unhex(key, sx)
    with call.target.tycoon.cursor() as cursor:
        there = cursor.jump_back(start) if des else cursor.jump(start)
        left = limited(limit)
        while there and left != 0:
            record = cursor.get_record()
            if record is None:
                break
            expiry = seconds(record.expires)
            shown = NEVER if pt and expiry is None else expiry
            if pv:
                call.out.record(record.key, record.value, shown if pt else None)
            elif pt and not call.out.as_json:
                call.out.line(record.key, str(shown))
            else:
                call.out.record(record.key, None, shown if pt else None)
            left = None if left is None else left - 1
            if rm:
                cursor.remove()  # the cursor stands on the next record then
                there = cursor.step_back() if des else True
            else:
                there = cursor.step_back() if des else cursor.step()


def _list_tyrant(call: Call, key: bytes | None, limit: int | None, pv: bool) -> None:
    db = call.target.tyrant
    records: Iterable[tuple[bytes, bytes]]
    if key is not None:
        records = db.iter_from(key).items()
    elif not pv:
        for each in islice(db, limit):
            call.out.record(each)
        return
    else:
        records = db.items()
    for each, value in islice(records, limit):
        call.out.record(each, value if pv else None)


@verb(data("prefixes", many=True, shown="PREFIX..."), LIMIT, hex_in(), hex_out(), patient=True)
def do_match(call: Call, prefixes: tuple[bytes, ...], limit: int | None, sx: bool) -> None:
    """List keys that begin with a PREFIX."""
    for prefix in prefixes:
        for key in keys_of(call.target, unhex(prefix, sx), None, limited(limit)):
            call.out.record(key)


@verb(data("patterns", many=True, shown="REGEX..."), LIMIT, hex_in(), hex_out(), patient=True)
def do_regex(call: Call, patterns: tuple[bytes, ...], limit: int | None, sx: bool) -> None:
    """List keys in which a regular expression is found."""
    for pattern in patterns:
        regex = os.fsdecode(unhex(pattern, sx))
        for key in keys_of(call.target, b"", regex, limited(limit)):
            call.out.record(key)
