"""AsyncKyotoTycoon: the server and whole databases."""

from __future__ import annotations

import pytest

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import ArgumentError, ServerError
from kt.options import Moment, Signal, Wait


async def test_status(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set("k", "v")
    status = await db.status()
    assert status["count"] == 1
    assert isinstance(status["size"], int)
    assert status["path"] == "*"
    assert (await db.status(1))["path"] == "%"
    assert await db.path == "*"
    assert await db.size == (await db.status())["size"]
    assert (await db.count(), await db.count(1)) == (1, 0)


async def test_report(async_tycoon: AsyncKyotoTycoon) -> None:
    report = await async_tycoon.report()
    assert isinstance(report["serv_proc_id"], int)
    assert isinstance(report["serv_running_term"], float)
    assert str(report["db_0"]).startswith("count=0 ")
    assert isinstance(report["conf_kt_version"], str)


async def test_clear(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set("k", "v")
    await db.set("k", "v", 1)
    assert await db.clear() is True
    assert (await db.count(), await db.count(1)) == (0, 1)
    assert await db.clear(1) is True
    assert await db.count(1) == 0


async def test_maintenance(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set("k", "v")
    assert await db.synchronize() is True
    assert await db.synchronize(1, hard=True) is True
    assert await db.vacuum() is True
    assert await db.vacuum(1, step=10) is True
    with pytest.raises(ServerError):
        await db.synchronize(command="nothing")
    with pytest.raises(ServerError) as caught:
        await db.vacuum(9)
    assert caught.value.code == 400


async def test_ping_and_echo(async_tycoon: AsyncKyotoTycoon) -> None:
    assert await async_tycoon.ping() is True
    data = {"text": "ü", "bytes": b"\0\xff\t\n", "": ""}
    assert await async_tycoon.echo(data) == {"text": "ü".encode(), "bytes": b"\0\xff\t\n", "": b""}
    assert await async_tycoon.echo({}) == {}


async def test_signals_that_nobody_waits_for(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.signal("name") == 0
    assert await db.signal("name", broadcast=True) == 0
    assert await db.wait("name", 0.05) is False
    assert await db.wait(b"\xff\n", 0.05) is False


async def test_any_procedure(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.rpc("set", {"key": "k", "value": b"\0", "DB": 1}) == {}
    assert await db.rpc("get", {"key": "k", "DB": 1}) == {"value": b"\0"}
    assert await db.rpc("void", signal=Signal("name")) == {"SIGNALED": b"0"}
    with pytest.raises(ServerError) as caught:
        await db.rpc("get", {"key": "nothing"})
    assert caught.value.code == 450
    with pytest.raises(ServerError) as caught:
        await db.rpc("nothing")
    assert caught.value.code == 501
    with pytest.raises(ServerError) as caught:
        await db.rpc("void", wait=Wait("name", 0.05))
    assert caught.value.code == 503
    with pytest.raises(ArgumentError):
        await db.rpc("void", wait=Wait("name", 0))


async def test_what_the_server_was_not_started_for(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    with pytest.raises(ServerError, match="400"):
        await db.ulog_list()
    with pytest.raises(ServerError, match="400"):
        await db.ulog_remove()
    with pytest.raises(ServerError, match="400"):
        await db.ulog_remove(Moment.NOW)
    with pytest.raises(ServerError, match="501"):
        await db.tune_replication()
    with pytest.raises(ServerError, match="501"):
        await db.tune_replication("localhost", 1979, ts=Moment.NOW, interval=50)
    assert await db.ping()


async def test_choosing_a_database(async_tycoon: AsyncKyotoTycoon) -> None:
    async_tycoon.set_database(1)
    assert await async_tycoon.path == "%"
    for db in (-1, "1", None):
        with pytest.raises(ArgumentError):
            async_tycoon.set_database(db)
    assert await async_tycoon.path == "%"
