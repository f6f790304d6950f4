# Generated from base_async.py by tools/async_to_sync.py: edit that one.
"""What the clients of both servers share: connections, serialization, and a client's life.

A client is a light object over a pool of connections; `using` gives another view of the same pool.
Every public method is one call: pack a request, have it carried out, decode the reply.
"""

from __future__ import annotations

from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from kt.client.arguments import OnCall, checked_timeout
from kt.client.values import Values
from kt.errors import ArgumentError, ServerError
from kt.net.endpoint import Endpoint
from kt.net.manners import Manners
from kt.serializers import Serializer
from kt.types import K, V
from kt.wire.reading import Reader

if TYPE_CHECKING:
    from kt.client.url import Several
    from kt.net.blocking import Pool

T = TypeVar("T")


class Client(Generic[K, V]):
    """Base of `KyotoTycoon` and `TokyoTyrant`."""

    _pool: Pool
    _system: str
    """Kind of server, as OpenTelemetry would call it."""
    _pipelined = False
    """Part of a pipeline: a call that makes several exchanges would lose its turn."""

    def __init__(
        self,
        endpoint: Endpoint,
        serializer: Serializer[Any],
        decode_keys: bool,
        timeout: float | None,
        manners: Manners,
    ) -> None:
        from kt.net.blocking import Pool  # not before it is needed: pipelines of blocking clients

        self._pool = Pool(endpoint, manners)
        self._values = Values(serializer)
        self._decode_keys = bool(decode_keys)
        self._timeout = checked_timeout(timeout)

    def _observe(self, on_call: OnCall | None) -> None:
        """Have calls told to `on_call`, unless it is None."""
        if on_call is None:
            return
        if not callable(on_call):
            raise ArgumentError(
                f"on_call is a function of name, seconds and error, not {on_call!r}"
            )
        from kt.client.observed import observe  # not before it is needed

        observe(self, on_call)

    def _observed_by(self, on_call: OnCall) -> Self:
        """Return a second client of the same pool whose calls are told to `on_call`, too."""
        view = self._view(None, ...)
        earlier: OnCall | None = vars(self).get("_on_call")

        def both(name: str, seconds: float, error: BaseException | None) -> None:
            if earlier is not None:
                earlier(name, seconds, error)
            on_call(name, seconds, error)

        view._observe(both)
        return view

    def _carried_by(self, pool: Any) -> Self:
        """Return this client, with another way from a request to its reply: a pool like ours."""
        self._pool = pool
        return self

    def _found_among(self, several: Several | None) -> Self:
        """Return this client, for the one of several servers that is the master."""
        if several is None:
            return self
        from kt.net.group.blocking import Pool
        from kt.net.group.standing import groups

        pool, slaves = self._pool, several.slaves_read
        both = groups(self._system, several.places, slaves_read=slaves, directory=several.directory)
        return self._carried_by(Pool(pool.endpoint, pool.manners, *both))

    @property
    def host(self) -> str:
        """Name or address of the server."""
        return self._pool.endpoint.host

    @property
    def port(self) -> int:
        """TCP port of the server; 0 if `host` is the path of its Unix socket."""
        return self._pool.endpoint.port

    @property
    def timeout(self) -> float | None:
        """Seconds that one call may take, connecting included; None: any time."""
        return self._timeout

    @property
    def serializer(self) -> Serializer[V]:
        """What turns values into bytes and back."""
        return self._values.serializer

    def checkin(self) -> None:
        """Return the calling thread's connection to the pool, for other threads to use.

        It returns there by itself when the thread ends. The next call takes one again.
        """
        self._pool.checkin(self._timeout)

    def close(self) -> None:
        """Close the connections to the server, those in use by other threads after their calls.

        The client stays usable: the next call connects again.
        """
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._pool.endpoint} {self._settings()}>"

    def _settings(self) -> str:
        """Return what `repr` tells besides the server."""
        return repr(self._values.serializer)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds connections and cannot be pickled or copied: "
            "make a client in each process, or another view of this one with using()"
        )

    def _view(
        self, serializer: Serializer[Any] | None, timeout: float | EllipsisType | None
    ) -> Self:
        """Return a second client of the same pool; None and ... leave a setting as it is."""
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        if serializer is not None:
            view._values = Values(serializer)
        if not isinstance(timeout, EllipsisType):
            view._timeout = checked_timeout(timeout)
        return view

    def _call(self, request: bytes, reader: Reader[T | ServerError], repeatable: bool = False) -> T:
        """Have `request` carried out and return what `reader` makes of the reply."""
        return self._pool.call(request, reader, self._timeout, repeatable)
