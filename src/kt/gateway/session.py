"""What serves a client of a gateway: its requests are under way together, its replies in order.

All whole requests that have come are given to the cluster at once (`Cluster.answer_all`, which
knows which of them may overlap); until their replies are written nothing more is served. What a
request looks like, and what is said where there is no answer, is the protocol's: `tycoon.py` and
`tyrant.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from kt.cluster.cluster import Session as Answers
from kt.errors import KTError, OutcomeUnknown, ProtocolError
from kt.gateway.service import GatewayService
from kt.server.session import Await, Session
from kt.wire.reading import Buffer, Incomplete

TOGETHER: Final = 1000
"""Requests of a client that are taken at once, at most."""

NO_LIMIT: Final = 1e9
"""Seconds to wait for the cluster, whose own limit (``timeout``) ends every request."""


class GatewaySession(Session):
    """See the module's docstring.

    Args:
        service: what all sessions share.
        answers: what the client's requests mean on the cluster.
    """

    def __init__(self, service: GatewayService, answers: Answers) -> None:
        super().__init__()
        self.service = service
        self._begun_request: Incomplete[Any] | None = None  # at the begin of the input
        self._answers = answers
        self._answered: list[bytes | BaseException] = []

    # What a protocol defines

    def read(self, data: Buffer, pos: int) -> tuple[Any, int] | Incomplete[Any]:
        """A request. Raises `ProtocolError` for what is none."""
        raise NotImplementedError

    def is_last(self, request: Any) -> bool:
        """Whether the connection ends after it."""
        return False

    def is_script(self, request: Any) -> bool:
        """Whether a script is to answer it: nothing else is under way then."""
        return False

    def play(self, request: Any) -> None:
        """Let a script answer it."""
        raise NotImplementedError

    def takes(self, requests: list[Any], size: int) -> None:
        """These requests, of so many bytes together, are going to be answered."""

    def awaits(self, data: Buffer, pos: int, found: Incomplete[Any]) -> bool:
        """Whether a request of which a part is there may be as long as it is."""
        return True

    def misread(self, data: Buffer, pos: int, error: ProtocolError) -> None:
        """Say what is to be said to what is no request; the connection ends then."""

    def known(self) -> list[list[Any]]:
        """What is known already of the requests that come now; see `Cluster.answer_all`."""
        return []

    def refusal(self, request: Any, error: KTError) -> bytes:
        """The reply to a request whose answering has raised; it may close the connection."""
        raise NotImplementedError

    def name_of(self, request: Any) -> str:
        """What the log calls it."""
        raise NotImplementedError

    # What is the same for all

    def step(self, data: bytes | bytearray, pos: int) -> int:
        requests: list[Any] = []
        begin = pos
        try:
            while pos < len(data) and len(requests) < TOGETHER:
                found = self._read(data, pos)
                if isinstance(found, Incomplete):
                    if not requests:
                        self._await_more(data, pos, found)
                    break
                request, end = found
                if self.is_script(request):
                    if requests:
                        break
                    self.service.counts["requests"] += 1
                    self.play(request)
                    return end
                pos = end
                requests.append(request)
                if self.is_last(request):
                    break
        except ProtocolError as error:
            if not requests:  # else when those before it have been answered
                self.misread(data, pos, error)
                self.close()
                return pos
        if requests:
            self.service.counts["requests"] += len(requests)
            self.takes(requests, pos - begin)
            self.work = Await(
                lambda over: self._begin(requests, over),
                NO_LIMIT,
                lambda _: self._reply(requests),
                gives_up=False,
            )
        return pos

    def _read(self, data: Buffer, pos: int) -> tuple[Any, int] | Incomplete[Any]:
        begun, self._begun_request = self._begun_request, None
        return self.read(data, pos) if begun is None else begun.resume(data, pos)

    def _await_more(self, data: Buffer, pos: int, found: Incomplete[Any]) -> None:
        """Go on with a request when more of it is there."""
        if not self.awaits(data, pos, found):
            self.close()
            return
        self.need = found.need
        if pos == 0:  # there it stays, as nothing before it is served
            self._begun_request = found

    def _begin(self, requests: list[Any], over: Callable[[bool], None]) -> Callable[[], None]:
        known = self.known()

        async def answer() -> None:
            self._answered = await self.service.cluster.answer_all(self._answers, requests, known)

        tasks = self.service.tasks
        task = asyncio.get_running_loop().create_task(answer())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(lambda done: None if done.cancelled() else over(True))
        return lambda: None  # what a client has sent is carried out, even if it is gone

    def _reply(self, requests: list[Any]) -> None:
        answered, self._answered = self._answered, []
        for request, reply in zip(requests, answered, strict=True):
            if isinstance(reply, KTError):
                reply = self._refusal(request, reply)
            elif isinstance(reply, BaseException):
                raise reply
            if reply:
                self.write(reply)
            if self.service.log.info_wanted:
                self.service.log.info(f"({self.peer}): {self.name_of(request)}")
            if self.closing:
                return
        if self.is_last(requests[-1]):
            self.close()

    def _refusal(self, request: Any, error: KTError) -> bytes:
        kind = "unknown" if isinstance(error, OutcomeUnknown) else "failed"
        self.service.counts[kind] += 1
        self.service.log.info(f"({self.peer}): {kind}: {error}")
        return self.refusal(request, error)
