"""What kt-tyrant tells of itself: to `stat`, to memcached's `stats`, and to OPTIONS of HTTP."""

from __future__ import annotations

import os
import resource
import struct
import sys
import time
from collections.abc import Callable
from typing import Final

from kt.server import times
from kt.server.tyrant.identity import Facts, identity, usage
from kt.server.tyrant.options import Command
from kt.server.tyrant.service import TyrantService
from kt.wire.tyrant_commands import TYRANT_VERSION

PUT_MISSES: Final = 26
OUT_MISSES: Final = 27
GET_MISSES: Final = 28
"""What the engine counts besides the commands."""

_COUNTED: Final = tuple(Command)[: Command.SLAVE]
_STORING: Final = (Command.PUT, Command.PUTKEEP, Command.PUTCAT, Command.PUTSHL, Command.PUTNR)


def describe(service: TyrantService, descriptor: int) -> Facts:
    """Names and values, in the original's order.

    Args:
        service: what it serves with.
        descriptor: the number of the socket that asks.
    """
    database = service.database
    facts: Facts = [
        *identity(service.server_id),
        ("type", database.type_name),
        ("path", database.path),
        ("rnum", database.count()),
        ("size", database.size()),
    ]
    if (error := database.fatal_error) is not None:
        facts.append(("fatal", error))
    facts.append(("bigend", int(sys.byteorder == "big")))
    if service.slave is not None:
        facts += service.slave.facts()
    return facts + usage(descriptor, service.start_time)


def count_columns(service: TyrantService) -> Facts:
    """How often each command came, and how often one failed."""
    counts = service.core.counts()
    columns: Facts = [(f"cnt_{command.name.lower()}", counts[command]) for command in _COUNTED]
    columns += [
        ("cnt_put_miss", counts[PUT_MISSES]),
        ("cnt_out_miss", counts[OUT_MISSES]),
        ("cnt_get_miss", counts[GET_MISSES]),
    ]
    return columns


def stat(service: TyrantService, descriptor: int, allowed: bool) -> bytes:
    """The lines that `stat` answers; only the counts if it is not allowed."""
    facts = [*describe(service, descriptor), *service.followers.facts()] if allowed else []
    facts += count_columns(service)
    if service.core.timed:
        facts.append(("times", times.text(*service.core.times())))
    lines = (f"{name}\t{value}\n" for name, value in facts)
    return "".join(lines).encode("utf-8", "surrogateescape")


def option_headers(
    service: TyrantService, descriptor: int, forbids: Callable[..., bool]
) -> list[tuple[bytes, bytes]]:
    """The headers that answer OPTIONS: what is allowed, and the same facts."""
    methods = ["OPTIONS"]
    for method, command, group in (
        ("GET", Command.GET, Command.ALLREAD),
        ("HEAD", Command.VSIZ, Command.ALLREAD),
        ("PUT", Command.PUT, Command.ALLWRITE),
        ("POST", Command.EXT, Command.ALLWRITE),
        ("DELETE", Command.OUT, Command.ALLWRITE),
    ):
        if not forbids(command, group):
            methods.append(method)
    headers = [("Allow", ", ".join(methods))]
    headers += [(f"X-TT-{n.upper()}", str(value)) for n, value in describe(service, descriptor)]
    return [(name.encode(), text.encode("utf-8", "surrogateescape")) for name, text in headers]


def stats(service: TyrantService) -> bytes:
    """The lines that memcached's `stats` answers, without the end."""
    counts = service.core.counts()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    now = int(time.time())
    facts: Facts = [
        ("pid", os.getpid()),
        ("uptime", now - int(service.start_time)),
        ("time", now),
        ("version", TYRANT_VERSION),
        ("pointer_size", struct.calcsize("P") * 8),
        ("rusage_user", f"{usage.ru_utime:.6f}"),
        ("rusage_system", f"{usage.ru_stime:.6f}"),
    ]
    for name, total, misses in (
        ("set", sum(counts[command] for command in _STORING), counts[PUT_MISSES]),
        ("delete", counts[Command.OUT], counts[OUT_MISSES]),
        ("get", counts[Command.GET], counts[GET_MISSES]),
    ):
        facts += [
            (f"cmd_{name}", total),
            (f"cmd_{name}_hits", total - misses),
            (f"cmd_{name}_misses", misses),
        ]
    records = service.database.count()
    facts += [
        ("cmd_flush", counts[Command.VANISH]),
        ("curr_items", records),
        ("total_items", records),
        ("bytes", service.database.size()),
        ("threads", service.threads),
    ]
    return "".join(f"STAT {name} {value}\r\n" for name, value in facts).encode()
