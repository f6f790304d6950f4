"""Replies on their way out: a transport gets them in slices.

A transport that is given hundreds of MiB keeps all of it until the last byte has been sent, and
sends as much in one go as the socket takes, which for a fast reader is most of it. In slices the
others get their turns between them, and a large reply gives back its memory as it leaves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from kt.server.engines.io._io import Reply

SLICE: Final = 1 << 20
"""Bytes that a transport is given at a time, joined if they are in pieces."""


class Outgoing:
    """What a transport has not been given yet. False if there is nothing.

    Args:
        transport: it is given more while it keeps less than `limit` bytes.
        limit: likewise.
    """

    def __init__(self, transport: asyncio.Transport, limit: int) -> None:
        self._transport = transport
        self._limit = limit
        self._pieces: deque[bytes | Reply] = deque()
        self._given = 0  # bytes of the first piece

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def __len__(self) -> int:
        return sum(map(len, self._pieces)) - self._given

    def write(self, pieces: list[bytes | Reply], size: int) -> None:
        """Send pieces that are so long together, now or by `go_on`."""
        if self._pieces or size > SLICE:
            self._pieces.extend(pieces)
            self.go_on()
        else:
            self._transport.write(bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces))

    def go_on(self) -> None:
        """Give the transport the next slice, if it does not keep too much."""
        kept = self._transport.get_write_buffer_size()
        if not self._pieces or kept > self._limit:
            return
        piece = self._pieces[0]
        if isinstance(piece, Reply):
            piece.give_back(max(0, self._given - kept))
        piece_size = len(piece)
        end = min(self._given + SLICE, piece_size)
        self._transport.write(memoryview(piece)[self._given : end])
        self._given = end
        if end == piece_size:
            self._pieces.popleft()
            self._given = 0

    def clear(self) -> None:
        """The transport is gone."""
        self._pieces.clear()
        self._given = 0
