"""A Kyoto Cabinet file that cannot be written: what was acknowledged stays, what cannot be kept is
refused, and all is well again as soon as there is room.

A limit on the size of files stands for the full disk. It is the process's, so the database is
opened in one of its own, which says what happened.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import Database

from ..disks import fill_up, mounted, small_disk
from ..http_client import Caller
from ..processes import ServerProcess
from .kyoto import contents, set_bulk

CODE = """
import json, os, resource, sys, time
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import BinaryCore, Database

path, size, limit, again, transactions = sys.argv[1:]
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
database = Database(path, auto_transaction=transactions == "t")
value = os.urandom(int(size) // 2).hex().encode()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), unlimited[1]))

def refused(action, *arguments, **options):
    try:
        action(*arguments, **options)
    except EngineError as error:
        return str(error)
    return None

def is_there(key):
    try:
        return database.get(key)[0] == value
    except EngineError:
        return False

acknowledged, refusals, number = [], 0, 0
deadline = time.monotonic() + 30
while refusals <= 100 and time.monotonic() < deadline:
    if refused(database.set, b"key%d" % number, value):
        refusals += 1
    else:
        acknowledged.append(number)
    number = min(number + 1, 1200)  # pages are written a moment later
why = refused(database.synchronize)
report = {
    "acknowledged": acknowledged, "refusals": refusals, "synchronize": why,
    "readable": all(is_there(b"key%d" % number) for number in acknowledged),
}
if why:
    stream = BinaryCore([database]).stream()
    request = bytes.fromhex("b8 00000000 00000001 0000 00000001 00000001 7fffffffffffffff 6b 76")
    report["others"] = [
        bool(refused(database.set_bulk, {b"a": b"b"})),
        bool(refused(database.set_bulk, {b"a": b"b"}, atomic=True)),
        bool(refused(database.begin_transaction)),
        stream.feed(request)[2] == b"\\xbf",
    ]
if again == "again":
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    deadline = time.monotonic() + 30
    while refused(database.set, b"after", value):
        assert time.monotonic() < deadline
    database.synchronize()
report["close"] = refused(database.close)
print(json.dumps(report))
"""

BULKS = """
import resource, sys
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import Database

unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
with Database(sys.argv[1]) as database:
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, unlimited[1]))
    for number in range(2000):
        records = {b"%d of %d" % (i, number): b"%d of %d;" % (i, number) * 400 for i in range(4)}
        try:
            database.set_bulk(records)
            counted = database.increment(b"counter", 1)
        except EngineError:
            break
        assert database.get_bulk(records) == records, number
        assert counted == number + 1
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
print(number)
"""

PLACES = [
    ("casket.kch", 4500, 10 << 20, ""),
    ("casket.kch#msiz=0", 4500, 8 << 20, "t"),
    ("casket.kct", 4500, 3 << 20, ""),
    ("casket.kct#msiz=0", 4500, 3 << 20, ""),
    ("casket.kct#pccap=100k", 4500, 3 << 20, ""),
    ("casket.kct#pccap=100k", 4500, 3 << 20, "t"),
    ("casket.kct", 100, 460 << 10, "t"),
    ("casket.kcf", 4500, 4 << 10, ""),
    ("casket.kcf#pccap=20k", 4500, 4 << 10, ""),
    ("casket.kcd", 8000, 6 << 10, ""),
    ("casket.kcx", 8000, 1 << 20, ""),
]

TREES = [place for place in PLACES if "kct" in place[0]]


def fill(path: Path, spec: str, *words: object) -> dict[str, Any]:
    """Run `CODE` with the database in `path`; its report."""
    command = [sys.executable, "-c", CODE, str(path / spec), *map(str, words)]
    ended = subprocess.run(command, capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


@pytest.mark.parametrize(("spec", "size", "limit", "transactions"), PLACES)
def test_nothing_acknowledged_is_lost(
    tmp_path: Path, spec: str, size: int, limit: int, transactions: str
) -> None:
    report = fill(tmp_path, spec, size, limit, "again", transactions)
    assert report["refusals"] > 100
    assert report["close"] is None
    if spec.endswith("kcx"):  # a text file has no keys
        return
    assert report["readable"]
    if "kcf" in spec:
        assert report["synchronize"]
        assert all(report["others"])
    with Database(str(tmp_path / spec)) as database:
        found = contents(database)
    assert {b"key%d" % number for number in report["acknowledged"]} <= found.keys()
    assert b"after" in found


def test_closing_says_what_is_missing(tmp_path: Path) -> None:
    report = fill(tmp_path, "casket.kcf", 4500, 4 << 10, "no", "")
    assert "closing failed" in report["close"]


def test_each_record_of_many_gets_its_own_value(tmp_path: Path) -> None:
    """Also the one for which pages have to be written first, and which is stored a second time."""
    command = [sys.executable, "-c", BULKS, str(tmp_path / "casket.kct")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert 50 < int(ended.stdout) < 1999


@small_disk
@pytest.mark.parametrize("auto_transaction", [False, True])
@pytest.mark.parametrize("name", ["casket.kch", "casket.kct"])
def test_no_transaction_without_room(tmp_path: Path, name: str, auto_transaction: bool) -> None:
    """Neither gaps that are to be closed nor a transaction that cannot begin leave the file marked
    as broken: it would be made anew when it is opened next, for which there is no room."""
    disk = tmp_path / "disk"
    records = {b"%d" % number: b"%d" % number * 400 for number in range(3000)}
    with mounted(disk, "size=24m"):
        with Database(str(disk / name), auto_transaction=auto_transaction) as database:
            database.set_bulk(records)
            for key in list(records)[::3]:
                database.remove(key)
                del records[key]
            database.synchronize()
            fill_up(disk / "filler")
            for _ in range(200):
                database.tick()
            with suppress(EngineError):
                database.vacuum()
            with suppress(EngineError):
                database.begin_transaction()
                database.end_transaction(commit=False)
            assert contents(database) == records
        assert (disk / name).read_bytes()[24] == 0
        with Database(str(disk / name), auto_transaction=auto_transaction) as database:
            assert contents(database) == records


ATOMIC = """
import os, random, resource, sys
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import Database

path, parameters = sys.argv[1:]
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
with Database(path) as database:
    database.set_bulk({b"%d" % number: b"old" for number in range(20000)})
chance = random.Random(os.path.basename(path))
refusals = 0
with Database(path + parameters) as database:  # without a page in memory
    limit = os.path.getsize(path) + chance.randint(100_000, 1_000_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
    for _ in range(60):
        value = b"x" * chance.randint(10, 5000)
        records = {b"%d" % chance.randrange(20000): value for _ in range(chance.randint(2, 40))}
        before = database.get_bulk(records)
        try:
            database.set_bulk(records, atomic=True)
        except EngineError:
            refusals += 1
            assert database.get_bulk(records) == before
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
assert refusals
"""


@pytest.mark.parametrize("parameters", ["", "#pccap=100k"])
def test_a_refused_atomic_bulk_changes_nothing(tmp_path: Path, parameters: str) -> None:
    for number in range(4):
        code = [sys.executable, "-c", ATOMIC, str(tmp_path / f"{number}.kct"), parameters]
        subprocess.run(code, check=True)


@small_disk
@pytest.mark.parametrize("name", ["casket.kch", "casket.kct"])
def test_bulks_that_are_undone(tmp_path: Path, name: str) -> None:
    """The engine cuts the file off where it ended before, so what was made room for is gone."""
    disk = tmp_path / "disk"
    with mounted(disk, "size=24m"):
        with Database(str(disk / name), auto_transaction=True) as database:
            records = {b"%d" % number: b"%d" % number * 400 for number in range(3000)}
            database.set_bulk(records)
            database.synchronize()
            fill_up(disk / "filler")
            refusals = 0
            for number in range(3000, 9000):
                more = {b"%d of %d" % (i, number): b"x" * 2000 for i in range(20)}
                try:
                    database.set_bulk(more, atomic=True)
                except EngineError:
                    refusals += 1
                    if refusals > 30:
                        break
                else:
                    records |= more
            assert refusals > 30
            assert contents(database) == records
            (disk / "filler").unlink()
        with Database(str(disk / name), auto_transaction=True) as database:
            assert contents(database) == records


@small_disk
@pytest.mark.parametrize("name", ["casket.kch", "casket.kct"])
def test_no_new_file_without_room(tmp_path: Path, name: str) -> None:
    """Neither by opening one, nor by clearing, which takes one where it can."""
    disk = tmp_path / "disk"
    with mounted(disk, "size=24m"):
        with Database(str(disk / name)) as database:
            database.set_bulk({b"%d" % number: b"value" for number in range(3000)})
            database.synchronize()
            fill_up(disk / "filler")
            with pytest.raises(EngineError, match="no room for a new file"):
                Database(str(disk / f"new-{name}"))
            database.clear()
            assert contents(database) == {}
        assert not (disk / f"new-{name}").exists()


@pytest.mark.parametrize(("spec", "size", "limit", "transactions"), TREES)
def test_a_tree_is_closed_without_room(
    tmp_path: Path, spec: str, size: int, limit: int, transactions: str
) -> None:
    report = fill(tmp_path, spec, size, limit, "no", transactions)
    assert report["refusals"] > 100
    assert report["readable"]
    assert report["synchronize"] is None or transactions
    assert report["close"] is None or transactions  # it tries once more what it has refused
    with Database(str(tmp_path / spec)) as database:
        found = contents(database)
    assert {b"key%d" % number for number in report["acknowledged"]} <= found.keys()


RESTING = """
import sys, time
from kt.server.engines.kyoto._engine import Database

with Database(sys.argv[1]) as database:
    for number in range(3000):
        database.set(b"%06d" % number, b"x" * 20)
    print("stored", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("spec", ["casket.kct", "casket.kcf"])
def test_pages_are_written_without_being_asked(tmp_path: Path, spec: str) -> None:
    """What a process has stored that is killed after a rest is all there; the rest may be longer
    on a busy machine."""
    records = {b"%06d" % number: b"x" * 20 for number in range(3000)}
    found: dict[bytes, bytes] = {}
    for doublings in range(6):
        path = tmp_path / str(doublings) / spec
        path.parent.mkdir()
        command = [sys.executable, "-c", RESTING, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"stored\n"
            time.sleep(2**doublings)
            process.kill()
        with Database(str(path)) as database:
            found = contents(database)
        if found == records:
            break
    assert found == records


class TestServer:
    """The same through both protocols, up to the exit status."""

    @pytest.fixture
    def limited(self, tmp_path: Path) -> str:
        """A kt-tycoon whose files may have 3 MiB."""
        script = tmp_path / "limited"
        script.write_text(
            f'#!/bin/sh\nulimit -f 6144\nexec {sys.executable} -m kt.server tycoon "$@"\n'
        )
        script.chmod(0o755)
        return str(script)

    @pytest.mark.parametrize("spec", ["casket.kct", "casket.kct#pccap=100k"])
    def test_clients_are_told(self, tmp_path: Path, limited: str, spec: str) -> None:
        with ServerProcess(limited, databases=[spec], directory=tmp_path) as server:
            with Caller(server) as caller:
                self.fill(caller)
            with server.connect() as binary:
                binary.sendall(set_bulk([(b"key", b"v" * 9000)] * 2))
                assert binary.recv(1) == b"\xbf"
            assert server.stop() == 0

    @staticmethod
    def fill(caller: Caller) -> None:
        body = b"v" * 9000
        statuses = [caller.http(b"PUT", b"/%d" % number, body=body).status for number in range(800)]
        kept = [number for number, status in enumerate(statuses) if status == 201]
        while statuses[-1] != 500:
            statuses.append(caller.http(b"PUT", b"/last", body=body).status)
        assert set(statuses) == {201, 500}
        assert caller("synchronize")[0] == 200
        assert caller("set", key="k", value="v" * 9000)[0] == 500
        for number in kept:
            assert caller.http(b"GET", b"/%d" % number).status == 200
