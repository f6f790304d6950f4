"""KyotoTycoon: the operators, and what is particular to the blocking client."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.embedded import EmbeddedServer
from kt.errors import ArgumentError, ImproperlyConfigured, ServerError
from kt.net.manners import Manners
from kt.options import Retry
from kt.serializers import KT_BINARY, KT_JSON


def test_items_by_key(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db["k"] = "v"
    assert db["k"] == "v"
    assert "k" in db
    assert len(db) == 1
    del db["k"]
    del db["k"]
    assert db["k"] is None
    assert "k" not in db
    assert len(db) == 0


def test_items_by_key_and_database(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db["k", 1] = "one"
    db["k"] = "zero"
    assert (db["k"], db["k", 0], db["k", 1], db["k", None]) == ("zero", "zero", "one", "zero")
    assert ("k", 1) in db
    del db["k", 1]
    assert ("k", 1) not in db
    assert "k" in db


def test_values_with_expiry(tycoon: KyotoTycoon) -> None:
    far = datetime(2100, 1, 1, tzinfo=UTC)
    tycoon["a"] = ("v", far)
    tycoon["b", 1] = "v", far
    tycoon["c"] = "v", None
    found = tycoon.get_bulk_details([(0, "a"), (1, "b"), (0, "c")])
    assert [record.value for record in found] == ["v"] * 3
    assert [record.expires for record in found] == [far, far, None]


def test_a_client_is_iterable(tycoon: KyotoTycoon) -> None:
    data = {str(i): str(i * i) for i in range(100)}
    tycoon.update(data)
    assert set(tycoon) == set(data)
    assert sorted(tycoon.values()) == sorted(data.values())
    assert dict(tycoon.items()) == data
    assert dict(tycoon) == data
    assert list(reversed(tycoon.cursor(1))) == []


def test_how_a_client_shows_itself() -> None:
    assert repr(KyotoTycoon()) == "<KyotoTycoon 127.0.0.1:1978 db 0 KT_BINARY>"
    shown = repr(AsyncKyotoTycoon("::1", 1979, KT_JSON, default_db=2))
    assert shown == "<AsyncKyotoTycoon [::1]:1979 db 2 KT_JSON>"


def test_settings() -> None:
    db = KyotoTycoon("localhost", 1979, KT_JSON, False, 2.5, 3)
    assert (db.host, db.port, db.timeout, db.default_db) == ("localhost", 1979, 2.5, 3)
    assert db.serializer is KT_JSON


@pytest.mark.parametrize(
    ("url", "host", "port", "db"),
    [
        ("kt://", "127.0.0.1", 1978, 0),
        ("kt://server", "server", 1978, 0),
        ("kt://server:1979/", "server", 1979, 0),
        ("kt://server/2", "server", 1978, 2),
        ("kt://[::1]:1979/12", "::1", 1979, 12),
        ("kt://server?db=3", "server", 1978, 3),
        ("kt+unix:///run/kt%20tycoon.sock", "/run/kt tycoon.sock", 0, 0),
        ("kt+unix:///run/kt.sock?db=3", "/run/kt.sock", 0, 3),
    ],
)
def test_a_server_as_url(url: str, host: str, port: int, db: int) -> None:
    client = KyotoTycoon.from_url(url, timeout=3, serializer=KT_JSON)
    assert (client.host, client.port, client.default_db) == (host, port, db)
    assert (client.timeout, client.serializer) == (3, KT_JSON)


@pytest.mark.parametrize(
    "url",
    [
        "server",
        "kt://server:70000",
        "kt://server/1?db=1",
        "kt://server?db=-1",
        "kt://server?timeout=soon",
        "kt://server?timeout=-1",
        "kt://server?timeout=1&timeout=2",
        "kt://server?retry=0",
        "kt://server?time_out=3",
        "kt://server?serializer=json",
        "kt+unix://server/socket",
        "kt+unix://",
        "kt+unix:///socket#1",
        "http://server",
        "kt://server:x",
        "kt://server/name",
        "kt://me@server",
        "kt://s?a=b",
    ],
)
def test_what_is_no_such_url(url: str) -> None:
    with pytest.raises(ArgumentError):
        KyotoTycoon.from_url(url)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": 0}, ArgumentError),
        ({"timeout": -1}, ArgumentError),
        ({"default_db": -1}, ArgumentError),
        ({"pool_size": 0}, ArgumentError),
        ({"serializer": "json"}, ImproperlyConfigured),
        ({"serializer": None}, ImproperlyConfigured),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        KyotoTycoon(**options)


def test_a_client_cannot_be_copied() -> None:
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="using"):
            way(KyotoTycoon())


def test_a_client_of_an_ipv6_address(tycoon_kind: str, tycoon_program: str) -> None:
    if tycoon_kind == "original":
        pytest.skip("ktserver has IPv4 only")
    with EmbeddedServer(tycoon_program, host="::1") as server:
        assert server.client.set("k", "v") == 1
        assert server.client.get("k") == "v"


REFERENCE = {
    "__init__": [
        ("host", "127.0.0.1"),
        ("port", 1978),
        ("serializer", KT_BINARY),
        ("decode_keys", True),
        ("timeout", None),
        ("default_db", 0),
    ],
    "checkin": [],
    "close": [],
    "get": ["key", ("db", None)],
    "set": ["key", "value", ("db", None), ("expire_time", None)],
    "remove": ["key", ("db", None)],
    "get_bulk": ["keys", ("db", None)],
    "set_bulk": [("__data", None), ("db", None), ("expire_time", None), "**kwargs"],
    "remove_bulk": ["keys", ("db", None)],
    "script": ["name", ("__data", None), ("encode_values", True), "**kwargs"],
    "clear": [("db", None)],
    "status": [("db", None)],
    "report": [],
    "add": ["key", "value", ("db", None), ("expire_time", None)],
    "replace": ["key", "value", ("db", None), ("expire_time", None)],
    "append": ["key", "value", ("db", None), ("expire_time", None)],
    "exists": ["key", ("db", None)],
    "seize": ["key", ("db", None)],
    "cas": ["key", "old_val", "new_val", ("db", None), ("expire_time", None)],
    "incr": ["key", ("n", 1), ("orig", None), ("db", None), ("expire_time", None)],
    "incr_double": ["key", ("n", 1.0), ("orig", None), ("db", None), ("expire_time", None)],
    "update": [("__data", None), ("db", None), ("expire_time", None), "**kwargs"],
    "pop": ["key", ("db", None)],
    "match_prefix": ["prefix", ("max_keys", None), ("db", None)],
    "match_regex": ["regex", ("max_keys", None), ("db", None)],
    "match_similar": ["origin", ("distance", None), ("max_keys", None), ("db", None)],
    "keys": [("db", None)],
    "set_database": ["db"],
}
"""Every method of the reference: its parameters, with their defaults."""


@pytest.mark.parametrize("client", [KyotoTycoon, AsyncKyotoTycoon])
@pytest.mark.parametrize("method", REFERENCE)
def test_methods_take_what_the_reference_says(client: type, method: str) -> None:
    """New options come after, by keyword only."""
    signature = inspect.signature(getattr(client, method))
    found: list[Any] = []
    for name, parameter in list(signature.parameters.items())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            found.append(f"**{name}")
        elif parameter.kind is not parameter.KEYWORD_ONLY:
            plain = "__data" if name.endswith("__data") else name
            bare = parameter.default is parameter.empty
            found.append(plain if bare else (plain, parameter.default))
    assert found == REFERENCE[method]


def test_writing_by_operator_to_a_database_that_is_not_there(tycoon: KyotoTycoon) -> None:
    with pytest.raises(ServerError, match="no such database"):
        tycoon["k", 60] = "v"
    with pytest.raises(ServerError, match="no such database"):
        tycoon.using(db=60)["k"] = "v"
    with pytest.raises(ArgumentError):
        tycoon["k", True] = "v"


def test_options_of_a_url() -> None:
    url = "kt://server/2?timeout=2.5&connect_timeout=0.5&pool_size=3&retry=4"
    client = KyotoTycoon.from_url(url)
    assert (client.default_db, client.timeout) == (2, 2.5)
    assert client._pool.manners == Manners(3, 0.5, Retry(4))
    client = KyotoTycoon.from_url(url, timeout=1, pool_size=1, retry=Retry(2), default_db=0)
    assert (client.default_db, client.timeout) == (0, 1)
    assert client._pool.manners == Manners(1, 0.5, Retry(2))


def test_a_url_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KT_URL", "kt://server/2")
    assert KyotoTycoon.from_url().host == "server"
    assert KyotoTycoon.from_url("kt://other").host == "other"
    with pytest.raises(ArgumentError, match=r"tt://.* not 'kt://server/2'"):
        TokyoTyrant.from_url()
    monkeypatch.delenv("KT_URL")
    with pytest.raises(ArgumentError, match="KT_URL is not set"):
        KyotoTycoon.from_url()


def test_a_url_and_options() -> None:
    assert KyotoTycoon.from_url("kt://server/2", default_db=0).default_db == 0
    client = KyotoTycoon.from_url("kt://server/2", serializer=KT_JSON, decode_keys=False)
    assert (client.default_db, client.serializer, client._decode_keys) == (2, KT_JSON, False)
    for make in (KyotoTycoon.from_url, AsyncKyotoTycoon.from_url):
        with pytest.raises(TypeError, match="time_out"):
            make("kt://server", time_out=3)  # type: ignore[operator]
        with pytest.raises(ArgumentError, match=r"^timeout"):
            make("kt://server", timeout=0)
        with pytest.raises(ArgumentError, match=r"^url"):
            make(b"kt://server")  # type: ignore[operator]
