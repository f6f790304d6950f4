"""kt-tycoon's update log: what is in it, whatever happens to the server or the disk."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kt import KyotoTycoon, ServerError

from ..processes import HOST, ServerProcess
from ..update_logs import DATA, NEVER, Change, Follower, change, changes, original, records

SCRIPT = """
kt = __kyototycoon__
function commit(i, o) kt.db:begin_transaction() kt.db:set("t1", "a") kt.db:remove("t1")
  kt.db:end_transaction(true) return kt.RVSUCCESS end
function abort(i, o) kt.db:begin_transaction() kt.db:set("lost", "x")
  kt.db:end_transaction(false) return kt.RVSUCCESS end
function dump(i, o) return kt.db:dump_snapshot("dumped") and kt.RVSUCCESS or kt.RVEINTERNAL end
function load(i, o) return kt.db:load_snapshot("dumped") and kt.RVSUCCESS or kt.RVEINTERNAL end
function visit(i, o) kt.db:accept("visited", function(k, v, xt) return "seen" end)
  return kt.RVSUCCESS end
"""

KINDS = ["*", "%", ":", "+", "a.kch", "b.kct", "c.kcd", "d.kcf"]


CHANGES: list[Callable[[KyotoTycoon], object]] = [
    lambda kt: kt.set("during", "x"),
    lambda kt: kt.set("during", "y"),
    lambda kt: kt.add("during2", "x"),
    lambda kt: kt.incr("number"),
    lambda kt: kt.remove("large"),
    lambda kt: kt.remove_bulk(["large"]),
    lambda kt: kt.seize("large"),
    lambda kt: kt.clear(),
]


def server(directory: Path, *args: str, databases: tuple[str, ...] = ("*",)) -> ServerProcess:
    return ServerProcess(
        "kt-tycoon", "-ulog", "log", "-sid", "11", *args, databases=databases, directory=directory
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ServerProcess]:
    with server(tmp_path, "-ls") as process:
        yield process


def client(process: ServerProcess) -> KyotoTycoon:
    return KyotoTycoon(HOST, process.port)


def put(key: bytes, value: bytes, database: int = 0, expiry: int = NEVER) -> Change:
    return Change(11, database, "set", key, expiry.to_bytes(5, "big") + value)


def gone(key: bytes, database: int = 0) -> Change:
    return Change(11, database, "remove", key)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_change(kind: str, tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(SCRIPT)
    args = ("-scr", "s.lua")
    with server(tmp_path, *args, databases=(kind, "%#ktopts=p")) as process:
        with client(process) as kt:
            kt.set("a", b"1")
            kt.add("a", b"2")
            kt.append("a", b"2")
            kt.replace("none", b"x")
            kt.incr("n", 5)
            kt.incr("n", 0)
            kt.cas("a", b"12", b"3")
            kt.cas("a", b"no", b"4")
            kt.remove("none")
            kt.set_bulk({"m1": b"1", "m2": b"2"})
            kt.remove_bulk(["m1", "m2"])
            kt.set("plain", b"v", db=1)
            kt.script("commit")
            kt.script("abort")
            kt.script("visit")
            kt.clear()
        process.stop()
    assert changes(tmp_path / "log") == [
        put(b"a", b"1"),
        put(b"a", b"12"),
        put(b"n", (5).to_bytes(8, "big")),
        put(b"a", b"3"),
        gone(b"none"),
        put(b"m1", b"1"),
        put(b"m2", b"2"),
        gone(b"m1"),
        gone(b"m2"),
        Change(11, 1, "set", b"plain", b"v"),
        put(b"t1", b"a"),
        gone(b"t1"),
        put(b"visited", b"seen"),
        Change(11, 0, "clear"),
    ]


@pytest.mark.parametrize("kind", [*KINDS, "%#ktopts=p"])
def test_what_a_script_loads_is_logged(kind: str, tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(SCRIPT)
    expiries = (0,) if kind.endswith("=p") else (0, 4102444800)
    loaded = {f"key{n}{xt}": (b"v" * n, xt) for n in range(3) for xt in expiries}
    with server(tmp_path, "-scr", "s.lua", databases=(kind,)) as process:
        with client(process) as kt:
            for key, (value, xt) in loaded.items():
                kt.set(key, value, expire_time=datetime.fromtimestamp(xt, UTC) if xt else None)
            kt.script("dump")
            kt.clear()
            before = len(changes(tmp_path / "log"))
            kt.set("key20", b"other")
            kt.script("load")
            kt.remove("key20")
        process.kill()
    first, *told, last = changes(tmp_path / "log")[before:]
    assert (first.stored[-5:], last.what) == (b"other", "remove")
    plain = kind.endswith("=p")
    assert sorted(told) == sorted(
        Change(11, 0, "set", key.encode(), (b"" if plain else (xt or NEVER).to_bytes(5, "big")) + v)
        for key, (v, xt) in loaded.items()
    )


def test_what_is_acknowledged_is_in_the_log_of_a_killed_server(tmp_path: Path) -> None:
    acknowledged: list[list[bytes]] = [[] for _ in range(4)]

    def write(process: ServerProcess, number: int) -> None:
        try:
            with client(process) as kt:
                for i in range(100_000):
                    key = b"%d-%d" % (number, i)
                    kt.set(key, b"v") if number % 2 else kt.set_bulk({key: b"v"})
                    acknowledged[number].append(key)
        except Exception:
            return

    for _ in range(3):
        with server(tmp_path, "-ulim", "4k") as process:
            threads = [threading.Thread(target=write, args=(process, n)) for n in range(4)]
            for thread in threads:
                thread.start()
            with Following(process) as follower:
                for _ in range(300):
                    follower.frame()
            process.kill()
            for thread in threads:
                thread.join()
        with server(tmp_path, "-ulim", "4k") as process:
            process.stop()
    logged = {change.key for change in changes(tmp_path / "log")}
    assert all(keys and logged.issuperset(keys) for keys in acknowledged)
    assert len(list((tmp_path / "log").glob("*.ulog"))) > 1


class Following(Follower):
    def __init__(self, process: ServerProcess) -> None:
        super().__init__(process.port)

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def test_half_a_record_is_cut_off_and_kept_beside(running: ServerProcess, tmp_path: Path) -> None:
    with client(running) as kt:
        kt.set("a", b"1")
    running.kill()
    path = tmp_path / "log" / "0000000001.ulog"
    path.write_bytes(path.read_bytes() + b"\xa1half")
    running.start()
    with client(running) as kt:
        kt.set("b", b"2")
    running.stop()
    assert changes(tmp_path / "log") == [put(b"a", b"1"), put(b"b", b"2")]
    assert path.with_suffix(".ulog.cut").read_bytes() == b"\xa1half"


@pytest.mark.parametrize(
    ("name", "kept", "files"),
    [
        ("tail", 10, 1),
        ("half-record", 10, 1),
        ("short", 9, 1),
        ("flipped-value-byte", 10, 1),
        ("empty", 0, 1),
        ("header-only", 0, 1),
        ("bad-magic", None, 2),
        ("bad-record-magic", None, 2),
    ],
)
def test_damaged_logs(name: str, kept: int | None, files: int, tmp_path: Path) -> None:
    """A server starts with each of them, and destroys nothing that may still be of use."""
    (tmp_path / "log").mkdir()
    path = tmp_path / "log" / "0000000001.ulog"
    shutil.copyfile(DATA / "tycoon" / f"{name}.ulog", path)
    before = path.read_bytes()
    with server(tmp_path) as process:
        with client(process) as kt:
            kt.set("new", b"1")
        process.stop()
    paths = sorted((tmp_path / "log").glob("*.ulog"))
    assert len(paths) == files
    assert change(records(paths[-1])[-1][1]) == put(b"new", b"1")
    if kept is None:
        assert path.read_bytes() == before
    else:
        assert len(records(path)) == kept + 1


@pytest.mark.parametrize("plain", [False, True])
def test_changes_are_refused_while_they_cannot_be_logged(
    plain: bool, running: ServerProcess, tmp_path: Path
) -> None:
    path = tmp_path / "log" / "0000000001.ulog"
    with client(running) as kt:
        kt.set("large", "x" * 50_000)  # the server's own log must have room
    pid = running.process.pid
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 5, unlimited[1]))
    for change_ in CHANGES:
        with client(running) as kt:
            for _ in range(100 if plain else 0):  # an I/O thread serves the connection then
                assert kt.get("large") is not None
            with pytest.raises(ServerError):
                change_(kt)
    with client(running) as kt:
        assert kt.get("large") is not None
    running.wait_for_output("changes are refused")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    with client(running) as kt:
        kt.set("after", b"1")
        contents = {key: kt.get(key) for key in ("large", "during", "after")}
    running.wait_for_output("is written again")
    running.stop()
    replayed = {}
    for one in changes(tmp_path / "log"):
        replayed[one.key.decode()] = one.value.decode() if one.what == "set" else None
    assert {key: replayed.get(key) for key in contents} == contents


def test_a_follower_gets_everything_once_and_at_once(running: ServerProcess) -> None:
    with client(running) as kt, Following(running) as follower:
        kt.set_bulk({f"{i}": b"v" * 1000 for i in range(2000)})
        got = []
        while len(got) < 2000:
            got += follower.until_beat()
        assert [change(message).key for _, message in got] == [b"%d" % i for i in range(2000)]
        middle = got[999][0]
        later = Follower(running.port, since=middle)
        assert [stamp for stamp, _ in later.until_beat()] == [stamp for stamp, _ in got[1000:]]
        later.close()
        stamp, message = follower.frame()
        assert message is None
        assert stamp >= got[-1][0]
        kt.set("x", b"y")
        while message is None:
            after, message = follower.frame()
        assert after > stamp


def test_what_a_follower_has_made_itself_is_left_out(running: ServerProcess) -> None:
    with client(running) as kt:
        kt.set_bulk({f"{i}": b"v" for i in range(600)})
    own = Follower(running.port, server=11)
    assert [message for _, message in own.until_beat()] == [b"", b""]
    own.close()
    only = Follower(running.port, server=11, flags=1)
    assert len(list(only.until_beat())) == 600
    only.close()


def test_a_follower_that_meets_a_broken_record_is_not_led_beyond(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    path = tmp_path / "log" / "0000000001.ulog"
    shutil.copyfile(DATA / "tycoon" / "bad-record-magic.ulog", path)
    with server(tmp_path) as process:
        with client(process) as kt:
            kt.set("new", b"1")
        follower = Follower(process.port)
        keys = [change(follower.frame()[1] or b"").key for _ in range(5)]
        assert keys == [b"key%d" % i for i in range(5)]
        assert follower.file.read() == b""
        follower.close()
        process.wait_for_output("no record at byte")


def test_a_follower_does_not_keep_the_server_from_stopping(running: ServerProcess) -> None:
    follower = Follower(running.port)
    follower.frame()
    assert running.stop(signal.SIGTERM) == 0
    follower.close()


def test_two_servers_do_not_write_the_same_log(running: ServerProcess, tmp_path: Path) -> None:
    with client(running) as kt:
        assert kt.count() == 0  # it has answered, so it has the log; it listens before that
    other = server(tmp_path)
    other.spawn()
    try:
        assert other.process.wait(60) == 1
    finally:
        other.kill()
    assert "is in use" in other.printed()


def test_removed_files_are_gone_but_never_the_newest(tmp_path: Path) -> None:
    with server(tmp_path, "-ulim", "100") as process, client(process) as kt:
        for i in range(30):
            kt.set(f"{i}", b"v" * 50)
        listed = kt.ulog_list()
        assert len(listed) == len(list((tmp_path / "log").glob("*.ulog"))) > 3
        kt.ulog_remove(listed[1].timestamp)
        assert [file.path for file in kt.ulog_list()] == [file.path for file in listed[2:]]
        kt.ulog_remove()
        assert [file.path for file in kt.ulog_list()] == [listed[-1].path]


# The original programs


def test_the_original_tool_reads_our_files(tmp_path: Path) -> None:
    program = original("ktutilmgr")
    with server(tmp_path, databases=("*", "%")) as process:
        with client(process) as kt:
            kt.set("a", b"1")
            kt.remove("a")
            kt.clear(db=1)
        process.stop()
    shown = subprocess.run(
        [program, "ulog", str(tmp_path / "log")], check=True, capture_output=True, text=True
    ).stdout
    messages = [bytes.fromhex(line.split("\t")[1]) for line in shown.splitlines()]
    assert [change(message) for message in messages] == changes(tmp_path / "log")


def test_the_original_tool_follows_us(running: ServerProcess) -> None:
    program = original("ktremotemgr")
    with client(running) as kt:
        kt.set("a", b"1")
        kt.remove("a")
    shown = subprocess.run(
        [program, "slave", "-host", HOST, "-port", str(running.port)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert [line.split("\t")[1:4] for line in shown.splitlines()] == [
        ["11", "0", "set"],
        ["11", "0", "remove"],
    ]


def test_the_original_server_goes_on_with_our_log_and_we_with_its(tmp_path: Path) -> None:
    program = original("ktserver")
    for number, name in enumerate(["kt-tycoon", program, "kt-tycoon"]):
        process = ServerProcess(
            name, "-ulog", "log", "-sid", "11", databases=("*",), directory=tmp_path
        )
        with process:
            with client(process) as kt:
                kt.set(f"k{number}", b"v")
            process.stop()
    assert changes(tmp_path / "log") == [put(b"k%d" % i, b"v") for i in range(3)]


def test_the_original_server_follows_us(running: ServerProcess, tmp_path: Path) -> None:
    program = original("ktserver")
    args = ("-sid", "12", "-mhost", HOST, "-mport", str(running.port), "-rts", "slave.rts")
    (tmp_path / "slave").mkdir()
    slave = ServerProcess(program, *args, databases=("*",), directory=tmp_path / "slave")
    with slave, client(running) as kt, client(slave) as follower:
        kt.set_bulk({f"{i}": "v" for i in range(1000)})
        while follower.count() < 1000:
            pass
        kt.remove("7")
        while follower.count() > 999:
            pass
        assert follower.get("8") == "v"
