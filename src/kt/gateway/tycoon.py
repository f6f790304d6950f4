"""A client of a gateway that speaks Kyoto Tycoon's protocols.

Where it is not known whether a write has been carried out, HTTP says so. The binary protocol has no
words for it, and its error would say that nothing was done: the connection ends in the middle of
the reply, as that of a kt-tycoon does with ``-ack``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kt.cluster.answers import REQUEST_MAX, Request, pack_answer, read_request, refusal
from kt.cluster.answers import Session as Answers
from kt.errors import KTError, OutcomeUnknown, ProtocolError
from kt.gateway.relaying import replies_of
from kt.gateway.service import GatewayService
from kt.gateway.session import GatewaySession
from kt.server.session import Rights
from kt.server.tycoon.rights import NEEDED, NEEDED_BY_METHOD
from kt.server.tycoon.rights import refusal as refusal_of
from kt.wire.magic import GET_BULK, NO_REPLY, REMOVE_BULK, REPLICATION, SET_BULK
from kt.wire.reading import Buffer, Incomplete
from kt.wire.tycoon import (
    ERROR_REPLY,
    GetBulk,
    PlayScript,
    RemoveBulk,
    SetBulk,
    pack_remove_bulk_reply,
    pack_set_bulk_reply,
)
from kt.wire.tycoon_rpc import HttpRefusal, HttpRequest, IncompleteBody, pack_http_refusal

if TYPE_CHECKING:
    from kt.server.engines.io._io import Servable

PLAIN_MAX: Final = 1 << 20
"""Bytes that requests may have which a thread serves."""

BULKS: Final = (GET_BULK, SET_BULK, REMOVE_BULK)
BULK_HEAD: Final = 9
"""Bytes of one before its records."""

PLAY: Final = b"/rpc/play_script"

TRACED: Final = (
    *("GetBulk", "SetBulk", "RemoveBulk"),
    *("POST /rpc/get HTTP/1.1", "POST /rpc/set HTTP/1.1", "POST /rpc/remove HTTP/1.1"),
)
"""What is logged for what a native thread has noted; see `RelayThread`."""

TOO_LARGE: Final = HttpRefusal(413, "Request Entity Too Large")


class TycoonGatewaySession(GatewaySession):
    """See the module's docstring."""

    def __init__(self, service: GatewayService) -> None:
        databases = service.cluster.databases
        stamp, location = service.stamp, service.location
        super().__init__(service, Answers(databases, service.facts, stamp, self._refuses, location))
        self._relayed = service.relayed()
        self._unanswered = b""  # what a half-read request gets if its rest does not come
        self._speaks_http = False

    def step(self, data: bytes | bytearray, pos: int) -> int:
        self._unanswered = b""
        return super().step(data, pos)

    def read(self, data: Buffer, pos: int) -> tuple[Request, int] | Incomplete[Request]:
        return read_request(data, pos)

    def is_script(self, request: Request) -> bool:
        if self.service.answer_by_script is None:
            return False
        if isinstance(request, HttpRequest):
            return request.target.partition(b"?")[0] == PLAY
        return isinstance(request, PlayScript)

    def play(self, request: Request) -> None:
        answer = self.service.answer_by_script
        assert answer is not None
        self._speaks_http = isinstance(request, HttpRequest)
        self.plain = 0
        stamp = self.service.stamp()
        if (why := self._refuses(b"play_script")) is None:
            self.in_script(partial(answer, request, stamp), partial(self._played, request))
        elif isinstance(request, HttpRequest):
            self._played(request, pack_answer(request, 403, {b"ERROR": why.encode()}, stamp))
        else:
            self._played(request, ERROR_REPLY)

    def _played(self, request: Request, reply: bytes) -> None:
        if isinstance(request, HttpRequest) or not request.flags & NO_REPLY:
            self.write(reply)
        if self.service.log.info_wanted:
            self.service.log.info(f"({self.peer}): {self.name_of(request)}")
        if self.is_last(request):
            self.close()

    def is_last(self, request: Request) -> bool:
        return isinstance(request, HttpRequest) and not request.keep_alive

    def takes(self, requests: list[Request], size: int) -> None:
        self._speaks_http = isinstance(requests[-1], HttpRequest)
        plain = size <= PLAIN_MAX and all(map(self.service.is_plain, requests))
        self.plain = self.plain + len(requests) if plain else 0

    def awaits(self, data: Buffer, pos: int, found: Incomplete[Request]) -> bool:
        if found.need > REQUEST_MAX:
            self.misread(data, pos, TOO_LARGE)
            return False
        if isinstance(found, IncompleteBody):
            self._unanswered = pack_http_refusal(*found.refusal, self.service.stamp())
        elif data[pos] in BULKS and len(data) - pos >= BULK_HEAD:
            silent = data[pos] != GET_BULK and data[pos + 4] & NO_REPLY
            self._unanswered = b"" if silent else ERROR_REPLY
        return True

    def misread(self, data: Buffer, pos: int, error: ProtocolError) -> None:
        if isinstance(error, HttpRefusal):
            self.write(pack_http_refusal(error.status, error.reason, self.service.stamp()))
        elif data[pos] in BULKS or data[pos] == REPLICATION:
            self.write(ERROR_REPLY)

    def known(self) -> list[list[Any]]:
        """What a thread has found out of the requests that come now."""
        if self._relayed is None or not self._relayed.known:
            return []
        known, self._relayed.known = self._relayed.known, []
        return [replies_of(those) for those in known]

    def servable(self) -> Servable | None:
        both = Rights.READ | Rights.WRITE
        return self._relayed if self.rights & both == both else None

    def refusal(self, request: Request, error: KTError) -> bytes:
        if not isinstance(request, HttpRequest | GetBulk) and request.flags & NO_REPLY:
            return b""
        if isinstance(error, OutcomeUnknown) and isinstance(request, SetBulk | RemoveBulk):
            self.close()
            return _begun_reply(request)
        return refusal(request, error, self.service.stamp())

    def _refuses(self, name: bytes) -> str | None:
        """Why the client may not call a procedure, or use a method of HTTP; None if it may."""
        needed = NEEDED.get(name, NEEDED_BY_METHOD.get(name, Rights.NONE))
        why = refusal_of(needed, self.rights)
        if why is None:
            return None
        self.service.counts["refused"] += 1
        return why.decode()

    def name_of(self, request: Request) -> str:
        if isinstance(request, HttpRequest):
            return (b"%b %b %b" % request[:3]).decode("latin-1")
        return type(request).__name__

    def log_trace(self, traced: bytes, when: float) -> None:
        for code in traced:
            self.service.log.info(f"({self.peer}): {TRACED[code]}", when)

    def cut_off(self) -> None:
        self.write(self._unanswered)

    def failed(self) -> None:
        if self._speaks_http:
            self.write(pack_http_refusal(500, "logic error", self.service.stamp()))
        else:
            self.write(ERROR_REPLY)


def _begun_reply(request: SetBulk | RemoveBulk) -> bytes:
    """The first byte of the reply to it."""
    pack = pack_set_bulk_reply if isinstance(request, SetBulk) else pack_remove_bulk_reply
    return pack(0)[:1]
