"""The program ``kt log`` (``python -m kt.log``): list, check and cut update logs, list snapshots.

Files of both servers are taken, and folders of them. Exit status: 0, 1 if something is damaged or
missing, 2 if the command cannot be carried out.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from kt.errors import KTError
from kt.log import showing
from kt.log.cutting import write_log
from kt.log.files import Damage, Entry, Kind, LogFile, find_files
from kt.moments import read_moment
from kt.output import written
from kt.types import Change
from kt.wire.log import tycoon
from kt.wire.log.selection import Selection

ALL: Final = range(2**16)
"""Databases taken as without expiry: where values do not matter, nobody needs to know."""

DESCRIPTION: Final = """List, check and cut update logs of Kyoto Tycoon and Tokyo Tyrant, and list
snapshots of Kyoto Tycoon. PATH is a file, or a folder with logs or snapshots."""


def main(arguments: Sequence[str] | None = None, program: str = "python -m kt.log") -> int:
    """Run the program and return its exit status."""

    def run() -> int:
        options = _parser(program).parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)

    try:
        return written(run)
    except (KTError, OSError) as error:
        print(f"kt.log: {error}", file=sys.stderr)
        return 2


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (command, add_options, text) in _COMMANDS.items():
        added = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        added.set_defaults(command=command)
        added.add_argument("paths", nargs="+", metavar="PATH")
        add_options(added)
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object in each line")


def _add_list(parser: argparse.ArgumentParser) -> None:
    _add_json(parser)
    _add_filters(parser)
    text = "this database has no expiry: it was opened with ktopts=p (repeatable)"
    add = parser.add_argument
    add("--persistent", type=int, action="append", default=[], metavar="N", help=text)


def _add_cut(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    add = parser.add_argument
    add("--output", required=True, type=Path, metavar="FILE", help="the new file")
    add("--force", action="store_true", help="overwrite FILE if it exists")
    add("--skip-damage", action="store_true", help="leave out what is damaged, and go on")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--db", type=int, action="append", metavar="N", help="only of this database (repeatable)")
    add("--sid", type=int, action="append", metavar="N", help="only of this server (repeatable)")
    add("--key", type=os.fsencode, help="only of this key")
    add("--prefix", type=os.fsencode, help="only of keys that begin so, and what has no key")
    add(
        "--from", dest="begin", type=read_moment, metavar="TIME", help="only at this time and later"
    )
    add("--to", dest="end", type=read_moment, metavar="TIME", help="only at this time and earlier")


def _filter(options: argparse.Namespace) -> Callable[[Change[bytes, bytes]], bool]:
    selection = Selection(options.sid, options.db, options.prefix, everything=True)

    def takes(change: Change[bytes, bytes]) -> bool:
        if options.begin is not None and change.stamp < options.begin:
            return False
        if options.end is not None and change.stamp > options.end:
            return False
        if options.key is not None and change.key != options.key:
            return False
        return selection.takes(change)

    return takes


def _list(options: argparse.Namespace) -> int:
    takes = _filter(options)
    status = 0
    for file in find_files(options.paths):
        for entry in file.entries(options.persistent):
            if isinstance(entry, Damage):
                status = 1
                _complain(entry, options.json)
            elif takes(entry.change) and options.json:
                where = {"file": file.path, "offset": entry.offset}
                print(showing.dumped(where | showing.change_json(entry.change)))
            elif takes(entry.change):
                print(showing.change_line(entry.change))
    return status


def _files(options: argparse.Namespace) -> int:
    for file in find_files(options.paths):
        _show(showing.file_json(file), options.json)
    return 0


def _verify(options: argparse.Namespace) -> int:
    status = 0
    previous: LogFile | None = None
    for file in find_files(options.paths):
        damage = [*_hole(previous, file), *_check(file, options.json)]
        for found in damage:
            status = 1
            _complain(found, options.json)
        previous = file
    return status


def _check(file: LogFile, as_json: bool) -> Iterator[Damage]:
    """Yield what is damaged, and show what the file has."""
    count = first = last = 0
    for entry in file.entries(ALL):
        if isinstance(entry, Damage):
            yield entry
            continue
        stamp = entry.change.stamp
        if file.kind is Kind.TYCOON and stamp <= last:
            yield Damage(file.path, entry.offset, len(entry.raw), "its time is not after the last")
        count, first, last = count + 1, first or stamp, max(last, stamp)
    if isinstance(file.header, tycoon.Header) and file.header.newest != last and count:
        reason = f"the newest record is said to be of {file.header.newest} and is of {last}"
        yield Damage(file.path, 0, tycoon.HEADER_SIZE, reason)
    found = {"records": count} | ({"first": first, "last": last} if count else {})
    _show(showing.file_json(file) | found, as_json)


def _hole(previous: LogFile | None, file: LogFile) -> Iterator[Damage]:
    """Yield that files between two of the same log are missing."""
    if previous is None or previous.kind is not file.kind or file.kind is Kind.SNAPSHOT:
        return
    missing = file.number - previous.number - 1
    if missing > 0 and Path(previous.path).parent == Path(file.path).parent:
        yield Damage(file.path, 0, 0, f"files before it are missing: {missing}")


def _cut(options: argparse.Namespace) -> int:
    files = find_files(options.paths)
    kinds = {file.kind for file in files}
    if len(kinds) != 1 or Kind.SNAPSHOT in kinds:
        raise _Usage("cut takes logs of one server")
    damage: list[Damage] = []
    entries = _chosen(files, _filter(options), options, damage)
    count = write_log(options.output, kinds.pop(), entries, options.force)
    print(f"{options.output}: {count} records")
    return 1 if damage else 0


def _chosen(
    files: list[LogFile],
    takes: Callable[[Change[bytes, bytes]], bool],
    options: argparse.Namespace,
    damage: list[Damage],
) -> Iterator[Entry]:
    for file in files:
        for entry in file.entries(ALL):
            if isinstance(entry, Entry):
                if takes(entry.change):
                    yield entry
            elif options.skip_damage:
                damage.append(entry)
                _complain(entry, as_json=False)
            else:
                raise entry.error()


class _Usage(KTError):
    """What was asked for makes no sense."""


def _show(record: showing.Json, as_json: bool) -> None:
    print(showing.dumped(record) if as_json else showing.line(record))


def _complain(damage: Damage, as_json: bool) -> None:
    if as_json:
        print(showing.dumped(showing.damage_json(damage)))
    else:
        print(f"kt.log: {damage.error()}", file=sys.stderr)


_COMMANDS: Final = {
    "list": (_list, _add_list, "show the records"),
    "files": (
        _files,
        _add_json,
        "show the files: kind, size, newest record, and of snapshots more",
    ),
    "verify": (_verify, _add_json, "check every record, and say what is damaged or missing"),
    "cut": (_cut, _add_cut, "write records into a new log file"),
}
