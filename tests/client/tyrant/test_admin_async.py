"""AsyncTokyoTyrant: the server, its database as a whole, and scripts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kt.client.tyrant.client_async import AsyncTokyoTyrant
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


async def test_status(async_tyrant: AsyncTokyoTyrant) -> None:
    await async_tyrant.set("k", "v")
    status = await async_tyrant.status()
    assert status["type"] == "on-memory hash"
    assert status["rnum"] == 1
    assert isinstance(status["ru_real"], float)
    assert isinstance(status["version"], str)
    stat = await async_tyrant.stat()
    assert (stat["rnum"], stat.keys()) == ("1", status.keys())


async def test_count_and_size(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    empty = await db.size
    await db.set_bulk({f"k{number}": "v" * 1000 for number in range(100)})
    assert await db.count() == 100
    assert await db.size > empty + 100_000
    assert await db.clear() is True
    assert await db.count() == 0
    assert await db.ping() is True


async def test_a_database_in_memory_has_no_errors(async_tyrant: AsyncTokyoTyrant) -> None:
    assert await async_tyrant.error is None


@pytest.mark.parametrize("tyrant_database", ["casket.tch"], indirect=True)
async def test_error(async_tyrant: AsyncTokyoTyrant) -> None:
    assert await async_tyrant.get("none") is None
    error = await async_tyrant.error
    assert error is not None
    code, _, message = error.partition(": ")
    assert code.isdigit()
    assert message


@files
async def test_maintenance_of_files(async_tyrant: AsyncTokyoTyrant, tmp_path: Path) -> None:
    db = async_tyrant
    await db.set_bulk({f"k{number}": "v" for number in range(100)})
    assert await db.synchronize() is True
    assert await db.optimize() is True
    assert await db.optimize("#bnum=100") is True
    assert await db.defragment() is True
    assert await db.defragment(10) is True
    assert await db.clear_cache() is True
    assert await db.copy(str(tmp_path / "copy")) is True
    assert (tmp_path / "copy").stat().st_size > 0
    with pytest.raises(ServerError):
        await db.copy(str(tmp_path / "none" / "copy"))
    assert await db.count() == 100


async def test_what_databases_in_memory_cannot_do(async_tyrant: AsyncTokyoTyrant) -> None:
    for attempt in (async_tyrant.defragment, async_tyrant.clear_cache, async_tyrant.genuid):
        with pytest.raises(ServerError):
            await attempt()


async def test_restore_what_is_not_there(async_tyrant: AsyncTokyoTyrant, tmp_path: Path) -> None:
    with pytest.raises(ServerError):
        await async_tyrant.restore(str(tmp_path / "none"), datetime.now(UTC), check=True)
    with pytest.raises(ArgumentError, match="time zone"):
        await async_tyrant.restore(str(tmp_path), datetime(2020, 1, 1))


async def test_update_log_and_restore(
    start_tyrant: StartTyrant, tmp_path: Path, tyrant_kind: str
) -> None:
    if tyrant_kind == "bundled":
        pytest.skip("kt-tyrant has no update log yet")
    (tmp_path / "ulog").mkdir()
    server = start_tyrant("*", args=["-ulog", "ulog", "-sid", "1"])
    async with AsyncTokyoTyrant(server.host, server.port) as db:
        await db.set_bulk({"a": "1", "b": "2"})
        await db.append("a", "+")
        await db.misc("put", ["c", "not logged"], update_log=False)
    server.stop()
    server = start_tyrant("*")
    async with AsyncTokyoTyrant(server.host, server.port) as db:
        assert await db.restore(str(tmp_path / "ulog")) is True
        assert await db.get_bulk(["a", "b", "c"]) == {"a": "1+", "b": "2"}


async def test_set_master(start_tyrant: StartTyrant, tmp_path: Path, tyrant_kind: str) -> None:
    if tyrant_kind == "bundled":
        pytest.skip("kt-tyrant does not replicate yet")
    (tmp_path / "ulog").mkdir()
    master = start_tyrant("*", args=["-ulog", "ulog", "-sid", "1"])
    slave = start_tyrant("*", args=["-sid", "2"])
    async with (
        AsyncTokyoTyrant(master.host, master.port) as source,
        AsyncTokyoTyrant(slave.host, slave.port) as copy,
    ):
        await source.set("k", "v")
        assert await copy.set_master(source.host, source.port, 0) is True
        assert (await copy.status())["mport"] == source.port
        assert await copy.set_master(None) is True


async def test_script(start_tyrant: StartTyrant, tmp_path: Path) -> None:
    (tmp_path / "script.lua").write_text(SCRIPT)
    server = start_tyrant("*", args=["-ext", "script.lua"])
    async with AsyncTokyoTyrant(server.host, server.port) as db:
        assert await db.script("echo", "key", "välue") == "key:välue".encode()
        assert await db.script("echo", b"\xff", b"\x00") == b"\xff:\x00"
        assert await db.script("echo") == b":"
        for lock in ScriptLock:
            await db.script("add", "n", "2", lock=lock)
        assert await db.get("n") == "6"
        for name in ("nothing", "nosuchfunction"):
            with pytest.raises(ServerError) as caught:
                await db.script(name, "k", "v")
            assert caught.value.code == 1


async def test_a_server_without_scripts(async_tyrant: AsyncTokyoTyrant) -> None:
    with pytest.raises(ServerError):
        await async_tyrant.script("echo", "k", "v")
    with pytest.raises(ArgumentError, match="1023"):
        await async_tyrant.script("x" * 2000)


async def test_what_a_mask_forbids(start_tyrant: StartTyrant) -> None:
    server = start_tyrant("*", args=["-mask", "put,vanish,out"])
    async with AsyncTokyoTyrant(server.host, server.port) as db:
        with pytest.raises(ServerError) as caught:
            await db.set("k", "v")
        assert caught.value.code == 1
        with pytest.raises(ServerError, match="vanish"):
            await db.clear()
        assert await db.add("k", "v") is True
        assert await db.remove("k") == 0
        assert await db.get("k") == "v"


async def test_a_client_shows_itself(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    place = f"{db.host}:{db.port}" if db.port else db.host
    assert repr(db) == f"<{type(db).__name__} {place} KT_BINARY>"
