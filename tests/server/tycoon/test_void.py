"""``-pldb ktplugdbvoid.so``: databases that keep no records, behind every protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kt import KT_NONE, KyotoTycoon

from ..http_client import Caller
from ..memcached.front import Front
from ..processes import HOST, SECONDS, ServerProcess
from ..update_logs import Change, changes
from .pairs import following, wait_until
from .test_process import run

VOID = ("-pldb", "/usr/libexec/ktplugdbvoid.so")
LOG = ("-ulog", "log", "-sid", "1")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess("kt-tycoon", *VOID, *LOG, databases=["void"], directory=tmp_path) as server:
        yield server


def client(server: ServerProcess) -> KyotoTycoon[str, bytes]:
    return KyotoTycoon(HOST, server.port, serializer=KT_NONE, timeout=SECONDS)


def test_what_the_original_answers(server: ServerProcess) -> None:
    """And what it logs, and says of the database."""
    with Caller(server) as call:
        what_the_original_answers(call)
    assert server.stop() == 0
    logged = [(change.what, change.key) for change in changes(server.directory / "log")]
    stored = [("set", b"k")] * 5
    assert logged == [*stored, ("remove", b"k"), ("clear", b"")]


def what_the_original_answers(call: Caller) -> None:
    assert call("set", key="k", value="v")[0] == 200
    assert call("get", key="k") == (450, {"ERROR": "DB: 7: no record: no record"})
    assert call("add", key="k", value="v")[0] == 200
    assert call("add", key="k", value="v")[0] == 200
    assert call("replace", key="k", value="v")[0] == 450
    assert call("append", key="k", value="v")[0] == 200
    assert call("increment", key="k", num="2") == (200, {"num": "2"})
    assert call("remove", key="k")[0] == 450
    assert call("clear")[0] == 200
    status = call("status")[1]
    expected = {"count": "0", "path": "void", "size": "0", "type": "128"}
    expected |= {"ktcapcnt": "-1", "ktcapsiz": "-1", "ktopts": "0"}
    assert status == expected
    report = call("report")[1]
    assert report["db_0"] == "count=0 size=0 path=void"
    assert (report["db_total_count"], report["db_total_size"]) == ("0", "0")


def test_other_procedures(server: ServerProcess) -> None:
    with Caller(server) as call:
        assert call("cas", key="k", nval="v")[0] == 200
        assert call("cas", key="k", oval="v", nval="w")[0] == 450
        assert call("increment_double", key="k", num="1.5") == (200, {"num": "1.500000"})
        assert call("seize", key="k")[0] == 450
        assert call("check", key="k")[0] == 450
        assert call("set_bulk", _a="1", _b="2") == (200, {"num": "2"})
        assert call("get_bulk", _a="", _b="") == (200, {"num": "0"})
        assert call("remove_bulk", _a="", _b="") == (200, {"num": "0"})
        assert call("match_prefix", prefix="") == (200, {"num": "0"})
        assert call("match_regex", regex=".") == (200, {"num": "0"})
        assert call("match_similar", origin="a") == (200, {"num": "0"})
        assert call("cur_jump", CUR="1")[0] == 450
        assert call("cur_get", CUR="1")[0] == 450
        assert call("cur_delete", CUR="1")[0] == 200
        for name in ("synchronize", "vacuum", "void", "ulog_list"):
            assert call(name)[0] == 200, name


def test_rest(server: ServerProcess) -> None:
    with Caller(server) as call:
        assert call.http(b"PUT", b"/k", body=b"v").status == 201
        assert call.http(b"GET", b"/k").status == 404
        assert call.http(b"DELETE", b"/k").status == 404


def test_the_binary_protocol(server: ServerProcess) -> None:
    with client(server) as db:
        assert db.set_bulk({f"k{i}": b"v" for i in range(1000)}) == 1000
        assert db.get_bulk(["k1", "k2"]) == {}
        assert db.remove_bulk(["k1"]) == 0
        assert db.set("large", b"v" * (9 << 20)) == 1
        assert db.get("large") is None
        assert list(db.items()) == []
        assert db.count() == 0


def test_the_front_for_memcached(tmp_path: Path) -> None:
    with Front(tmp_path, *VOID, databases=("void",)) as server, server.client() as cache:
        assert cache.set("k", "v")
        assert cache.add("k", "v")
        assert not cache.replace("k", "v")
        assert cache.get("k") is None
        assert not cache.delete("k")
        assert cache.stats()[b"curr_items"] == 0
        assert cache.flush_all()


def test_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.lua").write_text(
        "kt = __kyototycoon__\n"
        "function f(input, output)\n"
        "  local db = kt.db\n"
        "  db:set('a', '1')\n"
        "  db:begin_transaction()\n"
        "  db:set('b', '2')\n"
        "  db:end_transaction(true)\n"
        "  output.a = tostring(db:get('a'))\n"
        "  return kt.RVSUCCESS\n"
        "end\n"
    )
    words = (*VOID, *LOG, "-scr", "script.lua")
    with ServerProcess("kt-tycoon", *words, databases=["void"], directory=tmp_path) as server:
        with client(server) as db:
            assert db.script("f") == {"a": b"nil"}
        assert server.stop() == 0
    assert [change.key for change in changes(tmp_path / "log")] == [b"a", b"b"]


def test_a_slave_has_what_was_written(server: ServerProcess, tmp_path: Path) -> None:
    """That is what such a master is for."""
    (tmp_path / "slave").mkdir()
    with client(server) as master:
        master.set("a", b"1", expire_time=1000)
        master.set("b", b"2")
        master.remove("b")
        master.set("c", b"3")
        words = ("-sid", "2", *following(server))
        other = ServerProcess("kt-tycoon", *words, databases=["*"], directory=tmp_path / "slave")
        with other, client(other) as slave:
            wait_until(lambda: slave.get("c") == b"3", "the slave has all of it")
            assert slave.get("b") is None
            assert 900 < (slave.ttl("a") or 0) <= 1000


def test_it_leaves_a_file_of_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "casket.kch").write_bytes(b"something else")
    (tmp_path / "casket.kch.durable").write_bytes(b"{}")
    databases = ["casket.kch#ktopts=p", "other"]
    with ServerProcess("kt-tycoon", *VOID, databases=databases, directory=tmp_path) as server:
        with client(server) as db:
            db.set("k", b"v")
            db.set("k", b"v", db=1)
            db.clear()
            assert db.status()["path"] == "casket.kch"
        assert server.stop() == 0
    assert (tmp_path / "casket.kch").read_bytes() == b"something else"
    assert (tmp_path / "casket.kch.durable").read_bytes() == b"{}"


def test_snapshots_and_a_kill(tmp_path: Path) -> None:
    words = (*VOID, *LOG, "-bgs", "snapshots", "-durable", "process")
    with ServerProcess("kt-tycoon", *words, databases=["void"], directory=tmp_path) as server:
        with client(server) as db:
            db.set("k", b"v")
        server.kill()
        server.start()
        with client(server) as db:
            assert db.count() == 0
            db.set("l", b"v")
        assert server.stop() == 0
    assert changes(tmp_path / "log") == [
        Change(1, 0, "set", b"k", b"\xff" * 5 + b"v"),
        Change(1, 0, "set", b"l", b"\xff" * 5 + b"v"),
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("-pldb", "other.so", "x"), "no such plug-in database here, only ktplugdbvoid.so"),
        (VOID, "-pldb needs a database"),
        ((*VOID, *LOG, "-restore-to", "2026-11-01", "x"), "there is nothing to restore"),
    ],
)
def test_refused(words: tuple[str, ...], complaint: str) -> None:
    ended = run(*words)
    assert ended.returncode == 1
    assert complaint in ended.stderr
