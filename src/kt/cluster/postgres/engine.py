"""asyncio: carries out statements on PostgreSQL, whatever happens to its servers.

::

    run(statements) --> a Job --> Lane (a connection) --> rows

1. A lane carries out one batch after the other: what waits for it, in its order. A batch is one
   transaction, so many small writes wait for the disk once; if one of its statements fails, nothing
   is done, and each job is carried out for itself.
2. Jobs of one origin go to the same lane as long as one of them is there, and so stay in order.
   Others go to the lane with the least to do; connections are made as they are needed.
3. What surely was not done is tried again until `timeout`: no connection, serialization failures,
   deadlocks, servers that only read; and whatever only reads.
4. A write whose commit was not answered is not: `OutcomeUnknown`. A connection that is silent for
   longer than `timeout` is cut off, unless what was asked may take its time.
5. What the server refuses for good is a `Failure`.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Final

from kt.cluster.commands import Failure
from kt.cluster.contract import retries_text
from kt.cluster.engine import is_closed
from kt.cluster.postgres.settings import Settings
from kt.cluster.postgres.statements import Statement
from kt.errors import (
    ImproperlyConfigured,
    KTError,
    ReplyLostError,
    ServerConnectionError,
    ServerTimeoutError,
)

if TYPE_CHECKING:
    from kt.cluster.postgres.connection import Connection

BATCH: Final = 200
"""Statements that a batch has, at most; more only if one job has more."""

PAUSE: Final = 0.05
"""Seconds until something is tried again, on average."""

LONG: Final = 1000
"""What a job that takes its time counts as much as, where lanes are compared."""

NOT_DONE: Final = frozenset(("40001", "40P01", "25006", "26000", "42P07", "42710", "23505"))
"""SQLSTATEs of what is tried again: serialization failure, deadlock, a server that only reads, a
prepared statement that is gone, and three for a table that somebody else makes at the same time:
the name of the table, that of the type of its rows, or a row of the catalogue is there already."""

LOCKED: Final = "55P03"
ANEW: Final = frozenset(("25006", "26000"))
"""Those after which another connection is made."""


class Job:
    """What one `run` is about."""

    __slots__ = ("deadline", "future", "long", "origin", "reads", "statements")

    def __init__(
        self,
        statements: list[Statement],
        future: asyncio.Future[list[Any]],
        origin: object,
        deadline: float,
    ) -> None:
        self.statements = statements
        self.future = future
        self.origin = origin
        self.deadline = deadline
        self.long = any(one.long for one in statements)
        self.reads = all(one.reads for one in statements)

    def answered(self, replies: list[Any]) -> None:
        if not self.future.done():
            self.future.set_result(replies)

    def failed(self, error: KTError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Engine:
    """The connections to one table, in one event loop.

    Attributes:
        retries: how often something was tried again, by the SQLSTATE; ``LOST`` for a connection.

    Raises:
        ImproperlyConfigured: psycopg is missing.
    """

    def __init__(self, settings: Settings) -> None:
        try:
            from kt.cluster.postgres import connection
        except ImportError as error:
            raise ImproperlyConfigured(
                f"PostgreSQL needs the package psycopg ({error}): "
                "pip install 'kyototycoon[postgres]'"
            ) from None
        self.settings = settings
        self.retries: dict[str, int] = {}
        self.closed = False
        self.loop = asyncio.get_running_loop()
        self._module = connection
        self._lanes: list[Lane] = []
        self._homes: dict[int, tuple[Lane, int]] = {}  # of origins, and how many jobs are there

    def connect(self) -> Connection:
        """A connection that is not open yet."""
        return self._module.Connection(self.settings, self.loop)

    async def open(self) -> None:
        """Find out whether a server answers.

        Raises:
            ServerConnectionError: none does, or it does not let us in.
        """
        lane = self._lane(None)
        await lane.connection.open(self.settings.timeout)

    async def run(
        self, commands: list[Any], origin: object = None, *, refused: bool = False
    ) -> list[Any]:
        """The rows of statements, which are carried out together or not at all.

        Args:
            commands: statements.
            origin: the same for statements of several calls that are to be in their order.
            refused: is of no interest here.

        Raises:
            OutcomeUnknown: it is not known whether they were carried out.
            ServerTimeoutError: nobody served them in time.
            Failure: they were refused for good.
        """
        if self.closed:
            raise is_closed()
        if not commands:
            return []
        deadline = self.loop.time() + self.settings.timeout
        job = Job(list(commands), self.loop.create_future(), origin, deadline)
        lane = self._lane(origin)
        if origin is not None:
            _, number = self._homes.get(id(origin), (lane, 0))
            self._homes[id(origin)] = lane, number + 1
        lane.put(job)
        try:
            return await job.future
        finally:
            if job.future.cancelled():
                lane.drop(job)

    def over(self, job: Job) -> None:
        """A job is not in its lane any more."""
        if job.origin is not None:
            lane, number = self._homes.pop(id(job.origin))
            if number > 1:
                self._homes[id(job.origin)] = lane, number - 1

    def _lane(self, origin: object) -> Lane:
        if id(origin) in self._homes:
            return self._homes[id(origin)][0]
        best = min(self._lanes, key=lambda lane: lane.load, default=None)
        if best is None or (best.load and len(self._lanes) < self.settings.connections):
            best = Lane(self)
            self._lanes.append(best)
        return best

    def count(self, kind: str) -> None:
        """Something is tried again."""
        self.retries[kind] = self.retries.get(kind, 0) + 1

    def facts(self) -> str:
        """What `report` tells of it."""
        connections = sum(lane.connection.is_open for lane in self._lanes)
        return f"connections={connections} {retries_text(self.retries)}"

    async def close(self) -> None:
        """Cut all connections; what waits fails."""
        self.closed = True
        await asyncio.gather(*(lane.close() for lane in self._lanes))


class Lane:
    """A connection, and what is to be carried out on it.

    Attributes:
        load: how much that is.
    """

    def __init__(self, engine: Engine) -> None:
        self.connection = engine.connect()
        self.load = 0
        self._engine = engine
        self._waiting: list[Job] = []
        self._task: asyncio.Task[None] | None = None

    def put(self, job: Job) -> None:
        """Have it carried out behind what is there."""
        self.load += LONG if job.long else len(job.statements)
        self._waiting.append(job)
        if self._task is None:
            self._task = self._engine.loop.create_task(self._work())

    def drop(self, job: Job) -> None:
        """Nobody waits for it any more; it is left out, unless it is under way."""
        if job in self._waiting:
            self._waiting.remove(job)
            self._over(job)

    def _over(self, job: Job) -> None:
        self.load -= LONG if job.long else len(job.statements)
        self._engine.over(job)

    async def _work(self) -> None:
        while self._waiting:
            batch = self._next()
            try:
                await self._carry_out(batch)
            finally:
                for job in batch:
                    job.failed(is_closed())  # unless it was answered
                    self._over(job)
        self._task = None

    def _next(self) -> list[Job]:
        """What is to be one transaction; what takes its time is one by itself."""
        end, size = 1, len(self._waiting[0].statements)
        if not self._waiting[0].long:
            for job in self._waiting[1:]:
                size += len(job.statements)
                if job.long or size > BATCH:
                    break
                end += 1
        batch, self._waiting = self._waiting[:end], self._waiting[end:]
        return batch

    async def _carry_out(self, jobs: list[Job]) -> None:
        """Carry out jobs, together at first, in the end one by one."""
        while jobs and not self._engine.closed:
            deadline = max(job.deadline for job in jobs)
            trouble = await self._connected(deadline)
            if trouble:
                for job in jobs:
                    self._unserved(job, trouble)
                return
            statements = [one for job in jobs for one in job.statements]
            limit = None if jobs[0].long else self._engine.settings.timeout
            given = await self.connection.exchange(statements, limit)
            if isinstance(given, list):
                for job in jobs:
                    size = len(job.statements)
                    job.answered(given[:size])
                    given = given[size:]
                return
            if len(jobs) > 1 and not given.lost:
                for job in jobs:
                    await self._carry_out([job])
                return
            jobs = [job for job in jobs if self._is_again(job, given)]
            await asyncio.sleep(PAUSE * 2 * random.random())  # noqa: S311 - no secret

    async def _connected(self, deadline: float) -> str:
        """Why there is no connection until then; empty if there is one."""
        loop = self._engine.loop
        while True:
            try:
                await self.connection.open(max(deadline - loop.time(), PAUSE))
            except ServerConnectionError as error:
                self._engine.count("LOST")
                if self._engine.closed or loop.time() + PAUSE >= deadline:
                    return str(error)
                await asyncio.sleep(PAUSE)
            else:
                return ""

    def _is_again(self, job: Job, trouble: Any) -> bool:
        """Whether a job that was not answered is to be tried again; otherwise it has failed."""
        if trouble.lost and not job.reads:
            job.failed(ReplyLostError(f"outcome unknown: {trouble.text}"))
            return False
        if not trouble.lost and trouble.state not in NOT_DONE:
            if trouble.state == LOCKED:
                self._unserved(job, trouble.text)
            else:
                job.failed(Failure(500, f"DB: 9: system error: {trouble.text}"))
            return False
        if self._engine.loop.time() >= job.deadline:
            self._unserved(job, trouble.text)
            return False
        if trouble.state in ANEW:
            self.connection.cut()
        self._engine.count("LOST" if trouble.lost else trouble.state)
        return True

    def _unserved(self, job: Job, why: str) -> None:
        seconds = self._engine.settings.timeout
        job.failed(ServerTimeoutError(f"it was not served within {seconds:g} s: {why}"))

    async def close(self) -> None:
        """End what is under way."""
        waiting, self._waiting = self._waiting, []
        for job in waiting:
            job.failed(is_closed())
            self._over(job)
        self.connection.cut()
        if self._task is not None:
            await asyncio.wait([self._task])
        await self.connection.close()
