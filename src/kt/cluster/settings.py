"""A database on a cluster, as a URL says it::

    valkey://HOST:PORT,HOST:PORT/NUMBER?layout=tree&buckets=256&prefix=k&ack=1

=============  =======  ==========================================================================
option         default  meaning
=============  =======  ==========================================================================
layout         flat     ``flat``: as a hash database, no order; ``tree``: in the order of keys
buckets        256      tree: into how many parts the order is divided; a power of 2
prefix         k        names in the engine begin with it: letters, digits, ``_ - .``
ack            0        so many replicas must have a write before it is acknowledged
ack-timeout    2        seconds that this may take
timeout        10       seconds that a request may wait for a failover or a slot that moves
scan-limit     10^7     keys that a search in all of it may look at
auth-file               file that holds the password, or USER:PASSWORD
=============  =======  ==========================================================================

``valkeys://`` is the same with TLS; ``redis://`` and ``rediss://`` are other names for both. User
and password may stand before the hosts. NUMBER is that of a numbered database, 0 without one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from kt.errors import ArgumentError, ImproperlyConfigured
from kt.net.endpoint import without_login

if TYPE_CHECKING:
    from ssl import SSLContext

SCHEMES: Final = {"valkey": False, "redis": False, "valkeys": True, "rediss": True}
"""Scheme -> whether it is with TLS."""

PORT: Final = 6379
BUCKETS_MAX: Final = 16384


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a URL says.

    Attributes:
        addresses: nodes to begin with, as (host, port).
        number: of the numbered database.
        ordered: whether keys have an order (``layout=tree``).
        buckets: into how many parts the order is divided.
        prefix: what names in the engine begin with.
        ack: replicas that must have a write before it is acknowledged.
        ack_timeout: seconds that this may take.
        timeout: seconds that a request may wait.
        scan_limit: keys that a search may look at.
        tls: whether connections are encrypted.
        tls_ca: file with the certificates of those who are trusted; None: whom Python trusts.
        tls_cert: file with the certificate that is shown; None: none is.
        tls_key: file with its key; None: it is in the same file.
        user: name to log in with; None for the engine's default.
        password: None if there is none.
    """

    addresses: tuple[tuple[str, int], ...]
    number: int = 0
    ordered: bool = False
    buckets: int = 256
    prefix: bytes = b"k"
    ack: int = 0
    ack_timeout: float = 2.0
    timeout: float = 10.0
    scan_limit: int = 10**7
    tls: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        scheme = "valkeys" if self.tls else "valkey"
        hosts = ",".join(f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in self.addresses)
        layout = f"tree&buckets={self.buckets}" if self.ordered else "flat"
        return f"{scheme}://{hosts}/{self.number}?layout={layout}"

    def tls_context(self) -> SSLContext | None:
        """What connections are encrypted with; None if they are not.

        Raises:
            ArgumentError: a file of certificates cannot be used.
        """
        return _context(self.tls_ca, self.tls_cert, self.tls_key) if self.tls else None


@cache
def _context(*files: str | None) -> SSLContext:
    """To make it takes some 10 ms."""
    from kt.net.tls import context_from_files  # imports ssl, which takes long

    return context_from_files(*files)


def parse_valkey_url(url: str) -> Settings:
    """Read a URL.

    Raises:
        ArgumentError: it is none, or has parts that mean nothing, or a file of certificates cannot
            be used.
        ImproperlyConfigured: the file with the password cannot be read.
    """
    parts = split_url(url)
    if parts.scheme not in SCHEMES or parts.fragment:
        raise ArgumentError(
            f"a cluster is valkey://HOST:PORT,HOST:PORT/NUMBER, not {without_login(url)!r}"
        )
    login, _, hosts = parts.netloc.rpartition("@")
    fields: dict[str, Any] = {
        "addresses": tuple(_address(host, url) for host in hosts.split(",")),
        "tls": SCHEMES[parts.scheme],
    }
    number = parts.path.strip("/")
    if number:
        fields["number"] = number_of(int, 0, 2**31, "the database", number)
    if login:
        user, _, password = login.partition(":")
        fields.update(user=unquote(user) or None, password=unquote(password))
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        _take(name, text, url, fields)
    settings = Settings(**fields)
    if not fields.keys().isdisjoint(TLS_FILES):
        settings.tls_context()
    return settings


TLS_FILES: Final = ("tls_ca", "tls_cert", "tls_key")
"""Options of the URL that name files of certificates."""


class SplitURL(NamedTuple):
    """The parts of a URL, as `urllib.parse.SplitResult` has them."""

    scheme: str
    netloc: str
    path: str
    query: str
    fragment: str


def split_url(url: str) -> SplitURL:
    """Split a URL of several hosts. `urlsplit` refuses these where one is an IPv6 address."""
    scheme, _, rest = url.partition("://")
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    netloc, slash, path = rest.partition("/")
    return SplitURL(scheme.lower(), netloc, slash + path, query, fragment)


def _address(text: str, url: str) -> tuple[str, int]:
    shown = without_login(url)
    if "[" in text[1:]:  # which some versions of Python pass over
        raise ArgumentError(f"{shown!r} has a node {text!r}: a bracket is in the middle")
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ArgumentError(f"{shown!r} has a node {text!r}: {error}") from None
    if not host:
        raise ArgumentError(f"{shown!r} names no host in {text!r}")
    return host, PORT if port is None else port


def number_of(kind: Callable[[str], Any], least: int, most: int, name: str, text: str) -> Any:
    """A number within bounds; raises `ArgumentError` for anything else."""
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not least <= number <= most:
        raise ArgumentError(f"{name} is a number from {least} to {most}, not {text!r}")
    return number


NUMBERS: Final[dict[str, tuple[Callable[[str], Any], int, int]]] = {
    "buckets": (int, 1, BUCKETS_MAX),
    "ack": (int, 0, 100),
    "ack-timeout": (float, 0, 3600),
    "timeout": (float, 0, 3600),
    "scan-limit": (int, 1, 2**62),
}


def _take(name: str, text: str, url: str, fields: dict[str, Any]) -> None:
    """Add an option of the URL."""
    target = name.replace("-", "_")
    if name in NUMBERS:
        fields[target] = number_of(*NUMBERS[name], name, text)
        if name == "buckets" and fields[target].bit_count() != 1:
            raise ArgumentError(f"buckets is a power of 2, not {text}")
    elif name == "layout":
        if text not in ("flat", "tree"):
            raise ArgumentError(f"layout is flat or tree, not {text!r}")
        fields["ordered"] = text == "tree"
    elif name == "prefix":
        if not text or not text.isascii() or not text.translate(_PUNCTUATION).isalnum():
            raise ArgumentError(f"prefix has letters, digits, _ - and . only, not {text!r}")
        fields["prefix"] = text.encode()
    elif name == "auth-file":
        fields.update(login_of(text))
    elif target in TLS_FILES:
        if not fields["tls"]:
            raise ArgumentError(f"{name} is for valkeys://, which is with TLS")
        fields[target] = text
    else:
        files = (one.replace("_", "-") for one in TLS_FILES)
        known = ", ".join(("layout", "prefix", "auth-file", *files, *NUMBERS))
        raise ArgumentError(f"{without_login(url)!r} has an option {name!r}; there are {known}")


_PUNCTUATION: Final = str.maketrans("", "", "_-.")


def login_of(path: str) -> dict[str, str | None]:
    """User, if there is one, and password in a file."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.readline().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"the password cannot be read: {error}") from None
    user, colon, password = text.partition(":")
    return {"user": user or None, "password": password} if colon else {"password": text}
