"""What ``-plex`` tells the front for memcached's clients: ``port=11211#opts=f``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from kt.server.process.options import Front, number, seconds, threads

LIBRARY: Final = "ktplugservmemc"
"""The original's file, but for ``.so``."""

PORT: Final = 11211
TIMEOUT: Final = 30.0
THREADS: Final = 16
QUEUE_TIMEOUT: Final = 10.0
"""Seconds."""

LETTERS: Final = {"f": "flags", "q": "queues", "r": "read_only"}
"""Those of ``opts``."""


class MemcachedOptions(NamedTuple):
    """What ``-plex`` says.

    Attributes:
        host: address or name to listen on; None for that of the server.
        port: 1 to 65535.
        timeout: seconds that a request may stand still half-way; 0 or less for no limit.
        threads: worker threads for operations that may take long, as ``stats`` tells them.
        flags: keep the flags of records behind their values.
        queues: keys are queues, see `kt.server.tycoon.memcached.queues`.
        read_only: refuse what changes records.
        queue_timeout: seconds that ``get`` waits for an element of a queue.
    """

    host: str | None = None
    port: int = PORT
    timeout: float = TIMEOUT
    threads: int = THREADS
    flags: bool = False
    queues: bool = False
    read_only: bool = False
    queue_timeout: float = QUEUE_TIMEOUT

    def front(self, server_host: str | None) -> Front:
        """Where to listen; `server_host` is where the server does, None if that says nothing."""
        return Front(server_host if self.host is None else self.host, self.port, self.timeout)


def plugin_server(word: str) -> MemcachedOptions:
    """Which plug-in server is meant: there is one, of which the path does not matter."""
    if os.path.splitext(os.path.basename(word))[0] != LIBRARY:
        raise ValueError(
            f"there is no such plug-in server here, only {LIBRARY}.so (memcached's protocol)"
        )
    return MemcachedOptions()


def _port(word: str) -> int:
    chosen = number(word)
    if not 0 < chosen < 65536:
        raise ValueError("a port is a number from 1 to 65535")
    return chosen


def _letters(word: str) -> dict[str, bool]:
    if unknown := set(word) - LETTERS.keys():
        raise ValueError(f"{''.join(sorted(unknown))}: the options are {', '.join(LETTERS)}")
    return {LETTERS[letter]: True for letter in word}


def _fields(field: str, convert: Callable[[str], Any]) -> Callable[[str], dict[str, Any]]:
    return lambda word: {field: convert(word)}


_NAMES: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "host": _fields("host", str),
    "port": _fields("port", _port),
    "tout": _fields("timeout", seconds),
    "timeout": _fields("timeout", seconds),
    "th": _fields("threads", threads),
    "thnum": _fields("threads", threads),
    "opts": _letters,
    "options": _letters,
    "qtout": _fields("queue_timeout", seconds),
    "qtimeout": _fields("queue_timeout", seconds),
}


def memcached_options(expression: str) -> MemcachedOptions:
    """Read ``NAME=VALUE#NAME=VALUE``.

    Raises:
        ValueError: a name or a value is none; the message says which.
    """
    fields: dict[str, Any] = {}
    for part in filter(None, expression.split("#")):
        name, equals, word = part.partition("=")
        if name not in _NAMES or not equals:
            raise ValueError(f"{part}: there are host, port, tout, th, opts and qtout, each with =")
        try:
            fields.update(_NAMES[name](word))
        except ValueError as error:
            raise ValueError(f"{part}: {error}") from None
    options = MemcachedOptions(**fields)
    if options.queues and options.read_only:
        raise ValueError("queues (opts=q) cannot be read-only (opts=r)")
    return options
