"""Calls that are begun now and carried out later, together: what pipelines are made of.

A method of the asyncio clients packs a request, waits for the reply and decodes it. Begun with
another pool, an `Outbox`, it comes to a stop where it waits, and shows what it would have sent::

    get("x")  ──>  pack ── call(request, reader) ┊ decode  ──>  result
                                  │              ┊   ↑
    Deferrals.begin ──────────────┘  (stopped)   ┊   └──── Deferrals.take(replies)

So every method serves in a pipeline as it is, a blocking one included: no event loop is needed to
go on with a coroutine, and this module knows nothing of sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine, Generator, Iterator, Mapping
from types import coroutine
from typing import Any, Final, Generic, NoReturn, TypeAlias, TypeVar, cast

from kt.errors import ArgumentError, KTError, ServerError
from kt.net.endpoint import Endpoint
from kt.wire.reading import Reader

T = TypeVar("T")

Exchange: TypeAlias = "tuple[bytes, Reader[Any] | None]"
"""A request, and what reads its reply; None if it has none."""

SILENT_MAX: Final = 256
"""So many requests without reply go out before one that has a reply."""


class PipelineResult(Generic[T]):
    """What a call of a pipeline comes to, as soon as the pipeline has been carried out."""

    __slots__ = ("_call", "_value")

    def __init__(self, call: Coroutine[Exchange, Any, T] | None, value: Exchange | T) -> None:
        """The exchange for which `call` waits; or what it came to, if `call` is None."""
        self._call: Coroutine[Exchange, Any, T] | BaseException | None = call
        self._value: Any = value

    def done(self) -> bool:
        """Tell whether there is a result, or an exception."""
        return self._call is None or isinstance(self._call, BaseException)

    def result(self) -> T:
        """Return what the call returns.

        Raises:
            ArgumentError: the pipeline has not been carried out yet.
            KTError: what the call raised, such as ServerError.
        """
        if isinstance(self._call, BaseException):
            raise self._call
        if self._call is not None:
            raise ArgumentError("the pipeline has not been carried out yet: see execute()")
        value: T = self._value
        return value

    def exception(self) -> BaseException | None:
        """Return what the call raised, None if nothing."""
        return self._call if isinstance(self._call, BaseException) else None

    def __repr__(self) -> str:
        if self.done():
            return f"<PipelineResult: {self._outcome()!r}>"
        return "<PipelineResult, pending>"

    def _outcome(self) -> Any:
        """Return the result, or the exception."""
        return self._value if self._call is None else self._call

    def _give_up(self, error: BaseException) -> None:
        """There will be no reply."""
        cast(Coroutine[Exchange, Any, T], self._call).close()
        self._call, self._value = error, None


@coroutine
def exchange(
    request: bytes, reader: Reader[Any] | None, *_: object, repeatable: bool = False
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
    """The calls of one pipeline, in order, from their begin to their results.

    Attributes:
        waiting: those that are not sent yet.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.waiting: deque[PipelineResult[Any]] = deque()
        self._asked: deque[PipelineResult[Any]] = deque()  # sent; silent ones before one that asks
        self._results: list[PipelineResult[Any]] = []

    def begin(self, call: Coroutine[Exchange, Any, T]) -> PipelineResult[T]:
        """Begin a call, which stops where it waits for its reply.

        Raises what the call raises before anything is sent, such as ArgumentError.
        """
        try:
            result = PipelineResult(call, call.send(None))
            self.waiting.append(result)
        except StopIteration as stop:
            result = PipelineResult(None, stop.value)
        self._results.append(result)
        return result

    def exchanges(self) -> Iterator[tuple[bytes, Reader[Any]]]:
        """Yield what is to be sent; requests without reply go out together with the next one."""
        silent: list[bytes] = []
        waiting, asked = self.waiting, self._asked
        while waiting or silent:
            if not waiting or len(silent) == SILENT_MAX:
                waiting.appendleft(self._barrier())
            result = waiting.popleft()
            asked.append(result)
            request, reader = result._value
            if reader is None:
                silent.append(request)
            elif silent:
                yield b"".join([*silent, request]), reader
                silent = []
            else:
                yield result._value

    def _barrier(self) -> PipelineResult[Any]:
        """Return a call of no effect, whose reply shows that what was sent before is done."""
        endpoint = self._endpoint
        call = _reply(endpoint.barrier, endpoint.read_barrier)
        return PipelineResult(call, call.send(None))

    def take(self, replies: list[Any]) -> None:
        """Hand the next replies to the calls that wait for them."""
        following, advance = self._asked.popleft, self._advance
        for reply in replies:
            result = following()
            while result._value[1] is None:  # it has no reply, but the one after it has
                advance(result, None)
                result = following()
            advance(result, reply)

    def _advance(self, result: PipelineResult[Any], reply: Any) -> None:
        """Go on with a call, until it is done or waits again."""
        try:
            result._value = result._call.send(reply)  # type: ignore[union-attr]  # it waits
        except StopIteration as stop:
            result._call, result._value = None, stop.value
        except Exception as error:  # noqa: BLE001 - it is the call's result
            result._call, result._value = error, None
        else:
            self.waiting.append(result)

    def give_up(self, error: BaseException) -> None:
        """No further reply will come."""
        for result in self._asked:
            result._give_up(error)
        self._asked.clear()
        self.discard(error)

    def discard(self, error: BaseException) -> None:
        """Forget the calls that have not been sent."""
        for result in self.waiting:
            result._give_up(error)
        self.waiting.clear()

    def collect(self, raise_errors: bool) -> list[Any]:
        """Return the results of all calls so far, in order, and forget them.

        Exceptions are among the results, unless the first of them is to be raised.
        """
        results, self._results = self._results, []
        if raise_errors:
            for result in results:
                if result._call is not None:
                    result.result()
        return [result._outcome() for result in results]


async def _reply(request: bytes, reader: Reader[T]) -> T:
    """Make a call of one exchange."""
    value: T = await exchange(request, reader)
    return value


class Unsent(KTError):
    """The pipeline was left by an exception: this call was not sent."""
