"""The command line of kt-tycoon: that of the original ktserver."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

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
    durable,
    log_limit,
    milliseconds,
    port,
    read_command_line,
    seconds,
    server_id,
    threads,
)
from kt.server.tycoon.compressors import compressor
from kt.server.tycoon.memcached.options import (
    MemcachedOptions,
    memcached_options,
    plugin_server,
)

if TYPE_CHECKING:
    from kt.server.engines.log._log import Durable

MAX_DATABASES: Final = 200
ACK_TIMEOUT: Final = 5.0
"""Seconds."""
VOID: Final = "ktplugdbvoid"
"""The original's plug-in database, but for ``.so``."""
MAX_SLAVES: Final = 100
PURPOSE: Final = """Serve Kyoto Cabinet databases by the protocols of Kyoto Tycoon, or those on a
cluster of Valkey or Redis: valkey://HOST:PORT,HOST:PORT/NUMBER?layout=flat (or layout=tree)."""
ARGUMENTS: Final = "[DATABASE ...]"


@dataclass(kw_only=True, slots=True)
class TycoonOptions(ServiceOptions):
    """What kt-tycoon can be told beyond `ServiceOptions`.

    Attributes:
        databases: Kyoto Cabinet's database expressions, such as ``*`` or ``casket.kch#bnum=1m``.
        read_only: open the databases for reading.
        auto_transaction: each write is a transaction of its own.
        auto_synchronize: each write reaches the device before its reply.
        no_lock: do not lock the files.
        try_lock: fail at once when a file is locked, instead of waiting.
        no_repair: do not repair files that were not closed.
        synchronize_interval: seconds between two automatic synchronizations; 0 for none.
        synchronize_hard: automatic synchronization reaches the device.
        command_directory: where the commands are that `synchronize` may run.
        log_directory: where the update log is; None for none.
        log_limit: bytes of a file of it after which the next one begins; 0 for no limit.
        log_keep: which of its old files are kept, beside those that are needed.
        log_interval: seconds after which it is brought to the device; 0 for never.
        durable: what takes nothing of what was acknowledged: ``process`` a kill of the server,
            ``device`` a loss of power, too.
        server_id: number of this server in update logs; None if it has none.
        snapshot_directory: where snapshots are; None for none.
        snapshot_interval: seconds between two; 0 or less for none but that at the end.
        snapshot_compressor: ``none``, ``zlib``, ``lzo`` or ``lzma``.
        master_host: whose update log to follow; None for nobody's.
        master_port: its port; 0 if `master_host` is the path of a Unix socket.
        stamp_path: file that keeps how far the master's log has been applied.
        replication_interval: milliseconds that a change of the master may take at least, on
            average; 0 for no limit.
        copies: take a full copy of the master's databases where its log does not suffice.
        copy_rate: bytes a second that a slave gets of a copy at most; 0 for no limit.
        copy_keep: seconds for which a copy can go on after its link has ended.
        read_only_slave: while it follows a master, store only what that sends.
        leased: take writes only until a time that whoever decides about masters puts off.
        ack: so many slaves must have a write before it is acknowledged.
        ack_timeout: seconds after which a write that they do not have is answered by an error; 0 or
            less for no limit.
        memcached: the front for memcached's clients; None: there is none.
        memcached_expression: what ``-plex`` says of it.
        keeps_nothing: no records; what is written goes to the update log only.
    """

    databases: list[str] = field(default_factory=lambda: [":"])
    read_only: bool = False
    auto_transaction: bool = False
    auto_synchronize: bool = False
    no_lock: bool = False
    try_lock: bool = False
    no_repair: bool = False
    synchronize_interval: float = 0.0
    synchronize_hard: bool = False
    command_directory: str = "."
    log_directory: str | None = None
    log_limit: int = 256 << 20
    log_keep: Retention = EVERYTHING_KEPT
    log_interval: float = 0.0
    durable: Durable = "none"
    server_id: int | None = None
    snapshot_directory: str | None = None
    snapshot_interval: float = 180.0
    snapshot_compressor: str = "none"
    master_host: str | None = None
    master_port: int = 1978
    stamp_path: str | None = None
    replication_interval: float = 0.0
    copies: bool = False
    copy_rate: int = 32 << 20
    copy_keep: float = 300.0
    read_only_slave: bool = False
    leased: bool = False
    ack: int = 0
    ack_timeout: float = ACK_TIMEOUT
    memcached: MemcachedOptions | None = None
    memcached_expression: str = ""
    keeps_nothing: bool = False


def plugin_database(word: str) -> bool:
    """Whether the plug-in database is meant that there is; its path does not matter."""
    if os.path.splitext(os.path.basename(word))[0] != VOID:
        raise ValueError(
            f"there is no such plug-in database here, only {VOID}.so (keeps no records)"
        )
    return True


def slaves(word: str) -> int:
    """A number of slaves."""
    number = int(word)
    if not 0 <= number <= MAX_SLAVES:
        raise ValueError(f"it is a number from 0 to {MAX_SLAVES}")
    return number


FLAGS: Final = (
    *SERVICE_FLAGS,
    Flag("-th", "threads", "worker threads for long operations (16)", "NUMBER", threads),
    Flag("-li", "log_level", "log connections and requests, not debugging", value=Level.INFO),
    Flag("-ls", "log_level", "log what the server does by itself, and errors", value=Level.SYSTEM),
    Flag("-le", "log_level", "log errors only", value=Level.ERROR),
    Flag("-lz", "log_level", "log nothing", value=Level.NOTHING),
    Flag("-ord", "read_only", "open the databases for reading"),
    Flag("-oat", "auto_transaction", "make each write a transaction"),
    Flag("-oas", "auto_synchronize", "bring each write to the device"),
    Flag("-onl", "no_lock", "do not lock the files"),
    Flag("-otl", "try_lock", "do not wait for locked files"),
    Flag("-onr", "no_repair", "do not repair broken files"),
    Flag("-asi", "synchronize_interval", "synchronize every so often", "SECONDS", seconds),
    Flag("-ash", "synchronize_hard", "such synchronization reaches the device"),
    Flag("-ulog", "log_directory", "keep an update log; needs -sid", "DIRECTORY", str),
    Flag("-ulim", "log_limit", "bytes of a file of it (256m); 0 for no limit", "BYTES", log_limit),
    LOG_KEEP_FLAG,
    Flag("-uasi", "log_interval", "bring it to the device every so often", "SECONDS", seconds),
    Flag("-durable", "durable", "none, process (a kill loses nothing) or device", "WHAT", durable),
    Flag("-sid", "server_id", "number of this server in update logs", "NUMBER", server_id),
    Flag("-bgs", "snapshot_directory", "take snapshots, apply them at start", "DIRECTORY", str),
    Flag("-bgsi", "snapshot_interval", "seconds between two of them (180)", "SECONDS", seconds),
    Flag("-bgsc", "snapshot_compressor", "none, zlib, lzo or lzma", "NAME", compressor),
    Flag("-mhost", "master_host", "follow this server; needs -sid and -rts", "NAME", str),
    Flag("-mport", "master_port", "its port (1978); 0: -mhost is a Unix socket", "NUMBER", port),
    Flag("-rts", "stamp_path", "keep here how far it is followed; needs -sid", "FILE", str),
    Flag(
        "-riv",
        "replication_interval",
        "take so long for each of its changes (0)",
        "MILLISECONDS",
        milliseconds,
    ),
    Flag("-ro-slave", "read_only_slave", "while it follows a master, refuse writes; needs -rts"),
    Flag("-lease", "leased", "take writes only until a time that RPC lease puts off; needs -rts"),
    Flag("-ack", "ack", "acknowledge what so many slaves have (0); needs -ulog", "SLAVES", slaves),
    Flag("-ack-timeout", "ack_timeout", "or fail after so long (5; 0: never)", "SECONDS", seconds),
    Flag("-copy", "copies", "take a full copy of the master where its log does not suffice"),
    Flag(
        "-copy-rate", "copy_rate", "send slaves so much of one a second (32m)", "BYTES", log_limit
    ),
    Flag("-copy-keep", "copy_keep", "let it go on so long after a cut (300)", "SECONDS", seconds),
    Flag("-cmd", "command_directory", "the commands that synchronize may run", "DIRECTORY", str),
    Flag("-scr", "script", "the Lua functions that clients may call", "FILE", str),
    Flag(
        "-plsv",
        "memcached",
        "serve memcached's clients at a second port; the one LIBRARY is ktplugservmemc.so",
        "LIBRARY",
        plugin_server,
    ),
    Flag(
        "-plex",
        "memcached_expression",
        "how: host=...#port=11211#tout=30#th=16#opts=frq#qtout=10",
        "EXPRESSION",
        str,
    ),
    Flag(
        "-pldb",
        "keeps_nothing",
        "keep no records, only the update log; the one LIBRARY is ktplugdbvoid.so",
        "LIBRARY",
        plugin_database,
    ),
    *RESTORE_FLAGS,
    *SCRIPT_FLAGS,
    *ACCESS_FLAGS,
)


def tycoon_options(program: str, words: Sequence[str]) -> TycoonOptions:
    """Read kt-tycoon's command line.

    Raises:
        ImproperlyConfigured: it is wrong; the message says what.
    """
    fields, databases = read_command_line(program, FLAGS, words)
    if databases:
        fields["databases"] = databases
    if len(databases) > MAX_DATABASES:
        raise ImproperlyConfigured(f"at most {MAX_DATABASES} databases, not {len(databases)}")
    options = TycoonOptions(program=program, **fields)
    if options.memcached is not None:
        _set_front(options)
    if options.keeps_nothing:
        _set_void(options, databases)
    return options


def _set_void(options: TycoonOptions, databases: Sequence[str]) -> None:
    if not databases:
        raise ImproperlyConfigured("-pldb needs a database: any name, under which it is reported")
    if options.restore_to is not None:
        raise ImproperlyConfigured("-pldb keeps no records: there is nothing to restore")
    options.databases = [f"{spec}#type=void" for spec in databases]


def _set_front(options: TycoonOptions) -> None:
    """Say where memcached's clients come."""
    try:
        options.memcached = memcached_options(options.memcached_expression)
    except ValueError as error:
        raise ImproperlyConfigured(f"-plex {options.memcached_expression}: {error}") from None
    options.front = options.memcached.front(options.host if options.port else None)
    options.threads = max(options.threads, options.memcached.threads)
