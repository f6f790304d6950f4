"""Calls that are begun now and carried out later, together: what pipelines are made of.

A method of the asyncio clients packs a request, waits for the reply and decodes it. Begun with
another pool, an `Outbox`, it comes to a stop where it waits, and shows what it would have sent::

    get("x")  ──>  pack ── call(request, reader) ┊ decode  ──>  result
                                  │              ┊   ↑
    Deferrals.begin ──────────────┘  (stopped)   ┊   └──── Deferrals.take(reply)

So every method serves in a pipeline as it is, a blocking one included: no event loop is needed to
go on with a coroutine, and this module knows nothing of sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine, Generator, Iterator, Mapping
from types import coroutine
from typing import Any, Final, Generic, NoReturn, TypeAlias, TypeVar

from kt.errors import ArgumentError, KTError, ServerError
from kt.net.endpoint import Endpoint
from kt.wire.reading import Reader

T = TypeVar("T")

Exchange: TypeAlias = "tuple[bytes, Reader[Any] | None]"
"""A request, and what reads its reply; None if it has none."""

_PENDING: Final = object()

SILENT_MAX: Final = 256
"""So many requests without reply go out before one that has a reply."""


class PipelineResult(Generic[T]):
    """What a call of a pipeline comes to, as soon as the pipeline has been carried out."""

    __slots__ = ("_coroutine", "_error", "_exchange", "_value")

    def __init__(self, call: Coroutine[Exchange, Any, T]) -> None:
        self._coroutine: Coroutine[Exchange, Any, T] | None = call
        self._exchange: Exchange | None = None
        self._value: Any = _PENDING
        self._error: BaseException | None = None

    def done(self) -> bool:
        """Tell whether there is a result, or an exception."""
        return self._coroutine is None

    def result(self) -> T:
        """Return what the call returns.

        Raises:
            ArgumentError: the pipeline has not been carried out yet.
            KTError: what the call raised, such as ServerError.
        """
        if self._error is not None:
            raise self._error
        if self._value is _PENDING:
            raise ArgumentError("the pipeline has not been carried out yet: see execute()")
        value: T = self._value
        return value

    def exception(self) -> BaseException | None:
        """Return what the call raised, None if nothing."""
        return self._error

    def __repr__(self) -> str:
        if self._error is not None:
            return f"<PipelineResult: {self._error!r}>"
        return f"<PipelineResult: {self._value!r}>" if self.done() else "<PipelineResult, pending>"

    def _advance(self, reply: Any) -> bool:
        """Go on with the call until it waits (False) or is done (True)."""
        assert self._coroutine is not None
        try:
            self._exchange = self._coroutine.send(reply)
        except StopIteration as stop:
            self._value = stop.value
        except Exception as error:  # noqa: BLE001 - it is the call's result
            self._error = error
        else:
            return False
        self._coroutine = self._exchange = None
        return True

    def _give_up(self, error: BaseException) -> None:
        """There will be no reply."""
        if self._coroutine is not None:
            self._coroutine.close()
            self._coroutine = self._exchange = None
            self._error = error


@coroutine
def exchange(
    request: bytes, reader: Reader[Any] | None, *_: object
) -> Generator[Exchange, Any, Any]:
    """Stop with an exchange, and return the reply that comes back."""
    value = yield request, reader
    if value.__class__ is ServerError:
        raise value
    return value


class Outbox:
    """In place of a pool: shows exchanges to whoever runs the coroutine, instead of making them."""

    call = staticmethod(exchange)

    @staticmethod
    async def send(request: bytes, timeout: object = None) -> None:
        """Stop with a request that has no reply."""
        await exchange(request, None)

    def lease(self, timeout: object = None) -> NoReturn:
        """Refuse: this call needs a connection of its own."""
        raise ArgumentError("this call needs a connection of its own: it cannot be in a pipeline")


def adopt(client: object, settings: Mapping[str, Any]) -> None:
    """Give a client these settings, and let its calls be deferred."""
    vars(client).update(settings, _pool=Outbox(), _call=exchange, _pipelined=True)


class Deferrals:
    """The calls of one pipeline, in order, from their begin to their results."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._waiting: deque[PipelineResult[Any]] = deque()  # not sent yet
        self._asked: deque[list[PipelineResult[Any]]] = deque()  # sent; one list for each reply
        self._results: list[PipelineResult[Any]] = []

    def __len__(self) -> int:
        """Return how many calls wait to be sent."""
        return len(self._waiting)

    def begin(self, call: Coroutine[Exchange, Any, T]) -> PipelineResult[T]:
        """Begin a call, which stops where it waits for its reply.

        Raises what the call raises before anything is sent, such as ArgumentError.
        """
        result = PipelineResult(call)
        if result._advance(None):
            result.result()
        else:
            self._waiting.append(result)
        self._results.append(result)
        return result

    def exchanges(self) -> Iterator[tuple[bytes, Reader[Any]]]:
        """Yield what is to be sent; requests without reply go out together with the next one."""
        silent: list[PipelineResult[Any]] = []
        before: list[bytes] = []
        while self._waiting or silent:
            if not self._waiting or len(silent) == SILENT_MAX:
                self._waiting.appendleft(self._barrier())
            result = self._waiting.popleft()
            assert result._exchange is not None
            request, reader = result._exchange
            if reader is None:
                before.append(request)
                silent.append(result)
                continue
            self._asked.append([*silent, result])
            yield b"".join([*before, request]) if before else request, reader
            silent, before = [], []

    def _barrier(self) -> PipelineResult[Any]:
        """Return a call of no effect, whose reply shows that what was sent before is done."""
        endpoint = self._endpoint
        barrier = PipelineResult(_reply(endpoint.barrier, endpoint.read_barrier))
        barrier._advance(None)
        return barrier

    def take(self, reply: Any) -> None:
        """Hand the next reply to the call that waits for it."""
        *silent, result = self._asked.popleft()
        for sent in silent:
            sent._advance(None)
        if not result._advance(reply):
            self._waiting.append(result)

    def give_up(self, error: BaseException) -> None:
        """No further reply will come."""
        for results in self._asked:
            for result in results:
                result._give_up(error)
        self._asked.clear()
        self.discard(error)

    def discard(self, error: BaseException) -> None:
        """Forget the calls that have not been sent."""
        for result in self._waiting:
            result._give_up(error)
        self._waiting.clear()

    def collect(self, raise_errors: bool) -> list[Any]:
        """Return the results of all calls so far, in order, and forget them.

        Exceptions are among the results, unless the first of them is to be raised.
        """
        results, self._results = self._results, []
        errors = [result._error for result in results if result._error is not None]
        if errors and raise_errors:
            raise errors[0]
        return [result._value if result._error is None else result._error for result in results]


async def _reply(request: bytes, reader: Reader[T]) -> T:
    """Make a call of one exchange."""
    value: T = await exchange(request, reader)
    return value


class Unsent(KTError):
    """The pipeline was left by an exception: this call was not sent."""
