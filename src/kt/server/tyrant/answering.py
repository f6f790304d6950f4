"""A session of kt-tyrant as the handlers of its protocols see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Final, Protocol, TypeAlias

from kt.server.engines import LargeValue
from kt.server.engines.io._io import Reply as NativeReply
from kt.server.engines.tokyo._engine import Database
from kt.server.reading import ReadingSession
from kt.server.session import Rights
from kt.server.tyrant.options import COMMANDS_OF, Command
from kt.server.tyrant.script import TyrantScript
from kt.server.tyrant.service import TyrantService

Pieces: TypeAlias = bytes | NativeReply | list[bytes]
"""A reply, as one or, where a large value is not to be copied, in several pieces."""
Reply: TypeAlias = Callable[[], Pieces]
"""Part of a command that calls the engine, and makes the reply. What it counts it counts last."""

LARGE_VALUE: Final = 1 << 20
"""A value of more bytes is stored by a worker thread, and not copied into a reply."""


class Ending(Protocol):
    """What ends with the session."""

    def end(self) -> None: ...


class Answering(ReadingSession):
    """What handlers use.

    Attributes:
        service: what all sessions share.
    """

    def __init__(self, service: TyrantService) -> None:
        super().__init__()
        self.service = service
        self.supply: Ending | None = None  # what sends the update log, if that has been asked for
        self.keeps = True  # whether the last request lets the connection live
        self._mask = 0  # the commands that are forbidden to this client

    def lost(self) -> Callable[[], object] | None:
        if self.supply is not None:
            self.supply.end()
        return None

    def restrict(self, rights: Rights) -> None:
        super().restrict(rights)
        for right, commands in COMMANDS_OF.items():
            if not rights & right:
                self._mask |= sum(1 << command for command in commands)

    @property
    def mask(self) -> int:
        """The bits of the commands that are forbidden to this client, beside the server's mask."""
        return self._mask

    def forbids(self, *commands: Command) -> bool:
        """Whether the server's mask, or what this client may do, forbids one of these."""
        return self.service.forbids(*commands) or any(self._mask >> each & 1 for each in commands)

    def forbids_misc(self, name: bytes, arguments: Sequence[bytes]) -> bool:
        """Whether this client may not call `misc` for that."""
        return bool(Database.rights_for(name, arguments) & ~self.rights)

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
        for piece in reply if isinstance(reply, list) else [reply]:
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
