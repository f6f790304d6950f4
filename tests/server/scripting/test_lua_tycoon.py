"""Scripts in Kyoto Tycoon, beside other connections. (What each function does is in the recorded
traffic: the scenarios ``kt/script``.)"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest

from kt import KyotoTycoon, ServerConnectionError, ServerError, ServerStartError
from kt.embedded import EmbeddedServer
from kt.server.process.delegation import PLAIN_REQUESTS

from ...conftest import StartTycoon
from ..processes import ServerProcess

SECONDS = 30.0

SCRIPT = """
local kt = __kyototycoon__
local db, flags = kt.db, kt.dbs[2]

function echo(input, output)
  for key, value in pairs(input) do output[key] = value end
end

function increment(input, output)
  local function visitor(key, value)
    output.sum = (tonumber(value) or 0) + 1
    return output.sum
  end
  db:accept(input.key, visitor)
end

-- say that it runs, and go on when it is told to
local function halt()
  flags:set("runs", "yes")
  while not flags:get("go on") do kt.sleep(0.001) end
end

function waits()
  halt()
end

function waits_for_file()
  flags:set("runs", "yes")
  while not io.open("go on") do kt.sleep(0.001) end
end

function hoards()
  local hoard = {}
  while true do hoard[#hoard + 1] = {} end
end

-- what the host hands over may be more than there is room for
function hoardsvalues()
  local hoard = {}
  while true do pcall(function() hoard[#hoard + 1] = db:get("large") .. #hoard end) end
end

function hoardsinvisitor(input, output)
  local hoard = {}
  db:accept("large", function(key, value)
    while true do pcall(function() hoard[#hoard + 1] = value .. #hoard end) end
  end)
end

function hoardsbetweenvisits()
  local hoard = {}
  db:iterate(function(key, value) hoard[#hoard + 1] = value .. #hoard end)
end

-- a visitor that holds the record
function holds(input)
  local function visitor(key, value)
    halt()
    return (value or "") .. "held"
  end
  db:accept(input.key, visitor)
end

function holds_forever(input)
  local function visitor()
    flags:set("runs", "yes")
    while true do end
  end
  db:accept(input.key, visitor)
end

function endless()
  flags:set("runs", "yes")
  while true do end
end

-- one pattern match, for ever
local function match()
  flags:set("runs", "yes")
  return (("a"):rep(30000)):find(".-.-.-.-.-b")
end

function matches()
  match()
end

function matchesinvisitor()
  db:accept("key", match)
end

function sleeper()
  flags:set("runs", "yes")
  kt.sleep(1000)
end

function fails()
  error("on purpose")
end

function leaves_transaction()
  db:begin_transaction()
  db:set("a", "changed")
  error("in a transaction")
end

function transact(input)
  local function body()
    local value = tonumber((db:get(input.key))) or 0
    db:set(input.key, value + 1)
    return true
  end
  if not db:transaction(body) then return kt.RVEINTERNAL end
end

function uses_own_database(input, output)
  local function visitor(key, value)
    return db:get("another")
  end
  output.done = tostring(db:accept("key", visitor))
  output.value = db:get("key")
end

function uses_own_database_for_another_visit(input, output)
  local function inner() return "inner" end
  local function visitor(key, value)
    output.inner = tostring(pcall(db.accept, db, "b", inner))
    return "outer"
  end
  db:accept_bulk({"a", "b"}, visitor)
  output.b = db:get("b")
end

function uses_other_database(input, output)
  local function visitor(key, value)
    flags:set("from the visitor", "yes")
    return flags:get("from the visitor")
  end
  db:accept("key", visitor)
  output.value = db:get("key")
end

function uses_own_database_and_holds(input)
  local function visitor()
    pcall(db.accept, db, "another", function() end)
    halt()
  end
  db:accept("key", visitor)
end

-- a visitor of one database uses another, once a visitor of that one runs, too
function crosses(input, output)
  local visited, used = kt.dbs[tonumber(input.visited)], kt.dbs[tonumber(input.used)]
  visited:accept("key", function(key, value)
    io.open("visits " .. input.visited, "w"):close()
    while not io.open("visits " .. input.used) do kt.sleep(0.001) end
    output.done = tostring(used:set("key", "from " .. input.visited))
    return "visited"
  end)
end

function crosses_forever(input)
  db:accept(input.key, function()
    flags:set("runs", "yes")
    while true do end
  end)
end

function lets_go_of_cursors(input, output)
  local kept = db:cursor()
  kept:jump()
  for _ = 1, 100 do db:cursor():jump() end
  db:accept("key", function(key, value)
    collectgarbage()
    kept:disable()
    return "collected"
  end)
  output.value = db:get("key")
end

function in_coroutine(input, output)
  local routine = coroutine.wrap(function()
    db:accept("key", function(key, value)
      collectgarbage()
      return "from a coroutine"
    end)
    coroutine.yield(1)
    output.value = db:get("key")
  end)
  routine()
  routine()
end
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.lua"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def server(start_tycoon: StartTycoon, script: Path) -> EmbeddedServer:
    """Either server with the script; its second database is for what tests and script tell."""
    return start_tycoon("%", "*", args=["-scr", str(script)])


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def db(server: EmbeddedServer) -> Iterator[KyotoTycoon]:
    with server.connect(timeout=SECONDS) as client:
        yield client


def wait_until(condition: Callable[[], object]) -> None:
    deadline = monotonic() + SECONDS
    while not condition():
        assert monotonic() < deadline, "it does not happen"


def begin(
    threads: ThreadPoolExecutor, db: KyotoTycoon, name: str, **parameters: str
) -> Future[dict[str, str]]:
    """Call a function that says so when it runs."""
    call = threads.submit(db.script, name, parameters)
    wait_until(lambda: call.done() or db.exists("runs", db=1))
    return call


def test_increments_are_atomic(server: EmbeddedServer, threads: ThreadPoolExecutor) -> None:
    def work(_: int) -> None:
        with server.connect(timeout=SECONDS) as client:
            for _ in range(50):
                client.script("increment", {"key": "sum"})

    list(threads.map(work, range(8)))
    assert server.client.get("sum") == "400"


def test_transactions_exclude_each_other(
    server: EmbeddedServer, threads: ThreadPoolExecutor
) -> None:
    def work(_: int) -> None:
        with server.connect(timeout=SECONDS) as client:
            for _ in range(20):
                client.script("transact", {"key": "sum"})

    list(threads.map(work, range(8)))
    assert server.client.get("sum") == "160"


def test_others_are_served_while_a_script_runs(
    db: KyotoTycoon, threads: ThreadPoolExecutor
) -> None:
    call = begin(threads, db, "waits")
    db.set("key", "value")
    assert db.get("key") == "value"
    assert db.incr("counter") == 1
    assert db.script("echo", {"a": "b"}) == {"a": "b"}
    assert not call.done()
    db.set("go on", "yes", db=1)
    assert call.result(SECONDS) == {}


def test_nobody_comes_between_a_visitor_and_its_record(
    db: KyotoTycoon, threads: ThreadPoolExecutor
) -> None:
    db.set("key", "begin,")
    call = begin(threads, db, "holds", key="key")
    append = threads.submit(db.append, "key", ",end")
    assert db.get("another", db=1) is None, "other databases are served"
    db.set("go on", "yes", db=1)
    call.result(SECONDS)
    assert append.result(SECONDS)
    assert db.get("key") == "begin,held,end"


def test_io_threads_keep_out_of_the_way_of_visitors(
    server: EmbeddedServer, db: KyotoTycoon, threads: ThreadPoolExecutor
) -> None:
    db.set("key", "begin,")
    with ExitStack() as stack:
        others = [stack.enter_context(server.connect(timeout=SECONDS)) for _ in range(4)]
        for other in others:
            for _ in range(PLAIN_REQUESTS):
                other.get("key")
        call = begin(threads, db, "holds", key="key")
        late = [threads.submit(other.get, "key") for other in others[:2]]
        assert [other.get("another", db=1) for other in others[2:]] == [None, None]
        db.set("go on", "yes", db=1)
        call.result(SECONDS)
        assert [get.result(SECONDS) for get in late] == ["begin,held"] * 2


def test_many_values_and_any_bytes(server: EmbeddedServer) -> None:
    with server.connect(timeout=SECONDS, decode_keys=False) as client:
        for count in (0, 1, 100, 101, 5000, 10000):
            records = {b"%d\0\xff" % number: b"\0%d\xff" % number for number in range(count)}
            assert client.script("echo", records, encode_values=False) == records


def test_a_call_without_reply_is_done(db: KyotoTycoon) -> None:
    db.script("increment", {"key": "quiet"}, no_reply=True)
    db.script("fails", no_reply=True)
    assert db.script("increment", {"key": "quiet"}) == {"sum": "2"}


# What follows is about the bundled server only.


@pytest.fixture
def start_bundled(script: Path, tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    started: list[ServerProcess] = []

    def start(*args: str, databases: tuple[str, ...] = ("%", "*")) -> ServerProcess:
        process = ServerProcess(
            "kt-tycoon", "-scr", str(script), *args, databases=databases, directory=tmp_path
        )
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        if process.process.poll() is None:
            process.stop(signal.SIGKILL)


@pytest.fixture
def bundled(start_bundled: Callable[..., ServerProcess]) -> ServerProcess:
    return start_bundled("-script-time", "1")


@pytest.fixture
def client(bundled: ServerProcess) -> Iterator[KyotoTycoon]:
    with connect(bundled) as client:
        yield client


def connect(process: ServerProcess) -> KyotoTycoon:
    return KyotoTycoon("127.0.0.1", process.port, timeout=SECONDS)


def test_a_failure_is_logged(bundled: ServerProcess, client: KyotoTycoon) -> None:
    with pytest.raises(ServerError):
        client.script("fails")
    assert re.search(
        r"\[ERROR\]: \[SCRIPT\]: fails: \S*script\.lua:\d+: on purpose", bundled.printed()
    )


@pytest.mark.parametrize("name", ["endless", "sleeper", "holds_forever"])
def test_an_endless_script_ends(
    bundled: ServerProcess, client: KyotoTycoon, threads: ThreadPoolExecutor, name: str
) -> None:
    call = begin(threads, client, name, key="key")
    assert client.get("another", db=1) is None, "other databases are served"
    with pytest.raises(ServerError):
        call.result(SECONDS)
    assert re.search(
        rf"\[SCRIPT\]: {name}: \S*script\.lua:\d+: the script ran longer than 1 s",
        bundled.printed(),
    )
    assert client.script("increment", {"key": "key"}) == {"sum": "1"}


def test_endless_scripts_on_every_worker(
    start_bundled: Callable[..., ServerProcess], threads: ThreadPoolExecutor
) -> None:
    server = start_bundled("-script-time", "1", "-th", "2")
    with connect(server) as client:
        calls = [threads.submit(client.script, "endless") for _ in range(4)]
        assert client.script("echo", {"a": "b"}) == {"a": "b"}, "it waits for a free worker"
        for call in calls:
            with pytest.raises(ServerError):
                call.result(SECONDS)


HOARDERS = ["hoards", "hoardsvalues", "hoardsinvisitor", "hoardsbetweenvisits"]


def test_too_much_memory(start_bundled: Callable[..., ServerProcess]) -> None:
    server = start_bundled("-script-memory", "16m")
    with connect(server) as client:
        records = {str(number): "x" * 1000 for number in range(10)}
        for _ in range(5000):
            client.script("echo", records)
        client.set_bulk({str(number): "x" * 1000000 for number in range(100)})
        client.set("large", "x" * 1000000)
        for number in range(24):
            with pytest.raises(ServerError):
                client.script(HOARDERS[number % len(HOARDERS)])
            assert "the script uses too much memory" in server.printed()
        assert client.script("echo", {"a": "b"}) == {"a": "b"}


def test_a_failed_script_leaves_no_transaction(bundled: ServerProcess, client: KyotoTycoon) -> None:
    client.set("a", "as it was")
    with pytest.raises(ServerError):
        client.script("leaves_transaction")
    assert client.get("a") == "as it was"
    assert "leaves_transaction: the transaction it had begun is undone" in bundled.printed()
    client.script("transact", {"key": "sum"})
    assert client.get("sum") == "1"


def test_scripts_that_fail_do_not_undo_what_others_do(
    start_bundled: Callable[..., ServerProcess], threads: ThreadPoolExecutor
) -> None:
    bundled = start_bundled(databases=("s.kcd", "*"))

    def work(number: int) -> None:
        with connect(bundled) as client:
            for _ in range(50):
                if number % 2:
                    client.script("transact", {"key": "sum"})
                else:
                    with pytest.raises(ServerError):
                        client.script("leaves_transaction")

    list(threads.map(work, range(8)))
    with connect(bundled) as client:
        assert client.get("sum") == "200"
        assert client.get("a") is None


@pytest.mark.parametrize("database", ["*", "%", ":", "s.kch", "s.kct", "s.kcd", "s.kcf"])
def test_a_visitor_may_let_go_of_cursors(
    start_bundled: Callable[..., ServerProcess], database: str
) -> None:
    with connect(start_bundled(databases=(database,))) as client:
        assert client.script("lets_go_of_cursors") == {"value": "collected"}


def test_a_visitor_cannot_use_its_own_database(bundled: ServerProcess, client: KyotoTycoon) -> None:
    assert client.script("uses_own_database") == {"done": "true"}
    assert "[SCRIPT]: visit_full" not in bundled.printed()
    assert "visit_empty: a visitor cannot use its own database" in bundled.printed()


def test_a_visit_cannot_be_within_another_of_its_database(client: KyotoTycoon) -> None:
    assert client.script("uses_own_database_for_another_visit") == {"inner": "false", "b": "outer"}


def test_a_visitor_can_use_other_databases(client: KyotoTycoon) -> None:
    assert client.script("uses_other_database") == {"value": "yes"}


def test_a_record_stays_held_after_a_refused_visit(
    client: KyotoTycoon, threads: ThreadPoolExecutor
) -> None:
    call = begin(threads, client, "uses_own_database_and_holds")
    waiting = threads.submit(client.get, "key")
    assert client.get("another", db=1) is None, "other databases are served"
    client.set("go on", "yes", db=1)
    assert call.result(SECONDS) == {}
    assert waiting.result(SECONDS) is None


@pytest.mark.parametrize("databases", [("%", "%"), ("*", ":"), ("s.kch", "s.kct")])
def test_visitors_that_use_each_others_databases(
    start_bundled: Callable[..., ServerProcess],
    threads: ThreadPoolExecutor,
    databases: tuple[str, str],
) -> None:
    bundled = start_bundled(databases=databases)
    with connect(bundled) as client:
        calls = [
            threads.submit(client.script, "crosses", {"visited": visited, "used": used})
            for visited, used in ("12", "21")
        ]
        wait(calls, SECONDS)
        [failed] = (number for number, call in enumerate(calls) if call.exception(0))
        assert isinstance(calls[failed].exception(), ServerError)
        assert calls[1 - failed].result() == {"done": "true"}
        assert client.get("key", db=1 - failed) == "visited"
        assert client.get("key", db=failed) == f"from {2 - failed}", "the other one's is not stored"
        assert re.search(
            r"crosses: \S*script\.lua:\d+: its visitor and another script's use each other's",
            bundled.printed(),
        )
        for visited, used in ("12", "21"):
            assert client.script("crosses", {"visited": visited, "used": used}) == {"done": "true"}


def test_waiting_to_use_another_database_ends(
    bundled: ServerProcess, client: KyotoTycoon, threads: ThreadPoolExecutor
) -> None:
    for _ in range(2):
        calls = [threads.submit(client.script, "crosses_forever", {"key": key}) for key in "ab"]
        for call in calls:
            with pytest.raises(ServerError):
                call.result(SECONDS)
    assert bundled.printed().count("the script ran longer than 1 s") == 4
    assert client.script("uses_other_database") == {"value": "yes"}


def test_a_visitor_in_a_coroutine(client: KyotoTycoon) -> None:
    for _ in range(20):
        assert client.script("in_coroutine") == {"value": "from a coroutine"}


def test_waiting_for_a_record_does_not_stop_others(
    bundled: ServerProcess, client: KyotoTycoon, threads: ThreadPoolExecutor
) -> None:
    leaver = connect(bundled)
    leaver.cursor().jump()
    call = begin(threads, client, "holds", key="key")
    waiting = [
        threads.submit(client.get, "key"),
        threads.submit(client.exists, "key"),
        threads.submit(lambda: client.cursor().jump()),
        threads.submit(client.report),
        threads.submit(client.clear),
        threads.submit(leaver.close),
    ]
    for number in range(100):
        client.set(f"other{number}", "value", db=1)
    client.set("go on", "yes", db=1)
    call.result(SECONDS)
    wait(waiting, SECONDS, FIRST_EXCEPTION)
    assert [future.exception(0) for future in waiting] == [None] * len(waiting)


def reload(server: ServerProcess, number: int) -> None:
    """Let it load its script for the `number`th time anew."""
    server.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: server.printed().count("reloading a script file") == number)


def test_reload(bundled: ServerProcess, client: KyotoTycoon, script: Path) -> None:
    script.write_text("function echo(input, output) output.version = 2 end")
    reload(bundled, 1)
    assert client.script("echo") == {"version": "2"}
    with pytest.raises(ServerError):
        client.script("fails")
    assert "on purpose" not in bundled.printed()


OWN_DATABASE = """
local own = __kyototycoon__.DB:new()
own:open("own.kct")
local cursors = { own:cursor(), __kyototycoon__.db:cursor() }

function add(input, output)
  own:set(input.key, "value")
  output.count = own:count()
end
"""


def test_reload_closes_what_the_script_has_opened(
    start_bundled: Callable[..., ServerProcess], script: Path
) -> None:
    script.write_text(OWN_DATABASE)
    bundled = start_bundled("-th", "1")
    with connect(bundled) as client:
        for count in range(1, 6):
            assert client.script("add", {"key": str(count)}) == {"count": str(count)}
            reload(bundled, count)
    assert bundled.stop() == 0
    with connect(start_bundled("-th", "1")) as client:
        assert client.script("add", {"key": "last"}) == {"count": "6"}


def test_the_end_does_not_wait_for_an_endless_script(
    start_bundled: Callable[..., ServerProcess], threads: ThreadPoolExecutor
) -> None:
    server = start_bundled()
    with connect(server) as client:
        call = begin(threads, client, "endless")
        assert server.stop() == 0
        with pytest.raises(ServerError):
            call.result(SECONDS)
    assert "script.lua:" in server.printed()
    assert "the server stops" in server.printed()


@pytest.mark.parametrize(("name", "status"), [("matches", 0), ("matchesinvisitor", 1)])
def test_the_end_leaves_behind_what_cannot_be_ended(
    start_bundled: Callable[..., ServerProcess],
    threads: ThreadPoolExecutor,
    name: str,
    status: int,
) -> None:
    server = start_bundled(databases=("s.kch", "*"))
    with connect(server) as client:
        call = begin(threads, client, name)
        assert server.stop() == status
        with pytest.raises(ServerConnectionError):
            call.result(SECONDS)
    assert "a script does not end; it is left behind" in server.printed()


def test_the_end_waits_for_a_script(
    start_bundled: Callable[..., ServerProcess], threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    server = start_bundled()
    with connect(server) as client:
        call = begin(threads, client, "waits_for_file")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_output("finishing the server")
        (tmp_path / "go on").touch()
        assert call.result(SECONDS) == {}
    assert server.process.wait(SECONDS) == 0


def test_no_such_script(tmp_path: Path) -> None:
    server = EmbeddedServer("kt-tycoon", server_args=["-scr", str(tmp_path / "nowhere.lua")])
    with pytest.raises(ServerStartError) as error:
        server.run()
    assert "nowhere.lua: no such script" in error.value.output
