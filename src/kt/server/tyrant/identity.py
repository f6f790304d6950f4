"""What a server that speaks Tokyo Tyrant's protocol tells of its process, whatever it serves."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from typing import TypeAlias

from kt.wire.tyrant_commands import LIBRARY_VERSION, PROTOCOL_VERSION, TYRANT_VERSION

Facts: TypeAlias = list[tuple[str, object]]


def identity(server_id: int) -> Facts:
    """Who it is, and as what it behaves."""
    return [
        ("version", TYRANT_VERSION),
        ("libver", LIBRARY_VERSION),
        ("protver", PROTOCOL_VERSION),
        ("os", platform.system()),
        ("time", f"{time.time():.6f}"),
        ("pid", os.getpid()),
        ("sid", server_id),
    ]


def usage(descriptor: int, start_time: float) -> Facts:
    """What it uses.

    Args:
        descriptor: the number of the socket that asks.
        start_time: Unix time of its start.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    total, resident = _memory(used)
    return [
        ("fd", descriptor),
        ("loadavg", f"{os.getloadavg()[0]:.6f}"),
        ("memsize", total),
        ("memrss", resident),
        ("ru_user", f"{used.ru_utime:.6f}"),
        ("ru_sys", f"{used.ru_stime:.6f}"),
        ("ru_real", f"{time.time() - start_time:.6f}"),
    ]


def _memory(usage: resource.struct_rusage) -> tuple[int, int]:
    """Bytes of memory, and how many of them are resident; of both the peak if no more is known."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            total, resident = map(int, file.read().split()[:2])
    except OSError:
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return peak, peak
    return total * resource.getpagesize(), resident * resource.getpagesize()
