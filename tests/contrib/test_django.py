"""The back end for Django's cache, with the real Django, and sessions that are kept in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pickle import PicklingError
from time import monotonic, sleep
from typing import Any

import pytest

from kt.embedded import EmbeddedServer
from kt.errors import ArgumentError

django = pytest.importorskip("django", reason="the extra django is not installed")

from django.conf import settings  # noqa: E402 - needs Django
from django.core.cache import CacheHandler  # noqa: E402
from django.core.cache.backends.base import CacheKeyWarning  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.test.utils import override_settings  # noqa: E402

from kt.contrib.django import loop_stores  # noqa: E402

BACKEND = "kt.contrib.django.KyotoTycoonCache"

Make = Callable[..., Any]


@pytest.fixture(scope="module", autouse=True)
def configured() -> None:
    """What Django needs to be used at all; there is one configuration in a process."""
    if not settings.configured:
        settings.configure(INSTALLED_APPS=["django.contrib.sessions"], SECRET_KEY="secret")
    django.setup()


@pytest.fixture
def make(contrib_server: EmbeddedServer, tycoon_program: str) -> Make:
    """Make a cache with these settings, whose database is empty."""
    url = f"kt://{contrib_server.host}:{contrib_server.port}/1"
    contrib_server.client.clear(1)

    def make(**params: Any) -> Any:
        return CacheHandler({"default": {"BACKEND": BACKEND, "LOCATION": url, **params}})["default"]

    return make


@pytest.fixture
def cache(make: Make) -> Any:
    return make()


def gone(cache: Any, *keys: str) -> bool:
    """Wait until none of these has a value; False if that takes too long."""
    deadline = monotonic() + 30
    while any(map(cache.has_key, keys)):
        if monotonic() > deadline:
            return False
        sleep(0.05)
    return True


def test_values(cache: Any) -> None:
    for value in ("text", b"\0", 1, 2.5, None, True, [1, {"a": (2,)}], 2**70, "ключ"):
        cache.set("k", value)
        got = cache.get("k", "default")
        assert (type(got), got) == (type(value), value)
    assert cache.get("none") is None
    assert cache.get("none", "default") == "default"
    with pytest.raises((AttributeError, PicklingError)):
        cache.set("k", lambda: None)


def test_add_and_delete(cache: Any) -> None:
    assert cache.add("k", 1) is True
    assert cache.add("k", 2) is False
    assert cache.get("k") == 1
    assert "k" in cache
    assert cache.delete("k") is True
    assert cache.delete("k") is False
    assert "k" not in cache


def test_many(cache: Any) -> None:
    assert cache.set_many({"a": 1, "b": None, 3: "c"}) == []
    assert cache.get_many(["a", "b", 3, "d"]) == {"a": 1, "b": None, 3: "c"}
    cache.delete_many(["a", "b", "d"])
    assert cache.get_many(iter(["a", "b", 3])) == {3: "c"}
    assert cache.set_many({}) == []
    assert cache.get_many([]) == {}
    cache.delete_many([])
    assert cache.clear() is True
    assert cache.get_many([3]) == {}


def test_timeouts(make: Make) -> None:
    cache = make(TIMEOUT=1)
    cache.set("default", 1)
    cache.add("added", 1, timeout=0.1)
    cache.set_many({"a": 1, "b": 2})
    cache.set("touched", 1, timeout=None)
    assert cache.touch("touched") is True
    cache.set("kept", 1)
    assert cache.touch("kept", None) is True
    cache.set("ever", 1, timeout=None)
    cache.set("long", 1, timeout=10**9)
    assert cache.touch("nothing") is False
    assert gone(cache, "default", "added", "a", "b", "touched")
    assert cache.get_many(["kept", "ever", "long"]) == {"kept": 1, "ever": 1, "long": 1}


@pytest.mark.parametrize("timeout", [0, -1])
def test_timeouts_that_are_over(cache: Any, timeout: int) -> None:
    cache.set("k", 1)
    cache.set("k", 2, timeout=timeout)
    assert "k" not in cache
    assert cache.add("k", 1, timeout=timeout) is True
    assert "k" not in cache
    cache.set_many({"a": 1})
    cache.set_many({"a": 2, "b": 2}, timeout=timeout)
    assert cache.get_many("ab") == {}
    cache.set("k", 1)
    assert cache.touch("k", timeout) is True
    assert "k" not in cache


def test_numbers(cache: Any) -> None:
    cache.set("n", 41)
    assert cache.incr("n") == 42
    assert cache.incr("n", 10) == cache.get("n") == 52
    assert cache.decr("n", 53) == -1
    for change in cache.incr, cache.decr:
        with pytest.raises(ValueError, match="none"):
            change("none")
    cache.set("n", "text")
    with pytest.raises(TypeError):
        cache.incr("n")
    cache.set("soon", 1, timeout=2)
    cache.incr("soon")
    assert gone(cache, "soon")


@pytest.mark.parametrize(("frequency", "left"), [(3, 29), (0, 19)])
def test_no_more_than_max_entries(make: Make, frequency: int, left: int) -> None:
    """As many are left as of Django's own caches, in whose tests these numbers are."""
    cache = make(OPTIONS={"MAX_ENTRIES": 30, "CULL_FREQUENCY": frequency})
    for number in range(1, 50):
        cache.set(f"cull{number}", "value", 1000)
    assert sum(cache.has_key(f"cull{number}") for number in range(1, 50)) == left
    assert cache.has_key("cull49")
    for number in range(50, 100):
        cache.add(f"cull{number}", "value", 1000)
    assert sum(cache.has_key(f"cull{number}") for number in range(1, 100)) <= 30
    cache.set_many({f"more{number}": 1 for number in range(30)})
    cache.set_many({"last": 1})
    assert sum(cache.has_key(f"more{number}") for number in range(30)) < 30

    async def fill() -> None:
        for number in range(100):
            await cache.aset(f"a{number}", 1)
            await cache.aadd(f"b{number}", 1)
            await cache.aset_many({f"c{number}": 1})

    asyncio.run(fill())
    there = cache.get_many(f"{name}{number}" for name in "abc" for number in range(100))
    assert 0 < len(there) <= 30


def test_without_max_entries_there_is_no_limit(make: Make) -> None:
    cache = make(OPTIONS={"CULL_FREQUENCY": 2})
    cache.set_many({f"k{number}": 1 for number in range(500)})
    cache.set("last", 1)
    assert len(cache.get_many(f"k{number}" for number in range(500))) == 500


def test_threads_count_right(cache: Any) -> None:
    cache.set("n", 0)

    def count() -> None:
        for _ in range(50):
            cache.incr("n")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("n") == 200


def test_versions_and_prefixes(make: Make) -> None:
    one, two, prefixed = make(), make(VERSION=2), make(KEY_PREFIX="shop")
    one.set("k", 1)
    assert two.get("k") is None
    assert prefixed.get("k") is None
    assert one.get("k", version=2) is None
    two.set("k", 2)
    assert one.get("k", version=2) == 2
    assert one.incr_version("k") == 2
    assert one.get("k") is None
    assert two.get("k") == 1
    assert two.decr_version("k") == 1
    assert one.get("k") == 1
    with pytest.raises(ValueError, match="none"):
        one.incr_version("none")
    own = make(KEY_FUNCTION=lambda key, prefix, version: f"own-{key}")
    own.set("k", 3)
    assert own._store.get("own-k") is not None


def test_get_or_set(cache: Any) -> None:
    assert cache.get_or_set("k", lambda: 1) == 1
    assert cache.get_or_set("k", 2) == 1
    assert cache.get_or_set("none", None) is None


def test_keys_that_memcached_does_not_take(cache: Any) -> None:
    for key in ("with spaces", "k" * 300):
        with pytest.warns(CacheKeyWarning, match="memcached"):
            cache.set(key, 1)
        with pytest.warns(CacheKeyWarning, match="memcached"):
            assert cache.get(key) == 1


def test_serializer(make: Make) -> None:
    cache = make(OPTIONS={"serializer": "kt.serializers.KT_JSON", "timeout": 20.0})
    cache.set("k", (1, "a"))
    assert cache.get("k") == [1, "a"]
    assert cache.get_many(["k"]) == {"k": [1, "a"]}
    cache.set("n", 1)
    assert cache.incr("n") == 2
    assert cache._store.client.timeout == 20.0


def test_wrong_settings(make: Make) -> None:
    with pytest.raises(ImproperlyConfigured, match="URL"):
        make(LOCATION="cache.kch")
    with pytest.raises(ArgumentError):
        make(LOCATION="redis://localhost")
    with pytest.raises(TypeError, match="no_such"):
        make(OPTIONS={"no_such": 1})
    assert make(OPTIONS={"MAX_ENTRIES": 10, "CULL_FREQUENCY": 3}).get("k") is None


def test_asyncio(cache: Any) -> None:
    async def main() -> None:
        assert await cache.aadd("k", 1)
        assert not await cache.aadd("k", 2)
        await cache.aset("l", None)
        assert await cache.aget("k") == 1
        assert await cache.aget("l", "default") is None
        assert await cache.aget("none", "default") == "default"
        assert await cache.ahas_key("k")
        assert await cache.aset_many({"a": 1, "b": 2}) == []
        assert await cache.aget_many(["a", "b", "c"]) == {"a": 1, "b": 2}
        await cache.adelete_many(["a", "c"])
        assert await cache.aget_many(["a", "b"]) == {"b": 2}
        assert await cache.aincr("k", 5) == 6
        assert await cache.adecr("k") == 5
        with pytest.raises(ValueError, match="none"):
            await cache.aincr("none")
        assert await cache.atouch("k", None)
        assert not await cache.atouch("none")
        assert await cache.atouch("k", 0)
        assert not await cache.ahas_key("k")
        assert await cache.aget_or_set("new", lambda: 7) == 7
        assert await cache.aincr_version("new") == 2
        assert await cache.adelete("new", version=2)
        assert not await cache.adelete("new", version=2)
        assert await cache.aclear()
        assert not await cache.ahas_key("b")

    asyncio.run(main())
    asyncio.run(main())


def test_what_belonged_to_an_ended_loop_is_forgotten(cache: Any) -> None:
    for number in range(3):
        asyncio.run(cache.aset("k", number))

    async def main() -> int:
        assert await cache.aget("k") == 2
        return len(loop_stores()._stores)

    assert asyncio.run(main()) == 1


def test_url_of_the_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KT_URL", make()._place[0])
    make(LOCATION="").set("k", 1)
    assert make().get("k") == 1
    monkeypatch.delenv("KT_URL")
    with pytest.raises(ImproperlyConfigured, match="KT_URL"):
        make(LOCATION="")


def test_tasks_count_right(make: Make) -> None:
    async def count() -> None:
        cache = make()  # as with ASGI, where each request has its own
        for _ in range(20):
            await cache.aincr("n")

    async def main() -> None:
        await cache.aset("n", 0)
        await asyncio.gather(*(count() for _ in range(5)))
        assert await cache.aget("n") == 100

    cache = make()
    threads = [threading.Thread(target=lambda: asyncio.run(count())) for _ in range(2)]
    asyncio.run(main())
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("n") == 140


@pytest.fixture
def session(make: Make, contrib_server: EmbeddedServer) -> Iterator[Any]:
    url = f"kt://{contrib_server.host}:{contrib_server.port}/1"
    with override_settings(CACHES={"default": {"BACKEND": BACKEND, "LOCATION": url}}):
        from django.contrib.sessions.backends.cache import SessionStore

        yield SessionStore


def test_sessions(session: Any) -> None:
    one = session()
    one["basket"] = ["apples"]
    one.save()
    again = session(one.session_key)
    assert again["basket"] == ["apples"]
    again.cycle_key()
    assert not session().exists(one.session_key)
    assert session(again.session_key)["basket"] == ["apples"]
    again.flush()
    assert session(again.session_key).load() == {}


def test_sessions_end(session: Any) -> None:
    one = session()
    one.set_expiry(1)
    one["k"] = 1
    one.save()
    deadline = monotonic() + 30
    while session().exists(one.session_key):
        assert monotonic() < deadline
        sleep(0.05)


def test_sessions_of_asyncio(session: Any) -> None:
    async def main() -> None:
        one = session()
        await one.aset("k", 1)
        await one.asave()
        again = session(one.session_key)
        assert await again.aget("k") == 1
        await again.aflush()
        assert not await session().aexists(one.session_key)

    asyncio.run(main())
