"""``-durable``: what was acknowledged is there, wherever a server is killed, or the power goes."""

from __future__ import annotations

import json
import random
import resource
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kt import ImproperlyConfigured, KTError, KyotoTycoon
from kt import open as open_database
from kt.serializers import KT_NONE
from tests.crash.test_crash import KILLS, SEED, Writer
from tests.crash.workload import Account, contents, steps

from ..processes import HOST, ServerProcess, refused
from ..test_log_retention import wait_until

FILES = ("casket.kch", "casket.kct", "casket.kcd", "casket.kcf")
KEEPING = ("-ulog", "log", "-sid", "7", "-le")
PROCESS = ("-durable", "process", *KEEPING)
DEVICE = ("-durable", "device", "-bgs", "snapshots", *KEEPING)
WIDE = 600
LONGEST = 0.6
"""Seconds for which a writer writes at most."""

SCRIPT = """
kt = __kyototycoon__
function twice(i, o)
  kt.db:begin_transaction()
  for n = 1, 500 do kt.db:set("t" .. n, i.value) end
  kt.db:end_transaction(i.commit == "yes")
  return kt.RVSUCCESS
end
"""


def server(directory: Path, *args: str, database: str, **environment: str) -> ServerProcess:
    return ServerProcess(
        "kt-tycoon", *args, databases=[database], directory=directory, environment=environment
    )


def client(process: ServerProcess) -> KyotoTycoon:
    return KyotoTycoon(HOST, process.port, serializer=KT_NONE)


class Judged:
    """A database that is written and killed again and again, and judged by what comes back."""

    def __init__(self, directory: Path, database: str, *args: str) -> None:
        self.directory = directory
        self.database = database
        self.args = args
        self.suffix = Path(database).suffix or ".kch"
        self.found: dict[str, bytes] = {}

    def write(self, seed: int, seconds: float, **environment: str) -> None:
        """Let somebody write for that long, or until the server kills itself; then judge."""
        acknowledged = 0
        process = server(self.directory, *self.args, database=self.database, **environment)
        try:
            process.start()
            writer = Writer(self.suffix, seed, process.port, "process")
        except AssertionError:
            assert "KT_KILL_AT" in environment  # the start is what was killed
        else:
            with suppress(AssertionError):  # the writer ends with the server
                writer.watch(seconds)
            process.kill()
            acknowledged = writer.kill()
        process.kill()
        self.judge(Account(self.found, steps(seed, wide=WIDE), acknowledged, "process"))

    def judge(self, account: Account) -> None:
        with server(self.directory, *self.args, database=self.database) as process:
            with client(process) as kt:
                self.found, complaints = contents(kt, self.suffix)
            complaints += account.complaints(
                self.found, whole_bulks=self.suffix in (".kct", ".kcf"), in_place=False
            )
            assert process.stop() == 0
        assert not complaints, "\n".join(complaints[:20]) + process.printed()


# Kills


@pytest.mark.parametrize("database", FILES)
def test_a_kill_at_any_moment_loses_nothing(database: str, tmp_path: Path) -> None:
    seed = random.Random(f"{SEED}{database}").randrange(10**6)
    print(f"KT_CRASH_SEED={SEED}, seed {seed}")
    judged = Judged(tmp_path, database, *PROCESS)
    for turn in range(KILLS):
        judged.write(seed + turn, random.Random(seed + turn).uniform(0, LONGEST))


@pytest.mark.parametrize("database", FILES)
def test_a_kill_in_any_call_loses_nothing(database: str, tmp_path: Path, last_call: str) -> None:
    seed = random.Random(f"{SEED}{database}call").randrange(10**6)
    print(f"KT_CRASH_SEED={SEED}, seed {seed}")
    judged = Judged(tmp_path, database, *PROCESS)
    for turn in range(KILLS):
        call = random.Random(seed + turn).choice((*range(1, 40), 100, 300, 1000))
        judged.write(
            seed + turn, LONGEST, LD_PRELOAD=last_call, KT_KILL_AT=str(call), KT_FILES=database
        )


def test_a_kill_in_any_call_for_the_log_loses_nothing(tmp_path: Path, last_call: str) -> None:
    judged = Judged(tmp_path, "casket.kct", *PROCESS)
    for call in random.Random(SEED).sample(range(1, 30), min(KILLS, 29)):
        judged.write(call, LONGEST, LD_PRELOAD=last_call, KT_KILL_AT=str(call), KT_FILES="/log/")


@pytest.mark.parametrize("database", ["casket.kch", "casket.kct", "%#ktopts=p"])
def test_transactions_are_there_as_a_whole(database: str, tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(SCRIPT)
    args = (*PROCESS, "-bgs", "snapshots", "-scr", "s.lua")
    with server(tmp_path, *args, database=database) as process:
        with client(process) as kt:
            kt.script("twice", {"value": b"1", "commit": b"yes"})
            kt.script("twice", {"value": b"2", "commit": b"no"})
            kt.set_bulk({str(n): b"x" for n in range(500)}, atomic=True)
        process.kill()
        process.start()
        with client(process) as kt:
            assert kt.count() == 1000
            assert {kt.get(f"t{n}") for n in range(1, 501)} == {b"1"}


def test_nothing_is_lost_while_the_log_cannot_be_written(tmp_path: Path) -> None:
    with server(tmp_path, *PROCESS, "-bgs", "snapshots", database="%") as process:
        pid = process.process.pid
        with client(process) as kt:
            kt.set("large", b"x" * 50_000)
            unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            log = tmp_path / "log" / "0000000001.ulog"
            while (size := log.stat().st_size) < 50_000:  # it is written soon
                assert kt.get("large") is not None
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 5, unlimited[1]))
            acknowledged = []
            refusal = None
            while refusal is None:
                try:
                    kt.set(str(len(acknowledged)), b"y")
                except KTError as error:
                    refusal = error
                else:
                    acknowledged.append(str(len(acknowledged)))
            assert kt.get("large") is not None
            process.wait_for_output("changes are refused")
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        process.kill()
        process.start()
        with client(process) as kt:
            assert set(kt.get_bulk(acknowledged)) == set(acknowledged)
            assert kt.get("large") == b"x" * 50_000
            kt.set("after", b"1")


# Loss of power


def lose_power(directory: Path, device: Path) -> None:
    """Leave what has come to the device, as another start of the machine finds it."""
    (directory / "output").rename(directory / "output.before")
    for name in ("log", "snapshots"):
        shutil.rmtree(directory / name)
        (directory / name).mkdir()
    for path in directory.glob("casket*"):
        path.unlink()
    for path in device.iterdir():
        room = {".ulog": "log", ".ktss": "snapshots"}.get(path.suffix, "")
        shutil.copy(path, directory / room / path.name)
    checkpoint = directory / "casket.kch.durable"
    state = json.loads(checkpoint.read_text())
    checkpoint.write_text(json.dumps({**state, "boot": "another"}))


@pytest.mark.parametrize("torn", [False, True])
def test_a_loss_of_power_loses_nothing(torn: bool, tmp_path: Path, last_call: str) -> None:
    device, directory = tmp_path / "device", tmp_path / "machine"
    device.mkdir()
    directory.mkdir()
    environment = {"LD_PRELOAD": last_call, "KT_DEVICE": str(device)}
    acknowledged: list[dict[str, bytes]] = [{} for _ in range(6)]

    def write(number: int, port: int) -> None:
        with suppress(KTError), KyotoTycoon(HOST, port, serializer=KT_NONE) as kt:
            for turn in range(100_000):
                key = f"{number}:{turn}"
                kt.set(key, b"v%d" % turn)
                acknowledged[number][key] = b"v%d" % turn

    with server(directory, *DEVICE, database="casket.kch", **environment) as process:
        threads = [
            threading.Thread(target=write, args=(number, process.port))
            for number in range(len(acknowledged))
        ]
        for thread in threads:
            thread.start()
        while min(map(len, acknowledged)) < 50:
            threads[0].join(0.01)
        process.kill()
        for thread in threads:
            thread.join()
    lose_power(directory, device)
    if torn:
        (directory / "casket.kch").write_bytes(b"KC\n\0" + b"garbage" * 5000)
    with server(directory, *DEVICE, database="casket.kch") as process:
        with client(process) as kt:
            for records in acknowledged:
                assert kt.get_bulk(list(records)) == records
            kt.set("more", b"1")
        assert process.stop() == 0
    assert (directory / "casket.kch.torn").exists() == torn


@pytest.mark.parametrize("database", ["casket.kch", "casket.kct", "%"])
def test_the_durability_of_the_device_includes_kills(database: str, tmp_path: Path) -> None:
    judged = Judged(tmp_path, database, *DEVICE)
    judged.write(SEED, LONGEST)


# What is refused


def test_what_it_needs_is_said(tmp_path: Path) -> None:
    def said(*args: str, database: str = "casket.kch") -> str:
        return refused(server(tmp_path, *args, database=database))

    assert "-durable needs an update log: -ulog and -sid" in said("-durable", "process")
    assert "-durable device needs snapshots: -bgs" in said("-durable", "device", *KEEPING)
    assert "not -ord" in said(*PROCESS, "-ord")
    assert "needs -bgs" in said(*PROCESS, database="%")
    assert "text files" in said(*PROCESS, database="casket.kcx")
    assert "it is one of none, process, device" in said("-durable", "always", *KEEPING)


def test_a_server_without_it_loses_nothing_silently(tmp_path: Path) -> None:
    with server(tmp_path, *PROCESS, database="casket.kct") as process:
        with client(process) as kt:
            kt.set("a", b"1")
        process.kill()
    plain = server(tmp_path, "-le", database="casket.kct")
    assert "casket.kct was not closed" in refused(plain)
    reader = server(tmp_path, "-le", "-ord", database="casket.kct")
    assert "casket.kct was not closed" in refused(reader)
    with server(tmp_path, *PROCESS, database="casket.kct") as process:
        client(process).count()
        assert process.stop() == 0
    with plain, client(plain) as kt:
        assert kt.get("a") == b"1"
    assert not (tmp_path / "casket.kct.durable").exists()


@pytest.mark.parametrize("restarted", [False, True])
def test_another_log_is_none_to_come_back_from(tmp_path: Path, *, restarted: bool) -> None:
    with server(tmp_path, *PROCESS, database="casket.kct") as process:
        with client(process) as kt:
            kt.set_bulk({str(number): b"x" for number in range(1000)})
        if restarted:
            process.stop()
            process.start()
        with client(process) as kt:
            kt.set("last", b"x")
        process.kill()
    other = ("-durable", "process", "-ulog", "other", "-sid", "7", "-le")
    for _ in range(2):
        said = refused(server(tmp_path, *other, database="casket.kct"))
        assert "not the one that has its changes" in said
        assert "start with the same -ulog" in said
    with server(tmp_path, *PROCESS, database="casket.kct") as process, client(process) as kt:
        assert kt.count() == 1001


@pytest.mark.parametrize("longer", [False, True])
@pytest.mark.parametrize("durable", [PROCESS, DEVICE], ids=["process", "device"])
def test_a_log_that_was_removed_or_exchanged(
    tmp_path: Path, *, durable: tuple[str, ...], longer: bool
) -> None:
    with server(tmp_path, *durable, database="casket.kct") as process:
        with client(process) as kt:
            kt.set("first", b"x")
            wait_until(lambda: "place" in state(tmp_path) and state(tmp_path)["place"][2] > 0)
            kt.set("last", b"x")
        process.kill()
    (tmp_path / "log").rename(tmp_path / "kept")
    (tmp_path / "log").mkdir()
    if longer:
        with server(tmp_path, *KEEPING, database="%") as other, client(other) as kt:
            kt.set_bulk({str(number): b"x" for number in range(1000)})
            assert other.stop() == 0
    why = "its file 1 is another one" if longer else "it is empty"
    for _ in range(2):
        said = refused(server(tmp_path, *durable, database="casket.kct"))
        assert f"not the one that has its changes ({why})" in said
        assert "remove casket.kct.durable to go on without" in said
    shutil.rmtree(tmp_path / "log")
    (tmp_path / "kept").rename(tmp_path / "log")
    with server(tmp_path, *durable, database="casket.kct") as process, client(process) as kt:
        assert kt.count() == 2


def state(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "casket.kct.durable").read_bytes())
    return found


def test_databases_are_known_by_their_numbers(tmp_path: Path) -> None:
    databases = ("one.kch", "two.kch")
    with ServerProcess("kt-tycoon", *PROCESS, databases=databases, directory=tmp_path) as process:
        client(process).count()
    turned = ServerProcess("kt-tycoon", *PROCESS, databases=databases[::-1], directory=tmp_path)
    assert "it was database 1 then" in refused(turned)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("read_only", [False, True])
def test_open_refuses_a_file_that_lacks_changes(tmp_path: Path, name: str, read_only: bool) -> None:
    (tmp_path / "link").mkdir()
    link = tmp_path / "link" / name
    link.symlink_to(tmp_path / name)
    with server(tmp_path, *PROCESS, database=name) as process:
        with client(process) as kt:
            kt.set("a", b"1")
        with pytest.raises(ImproperlyConfigured, match=f"{name} was not closed"):
            open_database(tmp_path / name, read_only=read_only)
        process.kill()
    checkpoint = (tmp_path / f"{name}.durable").read_text()
    for path in (tmp_path / name, link):
        with pytest.raises(ImproperlyConfigured, match=f"{name} was not closed.*{name}.durable"):
            open_database(path, read_only=read_only)
    assert (tmp_path / f"{name}.durable").read_text() == checkpoint
    with server(tmp_path, *PROCESS, database=name) as process:
        with client(process) as kt:
            assert kt.get("a") == b"1"
        assert process.stop() == 0
    followed = name.endswith((".kch", ".kct"))  # the library opens no directory by a link
    with open_database(link if followed else tmp_path / name, read_only=read_only) as db:
        assert db.get("a") == "1"
    assert (tmp_path / f"{name}.durable").exists() == read_only  # a writer goes on without the log


def test_open_makes_no_file_in_place_of_one_that_comes_back(tmp_path: Path) -> None:
    with server(tmp_path, *PROCESS, database="casket.kct") as process:
        client(process).set("a", b"1")
        process.kill()
    (tmp_path / "casket.kct").rename(tmp_path / "elsewhere")
    with pytest.raises(ImproperlyConfigured, match="was not closed"):
        open_database(tmp_path / "casket.kct")
    assert not (tmp_path / "casket.kct").exists()


OPENER = """
kt = __kyototycoon__
function open(i, o)
  local db = kt.DB:new()
  o.done = tostring(db:open(i.path, tonumber(i.mode)))
  o.error = tostring(db:error())
  return kt.RVSUCCESS
end
"""


@pytest.mark.parametrize("mode", [1, 2 | 4])
def test_scripts_refuse_a_file_that_lacks_changes(tmp_path: Path, mode: int) -> None:
    (tmp_path / "script.lua").write_text(OPENER)
    with server(tmp_path, *PROCESS, database="casket.kct") as process:
        client(process).set("a", b"1")
        process.kill()
    path = bytes(tmp_path / "casket.kct")
    other = server(tmp_path, "-scr", "script.lua", "-le", database="*")
    with other, client(other) as kt:
        found = kt.script("open", {"path": path, "mode": b"%d" % mode})
    assert found["done"] == b"false"
    assert b"no permission" in found["error"]
    assert b"casket.kct was not closed" in found["error"]
