"""A session of kt-tycoon as the handlers of HTTP requests see it."""

from __future__ import annotations

from time import perf_counter

from kt.server.engines.kyoto._engine import Cursor
from kt.server.session import Session
from kt.server.tycoon.service import TycoonService
from kt.wire.tycoon_rpc import HttpRequest


class Answering(Session):
    """What handlers use.

    Attributes:
        service: what all sessions share.
        cursors: this client's cursors, by the numbers that it gave them.
        command: what is being answered, as the report calls it.
        began: when that began, on the clock of `perf_counter`.
    """

    def __init__(self, service: TycoonService) -> None:
        super().__init__()
        self.service = service
        self.cursors: dict[int, Cursor] = {}
        self.command = ""
        self.began = 0.0

    @property
    def follows(self) -> bool:
        """Whether the client gets the update log, or a copy, and asks for nothing more."""
        return False

    def answer(self, request: HttpRequest, status: int, *reply: bytes) -> None:
        """Send the reply to an HTTP request, which may be in pieces."""
        for piece in reply:
            self.write(piece)
        self.service.answered(self.command, perf_counter() - self.began)
        if self.service.log.info_wanted:
            line = b"%b %b %b" % request[:3]
            self.log_request(line.decode("latin-1"), status)
        if not request.keep_alive:
            self.close()

    def log_request(self, request: str, outcome: int, when: float | None = None) -> None:
        """Log a request that has been answered."""
        self.service.log.info(f"({self.peer}): {request}: {outcome:d}", when)
