"""Servers as URLs: ``kt://HOST:PORT/DB`` and the like."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from kt.errors import ArgumentError

HOST: Final = "127.0.0.1"
PORT: Final = 1978
"""Where a client looks for its server unless it is told otherwise."""


def parse_url(url: str, scheme: str) -> tuple[str, int, str]:
    """Return host and port, the clients' defaults where the URL has none, and the path.

    Raises:
        ArgumentError: it is no URL of this scheme, or has parts that mean nothing here.
    """
    if not isinstance(url, str):
        raise ArgumentError(f"url is a str, not {url!r}")
    try:
        parts = urlsplit(url)
        host = HOST if parts.hostname is None else parts.hostname
        port = PORT if parts.port is None else parts.port
    except ValueError as error:
        raise ArgumentError(f"{url!r} is no URL: {error}") from error
    if parts.scheme != scheme or "@" in parts.netloc or parts.query or parts.fragment:
        raise ArgumentError(f"a server is {scheme}://HOST:PORT, not {url!r}")
    return host, port, parts.path.removeprefix("/")
