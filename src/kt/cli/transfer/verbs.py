"""The verbs `dump`, `load`, `copy` and `diff`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import click

from kt.cli.commands import Call, flag, option, verb, word
from kt.cli.faults import No, Usage
from kt.cli.target import is_file, open_target
from kt.cli.transfer.batches import BEGIN, Batch, Reached
from kt.cli.transfer.dumps import (
    BinaryWriter,
    DumpDamage,
    LineWriter,
    Reader,
    Rest,
    Writer,
    bytes_of,
    compressor,
    is_lines,
    make_header,
)
from kt.cli.transfer.followed import Following
from kt.cli.transfer.running import Meter, State, ahead, run
from kt.cli.transfer.sinks import Differences, Mode, Sink
from kt.cli.transfer.sources import Source, indices_of
from kt.wire.table import decode_row

COLUMNS_MAX = 1000
"""Columns of a table that may have an index."""

PREFIX = option("prefix", "--prefix", help="Only keys that begin so.")
REGEX = option("regex", "--regex", help="Only keys in which this regular expression is found.")
QUIET = flag("quiet", "-q", "--quiet", help="Show no progress.")
TO_DB = option("to_db", "--to-db", type=int, help="Into this database, wherever they come from.")
OVERWRITE = flag("overwrite", "--overwrite", help="Replace records that are there.")
KEEP = flag("keep", "--keep", help="Leave records that are there as they are.")
DROP = flag("drop_expiry", "--drop-expiry", help="Store what expires where nothing does.")


def source_of(call: Call, prefix: str | None, regex: str | None) -> Source:
    """The source that a call names."""
    return Source(call.target, os.fsencode(prefix or ""), regex)


def chosen(call: Call, source: Source) -> list[int]:
    """The databases that are wanted: the one that is named, or all."""
    if source.target.kind == "tyrant":
        return [0]
    default = source.target.tycoon.default_db
    return [default] if call.names_db or default else source.databases()


def mode_of(overwrite: bool, keep: bool) -> Mode:
    """What is to be done with records that are there."""
    if overwrite and keep:
        raise Usage("--overwrite and --keep exclude each other")
    return "overwrite" if overwrite else "keep" if keep else "empty"


def total_of(source: Source, databases: list[int]) -> int | None:
    """How many records there are in these databases, if anybody knows."""
    totals = [source.total(db) for db in databases]
    known = [total for total in totals if total is not None]
    return sum(known) if len(known) == len(totals) else None


class Columns:
    """Collects the names of a table's columns."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {"": None}

    def look(self, batch: Batch) -> None:
        """Look at rows."""
        if len(self.names) < COLUMNS_MAX:
            for _, _, value, _ in batch.records():
                self.names.update(dict.fromkeys(decode_row(value)))


# ------------------------------------------------------------------------------------------ dump


@verb(
    word("file", required=False),
    PREFIX,
    REGEX,
    option(
        "form",
        "--format",
        type=click.Choice(["binary", "json"]),
        help="By default as the name says: .jsonl is JSON, others are binary.",
    ),
    flag("resume", "--resume", help="Go on with a dump that was interrupted."),
    flag("force", "--force", help="Overwrite FILE if it is there."),
    QUIET,
    patient=True,
)
def do_dump(
    call: Call,
    file: str | None,
    prefix: str | None,
    regex: str | None,
    form: str | None,
    resume: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write records to FILE, or as JSON to standard output: of all databases, or of --db.

    The binary form is compressed; JSON is where FILE ends in .gz, .xz or .bz2.
    """
    call.read_only = True
    to_stdout = file in (None, "-")
    source = source_of(call, prefix, regex)
    lines = form == "json" or (form is None and (to_stdout or is_lines(file or "")))
    if not lines and compressor(file or "") is not bytes:
        raise Usage("the binary form is compressed by itself: leave out the suffix")
    rest = Rest(file) if resume and file is not None and os.path.exists(file) else None
    databases = chosen(call, source)
    total = total_of(source, databases)
    with (
        Meter("dump", total, quiet or to_stdout) as meter,
        _output(file, force, rest is not None) as output,
    ):
        writer = _writer(output, source, file or "", lines, rest)
        _dump(source, databases, writer, rest, meter)
    if call.out.as_json and not to_stdout:
        call.out.object({"records": meter.records, "seconds": round(meter.seconds, 3)})


@contextmanager
def _output(file: str | None, force: bool, resumes: bool) -> Iterator[IO[bytes]]:
    if file in (None, "-"):
        yield sys.stdout.buffer
        return
    assert file is not None
    if os.path.exists(file) and not (force or resumes):
        raise Usage(f"{file} is there already: --force overwrites it, --resume goes on with it")
    with Path(file).open("ab" if resumes else "wb") as output:
        yield output


def _writer(output: IO[bytes], source: Source, file: str, lines: bool, rest: Rest | None) -> Writer:
    rows = source.is_table()
    header = None
    filters = source.filters
    if rest is None:
        header = make_header(source.target.url, source.target.kind, rows, filters)
    elif rest.reader.header.get("filters") != filters:
        raise Usage(f"{file} has other records: {rest.reader.header.get('filters')}")
    elif rest.reader.is_binary == lines:
        raise Usage(f"{file} is of the other form")
    if lines:
        return LineWriter(output, header, rows, compressor(file))
    return BinaryWriter(output, header)


def _dump(
    source: Source, databases: list[int], writer: Writer, rest: Rest | None, meter: Meter
) -> None:
    columns = Columns() if source.is_table() else None
    if rest is not None:
        meter.add(rest.records)
        databases = [db for db in databases if rest.reached == BEGIN or db >= rest.db]

    def work(batch: Batch) -> int:
        writer.write(batch)
        if columns is not None:
            columns.look(batch)
        return batch.number

    for db in databases:
        reached = BEGIN
        if rest is not None and db == rest.db:
            reached = Reached(done=rest.keys()) if source.is_cache(db) else rest.reached
        run(source.batches(db, reached), work, meter)
    indices = {} if columns is None else indices_of(source.target, columns.names)
    writer.end({"records": meter.records, "databases": databases, "indices": indices})


# ------------------------------------------------------------------------------------------ load


@verb(
    word("file"),
    TO_DB,
    OVERWRITE,
    KEEP,
    DROP,
    flag("resume", "--resume", help="Go on with a load that was interrupted."),
    flag("check", "--check", help="Only check FILE, and store nothing."),
    flag("create", "--create", help="Make the database file that is loaded into."),
    QUIET,
    patient=True,
)
def do_load(
    call: Call,
    file: str,
    to_db: int | None,
    overwrite: bool,
    keep: bool,
    drop_expiry: bool,
    resume: bool,
    check: bool,
    create: bool,
    quiet: bool,
) -> None:
    """Store the records of a dump. The whole FILE is checked before the first one is stored."""
    call.create = create
    with _at_hand(file) as path:
        reader = Reader(path)
        databases, records = _checked(reader)
        if check:
            call.out.measures({"records": records})
            return
        sink = Sink(call.target, _to_db(call, to_db), mode_of(overwrite, keep), drop_expiry)
        between = {"from": file, "to": call.target.url}
        state = State(f"{file}.resume" if resume else None, between)
        if state.members:
            sink.mode = "overwrite" if sink.mode == "empty" else sink.mode
        sink.check(databases, bool(reader.header.get("table")))
        with Meter("load", records, quiet) as meter:
            _load(reader, sink, state, meter, records)
    if call.out.as_json:
        call.out.object({"records": meter.records, "seconds": round(meter.seconds, 3)})


def _to_db(call: Call, to_db: int | None) -> int | None:
    if to_db is not None or call.target.kind == "tyrant":
        return to_db
    default = call.target.tycoon.default_db
    return default if call.names_db or default else None


@contextmanager
def _at_hand(file: str) -> Iterator[str]:
    """A dump as a file; what comes from standard input is kept in one meanwhile."""
    if file != "-":
        yield file
        return
    with tempfile.NamedTemporaryFile(prefix="kt-load-") as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        yield kept.name


def _checked(reader: Reader) -> tuple[list[int], int]:
    """The databases of a dump, and how many records it has; raises `DumpDamage`."""
    databases = set()
    records = 0
    for batch in reader.batches():
        databases.add(batch.db)
        records += batch.number
    return sorted(databases), records


def _load(reader: Reader, sink: Sink, state: State, meter: Meter, records: int) -> None:
    skip = int(state.members.get("batches", 0))
    done = read = 0
    try:
        for batch in ahead(reader.batches()):
            done += 1
            read += batch.number
            if done > skip:
                meter.add(sink.store(batch))
                state.reached(batches=done)
    except BaseException:
        state.save()
        raise
    if read != records:
        raise DumpDamage(f"{reader.path} has changed since it was checked")
    ending = reader.ending or {}
    if reader.header.get("table"):
        sink.make_indices(ending.get("indices", {}))
    state.finished()


# ------------------------------------------------------------------------------------------ copy


@verb(
    word("words", many=True, shown="[FROM] TO"),
    PREFIX,
    REGEX,
    TO_DB,
    OVERWRITE,
    KEEP,
    DROP,
    option("resume", "--resume", help="FILE that tells where to go on after an interruption."),
    flag("create", "--create", help="Make the database file that is copied to."),
    flag("follow", "--follow", help="Then carry out there what changes, until Ctrl-C."),
    flag("until_even", "--until-even", help="With --follow: end when both have the same."),
    QUIET,
    patient=True,
)
def do_copy(
    call: Call,
    words: tuple[str, ...],
    prefix: str | None,
    regex: str | None,
    to_db: int | None,
    overwrite: bool,
    keep: bool,
    drop_expiry: bool,
    resume: str | None,
    create: bool,
    follow: bool,
    until_even: bool,
    quiet: bool,
) -> None:
    """Copy records from one server or file to another, of any kind.

    With --follow, what changes at FROM from the beginning of the copy on is carried out at TO: FROM
    is a Kyoto Tycoon that keeps an update log.
    """
    if until_even and not follow:
        raise Usage("--until-even is for --follow")
    call.read_only = True
    with closing(open_target(_second(call, words), call.timeout, create=create)) as target:
        source = source_of(call, prefix, regex)
        databases = chosen(call, source)
        if to_db is None and target.kind == "tycoon" and target.tycoon.default_db:
            to_db = target.tycoon.default_db
        sink = Sink(target, to_db, mode_of(overwrite, keep), drop_expiry)
        following = Following(source, databases, sink, quiet) if follow else None
        state = _state(resume, source, sink)
        sink.check(databases, source.is_table())
        with Meter("copy", total_of(source, databases), quiet) as meter:
            _copy_for(following, source, databases, sink, state, meter)
        if following is not None:
            following.run(state, until_even)
        state.finished()
    if call.out.as_json:
        call.out.object({"records": meter.records, "seconds": round(meter.seconds, 3)})


def _state(resume: str | None, source: Source, sink: Sink) -> State:
    """Where to go on; then records that are there are those that have been copied."""
    between = {
        "from": source.target.url,
        "to": sink.target.url,
        "filters": str(source.filters),
    }
    state = State(resume, between)
    if state.members:
        sink.mode = "overwrite" if sink.mode == "empty" else sink.mode
    return state


def _second(call: Call, words: tuple[str, ...]) -> str:
    """The second of two targets; the first may be one of the words, too."""
    if len(words) == 2:
        call.named(words[0])
    elif len(words) != 1:
        raise Usage("give two servers or files")
    return words[-1]


def _copy_for(
    following: Following | None,
    source: Source,
    databases: list[int],
    sink: Sink,
    state: State,
    meter: Meter,
) -> None:
    """Copy, or go on with it, unless that is done and only what changes is to be followed."""
    if following is None:
        _copy(source, databases, sink, state, meter)
        return
    if "copied" in state.members:
        return
    if state.members and "since" not in state.members:
        raise Usage("the copy was begun without --follow, so what has changed since is not known")
    state.keep(since=state.members.get("since") or following.now())
    _copy(source, databases, sink, state, meter)
    state.reached(copied=True)
    state.save()


def _copy(source: Source, databases: list[int], sink: Sink, state: State, meter: Meter) -> None:
    members = state.members
    after = bytes_of(members["last"]) if "last" in members else None
    first = int(members["db"]) if "db" in members else None
    columns = Columns() if source.is_table() else None

    def work(batch: Batch) -> int:
        if columns is not None:
            columns.look(batch)
        stored = sink.store(batch)
        state.reached(db=batch.db, last=batch.last)
        return stored

    try:
        for db in databases:
            if first is None or db >= first:
                begun = db == first and not source.is_cache(db)
                run(source.batches(db, Reached(after) if begun else BEGIN), work, meter)
    except BaseException:
        state.save()
        raise
    if columns is not None:
        sink.make_indices(indices_of(source.target, columns.names))


@verb(word("source", shown="FROM"), word("made", shown="TO"), DROP, QUIET, patient=True)
def do_convert(call: Call, source: str, made: str, drop_expiry: bool, quiet: bool) -> None:
    """Make a database file of another type, or with other parameters, of the records of one.

    TO names the type by its suffix, and parameters after it: 'new.kct#bnum=1000000#psiz=4096'. It
    must not be there yet.
    """
    if not (is_file(source) and is_file(made)):
        raise Usage("files are converted; kt copy takes servers, too")
    if os.path.exists(made.partition("#")[0]):
        raise Usage(f"{made.partition('#')[0]} is there already")
    call.named(source)
    call.read_only = True
    _transfer(call, made, drop_expiry, quiet)


def _transfer(call: Call, made: str, drop_expiry: bool, quiet: bool) -> None:
    source = source_of(call, None, None)
    databases = chosen(call, source)
    target = open_target(made, call.timeout, create=True)
    try:
        with closing(target):
            sink = Sink(target, None, "empty", drop_expiry)
            sink.check(databases, source.is_table())
            with Meter("convert", total_of(source, databases), quiet) as meter:
                _copy(source, databases, sink, State(None, {}), meter)
    except BaseException:
        _remove(made.partition("#")[0])  # there was none before
        raise


def _remove(made: str) -> None:
    """Remove a database, which may be a folder."""
    if os.path.isdir(made):
        shutil.rmtree(made)
    else:
        os.remove(made)


# ------------------------------------------------------------------------------------------ diff


@verb(
    word("words", many=True, shown="[LEFT] RIGHT"),
    PREFIX,
    REGEX,
    option("to_db", "--to-db", type=int, hidden=True),
    flag("brief", "--brief", help="Only tell how many records differ."),
    QUIET,
    patient=True,
)
def do_diff(
    call: Call,
    words: tuple[str, ...],
    prefix: str | None,
    regex: str | None,
    to_db: int | None,
    brief: bool,
    quiet: bool,
) -> None:
    """Compare two servers or files; 1 is the exit status if they differ.

    Lines begin with - for a key that only LEFT has, + for one that only RIGHT has, and ~ where
    value or expiry differ.
    """
    call.read_only = True
    right = open_target(_second(call, words), call.timeout, read_only=True)
    try:
        left = source_of(call, prefix, regex)
        found = _differing(call, left, Source(right, left.prefix, left.regex), brief, quiet)
    finally:
        right.close()
    if found:
        raise No(f"{found} records differ")


def _differing(call: Call, left: Source, right: Source, brief: bool, quiet: bool) -> int:
    found = 0
    with Meter("diff", None, quiet) as meter:
        for db in chosen(call, left):
            differences = Differences(left, right, db)
            for sign, key in differences:
                found += 1
                if not brief:
                    _show(call, sign, db, key)
            meter.add(differences.looked_at)
    return found


def _show(call: Call, sign: str, db: int, key: bytes) -> None:
    if call.out.as_json:
        call.out.object({"difference": sign, "db": db, "key": key})
    elif db:
        call.out.line(sign, db, key)
    else:
        call.out.line(sign, key)
