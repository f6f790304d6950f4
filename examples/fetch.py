"""Fetch web pages, each once an hour and politely: ``python examples/fetch.py URL ...``.

Pages are kept in pages.kch for an hour, so that the next run finds them there; a web server is
asked at most five times a second, after the first five; and of all tasks that want the same page
one fetches it, while the others wait for what it finds.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import kt
import kt.lua

HOUR = 3600
TIMEOUT = 30  # seconds for a page
PER_SECOND = 5
AT_ONCE = 10

Database = kt.AsyncKyotoTycoon[str, bytes]


class Fetcher:
    """Pages, from the database or from the web."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.fetched = 0
        self.slots = asyncio.Semaphore(AT_ONCE)

    async def page(self, url: str) -> bytes:
        """What is at a URL.

        Raises:
            OSError: the web server cannot be reached, or has no such page.
        """
        key = f"page:{hashlib.sha256(url.encode()).hexdigest()}"
        if (found := await self.db.get(key)) is not None:
            return found
        async with kt.lua.AsyncLock(self.db, f"lock:{key}", seconds=2 * TIMEOUT):
            if (found := await self.db.get(key)) is not None:  # by who had the lock before
                return found
            await self.turn(urlsplit(url).netloc)
            page = await asyncio.to_thread(download, url)
            self.fetched += 1
            await self.db.set(key, page, expire_time=HOUR)
            return page

    async def turn(self, host: str) -> None:
        """Wait until this host may be asked once more."""
        limiter = kt.lua.AsyncRateLimiter(self.db, f"limit:{host}", PER_SECOND, seconds=1)
        while not (permit := await limiter.take()):
            await asyncio.sleep(permit.retry_after)


def download(url: str) -> bytes:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise OSError(f"{url} is no http URL")
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        page: bytes = response.read()
    return page


async def describe(fetcher: Fetcher, url: str) -> str:
    try:
        async with fetcher.slots:
            return f"{len(await fetcher.page(url)):10,} bytes  {url}"
    except OSError as error:
        return f"{'failed':>16}  {url}: {error}"


async def main(urls: list[str]) -> None:
    scripts = kt.lua.SCRIPTS  # the lock and the limit are Lua
    async with kt.open_async("pages.kch", serializer=kt.KT_NONE, scripts=scripts) as db:
        fetcher = Fetcher(db)
        for line in await asyncio.gather(*(describe(fetcher, url) for url in urls)):
            print(line)
        print(f"{fetcher.fetched} of {len(urls)} from the web")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
