"""Slaves that take no writes but their master's (``-ro-slave``), and how they become masters."""

from __future__ import annotations

import asyncio
import http.client
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from kt import AsyncKyotoTycoon, KyotoTycoon, ServerError, read_changes

from ..processes import HOST, ServerProcess
from .pairs import (
    BUNDLED,
    client,
    contents,
    facts,
    following,
    log_of,
    server,
    wait_until,
    wait_until_equal,
)

ONE = ("%",)
SCRIPT = """kt = __kyototycoon__
local function told(done) if done then return kt.RVSUCCESS end
  kt.log("system", "told: " .. tostring(kt.db:error())) return kt.RVELOGIC end
function set(i, o) return told(kt.db:set("by script", "1")) end
function visit(i, o) return told(kt.db:accept("a", function(k, v, xt) return "changed" end)) end
function all(i, o) return told(kt.db:iterate(function(k, v, xt) return "changed" end)) end
function cursor(i, o) local c = kt.db:cursor() c:jump()
  return told(c:set_value("changed")) end
function transaction(i, o) return told(kt.db:begin_transaction()) end
function clear(i, o) return told(kt.db:clear()) end
"""
FUNCTIONS = ("set", "visit", "all", "cursor", "transaction", "clear")


def read_only(
    master: ServerProcess, number: int, directory: Path, *args: str, logged: bool = True
) -> ServerProcess:
    args = (*following(master), "-ro-slave", *args)
    return server(BUNDLED, number, directory, *args, databases=ONE, logged=logged)


def refusals(kt: KyotoTycoon, words: str) -> None:
    """Every way to write is refused, with these words where there are words."""
    calls = [
        lambda: kt.rpc("set", {"key": b"a", "value": b"x"}),
        lambda: kt.rpc("remove", {"key": b"a"}),
        lambda: kt.add(b"new", b"x"),
        lambda: kt.replace(b"a", b"x"),
        lambda: kt.append(b"a", b"x"),
        lambda: kt.cas(b"a", b"1", b"2"),
        lambda: kt.incr(b"number"),
        lambda: kt.incr_double(b"double"),
        lambda: kt.seize(b"a"),
        lambda: kt.clear(),
        lambda: kt.rpc("set_bulk", {"_a": b"x"}),
        lambda: kt.rpc("set_bulk", {"_a": b"x", "atomic": b""}),
        lambda: kt.rpc("remove_bulk", {"_a": b""}),
        lambda: kt.rpc("set", {"key": b"a", "value": b"x" * (5 << 20)}),
    ]
    for call in calls:
        with pytest.raises(ServerError, match=words):
            call()
    binary = [
        lambda: kt.set(b"a", b"x"),
        lambda: kt.remove(b"a"),
        lambda: kt.set_bulk({b"a": b"x"}),
        lambda: kt.remove_bulk([b"a"]),
    ]
    for call in binary:
        with pytest.raises(ServerError, match="repl_read_only"):  # that protocol has no words
            call()
    with kt.cursor() as cursor:
        assert cursor.jump()
        for call in (lambda: cursor.set_value(b"x"), cursor.remove, cursor.seize):
            with pytest.raises(ServerError, match=words):
                call()


def refused_records(process: ServerProcess, words: str) -> None:
    """Likewise, by plain HTTP; the connection goes on."""
    connection = http.client.HTTPConnection(HOST, process.port, timeout=30)
    for method in ("PUT", "DELETE"):
        connection.request(method, "/a", b"x" if method == "PUT" else None)
        reply = connection.getresponse()
        assert reply.status == 500
        assert words in reply.headers["X-Kt-Error"]
        reply.read()
    connection.request("GET", "/a")
    assert connection.getresponse().read() == b"1"
    connection.close()


@pytest.mark.parametrize("logged", [True, False], ids=["logged", "unlogged"])
def test_it_takes_only_what_its_master_sends(logged: bool, tmp_path: Path) -> None:
    script = tmp_path / "s.lua"
    script.write_text(SCRIPT)
    first = server(BUNDLED, 1, tmp_path / "1", databases=ONE)
    with first, client(first) as kt:
        kt.set(b"a", b"1")
        second = read_only(first, 2, tmp_path / "2", "-scr", str(script), logged=logged)
        with second, client(second) as slave:
            wait_until_equal(first, second, 1)
            words = f"a read-only slave: write to its master, {HOST}:{first.port}"
            refusals(slave, words)
            refused_records(second, words)
            for function in FUNCTIONS:
                with pytest.raises(ServerError):
                    slave.script(function)
            assert second.printed().count("told: ") == len(FUNCTIONS)
            assert words in second.printed()
            assert contents(slave, 1) == contents(kt, 1)
            assert facts(second)["repl_read_only"] == 1
            kt.set_bulk({b"%d" % i: b"v" for i in range(500)})
            kt.set(b"short", b"v", expire_time=1)
            kt.clear()
            kt.set(b"a", b"2")
            wait_until_equal(first, second, 1)
            if logged:
                assert {change.server for change in log_of(second)} == {1}
        assert "[ERROR]" not in second.printed().replace("[SCRIPT]", "")


def test_it_is_read_only_while_the_master_is_away_and_after_a_start(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", databases=ONE)
    with first:
        second = read_only(first, 2, tmp_path / "2")
    with second, client(second) as slave:
        for _ in range(2):
            with pytest.raises(ServerError, match="a read-only slave"):
                slave.add(b"a", b"1")
            slave.close()
            second.stop()
            second.start()
        assert slave.promote() == 0
        assert slave.set(b"a", b"1")


def test_a_promoted_slave_has_what_its_stamp_says(tmp_path: Path) -> None:
    """While the master goes on: everything up to the stamp, and nothing after the promotion."""
    first = server(BUNDLED, 1, tmp_path / "1", databases=ONE)
    with first:
        second = read_only(first, 2, tmp_path / "2")
        with second, client(second) as slave:
            ended = threading.Event()

            def write() -> None:
                with client(first) as writer:
                    number = 0
                    while not ended.is_set():
                        number += 1
                        with suppress(ServerError):  # it hears that it was replaced
                            writer.set(b"%d" % number, b"from the master")

            thread = threading.Thread(target=write)
            thread.start()
            try:
                wait_until(lambda: slave.count(0) > 500, "something has come")
                stamp = slave.promote()
                there = contents(slave, 1)[0]
                assert slave.set(b"1", b"mine")
                wait_until(lambda: "repl_replaced_by" in facts(first), "the master knows")
            finally:
                ended.set()
                thread.join()
            log = read_changes(first.directory / "log", decode_keys=False)
            sent = {change.key for change in log if change.stamp <= stamp}
            assert sent <= set(there)
            assert contents(slave, 1)[0] == {**there, b"1": (b"mine", None)}
            assert facts(second) == {"repl_epoch": 1}
            assert slave.promote() == stamp


def test_roles_are_exchanged_by_the_command(tmp_path: Path) -> None:
    """The slave becomes the master, and the master its slave, which takes no writes."""
    first = server(BUNDLED, 1, tmp_path / "1", "-rts", "rts", databases=ONE)
    with first, client(first) as one:
        second = read_only(first, 2, tmp_path / "2")
        with second, client(second) as other:
            one.set(b"a", b"1")
            wait_until_equal(first, second, 1)
            stamp = command(second, "promote")
            assert stamp == facts_stamp(second)
            command(first, "slave", HOST, "-mport", str(second.port), "-ts", str(stamp))
            other.set(b"b", b"2")
            wait_until(lambda: one.get(b"b") == b"2", "the former master follows")
            with pytest.raises(ServerError, match=f"its master, {HOST}:{second.port}"):
                one.add(b"c", b"3")
            command(first, "slave", HOST, "-mport", str(second.port), "--writable")
            assert one.set(b"c", b"3")


def command(process: ServerProcess, *words: str) -> int:
    """What ``kt`` prints of a server: a number, or nothing, which is 0."""
    url = f"kt://{HOST}:{process.port}"
    done = subprocess.run(
        [sys.executable, "-m", "kt.cli", *words],
        env={**os.environ, "KT_URL": url},
        check=True,
        capture_output=True,
    )
    return int(done.stdout or b"0")


def facts_stamp(process: ServerProcess) -> int:
    return int((process.directory / "rts").read_text())


def test_who_cannot_be_promoted_says_so(tmp_path: Path) -> None:
    with server(BUNDLED, 1, tmp_path / "1", databases=ONE) as process, client(process) as kt:
        with pytest.raises(ServerError, match="the RTS file is not set"):
            kt.promote()
        assert kt.set(b"a", b"1")


def test_the_option_needs_a_slave(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kt.server", "tycoon", "-port", "0", "-host", "s", "-ro-slave"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "-ro-slave is for a slave: -mhost or -rts is missing" in done.stdout + done.stderr


def test_asyncio_promotes_too(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", databases=ONE)
    second = server(BUNDLED, 2, tmp_path / "2", "-rts", "rts", databases=ONE)

    async def exchange() -> None:
        async with AsyncKyotoTycoon(HOST, second.port) as kt:
            await kt.tune_replication(HOST, first.port, read_only=True)
            with pytest.raises(ServerError, match="a read-only slave"):
                await kt.add("a", "1")
            assert await kt.promote() >= 0
            assert await kt.add("a", "1")

    with first, second:
        asyncio.run(exchange())
