# Generated from test_changes_servers_async.py by tools/async_to_sync.py: edit that one.
"""Changes of real servers, of all kinds that keep an update log."""

from __future__ import annotations

from pathlib import Path

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.errors import LogGapError, ServerError
from kt.log.reading import read_changes
from kt.options import Since
from kt.types import What
from tests.client.masters import logging_tycoon, logging_tyrant
from tests.conftest import StartTycoon, StartTyrant

HOST = "127.0.0.1"


def test_tycoon(start_tycoon: StartTycoon) -> None:
    server = logging_tycoon(start_tycoon, "*", "%")
    db = KyotoTycoon(HOST, server.port or 0, timeout=30)
    with db, db.changes(since=Since.OLDEST) as feed:
        db.set("k", "v")
        db.set("k", "w", expire_time=1000, db=1)
        db.incr("n", 3)
        db.append("k", "+")
        db.remove("k")
        db.remove("never there")
        db.clear(db=1)
        db.set("end", "e")
        changes = [next(feed) for _ in range(8)]
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


def test_tycoon_from_now_on(start_tycoon: StartTycoon) -> None:
    server = logging_tycoon(start_tycoon, "*")
    with KyotoTycoon(HOST, server.port or 0, timeout=30) as db:
        db.set("before", "1")
        with db.changes(since=Since.OLDEST) as feed:
            next(feed)  # now it is in the log
        with db.changes() as feed:
            db.set("after", "2")
            assert next(feed).key == "after"


def test_tycoon_that_is_started_again(start_tycoon: StartTycoon) -> None:
    # The original does not end while it waits for an answer, and nobody reads the feed meanwhile.
    server = logging_tycoon(start_tycoon, "a.kch", args=["-tout", "1"])
    with KyotoTycoon(HOST, server.port or 0, timeout=30) as db:
        with db.changes(since=Since.OLDEST) as feed:
            for n in range(3):
                db.set(f"k{n}", "v")
                assert next(feed).key == f"k{n}"
                port = server.port
                server.stop()
                server.port = port
                server.run()
            position = feed.position
        db.set("later", "v")
        with db.changes(since=position or "") as feed:
            assert next(feed).key == "later"


def test_tycoon_whose_log_was_removed(start_tycoon: StartTycoon) -> None:
    server = logging_tycoon(start_tycoon, "*", args=["-ulim", "1000"])
    with KyotoTycoon(HOST, server.port or 0, timeout=30) as db:
        with db.changes(since=Since.OLDEST) as feed:
            for n in range(5):
                db.set(f"k{n}", "v" * 2000)
                assert next(feed).key == f"k{n}"
                if n == 1:
                    position = feed.position or ""
        assert len(db.ulog_list()) > 3
        with db.changes(since=position) as feed:
            assert next(feed).key == "k2"
        db.ulog_remove()
        with pytest.raises(LogGapError) as caught:
            next(db.changes(since=position))
        with db.changes(since=caught.value.oldest) as feed:
            assert next(feed).key == "k4"


def test_tycoon_without_log(start_tycoon: StartTycoon) -> None:
    server = start_tycoon("*")
    with KyotoTycoon(HOST, server.port or 0, timeout=30) as db:
        for since in Since:
            with pytest.raises(ServerError, match="no update log"):
                next(db.changes(since=since))


def test_tyrant(start_tyrant: StartTyrant) -> None:
    server = logging_tyrant(start_tyrant, "*")
    db = TokyoTyrant(HOST, server.port or 0, timeout=30)
    with db, db.changes(everything=True) as feed:
        db.set("k", "v")
        db.append("k", "+")
        db.incr("n", 3)
        db.remove("k")
        db.remove("k")
        db.clear()
        db.set("end", "e")
        changes = [next(feed) for _ in range(7)]
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


def test_tyrant_that_is_started_again(start_tyrant: StartTyrant) -> None:
    server = logging_tyrant(start_tyrant, "a.tch")
    with TokyoTyrant(HOST, server.port or 0, timeout=30) as db:
        with db.changes(since=Since.OLDEST) as feed:
            for n in range(3):
                db.set(f"k{n}", "v")
                assert next(feed).key == f"k{n}"
                port = server.port
                server.stop()
                server.port = port
                server.run()
            position = feed.position
        db.set("later", "v")
        with db.changes(since=position or "") as feed:
            assert next(feed).key == "later"


def test_tyrant_whose_log_was_removed(start_tyrant: StartTyrant, tmp_path: Path) -> None:
    server = logging_tyrant(start_tyrant, "*", args=["-ulim", "1000"])
    with TokyoTyrant(HOST, server.port or 0, timeout=30) as db:
        with db.changes(since=Since.OLDEST) as feed:
            for n in range(5):
                db.set(f"k{n}", "v" * 2000)
                assert next(feed).key == f"k{n}"
                if n == 1:
                    position = feed.position or ""
        for number in range(1, 5):
            (tmp_path / f"ulog/{number:08}.ulog").unlink()
        with pytest.raises(LogGapError) as caught:
            next(db.changes(since=position))
        with db.changes(since=caught.value.oldest) as feed:
            assert next(feed).key == "k4"


def test_tyrant_without_log(start_tyrant: StartTyrant) -> None:
    server = start_tyrant("*")
    db = TokyoTyrant(HOST, server.port or 0, timeout=30)
    with pytest.raises(ServerError, match=r"no update log|refuses"):
        next(db.changes())
    db.close()
