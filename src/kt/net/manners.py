"""How a client deals with its connections. Shared by both kinds of pool."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from time import monotonic
from typing import Final, NamedTuple

from kt.options import Retry

ONCE: Final = Retry(1)

FOREVER: Final = 1e6
"""Seconds that no exchange takes: with any timeout, a socket does not block in mid-operation."""


class Manners(NamedTuple):
    """What a client was told about its connections.

    Attributes:
        pool_size: for threads, idle connections that are kept; for asyncio, connections at a time.
        connect_timeout: seconds that one attempt to connect may take; None: as the call.
        retry: when to try again.
    """

    pool_size: int
    connect_timeout: float | None
    retry: Retry

    def connecting(self, timeout: float | None, begin: float) -> float | None:
        """Seconds for an attempt to connect now, in a call of `timeout` seconds from `begin` on."""
        limits = [] if self.connect_timeout is None else [self.connect_timeout]
        if timeout is not None:
            limits.append(max(timeout - (monotonic() - begin), 0.001))  # 0 would not wait at all
        return min(limits, default=None)

    def waits(self, reused: object = False) -> Iterator[float]:
        """Seconds before each further attempt; the server may just have hung up on an old one."""
        return chain((0.0,) if reused else (), self.retry.waits())


def upcoming(
    waits: Iterator[float], error: Exception, timeout: float | None, begin: float
) -> float | None:
    """Seconds to wait before the next attempt; None if there is none in time."""
    wait = next(waits, None)
    if wait is None or (timeout is not None and monotonic() - begin + wait >= timeout):
        return None
    from logging import getLogger  # not before it is needed: it takes long

    getLogger("kt").info("%s; trying again in %.3f s", error, wait)
    return wait
