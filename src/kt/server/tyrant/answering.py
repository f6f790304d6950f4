"""A session of kt-tyrant as the handlers of its protocols see it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any, Final, TypeAlias

from kt.server.engines import LargeValue
from kt.server.session import Session
from kt.server.tyrant.script import TyrantScript
from kt.server.tyrant.service import TyrantService
from kt.wire.reading import Reader

Pieces: TypeAlias = bytes | list[bytes]
"""A reply, as one or, where a large value is not to be copied, in several pieces."""
Reply: TypeAlias = Callable[[], Pieces]
"""Part of a command that calls the engine, and makes the reply. What it counts it counts last."""

LARGE_VALUE: Final = 1 << 20
"""A value of more bytes is stored by a worker thread, and not copied into a reply."""


class Answering(Session):
    """What handlers use.

    Attributes:
        service: what all sessions share.
    """

    def __init__(self, service: TyrantService) -> None:
        super().__init__()
        self.service = service
        self.half_read: tuple[Reader[Any], Callable[[Any], None]] | None = None
        self.supply: object | None = None  # what sends the update log, if that has been asked for
        self.keeps = True  # whether the last request lets the connection live

    def read(self, reader: Reader[Any], serve: Callable[[Any], None]) -> None:
        """Go on with the request: `serve` what `reader` reads from what follows."""
        self.half_read = reader, serve

    def run(self, reply: Reply, *, slow: bool = False) -> None:
        """Answer with what `reply` returns; in a worker thread if it may take long."""
        began = perf_counter()
        if not (slow or self.service.engine_may_block):
            with suppress(LargeValue):
                self.send(reply())
                self.service.core.took(perf_counter() - began)
                return
        self.in_thread(reply, partial(self._answer, self.keeps, began))

    def run_script(self, reply: Callable[[TyrantScript], Pieces]) -> None:
        """Answer with what `reply` returns, where there is a script."""
        self.in_script(reply, partial(self._answer, self.keeps, perf_counter()))

    def send(self, reply: Pieces) -> None:
        """Answer with `reply`."""
        for piece in [reply] if isinstance(reply, bytes) else reply:
            self.write(piece)

    def _answer(self, keeps: bool, began: float, reply: Pieces) -> None:
        """The end of a `run` in a worker thread."""
        self.send(reply)
        self.service.core.took(perf_counter() - began)
        self.close_unless(keeps or self.behind)

    def part(self) -> None:
        """End the connection, unless something has come behind this request."""
        self.keeps = False

    def close_unless(self, goes_on: bool) -> None:
        """Close, unless the connection goes on."""
        if not goes_on:
            self.close()
