"""What a client sees when PostgreSQL refuses, waits, or goes away."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

import kt
from kt.errors import (
    ImproperlyConfigured,
    OutcomeUnknown,
    ServerConnectionError,
    ServerError,
    ServerTimeoutError,
)
from tests.cluster.nodes import wait_for
from tests.ports import free_port

from .server import LocalPostgres


@pytest.fixture
def table(postgres: LocalPostgres) -> Iterator[LocalPostgres]:
    postgres.empty()
    yield postgres
    postgres.empty()


def waiting(server: LocalPostgres) -> int:
    """How many wait for a lock that others have."""
    [[number]] = server.run("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return int(number)


def refused(server: LocalPostgres) -> bool:
    """Whether somebody's last statement was to make a table, and is over."""
    [[number]] = server.run(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE TABLE%' AND state = 'idle'"
    )
    return bool(number)


def test_nobody_answers() -> None:
    with kt.connect(f"postgres://me:secret@127.0.0.1:{free_port()}/d") as db:
        with pytest.raises(ServerConnectionError, match="no server of PostgreSQL") as caught:
            db.get("k")
        assert "secret" not in str(caught.value)


def test_psycopg_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "kt.cluster.postgres.connection", raising=False)
    from kt.cluster import postgres as package

    monkeypatch.delattr(package, "connection", raising=False)
    with (
        kt.connect("postgres://127.0.0.1/d") as db,
        pytest.raises(ImproperlyConfigured, match=r"pip install 'kyototycoon\[postgres\]'"),
    ):
        db.get("k")


def test_the_first_host_is_down(table: LocalPostgres) -> None:
    url = table.url().replace("127.0.0.1", f"127.0.0.1:{free_port()},127.0.0.1")
    with kt.connect(url) as db:
        assert db.set("k", "v")
        assert db.get("k") == "v"


def test_another_table_is_refused(table: LocalPostgres) -> None:
    table.run("CREATE TABLE kt (id integer)")
    with kt.connect(table.url()) as db, pytest.raises(ImproperlyConfigured, match="not kt's"):
        db.get("k")


def test_many_make_the_table_at_once(table: LocalPostgres) -> None:
    clients = [kt.connect(table.url()) for _ in range(8)]
    failed: list[BaseException] = []

    def store(number: int) -> None:
        try:
            clients[number].set(str(number), "v")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=store, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert clients[0].count() == 8
    for client in clients:
        client.close()


def test_somebody_else_has_made_the_type_but_not_yet_the_table(table: LocalPostgres) -> None:
    """What CREATE TABLE meets in the moment in which another one is nearly done."""
    table.run("CREATE DOMAIN kt AS integer")
    with kt.connect(table.url(timeout=60)) as db, ThreadPoolExecutor(1) as pool:
        stored = pool.submit(db.set, "k", "v")
        wait_for(lambda: refused(table) or stored.done())
        table.run("DROP DOMAIN kt")
        assert stored.result()
        assert db.get("k") == "v"


def test_a_key_that_is_too_long_harms_nobody_else(table: LocalPostgres) -> None:
    with kt.connect(table.url()) as db:
        with db.pipeline(raise_errors=False) as pipe:
            before = pipe.set("before", "v")
            long = pipe.set(os.urandom(5000).hex(), "v")
            after = pipe.set("after", "v")
        assert before.result() == after.result() == 1
        with pytest.raises(ServerError):
            long.result()
        assert sorted(db.match_prefix("")) == ["after", "before"]


def test_a_deadlock_is_tried_again(table: LocalPostgres) -> None:
    with kt.connect(table.url()) as db, table.connect() as other:
        db.set_bulk({"a": "0", "b": "0"})
        other.execute("SET deadlock_timeout = '1h'")  # it is not the one to give up
        other.execute("BEGIN")
        other.execute("UPDATE kt SET v = '1' WHERE k = 'b'")
        writer = threading.Thread(target=lambda: db.set_bulk({"a": "2", "b": "2"}))
        writer.start()
        wait_for(lambda: waiting(table) == 1)
        other.execute("UPDATE kt SET v = '1' WHERE k = 'a'")
        other.execute("COMMIT")
        writer.join()
        assert db.get_bulk(["a", "b"]) == {"a": "2", "b": "2"}


def test_what_cannot_be_serialized_is_tried_again(table: LocalPostgres) -> None:
    """Writers of one record, where the server lets none pass that has seen an older state."""
    table.run("ALTER ROLE kt SET default_transaction_isolation = 'serializable'")
    with ExitStack() as stack:
        stack.callback(table.run, "ALTER ROLE kt RESET default_transaction_isolation")
        clients = [stack.enter_context(kt.connect(table.url(timeout=60))) for _ in range(3)]
        failed: list[BaseException] = []

        def count(client: kt.KyotoTycoon[str, str]) -> None:
            try:
                for _ in range(30):
                    client.incr("n")
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=count, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert clients[0].incr("n", 0) == 90


def test_a_lock_that_is_held_for_too_long(table: LocalPostgres) -> None:
    with kt.connect(table.url(timeout=2)) as db, table.connect() as other:
        db.set("k", "0")
        other.execute("BEGIN")
        other.execute("UPDATE kt SET v = '1' WHERE k = 'k'")
        with pytest.raises(ServerTimeoutError) as caught:
            db.set("k", "2")
        assert not isinstance(caught.value, OutcomeUnknown)
        assert db.get("k") == "0"
        other.execute("ROLLBACK")
        wait_for(lambda: db.set("k", "3"))


def test_a_connection_that_is_silent(table: LocalPostgres) -> None:
    with kt.connect(table.url(timeout=1)) as db:
        db.set("k", "0")
        newest = "application_name = 'kt' ORDER BY backend_start DESC LIMIT 1"
        [[pid]] = table.run(f"SELECT pid FROM pg_stat_activity WHERE {newest}")
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(OutcomeUnknown):
                db.set("k", "1")
            assert db.get("k") == "0"
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_restart_between_two_calls_is_not_noticed(own_postgres: LocalPostgres) -> None:
    with kt.connect(own_postgres.url()) as db:
        db.set("k", "v")
        own_postgres.kill(signal.SIGINT)
        own_postgres.start()
        assert db.incr("n") == 1
        assert db.get("k") == "v"


def test_a_server_that_is_killed_loses_nothing_acknowledged(own_postgres: LocalPostgres) -> None:
    """It is told not to wait for the disk, which loses nothing as long as the machine lives."""
    done: list[str] = []
    unknown: list[str] = []
    over = threading.Event()
    with kt.connect(own_postgres.url(timeout=60)) as db:

        def count(name: str) -> None:
            while not over.is_set():
                try:
                    db.incr(name)
                except OutcomeUnknown:
                    unknown.append(name)
                else:
                    done.append(name)

        names = [f"n{number}" for number in range(6)]
        threads = [threading.Thread(target=count, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for least in (100, 300):
            wait_for(lambda least=least: len(done) >= least)
            own_postgres.kill()
            own_postgres.start()
        wait_for(lambda: len(done) >= 500)
        over.set()
        for thread in threads:
            thread.join()
        for name in names:
            least = done.count(name)
            assert least <= db.incr(name, 0) <= least + unknown.count(name)
