"""The verbs by name: which module each is in, and what it is called there.

Names of two words are verbs of `table`. ``tcrmgr`` or ``ktremotemgr`` before a line takes its names
from `PROGRAMS` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import click

# `log` has options of its own: `program` gives it its line.
SECTIONS: Final[dict[str, dict[str, str]]] = {
    "Records": {
        "get": "records.do_get",
        "set": "records.do_set",
        "add": "records.do_add",
        "replace": "records.do_replace",
        "append": "records.do_append",
        "cas": "records.do_cas",
        "incr": "records.do_incr",
        "rm": "records.do_remove",
        "exists": "records.do_exists",
        "getbulk": "records.do_getbulk",
        "setbulk": "records.do_setbulk",
        "removebulk": "records.do_removebulk",
        "import": "records.do_import",
    },
    "Search": {
        "ls": "searching.do_ls",
        "scan": "searching.do_scan",
        "list": "searching.do_list",
        "match": "searching.do_match",
        "regex": "searching.do_regex",
    },
    "Transfer": {
        "dump": "transfer.verbs.do_dump",
        "load": "transfer.verbs.do_load",
        "copy": "transfer.verbs.do_copy",
        "diff": "transfer.verbs.do_diff",
        "convert": "transfer.verbs.do_convert",
    },
    "Server": {
        "ping": "admin.do_ping",
        "report": "admin.do_report",
        "status": "admin.do_status",
        "inform": "admin.do_inform",
        "clear": "admin.do_clear",
        "sync": "admin.do_sync",
        "vacuum": "admin.do_vacuum",
        "script": "admin.do_script",
        "tunerepl": "admin.do_tunerepl",
        "slave": "admin.do_slave",
        "promote": "admin.do_promote",
        "changes": "following.do_changes",
        "repl": "repl.do_repl",
    },
    "Care": {
        "top": "care.top.do_top",
        "doctor": "care.doctor.do_doctor",
        "bench": "care.bench.do_bench",
        "exporter": "care.exporter.do_exporter",
    },
    "Tables": {
        "table get": "table.do_get",
        "table put": "table.do_put",
        "table query": "table.do_query",
        "table index": "table.do_index",
    },
    "Tokyo Tyrant": {
        "put": "tyrant.do_put",
        "out": "tyrant.do_out",
        "mget": "tyrant.do_mget",
        "ext": "tyrant.do_ext",
        "misc": "tyrant.do_misc",
        "optimize": "tyrant.do_optimize",
        "vanish": "tyrant.do_vanish",
        "importtsv": "tyrant.do_importtsv",
        "restore": "tyrant.do_restore",
        "setmst": "tyrant.do_setmst",
    },
    "Command": {
        "log": "",
        "completion": "completion.do_completion",
    },
}

ALIASES: Final = {"remove": "rm", "delete": "rm", "keys": "ls"}

PROGRAMS: Final = {
    "ktremotemgr": {
        "slave": "repl.do_slave",
    },
    "tcrmgr": {
        "inform": "tyrant.do_inform",
        "get": "tyrant.do_get",
        "list": "tyrant.do_list",
        "sync": "tyrant.do_sync",
        "copy": "tyrant.do_copy",
        "http": "http.do_http",
    },
}
"""Verbs of the originals that mean something else here, or whose first word is a host."""

VERBS: Final = {name: home for verbs in SECTIONS.values() for name, home in verbs.items()}


def find(name: str, program: str = "") -> str | None:
    """Where the verb of this name is, in a line of `program` if one is named; None if nowhere."""
    theirs = PROGRAMS.get(program, {})
    return theirs.get(name) or VERBS.get(ALIASES.get(name, name))


def load(home: str) -> click.Command:
    """Load a verb."""
    from importlib import import_module

    module, _, name = home.rpartition(".")
    command: click.Command = getattr(import_module(f"kt.cli.{module}"), name)
    return command
