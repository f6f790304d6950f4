"""The replies to many requests of one task, for `kt.net.aio`."""

from __future__ import annotations

import asyncio
from typing import Any


class Batch:
    """Stands in for the futures of many calls by one task."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = 0
        self._loop = loop
        self._replies: list[Any] = []
        self._error: BaseException | None = None
        self._news: asyncio.Future[None] | None = None

    def done(self) -> bool:
        """Tell whether it takes no more replies."""
        return self._error is not None

    def set_result(self, reply: Any) -> None:
        """Take a reply."""
        self._replies.append(reply)
        if self._news is not None:
            self._wake()

    def set_exception(self, error: BaseException) -> None:
        """Take no more replies, for this reason."""
        self._error = error
        self._wake()

    async def take(self) -> list[Any]:
        """Wait for replies and return them; when none can come any more, raise the reason."""
        if not self._replies and self._error is None:
            self._news = self._loop.create_future()
            await self._news
        if not self._replies and self._error is not None:
            raise self._error
        replies, self._replies = self._replies, []
        self.asked -= len(replies)
        return replies

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)
