"""Scripts in a gateway: what they find on a cluster is what they find in kt-tycoon."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kt import KyotoTycoon, ServerError
from kt.lua import Hash, List, Queue, Set
from tests.cluster.nodes import LocalCluster
from tests.conftest import StartTycoon

from .conftest import Gateway

SOURCE = """
local db = __kyototycoon__.db
local Visitor = __kyototycoon__.Visitor
local started = db:count()

function records(inmap, outmap)
  outmap.set = tostring(db:set("a", "1"))
  outmap.add = tostring(db:add("a", "2"))
  outmap.why = tostring(db:error())
  outmap.replace = tostring(db:replace("none", "2"))
  outmap.missing = tostring(db:error())
  outmap.append = tostring(db:append("a", "+"))
  outmap.get = db:get("a")
  local value, xt = db:get("a")
  outmap.never = tostring(xt > 2 ^ 39)
  db:set("short", "v", 60)
  value, xt = db:get("short")
  outmap.expiry = tostring(xt > __kyototycoon__.time() + 50 and xt < __kyototycoon__.time() + 70)
  outmap.sum = tostring(db:increment("n", 3))
  outmap.sum2 = tostring(db:increment("n", 4, 100))
  outmap.double = tostring(db:increment_double("d", 1.5))
  outmap.cas = tostring(db:cas("a", "1+", "x"))
  outmap.lost = tostring(db:cas("a", "1+", "y"))
  outmap.created = tostring(db:cas("new", nil, "z"))
  outmap.check = tostring(db:check("new"))
  outmap.seize = db:seize("new")
  outmap.gone = tostring(db:remove("new"))
  outmap.index = db["a"]
  db["b"] = "by index"
  outmap.count = tostring(db:count())
  outmap.none = tostring(db:get("nothing"))
  return kt_ok
end

function bulk(inmap, outmap)
  outmap.set = tostring(db:set_bulk({ x1 = "1", x2 = "2", x3 = "3" }, nil, false))
  local found = db:get_bulk({ "x1", "x3", "none" }, false)
  outmap.got = found.x1 .. found.x3 .. tostring(found.none)
  outmap.prefix = table.concat(sorted(db:match_prefix("x")), ",")
  outmap.regex = table.concat(sorted(db:match_regex("[23]$")), ",")
  outmap.similar = table.concat(sorted(db:match_similar("x1", 1)), ",")
  outmap.removed = tostring(db:remove_bulk({ "x1", "x2" }, false))
  outmap.count = tostring(db:count())
  outmap.clear = tostring(db:clear()) .. db:count()
  return 0
end

function sorted(list)
  table.sort(list)
  return list
end

function visits(inmap, outmap)
  local seen = {}
  db:set("v", "1", 100)
  outmap.full = tostring(db:accept("v", function(key, value, xt)
    seen[#seen + 1] = key .. value .. tostring(xt > __kyototycoon__.time() + 90)
    return value .. "!"
  end))
  local value, xt = db:get("v")
  outmap.value, outmap.kept = value, tostring(xt < 2 ^ 39)
  db:accept("w", function(key, value) return tostring(value) .. "made", 50 end)
  outmap.made = db:get("w")
  db:accept("w", function(key, value) return Visitor.REMOVE end)
  outmap.removed = tostring(db:get("w"))
  db:accept("v", function(key, value) return Visitor.NOP end)
  db:accept("v", function(key, value) return "not stored" end, false)
  outmap.nop = db:get("v")
  db:set("u", "2")
  local all = {}
  db:iterate(function(key, value)
    all[#all + 1] = key .. value
    return value .. "?"
  end)
  outmap.all = table.concat(sorted(all), ",")
  outmap.after = db:get("u") .. db:get("v")
  outmap.seen = table.concat(seen, ",")
  outmap.one = tostring(db:accept_bulk({ "u" }, function(key, value) return "one" end))
  outmap.u = db:get("u")
  return 0
end

function walks(inmap, outmap)
  for index = 1, 5 do db:set("k" .. index, tostring(index)) end
  local found = {}
  for key, value in db:pairs() do found[#found + 1] = key .. value end
  outmap.pairs = table.concat(sorted(found), ",")
  local cursor = db:cursor()
  cursor:jump("k3")
  outmap.key, outmap.value = cursor:get_key(), cursor:get_value()
  cursor:accept(function(key, value) return value .. "!" end)
  outmap.visited = db:get("k3")
  outmap.seized = cursor:seize()
  outmap.gone = tostring(db:get("k3"))
  cursor:jump("k1")
  outmap.removed = tostring(cursor:remove()) .. db:count()
  cursor:disable()
  return 0
end

function refused(inmap, outmap)
  outmap.bulk = tostring(db:set_bulk({ a = "1" })) .. tostring(db:error())
  outmap.two = tostring(db:accept_bulk({ "a", "b" }, function() return "x" end))
    .. tostring(db:error())
  outmap.transaction = tostring(db:begin_transaction()) .. tostring(db:error())
  outmap.copy = tostring(db:copy("/tmp/none")) .. tostring(db:error())
  return 0
end

function count_up(inmap, outmap)
  for _ = 1, 20 do
    db:accept("shared", function(key, value) return tostring((tonumber(value) or 0) + 1) end)
  end
  return 0
end

function second(inmap, outmap)
  local other = __kyototycoon__.dbs[2]
  other:set("o", "2")
  outmap.other = other:get("o") .. tostring(db:get("o")) .. tostring(started)
  return 0
end

function broken() error("on purpose") end
function own() return 2 end
""".replace("return kt_ok", "return 0")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "script.lua"
    path.write_text(SOURCE)
    return path


@pytest.fixture(scope="module")
def gateway(cluster: LocalCluster, script: Path) -> Iterator[Gateway]:
    cluster.empty()
    with Gateway(cluster.urls(), "-scr", str(script), "-th", "4") as gateway:
        yield gateway


@pytest.fixture
def db(gateway: Gateway) -> Iterator[KyotoTycoon]:
    with gateway.connect(timeout=60) as db:
        db.clear()
        db.clear(1)
        yield db


@pytest.mark.parametrize("name", ["records", "bulk", "visits"])
def test_they_find_what_they_find_elsewhere(
    name: str, db: KyotoTycoon, start_tycoon: StartTycoon, script: Path
) -> None:
    """By both protocols."""
    server = start_tycoon("*", "%", args=["-scr", str(script)])
    with KyotoTycoon(server.host, server.port) as local:
        wanted = local.script(name)
    assert wanted
    assert db.script(name) == wanted


def test_they_walk_trees(cluster: LocalCluster, start_tycoon: StartTycoon, script: Path) -> None:
    cluster.empty()
    url = cluster.url(layout="tree", buckets=16)
    server = start_tycoon("%", args=["-scr", str(script)])
    with (
        Gateway([url], "-scr", str(script), "-th", "2") as gateway,
        gateway.connect(timeout=60) as db,
        KyotoTycoon(server.host, server.port) as local,
    ):
        assert db.script("walks") == local.script("walks")


def test_what_is_refused_is_named(db: KyotoTycoon) -> None:
    said = db.script("refused")
    assert set(said) == {"bulk", "two", "transaction", "copy"}
    for words in said.values():
        assert "not implemented: not in a cluster: " in words


def test_visitors_lose_nothing_to_each_other(gateway: Gateway, db: KyotoTycoon) -> None:
    def call() -> None:
        with gateway.connect(timeout=60) as own:
            for _ in range(3):
                own.script("count_up")

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert db.get("shared") == "240"


def test_all_databases_are_theirs(db: KyotoTycoon) -> None:
    assert db.script("second")["other"] == "2nil0"
    assert db.get("o", 1) == "2"


def test_failures_are_those_of_kt_tycoon(gateway: Gateway, db: KyotoTycoon) -> None:
    for name, status in (("broken", 500), ("none", 501), ("own", 400)):
        with pytest.raises(ServerError):
            db.script(name)
        connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=60)
        connection.request("GET", f"/rpc/play_script?name={name}")
        assert connection.getresponse().status == status
        connection.close()
    assert db.script("second")["other"] == "2nil0"


def test_requests_around_them_are_in_order(gateway: Gateway, db: KyotoTycoon) -> None:
    with db.pipeline() as pipe:
        pipe.set("shared", "5")
        pipe.script("count_up")
        pipe.get("shared")
        pipe.set("shared", "7")
        pipe.script("count_up")
        pipe.get("shared")
        assert pipe.execute()[2::3] == ["25", "27"]


def test_who_may_call_them(cluster: LocalCluster, script: Path) -> None:
    words = ("-scr", str(script), "-th", "2", "-allow", "127.0.0.1", "read,write")
    with Gateway(cluster.urls(), *words) as gateway, gateway.connect(timeout=60) as db:
        with pytest.raises(ServerError):
            db.script("second")
        with pytest.raises(ServerError, match="may not"):
            db.rpc("play_script", {"name": "second"})
        db.set("a", "b")


def test_containers_of_kt_lua(cluster: LocalCluster) -> None:
    """They need visitors of one record, but for what moves from one to another."""
    cluster.empty()
    with (
        Gateway(cluster.urls(), "-scr", "kt.lua", "-th", "2") as gateway,
        gateway.connect(timeout=60) as db,
    ):
        table = Hash(db, "table")
        table.update({"a": "1", "b": "2"})
        assert table.pop("a") == "1"
        assert dict(table) == {"b": "2"}
        members = Set(db, "members")
        members.update(["x", "y"])
        assert set(members) == {"x", "y"}
        things = List(db, "things", db=1)
        things.extend(["1", "2"])
        assert things.pop() == "2"
        with pytest.raises(ServerError, match="waiting for signals"):
            Queue(db, "jobs").push("first")


def test_a_script_that_is_not_there(cluster: LocalCluster) -> None:
    with Gateway(cluster.urls(), "-scr", "none.lua", wrong=True) as gateway:
        assert "none.lua" in gateway.complaint()
