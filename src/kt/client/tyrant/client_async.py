"""The asyncio client for Tokyo Tyrant: how it is made, and what stands on its requests.

The requests themselves are in `kt.client.tyrant.records_async` and the modules below it.
"""

from __future__ import annotations

from collections.abc import Iterable
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
from kt.client.tyrant.mapping import AsyncTyrantMapping
from kt.client.tyrant.records_async import AsyncTyrantRecords
from kt.client.url import HOST, PORT, parse_url
from kt.net import greetings
from kt.net.endpoint import Endpoint
from kt.options import Retry, Since
from kt.serializers import KT_BINARY, Serializer
from kt.types import V2, K, Key, V
from kt.wire.tyrant import pack_putkeep, read_putkeep_reply, read_rnum_reply

if TYPE_CHECKING:
    from ssl import SSLContext

    from kt.client.lua_async import AsyncTyrantScripts
    from kt.client.tyrant.changes_async import AsyncTyrantChanges
    from kt.client.tyrant.collection_async import AsyncTable
    from kt.client.tyrant.pipeline_async import AsyncTyrantPipeline
    from kt.client.tyrant.table_async import AsyncQuery
    from kt.client.tyrant.table_model import M
    from kt.client.tyrant.table_rows import Row


class AsyncTokyoTyrant(AsyncTyrantRecords[K, V], AsyncTyrantMapping[K, V]):
    """Client for a Tokyo Tyrant server. One object serves any number of threads or tasks.

    A missing key is never an error. Every method raises ServerConnectionError or ServerTimeoutError
    if the server cannot be reached or does not answer, ProtocolError if what it answers is not the
    protocol, and ServerError if it reports a failure. Methods that return "boolean indicating
    success" in other clients return True here, because a failure is raised.

    Args:
        host: name or address of the server.
        port: its TCP port; 0 if `host` is the path of a Unix socket.
        serializer: how values become bytes and back: KT_BINARY (text), KT_JSON, KT_MSGPACK, KT_NONE
            (bytes as they are), KT_PICKLE, TT_TABLE (rows of a table database, as dicts of text),
            or any object with the methods `dumps` and `loads`.
        decode_keys: keys come back as str, otherwise as bytes.
        timeout: seconds that a call may take, connecting included; None: any time.
        pool_size: for threads, idle connections that are kept; for asyncio, connections at a time.
        connect_timeout: seconds that an attempt to connect may take; None: as the call.
        retry: when to try again to connect, and what does no harm when it is done twice. None: only
            at once, when the server has closed a connection that was idle.
        on_call: is told of every call when it is over: name of the method, seconds, and what it
            raised or None. A pipeline is one call; cursors and other iterations are none.
        ssl: speak TLS, and check the server's certificate with this context; True: with what Python
            trusts by itself (`ssl.create_default_context`). None: without TLS.
    """

    _system = "tokyo_tyrant"

    @overload
    def __init__(
        self: AsyncTokyoTyrant[str, str],
        host: str = ...,
        port: int = ...,
        *,
        timeout: float | None = ...,
        **handling: Unpack[Handling],
    ) -> None: ...
    @overload
    def __init__(
        self: AsyncTokyoTyrant[str, V],
        host: str = ...,
        port: int = ...,
        serializer: Serializer[V] = ...,
        decode_keys: Literal[True] = ...,
        timeout: float | None = ...,
        **handling: Unpack[Handling],
    ) -> None: ...
    @overload
    def __init__(
        self: AsyncTokyoTyrant[bytes, V],
        host: str = ...,
        port: int = ...,
        serializer: Serializer[V] = ...,
        *,
        decode_keys: Literal[False],
        timeout: float | None = ...,
        **handling: Unpack[Handling],
    ) -> None: ...
    @overload
    def __init__(
        self: AsyncTokyoTyrant[Any, V],
        host: str = ...,
        port: int = ...,
        serializer: Serializer[V] = ...,
        decode_keys: bool = ...,
        timeout: float | None = ...,
        **handling: Unpack[Handling],
    ) -> None: ...
    def __init__(
        self,
        host: str = HOST,
        port: int = PORT,
        serializer: Serializer[Any] = KT_BINARY,
        decode_keys: bool = True,
        timeout: float | None = None,
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
            greetings.TYRANT.request,
            read_rnum_reply,
            stranger=greetings.TYCOON,
            tls=checked_tls(ssl, port),
        )
        super().__init__(
            endpoint,
            serializer,
            decode_keys,
            timeout,
            checked_manners(pool_size, connect_timeout, retry),
        )
        self._observe(on_call)

    @overload
    @classmethod
    def from_url(
        cls,
        url: str | None = ...,
        *,
        timeout: float | None = ...,
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
        **handling: Unpack[Handling],
    ) -> AsyncTokyoTyrant[str, V2]: ...
    @overload
    @classmethod
    def from_url(
        cls,
        url: str | None = ...,
        *,
        serializer: Serializer[V2] = ...,
        decode_keys: Literal[False],
        timeout: float | None = ...,
        **handling: Unpack[Handling],
    ) -> AsyncTokyoTyrant[bytes, V2]: ...
    @overload
    @classmethod
    def from_url(
        cls,
        url: str | None = ...,
        *,
        serializer: Serializer[V2] = ...,
        decode_keys: bool = ...,
        timeout: float | None = ...,
        **handling: Unpack[Handling],
    ) -> AsyncTokyoTyrant[Any, V2]: ...
    @classmethod
    def from_url(
        cls,
        url: str | None = None,
        *,
        serializer: Serializer[Any] = KT_BINARY,
        decode_keys: bool = True,
        timeout: float | None = None,
        pool_size: int | None = None,
        connect_timeout: float | None = None,
        retry: Retry | None = None,
        on_call: OnCall | None = None,
        ssl: SSLContext | bool | None = None,
    ) -> Any:
        """Return a client for ``tt://HOST:PORT``, ``tts://`` (TLS) or ``tt+unix://PATH``.

        What is neither in the URL nor given here is as in the constructor.

        Args:
            url: names the server: ``tt://localhost:1978?timeout=5``; its options are ``timeout``,
                ``connect_timeout``, ``pool_size`` and ``retry`` (attempts).
                ``tts://`` takes ``tls_ca`` (file with the authorities to be trusted),
                ``tls_cert`` and ``tls_key`` (files with a certificate to be shown) too.
                ``tt://A:1978,B:1978`` names several servers: the client uses the one that is the
                master, and with ``reads=slaves`` a slave for calls that only read.
                None for the URL in the environment variable ``KT_URL``.
            serializer, decode_keys: as in the constructor.
            timeout, pool_size, connect_timeout, retry: instead of what the URL says.
            on_call, ssl: as in the constructor.

        Raises:
            ArgumentError: it is not such a URL.
        """
        given = {
            "timeout": timeout,
            "pool_size": pool_size,
            "connect_timeout": connect_timeout,
            "retry": retry,
            "on_call": on_call,
            "ssl": ssl,
        }
        options = parse_url(url, "tt", given)
        several = options.pop("several", None)
        client: Any = cls(serializer=serializer, decode_keys=decode_keys, **options)
        return client._found_among(several)

    @overload
    def using(self, *, timeout: float | EllipsisType | None = ...) -> Self: ...
    @overload
    def using(
        self, *, serializer: Serializer[V2], timeout: float | EllipsisType | None = ...
    ) -> AsyncTokyoTyrant[K, V2]: ...
    def using(
        self,
        *,
        serializer: Serializer[Any] | None = None,
        timeout: float | EllipsisType | None = ...,
    ) -> Any:
        """Return a client with other settings that shares this one's connections.

        What is left out stays as it is::

            await db.using(timeout=0.5).get("k")
            documents = db.using(serializer=KT_JSON)
        """
        return self._view(serializer, timeout)

    @property
    def lua(self) -> AsyncTyrantScripts[V]:
        """The server's Lua functions as methods: ``await db.lua.add.as_int("visits", 5)``."""
        from kt.client.lua_async import AsyncTyrantScripts

        return AsyncTyrantScripts(self)

    def changes(
        self,
        *,
        since: Since | datetime | str = Since.NOW,
        sid: int | Iterable[int] | None = None,
        prefix: Key | None = None,
        everything: bool = False,
        as_sid: int | None = None,
        give_up: float | None = None,
    ) -> AsyncTyrantChanges[K, V]:
        """Return the server's changes as it logs them, one after the other, without an end.

        Every change comes at least once and in order, also if the connection is lost meanwhile. The
        server has to keep an update log (``-ulog`` and ``-sid``), and holds a worker thread for
        each feed.

        Args:
            since: where to begin: NOW, OLDEST, a time (aware), or the `position` of a feed.
            sid: only changes that were done first at the server with this id, or one of these.
            prefix: only changes of keys that begin so, and those that belong to no key.
            everything: also commands that change no record: that failed, or only read.
            as_sid: the id to ask with; the server leaves out what came from the server of that id.
                None for an id that no server has.
            give_up: seconds after which a lost connection is raised; None to try for ever.

        Raises:
            ServerError: the database is open in this process, and nothing logs its changes.
            LogGapError: while iterating: the log no longer has what comes after `since`.
            ServerError: while iterating: the server keeps no update log, or does not give it.
            ProtocolError: while iterating: what came is no change.
            SerializationError: while iterating: a value does not decode; the next one can follow.

        Example::

            async with db.changes(prefix="user:") as feed:
                async for change in feed:
                    print(change.what, change.key, change.value, feed.position)
        """
        from kt.client.changes_values import Terms, selection
        from kt.client.tyrant.changes_async import NOBODY, AsyncTyrantChanges

        self._pool.followed()  # raises where nothing is logged
        terms = Terms(
            self._timeout,
            self._values,
            self._decode_keys,
            since,
            selection(sid, None, prefix, everything),
            NOBODY if as_sid is None else as_sid,
            give_up,
        )
        return AsyncTyrantChanges(self, terms)

    async def setdefault(self, key: Key, default: Any) -> V:
        """Return the value of `key`; if there is no record, store `default` first.

        Of several that do so at the same time, all get the value of the one that was first. These
        are up to three requests, so a pipeline has no such call.

        Args:
            key: its key.
            default: the value to store.
        """
        data = self._values.dump(default, key)
        found = await self.get_bytes(key)
        while found is None:
            added = await self._call(pack_putkeep(key, data), read_putkeep_reply)
            found = data if added else await self.get_bytes(key)
        value: V = self._values.load(found, key)
        return value

    def pipeline(self, *, raise_errors: bool = True) -> AsyncTyrantPipeline[K, V]:
        """Return a pipeline: calls that are sent together; see `kt.client.pipeline`.

        Args:
            raise_errors: raise the first failure of a call, after all have been carried out;
                otherwise failures are among the results.

        Example::

            async with db.pipeline() as pipe:
                name = pipe.get("name")
                visits = pipe.incr("visits")
            print(name.result(), visits.result())
        """
        from kt.client.tyrant.pipeline_async import AsyncTyrantPipeline

        return AsyncTyrantPipeline(self, raise_errors)

    def query(self) -> AsyncQuery[Row]:
        """Begin a query of a table database.

        For example ``rows = await db.query().filter(C.age >= 18).order_by(C.name).all()``.
        """
        from kt.client.tyrant.table_async import query_rows

        return query_rows(self)

    async def search(self, column: str, phrase: str, limit: int | None = None) -> list[Row]:
        """Return the rows of a table database in which a column's text contains a phrase.

        A short way to ``db.query().filter(C[column].search(phrase))``. Letter case and accents make
        no difference; an index (`kt.IndexKind.QGRAM`) makes it quick.

        Args:
            column: its name.
            phrase: words that stand together.
            limit: how many rows at most; None: all.

        Raises:
            ServerError: the database is no table.
        """
        from kt.client.tyrant.table_query import C

        return await self.query().filter(C[column].search(phrase)).limit(limit).all()

    def table(self, model: type[M]) -> AsyncTable[M]:
        """Return the table database as a collection of instances of `model`.

        Raises:
            ImproperlyConfigured: the model has a column that no row can hold.
        """
        from kt.client.tyrant.collection_async import AsyncTable

        return AsyncTable(self, model)
