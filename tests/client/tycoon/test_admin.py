# Generated from test_admin_async.py by tools/async_to_sync.py: edit that one.
"""KyotoTycoon: the server and whole databases."""

from __future__ import annotations

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ArgumentError, ServerError
from kt.options import Moment, Signal, Wait


def test_status(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set("k", "v")
    status = db.status()
    assert status["count"] == 1
    assert isinstance(status["size"], int)
    assert status["path"] == "*"
    assert db.status(1)["path"] == "%"
    assert db.path == "*"
    assert db.size == db.status()["size"]
    assert (db.count(), db.count(1)) == (1, 0)


def test_report(tycoon: KyotoTycoon) -> None:
    report = tycoon.report()
    assert isinstance(report["serv_proc_id"], int)
    assert isinstance(report["serv_running_term"], float)
    assert str(report["db_0"]).startswith("count=0 ")
    assert isinstance(report["conf_kt_version"], str)


def test_clear(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set("k", "v")
    db.set("k", "v", 1)
    assert db.clear() is True
    assert (db.count(), db.count(1)) == (0, 1)
    assert db.clear(1) is True
    assert db.count(1) == 0


def test_maintenance(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set("k", "v")
    assert db.synchronize() is True
    assert db.synchronize(1, hard=True) is True
    assert db.vacuum() is True
    assert db.vacuum(1, step=10) is True
    with pytest.raises(ServerError):
        db.synchronize(command="nothing")
    with pytest.raises(ServerError) as caught:
        db.vacuum(9)
    assert caught.value.code == 400


def test_ping_and_echo(tycoon: KyotoTycoon) -> None:
    assert tycoon.ping() is True
    data = {"text": "ü", "bytes": b"\0\xff\t\n", "": ""}
    assert tycoon.echo(data) == {"text": "ü".encode(), "bytes": b"\0\xff\t\n", "": b""}
    assert tycoon.echo({}) == {}


def test_signals_that_nobody_waits_for(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.signal("name") == 0
    assert db.signal("name", broadcast=True) == 0
    assert db.wait("name", 0.05) is False
    assert db.wait(b"\xff\n", 0.05) is False


def test_any_procedure(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.rpc("set", {"key": "k", "value": b"\0", "DB": 1}) == {}
    assert db.rpc("get", {"key": "k", "DB": 1}) == {"value": b"\0"}
    assert db.rpc("void", signal=Signal("name")) == {"SIGNALED": b"0"}
    with pytest.raises(ServerError) as caught:
        db.rpc("get", {"key": "nothing"})
    assert caught.value.code == 450
    with pytest.raises(ServerError) as caught:
        db.rpc("nothing")
    assert caught.value.code == 501
    with pytest.raises(ServerError) as caught:
        db.rpc("void", wait=Wait("name", 0.05))
    assert caught.value.code == 503
    with pytest.raises(ArgumentError):
        db.rpc("void", wait=Wait("name", 0))


def test_what_the_server_was_not_started_for(tycoon: KyotoTycoon) -> None:
    db = tycoon
    with pytest.raises(ServerError, match="400"):
        db.ulog_list()
    with pytest.raises(ServerError, match="400"):
        db.ulog_remove()
    with pytest.raises(ServerError, match="400"):
        db.ulog_remove(Moment.NOW)
    with pytest.raises(ServerError, match="501"):
        db.tune_replication()
    with pytest.raises(ServerError, match="501"):
        db.tune_replication("localhost", 1979, ts=Moment.NOW, interval=50)
    assert db.ping()


def test_choosing_a_database(tycoon: KyotoTycoon) -> None:
    tycoon.set_database(1)
    assert tycoon.path == "%"
    for db in (-1, "1", None):
        with pytest.raises(ArgumentError):
            tycoon.set_database(db)
    assert tycoon.path == "%"
