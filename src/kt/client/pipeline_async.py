"""Pipelines: many calls, one trip to the server.

::

    async with db.pipeline() as pipe:
        name = pipe.get("name")
        visits = pipe.incr("visits")
    print(name.result(), visits.result())

A pipeline has the client's methods, which return a `PipelineResult` at once. At the end of the
`with` block, or with `execute`, the requests go out one after the other without waiting for
replies, on a connection of the pipeline's own, while replies are read as they come: any number is
fine, also with a server that reads no further until it can write. All that was called through the
client before has been carried out by then. The calls are not a transaction: others may come
between, and a failure of one is that one's alone.

A blocking pipeline sends what it has whenever `CROWD` calls have come together, so that it may be
of any length; with asyncio, `flush` does that when the program wants it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from kt.client.deferred import Deferrals, Exchange, PipelineResult, Unsent
from kt.net.aio import Pool, relieve

if TYPE_CHECKING:
    from kt.client.base_async import AsyncClient

T = TypeVar("T")

CROWD: Final = 1000
"""Calls that a blocking pipeline collects before it sends them."""


class AsyncPipeline:
    """What the pipelines of both servers share."""

    def __init__(self, client: AsyncClient[Any, Any], raise_errors: bool) -> None:
        self._pool: Pool = client._pool
        self._timeout = client.timeout
        self._raise_errors = raise_errors
        self._deferrals = Deferrals(self._pool.endpoint)

    def _begin(self, call: Coroutine[Exchange, Any, T]) -> PipelineResult[T]:
        result = self._deferrals.begin(call)
        if len(self._deferrals.waiting) >= CROWD:
            relieve(self.flush)
        return result

    def __len__(self) -> int:
        """Return how many calls wait to be sent."""
        return len(self._deferrals.waiting)

    async def flush(self) -> None:
        """Send the calls that wait and read their replies; results stay for `execute` to return.

        Raises:
            ServerConnectionError, ServerTimeoutError, ProtocolError: the connection broke; the
                calls that have no result have this exception instead.
        """
        deferrals = self._deferrals
        try:
            while deferrals.waiting:
                async with self._pool.lease(self._timeout) as connection:
                    batches = connection.call_many(deferrals.exchanges(), self._timeout)
                    async for replies in batches:
                        deferrals.take(replies)
        except BaseException as error:
            deferrals.give_up(error)
            raise

    async def execute(self) -> list[Any]:
        """Carry out the calls and return their results, in order; the pipeline is empty then.

        Without `raise_errors`, the exceptions of calls that failed are among the results.

        Raises:
            ServerError, SerializationError: the first failure of a call, after all calls have been
                carried out; with `raise_errors` only.
            ServerConnectionError, ServerTimeoutError, ProtocolError: the connection broke.
        """
        await self.flush()
        return self._deferrals.collect(self._raise_errors)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            await self.execute()
        else:
            self._deferrals.discard(Unsent("the pipeline was left by an exception: not sent"))
