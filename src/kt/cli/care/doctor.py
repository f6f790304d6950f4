"""The verb `doctor`: what is wrong with a server or a file, and the command that mends it.

It only reads: reports and statuses; of a file of Tokyo Cabinet, its header, which the protocol does
not show; of a server on this machine, its command line, which says what it was told to make sure.

The header of a file of Tokyo Cabinet, in the byte order that the library was built for, which the
number of records tells::

    magic[32] type:u8 flags:u8 apow:u8 fpow:u8 opts:u8 ...[3] bnum:u64 rnum:u64 size:u64
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from kt.cli.care.top import Report, bytes_text, report_of
from kt.cli.commands import Call, verb
from kt.cli.faults import No
from kt.cli.target import TOKYO, Target, is_file

CACHE_HASH: Final = 32
FILE_HASH: Final = 48
FILE_TREE: Final = 49
FILES: Final = range(48, 66)
"""Types of Kyoto Cabinet: those that are asked for, and all that are files."""

HEADER: Final = "32sBBBBB3xQQQ"
HEADER_SIZE: Final = 64
MAGIC: Final = b"ToKyO CaBiNeT\n"
TOKYO_HASHES: Final = (0, 3)
"""Hash and table."""
FATAL: Final = 2
"""Flag of a file of Tokyo Cabinet that is broken."""

PROGRAMS: Final = frozenset(("ktserver", "kt-tycoon", "ttserver", "kt-tyrant", "kt.server"))
"""Whose command lines are known."""

CROWDED: Final = 2
"""Records per bucket from which on chains are long."""
GAPS: Final = 0.5
"""Gaps per record that are many."""
FEW: Final = 10_000
"""A database of fewer records is quick in any case."""


class Finding(NamedTuple):
    """Something that could be better.

    Attributes:
        grave: data or the service are at stake; otherwise it is only slower than it could be.
        where: the database.
        text: what it is.
        cure: the command, or the option, that mends it.
    """

    grave: bool
    where: str
    text: str
    cure: str


def examine(target: Target) -> Iterator[Finding]:
    """Find what could be better."""
    if target.kind == "tyrant":
        yield from _tyrant(target)
        return
    from kt.cli.transfer.sources import Source

    report = report_of(target)
    yield from _server(report)
    files = False
    for db in Source(target).databases():
        status = target.tycoon.status(db)
        files = files or status.get("type") in FILES
        yield from kyoto_database(f"database {db}", target.url, db, status)
    words = None if is_file(target.url) else command_line(target, report)
    if files:
        yield from durability(words, "start it with -oat (or -oas), or keep a -ulog")
    yield from expiry(words)


def _tyrant(target: Target) -> Iterator[Finding]:
    """Find what could be better with a database of Tokyo Cabinet."""
    report = report_of(target)
    yield from _server(report)
    if is_file(target.url):
        yield from tokyo_file(target.url.partition("#")[0], target.tyrant.count())
    elif str(report.get("path")).partition("#")[0].endswith(TOKYO):
        cure = "keep a -ulog; kt-tyrant also has -durable"
        yield from durability(command_line(target, report), cure)


def _server(report: Report) -> Iterator[Finding]:
    """What a server's counters tell."""
    gets = _of(report, "cnt_get")
    misses = _of(report, "cnt_get_misses") + _of(report, "cnt_get_miss")
    if gets > FEW and misses > gets * 0.9:
        text = f"{misses / gets:.0%} of {gets:,.0f} gets found nothing"
        yield Finding(False, "server", text, "ask whether clients use the right keys and database")
    memory, total = _of(report, "sys_mem_rss"), _of(report, "sys_mem_total")
    if total and memory > total * 0.8:
        text = f"the process has {bytes_text(memory)} of {bytes_text(total)}"
        yield Finding(True, "server", text, "limit its databases in memory: '*#capsiz=BYTES'")


def _of(report: Mapping[str, int | float | str], name: str) -> float:
    return float(report.get(name, 0))


def kyoto_database(where: str, url: str, db: int, status: Report) -> Iterator[Finding]:
    """Find what could be better with a database of Kyoto Cabinet."""
    kind, count, size = (int(_of(status, name)) for name in ("type", "count", "size"))
    name = str(status.get("path", ""))
    mend = (
        f"kt convert {name} 'NEW{Path(name).suffix}#" if kind in FILES else f"start it as '{name}#"
    )
    buckets = int(_of(status, "bnum"))
    if kind in (CACHE_HASH, FILE_HASH) and count > max(buckets * CROWDED, FEW):
        text = f"{count:,} records share {buckets:,} buckets: each access looks at several"
        yield Finding(False, where, text, f"{mend}bnum={count * 2}'")
    if kind == FILE_HASH and _of(status, "frgcnt") > max(count * GAPS, FEW):
        text = f"{status['frgcnt']:,} gaps in the file for {count:,} records"
        yield Finding(False, where, text, f"kt vacuum {url} --db {db}, or start with #dfunit=8")
    if kind == FILE_TREE and size > _of(status, "pccap") * 4:
        text = f"the page cache holds {bytes_text(_of(status, 'pccap'))} of {bytes_text(size)}"
        yield Finding(False, where, text, f"start it as '{name}#pccap={size // 4}'")
    if kind == FILE_HASH and size > _of(status, "msiz") * 4:
        text = f"{bytes_text(_of(status, 'msiz'))} of {bytes_text(size)} are mapped into memory"
        yield Finding(False, where, text, f"start it as '{name}#msiz={size}'")
    if _of(status, "recovered") or _of(status, "reorganized"):
        text = "the file was not closed when it was used last, and had to be recovered"
        yield Finding(True, where, text, "compare with a backup; start the server with -oat")


def tokyo_file(path: str, count: int) -> Iterator[Finding]:
    """Find what could be better with a file of Tokyo Cabinet that has so many records."""
    with Path(path).open("rb") as file:
        head = file.read(HEADER_SIZE)
    if len(head) < HEADER_SIZE or not head.startswith(MAGIC):
        return
    both = (struct.unpack(order + HEADER, head) for order in "<>")
    _, kind, flags, _, _, _, buckets, records, _ = next(
        (fields for fields in both if fields[7] == count), (b"", 0, 0, 0, 0, 0, 1, 0, 0)
    )
    if flags & FATAL:
        yield Finding(True, path, "the file is broken", f"kt copy {path} NEW{Path(path).suffix}")
    if kind in TOKYO_HASHES and records > max(buckets * CROWDED, FEW):
        text = f"{records:,} records share {buckets:,} buckets: each access looks at several"
        cure = f"kt convert {path} 'NEW{Path(path).suffix}#bnum={records * 2}'"
        yield Finding(False, path, text, cure)


def command_line(target: Target, report: Report) -> list[str] | None:
    """How a server on this machine was started; None if that cannot be seen."""
    if target.client.host not in ("127.0.0.1", "localhost", "::1"):
        return None
    try:
        number = report.get("serv_proc_id", report.get("pid"))
        line = Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return None
    words = line.decode("utf-8", "replace").split("\0")
    names = {Path(word).name for word in words[:5]}
    return words if names & PROGRAMS else None


def durability(words: list[str] | None, cure: str) -> Iterator[Finding]:
    """Find that a server with files was told to make nothing sure."""
    if words is not None and not {"-oat", "-oas", "-ulog"} & set(words):
        text = (
            "after a crash of the machine or the server, the last writes to its files may be lost"
        )
        yield Finding(True, "server", text, cure)


def expiry(words: list[str] | None) -> Iterator[Finding]:
    """Find databases of a server in which nothing expires."""
    for word in words or ():
        name, *parameters = word.split("#")
        if any(each.startswith("ktopts=") and "p" in each[7:] for each in parameters):
            text = "records keep no expiry there, and stay"
            yield Finding(False, name, text, f"start it as {name!r} without ktopts=p")


@verb(patient=True)
def do_doctor(call: Call) -> None:
    """Look at a server or a file, and say what is wrong or could be quicker, and what mends it.

    1 is the exit status if something is wrong.
    """
    call.read_only = True
    findings = list(examine(call.target))
    for finding in findings:
        if call.out.as_json:
            call.out.object(finding._asdict())
        else:
            mark = "!" if finding.grave else "-"
            print(f"{mark} {finding.where}: {finding.text}\n    {finding.cure}")
    if not findings and not call.out.as_json:
        print("nothing found")
    grave = sum(finding.grave for finding in findings)
    if grave:
        raise No("something is wrong" if grave == 1 else f"{grave} things are wrong")
