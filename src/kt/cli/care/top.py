"""The verb `top`: what a server does, second by second.

A server counts since its start. Two of its reports and the time between them make rates; the first
line of output is therefore there after one interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kt.cli.care.clusters import ClusterSample, cluster_text, clusters_of
from kt.cli.care.times import times_of
from kt.cli.commands import Call, option, verb
from kt.cli.faults import Usage
from kt.cli.target import Target

if TYPE_CHECKING:
    from rich.table import Table

Report = Mapping[str, int | float | str]


class Sample(NamedTuple):
    """What a server does.

    Attributes:
        rates: calls per second, by kind; those of kinds that have been called at least once.
        misses: of them, gets, removes and so on that found nothing; by kind.
        records: of all databases.
        size: of all databases, in bytes.
        memory: that the process has, in bytes.
        connections: that are open; None where the server does not tell.
        half: seconds that half of the requests did not take; None where the server does not tell,
            or without any.
        most: the same of 99 of 100.
        slow: requests per second that took longer than asked for; None where the server does not
            tell.
        clusters: that the databases of a gateway are on.
    """

    rates: dict[str, float]
    misses: dict[str, float]
    records: int
    size: int
    memory: int
    connections: int | None
    half: float | None = None
    most: float | None = None
    slow: float | None = None
    clusters: tuple[ClusterSample, ...] = ()


SLOW: Final = 0.1
"""Seconds above which a request is slow."""

TYCOON: Final = ("db_total_count", "db_total_size", "sys_mem_rss", "serv_conn_count")
TYRANT: Final = ("rnum", "size", "memrss", "")


def report_of(target: Target) -> Report:
    """What the server tells about itself."""
    if target.kind == "tyrant":
        return target.tyrant.status()
    return target.tycoon.report()


def sample(before: Report, after: Report, seconds: float, slow: float = SLOW) -> Sample:
    """What was done between two reports; `slow` is how many seconds a slow request takes."""
    rates: dict[str, float] = {}
    misses: dict[str, float] = {}
    for name, value in after.items():
        kind = name.removeprefix("cnt_")
        if kind == name or not value:
            continue
        rate = (_number(value) - _number(before.get(name, 0))) / max(seconds, 1e-6)
        plain = kind.removesuffix("_misses").removesuffix("_miss")
        (rates if plain == kind else misses)[plain] = round(rate, 1)
    names = TYCOON if "db_total_count" in after else TYRANT
    records, size, memory = (int(_number(after.get(name, 0))) for name in names[:3])
    connections = after.get(names[3])
    then, now = times_of(before), times_of(after)
    times = None if then is None or now is None else now.since(then)
    return Sample(
        rates,
        misses,
        records,
        size,
        memory,
        None if connections is None else int(connections),
        None if times is None else times.below(0.5),
        None if times is None else times.below(0.99),
        None if times is None else round(times.above(slow) / max(seconds, 1e-6), 1),
        tuple(clusters_of(before, after, seconds)),
    )


def _number(value: float | str) -> float:
    return float(value)


def bytes_text(size: float) -> str:
    """A size for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def times_text(now: Sample) -> list[str]:
    """How long requests took in the server, for people; nothing where it does not tell."""
    if now.half is None or now.most is None:
        return []
    texts = [f"half below {seconds_text(now.half)}", f"99 % below {seconds_text(now.most)}"]
    return [*texts, f"slow {now.slow:.1f}/s"] if now.slow else texts


def clusters_text(now: Sample) -> list[str]:
    """What a gateway tells of its clusters, for people."""
    texts = []
    for number, one in enumerate(now.clusters):
        ack = "" if one.ack is None else f", confirmed after {seconds_text(one.ack)}"
        texts.append(cluster_text(number, one) + ack)
    return texts


def seconds_text(seconds: float) -> str:
    """A time for people."""
    if seconds == inf:  # above the last limit of the servers
        return "8.4 s and more"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def one_line(now: Sample) -> str:
    """A sample as a line of text."""
    parts = [f"{kind} {rate:.0f}/s" for kind, rate in now.rates.items()]
    parts += [f"{kind} misses {rate:.0f}/s" for kind, rate in now.misses.items() if rate]
    parts += [f"{now.records} records", bytes_text(now.size), f"memory {bytes_text(now.memory)}"]
    if now.connections is not None:
        parts.append(f"{now.connections} connections")
    parts += [*times_text(now), *clusters_text(now)]
    return ", ".join(parts)


def as_table(url: str, now: Sample) -> Table:
    """A sample as a table."""
    from rich.table import Table

    head = f"{now.records:,} records, {bytes_text(now.size)}, memory {bytes_text(now.memory)}"
    if now.connections is not None:
        head += f", {now.connections} connections"
    head = "\n".join([", ".join([head, *times_text(now)]), *clusters_text(now)])
    table = Table("calls", "per second", "misses", title=f"{url}\n{head}", title_justify="left")
    for kind, rate in sorted(now.rates.items(), key=lambda item: -item[1]):
        missed = now.misses.get(kind)
        table.add_row(kind, f"{rate:,.0f}", "" if missed is None else f"{missed:,.0f}")
    return table


@verb(
    option("interval", "-i", "--interval", type=float, default=1.0, help="Seconds between."),
    option("number", "-n", "--count", type=int, help="So many times; without: until Ctrl-C."),
    option("slow", "--slow", type=float, default=SLOW, help="Seconds that a slow request takes."),
)
def do_top(call: Call, interval: float, number: int | None, slow: float) -> None:
    """Show what a server does: calls by kind, misses, slow requests, records, memory, connections.

    Bundled servers tell how long requests take, in steps: those are slow of which it is certain.
    """
    if interval <= 0:
        raise Usage("the interval is more than 0 seconds")
    if not slow >= 0:
        raise Usage("--slow is a number of seconds")
    import sys

    if call.out.as_json or not sys.stdout.isatty():
        _watch(call.target, interval, number, slow, lambda now: _print(call, now))
        return
    from rich.live import Live

    with Live(auto_refresh=False, screen=True) as live:

        def show(now: Sample) -> None:
            live.update(as_table(call.target.url, now), refresh=True)

        _watch(call.target, interval, number, slow, show)


def _print(call: Call, now: Sample) -> None:
    if call.out.as_json:
        members: dict[str, Any] = now._asdict()
        members["clusters"] = [one._asdict() for one in now.clusters]
        call.out.object(members)
    else:
        print(one_line(now), flush=True)


def _watch(
    target: Target,
    interval: float,
    number: int | None,
    slow: float,
    show: Callable[[Sample], None],
) -> None:
    pause = Event()
    before, then = report_of(target), monotonic()
    while number is None or number > 0:
        pause.wait(interval)
        after, now = report_of(target), monotonic()
        show(sample(before, after, now - then, slow))
        before, then = after, now
        number = None if number is None else number - 1
