"""Scripts in Tokyo Tyrant, beside other connections. (What each function does is in the recorded
traffic: the scenarios ``tt/script``.)"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

from kt import ScriptLock, ServerError, ServerStartError, TokyoTyrant
from kt.embedded import EmbeddedTokyoTyrantServer

from ...conftest import StartTyrant
from ..processes import ServerProcess

SECONDS = 30.0

SCRIPT = r"""
function _begin()
  _put("begun", _thid)
end

function _end()
  _put("ended", _thid)
  _log("the end")
end

function echo(key, value)
  return value
end

function add(key, value)
  local old = tonumber(_get(key)) or 0
  _sleep(0)
  _put(key, old + value)
  return old + value
end

function exclusive(key, value)
  _lock("exclusive")
  local sum = add(key, value)
  _unlock("exclusive")
  return sum
end

-- say that it runs, and go on when it is told to
function waits(key, value)
  _put("runs", "yes")
  while not _get("go on") do _sleep(0.001) end
  return "done"
end

function holds_lock(key, value)
  _lock(key)
  waits()
  _unlock(key)
  return "done"
end

function wants_lock(key, value)
  _lock(key)
  _unlock(key)
  return "had it"
end

function endless(key, value)
  _put("runs", "yes")
  while true do end
end

function never_unlocked(key, value)
  _lock(key)
  _lock(key)
end

function fails(key, value)
  _lock("left behind")
  error("on purpose")
end

function evaluate(key, value)
  return tostring(_eval(value))
end

function evaluated(key, value)
  return tostring(evaluated_value)
end

function count(key, value)
  local records, bytes = 0, 0
  _foreach(function(k, v)
    records = records + 1
    bytes = bytes + #v
    return true
  end)
  return records .. " " .. bytes
end

function stash(key, value)
  _stashput(key, value)
  return "ok"
end

function stashed(key, value)
  return _stashget(key)
end

function find(key, value)
  local arguments = {}
  for argument in value:gmatch("[^;]+") do
    arguments[#arguments + 1] = argument:gsub("|", string.char(0)):sub(1)
  end
  local found = _misc(key, unpack(arguments))
  return found and table.concat(found, " "):gsub("%z", "|") or "failed"
end

function tick(key, value)
  _addint("ticks", 1)
end

function hoards(key, value)
  local hoard = {}
  while true do pcall(function() hoard[#hoard + 1] = _get("large") .. #hoard end) end
end

function hoardsrecords(key, value)
  local hoard = {}
  _foreach(function(k, v) hoard[#hoard + 1] = v .. #hoard return true end)
end

function worker(key, value)
  return _thid .. " of " .. _thnum
end
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.lua"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def server(start_tyrant: StartTyrant, script: Path) -> EmbeddedTokyoTyrantServer:
    """Either server with the script."""
    return start_tyrant("*", args=["-ext", str(script)])


@pytest.fixture
def db(server: EmbeddedTokyoTyrantServer) -> Iterator[TokyoTyrant]:
    with server.connect(timeout=SECONDS) as client:
        yield client


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def wait_until(condition: Callable[[], object]) -> None:
    deadline = monotonic() + SECONDS
    while not condition():
        assert monotonic() < deadline, "it does not happen"


def test_the_first_worker_begins(db: TokyoTyrant) -> None:
    assert db.get("begun") == "1"


@pytest.mark.parametrize("lock", [ScriptLock.RECORD, ScriptLock.GLOBAL])
def test_locks_of_a_call(
    server: EmbeddedTokyoTyrantServer, threads: ThreadPoolExecutor, lock: ScriptLock
) -> None:
    def work(_: int) -> None:
        with server.connect(timeout=SECONDS) as client:
            for _ in range(50):
                client.script("add", "sum", "1", lock=lock)

    list(threads.map(work, range(8)))
    assert server.client.get("sum") == "400"


def test_named_locks(server: EmbeddedTokyoTyrantServer, threads: ThreadPoolExecutor) -> None:
    def work(_: int) -> None:
        with server.connect(timeout=SECONDS) as client:
            for _ in range(5):
                client.script("exclusive", "sum", "1")

    list(threads.map(work, range(4)))
    assert server.client.get("sum") == "20"


def test_others_are_served_while_a_script_runs(
    db: TokyoTyrant, threads: ThreadPoolExecutor
) -> None:
    call = threads.submit(db.script, "waits", "key", lock=ScriptLock.RECORD)
    wait_until(lambda: call.done() or db.get("runs"))
    db.set("key", "value")
    assert db.get("key") == "value"
    assert db.script("echo", "key", "other") == b"other"
    assert not call.done()
    db.set("go on", "yes")
    assert call.result(SECONDS) == b"done"


def test_one_waits_for_the_lock_of_another(db: TokyoTyrant, threads: ThreadPoolExecutor) -> None:
    holder = threads.submit(db.script, "holds_lock", "name")
    wait_until(lambda: holder.done() or db.get("runs"))
    waiter = threads.submit(db.script, "wants_lock", "name")
    assert db.script("wants_lock", "another name") == b"had it"
    assert not waiter.done()
    db.set("go on", "yes")
    assert waiter.result(SECONDS) == b"had it"
    assert holder.result(SECONDS) == b"done"


def test_an_evaluated_chunk_is_everywhere(
    server: EmbeddedTokyoTyrantServer, threads: ThreadPoolExecutor
) -> None:
    def ask(_: int) -> bytes:
        with server.connect(timeout=SECONDS) as client:
            return client.script("evaluated")

    server.client.script("evaluate", value="evaluated_value = 42")
    assert set(threads.map(ask, range(32))) == {b"42"}


def test_the_stash_is_everybodys(
    server: EmbeddedTokyoTyrantServer, threads: ThreadPoolExecutor
) -> None:
    def ask(_: int) -> bytes:
        with server.connect(timeout=SECONDS) as client:
            return client.script("stashed", "key")

    server.client.script("stash", "key", "value")
    assert set(threads.map(ask, range(32))) == {b"value"}
    assert server.client.get("key") is None


@pytest.mark.parametrize("database", ["*", "+", "a.tch", "a.tcb", "a.tcf", "a.tct"])
def test_foreach_sees_every_record(
    start_tyrant: StartTyrant, tmp_path: Path, database: str
) -> None:
    script = tmp_path / "count.lua"
    script.write_text(SCRIPT.replace("function _begin", "function begin"))
    client = start_tyrant(database, args=["-ext", str(script)]).client
    value = "c\0v" if database == "a.tct" else "val"
    client.set_bulk({str(number + 1): value for number in range(200)})
    if database == "a.tcb":
        assert client.putdup("1", "another")
        assert client.script("count") == b"201 607"
    else:
        assert client.script("count") == b"200 600"


@pytest.mark.parametrize(
    ("name", "arguments", "found"),
    [
        ("search", "addcond|n|STRRX|^1?5$", "5 15"),
        ("search", "addcond|n|STRRX|^1?5$;setorder|n|NUMDESC;setlimit|1", "15"),
        ("search", "addcond|n|STRRX|5$;addcond|n|~STRRX|^1;addcond|n|NUMLT|30;get|n", "n|5 n|25"),
        ("search", "addcond|n|STRRX|5$;count", "10"),
        ("search", "addcond|n|STRRX|^9[0-5];out;get|n;setlimit|2|1", "n|91 n|92"),
        ("search", "addcond|n|STRRX|(a*)\\1", "failed"),
        ("metasearch", "addcond|n|STRRX|^1.$;next;addcond|n|STRRX|5$;mstype|1", "15"),
        (
            "search",
            "addcond|n|STRRX|^77$;setorder|n|STRASC;hint",
            "77 ||[[HINT]]\nscanning the whole table\nresult set size: 1\n"
            'sorting the result set: "n"\n',
        ),
    ],
)
def test_searches_with_regular_expressions(
    start_tyrant: StartTyrant, script: Path, name: str, arguments: str, found: str
) -> None:
    script.write_text(SCRIPT.replace("function _begin", "function begin"))
    client = start_tyrant("a.tct", args=["-ext", str(script)]).client
    client.set_bulk({str(number): f"n\0{number}" for number in range(100)})
    assert client.script("find", name, arguments) == found.encode()


def test_periodic_calls(start_tyrant: StartTyrant, script: Path) -> None:
    arguments = ["-ext", str(script), "-extpc", "tick", "0.05", "-extpc", "_begin", "0.05"]
    client = start_tyrant("*", args=arguments).client
    wait_until(lambda: client.incr("ticks", 0) >= 3)


# What follows is about the bundled server only.


@pytest.fixture
def start_bundled(script: Path, tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    started: list[ServerProcess] = []

    def start(*args: str, database: str = "*") -> ServerProcess:
        process = ServerProcess(
            "kt-tyrant", "-ext", str(script), *args, databases=[database], directory=tmp_path
        )
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        if process.process.poll() is None:
            process.stop(signal.SIGKILL)


def connect(process: ServerProcess) -> TokyoTyrant:
    return TokyoTyrant("127.0.0.1", process.port, timeout=SECONDS)


def test_a_failure_is_logged(start_bundled: Callable[..., ServerProcess]) -> None:
    server = start_bundled()
    with connect(server) as client, pytest.raises(ServerError):
        client.script("fails")
    assert re.search(r"ERROR\tLua error: \S*script\.lua:\d+: on purpose", server.printed())


def test_a_failed_script_leaves_no_lock(start_bundled: Callable[..., ServerProcess]) -> None:
    with connect(start_bundled()) as client:
        with pytest.raises(ServerError):
            client.script("fails")
        assert client.script("wants_lock", "left behind") == b"had it"


@pytest.mark.parametrize("name", ["endless", "never_unlocked"])
@pytest.mark.parametrize("lock", ScriptLock)
def test_an_endless_script_ends(
    start_bundled: Callable[..., ServerProcess], name: str, lock: ScriptLock
) -> None:
    server = start_bundled("-script-time", "1")
    with connect(server) as client:
        with pytest.raises(ServerError):
            client.script(name, "key", lock=lock)
        assert re.search(
            r"Lua error: \S*script\.lua:\d+: the script ran longer than 1 s", server.printed()
        )
        assert client.script("add", "key", "1", lock=ScriptLock.GLOBAL) == b"1"


def test_too_much_memory(start_bundled: Callable[..., ServerProcess]) -> None:
    server = start_bundled("-script-memory", "16m")
    with connect(server) as client:
        client.set_bulk({str(number): "x" * 1000000 for number in range(100)})
        client.set("large", "x" * 1000000)
        for name in ["hoards", "hoardsrecords"] * 3:
            with pytest.raises(ServerError):
                client.script(name)
        assert server.printed().count("the script uses too much memory") == 6
        assert client.script("echo", value="a") == b"a"


def test_memcached_waits_for_a_locked_record(
    start_bundled: Callable[..., ServerProcess], threads: ThreadPoolExecutor
) -> None:
    server = start_bundled()
    with connect(server) as client, server.connect() as peer:
        client.set("key", "1")
        call = threads.submit(client.script, "waits", "key", lock=ScriptLock.RECORD)
        wait_until(lambda: call.done() or client.get("runs"))
        peer.sendall(b"incr key 1\r\n")
        assert client.get("key") == "1", "the loop does not wait"
        client.set("go on", "yes")
        assert call.result(SECONDS) == b"done"
        assert peer.recv(100) == b"2\r\n"


def test_the_end_is_told(
    start_bundled: Callable[..., ServerProcess], threads: ThreadPoolExecutor
) -> None:
    server = start_bundled(database="a.tch")
    with connect(server) as client:
        call = threads.submit(client.script, "endless")
        wait_until(lambda: call.done() or client.get("runs"))
        assert server.stop() == 0
        with pytest.raises(ServerError):
            call.result(SECONDS)
    assert "INFO\tthe end" in server.printed()
    assert "the server stops" in server.printed()
    server.start()
    with connect(server) as client:
        assert client.get("ended") == "1"


def test_a_script_on_the_command_line(tmp_path: Path) -> None:
    arguments = ["-ext", "@function hello() return 'hello from ' .. _thnum end", "-thnum", "3"]
    with EmbeddedTokyoTyrantServer("kt-tyrant", server_args=arguments) as server:
        assert server.client.script("hello") == b"hello from 3"


def test_no_such_script(tmp_path: Path) -> None:
    server = EmbeddedTokyoTyrantServer(
        "kt-tyrant", server_args=["-ext", str(tmp_path / "nowhere.lua")]
    )
    with pytest.raises(ServerStartError) as error:
        server.run()
    assert "nowhere.lua: no such script" in error.value.output


@pytest.mark.parametrize("seconds", ["0", "-1", "soon"])
def test_a_period_is_a_positive_number(seconds: str) -> None:
    server = EmbeddedTokyoTyrantServer("kt-tyrant", server_args=["-extpc", "tick", seconds])
    with pytest.raises(ServerStartError) as error:
        server.run()
    assert f"-extpc tick {seconds}" in error.value.output
