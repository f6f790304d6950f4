"""``kt-tyrant -durable``: a database comes back, wherever its server is killed."""

from __future__ import annotations

import random
import shutil
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

import kt
from kt import TokyoTyrant
from kt.errors import ImproperlyConfigured, ServerConnectionError, ServerError
from kt.serializers import KT_NONE
from tests.crash.test_crash import KILLS, SEED, Writer
from tests.crash.workload import Account, contents, steps

from ..processes import HOST, ServerProcess, refused

IN_MEMORY = ("*", "+", "*#bnum=100")
FILES = (
    "casket.tch",
    "casket.tch#bnum=100#dfunit=4",
    "casket.tcb",
    "casket.tcb#lcnum=64#lmemb=8",
    "casket.tct#idx=c:lex",
)
KEEPING = ("-ulog", "log", "-sid", "7")
DURABLE = ("-durable", "process", *KEEPING)
WIDE = 600
LONGEST = 0.6
"""Seconds for which a writer writes at most."""

SCRIPT = """
function fill(key, value)
  for n = 1, 100 do _put(key .. n, value) end
  _misc("putlist", "listed", value)
  return "ok"
end
"""


def server(directory: Path, *args: str, database: str = "*", **environment: str) -> ServerProcess:
    (directory / "log").mkdir(exist_ok=True)
    return ServerProcess(
        "kt-tyrant", *args, databases=[database], directory=directory, environment=environment
    )


def client(process: ServerProcess) -> TokyoTyrant[str, bytes]:
    return TokyoTyrant(HOST, process.port, KT_NONE, timeout=30)


class Judged:
    """A database that is written and killed again and again, and judged by what comes back."""

    promise = "process"

    def __init__(self, directory: Path, database: str) -> None:
        self.directory = directory
        self.database = database
        self.suffix = {"*": ".tch", "+": ".tcb"}.get(database[0]) or f".{database[7:10]}"
        self.found: dict[str, bytes] = {}

    def server(self, *args: str, **environment: str) -> ServerProcess:
        return server(self.directory, *DURABLE, *args, database=self.database, **environment)

    def write(self, seed: int, seconds: float, **environment: str) -> None:
        """Let somebody write for that long, or until the server kills itself; then judge."""
        acknowledged = 0
        process = self.server("-ulim", "64k", **environment)
        try:
            process.start()
            writer = Writer(self.suffix, seed, process.port, self.promise)
        except (AssertionError, ServerConnectionError):
            assert "KT_KILL_AT" in environment  # the start is what was killed
        else:
            with suppress(AssertionError):  # the writer ends with the server
                writer.watch(seconds)
            process.kill()
            acknowledged = writer.kill()
        process.kill()
        self.lose(seed)
        self.judge(Account(self.found, steps(seed, wide=WIDE), acknowledged, self.promise))

    def lose(self, seed: int) -> None:
        """What else happens to the machine."""

    def judge(self, account: Account) -> None:
        with self.server() as process:
            with client(process) as tt:
                self.found, complaints = contents(tt, self.suffix)
            complaints += account.complaints(self.found, whole_bulks=False, in_place=False)
            assert process.stop() == 0
            assert "turned out otherwise" not in process.printed()
        assert not complaints, "\n".join(complaints[:20]) + process.printed()


# Kills


@pytest.mark.parametrize("database", IN_MEMORY + FILES)
def test_a_kill_at_any_moment_loses_nothing(database: str, tmp_path: Path) -> None:
    seed = random.Random(f"{SEED}{database}").randrange(10**6)
    print(f"KT_CRASH_SEED={SEED}, seed {seed}")
    judged = Judged(tmp_path, database)
    for turn in range(KILLS):
        judged.write(seed + turn, random.Random(seed + turn).uniform(0, LONGEST))


@pytest.mark.parametrize("files", ["/log/", "casket"])
@pytest.mark.parametrize("database", ["*", "+", "casket.tch", "casket.tcb", "casket.tct#idx=c:lex"])
def test_a_kill_in_any_call_for_a_file_loses_nothing(
    database: str, files: str, tmp_path: Path, last_call: str
) -> None:
    seed = random.Random(f"{SEED}{database}{files}call").randrange(10**6)
    print(f"KT_CRASH_SEED={SEED}, seed {seed}")
    judged = Judged(tmp_path, database)
    for turn in range(KILLS):
        call = random.Random(seed + turn).choice((*range(1, 40), 100, 300))
        judged.write(
            seed + turn, LONGEST, LD_PRELOAD=last_call, KT_KILL_AT=str(call), KT_FILES=files
        )


# What comes back


def change_in_every_way(process: ServerProcess, tt: TokyoTyrant[str, bytes]) -> None:
    tt.set("set", b"1")
    tt.add("set", b"not stored")
    tt.add("added", b"2")
    for _ in range(3):
        tt.append("appended", b"abc")
        tt.incr("number", 5)
        tt.incr_double("double", 0.25)
        tt.misc("putcat", ["by misc", b"xy"], update_log=False)
    tt.set("removed", b"3")
    tt.remove("removed")
    tt.remove("never there")
    tt.set_bulk({f"bulk{n}": b"%d" % n for n in range(3000)})
    tt.remove_bulk([f"bulk{n}" for n in range(1000)])
    tt.misc("putlist", ["not for the log", b"4"], update_log=False)
    tt.misc("out", ["added"], update_log=False)
    tt.script("fill", "scripted", b"5")
    with closing(HTTPConnection(HOST, process.port, timeout=30)) as web:
        web.request("PUT", "/by%20http", b"6")
        assert web.getresponse().status == 201


@pytest.mark.parametrize("database", ["*", "+", "casket.tch", "casket.tcb#lcnum=64#lmemb=8"])
def test_every_kind_of_change_comes_back_once(database: str, tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(SCRIPT)
    args = (*DURABLE, "-ext", "s.lua")
    with server(tmp_path, *args, database=database) as process:
        with client(process) as tt:
            tt.set("cleared", b"0")
            tt.clear()
            change_in_every_way(process, tt)
            before = dict(tt.items())
        assert len(before) == 2000 + 100 + 8
        process.kill()
        for turn in range(3):
            process.start()
            with client(process) as tt:
                assert dict(tt.items()) == before
                before[f"turn{turn}"] = b"x"
                tt.set(f"turn{turn}", b"x")
            process.kill() if turn % 2 else process.stop()
        assert "carrying out the update log" in process.printed()
        assert "turned out otherwise" not in process.printed()


def test_what_only_reads_is_not_logged_for_that(tmp_path: Path) -> None:
    with server(tmp_path, *DURABLE) as process, client(process) as tt:
        tt.set("a", b"1")
        log = tmp_path / "log" / "00000001.ulog"
        size = log.stat().st_size
        for function in ("get", "getlist", "regex", "iterinit"):
            tt.misc(function, ["a"], update_log=False)
        assert log.stat().st_size == size


def test_what_the_log_has_from_a_server_that_began_empty_is_said(tmp_path: Path) -> None:
    with server(tmp_path, *KEEPING) as process, client(process) as tt:
        tt.add("a", b"1")
        process.restart()
    with server(tmp_path, *KEEPING) as process, client(process) as tt:
        tt.add("a", b"2")
        tt.set("b", b"3")
        process.stop()
    with server(tmp_path, *DURABLE) as process, client(process) as tt:
        assert dict(tt.items()) == {"a": b"1", "b": b"3"}
        assert "1 commands turned out otherwise" in process.printed()


# What is refused


@pytest.mark.parametrize(
    ("args", "database", "why"),
    [
        (DURABLE, "c.tcf", "fixed-length"),
        ((*DURABLE, "-mul", "4"), "c.tch", "not -mul"),
        (("-durable", "process"), "*", "needs an update log"),
        (("-durable", "process", "-ulog", "log"), "*", "needs an update log"),
        ((*DURABLE, "-ulog-keep", "1g"), "*", "not -ulog-keep"),
        ((*DURABLE, "-mhost", HOST, "-mport", "9"), "*", "follows another"),
    ],
)
def test_what_cannot_be_kept_so(
    args: tuple[str, ...], database: str, why: str, tmp_path: Path
) -> None:
    assert why in refused(server(tmp_path, *args, database=database))
    assert not (tmp_path / database).exists()
    assert not list((tmp_path / "log").iterdir())


def test_it_follows_nobody_later(tmp_path: Path) -> None:
    with server(tmp_path, *DURABLE) as process, client(process) as tt:
        with pytest.raises(ServerError):
            tt.set_master(HOST, 9)
        process.wait_for_output("-durable forbids it")
        tt.set("a", b"1")


def written(directory: Path) -> list[Path]:
    with server(directory, *DURABLE, "-ulim", "4k") as process:
        with client(process) as tt:
            for n in range(300):
                tt.set(f"{n}", b"x" * 50)
        process.kill()
    return sorted((directory / "log").glob("*.ulog"))


def test_a_log_that_has_not_everything(tmp_path: Path) -> None:
    first, *others = written(tmp_path)
    assert others
    first.rename(tmp_path / "kept")
    assert "first files have been removed" in refused(server(tmp_path, *DURABLE))
    shutil.move(tmp_path / "kept", first)
    with server(tmp_path, *DURABLE) as process, client(process) as tt:
        assert tt.count() == 300


def test_a_damaged_log(tmp_path: Path) -> None:
    path = written(tmp_path)[1]
    data = path.read_bytes()
    path.write_bytes(b"\0" + data[1:])
    after = path.read_bytes()
    assert "does not come back from the update log" in refused(server(tmp_path, *DURABLE))
    assert path.read_bytes() == after
    path.write_bytes(data)
    with server(tmp_path, *DURABLE) as process, client(process) as tt:
        assert tt.count() == 300


def test_half_a_command_at_the_end_was_not_acknowledged(tmp_path: Path) -> None:
    path = written(tmp_path)[-1]
    with open(path, "ab") as file:
        file.write(b"\xc9" + bytes(12))
    with server(tmp_path, *DURABLE) as process:
        with client(process) as tt:
            assert tt.count() == 300
            tt.set("after", b"1")
        process.kill()
        process.start()
        with client(process) as tt:
            assert tt.count() == 301


def test_a_start_can_be_ended(tmp_path: Path) -> None:
    """While the log is carried out, or just behind that: nothing is lost by that."""
    written(tmp_path)
    (tmp_path / "output").unlink()
    process = server(tmp_path, *DURABLE)
    process.spawn()
    process.wait_for_output("carrying out the update log")
    assert process.stop() == 0
    with server(tmp_path, *DURABLE) as again, client(again) as tt:
        assert tt.count() == 300


# Files

KEPT = ("casket.tch", "casket.tcb", "casket.tct#idx=c:lex")


def killed(directory: Path, database: str) -> Path:
    """A file whose update log has more than the file."""
    with server(directory, *DURABLE, database=database) as process:
        with client(process) as tt:
            tt.synchronize()
            for n in range(100):
                tt.misc("put", [f"{n}", "c", "x"] if "tct" in database else [f"{n}", "x"])
        process.kill()
    return directory / database.partition("#")[0]


@pytest.mark.parametrize("database", KEPT)
def test_a_killed_file_is_for_its_server_only(database: str, tmp_path: Path) -> None:
    path = killed(tmp_path, database)
    for args in ((), KEEPING):
        assert "-durable keeps it" in refused(server(tmp_path, *args, database=path.name))
    for read_only in (False, True):
        with pytest.raises(ImproperlyConfigured, match="-durable keeps it"):
            kt.open(str(path), read_only=read_only)
    with server(tmp_path, *DURABLE, database=database) as process, client(process) as tt:
        assert tt.count() == 100
        assert process.stop() == 0
    with kt.open(str(path)) as db:
        assert db.count() == 100


@pytest.mark.parametrize("database", KEPT)
def test_what_only_the_log_has_can_be_given_up(database: str, tmp_path: Path) -> None:
    path = killed(tmp_path, database)
    (tmp_path / "log").rename(tmp_path / "lost")
    reader = server(tmp_path, "-durable", "forget", database=f"{path.name}#mode=r")
    assert "-durable keeps it" in refused(reader)
    with server(tmp_path, "-durable", "forget", database=path.name) as process:
        with client(process) as tt:
            assert tt.count() <= 100
        assert process.stop() == 0
    kt.open(str(path)).close()


@pytest.mark.parametrize("database", KEPT)
def test_a_copy_needs_no_log(database: str, tmp_path: Path) -> None:
    with server(tmp_path, *DURABLE, database=database) as process, client(process) as tt:
        for n in range(100):
            tt.misc("put", [f"{n}", "c", "x"] if "tct" in database else [f"{n}", "x"])
        copy = tmp_path / f"copy{Path(database.partition('#')[0]).suffix}"
        tt.copy(str(copy))
        with kt.open(str(copy)) as db:
            assert db.count() == 100
        tt.misc("put", ["later", "c", "x"] if "tct" in database else ["later", "x"])
        process.kill()
        process.start()
        with client(process) as again:
            assert again.count() == 101


@pytest.mark.parametrize("database", KEPT)
def test_clearing_and_rebuilding_come_back_in_their_order(database: str, tmp_path: Path) -> None:
    words = ["c", "x"] if "tct" in database else ["x"]
    with server(tmp_path, *DURABLE, database=database) as process:
        with client(process) as tt:
            for n in range(100):
                tt.misc("put", [f"before{n}", *words])
            tt.clear()
            tt.misc("put", ["a", *words])
            tt.optimize()
            tt.synchronize()
            tt.misc("put", ["b", *words])
            tt.clear()
            tt.misc("put", ["c", *words])
        for _ in range(2):
            process.kill()
            process.start()
            with client(process) as tt:
                assert list(tt.keys()) == ["c"]


@pytest.mark.parametrize("database", KEPT[:2])
def test_a_kill_while_the_log_is_carried_out_costs_time_only(
    database: str, tmp_path: Path, last_call: str
) -> None:
    with server(tmp_path, *DURABLE, database=database) as process:
        with client(process) as tt:
            tt.synchronize()
            for n in range(500):
                tt.append(f"{n % 50}", b"x")
        process.kill()
    kills = 0
    for call in range(1, 200, 3):
        environment = {"LD_PRELOAD": last_call, "KT_KILL_AT": str(call), "KT_FILES": "casket"}
        again = server(tmp_path, *DURABLE, database=database, **environment)
        with suppress(AssertionError, ServerConnectionError):  # it is killed while it starts
            again.start()
            with client(again) as tt:
                tt.count()
            again.kill()
            break
        again.kill()
        kills += 1
    assert kills > 3
    with server(tmp_path, *DURABLE, database=database) as process, client(process) as tt:
        assert dict(tt.items()) == {f"{n}": b"x" * 10 for n in range(50)}


def test_a_file_needs_the_log_behind_its_mark(tmp_path: Path) -> None:
    killed(tmp_path, "casket.tch")
    [path] = (tmp_path / "log").glob("*.ulog")
    data = path.read_bytes()
    at = data.rindex(b"\xc9\x00")  # of the last command
    path.write_bytes(data[:at] + b"\0" + data[at + 1 :])
    complaint = refused(server(tmp_path, *DURABLE, database="casket.tch"))
    assert "does not come back from the update log" in complaint
    assert "-durable forget" in complaint
    path.write_bytes(data)
    with server(tmp_path, *DURABLE, database="casket.tch") as process, client(process) as tt:
        assert tt.count() == 100
