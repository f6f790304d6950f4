"""Arguments that both clients and their methods take, checked.

Whatever is wrong is said at once, by its name, and not by the first call that stumbles over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import index
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final, SupportsFloat, TypedDict

from kt.errors import ArgumentError, ServerError
from kt.net.manners import ONCE, Manners
from kt.options import Retry
from kt.types import Key

if TYPE_CHECKING:
    from ssl import SSLContext

DB_MAX: Final = 0xFFFF
PORT_MAX: Final = 0xFFFF

TIMEOUT_MAX: Final = (2**31 - 1) // 1000
"""Seconds, some 24 days: what operating systems count in milliseconds."""

ELSEWHERE: Final = ("encode_values", "decode_values")
"""Options that other clients for these servers take where ours take the names of records."""


def checked_port(port: int) -> int:
    """Return `port`; raises ArgumentError unless it is a TCP port, or 0."""
    if isinstance(port, bool) or not hasattr(port, "__index__"):
        raise ArgumentError(f"port is an int, not {port!r}")
    number = index(port)
    if not 0 <= number <= PORT_MAX:
        raise ArgumentError(f"port is in 0..{PORT_MAX}, not {number}")
    return number


def checked_host(host: str, port: int | None) -> str:
    """Return `host`; raises ArgumentError if it can be neither a host nor, with port 0, a path."""
    if isinstance(host, PathLike):
        host = fspath(host)
        if port != 0:
            raise ArgumentError(f"host is a name or an address; a path, {host!r}, has port=0")
    if not isinstance(host, str):
        raise ArgumentError(f"host is a str, not {host!r}")
    if port != 0:
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise ArgumentError(f"host cannot be {host!r}: {error}") from error
        if "\0" in host:
            raise ArgumentError(f"host cannot be {host!r}: there is a NUL in it")
    return host


def checked_timeout(timeout: float | None, name: str = "timeout") -> float | None:
    """Return `timeout`; raises ArgumentError unless it is None or a positive number of seconds."""
    return None if timeout is None else checked_seconds(timeout, name, " or None")


def checked_seconds(seconds: SupportsFloat, name: str, alternative: str = "") -> float:
    """Return `seconds`; raises ArgumentError unless it is a positive number that can be waited."""
    if not isinstance(seconds, float | int) or isinstance(seconds, bool):
        if isinstance(seconds, bool) or not hasattr(seconds, "__float__"):
            raise ArgumentError(
                f"{name} is a positive number of seconds{alternative}, not {seconds!r}"
            )
        seconds = float(seconds)
    if not seconds > 0:
        raise ArgumentError(f"{name} is a positive number of seconds{alternative}, not {seconds!r}")
    if seconds > TIMEOUT_MAX:
        raise ArgumentError(
            f"{name} is at most {TIMEOUT_MAX} seconds{alternative}, not {seconds!r}"
        )
    return seconds


OnCall = Callable[[str, float, BaseException | None], object]
"""Is told of a call: name of the method, seconds, and what it raised."""


class Handling(TypedDict, total=False):
    """The arguments of both clients that say how calls are carried out."""

    pool_size: int
    connect_timeout: float | None
    retry: Retry | None
    on_call: OnCall | None
    ssl: SSLContext | bool | None


def checked_manners(pool_size: int, connect_timeout: float | None, retry: Retry | None) -> Manners:
    """Return the arguments put together; raises ArgumentError for what makes no sense."""
    if isinstance(pool_size, bool) or not isinstance(pool_size, int) or pool_size < 1:
        raise ArgumentError(f"pool_size is an int and at least 1, not {pool_size!r}")
    if retry is not None and not isinstance(retry, Retry):
        raise ArgumentError(f"retry is a kt.Retry or None, not {retry!r}")
    return Manners(pool_size, checked_timeout(connect_timeout, "connect_timeout"), retry or ONCE)


def checked_tls(ssl: SSLContext | bool | None, port: int) -> SSLContext | None:
    """Return what checks the server's certificate; None: there is no TLS.

    Raises:
        ArgumentError: `ssl` is nothing of the kind, or the server is at a Unix socket.
    """
    if ssl is None or ssl is False:
        return None
    from kt.net.tls import context_of  # imports ssl, which takes long

    context = context_of(ssl)
    if port == 0:
        raise ArgumentError("ssl is for TCP: a Unix socket (port=0) does without TLS")
    return context


def checked_db(db: int) -> int:
    """Return `db`; raises ArgumentError unless it is the index of a database."""
    if isinstance(db, bool) or not hasattr(db, "__index__"):
        raise ArgumentError(f"a database is chosen by its index, not {db!r}")
    number = index(db)
    if not 0 <= number <= DB_MAX:
        raise ArgumentError(f"db is in 0..{DB_MAX}, not {number}")
    return number


def listed(keys: Iterable[Key]) -> Iterable[Key]:
    """Return `keys`; raises ArgumentError for a single one, which would be taken for its parts."""
    if isinstance(keys, str | bytes | bytearray | memoryview) or not hasattr(keys, "__iter__"):
        raise ArgumentError(f"several keys are needed, in a list for example, not {keys!r}")
    return keys


def mapped(data: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None) -> Any:
    """Return pairs of key and value as a dict, and what is no list of anything as it is.

    Raises:
        ArgumentError: what is in it are no pairs.
    """
    if hasattr(data, "items") or not hasattr(data, "__iter__") or isinstance(data, str | bytes):
        return data
    records = {}
    for pair in data or ():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ArgumentError(f"records are a dict, or pairs of key and value, not {pair!r}")
        if not isinstance(pair[0], str | bytes):
            raise ArgumentError(f"a key is str or bytes, not {pair[0]!r}")
        records[pair[0]] = pair[1]
    return records


def no_counter(error: ServerError, key: Key, found: int | None, size: int) -> ServerError:
    """Return an error that says why a record cannot be added to.

    Args:
        error: what the server said.
        key: of the record.
        found: how many bytes it has; None if there is none.
        size: how many bytes a number of that kind has.
    """
    if found == size:
        return error
    why = (
        "there is no such record"
        if found is None
        else f"it holds {found} bytes, not a counter, which has {size}: remove it first"
    )
    return ServerError(f"cannot add to {key!r:.60}: {why}; {error.message}", code=error.code)


def no_function(error: ServerError, name: str, key: Key | None = None) -> ServerError:
    """Return an error that names the Lua function that cannot be called, or has failed."""
    what = f"{name!r:.60}" if key is None else f"{name!r:.60} of {key!r:.60}"
    text = f"the function {what} is not there, or has failed; {error.message}"
    return ServerError(text, code=error.code)


def merged(data: Mapping[Any, Any] | None, more: dict[str, Any]) -> Mapping[Any, Any]:
    """Return the records of an argument and of keyword arguments.

    Raises:
        ArgumentError: `data` is no mapping, or a keyword is an option of other clients.
    """
    for name in ELSEWHERE if more else ():
        if name in more:
            raise ArgumentError(
                f"{name} is no option here; a record or parameter of that name goes into the dict"
            )
    if data is None:
        return more
    if not hasattr(data, "items"):
        raise ArgumentError(f"records are a dict, key to value, not {type(data).__name__}")
    return {**data, **more} if more else data
