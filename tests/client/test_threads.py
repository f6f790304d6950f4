"""One blocking client, many threads, greenlets and processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ServerConnectionError
from kt.wire.tycoon import NEVER, pack_get_bulk_reply
from tests.client.peers import Conversation, Peer
from tests.client.workload import OPERATIONS, work

WORKERS = 32
ROUNDS = 1000 // OPERATIONS

HIT = pack_get_bulk_reply([(0, b"k", b"v", NEVER)])


def test_threads_share_a_client(tycoon: KyotoTycoon) -> None:
    names = [f"worker {i}" for i in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as executor:
        for future in [executor.submit(work, tycoon, name, ROUNDS) for name in names]:
            future.result()
    assert tycoon.get_int("shared") == WORKERS * ROUNDS
    assert sorted(tycoon.keys()) == sorted([*names, "shared"])


def test_greenlets_share_a_client(tycoon: KyotoTycoon) -> None:
    if not tycoon.port:
        pytest.skip("it needs a network")
    root = Path(__file__).parent.parent.parent
    arguments = [str(tycoon.port), str(WORKERS), str(ROUNDS)]
    printed = subprocess.run(
        [sys.executable, "-m", "tests.client.workload", *arguments],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert int(printed) == WORKERS * ROUNDS
    assert tycoon.count() == WORKERS + 1


GREENLET = """if True:
    from gevent import monkey
    monkey.patch_all()
    import gevent, sys
    from kt import KyotoTycoon

    with KyotoTycoon(port=int(sys.argv[1]), timeout=10) as db:
        try:
            with gevent.Timeout(0.1):
                db.get("k")
        except gevent.Timeout:
            print("timeout", db.get("k"))
        killed = gevent.spawn(db.get, "k")
        while not killed.started or killed.dead:
            gevent.sleep(0)
        gevent.sleep(0)
        killed.kill()
        print("killed", db.get("k"))
"""
"""Greenlets that are interrupted in the middle of an exchange."""


def test_interrupted_greenlets(peer: Peer) -> None:
    """None of them leaves its reply to the next call."""
    peer.behave(Conversation.wait_for_end, hit(2), hit(1))  # the last if "killed" has sent
    printed = subprocess.run(
        [sys.executable, "-c", GREENLET, str(peer.port)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.splitlines() == ["timeout v", "killed v"]


def in_thread(task: Callable[[], object]) -> None:
    """Run `task` in a thread that ends."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(task).result()


def hit(count: int) -> Callable[[Conversation], None]:
    return lambda talk: talk.answer(count, HIT)


def test_a_thread_keeps_its_connection(peer: Peer) -> None:
    peer.behave(hit(5), hit(1))
    with KyotoTycoon(peer.host, peer.port, timeout=10) as db:
        for _ in range(4):
            assert db.get("k") == "v"
        in_thread(lambda: db.get("k"))
        assert db.get("k") == "v"
    assert peer.connections == 2


def test_the_connection_of_a_thread_that_ended_is_used_again(peer: Peer) -> None:
    peer.behave(hit(5))
    with KyotoTycoon(peer.host, peer.port, timeout=10) as db:
        for _ in range(5):
            in_thread(lambda: db.get("k"))
    assert peer.connections == 1


def test_checkin_lets_other_threads_use_the_connection(peer: Peer) -> None:
    peer.behave(hit(5))
    with KyotoTycoon(peer.host, peer.port, timeout=10) as db:
        db.checkin()
        assert db.get("k") == "v"
        db.checkin()
        in_thread(lambda: [db.get("k"), db.checkin(), db.get("k")])
        assert db.get("k") == "v"
        db.checkin()
        db.checkin()
        assert db.get("k") == "v"
    assert peer.connections == 1


def test_idle_connections_are_limited(peer: Peer) -> None:
    """What is more than `pool_size` is closed when its thread ends."""
    ready, done = threading.Barrier(6), threading.Barrier(6)
    peer.behave(*[lambda talk: talk.serve(HIT)] * 5)
    with KyotoTycoon(peer.host, peer.port, timeout=10, pool_size=2) as db:

        def task() -> None:
            assert db.get("k") == "v"
            ready.wait(10)
            done.wait(10)

        threads = [threading.Thread(target=task) for _ in range(5)]
        for thread in threads:
            thread.start()
        ready.wait(10)
        done.wait(10)
        for thread in threads:
            thread.join()
        assert len(db._pool._connections) == 2


def test_close_reaches_the_connections_of_all_threads(peer: Peer) -> None:
    connected, closed = threading.Event(), threading.Event()
    results = []

    def task() -> None:
        results.append(db.get("k"))
        connected.set()
        assert closed.wait(10)
        results.append(db.get("k"))

    peer.behave(lambda talk: talk.serve(HIT), hit(1))
    db = KyotoTycoon(peer.host, peer.port, timeout=10)
    thread = threading.Thread(target=task)
    thread.start()
    assert connected.wait(10)
    db.close()
    closed.set()
    thread.join()
    assert results == ["v", "v"]
    assert peer.connections == 2
    db.close()


def test_close_lets_an_exchange_finish(peer: Peer) -> None:
    asked, closed = threading.Event(), threading.Event()

    def slowly(talk: Conversation) -> None:
        talk.request()
        asked.set()
        assert closed.wait(10)
        talk.send(HIT)
        assert talk.wait_for_end() == b""

    peer.behave(slowly)
    db = KyotoTycoon(peer.host, peer.port, timeout=10)
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(db.get, "k")
        assert asked.wait(10)
        db.close()
        closed.set()
        assert future.result() == "v"
        peer.wait_for_end_of(1)


def test_a_forgotten_client_closes_its_connections(peer: Peer) -> None:
    peer.behave(lambda talk: [talk.answer(1, HIT), talk.wait_for_end()])
    db = KyotoTycoon(peer.host, peer.port, timeout=10)
    assert db.get("k") == "v"
    del db
    peer.wait_for_end_of(1)
    assert peer.connections == 1


@contextmanager
def on_signal(action: Callable[[], object]) -> Iterator[None]:
    """Do something in the main thread, whatever it is at, when SIGUSR1 comes."""

    def handler(number: int, frame: FrameType | None) -> None:
        action()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_broken_off_exchange_closes_the_connection(peer: Peer) -> None:
    """Otherwise the next call would get the reply to this one."""

    def interrupted(talk: Conversation) -> None:
        talk.answer(1, HIT)
        talk.request()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert talk.wait_for_end() == b""

    peer.behave(interrupted, hit(1))
    with KyotoTycoon(peer.host, peer.port, timeout=10) as db, on_signal(interrupt):
        assert db.get("k") == "v"
        with pytest.raises(KeyboardInterrupt):
            db.get("k")
        assert db.get("k") == "v"
    assert peer.connections == 2


def test_a_call_in_the_middle_of_another(peer: Peer) -> None:
    """A signal handler or a finalizer may use the client whose call it interrupts."""
    results = []

    def interrupted(talk: Conversation) -> None:
        talk.request()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert answered.wait(10)
        talk.send(HIT)
        talk.answer(1, HIT)

    answered = threading.Event()
    peer.behave(interrupted, hit(1))
    with KyotoTycoon(peer.host, peer.port, timeout=10) as db:
        with on_signal(lambda: [results.append(db.get("inner")), answered.set()]):
            assert db.get("outer") == "v"
        assert db.get("k") == "v"
    assert results == ["v"]
    assert peer.connections == 2


def test_a_child_process_has_connections_of_its_own(tycoon: KyotoTycoon) -> None:
    if not tycoon.port:
        pytest.skip("a database in this process is not for its children")
    db = tycoon
    db.set("k", "parent")
    cursor = db.cursor()
    assert cursor.jump("k")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        child = os.fork()
    if child == 0:
        status = 1
        try:
            for number in range(200):
                assert db.incr("child") == number + 1
            db.close()
            status = 0
        finally:
            os._exit(status)
    for number in range(200):
        assert db.incr("parent") == number + 1
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cursor.get() == ("k", "parent")
    cursor.close()
    assert (db.get_int("parent"), db.get_int("child")) == (200, 200)


def test_a_client_of_a_server_that_is_gone(peer: Peer) -> None:
    """Every thread gets an error of its own."""
    db = KyotoTycoon("127.0.0.1", 1, timeout=10)
    with ThreadPoolExecutor(8) as executor:
        futures = [executor.submit(db.get, "k") for _ in range(8)]
    errors = {id(future.exception()) for future in futures}
    assert len(errors) == 8
    assert all(isinstance(future.exception(), ServerConnectionError) for future in futures)


def test_waiting_for_a_signal(tycoon: KyotoTycoon) -> None:
    """The client's timeout does not end the wait."""
    db = tycoon.using(timeout=0.2)
    with ThreadPoolExecutor(3) as executor:
        waiting = [executor.submit(db.wait, "go", limit) for limit in (20, 20, None)]
        for number in range(3):
            while not tycoon.signal("go"):
                assert sum(future.done() for future in waiting) == number
            while sum(future.done() for future in waiting) == number:
                assert tycoon.ping()
        assert [future.result() for future in waiting] == [True] * 3


def test_broadcasting_a_signal(tycoon: KyotoTycoon) -> None:
    with ThreadPoolExecutor(3) as executor:
        waiting = [executor.submit(tycoon.wait, "go", 20) for _ in range(3)]
        told = 0
        while told < 3:
            told += tycoon.signal("go", broadcast=True)
        assert [future.result() for future in waiting] == [True] * 3
