"""The back end for dogpile.cache: the suite that dogpile has for back ends, and our own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pytest

from kt.serializers import KT_JSON

pytest.importorskip("dogpile.cache", reason="the extra dogpile is not installed")

from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE
from dogpile.testing.fixtures import (
    _GenericBackendFixture,
    _GenericBackendTestSuite,
    _GenericMutexTestSuite,
    _GenericSerializerTestSuite,
)

BACKEND = "kyoto_tycoon"

Make = Callable[..., Any]


class InDatabase:
    """Gives the suites the database; they look for its place in a class variable."""

    backend = BACKEND
    arguments: dict[str, Any] = {}  # noqa: RUF012 - of the suites
    config_args: dict[str, Any] = {}  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def _at_place(self, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        arguments = {"place": place, **self.arguments}
        monkeypatch.setattr(type(self), "config_args", {"arguments": arguments})

    @classmethod
    def setup_class(cls) -> None:
        """Do not look for a server yet."""


class TestValues(InDatabase, _GenericBackendTestSuite):  # type: ignore[misc]
    test_threaded_get_multi = None  # sleeps for many seconds
    test_region_expire = None  # must be done within a second


class TestSerializer(InDatabase, _GenericSerializerTestSuite, _GenericBackendFixture):  # type: ignore[misc]
    pass


class TestDistributedLock(InDatabase, _GenericMutexTestSuite):  # type: ignore[misc]
    arguments = {"distributed_lock": True, "lock_sleep": 0.001}  # noqa: RUF012


@pytest.fixture
def make(place: Any) -> Make:
    def make(**arguments: Any) -> Any:
        return make_region().configure(BACKEND, arguments={"place": place, **arguments})

    return make


def test_the_server_removes_values(make: Make) -> None:
    region = make(expire_time=1)
    region.set("k", "v")
    region.set_multi({"a": 1, "b": 2})
    assert region.get("k") == "v"
    deadline = monotonic() + 30
    while set(region.get_multi(["k", "a", "b"])) != {NO_VALUE}:
        assert monotonic() < deadline
        sleep(0.05)


def test_a_lock_that_nobody_releases(make: Make) -> None:
    region = make(distributed_lock=True, lock_timeout=1, lock_sleep=0.01)
    backend = region.backend
    assert backend.has_lock_timeout()
    assert not make(distributed_lock=True, lock_timeout=None).backend.has_lock_timeout()
    first, second = backend.get_mutex("k"), backend.get_mutex("k")
    assert first.acquire()
    assert not second.acquire(wait=False)
    assert second.acquire()  # when it has expired
    first.release()  # which is not the first one's any more
    assert second.locked()
    second.release()
    assert not first.locked()


def test_one_of_two_processes_makes_a_value(make: Make) -> None:
    """Two regions with connections of their own stand for two processes."""
    made: list[int] = []
    regions = [make(distributed_lock=True, lock_sleep=0.01) for _ in range(2)]
    begun, go_on = threading.Event(), threading.Event()

    def create() -> str:
        made.append(1)
        begun.set()
        assert go_on.wait(30)
        return "v"

    results: list[str] = []

    def use(region: Any) -> None:
        results.append(region.get_or_create("k", create))

    threads = [threading.Thread(target=use, args=(region,)) for region in regions]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    go_on.set()
    for thread in threads:
        thread.join()
    assert results == ["v", "v"]
    assert made == [1]


def test_another_serializer(place: Any) -> None:
    region = make_region(serializer=KT_JSON.dumps, deserializer=KT_JSON.loads)
    region.configure(BACKEND, arguments={"place": place})
    region.set("k", {"a": [1]})
    assert region.get("k") == {"a": [1]}
    assert region.backend.get_serialized("k").endswith(b'|{"a":[1]}')
    region.backend.close()
