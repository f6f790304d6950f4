"""Kyoto Tycoon's remote procedure calls, and the ones that concern the server or a whole database.

What a procedure takes and gives is documented in `kt.wire.tycoon_rpc`. Its status tells whether it
succeeded: 200 is success, 450 means that the record is not as the operation needs it (often: not
there), everything else is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from kt.client.arguments import checked_db, checked_timeout
from kt.client.base_async import AsyncClient
from kt.client.tycoon.columns import (
    MISSED,
    TIMED_OUT,
    Columns,
    integer,
    measured,
    measures,
    moment,
    succeeded,
    texts,
    update_log_file,
)
from kt.errors import ServerError
from kt.options import Moment, Signal, Wait
from kt.types import K, Key, UpdateLogFile, V
from kt.wire.codec import encode_key
from kt.wire.tycoon_rpc import Field, RpcReply, pack_rpc, read_rpc_reply

WAIT_FOREVER = 10**9
"""Seconds of waiting that no server survives."""


class AsyncTycoonAdmin(AsyncClient[K, V]):
    """The server's side of `AsyncKyotoTycoon`."""

    _db: int

    @property
    def default_db(self) -> int:
        """Index of the database of all calls that name none."""
        return self._db

    def set_database(self, db: int) -> None:
        """Make `db` the database of all calls that name none."""
        self._db = checked_db(db)

    async def status(self, db: int | None = None) -> dict[str, int | float | str]:
        """Return what the server tells about a database.

        ``count`` (records), ``size`` (bytes) and ``path`` are always there; the others depend on
        the type of the database. Numbers are int or float.
        """
        reply = await self._rpc("status", self._target(db), repeatable=True)
        return measures(reply)

    async def report(self) -> dict[str, int | float | str]:
        """Return what the server tells about itself, its databases and its counters.

        Numbers are int or float; ``db_0`` and so on are text (``count=... size=... path=...``).
        """
        return measures(await self._rpc("report", [], repeatable=True))

    async def count(self, db: int | None = None) -> int:
        """Return the number of records, expired ones that still take up space included."""
        return measured(await self.status(db), "count", int)

    @property
    async def size(self) -> int:
        """The size of the default database in bytes."""
        return measured(await self.status(), "size", int)

    @property
    async def path(self) -> str:
        """The path of the default database on the server, or what stands for one in memory."""
        return measured(await self.status(), "path", str)

    async def clear(self, db: int | None = None) -> bool:
        """Remove all records of a database. Returns True."""
        await self._rpc("clear", self._target(db), repeatable=True)
        return True

    async def synchronize(
        self, db: int | None = None, *, hard: bool = False, command: str | None = None
    ) -> bool:
        """Write what a database holds in memory to its file. Returns True.

        Args:
            db: index of the database.
            hard: wait until the device has it.
            command: name of a program in the server's command directory (``-cmd``), to be run on
                the file while it is in step.

        Raises:
            ServerError: the program is not there or failed.
        """
        columns = self._target(db)
        if hard:
            columns.append(("hard", ""))
        if command is not None:
            columns.append(("command", command))
        await self._rpc("synchronize", columns)
        return True

    async def vacuum(self, db: int | None = None, *, step: int = 0) -> bool:
        """Scan a database for expired records and give back their space. Returns True.

        Args:
            db: index of the database.
            step: how many records to look at; 0 for all.
        """
        await self._rpc("vacuum", [*self._target(db), *integer("step", step)], repeatable=True)
        return True

    async def ping(self) -> bool:
        """Return True if the server answers; otherwise an error is raised."""
        await self._rpc("void", [], repeatable=True)
        return True

    async def echo(self, data: Mapping[str, str | bytes]) -> dict[str, bytes]:
        """Have the server send `data` back."""
        return texts(await self._rpc("echo", data.items(), repeatable=True))

    async def wait(self, name: Key, timeout: float | None = None) -> bool:
        """Wait until somebody sends the signal `name`.

        The wait has a connection of its own, and the client's timeout does not apply to it.

        Args:
            name: of the signal.
            timeout: seconds; None to wait for ever.

        Returns:
            True if the signal came, False after the timeout.
        """
        try:
            await self.rpc("void", wait=Wait(name, timeout))
        except ServerError as error:
            if error.code == TIMED_OUT:
                return False
            raise
        return True

    async def signal(self, name: Key, *, broadcast: bool = False) -> int:
        """Send the signal `name` to one of those who wait for it now, or to all (`broadcast`).

        Returns:
            How many got it.
        """
        columns = await self.rpc("void", signal=Signal(name, broadcast))
        return measured(columns, "SIGNALED", int)

    async def rpc(
        self,
        procedure: str,
        columns: Mapping[str, Field] | None = None,
        *,
        wait: Wait | None = None,
        signal: Signal | None = None,
    ) -> dict[str, bytes]:
        """Call any procedure of the server, with columns as they are sent.

        Args:
            procedure: its name.
            columns: its parameters. Nothing is added: name the database as ``DB``.
            wait: have the server wait for a signal first, on a connection of its own.
            signal: have the server send a signal afterwards; ``SIGNALED`` tells to how many.

        Returns:
            The columns of the reply.

        Raises:
            ServerError: the status, which is `code`, is not 200: 450 if the record is not as the
                procedure needs it, 503 if the signal did not come in time.
        """
        sent: Columns = list((columns or {}).items())
        if signal is not None:
            sent.append(("SIGNAL", encode_key(signal.name)))
            if signal.broadcast:
                sent.append(("SIGNALBROAD", ""))
        if wait is None:
            return texts(await self._rpc(procedure, sent))
        seconds = WAIT_FOREVER if wait.timeout is None else checked_timeout(wait.timeout)
        sent += [("WAIT", encode_key(wait.name)), ("WAITTIME", str(seconds))]
        limit = None
        if wait.timeout is not None and self._timeout is not None:
            limit = wait.timeout + self._timeout
        async with self._pool.lease(self._timeout) as connection:
            reply = await connection.call(pack_rpc(procedure, sent), read_rpc_reply, limit)
        return texts(succeeded(reply))

    async def ulog_list(self) -> list[UpdateLogFile]:
        """Return the files of the server's update log, oldest first.

        Raises:
            ServerError: the server keeps no update log.
        """
        reply = await self._rpc("ulog_list", [], repeatable=True)
        return [update_log_file(path, text) for path, text in sorted(texts(reply).items())]

    async def ulog_remove(self, ts: int | datetime | Moment | None = None) -> bool:
        """Remove files of the server's update log, other than the present one. Returns True.

        Args:
            ts: remove files whose last entry is not after this: nanoseconds since the epoch or an
                aware datetime. None for all.

        Raises:
            ServerError: the server keeps no update log, or a file cannot be removed.
        """
        await self._rpc("ulog_remove", moment("ts", ts))
        return True

    async def tune_replication(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        ts: int | datetime | Moment | None = None,
        interval: float | None = None,
        read_only: bool | None = None,
    ) -> bool:
        """Make the server the slave of another one. Returns True.

        Args:
            host: the master; None ends the replication.
            port: of the master; None for 1978.
            ts: take over updates after this: nanoseconds since the epoch or an aware datetime;
                None to go on from where the server is.
            interval: milliseconds between two requests to the master; None leaves it as it is.
            read_only: while it follows a master, it refuses what others write; None leaves it as
                it is (``-ro-slave``). Of kt-tycoon; the original server takes no notice.

        Raises:
            ServerError: the server was started without a file for its time stamp (``-rts``).
        """
        columns = moment("ts", ts)
        if host is not None:
            columns.append(("host", host))
        if port is not None:
            columns += integer("port", port)
        if interval is not None:
            columns.append(("iv", str(interval)))
        if read_only is not None:
            columns.append(("ro", "1" if read_only else "0"))
        await self._rpc("tune_replication", columns)
        return True

    async def promote(self) -> int:
        """End the replication of a slave, which takes writes from then on.

        What it has got from its master is applied before. Its clients are to be told to write
        there, and its former master, if it is still there, to follow it (`tune_replication`).
        Of kt-tycoon; of an original server, `tune_replication` without a master ends it.

        Returns:
            the time stamp of the last change of its master that it has, in nanoseconds since the
            epoch: what the master has changed later is not there.

        Raises:
            ServerError: it was started without a file for its time stamp (``-rts``), or it is an
                original server.
        """
        return measured(await self.rpc("promote"), "ts", int)

    def _settings(self) -> str:
        return f"db {self._db} {super()._settings()}"

    def _target(self, db: int | None) -> Columns:
        """Return the columns that name a database."""
        index = self._db if db is None else checked_db(db)
        return [("DB", index)] if index else []

    async def _rpc(
        self, procedure: str, columns: Iterable[tuple[Key, Field]], repeatable: bool = False
    ) -> RpcReply:
        """Call a procedure that must succeed."""
        sent = list(columns)
        return succeeded(
            await self._call(pack_rpc(procedure, sent), read_rpc_reply, repeatable), sent
        )

    async def _try_rpc(
        self, procedure: str, columns: Iterable[tuple[Key, Field]], repeatable: bool = False
    ) -> RpcReply | None:
        """Call a procedure; None if the record is not as it needs it."""
        sent = list(columns)
        reply = await self._call(pack_rpc(procedure, sent), read_rpc_reply, repeatable)
        return None if reply.status == MISSED else succeeded(reply, sent)
