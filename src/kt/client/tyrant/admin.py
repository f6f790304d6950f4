# Generated from admin_async.py by tools/async_to_sync.py: edit that one.
"""Tokyo Tyrant's commands that concern the server, or its database as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from kt.client.base import Client
from kt.client.tyrant.values import microseconds, only, text_of, whole
from kt.errors import ArgumentError, ServerError
from kt.types import K, Key, V
from kt.wire import tyrant
from kt.wire.codec import decode_key
from kt.wire.table import DELETE_INDEX, KEEP_INDEX, OPTIMIZE_INDEX, IndexKind
from kt.wire.tyrant_commands import CHECK_CONSISTENCY, NO_UPDATE_LOG

TREE: Final = "B+ tree"
MEMORY_TREE: Final = "on-memory tree"
FIXED: Final = "fixed-length"
TABLE: Final = "table"
"""Types of database, in the server's words."""


class TyrantAdmin(Client[K, V]):
    """The server's side of `TokyoTyrant`."""

    _type: str | None = None

    # ---------------------------------------------------------------------------------- the server

    def stat(self) -> dict[str, str]:
        """Return what the server tells about itself, its database and its counters, as text."""
        return tyrant.decode_stat(self._call(tyrant.STAT_REQUEST, tyrant.read_stat_reply, True))

    def status(self) -> dict[str, int | float | str]:
        """As `stat`, with numbers as int or float where they are."""
        return {name: text_of(name, value) for name, value in self.stat().items()}

    @property
    def error(self) -> str | None:
        """What the database's last error was, as code and message (``"0: success"``).

        The server keeps it for each of its threads, so it may be another caller's. None for
        databases in memory, which have no errors.
        """
        found = self._function("error", (), NO_UPDATE_LOG, True)
        return None if found is None else only(tyrant.decode_misc(found, True), "error")

    def ping(self) -> bool:
        """Return True if the server answers; otherwise an error is raised."""
        self.count()
        return True

    def set_master(
        self,
        host: str | None,
        port: int = 1978,
        since: int | datetime = 0,
        *,
        check: bool = False,
    ) -> bool:
        """Have the server replicate from another one. Returns True.

        Args:
            host: of the master; None ends replication.
            port: of the master.
            since: which changes are wanted, as microseconds since the epoch or an aware datetime.
            check: stop replicating where a change finds another state than the master's.
        """
        flags = CHECK_CONSISTENCY if check else 0
        request = tyrant.pack_setmst(host or "", port, microseconds(since), flags)
        return self._call(request, tyrant.read_setmst_reply)

    # -------------------------------------------------------------------------------- the database

    def count(self) -> int:
        """Return the number of records."""
        return self._call(tyrant.RNUM_REQUEST, tyrant.read_rnum_reply, True)

    @property
    def size(self) -> int:
        """The size of the database in bytes."""
        return self._call(tyrant.SIZE_REQUEST, tyrant.read_size_reply, True)

    def clear(self) -> bool:
        """Remove all records. Returns True."""
        return self._call(tyrant.VANISH_REQUEST, tyrant.read_vanish_reply, True)

    def synchronize(self) -> bool:
        """Write what the database holds in memory to its file and device. Returns True."""
        return self._call(tyrant.SYNC_REQUEST, tyrant.read_sync_reply, True)

    def optimize(self, parameters: str = "") -> bool:
        """Rebuild the database's storage. Returns True.

        Args:
            parameters: new tuning parameters, as after a database's name: ``"#bnum=1000000"``.
        """
        return self._call(tyrant.pack_optimize(parameters), tyrant.read_optimize_reply)

    def copy(self, path: str) -> bool:
        """Copy the database file while nobody changes it. Returns True.

        Args:
            path: of the copy, on the server. ``@`` and a command: run it instead, with the path of
                the database file and a time stamp as arguments.
        """
        return self._call(tyrant.pack_copy(path), tyrant.read_copy_reply)

    def restore(self, path: str, since: int | datetime = 0, *, check: bool = False) -> bool:
        """Carry out again what an update log says. Returns True.

        Args:
            path: of the directory with the update log, on the server.
            since: from when on, as microseconds since the epoch or an aware datetime.
            check: stop where a change finds another state than when it was logged.
        """
        flags = CHECK_CONSISTENCY if check else 0
        request = tyrant.pack_restore(path, microseconds(since), flags)
        return self._call(request, tyrant.read_restore_reply)

    def clear_cache(self) -> bool:
        """Write out and forget what a database file has in memory. Returns True.

        Raises:
            ServerError: the database is in memory, or has fixed-length records.
        """
        return self._perform("cacheclear", ())

    def defragment(self, steps: int | None = None) -> bool:
        """Close gaps in a database file: so many of them, or all. Returns True.

        Raises:
            ServerError: the database is in memory, or has fixed-length records.
        """
        return self._perform("defrag", () if steps is None else (str(steps),))

    def iterinit(self, start: Key | None = None) -> bool:
        """Put the server's iterator before the first record, or before `start`. Returns True.

        There is one iterator for all clients of a server. ``for key in db`` does not use it.

        Raises:
            ServerError: the database cannot be iterated over from there.
        """
        if start is None:
            done = self._call(tyrant.ITERINIT_REQUEST, tyrant.read_iterinit_reply)
        elif not start:
            raise ArgumentError("the original server stops dead when it iterates from an empty key")
        else:
            done = self._function("iterinit", (start,), NO_UPDATE_LOG) is not None
        if not done:
            raise ServerError("the server cannot begin to iterate", code=1)
        return True

    def iternext(self) -> K | None:
        """Return the next key of the server's iterator; None after the last."""
        key = self._call(tyrant.ITERNEXT_REQUEST, tyrant.read_iternext_reply)
        if key is None:
            return None
        decoded: K = decode_key(key, self._decode_keys)  # type: ignore[assignment]  # as K is chosen
        return decoded

    # ------------------------------------------------------------------------------------- tables

    def genuid(self) -> int:
        """Return a number that the table database has not returned before.

        Raises:
            ServerError: the database is no table.
        """
        found = self._function("genuid", ())
        number = -1
        if found is not None:
            number = whole(only(tyrant.decode_misc(found, True), "genuid"), "genuid")
        if number < 0:
            raise ServerError("genuid failed: is the database a table?", code=1)
        return number

    def set_index(self, name: str, kind: IndexKind, *, keep: bool = False) -> bool:
        """Make an index of a column, or make it anew.

        Args:
            name: of the column; ``""`` is the primary key.
            kind: what the index is for.
            keep: leave an index that is there already as it is.

        Returns:
            True; False if `keep` and there was an index.

        Raises:
            ServerError: the database is no table.
        """
        return self._set_index(name, IndexKind(kind) | (KEEP_INDEX if keep else 0), keep)

    def optimize_index(self, name: str) -> bool:
        """Rebuild the storage of a column's index. Returns whether there was one."""
        return self._set_index(name, OPTIMIZE_INDEX, True)

    def delete_index(self, name: str) -> bool:
        """Remove a column's index. Returns whether there was one."""
        return self._set_index(name, DELETE_INDEX, True)

    def _set_index(self, name: str, kind: int, may_fail: bool) -> bool:
        if self._function("setindex", (name, str(kind))) is not None:
            return True
        if may_fail and self._database_type() == TABLE:
            return False
        raise ServerError("setindex failed: is the database a table?", code=1)

    # ------------------------------------------------------------------------------------ helpers

    def _database_type(self) -> str:
        """The type of the database, in the server's words; asked for once."""
        if self._type is None:
            self._type = self.stat().get("type", "")
        return self._type

    def _require_table(self) -> None:
        """Raise ServerError if the database is no table, where rows would be bytes like others."""
        kind = self._database_type()
        if kind != TABLE:
            raise ServerError(f"the database is no table, but a {kind}", code=1)

    def _function(
        self, name: str, items: Iterable[Key], flags: int = 0, repeatable: bool = False
    ) -> bytes | None:
        """Call one of the database's functions. Returns a frame, or None if it failed."""
        request = tyrant.pack_misc(name, items, flags)
        return self._call(request, tyrant.read_misc_reply, repeatable)

    def _perform(self, name: str, items: Iterable[Key]) -> bool:
        """Call a function that returns nothing; True, or ServerError if it failed."""
        if self._function(name, items) is None:
            raise ServerError(f"the server reports that {name} failed", code=1)
        return True
