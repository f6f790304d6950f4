"""The result back end for Celery, with a real application and a real worker."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import pytest

from kt.embedded import EmbeddedServer
from kt.errors import ArgumentError, ServerConnectionError
from tests.ports import free_port

celery = pytest.importorskip("celery", reason="the extra celery is not installed")

from celery import chord, group  # noqa: E402 - needs celery
from celery.contrib.testing.worker import start_worker  # noqa: E402

from kt.contrib.celery import KyotoTycoonBackend  # noqa: E402


@pytest.fixture
def url(contrib_server: EmbeddedServer, tycoon_program: str) -> str:
    """Of a database that is empty."""
    contrib_server.client.clear(1)
    return f"kt://{contrib_server.host}:{contrib_server.port}/1"


def make_app(url: str, **options: Any) -> Any:
    app = celery.Celery("shop", broker="memory://", backend=url, set_as_current=False)
    app.conf.update(broker_connection_retry_on_startup=False, **options)

    @app.task(name="add")
    def add(one: int, two: int) -> int:
        return one + two

    @app.task(name="fail")
    def fail() -> None:
        raise ValueError("as it should")

    @app.task(name="total")
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    return app


@pytest.fixture
def app(url: str) -> Iterator[Any]:
    app = make_app(url)
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=60):
        yield app


def test_results(app: Any) -> None:
    add = app.tasks["add"].delay(1, 2)
    assert add.get(timeout=60) == 3
    assert app.AsyncResult(add.id).state == "SUCCESS"
    failed = app.tasks["fail"].delay()
    with pytest.raises(ValueError, match="as it should"):
        failed.get(timeout=60)
    assert app.AsyncResult(failed.id).state == "FAILURE"
    add.forget()
    assert app.AsyncResult(add.id).state == "PENDING"
    many = group(app.tasks["add"].s(number, 1) for number in range(5)).delay()
    assert many.get(timeout=60) == [1, 2, 3, 4, 5]
    add = app.tasks["add"]
    together = chord([add.s(1, 1), add.s(2, 2), add.s(3, 3)])(app.tasks["total"].s())
    assert together.get(timeout=60) == 12


def test_results_expire(url: str, contrib_server: EmbeddedServer) -> None:
    backend = make_app(url, result_expires=1).backend
    backend.store_result("id", 5, "SUCCESS")
    assert contrib_server.client.count(1) == 1
    assert backend.get_result("id") == 5
    assert backend.incr("counter") == 1
    assert backend.incr("counter") == 2
    deadline = monotonic() + 30
    while any(backend.mget(["celery-task-meta-id", "counter"])):
        assert monotonic() < deadline
        sleep(0.05)
    for_ever = make_app(url, result_expires=None).backend
    for_ever.store_result("id", 5, "SUCCESS")
    found = contrib_server.client.check("celery-task-meta-id", 1)
    assert found is not None
    assert found.expires is None
    for_ever.expire("celery-task-meta-id", 1000)
    found = contrib_server.client.check("celery-task-meta-id", 1)
    assert found is not None
    assert found.expires is not None


def test_options(url: str) -> None:
    transport = {"client_options": {"timeout": 7.0}, "global_keyprefix": "shop"}
    backend = make_app(url, result_backend_transport_options=transport).backend
    assert isinstance(backend, KyotoTycoonBackend)
    assert backend._store.client.timeout == 7.0
    backend.store_result("id", 5, "SUCCESS")
    assert backend._store.has("shop_celery-task-meta-id")
    assert backend.exception_safe_to_retry(ServerConnectionError("gone", sent=False))
    assert not backend.exception_safe_to_retry(ValueError())
    named = make_app(url.replace("kt://", "kt.contrib.celery.KyotoTycoonBackend+kt://")).backend
    assert named.get("shop_celery-task-meta-id") is not None


def test_unix_socket(socket_path: str) -> None:
    with EmbeddedServer("kt-tycoon", socket_path, 0):
        backend = make_app(f"kt+unix://{socket_path}").backend
        backend.store_result("id", [1], "SUCCESS")
        assert backend.get_result("id") == [1]


def test_pickled(url: str) -> None:
    """As Celery sends an application to a process that it starts."""
    backend = make_app(url, result_expires=60).backend
    make, args, kwargs = backend.__reduce__()[1]
    again = make(backend.app, *args, **pickle.loads(pickle.dumps(kwargs)))
    backend.store_result("id", 5, "SUCCESS")
    assert again.get_result("id") == 5
    assert again.expires == 60


def test_bad_url() -> None:
    with pytest.raises(ArgumentError):
        make_app("kt://localhost:1978/no/such").backend  # noqa: B018


@pytest.mark.parametrize("scheme", ["kt+etcd", "kt+etcds"])
def test_a_service_that_etcd_knows(scheme: str) -> None:
    """Celery takes the URL apart; it is put together again."""
    port = free_port()
    backend = make_app(f"{scheme}://127.0.0.1:{port}/shop").backend
    with pytest.raises(ServerConnectionError, match=f"etcd does not answer: 127.0.0.1:{port}"):
        backend.get("k")
