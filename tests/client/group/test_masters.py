# Generated from test_masters_async.py by tools/async_to_sync.py: edit that one.
"""KyotoTycoon for several servers, real ones, of which one is the master."""

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
from kt.client.tycoon.client import KyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
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


def connect(*servers: ServerProcess, options: str = "timeout=30") -> KyotoTycoon:
    places = ",".join(f"{HOST}:{one.port}" for one in servers)
    return KyotoTycoon.from_url(f"kt://{places}/?{options}")


def test_the_master_is_found_wherever_it_is_named(servers: Servers) -> None:
    first, second = servers
    for named in ((first, second), (second, first), (second,)):
        with connect(*named) as db:
            if first in named:
                assert db.set("k", "v")
                assert db.port == first.port
            else:  # it is the only one: as without a list
                with pytest.raises(ServerError):
                    db.set("k", "v")


def test_what_a_former_master_refuses_goes_to_the_new_one(servers: Servers) -> None:
    with connect(*servers) as db:
        assert db.incr("n") == 1
        exchange_roles(servers)
        assert db.incr("n") == 2  # the RPC says why it refuses
        assert db.port == servers[1].port
    with connect(*servers) as db:
        assert db.set("k", "1")
        exchange_roles((servers[1], servers[0]))
        assert db.set("k", "2")  # the binary protocol does not
        assert db.get("k") == "2"
        assert db.port == servers[0].port


def test_a_failure_for_another_reason_is_told_at_once(servers: Servers) -> None:
    with connect(*servers) as db:
        db.set("text", "no number")
        with pytest.raises(ServerError, match="holds 9 bytes"):
            db.incr("text")
        with pytest.raises(ServerError):
            db.set("k", "v", db=7)
        assert db.port == servers[0].port


def test_scripts_are_not_sent_twice(servers: Servers) -> None:
    with connect(*servers) as db:
        db.script("write")
        exchange_roles(servers)
        with pytest.raises(ServerError):
            db.script("write")
        db.script("write")
        assert db.port == servers[1].port


def test_changes_go_on_at_the_new_master(servers: Servers) -> None:
    first, second = servers
    with connect(second, first) as db:
        with db.changes(since=Since.OLDEST) as feed:
            assert db.port == first.port
            assert db.set("k", "1")
            assert next(feed).key == "k"
            with client(second) as slave:
                wait_until(lambda: slave.get("k") == b"1", "the slave has it")
                first.stop(signal.SIGKILL)
                slave.promote()
                slave.set("k", b"2")
                slave.set("end", b"3")
            seen = []
            while (change := next(feed)).key != "end":
                seen.append(change.value)
            assert seen[-1] == "2"
            assert set(seen) <= {"1", "2"}
            assert db.port == second.port
            position = feed.position
        with db.changes(since=position or "") as feed:
            db.set("more", "4")
            assert next(feed).key == "more"


def test_changes_that_the_new_master_has_removed(servers: Servers) -> None:
    first, second = servers
    with connect(*servers) as db, db.changes(since=Since.OLDEST) as feed:
        assert db.set("k", "1")
        assert next(feed).key == "k"
        with client(second) as slave:
            wait_until(lambda: slave.get("k") == b"1", "the slave has it")
            first.stop(signal.SIGKILL)
            slave.promote()
            for key in range(3):
                slave.set(str(key), bytes(2000))
            assert slave.ulog_remove()
            assert not slave.ulog_list()[0].path.endswith("0000000001.ulog")
        with pytest.raises(LogGapError) as caught:
            next(feed)
        with pytest.raises(LogGapError):
            next(feed)
        with db.changes(since=caught.value.oldest) as later:
            assert next(later).key == "2"


def test_a_pipeline_is_refused_and_the_next_one_is_not(servers: Servers) -> None:
    with connect(*servers) as db:
        with db.pipeline() as pipe:
            pipe.set("k", "1")
        exchange_roles(servers)
        with pytest.raises(ServerError), db.pipeline() as pipe:
            pipe.incr("n")
        with db.pipeline() as pipe:
            number = pipe.incr("n")
        assert number.result() == 1
        assert db.get_int("n") == 1
        assert db.port == servers[1].port


def test_a_master_that_is_gone_has_a_successor(servers: Servers) -> None:
    first, second = servers
    with connect(*servers) as db:
        db.set("k", "1")
        first.stop(signal.SIGKILL)
        with pytest.raises(ServerConnectionError, match="there is no master") as caught:
            db.set("k", "2")
        assert not caught.value.sent
        assert f"a slave of {HOST}:{first.port}" in str(caught.value)
        with client(second) as slave:
            slave.promote()
        assert db.set("k", "2")
        assert db.port == second.port


def test_who_tries_again_waits_for_the_successor(servers: Servers) -> None:
    first, second = servers
    places = f"{HOST}:{first.port},{HOST}:{second.port}"
    retry = Retry(None, backoff=0.01, longest=0.01)
    with KyotoTycoon.from_url(f"kt://{places}", timeout=SECONDS, retry=retry) as db:
        assert db.set("k", "1")
        with client(second) as slave:
            wait_until(lambda: slave.get("k") == b"1", "the slave has it")
            first.stop(signal.SIGKILL)
            slave.promote()
        assert db.get("k") == "1"
        assert db.set("k", "2")


def test_a_master_that_says_nothing_any_more(servers: Servers) -> None:
    first, second = servers
    with connect(*servers, options="timeout=1&retry=50") as db:
        db.set("k", "1")
        with first.standing_still():
            with pytest.raises(OutcomeUnknown):
                db.incr("n")
            with client(second) as slave:
                slave.promote()
            view = db.using(timeout=SECONDS)
            assert view.set("k", "2")
            assert db.port == second.port


def test_slaves_read_if_that_is_wanted(servers: Servers) -> None:
    second = servers[1]
    with connect(*servers, options="timeout=30&reads=slaves") as db:
        assert db.set("k", "1")
        with client(second) as slave:
            wait_until(lambda: slave.get("k") == b"1", "the slave has it")
            assert db.get("k") == "1"
            assert db.get_bulk(["k"]) == {"k": "1"}
            assert db.match_prefix("k") == ["k"]
            assert db.exists("k")
            counts = slave.report()
            assert counts["cmd_rpc_check"] == 1
            assert counts["cmd_rpc_match_prefix"] == 1
        assert db.clear()  # harmless when it is repeated, but no read
        second.stop()
        db.set("k", "2")
        assert db.get("k") == "2"  # of the master, for want of slaves


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
            KyotoTycoon.from_url(url)
    db = KyotoTycoon.from_url("kt://[::1]:1,[::2]:2/3?timeout=4")
    assert (db.host, db.port, db.timeout) == ("::1", 1, 4.0)


def test_tokyo_tyrant(tmp_path: Path) -> None:
    first = tyrant_server(tmp_path / "1", 1)
    with first, tyrant_server(tmp_path / "2", 2, of=first) as second:
        url = f"tt://{HOST}:{second.port},{HOST}:{first.port}/?timeout=30"
        with TokyoTyrant.from_url(url) as db:
            feed = db.changes(since=Since.OLDEST)
            assert db.set("k", "1")
            assert next(feed).key == "k"
            assert db.port == first.port
            with tyrant_client(second) as tyrant:
                wait_until(lambda: tyrant.get("k") == b"1", "the slave has it")
            first.stop(signal.SIGKILL)
            with pytest.raises(ServerConnectionError):  # what was idle
                db.set("k", "2")
            with pytest.raises(ServerConnectionError, match="a slave of"):
                db.set("k", "2")
            with TokyoTyrant(HOST, second.port) as slave:
                slave.set_master(None)
            assert db.set("k", "2")
            assert db.port == second.port
            while (change := next(feed)).value != "2":
                assert (change.key, change.value) == ("k", "1")
            feed.close()
