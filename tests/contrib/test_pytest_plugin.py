"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TYCOON = """
def test_first(kt_db, kt_server):
    assert kt_db.count() == 0
    assert kt_db.incr("visits") == 1
    assert kt_server.client.get_int("visits") == 1

def test_second(kt_db):
    assert kt_db.count() == 0
    assert kt_db.incr("visits") == 1

def test_after_a_server_was_stopped(kt_server):
    assert kt_server.stop()

def test_there_is_one_again(kt_db):
    assert kt_db.set("k", "v") == 1
"""

ASYNC = """
import asyncio

def test_first(kt_async_db, kt_async_tyrant):
    async def main():
        assert await kt_async_db.count() == await kt_async_tyrant.count() == 0
        await kt_async_db.set("k", "v")
        await kt_async_tyrant.set("k", "v")
    asyncio.run(main())

test_second = test_first
"""

TYRANT = """
from kt import C, TT_TABLE

def test_first(kt_tyrant, kt_table):
    assert kt_tyrant.count() == kt_table.count() == 0
    assert kt_tyrant.set("k", "v")
    kt_table.using(serializer=TT_TABLE).set("apple", {"price": "3"})
    assert kt_table.query().filter(C.price > 2).keys() == ["apple"]

test_second = test_first
"""

FACTORIES = """
import pytest
from kt import KT_JSON
from kt.lua import SCRIPTS, Set

@pytest.fixture(scope="session")
def kt_client_options():
    return {"serializer": KT_JSON, "timeout": 30}

def test_options(kt_db):
    kt_db.set("k", [1])
    assert kt_db.get("k") == [1]

def test_servers(kt_start_server, kt_start_tyrant, tmp_path):
    one, two = kt_start_server(), kt_start_server("a.kch", "%", args=["-th", "3"], scripts=SCRIPTS)
    three = kt_start_tyrant("a.tcb", args=["-mul", "2"])
    assert len({one.port, two.port, three.port}) == 3
    assert two.client.set("k", "v", 1)
    assert Set(two.client, "c").add("x") == 1
    assert three.client.set("k", "v")
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"a"}
    assert two.server_args == ["-th", "3"]

def test_local(kt_local):
    assert kt_local.count() == 0
    assert kt_local.set("k", "v") == 1
"""


def run(pytester: pytest.Pytester, *args: str, passed: int, ini: str = "", **files: str) -> None:
    """Run these files in one pytest, in which a warning is an error."""
    pytester.makepyfile(**files)
    pytester.makeini(f"[pytest]\nfilterwarnings = error\n{ini}")
    pytester.runpytest_subprocess(*args).assert_outcomes(passed=passed)


def test_fixtures(pytester: pytest.Pytester) -> None:
    run(pytester, passed=8, test_tycoon=TYCOON, test_async=ASYNC, test_tyrant=TYRANT)


def test_factories(pytester: pytest.Pytester) -> None:
    run(pytester, passed=3, test_factories=FACTORIES)


def test_workers_do_not_see_each_other(pytester: pytest.Pytester) -> None:
    """Two tests that are in two workers at once: each waits until the other has begun."""
    text = """
        import time
        from pathlib import Path
        import pytest

        @pytest.mark.parametrize("me", [0, 1])
        def test_both(me, kt_db):
            here = Path(__file__).parent
            kt_db.set("who", str(me))
            (here / f"begun-{me}").touch()
            while not (here / f"begun-{1 - me}").exists():
                time.sleep(0.01)
            assert kt_db.get("who") == str(me)
            assert kt_db.count() == 1
    """
    run(pytester, "-n", "2", passed=2, test_both=text)


def test_configuration(pytester: pytest.Pytester) -> None:
    ini = """
kt_databases = * first.kct#bnum=1000
kt_server_args = -th 3
kt_tyrant_database = words.tcb
kt_scripts = kt.lua
"""
    text = """
        from kt.lua import Set

        def test_tycoon(kt_db, kt_server):
            assert kt_db.status(1)["path"].endswith("/first.kct")
            assert kt_server.server_args == ["-th", "3"]
            assert Set(kt_db, "c").add("x") == 1
            kt_db.set("k", "v", 1)

        def test_every_database_is_empty(kt_db):
            assert kt_db.count(0) == kt_db.count(1) == 0

        def test_tyrant(kt_tyrant):
            assert kt_tyrant.status()["type"] == "B+ tree"
            assert Set(kt_tyrant, "c").add("x") == 1
    """
    run(pytester, passed=3, ini=ini, test_configuration=text)


def test_no_such_program(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test(kt_db): pass")
    result = pytester.runpytest_subprocess("--kt-server", "no-such-server")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no program 'no-such-server'*"])
