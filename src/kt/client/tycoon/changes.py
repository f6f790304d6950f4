# Generated from changes_async.py by tools/async_to_sync.py: edit that one.
"""Changes of a running Kyoto Tycoon: the binary protocol's replication.

The server says every 0.1 s that there is nothing more, and waits for an answer before it sends on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from kt.client.changes import SILENCE, Changes
from kt.client.changes_values import Terms
from kt.client.tycoon.admin import TycoonAdmin
from kt.errors import ServerConnectionError, ServerError
from kt.moments import nanoseconds
from kt.net.endpoint import Endpoint
from kt.net.streams.blocking import Stream
from kt.options import Since
from kt.types import Change, K, V, What
from kt.wire.log import tycoon
from kt.wire.log.positions import TycoonFollower, gap
from kt.wire.tycoon import pack_replication, read_replication_reply, read_update

NOBODY: Final = 0xFFFF
"""An id that no server has, it is hoped: a server leaves out the changes of who asks."""

FIRST_FILE: Final = "/0000000001.ulog"
"""The end of the name of the file that a log begins with, as long as it has not been removed."""


class TycoonChanges(Changes[K, V]):
    """Changes of a Kyoto Tycoon, in order; see `Changes`."""

    _follower: TycoonFollower | None = None
    _stream: Stream

    def __init__(self, client: TycoonAdmin[Any, Any], terms: Terms) -> None:
        super().__init__(client._pool, terms)
        self._client = client

    def _begin(self, since: Since | datetime | str) -> TycoonFollower:
        if isinstance(since, str):
            return TycoonFollower(since)
        if isinstance(since, datetime):
            return TycoonFollower.after(nanoseconds(since) - 1)
        if since is Since.OLDEST:
            return TycoonFollower.after(0)
        files = self._client.ulog_list()
        return TycoonFollower.after(max((file.timestamp for file in files), default=0))

    def _move(self, endpoint: Endpoint) -> TycoonFollower:
        """See `Changes`; raises LogGapError if files were removed that are needed."""
        assert self._follower is not None
        follower = self._follower.elsewhere()
        files = self._client.ulog_list()
        if files and not files[0].path.endswith(FIRST_FILE):
            oldest = self._oldest(endpoint)
            if oldest > follower.begin():
                raise gap(self._follower.position, f"tycoon:>{oldest - 1}")
        return follower

    def _oldest(self, endpoint: Endpoint) -> int:
        """Return the stamp that a log begins with."""
        stream = Stream.open(endpoint, self._terms.timeout)
        try:
            self._ask(stream, 0)
            update = stream.receive(read_update, self._terms.timeout or SILENCE)
        finally:
            stream.close()
        return update.stamp

    def _greet(self, stream: Stream) -> None:
        assert self._follower is not None
        self._ask(stream, self._follower.begin())

    def _ask(self, stream: Stream, after: int) -> None:
        stream.send(pack_replication(after, self._terms.as_sid))
        try:
            accepted = stream.receive(read_replication_reply, self._terms.timeout or SILENCE)
        except ServerConnectionError:
            self._look()
            raise
        if isinstance(accepted, ServerError):
            raise ServerError("the server keeps no update log, or cannot read it")

    def _receive(self) -> Change[bytes, bytes] | None:
        assert self._follower is not None
        update = self._stream.receive(read_update, SILENCE)
        if update.message is None:
            self._follower.rest()
            self._stream.send(tycoon.ACKNOWLEDGEMENT)
            return None
        if not update.message:
            return None  # the server has left out many
        record = tycoon.Record(update.stamp, update.message)
        change = tycoon.decode_message(record, persistent=True)
        if change.what is What.SET and change.db not in self._terms.persistent:
            expiry, value = tycoon.split_stored(change.value or b"", change.db)
            change = change._replace(value=value, expiry=expiry)
        return change if self._follower.take(update.stamp) else None
