"""What clients of Kyoto Tycoon must be allowed for what they ask, and how they are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kt.server.session import Rights

NEEDED: Final[Mapping[bytes, Rights]] = {
    name: rights
    for rights, names in {
        Rights.READ: (
            *(b"get", b"check", b"get_bulk", b"match_prefix", b"match_regex", b"match_similar"),
            *(b"status", b"report", b"cur_jump", b"cur_jump_back", b"cur_step", b"cur_step_back"),
            *(b"cur_get", b"cur_get_key", b"cur_get_value"),
        ),
        Rights.WRITE: (
            *(b"set", b"add", b"replace", b"append", b"increment", b"increment_double", b"cas"),
            *(b"remove", b"set_bulk", b"remove_bulk", b"clear", b"cur_set_value", b"cur_remove"),
        ),
        Rights.READ | Rights.WRITE: (b"seize", b"cur_seize"),
        Rights.ADMIN: (
            *(b"synchronize", b"vacuum", b"tune_replication", b"promote"),
            *(b"ulog_list", b"ulog_remove", b"replaced", b"lease"),
        ),
        Rights.SCRIPTS: (b"play_script",),
        Rights.NONE: (b"void", b"echo", b"cur_delete"),
    }.items()
    for name in names
}
"""What a client must be allowed for a procedure; see `kt.server.process.access`."""

NEEDED_BY_METHOD: Final[Mapping[bytes, Rights]] = {
    b"GET": Rights.READ,
    b"HEAD": Rights.READ,
    b"PUT": Rights.WRITE,
    b"DELETE": Rights.WRITE,
}
"""The same for a method of plain HTTP."""

VERBS: Final = {
    Rights.READ: "read",
    Rights.WRITE: "write",
    Rights.ADMIN: "administer",
    Rights.SCRIPTS: "call scripts",
}

SHUT_TO: Final = frozenset(NEEDED) - frozenset(
    name
    for name, rights in NEEDED.items()
    if name == b"report" or rights in (Rights.NONE, Rights.ADMIN)
)
"""What is not served while the databases are not whole."""


def refusal(needed: Rights, rights: Rights) -> bytes | None:
    """Why a client with these rights may not do what needs those; None if it may."""
    missing = needed & ~rights
    if not missing:
        return None
    verbs = " and ".join(verb for right, verb in VERBS.items() if right & missing)
    return f"not allowed: this client may not {verbs}".encode()
