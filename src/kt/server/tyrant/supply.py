"""The update log of kt-tyrant, sent to a client that follows it.

After our number come commands, as they are in the log, and between them a byte that says we are
here: at first, and once a second while nothing happens. The client says nothing.
"""

from __future__ import annotations

import time
from typing import Final

from kt.server.feed import LINK_ENDED, Feed
from kt.server.history import History
from kt.server.tyrant.answering import Answering
from kt.wire.tyrant_server import Repl

BEAT: Final = b"\xca"
PULSE: Final = 1.0
"""Seconds between two of them."""

MICROSECONDS: Final = 10**6


class Supply:
    """What one client gets, from now on."""

    def __init__(self, session: Answering, history: History, request: Repl) -> None:
        service = session.service
        since, server = request.since, request.server
        service.log.system(f"({session.peer}): follows the update log: ts={since} sid={server}")
        self._session = session
        self._history = history
        self._server = server
        self._had_all = False
        self._beaten = 0.0
        self._feed = Feed(
            session,
            history,
            history.reader(since, server),
            pulse=PULSE,
            timeout=service.timeout,
            caught_up=self._caught_up,
            log=service.log,
        )
        service.followers.join(self)
        self._beat()
        self._feed.go_on()

    def end(self) -> None:
        """The client is gone."""
        self._feed.end()
        why = self._feed.trouble or (LINK_ENDED if self._had_all else "")
        self._session.service.followers.leave(self, self._server, why)

    def facts(self) -> str:
        """What `stat` says of the client, which does not say what it has carried out."""
        stamp = self._feed.stamp
        delay = max(time.time() - stamp / MICROSECONDS, 0.0)
        return (
            f"peer={self._session.peer} sid={self._server} state=following ts={stamp}"
            f" delay={delay:.6f} {self._feed.behind_text}"
        )

    def _caught_up(self) -> None:
        if not self._had_all:
            self._had_all = True
            self._session.service.followers.has_all(self._server)
        if self._history.ended:
            self._session.close()
            return
        if time.monotonic() - self._beaten >= PULSE:
            self._beat()
        self._feed.wait()

    def _beat(self) -> None:
        self._session.write(BEAT)
        self._beaten = time.monotonic()
