"""What servers tell about themselves, as metrics of Prometheus.

A report of Kyoto Tycoon and a status of Tokyo Tyrant have different names for the same things; here
they come under one. What a server does not tell, because it is an original or has no such thing, is
left out. All servers are asked at once, each on a connection of its own: one that does not answer
delays a scrape by its timeout at most, and is ``kt_up 0``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import monotonic
from typing import Final, NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from kt.cli.care.clusters import numbers_of
from kt.cli.care.times import Times, times_of
from kt.cli.care.top import report_of
from kt.cli.target import open_target
from kt.errors import KTError
from kt.net.endpoint import without_login

Report = Mapping[str, int | float | str]


class Family(NamedTuple):
    """A metric: its help, whether it only grows, and its labels besides `server`."""

    text: str
    grows: bool = False
    labels: tuple[str, ...] = ()


DB: Final = ("db",)

FAMILIES: Final[dict[str, Family]] = {
    "kt_up": Family("1 if the server answered, else 0."),
    "kt_scrape_duration_seconds": Family("Time until the server had answered."),
    "kt_info": Family("Always 1; what the server is.", labels=("kind", "version")),
    "kt_operations": Family("Operations since the start.", True, ("operation",)),
    "kt_misses": Family("Of them, those that found no record.", True, ("operation",)),
    "kt_records": Family("Records of a database.", labels=("db", "path")),
    "kt_size_bytes": Family("Size of a database.", labels=("db", "path")),
    "kt_memory_resident_bytes": Family("Memory that the server's process has."),
    "kt_connections": Family("Open connections, that of the scrape among them."),
    "kt_tasks": Family("Requests that wait for a worker thread."),
    "kt_uptime_seconds": Family("Time since the start."),
    "kt_cpu_seconds": Family("Processor time of the server's process.", True, ("mode",)),
    "kt_replication_delay_seconds": Family("How far a slave is behind its master."),
    "kt_replication_behind_bytes": Family("What of its master's log a slave has not been sent."),
    "kt_replication_behind_changes": Family("How many changes that is."),
    "kt_ack_slaves": Family("Slaves that confirm writes to a kt-tycoon with -ack."),
    "kt_ack_waiting": Family("Replies that wait for slaves."),
    "kt_ack_late": Family("Writes that too few slaves confirmed in time.", True),
    "kt_commands": Family("Commands by protocol and name.", True, ("command",)),
    "kt_cluster_nodes": Family("Nodes of the cluster that a gateway's database is on.", False, DB),
    "kt_cluster_masters": Family("Of them, masters that have slots.", False, DB),
    "kt_cluster_replicas": Family("Of them, replicas that are not lost.", False, DB),
    "kt_cluster_slots": Family("Slots that somebody serves, of 16384.", False, DB),
    "kt_cluster_retries": Family(
        "What a gateway tried again, by the reason.", True, (*DB, "reason")
    ),
    "kt_cluster_acks": Family("Writes that waited for replicas to confirm them.", True, DB),
    "kt_cluster_ack_seconds": Family("Time for which they waited.", True, DB),
}
"""Every metric; Prometheus adds ``_total`` to those that grow."""

TIMES: Final = "kt_request_seconds"
TIMES_TEXT: Final = "Time from taking up a request until its reply is ready to be sent."

PLAIN: Final = {
    "sys_mem_rss": "kt_memory_resident_bytes",
    "memrss": "kt_memory_resident_bytes",
    "serv_conn_count": "kt_connections",
    "serv_task_count": "kt_tasks",
    "serv_running_term": "kt_uptime_seconds",
    "ru_real": "kt_uptime_seconds",
    "ack_slaves": "kt_ack_slaves",
    "ack_waiting": "kt_ack_waiting",
    "ack_late": "kt_ack_late",
    "repl_delay": "kt_replication_delay_seconds",
    "repl_bytes": "kt_replication_behind_bytes",
    "repl_changes": "kt_replication_behind_changes",
    "delay": "kt_replication_delay_seconds",
}
"""From what servers call a number to its metric."""

PROCESSOR: Final = {
    "sys_ru_utime": "user",
    "ru_user": "user",
    "sys_ru_stime": "system",
    "ru_sys": "system",
}


class Sample(NamedTuple):
    """A value of a metric, with the values of its family's labels."""

    name: str
    labels: tuple[str, ...]
    value: float


def samples(report: Report) -> Iterator[Sample]:
    """What a report holds."""
    tycoon = "conf_kt_version" in report
    version = str(report.get("conf_kt_version" if tycoon else "version", ""))
    yield Sample("kt_info", ("Kyoto Tycoon" if tycoon else "Tokyo Tyrant", version), 1)
    for name, value in report.items():
        if name.startswith("cnt_"):
            yield _operations(name.removeprefix("cnt_"), float(value))
        elif name.startswith("cmd_"):
            yield Sample("kt_commands", (name.removeprefix("cmd_"),), float(value))
        elif name in PLAIN:
            yield Sample(PLAIN[name], (), float(value))
        elif name in PROCESSOR:
            yield Sample("kt_cpu_seconds", (PROCESSOR[name],), float(value))
        elif name.startswith("db_") and name.removeprefix("db_").isdecimal():
            yield from _database(name.removeprefix("db_"), str(value))
    for index, numbers in numbers_of(report):
        yield from _cluster(str(index), numbers)
    if not tycoon:
        labels = ("0", str(report.get("path", "")))
        yield Sample("kt_records", labels, float(report["rnum"]))
        yield Sample("kt_size_bytes", labels, float(report["size"]))


def _operations(name: str, count: float) -> Sample:
    plain = name.removesuffix("_misses").removesuffix("_miss")
    return Sample("kt_operations" if plain == name else "kt_misses", (plain,), count)


def _database(index: str, text: str) -> Iterator[Sample]:
    """Read ``count=1 size=2 path=a file.kch``."""
    parts = dict(part.partition("=")[::2] for part in text.split(" ", 2))
    labels = (index, parts.get("path", ""))
    yield Sample("kt_records", labels, float(parts["count"]))
    yield Sample("kt_size_bytes", labels, float(parts["size"]))


def _cluster(db: str, numbers: Mapping[str, float]) -> Iterator[Sample]:
    """What a gateway tells of the cluster of a database."""
    for name, value in numbers.items():
        reason = name.removeprefix("retries_")
        if reason != name:
            yield Sample("kt_cluster_retries", (db, reason), value)
        elif f"kt_cluster_{name}" in FAMILIES and name != "retries":
            yield Sample(f"kt_cluster_{name}", (db,), value)


def histogram(times: Times) -> tuple[list[tuple[str, float]], float]:
    """What Prometheus wants of a histogram: how many up to each limit, and the sum."""
    total, buckets = 0, []
    for limit, count in zip(times.limits, times.counts, strict=True):
        total += count
        buckets.append(("+Inf" if limit == inf else repr(limit), float(total)))
    return buckets, times.seconds


class ServerCollector(Collector):
    """Asks servers whenever Prometheus asks for metrics.

    Args:
        urls: the servers.
        timeout: seconds that each of them may take.
    """

    def __init__(self, urls: Sequence[str], timeout: float) -> None:
        self._urls = urls
        self._timeout = timeout

    def describe(self) -> Iterator[Metric]:
        """Nothing: so that no server is asked before somebody wants to know."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Ask all servers, and yield what they tell."""
        with ThreadPoolExecutor(len(self._urls)) as threads:
            answers = list(threads.map(self._ask, self._urls))
        names = [without_login(url) for url in self._urls]
        found = [(server, each) for server, (each, _) in zip(names, answers, strict=True)]
        for name, (text, grows, labels) in FAMILIES.items():
            kind = CounterMetricFamily if grows else GaugeMetricFamily
            family = kind(name, text, labels=("server", *labels))
            for server, each in found:
                for sample in each:
                    if sample.name == name:
                        family.add_metric([server, *sample.labels], sample.value)
            if family.samples:
                yield family
        seconds = HistogramMetricFamily(TIMES, TIMES_TEXT, labels=["server"])
        for server, (_, times) in zip(names, answers, strict=True):
            if times is not None:
                seconds.add_metric([server], *histogram(times))
        if seconds.samples:
            yield seconds

    def _ask(self, url: str) -> tuple[list[Sample], Times | None]:
        begin, times = monotonic(), None
        try:
            target = open_target(url, self._timeout)
            try:
                report = report_of(target)
                found, times = list(samples(report)), times_of(report)
            finally:
                target.close()
        except (KTError, OSError, ValueError, KeyError):  # a report that makes no sense, too
            found, times = [Sample("kt_up", (), 0)], None
        else:
            found.append(Sample("kt_up", (), 1))
        return [*found, Sample("kt_scrape_duration_seconds", (), monotonic() - begin)], times
