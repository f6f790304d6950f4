"""What the procedure `report` answers: columns of the names and forms that the original's have."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from kt.server import times
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import LIBRARY_FEATURES, LIBRARY_VERSION, Database
from kt.server.tycoon.procedures import Columns
from kt.server.tycoon.service import TycoonService
from kt.version import VERSION

_PROCESS_MEMORY: Final = {
    "VmPeak": "sys_mem_peak",
    "VmSize": "sys_mem_size",
    "VmRSS": "sys_mem_rss",
}
_SYSTEM_MEMORY: Final = {
    "MemTotal": "sys_mem_total",
    "MemFree": "sys_mem_free",
    "Cached": "sys_mem_cached",
}


class Process(NamedTuple):
    """What a report tells of the process.

    Attributes:
        program: its name.
        connections: how many are open.
        tasks: how many of them have work under way.
        threads: how many worker threads there may be.
        start_time: Unix time.
        features: what it was built with, each in parentheses.
    """

    program: str
    connections: int
    tasks: int
    threads: int
    start_time: float
    features: str


def report(service: TycoonService, process: Process) -> Columns:
    """The state of the databases, of the process and of the system it runs on."""
    columns: dict[str, object] = {}
    columns.update(_databases(service))
    columns.update(_process(process))
    if service.history is not None:
        columns["serv_sid"] = service.history.server
    if service.following is not None:
        columns.update(service.following.facts())
    if service.mastership is not None:
        columns.update(service.mastership.facts())
    if service.quorum is not None:
        columns.update(service.quorum.facts())
    columns.update(service.followers.facts())
    columns.update(_system())
    columns.update(_counts(service))
    columns.update(_commands(service))
    return {name.encode(): str(value).encode() for name, value in columns.items()}


def _databases(service: TycoonService) -> Iterator[tuple[str, object]]:
    total_count = total_size = 0
    for index, database in enumerate(service.databases):
        count, size = _count_and_size(database)
        yield f"db_{index}", f"count={count} size={size} path={database.path}"
        total_count += count
        total_size += size
    yield "db_total_count", total_count
    yield "db_total_size", total_size


def _count_and_size(database: Database) -> tuple[int, int]:
    try:
        return database.count(), database.size()
    except EngineError:  # plain text files do not know
        return -1, -1


def _process(process: Process) -> Iterator[tuple[str, object]]:
    now = time.time()
    yield "serv_conn_count", process.connections
    yield "serv_task_count", process.tasks
    yield "serv_thread_count", process.threads
    yield "serv_current_time", f"{now:.6f}"
    yield "serv_running_term", f"{now - process.start_time:.6f}"
    yield "serv_proc_id", os.getpid()
    yield "conf_kt_version", f"{VERSION} ({process.program})"
    yield "conf_kt_features", process.features
    yield "conf_kc_version", LIBRARY_VERSION
    yield "conf_kc_features", LIBRARY_FEATURES
    yield "conf_os_name", os.uname().sysname


def _system() -> Iterator[tuple[str, object]]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield "sys_ru_utime", f"{usage.ru_utime:.6f}"
    yield "sys_ru_stime", f"{usage.ru_stime:.6f}"
    yield from _kilobytes("/proc/self/status", _PROCESS_MEMORY)
    yield from _kilobytes("/proc/meminfo", _SYSTEM_MEMORY)


def _kilobytes(path: str, wanted: dict[str, str]) -> Iterator[tuple[str, object]]:
    """Bytes from lines like ``VmRSS:  5692 kB``; nothing on a system without such files."""
    try:
        with open(path, encoding="ascii") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name in wanted:
                    yield wanted[name], int(value.split()[0]) * 1024
    except OSError:
        return


def _counts(service: TycoonService) -> Iterator[tuple[str, object]]:
    totals = dict(service.counts)
    for kind, count in service.core.counts().items():
        totals[kind] += count
    for kind, count in totals.items():
        yield f"cnt_{kind}", count


def _commands(service: TycoonService) -> Iterator[tuple[str, object]]:
    """What the original does not tell: commands by protocol and name, and the times of requests."""
    commands = Counter(service.core.commands())
    commands.update(service.commands)
    for name, count in sorted(commands.items()):
        if count:
            yield f"cmd_{name}", count
    if service.core.timed:
        yield "serv_times", times.text(*service.core.times())
