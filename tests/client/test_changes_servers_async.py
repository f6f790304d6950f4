"""Changes of real servers, of all kinds that keep an update log."""

from __future__ import annotations

from pathlib import Path

import pytest

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.errors import LogGapError, ServerError
from kt.log.reading import read_changes
from kt.options import Since
from kt.types import What
from tests.client.masters import logging_tycoon, logging_tyrant
from tests.conftest import StartTycoon, StartTyrant

HOST = "127.0.0.1"


async def test_tycoon(start_tycoon: StartTycoon) -> None:
    server = logging_tycoon(start_tycoon, "*", "%")
    db = AsyncKyotoTycoon(HOST, server.port or 0, timeout=30)
    async with db, db.changes(since=Since.OLDEST) as feed:
        await db.set("k", "v")
        await db.set("k", "w", expire_time=1000, db=1)
        await db.incr("n", 3)
        await db.append("k", "+")
        await db.remove("k")
        await db.remove("never there")
        await db.clear(db=1)
        await db.set("end", "e")
        changes = [await anext(feed) for _ in range(8)]
    assert [(change.what, change.db, change.key, change.value) for change in changes] == [
        (What.SET, 0, "k", "v"),
        (What.SET, 1, "k", "w"),
        (What.SET, 0, "n", "\0\0\0\0\0\0\0\3"),
        (What.SET, 0, "k", "v+"),
        (What.REMOVE, 0, "k", None),
        (What.REMOVE, 0, "never there", None),
        (What.CLEAR, 1, None, None),
        (What.SET, 0, "end", "e"),
    ]
    assert {change.sid for change in changes} == {5}
    assert changes[0].expires is None
    assert changes[1].expires is not None
    assert 0 < (changes[1].expires - changes[1].time).total_seconds() <= 1001
    server.stop()
    assert list(read_changes("ulog")) == changes


async def test_tycoon_from_now_on(start_tycoon: StartTycoon) -> None:
    server = logging_tycoon(start_tycoon, "*")
    async with AsyncKyotoTycoon(HOST, server.port or 0, timeout=30) as db:
        await db.set("before", "1")
        async with db.changes(since=Since.OLDEST) as feed:
            await anext(feed)  # now it is in the log
        async with db.changes() as feed:
            await db.set("after", "2")
            assert (await anext(feed)).key == "after"


async def test_tycoon_that_is_started_again(start_tycoon: StartTycoon) -> None:
    # The original does not end while it waits for an answer, and nobody reads the feed meanwhile.
    server = logging_tycoon(start_tycoon, "a.kch", args=["-tout", "1"])
    async with AsyncKyotoTycoon(HOST, server.port or 0, timeout=30) as db:
        async with db.changes(since=Since.OLDEST) as feed:
            for n in range(3):
                await db.set(f"k{n}", "v")
                assert (await anext(feed)).key == f"k{n}"
                port = server.port
                server.stop()
                server.port = port
                server.run()
            position = feed.position
        await db.set("later", "v")
        async with db.changes(since=position or "") as feed:
            assert (await anext(feed)).key == "later"


async def test_tycoon_whose_log_was_removed(start_tycoon: StartTycoon) -> None:
    server = logging_tycoon(start_tycoon, "*", args=["-ulim", "1000"])
    async with AsyncKyotoTycoon(HOST, server.port or 0, timeout=30) as db:
        async with db.changes(since=Since.OLDEST) as feed:
            for n in range(5):
                await db.set(f"k{n}", "v" * 2000)
                assert (await anext(feed)).key == f"k{n}"
                if n == 1:
                    position = feed.position or ""
        assert len(await db.ulog_list()) > 3
        async with db.changes(since=position) as feed:
            assert (await anext(feed)).key == "k2"
        await db.ulog_remove()
        with pytest.raises(LogGapError) as caught:
            await anext(db.changes(since=position))
        async with db.changes(since=caught.value.oldest) as feed:
            assert (await anext(feed)).key == "k4"


async def test_tycoon_without_log(start_tycoon: StartTycoon) -> None:
    server = start_tycoon("*")
    async with AsyncKyotoTycoon(HOST, server.port or 0, timeout=30) as db:
        for since in Since:
            with pytest.raises(ServerError, match="no update log"):
                await anext(db.changes(since=since))


async def test_tyrant(start_tyrant: StartTyrant) -> None:
    server = logging_tyrant(start_tyrant, "*")
    db = AsyncTokyoTyrant(HOST, server.port or 0, timeout=30)
    async with db, db.changes(everything=True) as feed:
        await db.set("k", "v")
        await db.append("k", "+")
        await db.incr("n", 3)
        await db.remove("k")
        await db.remove("k")
        await db.clear()
        await db.set("end", "e")
        changes = [await anext(feed) for _ in range(7)]
    assert [(c.what, c.key, c.value, c.number, c.failed) for c in changes] == [
        (What.SET, "k", "v", None, False),
        (What.APPEND, "k", "+", None, False),
        (What.ADD_INT, "n", None, 3, False),
        (What.REMOVE, "k", None, None, False),
        (What.REMOVE, "k", None, None, True),
        (What.CLEAR, None, None, None, False),
        (What.SET, "end", "e", None, False),
    ]
    server.stop()
    assert list(read_changes("ulog", everything=True)) == changes


async def test_tyrant_that_is_started_again(start_tyrant: StartTyrant) -> None:
    server = logging_tyrant(start_tyrant, "a.tch")
    async with AsyncTokyoTyrant(HOST, server.port or 0, timeout=30) as db:
        async with db.changes(since=Since.OLDEST) as feed:
            for n in range(3):
                await db.set(f"k{n}", "v")
                assert (await anext(feed)).key == f"k{n}"
                port = server.port
                server.stop()
                server.port = port
                server.run()
            position = feed.position
        await db.set("later", "v")
        async with db.changes(since=position or "") as feed:
            assert (await anext(feed)).key == "later"


async def test_tyrant_whose_log_was_removed(start_tyrant: StartTyrant, tmp_path: Path) -> None:
    server = logging_tyrant(start_tyrant, "*", args=["-ulim", "1000"])
    async with AsyncTokyoTyrant(HOST, server.port or 0, timeout=30) as db:
        async with db.changes(since=Since.OLDEST) as feed:
            for n in range(5):
                await db.set(f"k{n}", "v" * 2000)
                assert (await anext(feed)).key == f"k{n}"
                if n == 1:
                    position = feed.position or ""
        for number in range(1, 5):
            (tmp_path / f"ulog/{number:08}.ulog").unlink()
        with pytest.raises(LogGapError) as caught:
            await anext(db.changes(since=position))
        async with db.changes(since=caught.value.oldest) as feed:
            assert (await anext(feed)).key == "k4"


async def test_tyrant_without_log(start_tyrant: StartTyrant) -> None:
    server = start_tyrant("*")
    db = AsyncTokyoTyrant(HOST, server.port or 0, timeout=30)
    with pytest.raises(ServerError, match=r"no update log|refuses"):
        await anext(db.changes())
    await db.close()
