"""The command line of kt-tyrant: that of the original ttserver.

A command mask forbids commands. ``-mask`` and ``-unmask`` take names, separated by commas or
spaces, and are worked off in their order: ``-mask all -unmask get,put`` leaves two commands. A name
is that of a command, or of a group: ``all``; ``allorg``, ``allmc`` and ``allhttp``, the commands of
one protocol; ``allread``, ``allwrite`` and ``allmanage``. A number of the form ``0x1F`` is the bits
themselves, those of `Command`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from kt.errors import ImproperlyConfigured
from kt.server.process.log import Level
from kt.server.process.options import (
    ACCESS_FLAGS,
    EVERYTHING_KEPT,
    LOG_KEEP_FLAG,
    RESTORE_FLAGS,
    SCRIPT_FLAGS,
    SERVICE_FLAGS,
    Flag,
    Retention,
    ServiceOptions,
    log_limit,
    number,
    port,
    read_command_line,
    seconds,
    server_id,
    threads,
)
from kt.server.session import Rights

PURPOSE: Final = "Serve a Tokyo Cabinet database by the protocols of Tokyo Tyrant."
ARGUMENTS: Final = "[DATABASE]"
PID_FILE: Final = "ttserver.pid"
"""Where a process in the background keeps its process ID, unless it is told."""


class Command(IntEnum):
    """The commands and the groups of commands: their bits in a mask, the engine's numbers."""

    PUT = 0
    PUTKEEP = 1
    PUTCAT = 2
    PUTSHL = 3
    PUTNR = 4
    OUT = 5
    GET = 6
    MGET = 7
    VSIZ = 8
    ITERINIT = 9
    ITERNEXT = 10
    FWMKEYS = 11
    ADDINT = 12
    ADDDOUBLE = 13
    EXT = 14
    SYNC = 15
    OPTIMIZE = 16
    VANISH = 17
    COPY = 18
    RESTORE = 19
    SETMST = 20
    RNUM = 21
    SIZE = 22
    STAT = 23
    MISC = 24
    REPL = 25
    SLAVE = 26
    ALLORG = 27
    ALLMC = 28
    ALLHTTP = 29
    ALLREAD = 30
    ALLWRITE = 31
    ALLMANAGE = 32


COMMANDS_OF: Final = {
    Rights.READ: (
        *(Command.GET, Command.MGET, Command.VSIZ, Command.ITERINIT, Command.ITERNEXT),
        *(Command.FWMKEYS, Command.RNUM, Command.SIZE, Command.STAT, Command.REPL),
    ),
    Rights.WRITE: (
        *(Command.PUT, Command.PUTKEEP, Command.PUTCAT, Command.PUTSHL, Command.PUTNR),
        *(Command.OUT, Command.ADDINT, Command.ADDDOUBLE, Command.VANISH),
    ),
    Rights.ADMIN: (
        *(Command.SYNC, Command.OPTIMIZE, Command.COPY, Command.RESTORE, Command.SETMST),
    ),
    Rights.SCRIPTS: (Command.EXT,),
}
"""What needs which right; `misc` needs what its function does."""

EVERYTHING: Final = 2**64 - 1
DURABLE: Final = ("none", "process", "device", "forget")


class Periodic(NamedTuple):
    """A function of the script that the server calls by itself, every so many seconds."""

    name: str
    seconds: float

    @classmethod
    def read(cls, name: str, word: str) -> Periodic:
        if not (interval := seconds(word)) > 0:
            raise ValueError("the time between two calls must be more than 0 seconds")
        return cls(name, interval)


@dataclass(kw_only=True, slots=True)
class TyrantOptions(ServiceOptions):
    """What kt-tyrant can be told beyond `ServiceOptions`.

    Attributes:
        database: Tokyo Cabinet's database expression, such as ``*`` or ``casket.tch#bnum=1m``.
        plugin: shared library whose database it is; None: Tokyo Cabinet's.
        stores: number of files that a new database is made of; 0 for one that is a file itself.
        mask: the bits of the forbidden commands.
        kill: end the server that the pid file names, before this one starts.
        periodic: functions of the script to be called every so often.
        log_directory: where the update log is; None for none.
        log_limit: bytes of a file of it after which the next one begins; 0 for no limit.
        log_keep: which of its old files are kept, beside those that are needed.
        log_asynchronous: has no effect: the log is always written before a command is answered.
        durable: ``process``: what was acknowledged outlives the process, by the update log;
            ``none``; ``forget``: likewise, and what only the log has of a file is given up.
        server_id: number of this server in update logs; 0 if it has none.
        master_host: whose update log to follow; None for nobody's.
        master_port: its port; 0 if `master_host` is the path of a Unix socket.
        stamp_path: file that keeps how far the master's log is carried out.
        consistent: follow no further than to the first command that turns out otherwise.
    """

    database: str = "*"
    plugin: str | None = None
    stores: int = 0
    mask: int = 0
    kill: bool = False
    periodic: tuple[Periodic, ...] = ()
    log_directory: str | None = None
    log_limit: int = 1 << 30
    log_keep: Retention = EVERYTHING_KEPT
    log_asynchronous: bool = False
    durable: str = "none"
    server_id: int = 0
    master_host: str | None = None
    master_port: int = 1978
    stamp_path: str = "ttserver.rts"
    consistent: bool = False
    timeout: float = 0.0
    threads: int = 8
    log_level: Level = Level.INFO


def command_mask(expression: str) -> int:
    """The bits of the commands in an expression.

    Raises:
        ValueError: there is no command or group of such a name. (The original ignores it.)
    """
    mask = 0
    for name in filter(None, re.split("[ ,]", expression.lower())):
        if name == "all":
            mask |= EVERYTHING
        elif name.startswith("0x"):
            mask |= _bits(name) & EVERYTHING
        elif name.upper() in Command.__members__:
            mask |= 1 << Command[name.upper()]
        else:
            raise ValueError(f"{name} is not a command")
    return mask


def durable(word: str) -> str:
    """What of the server's data outlives what."""
    if word not in DURABLE:
        raise ValueError(f"it is one of {', '.join(DURABLE)}")
    return word


def _bits(word: str) -> int:
    try:
        return int(word, 16)
    except ValueError:
        raise ValueError(f"{word} is not a hexadecimal number") from None


def _mask(so_far: int | None, more: int) -> int:
    return (so_far or 0) | more


def _unmask(so_far: int | None, less: int) -> int:
    return (so_far or 0) & ~less


def _more(so_far: tuple[Periodic, ...] | None, one: Periodic) -> tuple[Periodic, ...]:
    return (*(so_far or ()), one)


FLAGS: Final = (
    *SERVICE_FLAGS,
    Flag("-thnum", "threads", "worker threads for long operations (8)", "NUMBER", threads),
    Flag("-kl", "kill", "end the server that the pid file names, first"),
    Flag("-ld", "log_level", "log every command too", value=Level.DEBUG),
    Flag("-le", "log_level", "log start, stop and errors only", value=Level.SYSTEM),
    Flag("-mul", "stores", "spread a new database over so many files", "NUMBER", number),
    Flag("-skel", "plugin", "serve the database of this library for ttserver", "LIBRARY", str),
    Flag("-ulog", "log_directory", "keep an update log; needs -sid", "DIRECTORY", str),
    Flag("-ulim", "log_limit", "bytes of a file of it (1g); 0 for no limit", "BYTES", log_limit),
    LOG_KEEP_FLAG,
    Flag("-uas", "log_asynchronous", "no effect: it is always written before an answer"),
    Flag(
        "-durable",
        "durable",
        "none, process (a kill loses nothing) or device; with -ulog",
        "WHAT",
        durable,
    ),
    Flag("-sid", "server_id", "number of this server in update logs", "NUMBER", server_id),
    Flag("-mhost", "master_host", "follow the update log of this server; needs -sid", "NAME", str),
    Flag("-mport", "master_port", "its port (1978); 0: -mhost is a Unix socket", "NUMBER", port),
    Flag("-rts", "stamp_path", "keep how far it is followed here (ttserver.rts)", "FILE", str),
    Flag("-rcc", "consistent", "stop following at the first inconsistency"),
    Flag("-mask", "mask", "forbid these commands", "NAMES", command_mask, combine=_mask),
    Flag("-unmask", "mask", "allow these commands", "NAMES", command_mask, combine=_unmask),
    Flag("-ext", "script", "the Lua functions that clients may call", "FILE", str),
    Flag(
        "-extpc",
        "periodic",
        "call one of them every so many seconds",
        "NAME SECONDS",
        Periodic.read,
        combine=_more,
    ),
    *RESTORE_FLAGS,
    *SCRIPT_FLAGS,
    *ACCESS_FLAGS,
)


def tyrant_options(program: str, words: Sequence[str]) -> TyrantOptions:
    """Read kt-tyrant's command line.

    Raises:
        ImproperlyConfigured: it is wrong; the message says what.
    """
    fields, databases = read_command_line(program, FLAGS, words)
    if len(databases) > 1:
        raise ImproperlyConfigured(f"one database, not {len(databases)}: {' '.join(databases)}")
    if databases:
        fields["database"] = databases[0]
    options = TyrantOptions(program=program, **fields)
    if options.pid_path is None and (options.daemon or options.kill):
        options.pid_path = PID_FILE
    if options.plugin is not None:
        _check_plugin(options)
    return options


def _check_plugin(options: TyrantOptions) -> None:
    for flag, given in (
        ("-mul", options.stores > 0),
        ("-durable", options.durable != "none"),
        ("-restore-to", options.restore_to is not None),
    ):
        if given:
            raise ImproperlyConfigured(f"{flag} is for Tokyo Cabinet's own files: not with -skel")
