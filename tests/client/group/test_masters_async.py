"""AsyncKyotoTycoon for several servers, real ones, of which one is the master."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kt import (
    ArgumentError,
    LogGapError,
    OutcomeUnknown,
    Retry,
    ServerConnectionError,
    ServerError,
    Since,
)
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from tests.server.processes import HOST, SECONDS, ServerProcess
from tests.server.tycoon.pairs import BUNDLED, client, following, server, wait_until
from tests.server.tyrant.slaves import client as tyrant_client
from tests.server.tyrant.slaves import server as tyrant_server

SCRIPT = 'function write(i, o) return __kyototycoon__.db:set("s", "1") and 0 or 1 end'

Servers = tuple[ServerProcess, ServerProcess]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """A master, and a read-only slave that follows it."""
    script = tmp_path / "s.lua"
    script.write_text("local kt = __kyototycoon__\n" + SCRIPT)
    extra = ("-scr", str(script))
    with ExitStack() as stack:
        first = server(BUNDLED, 1, tmp_path / "1", "-rts", "rts", *extra, databases=("%",))
        stack.enter_context(first)
        args = (*following(first), "-ro-slave", "-ulim", "1000", *extra)
        second = server(BUNDLED, 2, tmp_path / "2", *args, databases=("%",))
        stack.enter_context(second)
        follows(second)
        yield first, second


def follows(slave: ServerProcess) -> None:
    with client(slave) as kt:
        wait_until(lambda: kt.report().get("repl_connected") == 1, "it follows")


def exchange_roles(servers: Servers) -> None:
    """The slave becomes the master."""
    first, second = servers
    with client(first) as former, client(second) as new:
        stamp = new.promote()
        former.tune_replication(HOST, second.port, ts=stamp, read_only=True)
    follows(first)


def connect(*servers: ServerProcess, options: str = "timeout=30") -> AsyncKyotoTycoon:
    places = ",".join(f"{HOST}:{one.port}" for one in servers)
    return AsyncKyotoTycoon.from_url(f"kt://{places}/?{options}")


async def test_the_master_is_found_wherever_it_is_named(servers: Servers) -> None:
    first, second = servers
    for named in ((first, second), (second, first), (second,)):
        async with connect(*named) as db:
            if first in named:
                assert await db.set("k", "v")
                assert db.port == first.port
            else:  # it is the only one: as without a list
                with pytest.raises(ServerError):
                    await db.set("k", "v")


async def test_what_a_former_master_refuses_goes_to_the_new_one(servers: Servers) -> None:
    async with connect(*servers) as db:
        assert await db.incr("n") == 1
        exchange_roles(servers)
        assert await db.incr("n") == 2  # the RPC says why it refuses
        assert db.port == servers[1].port
    async with connect(*servers) as db:
        assert await db.set("k", "1")
        exchange_roles((servers[1], servers[0]))
        assert await db.set("k", "2")  # the binary protocol does not
        assert await db.get("k") == "2"
        assert db.port == servers[0].port


async def test_a_failure_for_another_reason_is_told_at_once(servers: Servers) -> None:
    async with connect(*servers) as db:
        await db.set("text", "no number")
        with pytest.raises(ServerError, match="holds 9 bytes"):
            await db.incr("text")
        with pytest.raises(ServerError):
            await db.set("k", "v", db=7)
        assert db.port == servers[0].port


async def test_scripts_are_not_sent_twice(servers: Servers) -> None:
    async with connect(*servers) as db:
        await db.script("write")
        exchange_roles(servers)
        with pytest.raises(ServerError):
            await db.script("write")
        await db.script("write")
        assert db.port == servers[1].port


async def test_changes_go_on_at_the_new_master(servers: Servers) -> None:
    first, second = servers
    async with connect(second, first) as db:
        async with db.changes(since=Since.OLDEST) as feed:
            assert db.port == first.port
            assert await db.set("k", "1")
            assert (await anext(feed)).key == "k"
            with client(second) as slave:
                wait_until(lambda: slave.get("k") == b"1", "the slave has it")
                first.stop(signal.SIGKILL)
                slave.promote()
                slave.set("k", b"2")
                slave.set("end", b"3")
            seen = []
            while (change := await anext(feed)).key != "end":
                seen.append(change.value)
            assert seen[-1] == "2"
            assert set(seen) <= {"1", "2"}
            assert db.port == second.port
            position = feed.position
        async with db.changes(since=position or "") as feed:
            await db.set("more", "4")
            assert (await anext(feed)).key == "more"


async def test_changes_that_the_new_master_has_removed(servers: Servers) -> None:
    first, second = servers
    async with connect(*servers) as db, db.changes(since=Since.OLDEST) as feed:
        assert await db.set("k", "1")
        assert (await anext(feed)).key == "k"
        with client(second) as slave:
            wait_until(lambda: slave.get("k") == b"1", "the slave has it")
            first.stop(signal.SIGKILL)
            slave.promote()
            for key in range(3):
                slave.set(str(key), bytes(2000))
            assert slave.ulog_remove()
            assert not slave.ulog_list()[0].path.endswith("0000000001.ulog")
        with pytest.raises(LogGapError) as caught:
            await anext(feed)
        with pytest.raises(LogGapError):
            await anext(feed)
        async with db.changes(since=caught.value.oldest) as later:
            assert (await anext(later)).key == "2"


async def test_a_pipeline_is_refused_and_the_next_one_is_not(servers: Servers) -> None:
    async with connect(*servers) as db:
        async with db.pipeline() as pipe:
            pipe.set("k", "1")
        exchange_roles(servers)
        with pytest.raises(ServerError):
            async with db.pipeline() as pipe:
                pipe.incr("n")
        async with db.pipeline() as pipe:
            number = pipe.incr("n")
        assert number.result() == 1
        assert await db.get_int("n") == 1
        assert db.port == servers[1].port


async def test_a_master_that_is_gone_has_a_successor(servers: Servers) -> None:
    first, second = servers
    async with connect(*servers) as db:
        await db.set("k", "1")
        first.stop(signal.SIGKILL)
        with pytest.raises(ServerConnectionError, match="there is no master") as caught:
            await db.set("k", "2")
        assert not caught.value.sent
        assert f"a slave of {HOST}:{first.port}" in str(caught.value)
        with client(second) as slave:
            slave.promote()
        assert await db.set("k", "2")
        assert db.port == second.port


async def test_who_tries_again_waits_for_the_successor(servers: Servers) -> None:
    first, second = servers
    places = f"{HOST}:{first.port},{HOST}:{second.port}"
    retry = Retry(None, backoff=0.01, longest=0.01)
    async with AsyncKyotoTycoon.from_url(f"kt://{places}", timeout=SECONDS, retry=retry) as db:
        assert await db.set("k", "1")
        with client(second) as slave:
            wait_until(lambda: slave.get("k") == b"1", "the slave has it")
            first.stop(signal.SIGKILL)
            slave.promote()
        assert await db.get("k") == "1"
        assert await db.set("k", "2")


async def test_a_master_that_says_nothing_any_more(servers: Servers) -> None:
    first, second = servers
    async with connect(*servers, options="timeout=1&retry=50") as db:
        await db.set("k", "1")
        with first.standing_still():
            with pytest.raises(OutcomeUnknown):
                await db.incr("n")
            with client(second) as slave:
                slave.promote()
            view = db.using(timeout=SECONDS)
            assert await view.set("k", "2")
            assert db.port == second.port


async def test_slaves_read_if_that_is_wanted(servers: Servers) -> None:
    second = servers[1]
    async with connect(*servers, options="timeout=30&reads=slaves") as db:
        assert await db.set("k", "1")
        with client(second) as slave:
            wait_until(lambda: slave.get("k") == b"1", "the slave has it")
            assert await db.get("k") == "1"
            assert await db.get_bulk(["k"]) == {"k": "1"}
            assert await db.match_prefix("k") == ["k"]
            assert await db.exists("k")
            counts = slave.report()
            assert counts["cmd_rpc_check"] == 1
            assert counts["cmd_rpc_match_prefix"] == 1
        assert await db.clear()  # harmless when it is repeated, but no read
        second.stop()
        await db.set("k", "2")
        assert await db.get("k") == "2"  # of the master, for want of slaves


def test_urls() -> None:
    for url, words in {
        "kt://a,b/?reads=all": "reads is master or slaves",
        "kt://a/?reads=slaves": "for several servers",
        "kt://a,b/?reads=slaves&reads=slaves": "reads twice",
        "kt://a:1,b:no/": "is no URL",
        "kt://a,b@c/": "a server is kt://",
        "tt://a,b/": "a server is kt://",
    }.items():
        with pytest.raises(ArgumentError, match=words):
            AsyncKyotoTycoon.from_url(url)
    db = AsyncKyotoTycoon.from_url("kt://[::1]:1,[::2]:2/3?timeout=4")
    assert (db.host, db.port, db.timeout) == ("::1", 1, 4.0)


async def test_tokyo_tyrant(tmp_path: Path) -> None:
    first = tyrant_server(tmp_path / "1", 1)
    with first, tyrant_server(tmp_path / "2", 2, of=first) as second:
        url = f"tt://{HOST}:{second.port},{HOST}:{first.port}/?timeout=30"
        async with AsyncTokyoTyrant.from_url(url) as db:
            feed = db.changes(since=Since.OLDEST)
            assert await db.set("k", "1")
            assert (await anext(feed)).key == "k"
            assert db.port == first.port
            with tyrant_client(second) as tyrant:
                wait_until(lambda: tyrant.get("k") == b"1", "the slave has it")
            first.stop(signal.SIGKILL)
            with pytest.raises(ServerConnectionError):  # what was idle
                await db.set("k", "2")
            with pytest.raises(ServerConnectionError, match="a slave of"):
                await db.set("k", "2")
            async with AsyncTokyoTyrant(HOST, second.port) as slave:
                await slave.set_master(None)
            assert await db.set("k", "2")
            assert db.port == second.port
            while (change := await anext(feed)).value != "2":
                assert (change.key, change.value) == ("k", "1")
            await feed.close()
