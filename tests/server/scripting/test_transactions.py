"""Transactions of Kyoto Tycoon's scripts that last for several calls, and calls that wait."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from time import monotonic

import pytest

from kt import KyotoTycoon, ServerError
from kt.embedded import EmbeddedServer
from kt.server.scripting.workers import MAX_ASIDE

from ...conftest import StartTycoon
from ..conftest import StartServer
from ..processes import ServerProcess

SECONDS = 30.0

SCRIPT = """
local kt = __kyototycoon__
local db, flags = kt.db, kt.dbs[2]

local function done(ok) return ok and kt.RVSUCCESS or kt.RVEINTERNAL end

function begin()
  flags:increment("wanted", 1)
  return done(db:begin_transaction())
end

function commit() return done(db:end_transaction(true)) end
function abort() return done(db:end_transaction(false)) end
function fail() error("on purpose") end

function beginandfail()
  db:begin_transaction()
  db:set("a", "changed")
  error("in a transaction")
end

function endandfail()
  db:end_transaction(true)
  error("after a transaction")
end

function begintwice(input, output)
  output.first = tostring(db:begin_transaction())
  output.second = tostring(db:begin_transaction())
  output.error = tostring(db:error())
  db:end_transaction(false)
end

function own(input, output)
  local function value(...) output[#output + 1] = tostring((...)) end
  local mine = kt.DB:new()
  mine:open(input.path)
  output.first = tostring(mine:begin_transaction())
  output.second = tostring(mine:begin_transaction())
  output.last = tostring(mine:end_transaction())
  output.none = tostring(mine:end_transaction())
  output.error = tostring(mine:error())
  mine:close()
end

owned = nil
function ownandfail(input, output)
  owned = owned or kt.DB:new()
  owned:open(input.path)
  owned:begin_transaction()
  owned:set("a", "changed")
  error("in a transaction of its own")
end

function ownvalue(input, output)
  output.ended = tostring(owned:end_transaction(true))
  output.value = tostring((owned:get("a")))
end
"""

TYPES = ["*", "%", ":", "t.kch", "t.kct", "t.kcd", "t.kcf"]


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.lua"
    path.write_text(SCRIPT)
    return str(path)


@pytest.fixture
def server(start_tycoon: StartTycoon, script: str) -> EmbeddedServer:
    """Either server; its second database is for what tests and script tell."""
    return start_tycoon("%", "*", args=["-scr", script, "-th", "4"])


@pytest.fixture
def db(server: EmbeddedServer) -> Iterator[KyotoTycoon]:
    with server.connect(timeout=SECONDS) as client:
        yield client


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def wait_until(condition: Callable[[], object]) -> None:
    deadline = monotonic() + SECONDS
    while not condition():
        assert monotonic() < deadline, "it does not happen"


def wanted(db: KyotoTycoon, number: int) -> None:
    """Wait until so many have wanted to begin a transaction."""
    wait_until(lambda: db.incr("wanted", 0, db=1) == number)


def waiting(
    threads: ThreadPoolExecutor, connect: Callable[[], KyotoTycoon], number: int
) -> list[Future[None]]:
    """Calls of so many clients, each of which begins a transaction and undoes it."""

    def work() -> None:
        with connect() as client:
            client.script("begin")
            client.script("abort")

    return [threads.submit(work) for _ in range(number)]


def results(calls: list[Future[None]]) -> None:
    for call in calls:
        call.result(SECONDS)


def test_a_failing_call_leaves_the_transaction_of_another(db: KyotoTycoon) -> None:
    db.set("a", "as it was")
    for _ in range(3):
        db.script("begin")
        for _ in range(8):
            with pytest.raises(ServerError):
                db.script("fail")
        db.set("a", "changed")
        db.script("abort")
        assert db.get("a") == "as it was"


def test_a_call_that_ends_a_transaction_may_fail(db: KyotoTycoon) -> None:
    db.script("begin")
    db.set("a", "changed")
    with pytest.raises(ServerError):
        db.script("endandfail")
    with pytest.raises(ServerError):
        db.script("abort")
    assert db.get("a") == "changed"


def test_the_next_one_waits(
    server: EmbeddedServer, db: KyotoTycoon, threads: ThreadPoolExecutor
) -> None:
    db.script("begin")
    [call] = waiting(threads, lambda: server.connect(timeout=SECONDS), 1)
    wanted(db, 2)
    db.set("a", "changed")
    assert not call.done()
    db.script("commit")
    call.result(SECONDS)
    assert db.get("a") == "changed"


def test_none_to_end(db: KyotoTycoon) -> None:
    for _ in range(2):
        for name in ("commit", "abort"):
            with pytest.raises(ServerError):
                db.script(name)
        db.script("begin")
        db.script("commit")


# What follows is about the bundled server only: the original one waits for ever.


@pytest.fixture
def start_bundled(start: StartServer, script: str) -> StartServer:
    def started(*databases: str, args: tuple[str, ...] = ()) -> ServerProcess:
        return start(*(databases or ("%", "*")), args=("-scr", script, *args))

    return started


def connect(process: ServerProcess) -> KyotoTycoon:
    return KyotoTycoon("127.0.0.1", process.port, timeout=SECONDS)


@pytest.mark.parametrize("workers", [1, 2])
def test_those_who_wait_do_not_use_up_the_workers(
    start_bundled: StartServer, threads: ThreadPoolExecutor, workers: int
) -> None:
    server = start_bundled(args=("-th", str(workers)))
    with connect(server) as db:
        for turn in range(1, 3):
            db.script("begin")
            calls = waiting(threads, lambda: connect(server), 20)
            wanted(db, 21 * turn)
            with pytest.raises(ServerError):
                db.script("fail")
            db.script("commit")
            results(calls)


def test_there_is_a_limit_to_those_who_wait(start_bundled: StartServer) -> None:
    server = start_bundled(args=("-th", "2"))
    with connect(server) as db, ThreadPoolExecutor(MAX_ASIDE + 1) as threads:
        db.script("begin")
        calls = waiting(threads, lambda: connect(server), MAX_ASIDE + 1)
        wait(calls, SECONDS, FIRST_EXCEPTION)
        assert "begin: " in server.printed()
        assert "too many calls wait for others" in server.printed()
        db.script("commit")
        wait(calls, SECONDS)
        assert [type(call.exception(0)) for call in calls].count(ServerError) == 1
        db.script("begin")
        db.script("commit")


def test_what_a_failing_call_has_begun_is_undone(start_bundled: StartServer) -> None:
    server = start_bundled()
    with connect(server) as db:
        db.set("a", "as it was")
        with pytest.raises(ServerError):
            db.script("beginandfail")
        assert db.get("a") == "as it was"
        assert "beginandfail: the transaction it had begun is undone" in server.printed()
        db.script("begin")
        db.script("commit")


def test_what_a_failing_call_has_begun_in_its_own_database_is_undone(
    start_bundled: StartServer,
) -> None:
    with connect(start_bundled(args=("-th", "1"))) as db:
        with pytest.raises(ServerError):
            db.script("ownandfail", {"path": "%"})
        assert db.script("ownvalue") == {"ended": "false", "value": "nil"}


def test_a_call_does_not_wait_for_itself(start_bundled: StartServer) -> None:
    with connect(start_bundled()) as db:
        assert db.script("begintwice") == {
            "first": "true",
            "second": "false",
            "error": "logical inconsistency: competition avoided",
        }


def test_a_worker_does_not_wait_for_itself(start_bundled: StartServer) -> None:
    with connect(start_bundled()) as db:
        assert db.script("own", {"path": "%"}) == {
            "first": "true",
            "second": "false",
            "last": "true",
            "none": "false",
            "error": "invalid operation: not in transaction",
        }


def test_waiting_takes_its_time(start_bundled: StartServer, threads: ThreadPoolExecutor) -> None:
    server = start_bundled(args=("-script-time", "1", "-th", "1"))
    with connect(server) as db:
        db.script("begin")
        [call] = waiting(threads, lambda: connect(server), 1)
        with pytest.raises(ServerError):
            call.result(SECONDS)
        assert "begin: " in server.printed()
        assert "the script ran longer than 1 s" in server.printed()
        db.script("commit")


@pytest.mark.parametrize("database", TYPES)
def test_the_end_ends_it_all(
    start_bundled: StartServer, threads: ThreadPoolExecutor, database: str
) -> None:
    server = start_bundled(database, "*", args=("-th", "1"))
    with connect(server) as db:
        db.set("a", "as it was")
        db.script("begin")
        db.set("a", "changed")
        db.set("b", "new")
        calls = waiting(threads, lambda: connect(server), 3)
        wanted(db, 4)
        assert server.stop() == 0
        wait(calls, SECONDS)
        assert all(call.exception(0) for call in calls)
    server.start()
    with connect(server) as db:
        in_file = database.startswith("t.")
        assert (db.get("a"), db.get("b")) == ("as it was" if in_file else None, None)


def test_it_outlives_reloading(start_bundled: StartServer) -> None:
    server = start_bundled()
    with connect(server) as db:
        db.script("begin")
        db.set("a", "changed")
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for_output("reloading a script file")
        db.script("abort")
        assert db.get("a") is None
