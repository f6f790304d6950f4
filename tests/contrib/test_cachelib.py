"""The back end for cachelib, by itself and below the real Flask-Caching."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from time import monotonic, sleep
from typing import Any

import pytest

from kt.errors import ArgumentError
from kt.serializers import KT_JSON

cachelib = pytest.importorskip("cachelib", reason="the extra cachelib is not installed")

from kt.contrib.cachelib import KyotoTycoonCache  # noqa: E402 - needs cachelib

VALUES = {
    "text": "spam",
    "bytes": b"\0\xff",
    "number": 2**70,
    "none of it": [],
    "nested": {"a": [1, {"b": (2.5, None)}]},
    "yes": True,
    "no": False,
    "ключ": "значение",
}

Make = Callable[..., KyotoTycoonCache]


@pytest.fixture
def make(place: Any) -> Iterator[Make]:
    made: list[KyotoTycoonCache] = []

    def make(**options: Any) -> KyotoTycoonCache:
        made.append(KyotoTycoonCache(place, **options))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture(params=["", "prefix:"], ids=["plain", "prefixed"])
def cache(make: Make, request: pytest.FixtureRequest) -> KyotoTycoonCache:
    return make(key_prefix=request.param)


def gone(cache: KyotoTycoonCache, *keys: str) -> bool:
    """Wait until none of these has a value; False if that takes too long."""
    deadline = monotonic() + 30
    while any(cache.has(key) for key in keys):
        if monotonic() > deadline:
            return False
        sleep(0.05)
    return True


def test_one(cache: KyotoTycoonCache) -> None:
    for key, value in VALUES.items():
        assert cache.get(key) is None
        assert not cache.has(key)
        assert cache.set(key, value)
        assert cache.has(key)
        got = cache.get(key)
        assert (type(got), got) == (type(value), value)
        assert cache.delete(key)
        assert not cache.delete(key)
        assert cache.get(key) is None


def test_many(cache: KyotoTycoonCache) -> None:
    keys = list(VALUES)
    assert cache.set_many(VALUES) == keys
    assert cache.get_many(*keys, "none") == [*VALUES.values(), None]
    assert cache.get_dict("text", "none") == {"text": "spam", "none": None}
    assert cache.delete_many("none", *keys) == ["none", *keys]
    assert cache.get_many(*keys) == [None] * len(keys)
    assert cache.get_many() == cache.set_many({}) == cache.delete_many() == []


def test_add(cache: KyotoTycoonCache) -> None:
    assert cache.add("k", 1)
    assert not cache.add("k", 2)
    assert cache.get("k") == 1


def test_prefixes_keep_caches_apart(make: Make) -> None:
    one, two, everything = make(key_prefix="1:"), make(key_prefix=lambda: "2:"), make()
    for cache in one, two:
        cache.set("k", cache.key_prefix == "1:")
    assert one.get("k") is True
    assert two.get("k") is False
    assert everything.get("1:k") is True
    assert one.clear()
    assert one.get("k") is None
    assert two.get("k") is False
    assert everything.clear()
    assert two.get("k") is None


def test_timeouts(make: Make) -> None:
    cache = make(default_timeout=1)
    cache.set("default", 1)
    cache.set("second", 1, timeout=1)
    cache.set("delta", 1, timeout=timedelta(milliseconds=1))
    cache.add("added", 1)
    cache.set_many({"a": 1, "b": 2}, timeout=1)
    cache.set("ever", 1, timeout=0)
    cache.add("ever too", 1, timeout=timedelta())
    cache.set_many({"ever": 1, "long": 2}, timeout=10**9)
    cache.inc("number")
    assert gone(cache, "default", "second", "delta", "added", "a", "b", "number")
    assert cache.get_many("ever", "ever too", "long") == [1, 1, 2]
    cache.set("ever", 2, timeout=-1)
    assert not cache.has("ever")
    cache.set_many({"long": 2}, timeout=-1)
    assert not cache.has("long")
    assert cache.add("long", 2, timeout=-1)
    assert not cache.has("long")


def test_numbers(cache: KyotoTycoonCache) -> None:
    assert cache.inc("n") == 1
    assert cache.inc("n", 10) == 11
    assert cache.dec("n", 12) == cache.get("n") == -1
    assert cache.dec("new", 5) == -5
    assert cache.set("n", 2**80)
    assert cache.inc("n") == cache.get("n") == 2**80 + 1
    assert cache.set("n", "text")
    with pytest.raises(TypeError):
        cache.inc("n")
    assert cache.get("n") == "text"


def test_a_number_keeps_its_expiry(make: Make) -> None:
    cache = make(default_timeout=10**6)
    cache.set("soon", 1, timeout=2)
    cache.set("never", 1, timeout=0)
    cache.inc("soon")
    cache.inc("never")
    assert gone(cache, "soon")
    assert cache.get("never") == 2


def test_threads_count_right(make: Make) -> None:
    cache = make()

    def count() -> None:
        for _ in range(100):
            cache.inc("n")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("n") == 400


def count_in_a_process(url: str) -> None:
    cache = KyotoTycoonCache(url)
    for _ in range(100):
        cache.inc("n")
    cache.close()


def test_processes_count_right(place: Any, tycoon_program: str) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        list(processes.map(count_in_a_process, [place, place]))
    cache = KyotoTycoonCache(place)
    assert cache.get("n") == 200
    cache.close()


def test_serializer(make: Make) -> None:
    cache, pickled = make(serializer=KT_JSON), make()
    cache.set("k", {"a": [1]})
    assert cache.get("k") == {"a": [1]}
    assert pickled.get("k") is None  # cannot be read
    assert pickled.get_many("k") == [None]
    pickled.serializer = cachelib.serializers.JSONSerializer()
    assert pickled.get("k") == {"a": [1]}
    assert cache.inc("n") == 1
    assert pickled.get("n") == 1


def test_bad_places() -> None:
    for place in ("tt://localhost", "a.tch#bnum=1", "localhost:1978", "http://localhost", 5):
        with pytest.raises(ArgumentError):
            KyotoTycoonCache(place)  # type: ignore[arg-type]


def test_in_this_process() -> None:
    cache = KyotoTycoonCache("*")
    assert cache.set("k", 1)
    assert cache.get("k") == 1
    cache.close()


def test_flask_caching(place: Any) -> None:
    flask = pytest.importorskip("flask", reason="flask is not installed")
    caching = pytest.importorskip("flask_caching", reason="Flask-Caching is not installed")
    app = flask.Flask(__name__)
    config = {
        "CACHE_TYPE": "kt.contrib.flask_caching.KyotoTycoonCache",
        "CACHE_KYOTO_TYCOON_URL": place,
        "CACHE_KEY_PREFIX": "shop:",
        "CACHE_DEFAULT_TIMEOUT": 100,
        "CACHE_OPTIONS": {"serializer": KT_JSON},
    }
    cache = caching.Cache(app, config=config)
    calls = []

    @app.route("/")
    @cache.cached()
    def index() -> str:
        calls.append("index")
        return f"call {len(calls)}"

    @cache.memoize()
    def double(number: int) -> int:
        calls.append("double")
        return 2 * number

    with app.test_client() as browser, app.app_context():
        assert browser.get("/").text == browser.get("/").text == "call 1"
        assert double(3) == double(3) == 6
        assert calls == ["index", "double"]
        cache.delete_memoized(double)
        assert double(3) == 6
        assert calls == ["index", "double", "double"]
        cache.clear()
        assert browser.get("/").text == "call 4"
        cache.cache.close()
