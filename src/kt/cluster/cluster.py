"""Databases on clusters, in one event loop: what clients and the gateway have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final, Protocol

from kt.cluster.commands import Batch, Command, Steps, put_in_order, with_known
from kt.cluster.contract import Engine, Settings
from kt.cluster.engine import carry_out, does_one_thing, is_closed
from kt.cluster.engines import database_of, engine_of
from kt.errors import KTError, ReplyTimeoutError, ServerTimeoutError

TOGETHER: Final = 1000
"""Requests of a client that may be under way at the same time."""


class Session(Protocol):
    """What answers the requests of a client, in whichever protocol."""

    def is_single(self, request: Any) -> bool:
        """Tell whether it is one round of commands, which leaves at once.

        Such requests of a client can be under way together and are carried out in their order for
        each record, because commands for a slot are.
        """

    def answer(self, request: Any) -> Steps[bytes]:
        """The reply; empty if there is none. Raises KTError if there can be none."""


class _Begun:
    """An operation that has said which commands it begins with, if any."""

    def __init__(self, steps: Steps[Any]) -> None:
        self.commands: list[Command] = []
        self._steps = steps
        self._result: Any = None
        self._error: Exception | None = None
        try:
            self.commands = next(steps)
        except StopIteration as stop:
            self._result = stop.value
        except Exception as error:  # noqa: BLE001 - raised when it goes on
            self._error = error

    def go_on(self) -> Steps[Any]:
        """The same operation from there on."""
        commands = self.commands
        if self._error is not None:
            raise self._error
        if not commands:
            return self._result
        try:
            while True:
                try:
                    replies = yield commands
                except BaseException as error:  # noqa: BLE001 - it is the operation's
                    commands = self._steps.throw(error)
                else:
                    commands = self._steps.send(replies)
        except StopIteration as stop:
            return stop.value


class Cluster:
    """Databases and the connections to them.

    Args:
        settings: of each database.

    Attributes:
        databases: by their index.
        engines: what carries out the commands of each; empty until it is open.
    """

    def __init__(self, settings: Sequence[Settings]) -> None:
        self.databases = [database_of(one) for one in settings]
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
                engine = engine_of(database.settings)
                engines.append(engine)
                await engine.open()
                await carry_out(database.claim(), engine.run)
        except BaseException:
            for engine in engines:
                await engine.close()
            raise
        self.engines = engines

    async def run(
        self, commands: list[Command], origin: object = None, *, refused: bool = False
    ) -> list[Any]:
        """The replies to commands of one of the databases; see `Engine.run`."""
        home = commands.home if isinstance(commands, Batch) else 0
        if not self.engines:
            raise is_closed()
        return await self.engines[home].run(commands, origin, refused=refused)

    async def answer(self, session: Session, request: Any, origin: object = None) -> bytes:
        """The reply to a request; raises KTError as `Session.answer`."""
        if not self.engines:
            await self.open()
        steps = session.answer(request)
        reply: bytes = await carry_out(steps, lambda commands: self.run(commands, origin))
        return reply

    async def _answer_known(
        self, session: Session, requests: Sequence[Any], known: Sequence[list[Any]]
    ) -> list[bytes | BaseException]:
        """The replies to requests of one round of commands each, of which something is known.

        Args:
            session: the client's.
            requests: what it asks for.
            known: of each command the reply, or that it is `LEFT`, or why the outcome is unknown.
        """
        begun = [_Begun(session.answer(request)) for request in requests]
        put_in_order([one.commands for one in begun], known)

        def finish(one: _Begun, replies: list[Any]) -> Awaitable[bytes]:
            return carry_out(one.go_on(), lambda commands: self._complete(commands, replies, known))

        finished = map(finish, begun, known)
        return await asyncio.gather(*finished, return_exceptions=True)

    async def _complete(
        self, commands: list[Command], replies: list[Any], origin: object
    ) -> list[Any]:
        """The replies to commands of which some are known."""
        for reply in replies:
            if isinstance(reply, ServerTimeoutError) and not does_one_thing(commands):
                raise ReplyTimeoutError(f"{reply}; others of its writes may be done")
            if isinstance(reply, KTError):
                raise reply
        rest, places = with_known(commands, replies)
        found = await self.run(rest, origin, refused=True)
        for place, reply in zip(places, found, strict=True):
            replies[place] = reply
        return replies

    async def answer_all(
        self,
        session: Session,
        requests: Sequence[Any],
        known: Sequence[list[Any]] = (),
    ) -> list[bytes | BaseException]:
        """The replies to requests that one client has sent, or what they have raised.

        They are under way together as far as nobody can notice it.

        Args:
            session: the client's.
            requests: what it asks for.
            known: of the commands of the first ones, which are single, the reply, or that it is
                `LEFT`, or why the outcome is unknown.
        """
        if known:
            first = await self._answer_known(session, requests[: len(known)], known)
            return first + await self.answer_all(session, requests[len(known) :])
        replies: list[bytes | BaseException] = []
        together: list[Any] = []
        for request in requests:
            if not session.is_single(request):
                replies += await self._together(session, together)
                replies += await self._together(session, [request])
                together = []
                continue
            together.append(request)
            if len(together) == TOGETHER:
                replies += await self._together(session, together)
                together = []
        return replies + await self._together(session, together)

    async def _together(self, session: Session, requests: list[Any]) -> list[bytes | BaseException]:
        answers = [self.answer(session, request, requests) for request in requests]
        return await asyncio.gather(*answers, return_exceptions=True)

    async def sweep(self) -> None:
        """Forget some expired keys; whatever fails, the next time will come."""
        for database, engine in zip(self.databases, self.engines, strict=False):
            try:
                await carry_out(database.sweep(), engine.run)
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
