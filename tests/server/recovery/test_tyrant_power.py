"""``kt-tyrant -durable device``: a database comes back after a loss of power.

What is lost then is left to chance: of what was not brought to the device, any block may be there.
Only the update log grows at its end, so there may be any part of it that ends there: file systems
make a file longer when what it holds is written.
"""

from __future__ import annotations

import json
import random
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

import kt
from kt.errors import ImproperlyConfigured, KTError
from kt.server.engines.log._log import UpdateLog
from kt.server.engines.tokyo._engine import Database
from kt.server.log_files import TYRANT, LogFiles
from tests.crash.test_crash import KILLS, SEED

from ..processes import ServerProcess, refused
from ..test_log_retention import wait_until
from .test_tyrant_durable import (
    FILES,
    IN_MEMORY,
    KEEPING,
    LONGEST,
    SCRIPT,
    Judged,
    change_in_every_way,
    client,
    server,
)

DEVICE = ("-durable", "device", *KEEPING)
BLOCK = 4096
KEPT = ("casket.tch", "casket.tcb", "casket.tct#idx=c:lex")

pytestmark = pytest.mark.timeout(600)


def mixed(old: bytes, new: bytes, chance: random.Random) -> bytes:
    """What a device may have that has all of `old`, while the system has `new`."""
    size = chance.choice((len(old), len(new)))
    blocks = (
        chance.choice((old, new))[begin : begin + BLOCK].ljust(BLOCK, b"\0")
        for begin in range(0, size, BLOCK)
    )
    return b"".join(blocks)[:size]


def lose_power(machine: Path, device: Path, seed: int) -> None:
    """Leave what came to the device, and any part of the rest, to another start of the machine."""
    chance = random.Random(seed)
    for path in (*machine.glob("casket*"), *machine.glob("log/*")):
        there = device / path.name
        old = there.read_bytes() if there.exists() else b""
        new = path.read_bytes()
        if path.suffix == ".durable" or ".base-" in path.name:
            path.write_bytes(old)
        elif path.suffix == ".ulog":
            assert new.startswith(old), path
            size = chance.randint(len(old), len(new))
            path.write_bytes(new[:size])
        elif not there.exists() and chance.random() < 0.3:
            path.unlink()
        else:
            path.write_bytes(mixed(old, new, chance))
        if not old and (path.suffix == ".durable" or ".base-" in path.name):
            path.unlink()
    another_boot(machine)


def another_boot(machine: Path) -> None:
    for path in machine.glob("*.durable"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))


class WithoutPower(Judged):
    """A database whose machine loses power again and again, and what comes back."""

    promise = "device"

    def __init__(self, directory: Path, database: str, last_call: str) -> None:
        self.machine, self.device = directory / "machine", directory / "device"
        self.machine.mkdir()
        self.device.mkdir()
        super().__init__(self.machine, database)
        self.environment = {"LD_PRELOAD": last_call, "KT_DEVICE": str(self.device)}

    def server(self, *args: str, **environment: str) -> ServerProcess:
        return server(
            self.machine,
            *DEVICE,
            *args,
            database=self.database,
            **self.environment,
            **environment,
        )

    def lose(self, seed: int) -> None:
        lose_power(self.machine, self.device, seed)


@pytest.mark.parametrize("database", IN_MEMORY[:2] + FILES)
def test_a_loss_of_power_loses_nothing(database: str, tmp_path: Path, last_call: str) -> None:
    seed = random.Random(f"{SEED}{database}power").randrange(10**6)
    print(f"KT_CRASH_SEED={SEED}, seed {seed}")
    judged = WithoutPower(tmp_path, database, last_call)
    for turn in range(KILLS):
        judged.write(seed + turn, random.Random(seed + turn).uniform(0, LONGEST))


@pytest.mark.parametrize("files", ["/log/", "casket"])
@pytest.mark.parametrize("database", ["*", *KEPT])
def test_a_loss_of_power_in_any_call_loses_nothing(
    database: str, files: str, tmp_path: Path, last_call: str
) -> None:
    seed = random.Random(f"{SEED}{database}{files}power").randrange(10**6)
    print(f"KT_CRASH_SEED={SEED}, seed {seed}")
    judged = WithoutPower(tmp_path, database, last_call)
    for turn in range(KILLS):
        call = random.Random(seed + turn).choice((*range(1, 60), 100, 300))
        seconds = random.Random(seed + turn).uniform(0, LONGEST)
        judged.write(seed + turn, seconds, KT_KILL_AT=str(call), KT_FILES=files)


@pytest.mark.parametrize("database", ["+", "casket.tch", "casket.tcb"])
def test_every_kind_of_change_is_there_once(database: str, tmp_path: Path, last_call: str) -> None:
    judged = WithoutPower(tmp_path, database, last_call)
    (judged.machine / "s.lua").write_text(SCRIPT)
    with judged.server("-ext", "s.lua") as process:
        with client(process) as tt:
            tt.set("cleared", b"0")
            tt.clear()
            change_in_every_way(process, tt)
            before = dict(tt.items())
        for turn in range(2):
            process.kill()
            lose_power(judged.machine, judged.device, turn)
            process.start()
            with client(process) as tt:
                assert dict(tt.items()) == before
        assert "turned out otherwise" not in process.printed()


def test_what_many_write_at_once(tmp_path: Path, last_call: str) -> None:
    judged = WithoutPower(tmp_path, "casket.tch", last_call)
    acknowledged: list[dict[str, bytes]] = [{} for _ in range(6)]
    begun = threading.Barrier(len(acknowledged) + 1)

    def write(process: ServerProcess, number: int) -> None:
        with suppress(KTError), client(process) as tt:
            for turn in range(100_000):
                tt.set(f"{number}:{turn}", b"v%d" % turn)
                acknowledged[number][f"{number}:{turn}"] = b"v%d" % turn
                if turn == 20:
                    begun.wait(60)

    with judged.server() as process:
        writers = [threading.Thread(target=write, args=(process, n)) for n in range(6)]
        for writer in writers:
            writer.start()
        begun.wait(60)
        process.kill()
        for writer in writers:
            writer.join()
        lose_power(judged.machine, judged.device, 7)
        process.start()
        with client(process) as tt:
            for each in acknowledged:
                assert tt.get_bulk(list(each)) == each


# The base


def test_a_base_is_the_file_at_its_stamp(tmp_path: Path) -> None:
    """Though others write while it is copied."""
    (tmp_path / "log").mkdir()
    path = str(tmp_path / "casket.tch#bnum=1000")
    log = UpdateLog(str(tmp_path / "log"), kind="tyrant", server=7, durable="device")
    database = Database(path, durable=True)
    database.set_update_log(log, every_change=True)
    for number in range(2000):
        database.misc(b"put", [b"%d" % number, b"x" * 2000])
        if number == 1000:
            break
    ended = threading.Event()

    def write() -> None:
        chance = random.Random(1)
        while not ended.is_set():
            number = chance.randint(0, 3000)
            database.misc(b"put", [b"%d" % number, b"%d" % chance.randint(0, 9) * 1500])
            database.misc(b"out", [b"%d" % chance.randint(0, 3000)])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        stamps = [database.copy_point(str(tmp_path / f"base{n}.tch")) for n in range(3)]
    finally:
        ended.set()
        writer.join()
    assert database.close()
    assert log.flush()
    for number, stamp in enumerate(stamps):
        assert stamp
        kept: dict[bytes, bytes] = {}
        for record in LogFiles(str(tmp_path / "log"), TYRANT).records():
            if record.stamp <= stamp:
                follow(record.command, kept)
        base = Database(str(tmp_path / f"base{number}.tch"), durable=True)
        assert base.since == stamp
        assert base.count() == len(kept)
        assert all(base.get(key) == value for key, value in kept.items())


def follow(command: bytes, kept: dict[bytes, bytes]) -> None:
    """Do what a logged `put` or `out` of `misc` did."""
    size, count = int.from_bytes(command[2:6], "big"), int.from_bytes(command[6:10], "big")
    name, at = command[10 : 10 + size], 10 + size
    words = []
    for _ in range(count):
        size = int.from_bytes(command[at : at + 4], "big")
        words.append(command[at + 4 : at + 4 + size])
        at += 4 + size
    if name == b"put":
        kept[words[0]] = words[1]
    else:
        kept.pop(words[0], None)


def test_the_base_follows_the_log(tmp_path: Path, last_call: str) -> None:
    judged = WithoutPower(tmp_path, "casket.tch", last_call)
    with judged.server("-ulim", "4m", "-ulog-keep", "8m") as process:
        with client(process) as tt:
            assert tt.count() == 0
            [first] = (path.name for path in judged.machine.glob("*.base-*[0-9]"))
            for turn in range(80):
                tt.set(f"{turn % 8}", b"%d" % turn * (1 << 19))
        wait_until(lambda: not (judged.machine / first).exists())
        process.kill()
        assert len(list(judged.machine.glob("*.base-*"))) == 2
        lose_power(judged.machine, judged.device, 3)
        process.start()
        with client(process) as tt:
            assert all(tt.get(f"{turn % 8}") == b"%d" % turn * (1 << 19) for turn in range(72, 80))


# What is known of a file


def written(directory: Path, database: str) -> ServerProcess:
    process = server(directory, *DEVICE, database=database)
    process.start()
    with client(process) as tt:
        for n in range(100):
            tt.misc("put", [f"{n}", "c", "x"] if "tct" in database else [f"{n}", "x"])
    return process


@pytest.mark.parametrize("database", KEPT)
def test_a_closed_file_needs_no_base(database: str, tmp_path: Path) -> None:
    process = written(tmp_path, database)
    assert process.stop() == 0
    another_boot(tmp_path)
    process.start()
    with client(process) as tt:
        assert tt.count() == 100
    assert process.stop() == 0
    assert "set aside" not in process.printed()
    path = database.partition("#")[0]
    with kt.open(str(tmp_path / path), server="tyrant", read_only=True) as db:
        assert db.count() == 100
    assert list(tmp_path.glob("*.durable"))
    with kt.open(str(tmp_path / path), server="tyrant") as db:
        assert db.count() == 100
    assert not list(tmp_path.glob("*.durable"))
    assert not list(tmp_path.glob("*.base-*"))


@pytest.mark.parametrize("database", KEPT)
def test_after_a_loss_of_power_it_is_for_its_server_only(database: str, tmp_path: Path) -> None:
    process = written(tmp_path, database)
    process.kill()
    another_boot(tmp_path)
    name = database.partition("#")[0]
    for args in ((), KEEPING, ("-durable", "process", *KEEPING)):
        assert "not closed by the server" in refused(server(tmp_path, *args, database=name))
    for read_only in (False, True):
        with pytest.raises(ImproperlyConfigured, match="not closed by the server"):
            kt.open(str(tmp_path / name), read_only=read_only)
    (tmp_path / "other").mkdir()
    other = ("-durable", "device", "-ulog", "other", "-sid", "7")
    with process:
        with client(process) as tt:
            assert tt.count() == 100
        assert "is set aside as" in process.printed()
        process.kill()
        (tmp_path / "output").unlink()
        assert "is not the one" in refused(server(tmp_path, *other, database=database))
        process.start()
        assert process.stop() == 0


@pytest.mark.parametrize("database", KEPT)
def test_a_closed_file_that_gets_another_log(database: str, tmp_path: Path) -> None:
    """What was written between the base and the stop is in neither that base nor that log."""
    assert written(tmp_path, database).stop() == 0
    (tmp_path / "other").mkdir()
    other = ("-durable", "device", "-ulog", "other", "-sid", "7")
    with server(tmp_path, *other, database=database) as process:
        with client(process) as tt:
            tt.misc("put", ["later", "c", "x"] if "tct" in database else ["later", "x"])
        process.kill()
        another_boot(tmp_path)
        process.start()
        with client(process) as tt:
            assert tt.count() == 101
        assert "is set aside as" in process.printed()


@pytest.mark.parametrize("database", KEPT)
def test_a_log_that_was_removed(database: str, tmp_path: Path) -> None:
    written(tmp_path, database).kill()
    [log] = (tmp_path / "log").glob("*.ulog")
    kept = log.rename(tmp_path / "kept")
    for boot in ("", "another"):
        if boot:
            another_boot(tmp_path)
        said = refused(server(tmp_path, *DEVICE, database=database))
        assert "not the one that has its changes (it is empty)" in said
        assert "-durable forget" in said
    kept.rename(log)
    with server(tmp_path, *DEVICE, database=database) as process, client(process) as tt:
        assert tt.count() == 100


def test_what_only_the_log_has_can_be_given_up(tmp_path: Path) -> None:
    written(tmp_path, "casket.tcb").kill()
    another_boot(tmp_path)
    shutil.rmtree(tmp_path / "log")
    with server(tmp_path, "-durable", "forget", database="casket.tcb") as process:
        with client(process) as tt:
            assert tt.count() == 0  # as of the base
        assert process.stop() == 0
    kt.open(str(tmp_path / "casket.tcb"), server="tyrant").close()


def test_a_file_that_was_removed_begins_anew(tmp_path: Path) -> None:
    process = written(tmp_path, "casket.tch")
    assert process.stop() == 0
    (tmp_path / "casket.tch").unlink()
    with process, client(process) as tt:
        assert tt.count() == 0
