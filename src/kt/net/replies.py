"""Replies in the order of their requests, cut out of bytes that arrive in pieces of any size.

Both protocols answer the requests of a connection one after the other, so a queue of readers is all
that is needed to tell the replies apart::

    expect(read_a)  expect(read_b)  expect(read_c)
    feed(b"....")  ->  [a]              feed(b"..")  ->  [b, c]
"""

from __future__ import annotations

from collections import deque
from typing import Any

from kt.errors import ProtocolError, ServerError
from kt.wire.columns import RpcReply
from kt.wire.reading import Buffer, Incomplete, Reader

PIPE_MAX = 1024
"""Replies that pipelined requests may leave outstanding on one connection."""

PIPE_REFILL = PIPE_MAX // 2
"""When so few are outstanding, more requests go out: many together, not one for each reply."""


def is_parting(reply: object = None) -> bool:
    """Tell whether the server hangs up after `reply`, or may, as the original after failures."""
    if isinstance(reply, RpcReply):
        return not reply.keep_alive
    return isinstance(reply, ServerError) and reply.code is None


class Replies:
    """What has been asked and not been answered.

    Attributes:
        failure: what was wrong with the bytes after the last reply; nothing can follow then.
    """

    def __init__(self) -> None:
        self.failure: ProtocolError | None = None
        self._readers: deque[Reader[Any]] = deque()
        self._partial = bytearray()
        self._need = 1  # bytes that the first of the readers waits for
        self.expect = self._readers.append
        """A request has been sent whose reply this reader reads."""

    def __len__(self) -> int:
        """Return how many replies are outstanding."""
        return len(self._readers)

    @property
    def received(self) -> int:
        """How many bytes of the next reply are here."""
        return len(self._partial)

    def feed(self, data: bytes) -> list[Any]:
        """Take in `data` and return the replies that are complete now.

        If `data` is no reply, or nothing was asked, `failure` says so.
        """
        buffer: Buffer = data
        if self._partial:
            self._partial += data
            buffer = self._partial
        values: list[Any] = []
        readers = self._readers
        begin, size, need = 0, len(buffer), self._need
        try:
            while size - begin >= need and readers:
                outcome = readers[0](buffer, begin)
                if isinstance(outcome, Incomplete):
                    readers[0], need = outcome.resume, outcome.need
                    continue
                value, begin = outcome
                values.append(value)
                readers.popleft()
                need = 1
        except ProtocolError as error:
            self.failure = error
        self._need = need
        self._keep(buffer, begin)
        return values

    def _keep(self, buffer: Buffer, begin: int) -> None:
        """Remember what follows the last complete reply."""
        if buffer is self._partial:
            del self._partial[:begin]
        elif begin < len(buffer):
            self._partial += memoryview(buffer)[begin:]
        if self._partial and not self._readers:
            self.failure = ProtocolError(
                f"a reply that nobody asked for: {bytes(self._partial[:20])!r}"
            )
