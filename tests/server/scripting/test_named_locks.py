"""Locks of Tokyo Tyrant's scripts that last for several calls, and calls that wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from kt import ServerError, TokyoTyrant
from kt.embedded import EmbeddedTokyoTyrantServer
from kt.server.engines.tokyo._engine import Database
from kt.server.process.log import Level, Log
from kt.server.scripting.state import Alone, Limits
from kt.server.tyrant.script import Chunks, NamedLocks, Service, Stash, TyrantScript
from kt.server.tyrant.service import RecordLocks
from kt.wire.tyrant_commands import LOCK_RECORD

from ...conftest import StartTyrant
from ..conftest import StartServer
from ..processes import ServerProcess

SECONDS = 30.0

SCRIPT = """
function lock(key, value)
  _addint("wanted", 1)
  _lock(key)
  return "locked"
end

function unlock(key, value)
  return tostring(_unlock(key))
end

function fail(key, value)
  error("on purpose")
end

function evaluate(key, value)
  _eval(value)
  return "evaluated"
end

-- with the lock, what all states have been told
function told(key, value)
  _addint("wanted", 1)
  _lock(key)
  _unlock(key)
  return tostring(evaluated_value) .. " " .. _thid
end

function state(key, value)
  return tostring(evaluated_value)
end
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.lua"
    path.write_text(SCRIPT)
    return str(path)


@pytest.fixture
def server(start_tyrant: StartTyrant, script: str) -> EmbeddedTokyoTyrantServer:
    """Either server with the script."""
    return start_tyrant("*", args=["-ext", script])


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def wait_until(condition: Callable[[], object]) -> None:
    deadline = monotonic() + SECONDS
    while not condition():
        assert monotonic() < deadline, "it does not happen"


def wanted(db: TokyoTyrant, number: int) -> None:
    """Wait until so many have wanted a lock."""
    wait_until(lambda: db.incr("wanted", 0) == number)


def calling(
    threads: ThreadPoolExecutor, connect: Callable[[], TokyoTyrant], name: str, key: str
) -> Future[bytes]:
    def work() -> bytes:
        with connect() as client:
            return client.script(name, key)

    return threads.submit(work)


def test_a_lock_outlives_its_call(
    server: EmbeddedTokyoTyrantServer, threads: ThreadPoolExecutor
) -> None:
    with server.connect(timeout=SECONDS) as db:
        assert db.script("lock", "name") == b"locked"
        waiter = calling(threads, lambda: server.connect(timeout=SECONDS), "lock", "name")
        wanted(db, 2)
        for _ in range(20):
            with pytest.raises(ServerError):
                db.script("fail")
        assert not waiter.done()
        assert db.script("unlock", "name") == b"true"
        assert waiter.result(SECONDS) == b"locked"
        assert db.script("unlock", "name") == b"true"
        assert db.script("unlock", "name") == b"false"


# What follows is about the bundled server only: the original one waits for ever.


def connect(process: ServerProcess) -> TokyoTyrant:
    return TokyoTyrant("127.0.0.1", process.port, timeout=SECONDS)


@pytest.mark.parametrize("periodic", [(), ("-extpc", "state", "1000")])
def test_those_who_wait_do_not_use_up_the_workers(
    start_kt_tyrant: StartServer,
    script: str,
    threads: ThreadPoolExecutor,
    periodic: tuple[str, ...],
) -> None:
    server = start_kt_tyrant("*", args=("-ext", script, "-thnum", "2", *periodic))
    with connect(server) as db:
        for turn in range(1, 3):
            assert db.script("lock", "name") == b"locked"
            db.script("evaluate", value=f"evaluated_value = {turn}")
            calls = [calling(threads, lambda: connect(server), "told", "name") for _ in range(20)]
            wanted(db, 21 * turn)
            assert db.script("state") == b"%d" % turn, "in a worker that was made later"
            assert db.script("unlock", "name") == b"true"
            told = [call.result(SECONDS).split() for call in calls]
            assert {value for value, _ in told} == {b"%d" % turn}
            numbers = {int(number) for _, number in told}
            assert len(numbers) == 20, "each has a number of its own"
            assert bool(periodic) is (3 not in numbers), "the periodic call has one, too"


def test_a_call_that_does_not_get_its_record_leaves_the_locks_of_earlier_ones(
    script: str, tmp_path: Path
) -> None:
    database, records, names = Database("*"), RecordLocks(), NamedLocks()
    log = Log(str(tmp_path / "log"), Level.INFO)
    service = Service(
        path=script,
        database=database,
        threads=1,
        server_id=0,
        limits=Limits(seconds=0.01),
        stop=Event(),
        log=log,
        holding=lambda _, misc: misc,
        stash=Stash(),
        named_locks=names,
        record_locks=records,
        chunks=Chunks(),
    )
    worker = TyrantScript(service, 0, Alone())
    assert worker.call(b"lock", b"name", b"") == b"locked"
    with records.record(b"name"):
        assert worker.call(b"state", b"name", b"", LOCK_RECORD) is None
    assert names.release(b"name")
    log.close()
    database.close()
