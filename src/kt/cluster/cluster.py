"""Databases on clusters, in one event loop: what clients and the gateway have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from kt.cluster.answers import Request, Session, is_single
from kt.cluster.commands import Batch, Command, with_known
from kt.cluster.database import Database
from kt.cluster.engine import Engine, carry_out, is_closed
from kt.cluster.settings import Settings
from kt.errors import KTError

TOGETHER: Final = 1000
"""Requests of a client that may be under way at the same time."""


class Cluster:
    """Databases and the connections to them.

    Args:
        settings: of each database.

    Attributes:
        databases: by their index.
        engines: what carries out the commands of each; empty until it is open.
    """

    def __init__(self, settings: Sequence[Settings]) -> None:
        self.databases = [Database(one) for one in settings]
        self.engines: list[Engine] = []
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and make sure that the databases are what they should be.

        Raises:
            ServerConnectionError, ServerTimeoutError: a cluster does not answer.
            ImproperlyConfigured: there is something else.
        """
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_task(self._open())
        opening = self._opening
        try:
            await asyncio.shield(opening)
        finally:
            if opening.done() and self._opening is opening:
                self._opening = None

    async def _open(self) -> None:
        if self.engines:
            return
        engines = []
        try:
            for database in self.databases:
                engine = Engine(database.settings)
                engines.append(engine)
                await engine.open()
                await engine.carry_out(database.claim())
        except BaseException:
            for engine in engines:
                await engine.close()
            raise
        self.engines = engines

    async def run(self, commands: list[Command]) -> list[Any]:
        """The replies to commands of one of the databases."""
        home = commands.home if isinstance(commands, Batch) else 0
        if not self.engines:
            raise is_closed()
        return await self.engines[home].run(commands)

    async def answer(self, session: Session, request: Request) -> bytes:
        """The reply to a request; raises KTError as `Session.answer`."""
        if not self.engines:
            await self.open()
        reply: bytes = await carry_out(session.answer(request), self.run)
        return reply

    async def answer_known(self, session: Session, request: Request, known: Sequence[Any]) -> bytes:
        """The reply to a request that is one round of commands, of which something is known.

        Args:
            session: the client's.
            request: what it asks for.
            known: of each command the reply, or that it is `LEFT`, or why the outcome is unknown.
        """

        async def run(commands: list[Command]) -> list[Any]:
            replies = list(known)
            for reply in replies:
                if isinstance(reply, KTError):
                    raise reply
            rest, places = with_known(commands, known)
            for place, reply in zip(places, await self.run(rest), strict=True):
                replies[place] = reply
            return replies

        reply: bytes = await carry_out(session.answer(request), run)
        return reply

    async def answer_all(
        self,
        session: Session,
        requests: Sequence[Request],
        known: Sequence[Sequence[Any]] = (),
    ) -> list[bytes | BaseException]:
        """The replies to requests that one client has sent, or what they have raised.

        They are under way together as far as nobody can notice it.

        Args:
            session: the client's.
            requests: what it asks for.
            known: of the first ones, which are single, what `answer_known` takes.
        """
        if known:
            begun = zip(requests, known, strict=False)
            answers = [self.answer_known(session, request, those) for request, those in begun]
            first = await asyncio.gather(*answers, return_exceptions=True)
            return first + await self.answer_all(session, requests[len(known) :])
        replies: list[bytes | BaseException] = []
        together: list[Request] = []
        for request in requests:
            if not is_single(request):
                replies += await self._together(session, together)
                replies += await self._together(session, [request])
                together = []
                continue
            together.append(request)
            if len(together) == TOGETHER:
                replies += await self._together(session, together)
                together = []
        return replies + await self._together(session, together)

    async def _together(
        self, session: Session, requests: list[Request]
    ) -> list[bytes | BaseException]:
        answers = [self.answer(session, request) for request in requests]
        return await asyncio.gather(*answers, return_exceptions=True)

    async def sweep(self) -> None:
        """Forget some expired keys; whatever fails, the next time will come."""
        for database, engine in zip(self.databases, self.engines, strict=False):
            try:
                await engine.carry_out(database.sweep())
            except KTError:
                continue

    async def close(self) -> None:
        """Cut the connections."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        engines, self.engines = self.engines, []
        for engine in engines:
            await engine.close()
