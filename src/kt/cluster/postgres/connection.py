"""A connection to PostgreSQL by psycopg; the only module that imports it."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.types.numeric import Int8BinaryDumper

from kt.cluster.postgres.settings import Settings
from kt.cluster.postgres.statements import Statement
from kt.errors import ServerConnectionError

UNKNOWN: Final = ("40003", "57P01", "57P02", "57P05")
"""SQLSTATEs, besides those of class 08, that do not say whether something was done."""

KEEPALIVES: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""When a machine that is gone is noticed while something takes its time; in seconds."""

LOCK_SHARE: Final = 0.8
"""How much of the time for a request may pass waiting for a lock: less than until it is cut off,
so that it is known not to be done."""

_Plain = psycopg.AsyncConnection[tuple[Any, ...]]

_abandoned: Final[list[_Plain]] = []
"""Connections of the process that this one was forked from, which are not ours to end."""


class Trouble(NamedTuple):
    """Why statements were not answered.

    Attributes:
        state: the SQLSTATE; empty if there is none.
        text: in words.
        lost: whether it is not known if they were carried out; otherwise nothing was.
    """

    state: str
    text: str
    lost: bool


class Connection:
    """A connection, which is made anew after it has been lost."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._plain: _Plain | None = None
        self._opening: asyncio.Task[_Plain] | None = None
        self._process = os.getpid()

    @property
    def is_open(self) -> bool:
        """Whether it is there, as far as is known."""
        return self._plain is not None and not self._plain.closed

    async def open(self, seconds: float) -> None:
        """Connect, if it is not connected.

        Raises:
            ServerConnectionError: no server answers within this time, or it does not let us in.
        """
        if self._plain is not None and self._is_alive(self._plain):
            return
        await self.close()
        self._opening = self._loop.create_task(self._connect())
        try:
            async with asyncio.timeout(seconds):
                self._plain = await self._opening
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise self._unreachable(_text(error) or "no answer") from None
        except asyncio.CancelledError:
            if self._opening.cancelled() and not _is_cancelling():
                raise self._unreachable("it was closed") from None
            raise
        finally:
            self._opening = None

    def _unreachable(self, why: str) -> ServerConnectionError:
        hosts = self._settings.hosts or "the usual address"
        return ServerConnectionError(f"no server of PostgreSQL serves us at {hosts}: {why}")

    async def _connect(self) -> _Plain:
        settings = self._settings
        words: dict[str, Any] = {
            "dbname": settings.dbname or None,
            "user": settings.user,
            "password": settings.password,
            "application_name": "kt",
            "target_session_attrs": "read-write",
            "connect_timeout": max(int(settings.timeout), 2),
            **KEEPALIVES,
            **dict(settings.tls),
        }
        if settings.addresses:
            words["host"] = ",".join(host for host, _ in settings.addresses)
            words["port"] = ",".join(str(port) for _, port in settings.addresses)
        given = {name: value for name, value in words.items() if value is not None}
        plain = await psycopg.AsyncConnection.connect(
            autocommit=True, cursor_factory=psycopg.AsyncRawCursor, **given
        )
        plain.prepare_threshold = 0
        plain.adapters.register_dumper(int, Int8BinaryDumper)
        try:
            wait = int(settings.timeout * LOCK_SHARE * 1000)
            await plain.execute(b"SET lock_timeout = %d" % max(wait, 1))
        except BaseException:
            plain.pgconn.finish()
            raise
        return plain

    @staticmethod
    def _is_alive(plain: _Plain) -> bool:
        """Whether the server has said nothing while nothing was asked: it says why it hangs up."""
        if plain.closed:
            return False
        unasked = select.poll()
        unasked.register(plain.fileno(), select.POLLIN)
        return not unasked.poll(0)

    async def exchange(
        self, statements: list[Statement], limit: float | None
    ) -> list[list[tuple[Any, ...]]] | Trouble:
        """The rows of statements, carried out as one transaction.

        Args:
            statements: these.
            limit: seconds after which the server is not believed any more.
        """
        plain = self._plain
        assert plain is not None
        timer = None if limit is None else self._loop.call_later(limit, self.cut)
        try:
            if len(statements) == 1:
                cursors = [await _execute(plain, statements[0])]
            else:
                async with plain.pipeline():
                    cursors = [await _execute(plain, one) for one in statements]
            return [
                [] if cursor.description is None else await cursor.fetchall() for cursor in cursors
            ]
        except (psycopg.Error, OSError) as error:
            state = getattr(error, "sqlstate", None) or ""
            lost = plain.closed or state in UNKNOWN or state.startswith("08")
            return Trouble(state, _text(error), lost)
        finally:
            if timer is not None:
                timer.cancel()

    def cut(self) -> None:
        """End it at once; who waits for an answer is told that it is lost."""
        if self._opening is not None:
            self._opening.cancel()
        if self._plain is None or self._plain.closed:
            return
        with socket.socket(fileno=os.dup(self._plain.fileno())) as wire:
            try:
                wire.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side was faster
                return

    async def close(self) -> None:
        """End it in order."""
        plain, self._plain = self._plain, None
        if plain is not None:
            await plain.close()

    def __del__(self) -> None:
        plain = self._plain
        if plain is None or plain.closed:
            return
        if self._process == os.getpid():
            plain.pgconn.finish()
        else:
            _abandoned.append(plain)


async def _execute(plain: _Plain, one: Statement) -> psycopg.AsyncCursor[tuple[Any, ...]]:
    return await plain.execute(one.text.encode(), one.parameters or None, binary=True)


def _is_cancelling() -> bool:
    """Whether somebody wants the running task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _text(error: BaseException) -> str:
    """What went wrong, on one line."""
    return " ".join(str(error).split())
