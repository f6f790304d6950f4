"""Servers as URLs, for `from_url` of the clients::

    kt://HOST:PORT/DB?timeout=5        a Kyoto Tycoon server and a database; what is left out is as
                                       in the constructor
    kt+unix:///run/kt.sock?db=1        the same at a Unix socket
    tt://HOST:PORT  tt+unix://PATH     a Tokyo Tyrant server
    kts://HOST:PORT/DB?tls_ca=FILE     with TLS; trusts authorities in a file, or, without it, those
    tts://HOST:PORT                    that Python trusts. tls_cert and tls_key: files with the
                                       certificate to be shown to the server, and its key
    kt://A:1978,B:1978/DB              several servers of which one is the master (also tt, kts and
                                       tts): the client finds it. reads=slaves: calls that only read
                                       go to a slave, if there is one
    kt+etcd://HOST:2379/SERVICE?db=1   the same for servers that `kt.failover` looks after: etcd
                                       says where they are. Also several servers of etcd, with
                                       commas. What is before the + is what the servers speak, what
                                       is behind it what etcd does: kts+etcd, kt+etcds, kts+etcds
    kt+etcd://USER:PASSWORD@HOST/...   who we are to etcd; or etcd_auth_file=FILE, with both in it
    kt+etcds://HOST/...?etcd_ca=FILE   etcd speaks TLS; also etcd_cert and etcd_key, as above

What decides the types of keys and values is the program's business and not the URL's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from kt.errors import ArgumentError
from kt.net.endpoint import without_login
from kt.options import Retry

if TYPE_CHECKING:
    from ssl import SSLContext

HOST: Final = "127.0.0.1"
PORT: Final = 1978
"""Where a client looks for its server unless it is told otherwise."""

ETCD: Final = ("kt+etcd", "kts+etcd", "kt+etcds", "kts+etcds")
"""How URLs begin that name a service that etcd knows."""

ETCD_PORT: Final = 2379

VARIABLE: Final = "KT_URL"
"""Where the URL is when a program names none."""

NUMBERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "timeout": float,
    "connect_timeout": float,
    "pool_size": int,
    "retry": int,
}
"""What both clients take."""

TLS_FILES: Final = ("tls_ca", "tls_cert", "tls_key")
"""What it takes too with TLS."""

ETCD_TLS_FILES: Final = ("etcd_ca", "etcd_cert", "etcd_key")
"""The same for etcd."""

ETCD_AUTH_FILE: Final = "etcd_auth_file"
"""A file with a user of etcd and the password, ``USER:PASSWORD``."""

READS: Final[Mapping[str, bool]] = {"master": False, "slaves": True}
"""Of several servers: who answers what only reads; whether it is a slave."""


class Several(NamedTuple):
    """Servers of which one is the master.

    Attributes:
        places: host and port of each.
        slaves_read: calls that only read go to a slave.
        directory: says where they are (see `kt.net.group.standing.Group`); None: at `places`.
    """

    places: tuple[tuple[str, int], ...]
    slaves_read: bool
    directory: Callable[[float | None], list[tuple[str, int]]] | None = None


TYPED: Final = ("serializer", "decode_keys")


def parse_url(url: str | None, scheme: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for the constructor of a client, and `several` if there are.

    Args:
        url: the URL; None for the one in the environment (`VARIABLE`).
        scheme: ``kt`` or ``tt``.
        given: arguments from elsewhere, which come before those of the URL unless they are None;
            with ``default_db`` if the server has several databases.

    Raises:
        ArgumentError: it is no URL of this scheme, or has parts that mean nothing here.
    """
    if url is None:
        url = os.environ.get(VARIABLE)
        if url is None:
            raise ArgumentError(f"no url is given, and {VARIABLE} is not set")
    if not isinstance(url, str):
        raise ArgumentError(f"url is a str, not {url!r}")
    shown = without_login(url)
    try:
        parts, *others = _servers(url)
        options = _place(parts)
        places = (tuple(options.values()), *(tuple(_place(other).values()) for other in others))
    except ValueError as error:
        why = f": {error}" if shown == url else ""  # which may tell a password
        raise ArgumentError(f"{shown!r} is no URL{why}") from None
    _check_scheme(parts, others, scheme, shown)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    pairs += _database(parts, shown)
    if parts.scheme.partition("+")[0] == f"{scheme}s":
        options["ssl"] = True
        pairs = _take_tls(pairs, shown, options, given.get("ssl"))
    if parts.scheme in ETCD:
        options = {**options, "host": HOST, "port": PORT}
        files, pairs = _take_files(pairs, (*ETCD_TLS_FILES, ETCD_AUTH_FILE))
        options["several"] = _service(parts, places, files, _reads(pairs, shown))
    elif others:
        options["several"] = Several(places, _reads(pairs, shown))
    if "several" in options:
        pairs = [pair for pair in pairs if pair[0] != "reads"]
    for name, text in pairs:
        _take(name, text, shown, options, "default_db" in given)
    options.update((name, value) for name, value in given.items() if value is not None)
    return options


def _check_scheme(parts: SplitResult, others: list[SplitResult], scheme: str, shown: str) -> None:
    """Raise ArgumentError unless it is one of this kind of server."""
    etcd = ETCD if scheme == "kt" else ()
    known = {scheme, f"{scheme}s", f"{scheme}+unix", *etcd}
    netlocs = [one.netloc for one in (parts, *others)]
    without = netlocs[1:] if parts.scheme in etcd else netlocs
    if parts.scheme not in known or "@" in "".join(without) or parts.fragment:
        raise ArgumentError(
            f"a server is {scheme}://HOST:PORT, {scheme}s://HOST:PORT with TLS, or "
            f"{scheme}+unix://PATH, not {shown!r}"
        )


def _servers(url: str) -> list[SplitResult]:
    """Return the URL of each server; raises ValueError."""
    scheme, mark, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    if scheme.endswith("+unix"):
        return [urlsplit(url)]
    return [urlsplit(f"{scheme}{mark}{one}{rest[end:]}") for one in rest[:end].split(",")]


def _service(
    parts: SplitResult,
    places: tuple[tuple[str, int], ...],
    files: Mapping[str, str],
    slaves_read: bool,
) -> Several:
    """Return the servers of a service that etcd knows."""
    shown = without_login(parts.geturl())
    service = unquote(parts.path.removeprefix("/"))
    if not service or "/" in service:
        raise ArgumentError(f"a service is kt+etcd://HOST:PORT/NAME, not {shown!r}")
    # These import json, http and ssl, which take long.
    from kt.net.etcd import Etcd, login_from_file
    from kt.net.group.directory import Directory

    login = None
    if ETCD_AUTH_FILE in files:
        login = login_from_file(files[ETCD_AUTH_FILE])
    if parts.username is not None:
        if not parts.username or not parts.password or login is not None:
            raise ArgumentError(f"who we are to etcd is USER:PASSWORD, once, before {shown!r}")
        login = unquote(parts.username), unquote(parts.password)
    tls = None
    if parts.scheme.endswith("s"):
        from kt.net.tls import context_from_files

        tls = context_from_files(*map(files.get, ETCD_TLS_FILES), name="etcd")
    elif not files.keys() <= {ETCD_AUTH_FILE}:
        raise ArgumentError(f"{shown!r} is no URL with TLS to etcd, which has +etcds")
    return Several((), slaves_read, Directory(Etcd(places, login=login, tls=tls), service))


def _reads(pairs: list[tuple[str, str]], url: str) -> bool:
    """Whether slaves answer what only reads."""
    said = [text for name, text in pairs if name == "reads"]
    if len(said) > 1:
        raise ArgumentError(f"{url!r} has reads twice")
    if said and said[0] not in READS:
        raise ArgumentError(f"reads is {' or '.join(READS)}, not {said[0]!r} as in {url!r}")
    return bool(said) and READS[said[0]]


def _database(parts: SplitResult, url: str) -> list[tuple[str, str]]:
    """Return the database that the path names, as an option."""
    path = parts.path.removeprefix("/")
    if parts.scheme in ETCD:
        return []
    if not parts.scheme.endswith("+unix"):
        return [("db", path)] if path else []
    if parts.netloc or not path:
        raise ArgumentError(f"a socket is {parts.scheme}:///PATH, not {url!r}")
    return []


def _take_tls(
    pairs: list[tuple[str, str]], url: str, options: dict[str, Any], given: SSLContext | bool | None
) -> list[tuple[str, str]]:
    """Add what the files for TLS are to `options`; return what else there is."""
    files, rest = _take_files(pairs, TLS_FILES)
    if given is False or (files and given is not None):
        raise ArgumentError(f"{url!r} says how to speak TLS, and ssl={given!r} otherwise")
    if files:
        from kt.net.tls import context_from_files  # imports ssl, which takes long

        options["ssl"] = context_from_files(*map(files.get, TLS_FILES))
    return rest


def _take_files(
    pairs: list[tuple[str, str]], names: tuple[str, ...]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the options of these names, and what else there is: what comes twice is there."""
    files: dict[str, str] = {}
    rest = []
    for name, text in pairs:
        if name in names and name not in files:
            files[name] = text
        else:
            rest.append((name, text))
    return files, rest


def _place(parts: SplitResult) -> dict[str, Any]:
    """Return host and port of a server; raises ValueError."""
    if parts.scheme.endswith("+unix"):
        return {"host": unquote(parts.path), "port": 0}
    host = HOST if parts.hostname is None else parts.hostname
    usual = ETCD_PORT if parts.scheme in ETCD else PORT
    return {"host": host, "port": usual if parts.port is None else parts.port}


def _take(name: str, text: str, url: str, options: dict[str, Any], databases: bool) -> None:
    """Add an option of a URL to `options`."""
    known = {**NUMBERS, **({"db": _index} if databases else {})}
    if name == "db" and not databases:
        raise ArgumentError(f"{url!r} names a database, but Tokyo Tyrant has only one")
    if name in TYPED:
        raise ArgumentError(
            f"{name} is no part of a URL, because it decides of what types keys and values are: "
            f"pass {name}=... beside it"
        )
    if name in (*ETCD_TLS_FILES, ETCD_AUTH_FILE):
        raise ArgumentError(f"{url!r} has {name} twice, or is no URL with etcd (kt+etcds)")
    if name in TLS_FILES:
        raise ArgumentError(
            f"{url!r} has {name} twice, or is no URL with TLS, which begins with kts or tts"
        )
    if name == "reads":
        raise ArgumentError(f"reads is for several servers (kt://A,B), not for {url!r}")
    if name not in known:
        raise ArgumentError(f"{url!r} has an option {name!r}; there are {', '.join(known)}")
    target = "default_db" if name == "db" else name
    if target in options:
        raise ArgumentError(f"{url!r} has {name} twice")
    try:
        number = known[name](text)
    except ValueError as error:
        raise ArgumentError(f"{name} is a number, not {text!r} as in {url!r}") from error
    options[target] = Retry(number) if name == "retry" else number


def _index(text: str) -> int:
    """Return the index of a database; raises ValueError for signs, spaces and the like."""
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)
