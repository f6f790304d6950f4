"""`kt.connect` and `kt.connect_async`: a client for whatever a URL names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from kt.client.url import ETCD
from kt.cluster.contract import Settings
from kt.cluster.engines import is_cluster_url, parse_cluster_url
from kt.errors import ArgumentError
from kt.net import greetings
from kt.net.endpoint import Endpoint, without_login
from kt.serializers import KT_BINARY, Serializer
from kt.types import V
from kt.wire.tycoon import read_get_bulk_reply

if TYPE_CHECKING:
    from kt.client.tycoon.client import KyotoTycoon
    from kt.client.tycoon.client_async import AsyncKyotoTycoon
    from kt.client.tyrant.client import TokyoTyrant
    from kt.client.tyrant.client_async import AsyncTokyoTyrant

Kind = Literal["tycoon", "tyrant"]

SCHEMES: Final[dict[str, Kind]] = {
    **dict.fromkeys(("kt", "kts", "kt+unix", *ETCD), "tycoon"),
    **dict.fromkeys(("tt", "tts", "tt+unix"), "tyrant"),
}


@overload
def connect(
    url: str,
    *more: str,
    timeout: float | None = ...,
    default_db: int = ...,
    server: Literal["tycoon"] | None = ...,
) -> KyotoTycoon[str, str]: ...
@overload
def connect(
    url: str,
    *more: str,
    serializer: Serializer[V],
    decode_keys: Literal[True] = ...,
    timeout: float | None = ...,
    default_db: int = ...,
    server: Literal["tycoon"] | None = ...,
) -> KyotoTycoon[str, V]: ...
@overload
def connect(
    url: str,
    *more: str,
    serializer: Serializer[V] = ...,
    decode_keys: Literal[False],
    timeout: float | None = ...,
    default_db: int = ...,
    server: Literal["tycoon"] | None = ...,
) -> KyotoTycoon[bytes, V]: ...
@overload
def connect(
    url: str,
    *more: str,
    serializer: Serializer[V] = ...,
    decode_keys: bool,
    timeout: float | None = ...,
    default_db: int = ...,
    server: Literal["tycoon"] | None = ...,
) -> KyotoTycoon[Any, V]: ...
@overload
def connect(
    url: str,
    *,
    timeout: float | None = ...,
    server: Literal["tyrant"],
) -> TokyoTyrant[str, str]: ...
@overload
def connect(
    url: str,
    *,
    serializer: Serializer[V],
    decode_keys: Literal[True] = ...,
    timeout: float | None = ...,
    server: Literal["tyrant"],
) -> TokyoTyrant[str, V]: ...
@overload
def connect(
    url: str,
    *,
    serializer: Serializer[V] = ...,
    decode_keys: Literal[False],
    timeout: float | None = ...,
    server: Literal["tyrant"],
) -> TokyoTyrant[bytes, V]: ...
@overload
def connect(
    url: str,
    *,
    serializer: Serializer[V] = ...,
    decode_keys: bool,
    timeout: float | None = ...,
    server: Literal["tyrant"],
) -> TokyoTyrant[Any, V]: ...
def connect(
    url: str,
    *more: str,
    serializer: Serializer[Any] = KT_BINARY,
    decode_keys: bool = True,
    timeout: float | None = None,
    default_db: int = 0,
    server: Kind | None = None,
) -> Any:
    """Return the client for what a URL names; nothing is sent before the first call.

    ==================================================  ==========================================
    URL                                                 client
    ==================================================  ==========================================
    ``valkey://HOST:PORT,HOST:PORT/0?layout=flat``      `KyotoTycoon`, straight to the nodes of a
                                                        cluster of Valkey or Redis, without a
                                                        server; see docs/cluster.md
    ``postgres://HOST:PORT/DBNAME?table=TABLE``         the same, in a table of PostgreSQL
    ``kt://HOST:PORT/DB``, ``kts://``, ``kt+unix://``   `KyotoTycoon`, as its `from_url`
    ``tt://HOST:PORT``, ``tts://``, ``tt+unix://``      `TokyoTyrant`, as its `from_url`
    ``kt://HOST:PORT,HOST:PORT/``, also ``tt://``       the same, for the one that is the master
    ``kt+etcd://HOST:PORT/SERVICE``                     the same, where etcd knows which one it is
    ==================================================  ==========================================

    Args:
        url: what to connect to.
        more: with a cluster, further databases; calls name them by their index.
        serializer: how values become bytes and back, as for the clients.
        decode_keys: keys come back as str, otherwise as bytes.
        timeout: seconds that a call may take; None: with a cluster, what its URL says.
        default_db: index of the database that is used where a call names none.
        server: whose client it is. The URL tells; a type checker, which cannot read it, takes the
            client for a `KyotoTycoon` unless this says ``"tyrant"``.

    Raises:
        ArgumentError: it is no such URL, or one of another server.
    """
    from kt.client.tycoon.client import KyotoTycoon
    from kt.client.tyrant.client import TokyoTyrant

    kind = _kind_of(url, more, server)
    if kind == "tycoon":
        return KyotoTycoon.from_url(
            url,
            serializer=serializer,
            decode_keys=decode_keys,
            timeout=timeout,
            default_db=default_db or None,
        )
    if kind == "tyrant":
        return TokyoTyrant.from_url(
            url, serializer=serializer, decode_keys=decode_keys, timeout=timeout
        )
    from kt.cluster.lines import Pool

    settings = [parse_cluster_url(one) for one in (url, *more)]
    client: Any = KyotoTycoon(str(settings[0]), 0, serializer, decode_keys, timeout, default_db)
    return client._carried_by(Pool(_endpoint(settings), settings))


@overload
def connect_async(
    url: str,
    *more: str,
    timeout: float | None = ...,
    default_db: int = ...,
    server: Literal["tycoon"] | None = ...,
) -> AsyncKyotoTycoon[str, str]: ...
@overload
def connect_async(
    url: str,
    *more: str,
    serializer: Serializer[V],
    decode_keys: Literal[True] = ...,
    timeout: float | None = ...,
    default_db: int = ...,
    server: Literal["tycoon"] | None = ...,
) -> AsyncKyotoTycoon[str, V]: ...
@overload
def connect_async(
    url: str,
    *more: str,
    serializer: Serializer[V] = ...,
    decode_keys: Literal[False],
    timeout: float | None = ...,
    default_db: int = ...,
    server: Literal["tycoon"] | None = ...,
) -> AsyncKyotoTycoon[bytes, V]: ...
@overload
def connect_async(
    url: str,
    *more: str,
    serializer: Serializer[V] = ...,
    decode_keys: bool,
    timeout: float | None = ...,
    default_db: int = ...,
    server: Literal["tycoon"] | None = ...,
) -> AsyncKyotoTycoon[Any, V]: ...
@overload
def connect_async(
    url: str,
    *,
    timeout: float | None = ...,
    server: Literal["tyrant"],
) -> AsyncTokyoTyrant[str, str]: ...
@overload
def connect_async(
    url: str,
    *,
    serializer: Serializer[V],
    decode_keys: Literal[True] = ...,
    timeout: float | None = ...,
    server: Literal["tyrant"],
) -> AsyncTokyoTyrant[str, V]: ...
@overload
def connect_async(
    url: str,
    *,
    serializer: Serializer[V] = ...,
    decode_keys: Literal[False],
    timeout: float | None = ...,
    server: Literal["tyrant"],
) -> AsyncTokyoTyrant[bytes, V]: ...
@overload
def connect_async(
    url: str,
    *,
    serializer: Serializer[V] = ...,
    decode_keys: bool,
    timeout: float | None = ...,
    server: Literal["tyrant"],
) -> AsyncTokyoTyrant[Any, V]: ...
def connect_async(
    url: str,
    *more: str,
    serializer: Serializer[Any] = KT_BINARY,
    decode_keys: bool = True,
    timeout: float | None = None,
    default_db: int = 0,
    server: Kind | None = None,
) -> Any:
    """As `connect`, for asyncio: an `AsyncKyotoTycoon` or `AsyncTokyoTyrant`."""
    from kt.client.tycoon.client_async import AsyncKyotoTycoon
    from kt.client.tyrant.client_async import AsyncTokyoTyrant

    kind = _kind_of(url, more, server)
    if kind == "tycoon":
        return AsyncKyotoTycoon.from_url(
            url,
            serializer=serializer,
            decode_keys=decode_keys,
            timeout=timeout,
            default_db=default_db or None,
        )
    if kind == "tyrant":
        return AsyncTokyoTyrant.from_url(
            url, serializer=serializer, decode_keys=decode_keys, timeout=timeout
        )
    from kt.cluster.lines_aio import Pool

    settings = [parse_cluster_url(one) for one in (url, *more)]
    client: Any = AsyncKyotoTycoon(
        str(settings[0]), 0, serializer, decode_keys, timeout, default_db
    )
    return client._carried_by(Pool(_endpoint(settings), settings))


def _kind_of(url: str, more: tuple[str, ...], server: Kind | None) -> Kind | Literal["cluster"]:
    """Tell what the URLs name; raises ArgumentError if that is nothing, or not what is wanted."""
    for one in (url, *more):
        if not isinstance(one, str):
            raise ArgumentError(f"url is a str, not {one!r}")
    shown = ", ".join(map(without_login, (url, *more)))
    clusters = {is_cluster_url(one) for one in (url, *more)}
    if len(clusters) > 1:
        raise ArgumentError(f"these are not all on clusters: {shown}")
    found = "cluster" if clusters == {True} else SCHEMES.get(url.partition("://")[0])
    if found is None or (more and found != "cluster"):
        raise ArgumentError(
            "connect takes valkey://, postgres://, kt:// or tt://, and several URLs for clusters "
            "only, "
            f"not {shown}"
        )
    if server is not None and server != ("tyrant" if found == "tyrant" else "tycoon"):
        raise ArgumentError(f"this is no URL for the client of server={server!r}: {shown}")
    return found


def _endpoint(settings: Sequence[Settings]) -> Endpoint:
    return Endpoint(
        str(settings[0]),
        0,
        greetings.TYCOON.request,
        read_get_bulk_reply,
        stranger=greetings.TYRANT,
    )
