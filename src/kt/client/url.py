"""Servers as URLs: ``kt://HOST:PORT/DB`` and the like."""

from __future__ import annotations

from urllib.parse import urlsplit

from kt.errors import ArgumentError


def parse_url(url: str, scheme: str) -> tuple[dict[str, str | int], str]:
    """Return the arguments ``host`` and ``port``, as far as they are given, and the path.

    Raises:
        ArgumentError: it is no URL of this scheme, or has parts that mean nothing here.
    """
    found: dict[str, str | int] = {}
    try:
        parts = urlsplit(url)
        if parts.hostname is not None:
            found["host"] = parts.hostname
        if parts.port is not None:
            found["port"] = parts.port
    except ValueError as error:
        raise ArgumentError(f"{url!r} is no URL: {error}") from error
    if parts.scheme != scheme or "@" in parts.netloc or parts.query or parts.fragment:
        raise ArgumentError(f"a server is {scheme}://HOST:PORT, not {url!r}")
    return found, parts.path.removeprefix("/")
