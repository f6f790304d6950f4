"""`kt.connect` and `kt.connect_async`: a client for whatever a URL names."""

from __future__ import annotations

from typing import Any, Final

from kt.client.url import parse_url
from kt.cluster.settings import Settings, is_cluster_url, parse_cluster_url, without_login
from kt.errors import ArgumentError
from kt.net import greetings
from kt.net.endpoint import Endpoint
from kt.serializers import KT_BINARY, Serializer
from kt.wire.tycoon import read_get_bulk_reply

SERVERS: Final = ("kt", "kt+unix", "tt", "tt+unix")


def connect(
    url: str,
    *more: str,
    serializer: Serializer[Any] = KT_BINARY,
    decode_keys: bool = True,
    timeout: float | None = None,
    default_db: int = 0,
) -> Any:
    """Return the client for what a URL names; nothing is sent before the first call.

    ==================================================  ==========================================
    URL                                                 client
    ==================================================  ==========================================
    ``valkey://HOST:PORT,HOST:PORT/0?layout=flat``      `KyotoTycoon`, straight to the nodes of a
                                                        cluster of Valkey or Redis, without a
                                                        server; see docs/cluster.md
    ``kt://HOST:PORT/DB``, ``kt+unix:///PATH``          `KyotoTycoon`, as its `from_url`
    ``tt://HOST:PORT``, ``tt+unix:///PATH``             `TokyoTyrant`, as its `from_url`
    ==================================================  ==========================================

    Args:
        url: what to connect to.
        more: with a cluster, further databases; calls name them by their index.
        serializer: how values become bytes and back, as for the clients.
        decode_keys: keys come back as str, otherwise as bytes.
        timeout: seconds that a call may take; None: with a cluster, what its URL says.
        default_db: index of the database that is used where a call names none.

    Raises:
        ArgumentError: it is no such URL.
    """
    if not _is_cluster(url, more):
        return _server(url, more, serializer, decode_keys, timeout, default_db, blocking=True)
    from kt.client.tycoon.client import KyotoTycoon
    from kt.cluster.lines import Pool

    settings = [parse_cluster_url(one) for one in (url, *more)]
    client: Any = KyotoTycoon(str(settings[0]), 0, serializer, decode_keys, timeout, default_db)
    return client._carried_by(Pool(_endpoint(settings), settings))


def connect_async(
    url: str,
    *more: str,
    serializer: Serializer[Any] = KT_BINARY,
    decode_keys: bool = True,
    timeout: float | None = None,
    default_db: int = 0,
) -> Any:
    """As `connect`, for asyncio: an `AsyncKyotoTycoon` or `AsyncTokyoTyrant`."""
    if not _is_cluster(url, more):
        return _server(url, more, serializer, decode_keys, timeout, default_db, blocking=False)
    from kt.client.tycoon.client_async import AsyncKyotoTycoon
    from kt.cluster.lines_aio import Pool

    settings = [parse_cluster_url(one) for one in (url, *more)]
    client: Any = AsyncKyotoTycoon(
        str(settings[0]), 0, serializer, decode_keys, timeout, default_db
    )
    return client._carried_by(Pool(_endpoint(settings), settings))


def _is_cluster(url: str, more: tuple[str, ...]) -> bool:
    """Tell whether the URLs name databases on clusters; raises ArgumentError if only some do."""
    for one in (url, *more):
        if not isinstance(one, str):
            raise ArgumentError(f"url is a str, not {one!r}")
    kinds = {is_cluster_url(one) for one in (url, *more)}
    if len(kinds) > 1:
        shown = ", ".join(map(without_login, (url, *more)))
        raise ArgumentError(f"these are not all on clusters: {shown}")
    return kinds == {True}


def _endpoint(settings: list[Settings]) -> Endpoint:
    return Endpoint(
        str(settings[0]),
        0,
        greetings.TYCOON.request,
        read_get_bulk_reply,
        stranger=greetings.TYRANT,
    )


def _server(
    url: str,
    more: tuple[str, ...],
    serializer: Serializer[Any],
    decode_keys: bool,
    timeout: float | None,
    default_db: int,
    *,
    blocking: bool,
) -> Any:
    scheme = url.partition("://")[0]
    if scheme not in SERVERS or more:
        raise ArgumentError(
            f"connect takes valkey://, kt:// or tt://, and several URLs for clusters only, "
            f"not {', '.join(map(without_login, (url, *more)))}"
        )
    given: dict[str, Any] = {"timeout": timeout}
    if scheme.startswith("kt"):
        given["default_db"] = default_db or None
    options = {**parse_url(url, scheme[:2], given), "serializer": serializer}
    kind = _client("tycoon" if scheme.startswith("kt") else "tyrant", blocking)
    return kind(decode_keys=decode_keys, **options)


def _client(server: str, blocking: bool) -> Any:
    if server == "tycoon":
        if blocking:
            from kt.client.tycoon.client import KyotoTycoon

            return KyotoTycoon
        from kt.client.tycoon.client_async import AsyncKyotoTycoon

        return AsyncKyotoTycoon
    if blocking:
        from kt.client.tyrant.client import TokyoTyrant

        return TokyoTyrant
    from kt.client.tyrant.client_async import AsyncTokyoTyrant

    return AsyncTokyoTyrant
