"""A database in a table of PostgreSQL, as a URL says it::

    postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DBNAME?table=kt&timeout=10

=============  =======  ==========================================================================
option         default  meaning
=============  =======  ==========================================================================
table          kt       the table, also ``SCHEMA.TABLE``; it is made if it is not there
layout         tree     there is no other one: keys have an order
connections    4        so many are made at most, as they are needed
count          exact    ``estimate``: the planner's, which costs nothing and is some percent off
timeout        10       seconds that a request may wait for a server, or for a lock
scan-limit     10^7     keys that a search in all of it may look at
sslmode                 as in libpq, and ``sslrootcert``: whether and how TLS is wanted
auth-file               file that holds the password, or USER:PASSWORD
=============  =======  ==========================================================================

Of several hosts that one is asked which takes writes. A host may be the directory of a Unix socket,
with ``%2F`` for each slash. What is missing is libpq's, from its environment (PGHOST, PGUSER, ...).
``postgresql://`` is another name for the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote

from kt.cluster.settings import login_of, number_of, split_url
from kt.errors import ArgumentError
from kt.net.endpoint import without_login

SCHEMES: Final = ("postgres", "postgresql")
PORT: Final = 5432

TLS: Final = ("sslmode", "sslrootcert")

NUMBERS: Final[dict[str, tuple[Callable[[str], Any], int, int]]] = {
    "connections": (int, 1, 1000),
    "timeout": (float, 0, 3600),
    "scan-limit": (int, 1, 2**62),
}

_NAME: Final = re.compile(r"(?:\w{1,63}\.)?\w{1,60}", re.ASCII)
_HOST: Final = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]+)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a URL says.

    Attributes:
        addresses: servers, as (host, port); none for libpq's own choice.
        dbname: the database that has the table; empty for libpq's own choice.
        table: its name.
        connections: so many at most.
        exact: whether records are counted one by one.
        timeout: seconds that a request may wait.
        scan_limit: keys that a search may look at.
        tls: what libpq is told of it.
        user: name to log in with.
        password: None if there is none.
    """

    addresses: tuple[tuple[str, int], ...] = ()
    dbname: str = ""
    table: str = "kt"
    connections: int = 4
    exact: bool = True
    timeout: float = 10.0
    scan_limit: int = 10**7
    tls: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def ordered(self) -> bool:
        """Whether keys have an order."""
        return True

    @property
    def hosts(self) -> str:
        """Where the servers are, for people."""
        shown = (f"[{h}]" if ":" in h else quote(h, safe="") for h, _ in self.addresses)
        pairs = zip(shown, self.addresses, strict=True)
        return ",".join(f"{host}:{port}" for host, (_, port) in pairs)

    def __str__(self) -> str:
        return f"postgres://{self.hosts}/{quote(self.dbname, safe='')}?table={self.table}"

    @property
    def relation(self) -> str:
        """The table, as statements name it."""
        return ".".join(f'"{part}"' for part in self.table.split("."))


def parse_postgres_url(url: str) -> Settings:
    """Read a URL.

    Raises:
        ArgumentError: it is none, or has parts that mean nothing.
        ImproperlyConfigured: the file with the password cannot be read.
    """
    parts = split_url(url)
    if parts.scheme not in SCHEMES or parts.fragment:
        raise ArgumentError(f"it is postgres://HOST:PORT/DBNAME, not {without_login(url)!r}")
    login, _, hosts = parts.netloc.rpartition("@")
    fields: dict[str, Any] = {
        "addresses": tuple(_address(one, url) for one in hosts.split(",") if hosts),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    if login:
        user, colon, password = login.partition(":")
        fields.update(user=unquote(user) or None, password=unquote(password) if colon else None)
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        _take(name, text, url, fields)
    return Settings(**fields)


def _address(text: str, url: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise ArgumentError(f"{without_login(url)!r} has a server {text!r}")
    return unquote(found["host"].strip("[]")), port


def _take(name: str, text: str, url: str, fields: dict[str, Any]) -> None:
    """Add an option of the URL."""
    if name in NUMBERS:
        fields[name.replace("-", "_")] = number_of(*NUMBERS[name], name, text)
    elif name == "table":
        if not _NAME.fullmatch(text):
            raise ArgumentError(f"table is a name, or SCHEMA.TABLE, not {text!r}")
        fields["table"] = text
    elif name == "layout":
        if text != "tree":
            raise ArgumentError(f"layout is tree in PostgreSQL, not {text!r}")
    elif name == "count":
        if text not in ("exact", "estimate"):
            raise ArgumentError(f"count is exact or estimate, not {text!r}")
        fields["exact"] = text == "exact"
    elif name in TLS:
        fields["tls"] = (*fields.get("tls", ()), (name, text))
    elif name == "auth-file":
        fields.update(login_of(text))
    else:
        known = ", ".join(("table", "layout", "count", "auth-file", *TLS, *NUMBERS))
        raise ArgumentError(f"{without_login(url)!r} has an option {name!r}; there are {known}")
