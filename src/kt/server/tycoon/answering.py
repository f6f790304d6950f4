"""A session of kt-tycoon as the handlers of HTTP requests see it."""

from __future__ import annotations

from kt.server.engines.kyoto._engine import Cursor
from kt.server.session import Session
from kt.server.tycoon.service import TycoonService
from kt.wire.tycoon_rpc import HttpRequest


class Answering(Session):
    """What handlers use.

    Attributes:
        service: what all sessions share.
        cursors: this client's cursors, by the numbers that it gave them.
    """

    def __init__(self, service: TycoonService) -> None:
        super().__init__()
        self.service = service
        self.cursors: dict[int, Cursor] = {}

    def answer(self, request: HttpRequest, status: int, *reply: bytes) -> None:
        """Send the reply to an HTTP request, which may be in pieces."""
        for piece in reply:
            self.write(piece)
        if self.service.log.info_wanted:
            line = b"%b %b %b" % request[:3]
            self.log_request(line.decode("latin-1"), status)
        if not request.keep_alive:
            self.close()

    def log_request(self, request: str, outcome: int, when: float | None = None) -> None:
        """Log a request that has been answered."""
        self.service.log.info(f"({self.peer}): {request}: {outcome:d}", when)
