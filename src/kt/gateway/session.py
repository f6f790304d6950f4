"""What serves a client of a gateway: its requests are under way together, its replies in order.

All whole requests that have come are given to the cluster at once (`Cluster.answer_all`, which
knows which of them may overlap); until their replies are written nothing more is served.

Where it is not known whether a write has been carried out, HTTP says so. The binary protocol has no
words for it, and its error would say that nothing was done: the connection ends in the middle of
the reply, as that of a kt-tycoon does with ``-ack``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kt.cluster.answers import REQUEST_MAX, Request, read_request, refusal
from kt.cluster.answers import Session as Answers
from kt.errors import KTError, OutcomeUnknown, ProtocolError
from kt.gateway.relaying import replies_of
from kt.gateway.service import GatewayService
from kt.server.session import Await, Rights, Session
from kt.server.tycoon.rights import NEEDED, NEEDED_BY_METHOD
from kt.server.tycoon.rights import refusal as refusal_of
from kt.wire.magic import GET_BULK, NO_REPLY, REMOVE_BULK, REPLICATION, SET_BULK
from kt.wire.reading import Buffer, Incomplete
from kt.wire.tycoon import (
    ERROR_REPLY,
    GetBulk,
    RemoveBulk,
    SetBulk,
    pack_remove_bulk_reply,
    pack_set_bulk_reply,
)
from kt.wire.tycoon_rpc import HttpRefusal, HttpRequest, IncompleteBody, pack_http_refusal

if TYPE_CHECKING:
    from kt.server.engines.io._io import Servable

TOGETHER: Final = 1000
"""Requests of a client that are taken at once, at most."""

NO_LIMIT: Final = 1e9
"""Seconds to wait for the cluster, whose own limit (``timeout``) ends every request."""

PLAIN_MAX: Final = 1 << 20
"""Bytes that requests may have which a thread serves."""

BULKS: Final = (GET_BULK, SET_BULK, REMOVE_BULK)
BULK_HEAD: Final = 9
"""Bytes of one before its records."""

TRACED: Final = (
    *("GetBulk", "SetBulk", "RemoveBulk"),
    *("POST /rpc/get HTTP/1.1", "POST /rpc/set HTTP/1.1", "POST /rpc/remove HTTP/1.1"),
)
"""What is logged for what a native thread has noted; see `RelayThread`."""

TOO_LARGE: Final = HttpRefusal(413, "Request Entity Too Large")


class GatewaySession(Session):
    """See the module's docstring."""

    def __init__(self, service: GatewayService) -> None:
        super().__init__()
        self._service = service
        self._answers = Answers(
            service.cluster.databases,
            service.facts,
            service.stamp,
            self._refuses,
            service.location,
        )
        self._answered: list[bytes | BaseException] = []
        self._begun: Incomplete[Request] | None = None  # at the begin of the input
        self._relayed = service.relayed()
        self._unanswered = b""  # what a half-read request gets if its rest does not come
        self._speaks_http = False

    def step(self, data: bytes | bytearray, pos: int) -> int:
        requests: list[Request] = []
        begin = pos
        self._unanswered = b""
        try:
            while pos < len(data) and len(requests) < TOGETHER:
                found = self._read(data, pos)
                if isinstance(found, Incomplete):
                    if not requests:
                        self._await_more(data, pos, found)
                    break
                request, pos = found
                requests.append(request)
                self._speaks_http = isinstance(request, HttpRequest)
                if isinstance(request, HttpRequest) and not request.keep_alive:
                    break
        except ProtocolError as error:
            if not requests:  # else when those before it have been answered
                self._end(data[pos], error)
                return pos
        if requests:
            self._service.counts["requests"] += len(requests)
            plain = pos - begin <= PLAIN_MAX and all(map(self._service.is_plain, requests))
            self.plain = self.plain + len(requests) if plain else 0
            self.work = Await(
                lambda over: self._begin(requests, over),
                NO_LIMIT,
                lambda _: self._reply(requests),
                gives_up=False,
            )
        return pos

    def _read(self, data: Buffer, pos: int) -> tuple[Request, int] | Incomplete[Request]:
        begun, self._begun = self._begun, None
        return read_request(data, pos) if begun is None else begun.resume(data, pos)

    def _await_more(self, data: Buffer, pos: int, found: Incomplete[Request]) -> None:
        """Go on with a request when more of it is there."""
        if found.need > REQUEST_MAX:
            self._end(data[pos], TOO_LARGE)
            return
        self.need = found.need
        if isinstance(found, IncompleteBody):
            self._unanswered = pack_http_refusal(*found.refusal, self._service.stamp())
        elif data[pos] in BULKS and len(data) - pos >= BULK_HEAD:
            silent = data[pos] != GET_BULK and data[pos + 4] & NO_REPLY
            self._unanswered = b"" if silent else ERROR_REPLY
        if pos == 0:  # there it stays, as nothing before it is served
            self._begun = found

    def _end(self, first: int, error: ProtocolError) -> None:
        """Answer what is no request, and end."""
        if isinstance(error, HttpRefusal):
            self.write(pack_http_refusal(error.status, error.reason, self._service.stamp()))
        elif first in BULKS or first == REPLICATION:
            self.write(ERROR_REPLY)
        self.close()

    def _begin(self, requests: list[Request], over: Callable[[bool], None]) -> Callable[[], None]:
        known = self._take_known()

        async def answer() -> None:
            self._answered = await self._service.cluster.answer_all(self._answers, requests, known)

        tasks = self._service.tasks
        task = asyncio.get_running_loop().create_task(answer())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(lambda done: None if done.cancelled() else over(True))
        return lambda: None  # what a client has sent is carried out, even if it is gone

    def _take_known(self) -> list[list[Any]]:
        """What a thread has found out of the requests that come now."""
        if self._relayed is None or not self._relayed.known:
            return []
        known, self._relayed.known = self._relayed.known, []
        return [replies_of(those) for those in known]

    def servable(self) -> Servable | None:
        both = Rights.READ | Rights.WRITE
        return self._relayed if self.rights & both == both else None

    def _reply(self, requests: list[Request]) -> None:
        answered, self._answered = self._answered, []
        for request, reply in zip(requests, answered, strict=True):
            if isinstance(reply, KTError):
                reply = self._refusal(request, reply)
            elif isinstance(reply, BaseException):
                raise reply
            if reply:
                self.write(reply)
            if self._service.log.info_wanted:
                self._log(request)
            if self.closing:
                return
        last = requests[-1]
        if isinstance(last, HttpRequest) and not last.keep_alive:
            self.close()

    def _refusal(self, request: Request, error: KTError) -> bytes:
        kind = "unknown" if isinstance(error, OutcomeUnknown) else "failed"
        self._service.counts[kind] += 1
        self._service.log.info(f"({self.peer}): {kind}: {error}")
        if not isinstance(request, HttpRequest | GetBulk) and request.flags & NO_REPLY:
            return b""
        if kind == "unknown" and isinstance(request, SetBulk | RemoveBulk):
            self.close()
            return _begun_reply(request)
        return refusal(request, error, self._service.stamp())

    def _refuses(self, name: bytes) -> str | None:
        """Why the client may not call a procedure, or use a method of HTTP; None if it may."""
        needed = NEEDED.get(name, NEEDED_BY_METHOD.get(name, Rights.NONE))
        why = refusal_of(needed, self.rights)
        if why is None:
            return None
        self._service.counts["refused"] += 1
        return why.decode()

    def _log(self, request: Request) -> None:
        if isinstance(request, HttpRequest):
            line = (b"%b %b %b" % request[:3]).decode("latin-1")
        else:
            line = type(request).__name__
        self._service.log.info(f"({self.peer}): {line}")

    def log_trace(self, traced: bytes, when: float) -> None:
        for code in traced:
            self._service.log.info(f"({self.peer}): {TRACED[code]}", when)

    def cut_off(self) -> None:
        self.write(self._unanswered)

    def failed(self) -> None:
        if self._speaks_http:
            self.write(pack_http_refusal(500, "logic error", self._service.stamp()))
        else:
            self.write(ERROR_REPLY)


def _begun_reply(request: SetBulk | RemoveBulk) -> bytes:
    """The first byte of the reply to it."""
    pack = pack_set_bulk_reply if isinstance(request, SetBulk) else pack_remove_bulk_reply
    return pack(0)[:1]
