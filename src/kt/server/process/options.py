"""Command lines of the servers: a table of flags, and one reader for every table.

The original servers take single-dash words (``-port 1978``), options before the first argument that
does not begin with a dash, and ``--`` before an argument that does (the database ``-``). After the
first such argument everything is an argument. A flag of the originals that is not there yet is
refused by name, never ignored; but one that only says how such a thing is to be done has no effect
as long as that thing is not asked for, in the originals and here, so start scripts may give it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isnan
from typing import Any, Final, NamedTuple

from kt.errors import ImproperlyConfigured
from kt.server.process.log import Level

MAX_THREADS = 64
MAX_SPIN = 1_000_000
DURABLE = ("none", "process", "device")


class Flag(NamedTuple):
    """One flag: what it sets, and how.

    Attributes:
        name: with its dash.
        field: the attribute of the options that it sets.
        convert: makes the value out of the words that follow; None for a switch.
        value: what a switch sets.
        combine: makes one value of the one so far (or None) and a new one; None: the last counts.
        word: names of the words that follow, one for each, in the help.
        help: one line.
    """

    name: str
    field: str
    help: str
    word: str = ""
    convert: Callable[..., Any] | None = None
    value: Any = True
    combine: Callable[[Any, Any], Any] | None = None


class Front(NamedTuple):
    """A second port, at which a server speaks another protocol.

    Attributes:
        host: address or name to listen on; None for this machine only.
        port: 1 to 65535.
        timeout: seconds that a request may stand still half-way; 0 or less for no limit.
    """

    host: str | None
    port: int
    timeout: float


@dataclass(kw_only=True, slots=True)
class ServiceOptions:
    """What every server can be told.

    Attributes:
        program: name for messages.
        host: address or name to listen on; None for this machine only. With port 0, the path of a
            Unix socket.
        port: 1 to 65535; 0 for a Unix socket.
        timeout: seconds that a request may stand still half-way; 0 or less for no limit.
        threads: worker threads for operations that may take long.
        spin: microseconds for which an I/O thread without work waits awake.
        log_path: file; None for standard output.
        log_level: least important level logged.
        daemon: go on in the background.
        pid_path: file to hold the process ID.
        script: file with Lua functions, or the name of one of ours; None for no scripts.
        script_seconds: time that a call of one of them may take; 0 for no limit.
        script_memory: bytes that the Lua state of one worker may hold; 0 for no limit.
        tls_cert: file with our certificate, and those between it and the authority; clients must
            speak TLS. None: they must not.
        tls_key: file with its key; None: it is in the same file.
        tls_ca: file with the authorities one of which must have signed a client's certificate;
            None: clients need none.
        master_tls_ca: file with the authorities that we trust to tell a master from others, with
            which we speak TLS; None for a link without.
        master_tls_cert: file with the certificate that we show to a master; None for none.
        master_tls_key: file with its key; None: it is in the same file.
        allow: who may do what, see `kt.server.process.access`; nothing: everybody everything.
        restore_to: instead of serving, make the databases as they were at this time (nanoseconds).
        restore_from: the time of which they are now; None: they are not there.
        front: where another protocol is spoken; None: nowhere.
    """

    program: str
    host: str | None = None
    port: int = 1978
    timeout: float = 30.0
    threads: int = 16
    spin: int = 100
    log_path: str | None = None
    log_level: Level = Level.DEBUG
    daemon: bool = False
    pid_path: str | None = None
    script: str | None = None
    script_seconds: float = 0.0
    script_memory: int = 0
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_ca: str | None = None
    master_tls_ca: str | None = None
    master_tls_cert: str | None = None
    master_tls_key: str | None = None
    allow: tuple[tuple[str, str], ...] = ()
    restore_to: int | None = None
    restore_from: int | None = None
    front: Front | None = None


def integer(word: str) -> int:
    """A decimal number, with an optional binary suffix: ``64k``, ``1m``, ``2g``, ``1t``."""
    shift = {"k": 10, "m": 20, "g": 30, "t": 40}.get(word[-1:].lower(), 0)
    return number(word[:-1] if shift else word) << shift


def number(word: str) -> int:
    """A decimal number."""
    try:
        return int(word)
    except ValueError:
        raise ValueError("this is not a number") from None


def seconds(word: str) -> float:
    """A time in seconds, with or without a fraction."""
    with suppress(ValueError):
        if not isnan(amount := float(word)):
            return amount
    raise ValueError("this is not a number of seconds")


def milliseconds(word: str) -> float:
    """A time in milliseconds, with or without a fraction; 0, or anything below, for none."""
    try:
        return max(seconds(word), 0.0)
    except ValueError:
        raise ValueError("this is not a number of milliseconds") from None


def port(word: str) -> int:
    """A TCP port, or 0 for a Unix socket, as which ttserver takes everything below 1.

    The original ktserver knows no Unix sockets, and refuses ports above 32767; neither limit is
    kept.
    """
    chosen = number(word)
    if chosen > 65535:
        raise ValueError("a port is a number from 1 to 65535, or 0 for a Unix socket")
    return max(chosen, 0)


def log_limit(word: str) -> int:
    """A number of bytes; 0, as which the original servers take everything below 1, for no limit."""
    return max(integer(word), 0)


class Retention(NamedTuple):
    """How much of an update log is kept.

    Attributes:
        bytes: of all its files; 0 for no limit.
        seconds: since the last change in a file; 0 for no limit.
    """

    bytes: int = 0
    seconds: float = 0.0


EVERYTHING_KEPT: Final = Retention()


def retention(word: str) -> Retention:
    """A number of bytes, or of hours or days: ``10g``, ``72h``, ``7d``."""
    unit = {"h": 3600.0, "d": 86400.0}.get(word[-1:].lower())
    try:
        amount = integer(word) if unit is None else number(word[:-1])
    except ValueError:
        amount = 0
    if amount <= 0:
        raise ValueError("it is a number of bytes (10g), or of hours (72h) or days (7d)")
    return Retention(bytes=amount) if unit is None else Retention(seconds=amount * unit)


def both_limits(so_far: Retention | None, more: Retention) -> Retention:
    """What is given as bytes and as a time holds together."""
    before = so_far or Retention()
    return Retention(more.bytes or before.bytes, more.seconds or before.seconds)


def moment(word: str) -> int:
    """A time, ISO 8601 or nanoseconds since the epoch."""
    from kt.moments import read_moment  # imports datetime, which few command lines need

    try:
        return read_moment(word)
    except ValueError:
        raise ValueError("this is no time like '2026-11-01 12:00:00'") from None


def server_id(word: str) -> int:
    """The number of a server in update logs and replication."""
    number = int(word)
    if not 0 <= number <= 65535:
        raise ValueError("it is a number from 0 to 65535")
    return number


def durable(word: str) -> str:
    """What of the server's data outlives what."""
    if word not in DURABLE:
        raise ValueError(f"it is one of {', '.join(DURABLE)}")
    return word


def threads(word: str) -> int:
    """A number of threads; above `MAX_THREADS` counts as that, as in the original servers."""
    wanted = number(word)
    if wanted < 1:
        raise ValueError("at least one thread is needed")
    return min(wanted, MAX_THREADS)


def spin(word: str) -> int:
    """A time in microseconds, 0 for none."""
    chosen = number(word)
    if not 0 <= chosen <= MAX_SPIN:
        raise ValueError(f"it is a number from 0 to {MAX_SPIN}")
    return chosen


def read_command_line(
    program: str,
    flags: Sequence[Flag],
    words: Sequence[str],
) -> tuple[dict[str, Any], list[str]]:
    """Read a command line by a table of flags.

    Args:
        program: name for messages.
        flags: the table.
        words: the command line after the program's name.

    Returns:
        the fields set, and the arguments.

    Raises:
        ImproperlyConfigured: an unknown flag, or a wrong or missing word after one.
    """
    table = {flag.name: flag for flag in flags}
    fields: dict[str, Any] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        name = rest.pop(0)
        if name == "--":
            break
        flag = table.get(name)
        if flag is None:
            raise ImproperlyConfigured(f"{name}: no such option; {program} --help lists them")
        value = _value(flag, rest)
        if flag.combine is not None:
            value = flag.combine(fields.get(flag.field), value)
        fields[flag.field] = value
    return fields, rest


def _value(flag: Flag, rest: list[str]) -> Any:
    if flag.convert is None:
        return flag.value
    words = _words(flag.name, flag.word, rest)
    try:
        return flag.convert(*words)
    except ValueError as error:
        raise ImproperlyConfigured(f"{flag.name} {' '.join(words)}: {error}") from None


def _words(name: str, form: str, rest: list[str]) -> list[str]:
    """Take the words that follow a flag, as many as there are in `form`."""
    count = len(form.split())
    words = rest[:count]
    del rest[:count]
    if len(words) < count:
        raise ImproperlyConfigured(f"{name} needs a value: {name} {form.strip()}")
    return words


def usage(program: str, purpose: str, flags: Sequence[Flag], arguments: str) -> str:
    """The text of ``--help``."""
    lines = [f"usage: {program} [OPTION ...] {arguments}", "", purpose, ""]
    shown = [f"{flag.name} {flag.word}".rstrip() for flag in flags]
    width = max(map(len, shown))
    lines += [f"  {left:<{width}}  {flag.help}" for left, flag in zip(shown, flags, strict=True)]
    return "\n".join(lines) + "\n"


SERVICE_FLAGS: tuple[Flag, ...] = (
    Flag("-host", "host", "listen on this address only, or at this path", "NAME", str),
    Flag("-port", "port", "listen on this port (1978); 0: -host is a Unix socket", "NUMBER", port),
    Flag(
        "-tout",
        "timeout",
        "give up half-sent requests and unread replies after this",
        "SECONDS",
        seconds,
    ),
    Flag("-spin", "spin", "wait awake for so long (100), which saves time", "MICROSECONDS", spin),
    Flag("-log", "log_path", "log to a file instead of standard output", "FILE", str),
    Flag("-pid", "pid_path", "keep the process ID in a file", "FILE", str),
    Flag("-dmn", "daemon", "go on in the background"),
)
"""The flags that both original servers spell alike."""


def _rule(who: str, rights: str) -> tuple[str, str]:
    return who, rights


def _more_rules(
    so_far: tuple[tuple[str, str], ...] | None, rule: tuple[str, str]
) -> tuple[tuple[str, str], ...]:
    return (*(so_far or ()), rule)


LOG_KEEP_FLAG: Final = Flag(
    "-ulog-keep",
    "log_keep",
    "remove its old files: bytes (10g) or a time (72h, 7d) to keep",
    "AMOUNT",
    retention,
    combine=both_limits,
)

RESTORE_FLAGS: Final = (
    Flag(
        "-restore-to",
        "restore_to",
        "do not serve: make the databases as they were then, from -ulog",
        "TIME",
        moment,
    ),
    Flag("-restore-from", "restore_from", "their files are there, as of this time", "TIME", moment),
)
"""Flags of our own to go back to a time."""

ACCESS_FLAGS: tuple[Flag, ...] = (
    Flag(
        "-allow",
        "allow",
        "let *, unix, an address, a network or cert:NAME do all, none, or what is listed of read,"
        " write, admin, scripts; the first that fits counts",
        "WHO RIGHTS",
        _rule,
        combine=_more_rules,
    ),
    Flag("-tls-cert", "tls_cert", "speak TLS, with this certificate", "FILE", str),
    Flag("-tls-key", "tls_key", "its key, if it is not in the same file", "FILE", str),
    Flag("-tls-ca", "tls_ca", "who must have signed the certificates of clients", "FILE", str),
    Flag("-mtls-ca", "master_tls_ca", "follow by TLS masters with this authority", "FILE", str),
    Flag("-mtls-cert", "master_tls_cert", "the certificate to show to a master", "FILE", str),
    Flag("-mtls-key", "master_tls_key", "its key, if it is not in the same file", "FILE", str),
)
"""Flags of our own: TLS, of clients and to a master, and who may do what."""

SCRIPT_FLAGS: tuple[Flag, ...] = (
    Flag("-script-time", "script_seconds", "end a script's call after this", "SECONDS", seconds),
    Flag("-script-memory", "script_memory", "end one that holds more than this", "BYTES", integer),
)
"""Flags of our own for servers with scripts."""
