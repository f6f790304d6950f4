# Generated from client_async.py by tools/async_to_sync.py: edit that one.
"""The asyncio client for Kyoto Tycoon: how it is made, and what stands on its requests.

The requests themselves are in `kt.client.tycoon.records` and `kt.client.tycoon.admin`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from kt.client.arguments import (
    Handling,
    OnCall,
    checked_host,
    checked_manners,
    checked_port,
    checked_tls,
)
from kt.client.tycoon.columns import expiry
from kt.client.tycoon.mapping import TycoonMapping
from kt.client.tycoon.records import TycoonRecords
from kt.client.url import HOST, PORT, parse_url
from kt.net import greetings
from kt.net.endpoint import Endpoint
from kt.options import Retry, Since
from kt.serializers import KT_BINARY, Serializer
from kt.types import V2, ExpireTime, K, Key, V
from kt.wire.codec import encode_key
from kt.wire.tycoon import read_get_bulk_reply

if TYPE_CHECKING:
    from ssl import SSLContext

    from kt.client.lua import TycoonScripts
    from kt.client.tycoon.changes import TycoonChanges
    from kt.client.tycoon.pipeline import TycoonPipeline


class KyotoTycoon(TycoonRecords[K, V], TycoonMapping[V]):
    """Client for a Kyoto Tycoon server. One object serves any number of threads or tasks.

    A missing key is never an error. Every method raises ServerConnectionError or ServerTimeoutError
    if the server cannot be reached or does not answer, ProtocolError if what it answers is not the
    protocol, and ServerError if it reports a failure. A method that takes `db`, the index of a
    database, uses the client's default database without it.

    Args:
        host: name or address of the server.
        port: its TCP port; 0 if `host` is the path of a Unix socket.
        serializer: how values become bytes and back: KT_BINARY (text), KT_JSON, KT_MSGPACK, KT_NONE
            (bytes as they are), KT_PICKLE, or any object with the methods `dumps` and `loads`.
        decode_keys: keys come back as str, otherwise as bytes.
        timeout: seconds that a call may take, connecting included; None: any time.
        default_db: index of the database that is used where a call names none.
        pool_size: for threads, idle connections that are kept; for asyncio, connections at a time.
        connect_timeout: seconds that an attempt to connect may take; None: as the call.
        retry: when to try again to connect, and what does no harm when it is done twice. None: only
            at once, when the server has closed a connection that was idle.
        on_call: is told of every call when it is over: name of the method, seconds, and what it
            raised or None. A pipeline is one call; cursors and other iterations are none.
        ssl: speak TLS, and check the server's certificate with this context; True: with what Python
            trusts by itself (`ssl.create_default_context`). None: without TLS.
    """

    _system = "kyoto_tycoon"

    @overload
    def __init__(
        self: KyotoTycoon[str, str],
        host: str = ...,
        port: int = ...,
        *,
        timeout: float | None = ...,
        default_db: int = ...,
        **handling: Unpack[Handling],
    ) -> None: ...
    @overload
    def __init__(
        self: KyotoTycoon[str, V],
        host: str = ...,
        port: int = ...,
        serializer: Serializer[V] = ...,
        decode_keys: Literal[True] = ...,
        timeout: float | None = ...,
        default_db: int = ...,
        **handling: Unpack[Handling],
    ) -> None: ...
    @overload
    def __init__(
        self: KyotoTycoon[bytes, V],
        host: str = ...,
        port: int = ...,
        serializer: Serializer[V] = ...,
        *,
        decode_keys: Literal[False],
        timeout: float | None = ...,
        default_db: int = ...,
        **handling: Unpack[Handling],
    ) -> None: ...
    @overload
    def __init__(
        self: KyotoTycoon[Any, V],
        host: str = ...,
        port: int = ...,
        serializer: Serializer[V] = ...,
        decode_keys: bool = ...,
        timeout: float | None = ...,
        default_db: int = ...,
        **handling: Unpack[Handling],
    ) -> None: ...
    def __init__(
        self,
        host: str = HOST,
        port: int = PORT,
        serializer: Serializer[Any] = KT_BINARY,
        decode_keys: bool = True,
        timeout: float | None = None,
        default_db: int = 0,
        *,
        pool_size: int = 16,
        connect_timeout: float | None = None,
        retry: Retry | None = None,
        on_call: OnCall | None = None,
        ssl: SSLContext | bool | None = None,
    ) -> None:
        port = checked_port(port)
        endpoint = Endpoint(
            checked_host(host, port),
            port,
            greetings.TYCOON.request,
            read_get_bulk_reply,
            stranger=greetings.TYRANT,
            tls=checked_tls(ssl, port),
        )
        super().__init__(
            endpoint,
            serializer,
            decode_keys,
            timeout,
            checked_manners(pool_size, connect_timeout, retry),
        )
        self.set_database(default_db)
        self._observe(on_call)

    @overload
    @classmethod
    def from_url(
        cls,
        url: str | None = ...,
        *,
        timeout: float | None = ...,
        default_db: int | None = ...,
        **handling: Unpack[Handling],
    ) -> Self: ...
    @overload
    @classmethod
    def from_url(
        cls,
        url: str | None = ...,
        *,
        serializer: Serializer[V2] = ...,
        decode_keys: Literal[True] = ...,
        timeout: float | None = ...,
        default_db: int | None = ...,
        **handling: Unpack[Handling],
    ) -> KyotoTycoon[str, V2]: ...
    @overload
    @classmethod
    def from_url(
        cls,
        url: str | None = ...,
        *,
        serializer: Serializer[V2] = ...,
        decode_keys: Literal[False],
        timeout: float | None = ...,
        default_db: int | None = ...,
        **handling: Unpack[Handling],
    ) -> KyotoTycoon[bytes, V2]: ...
    @overload
    @classmethod
    def from_url(
        cls,
        url: str | None = ...,
        *,
        serializer: Serializer[V2] = ...,
        decode_keys: bool = ...,
        timeout: float | None = ...,
        default_db: int | None = ...,
        **handling: Unpack[Handling],
    ) -> KyotoTycoon[Any, V2]: ...
    @classmethod
    def from_url(
        cls,
        url: str | None = None,
        *,
        serializer: Serializer[Any] = KT_BINARY,
        decode_keys: bool = True,
        timeout: float | None = None,
        default_db: int | None = None,
        pool_size: int | None = None,
        connect_timeout: float | None = None,
        retry: Retry | None = None,
        on_call: OnCall | None = None,
        ssl: SSLContext | bool | None = None,
    ) -> Any:
        """Return a client for ``kt://HOST:PORT/DB``, ``kts://`` (TLS) or ``kt+unix://PATH``.

        What is neither in the URL nor given here is as in the constructor.

        Args:
            url: names the server: ``kt://localhost:1978/1?timeout=5``; its options are ``timeout``,
                ``connect_timeout``, ``pool_size``, ``retry`` (attempts) and ``db``.
                ``kts://`` takes ``tls_ca`` (file with the authorities to be trusted),
                ``tls_cert`` and ``tls_key`` (files with a certificate to be shown) too.
                ``kt://A:1978,B:1978`` names several servers: the client uses the one that is the
                master, and with ``reads=slaves`` a slave for calls that only read.
                None for the URL in the environment variable ``KT_URL``.
            serializer, decode_keys: as in the constructor.
            timeout, default_db, pool_size, connect_timeout, retry: instead of what the URL says.
            on_call, ssl: as in the constructor.

        Raises:
            ArgumentError: it is not such a URL.
        """
        given = {
            "timeout": timeout,
            "default_db": default_db,
            "pool_size": pool_size,
            "connect_timeout": connect_timeout,
            "retry": retry,
            "on_call": on_call,
            "ssl": ssl,
        }
        options = parse_url(url, "kt", given)
        several = options.pop("several", None)
        client: Any = cls(serializer=serializer, decode_keys=decode_keys, **options)
        return client._found_among(several)

    @overload
    def using(
        self, *, db: int | None = ..., timeout: float | EllipsisType | None = ...
    ) -> Self: ...
    @overload
    def using(
        self,
        *,
        serializer: Serializer[V2],
        db: int | None = ...,
        timeout: float | EllipsisType | None = ...,
    ) -> KyotoTycoon[K, V2]: ...
    def using(
        self,
        *,
        serializer: Serializer[Any] | None = None,
        db: int | None = None,
        timeout: float | EllipsisType | None = ...,
    ) -> Any:
        """Return a client with other settings that shares this one's connections.

        What is left out stays as it is::

            db.using(timeout=0.5).get("k")
            people = db.using(db=1, serializer=KT_JSON)
        """
        view = self._view(serializer, timeout)
        if db is not None:
            view.set_database(db)
        return view

    @property
    def lua(self) -> TycoonScripts[K]:
        """The server's Lua functions as methods: ``db.lua.take(item="apples", count=3)``."""
        from kt.client.lua import TycoonScripts

        return TycoonScripts(self)

    def changes(
        self,
        *,
        since: Since | datetime | str = Since.NOW,
        sid: int | Iterable[int] | None = None,
        db: int | Iterable[int] | None = None,
        prefix: Key | None = None,
        persistent: Container[int] = (),
        as_sid: int | None = None,
        give_up: float | None = None,
    ) -> TycoonChanges[K, V]:
        """Return the server's changes as it logs them, one after the other, without an end.

        Every change comes at least once and in order, also if the connection is lost meanwhile. The
        server has to keep an update log (``-ulog``), and holds a worker thread for each feed.

        Args:
            since: where to begin: NOW, OLDEST, a time (aware), or the `position` of a feed.
            sid: only changes that were done first at the server with this id, or one of these.
            db: only changes of this database, or one of these; None for all of them.
            prefix: only changes of keys that begin so, and clear.
            persistent: databases with ``ktopts=p``, whose records have no expiry.
            as_sid: the id to ask with; the server leaves out what was done first at the server of
                that id. None for an id that no server has.
            give_up: seconds after which a lost connection is raised; None to try for ever.

        Raises:
            ServerError: the database is open in this process, and nothing logs its changes.
            LogGapError: while iterating: the log no longer has what comes after `since`.
            ServerError: while iterating: the server keeps no update log.
            ProtocolError: while iterating: what came is no change, or not of such a database.
            SerializationError: while iterating: a value does not decode; the next one can follow.

        Example::

            with db.changes(prefix="user:") as feed:
                for change in feed:
                    print(change.what, change.key, change.value, feed.position)
        """
        from kt.client.changes_values import Terms, selection
        from kt.client.tycoon.changes import NOBODY, TycoonChanges

        self._pool.followed()  # raises where nothing is logged
        terms = Terms(
            self._timeout,
            self._values,
            self._decode_keys,
            since,
            selection(sid, db, prefix),
            NOBODY if as_sid is None else as_sid,
            give_up,
            persistent,
        )
        return TycoonChanges(self, terms)

    def setdefault(
        self,
        key: Key,
        default: Any,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
    ) -> V:
        """Return the value of `key`; if there is no record, store `default` first.

        Of several that do so at the same time, all get the value of the one that was first. These
        are up to three requests, so a pipeline has no such call.

        Args:
            key: its key.
            default: the value to store.
            db: index of the database.
            expire_time: when the new record expires; one that is there keeps its expiry.
        """
        data = self._values.dump(default, key)
        found = self.get_bytes(key, db)
        while found is None:
            columns = [*self._record(key, db), ("value", data), *expiry(expire_time)]
            added = self._try_rpc("add", columns) is not None
            found = data if added else self.get_bytes(key, db)
        value: V = self._values.load(found, key)
        return value

    def touch(self, key: Key, expire_time: ExpireTime | None, db: int | None = None) -> bool:
        """Let a record expire at another time, or never, and keep its value.

        The protocol has no such command: the value is read, and stored again if nobody has changed
        it meanwhile. A script can do that without sending it. A pipeline has no such call.

        Args:
            key: its key.
            expire_time: when it expires; None: never.
            db: index of the database.

        Returns:
            Whether there is such a record.
        """
        while True:
            found = self.get_bytes(key, db)
            if found is None:
                return False
            same = [("oval", found), ("nval", found)]
            columns = [*self._record(key, db), *same, *expiry(expire_time)]
            if self._try_rpc("cas", columns) is not None:
                return True

    def get_range(
        self, start: Key, stop: Key | None = None, max_keys: int = 0, db: int | None = None
    ) -> dict[K, V]:
        """Return the records of a range of keys, in their order. A pipeline has no such call.

        They are read by a cursor, page by page; others may change them meanwhile.

        Args:
            start: key that the range begins with.
            stop: key that the range ends before; None: it has no end.
            max_keys: how many records at most; 0: all.
            db: index of the database.

        Raises:
            ServerError: the database has no order: it is no tree.
        """
        found: dict[K, V] = {}
        end = None if stop is None else encode_key(stop)
        with self.cursor(db) as cursor:
            cursor.jump_back(start)  # which a database without order refuses
            if not cursor.jump(start):
                return found
            for key, value in cursor:
                if end is not None and encode_key(key) >= end:
                    break
                found[key] = value
                if len(found) == max_keys:
                    break
        return found

    def pipeline(self, *, raise_errors: bool = True) -> TycoonPipeline[K, V]:
        """Return a pipeline: calls that are sent together; see `kt.client.pipeline`.

        Args:
            raise_errors: raise the first failure of a call, after all have been carried out;
                otherwise failures are among the results.

        Example::

            with db.pipeline() as pipe:
                name = pipe.get("name")
                visits = pipe.incr("visits")
            print(name.result(), visits.result())
        """
        from kt.client.tycoon.pipeline import TycoonPipeline

        return TycoonPipeline(self, raise_errors)
