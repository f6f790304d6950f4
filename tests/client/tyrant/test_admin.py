# Generated from test_admin_async.py by tools/async_to_sync.py: edit that one.
"""TokyoTyrant: the server, its database as a whole, and scripts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kt.client.tyrant.client import TokyoTyrant
from kt.errors import ArgumentError, ServerError
from kt.options import ScriptLock
from tests.conftest import StartTyrant

files = pytest.mark.parametrize("tyrant_database", ["casket.tch", "casket.tcb"], indirect=True)

SCRIPT = """
function echo(key, value) return key .. ":" .. value end
function nothing(key, value) return nil end
function add(key, value)
    local sum = (tonumber(_get(key)) or 0) + tonumber(value)
    _put(key, sum)
    return sum
end
"""


def test_status(tyrant: TokyoTyrant) -> None:
    tyrant.set("k", "v")
    status = tyrant.status()
    assert status["type"] == "on-memory hash"
    assert status["rnum"] == 1
    assert isinstance(status["ru_real"], float)
    assert isinstance(status["version"], str)
    stat = tyrant.stat()
    assert (stat["rnum"], stat.keys()) == ("1", status.keys())


def test_count_and_size(tyrant: TokyoTyrant) -> None:
    db = tyrant
    empty = db.size
    db.set_bulk({f"k{number}": "v" * 1000 for number in range(100)})
    assert db.count() == 100
    assert db.size > empty + 100_000
    assert db.clear() is True
    assert db.count() == 0
    assert db.ping() is True


def test_a_database_in_memory_has_no_errors(tyrant: TokyoTyrant) -> None:
    assert tyrant.error is None


@pytest.mark.parametrize("tyrant_database", ["casket.tch"], indirect=True)
def test_error(tyrant: TokyoTyrant) -> None:
    assert tyrant.get("none") is None
    error = tyrant.error
    assert error is not None
    code, _, message = error.partition(": ")
    assert code.isdigit()
    assert message


@files
def test_maintenance_of_files(tyrant: TokyoTyrant, tmp_path: Path) -> None:
    db = tyrant
    db.set_bulk({f"k{number}": "v" for number in range(100)})
    assert db.synchronize() is True
    assert db.optimize() is True
    assert db.optimize("#bnum=100") is True
    assert db.defragment() is True
    assert db.defragment(10) is True
    assert db.clear_cache() is True
    assert db.copy(str(tmp_path / "copy")) is True
    assert (tmp_path / "copy").stat().st_size > 0
    with pytest.raises(ServerError):
        db.copy(str(tmp_path / "none" / "copy"))
    assert db.count() == 100


def test_what_databases_in_memory_cannot_do(tyrant: TokyoTyrant) -> None:
    for attempt in (tyrant.defragment, tyrant.clear_cache, tyrant.genuid):
        with pytest.raises(ServerError):
            attempt()


def test_restore_what_is_not_there(tyrant: TokyoTyrant, tmp_path: Path) -> None:
    with pytest.raises(ServerError):
        tyrant.restore(str(tmp_path / "none"), datetime.now(UTC), check=True)
    with pytest.raises(ArgumentError, match="time zone"):
        tyrant.restore(str(tmp_path), datetime(2020, 1, 1))


def test_update_log_and_restore(
    start_tyrant: StartTyrant, tmp_path: Path, tyrant_kind: str
) -> None:
    if tyrant_kind == "bundled":
        pytest.skip("kt-tyrant has no update log yet")
    (tmp_path / "ulog").mkdir()
    server = start_tyrant("*", args=["-ulog", "ulog", "-sid", "1"])
    with TokyoTyrant(server.host, server.port) as db:
        db.set_bulk({"a": "1", "b": "2"})
        db.append("a", "+")
        db.misc("put", ["c", "not logged"], update_log=False)
    server.stop()
    server = start_tyrant("*")
    with TokyoTyrant(server.host, server.port) as db:
        assert db.restore(str(tmp_path / "ulog")) is True
        assert db.get_bulk(["a", "b", "c"]) == {"a": "1+", "b": "2"}


def test_set_master(start_tyrant: StartTyrant, tmp_path: Path, tyrant_kind: str) -> None:
    if tyrant_kind == "bundled":
        pytest.skip("kt-tyrant does not replicate yet")
    (tmp_path / "ulog").mkdir()
    master = start_tyrant("*", args=["-ulog", "ulog", "-sid", "1"])
    slave = start_tyrant("*", args=["-sid", "2"])
    with (
        TokyoTyrant(master.host, master.port) as source,
        TokyoTyrant(slave.host, slave.port) as copy,
    ):
        source.set("k", "v")
        assert copy.set_master(source.host, source.port, 0) is True
        assert copy.status()["mport"] == source.port
        assert copy.set_master(None) is True


def test_script(start_tyrant: StartTyrant, tmp_path: Path) -> None:
    (tmp_path / "script.lua").write_text(SCRIPT)
    server = start_tyrant("*", args=["-ext", "script.lua"])
    with TokyoTyrant(server.host, server.port) as db:
        assert db.script("echo", "key", "välue") == "key:välue".encode()
        assert db.script("echo", b"\xff", b"\x00") == b"\xff:\x00"
        assert db.script("echo") == b":"
        for lock in ScriptLock:
            db.script("add", "n", "2", lock=lock)
        assert db.get("n") == "6"
        for name in ("nothing", "nosuchfunction"):
            with pytest.raises(ServerError) as caught:
                db.script(name, "k", "v")
            assert caught.value.code == 1


def test_a_server_without_scripts(tyrant: TokyoTyrant) -> None:
    with pytest.raises(ServerError):
        tyrant.script("echo", "k", "v")
    with pytest.raises(ArgumentError, match="1023"):
        tyrant.script("x" * 2000)


def test_what_a_mask_forbids(start_tyrant: StartTyrant) -> None:
    server = start_tyrant("*", args=["-mask", "put,vanish,out"])
    with TokyoTyrant(server.host, server.port) as db:
        with pytest.raises(ServerError) as caught:
            db.set("k", "v")
        assert caught.value.code == 1
        with pytest.raises(ServerError, match="vanish"):
            db.clear()
        assert db.add("k", "v") is True
        assert db.remove("k") == 0
        assert db.get("k") == "v"


def test_a_client_shows_itself(tyrant: TokyoTyrant) -> None:
    db = tyrant
    place = f"{db.host}:{db.port}" if db.port else db.host
    assert repr(db) == f"<{type(db).__name__} {place} KT_BINARY>"
