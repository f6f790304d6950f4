"""Replies in the order of their requests, cut out of bytes that arrive in pieces of any size.

Both protocols answer the requests of a connection one after the other, so a queue of readers is all
that is needed to tell the replies apart::

    expect(read_a, A)  expect(read_b, B)  expect(read_c, C)
    feed(b"....")  ->  (A, value)         feed(b"..")  ->  (B, value), (C, value)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from kt.errors import ProtocolError
from kt.wire.reading import Buffer, Incomplete, Reader

Token = TypeVar("Token")

PIPE_MAX = 1024
"""Replies that pipelined requests may leave outstanding on one connection."""


class Replies(Generic[Token]):
    """What has been asked and not been answered, each with a token that says who asked."""

    def __init__(self) -> None:
        self._expected: deque[tuple[Reader[Any], Token]] = deque()
        self._partial = bytearray()
        self._resume: Reader[Any] | None = None
        self._need = 1

    def __len__(self) -> int:
        """Return how many replies are outstanding."""
        return len(self._expected)

    def __iter__(self) -> Iterator[Token]:
        """Iterate over the tokens of the outstanding replies, next one first."""
        return (token for _, token in self._expected)

    @property
    def received(self) -> int:
        """How many bytes of the next reply are here."""
        return len(self._partial)

    def expect(self, reader: Reader[Any], token: Token) -> None:
        """A request has been sent whose reply `reader` reads."""
        self._expected.append((reader, token))

    def feed(self, data: bytes) -> Iterator[tuple[Token, Any]]:
        """Take in `data` and yield the replies that are complete now.

        Exhaust the iterator before the next call.

        Raises:
            ProtocolError: `data` is no reply, or nothing was asked; earlier replies come first.
        """
        buffer: Buffer = data
        if self._partial:
            self._partial += data
            buffer = self._partial
        begin = 0
        while self._expected and len(buffer) - begin >= self._need:
            reader, token = self._expected[0]
            outcome = (self._resume or reader)(buffer, begin)
            if isinstance(outcome, Incomplete):
                self._resume, self._need = outcome.resume, outcome.need
                continue
            value, begin = outcome
            self._resume, self._need = None, 1
            self._expected.popleft()
            yield token, value
        self._keep(buffer, begin)

    def _keep(self, buffer: Buffer, begin: int) -> None:
        """Remember what follows the last complete reply."""
        if buffer is self._partial:
            del self._partial[:begin]
        else:
            self._partial += memoryview(buffer)[begin:]
        if self._partial and not self._expected:
            raise ProtocolError(f"a reply that nobody asked for: {bytes(self._partial[:20])!r}")
