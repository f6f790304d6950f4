# Generated from changes_async.py by tools/async_to_sync.py: edit that one.
"""Changes of a running Tokyo Tyrant: the stream that the command repl begins.

The server says about once a second that it is alive, and does so first.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from kt.client.changes import SILENCE, Changes
from kt.client.changes_values import Terms
from kt.client.tyrant.admin import TyrantAdmin
from kt.errors import ServerConnectionError, ServerError
from kt.moments import nanoseconds
from kt.net.streams.blocking import Stream
from kt.options import Since
from kt.types import Change, K, V
from kt.wire.log import tyrant
from kt.wire.log.positions import TyrantFollower
from kt.wire.tyrant import Update, pack_repl, read_repl_reply, read_update

NOBODY: Final = 2**31 - 1
"""An id that no server has: a server leaves out the changes of who asks."""


class TyrantChanges(Changes[K, V]):
    """Changes of a Tokyo Tyrant, in order; see `Changes`."""

    _follower: TyrantFollower | None = None
    _stream: Stream

    def __init__(self, client: TyrantAdmin[Any, Any], terms: Terms) -> None:
        super().__init__(client._pool, terms)
        self._client = client
        self._first: list[Update | None] = []

    def _begin(self, since: Since | datetime | str) -> TyrantFollower:
        if isinstance(since, str):
            return TyrantFollower(since)
        if isinstance(since, datetime):
            return TyrantFollower.at(nanoseconds(since) // tyrant.NANOSECONDS)
        if since is Since.OLDEST:
            return TyrantFollower.at(1)
        seconds, _, fraction = self._client.stat()["time"].partition(".")
        return TyrantFollower.at(int(seconds) * 10**6 + int(f"{fraction:0<6}"[:6]))

    def _greet(self, stream: Stream) -> None:
        """Ask, and wait for the first message: a server that will not send any just hangs up."""
        assert self._follower is not None
        stream.send(pack_repl(self._follower.begin(), self._terms.as_sid))
        timeout = self._terms.timeout or SILENCE
        refusal = "the server refuses: it has no id, or replication is forbidden (-mask repl)"
        try:
            stream.receive(read_repl_reply, timeout)
            refusal = "the server keeps no update log"
            self._first = [stream.receive(read_update, timeout)]
        except ServerConnectionError as error:
            if self._established:
                raise
            self._look()
            raise ServerError(refusal) from error

    def _receive(self) -> Change[bytes, bytes] | None:
        assert self._follower is not None
        first = self._first.pop() if self._first else None
        update = first or self._stream.receive(read_update, SILENCE)
        if update is None:
            self._follower.rest()
            return None
        record = tyrant.Record(update.since, update.server, 0, update.request)
        change = tyrant.decode_command(record)
        return change if self._follower.take(update.since) else None
