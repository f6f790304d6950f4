"""kt-tyrant's update log: what is in it, who follows it, and what is restored from it."""

from __future__ import annotations

import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

import pytest

from kt import TokyoTyrant
from kt.errors import KTError, ServerError
from kt.serializers import KT_NONE
from kt.wire.log.tyrant import Record, read_record
from kt.wire.reading import Incomplete

from ..processes import HOST, ServerProcess
from ..update_logs import DATA, original

Client = TokyoTyrant[str, bytes]

CHANGES: list[Callable[[Client], object]] = [
    lambda tt: tt.set("during", b"x"),
    lambda tt: tt.append("during", b"y"),
    lambda tt: tt.incr("number"),
    lambda tt: tt.incr_double("number2", 1.5),
    lambda tt: tt.set_bulk({"during3": b"x"}),
    lambda tt: tt.remove_bulk(["large"]),
    lambda tt: tt.clear(),
]
"""What is an error if it is refused. (`add` says that there is a record, `remove` that there is
none: the protocol knows no other failure.)"""


def server(directory: Path, *args: str, database: str = "*", sid: int = 21) -> ServerProcess:
    (directory / "log").mkdir(exist_ok=True)
    return ServerProcess(
        *("kt-tyrant", "-ulog", "log", "-sid", str(sid), *args),
        databases=(database,),
        directory=directory,
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ServerProcess]:
    with server(tmp_path) as process:
        yield process


def client(process: ServerProcess) -> Client:
    return TokyoTyrant(HOST, process.port, KT_NONE, timeout=30)


def restored(tt: Client, name: str, since: int = 0, *, check: bool = False) -> bool:
    try:
        return tt.restore(name, since, check=check)
    except ServerError:
        return False


def records(path: Path) -> list[Record]:
    """What is in a file, or in the files of a directory; their stamps must rise in ours."""
    found: list[Record] = []
    for file in sorted(path.glob("*.ulog")) if path.is_dir() else [path]:
        data = file.read_bytes()
        pos = 0
        while pos < len(data):
            reading = read_record(data, pos)
            assert not isinstance(reading, Incomplete)
            record, pos = reading
            found.append(record)
    return found


def without_stamps(path: Path) -> list[tuple[int, int, bytes]]:
    return [(record.sid, record.mid, record.command) for record in records(path)]


def keys_put(path: Path) -> set[bytes]:
    """Keys of the records that were put, by themselves or in a list of one."""
    keys = set()
    for record in records(path):
        command = record.command
        if command[1] == 0x10:
            (size,) = struct.unpack_from(">I", command, 2)
            keys.add(command[10 : 10 + size])
        elif command[1] == 0x90 and command[10:17] == b"putlist":
            (size,) = struct.unpack_from(">I", command, 17)
            keys.add(command[21 : 21 + size])
    return keys


@pytest.mark.parametrize(
    ("name", "database"),
    [
        ("all-kinds", "*"),
        ("all-kinds", "c.tch#bnum=100"),
        ("all-kinds-tree", "c.tcb"),
        ("all-kinds-tree", "+"),
        ("table", "c.tct"),
    ],
)
def test_what_the_original_has_logged_is_logged_alike(
    name: str, database: str, tmp_path: Path
) -> None:
    """Its log of every kind of command, carried out here: our log is the same, but for the time."""
    (tmp_path / "given").mkdir()
    given = tmp_path / "given" / "00000001.ulog"
    shutil.copyfile(DATA / "tyrant" / f"{name}.ulog", given)
    with server(tmp_path, database=database, sid=1) as process:
        with client(process) as tt:
            assert tt.restore("given", check=True)
            assert tt.count() > 0
        process.stop()
    assert without_stamps(tmp_path / "log") == without_stamps(given)
    stamps = [record.stamp for record in records(tmp_path / "log")]
    assert stamps == sorted(set(stamps))


def test_every_kind_of_change(tmp_path: Path) -> None:
    with server(tmp_path) as process:
        with client(process) as tt:
            tt.set("a", b"1")
            tt.incr("zero", 0)
            tt.incr("zero", 0)
            tt.remove("none")
            tt.set_bulk({"m1": b"1", "m2": b"2"})
            tt.misc("putlist", ["m3", b"3"], update_log=False)
            tt.get_bulk(["m1"])
            tt.clear()
        process.stop()

    def misc(name: bytes, *arguments: bytes) -> bytes:
        listed = b"".join(struct.pack(">I", len(one)) + one for one in arguments)
        return struct.pack(">BBII", 0xC8, 0x90, len(name), len(arguments)) + name + listed

    assert without_stamps(tmp_path / "log") == [
        (21, 0, command)
        for command in [
            b"\xc8\x10\0\0\0\1\0\0\0\1a1\0",
            b"\xc8\x60\0\0\0\4\0\0\0\0zero\0",
            b"\xc8\x20\0\0\0\4none\1",
            misc(b"putlist", b"m1", b"1", b"m2", b"2") + b"\0",
            b"\xc8\x72\0",
        ]
    ]


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_long_list_is_logged_as_it_is_carried_out(pieces: int, tmp_path: Path) -> None:
    """However its bytes come in."""
    pairs = [b"%05d" % i for i in range(5000)]
    body = b"".join(struct.pack(">I", 5) + one for one in pairs)
    request = struct.pack(">BBIII", 0xC8, 0x90, 7, 0, len(pairs)) + b"putlist" + body
    with server(tmp_path) as process, socket.create_connection((HOST, process.port)) as sock:
        step = -(-len(request) // pieces)
        for at in range(0, len(request), step):
            sock.sendall(request[at : at + step])
        assert sock.recv(5, socket.MSG_WAITALL) == bytes(5)
        logged = without_stamps(tmp_path / "log")
    assert b"".join(command[17:-1] for _, _, command in logged) == body
    counts = [struct.unpack_from(">I", command, 6)[0] for _, _, command in logged]
    assert sum(counts) == len(pairs)
    assert all(count % 2 == 0 for count in counts)


def lists_of(logged: list[Record]) -> list[tuple[str, list[str], bool]]:
    """Name, arguments, and whether it failed, of each list; pieces that did not are one."""
    found: list[tuple[str, list[str], bool]] = []
    for record in logged:
        command = record.command
        size, count = struct.unpack_from(">II", command, 2)
        name, at, arguments = command[10 : 10 + size].decode(), 10 + size, []
        for _ in range(count):
            (length,) = struct.unpack_from(">I", command, at)
            arguments.append(command[at + 4 : at + 4 + length].decode())
            at += 4 + length
        failed = command[at:] == b"\1"
        if found and not failed and found[-1][0] == name and not found[-1][2]:
            found[-1][1].extend(arguments)
        else:
            found.append((name, arguments, failed))
    return found


def fails_by_http(process: ServerProcess, function: str, arguments: list[str]) -> bool:
    form = "&".join(f"a{i}={argument}" for i, argument in enumerate(arguments))
    with closing(HTTPConnection(HOST, process.port, timeout=30)) as web:
        web.request("POST", "/", form, {"X-TT-MNAME": function})
        return web.getresponse().status == 500


@pytest.mark.parametrize("way", ["stream", "http"])
def test_what_was_done_of_a_list_that_failed_is_logged_apart(way: str, tmp_path: Path) -> None:
    """The keys of a `.tcf` are numbers; what is behind one that is none is not tried."""
    with server(tmp_path, database="c.tcf") as process, client(process) as tt:
        for done, behind in [(0, 1), (1, 0), (3, 2), (2000, 900)]:
            keys = [f"{i + 1}" for i in range(done + 1 + behind)]
            keys[done] = "none"
            for function in ("putlist", "outlist", "getlist"):
                each = 2 if function == "putlist" else 1
                given = [word for key in keys for word in (key, "v")[:each]]
                before = len(records(tmp_path / "log"))
                if way == "stream":
                    assert tt.misc(function, given) is False
                else:
                    assert fails_by_http(process, function, given)
                assert tt.count() == (done if function == "putlist" else 0)
                at = done * each
                assert lists_of(records(tmp_path / "log")[before:]) == [
                    *([(function, given[:at], False)] if done else []),
                    (function, given[at : at + each], True),
                ]
                if function == "getlist":
                    tt.clear()


def test_what_is_acknowledged_is_in_the_log_of_a_killed_server(tmp_path: Path) -> None:
    acknowledged: list[list[bytes]] = [[] for _ in range(4)]
    enough = threading.Semaphore(0)

    def write(process: ServerProcess, number: int) -> None:
        with client(process) as tt:
            try:
                for i in range(100_000):
                    key = b"%d-%d" % (number, i)
                    tt.set(key, b"v") if number % 2 else tt.set_bulk({key.decode(): b"v"})
                    acknowledged[number].append(key)
                    enough.release()
            except KTError:
                return

    for _ in range(3):
        with server(tmp_path, "-ulim", "4k") as process:
            threads = [threading.Thread(target=write, args=(process, n)) for n in range(4)]
            for thread in threads:
                thread.start()
            for _ in range(300):
                enough.acquire()
            process.kill()
            for thread in threads:
                thread.join()
        with server(tmp_path, "-ulim", "4k") as process:
            process.stop()
    logged = keys_put(tmp_path / "log")
    assert all(keys and logged.issuperset(keys) for keys in acknowledged)
    assert len(list((tmp_path / "log").glob("*.ulog"))) > 1


def test_changes_are_refused_while_they_cannot_be_logged(
    running: ServerProcess, tmp_path: Path
) -> None:
    path = tmp_path / "log" / "00000001.ulog"
    with client(running) as tt:
        tt.set("large", b"x" * 50_000)  # the server's own log must have room
    pid = running.process.pid
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 5, unlimited[1]))
    for number, change in enumerate(CHANGES):
        # The first one is told so when it has been done, by the end of the connection.
        with client(running) as tt, pytest.raises(KTError if number == 0 else ServerError):
            change(tt)
    with client(running) as tt:
        assert tt.get("large") is not None
    running.wait_for_output("changes are refused")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    with client(running) as tt:
        tt.set("after", b"1")
        contents = {key.encode() for key in tt}
    running.wait_for_output("is written again")
    running.stop()
    assert keys_put(tmp_path / "log") == contents


@pytest.mark.parametrize(
    ("name", "kept"),
    [("tail", 10), ("half-record", 10), ("short", 9), ("empty", 0), ("bad-magic", None)],
)
def test_damaged_logs(name: str, kept: int | None, tmp_path: Path) -> None:
    """A server starts with each of them, and destroys nothing that may still be of use."""
    (tmp_path / "log").mkdir()
    path = tmp_path / "log" / "00000001.ulog"
    shutil.copyfile(DATA / "tyrant" / f"{name}.ulog", path)
    before = path.read_bytes()
    with server(tmp_path) as process:
        with client(process) as tt:
            tt.set("new", b"1")
        process.stop()
    if kept is None:
        assert path.read_bytes() == before
        assert keys_put(tmp_path / "log" / "00000002.ulog") == {b"new"}
    else:
        assert len(records(path)) == kept + 1


class Follower:
    """What a slave of kt-tyrant is sent."""

    def __init__(self, port: int, since: int = 1, server: int = 6) -> None:
        self.socket = socket.create_connection((HOST, port), 30)
        self.file = self.socket.makefile("rb")
        self.socket.sendall(struct.pack(">BBQI", 0xC8, 0xA0, since, server))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def number(self) -> int | None:
        data = self.file.read(4)
        return int.from_bytes(data, "big") if data else None

    def message(self) -> Record | None:
        """A command, without master; None for a sign of life."""
        mark = self.file.read(1)
        if mark == b"\xca":
            return None
        assert mark == b"\xc9"
        stamp, server, size = struct.unpack(">QII", self.file.read(16))
        return Record(stamp, server, 0, self.file.read(size))

    def command(self) -> Record:
        while (message := self.message()) is None:
            pass
        return message


def test_a_follower_gets_everything_once_and_at_once(
    running: ServerProcess, tmp_path: Path
) -> None:
    with client(running) as tt, Follower(running.port) as follower:
        assert follower.number() == 21
        assert follower.message() is None
        for i in range(1000):
            tt.set(f"{i}", b"v" * 100)
        got = [follower.command() for _ in range(1000)]
        assert got == records(tmp_path / "log")
        with Follower(running.port, since=got[500].stamp) as later:
            assert later.number() == 21
            assert [later.command() for _ in range(500)] == got[500:]
        assert follower.message() is None  # nothing new for a second
        tt.set("x", b"y")
        assert follower.command().command == b"\xc8\x10\0\0\0\1\0\0\0\1xy\0"


def test_what_came_by_way_of_a_follower_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    shutil.copyfile(DATA / "tyrant" / "short.ulog", tmp_path / "given" / "00000001.ulog")
    with server(tmp_path, sid=1) as process, client(process) as tt:
        assert not restored(tt, "given")  # half a record at its end
        assert tt.count() == 9
        tt.set("own", b"1")
        with Follower(process.port, server=24) as follower:
            assert follower.number() == 1
            assert follower.command().command.endswith(b"own1\0")
        with Follower(process.port, server=70_000) as follower:
            assert follower.number() == 1
            assert follower.command().sid == 24


@pytest.mark.parametrize(("since", "sid"), [(0, 6), (1, 0), (1, 21)])
def test_who_cannot_follow(since: int, sid: int, running: ServerProcess) -> None:
    with Follower(running.port, since, sid) as follower:
        assert follower.number() is None


def test_without_log_a_follower_learns_who_it_is_only(tmp_path: Path) -> None:
    with ServerProcess("kt-tyrant", "-sid", "5", databases=("*",), directory=tmp_path) as process:
        with Follower(process.port) as follower:
            assert follower.number() == 5
            assert follower.file.read() == b""
        with client(process) as tt:
            assert tt.status()["sid"] == 5


def test_without_number_there_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with ServerProcess(
        "kt-tyrant", "-ulog", "log", databases=("*",), directory=tmp_path
    ) as process:
        process.wait_for_output("there is no update log")
        process.stop()
    assert not list((tmp_path / "log").iterdir())


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    process = ServerProcess(
        *("kt-tyrant", "-ulog", "absent", "-sid", "5"), databases=("*",), directory=tmp_path
    )
    process.spawn()
    assert process.process.wait(60) == 1
    assert "cannot open the update log" in process.printed()


def test_a_follower_does_not_keep_the_server_from_stopping(running: ServerProcess) -> None:
    with Follower(running.port) as follower:
        assert follower.number() == 21
        assert running.stop(signal.SIGTERM) == 0


def test_what_cannot_be_restored(running: ServerProcess, tmp_path: Path) -> None:
    """The server says so, and lives."""
    with client(running) as tt:
        tt.set("a", b"1")
        for name in ("absent", "log"):
            assert not restored(tt, name)
        for name in ("bad-magic", "tail"):
            (tmp_path / name).mkdir()
            shutil.copyfile(DATA / "tyrant" / f"{name}.ulog", tmp_path / name / "00000001.ulog")
            assert not restored(tt, name)
        assert tt.get("a") == b"1"


def test_restoring_from_a_time_on_and_to_the_first_difference(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    path = tmp_path / "given" / "00000001.ulog"
    shutil.copyfile(DATA / "tyrant" / "all-kinds.ulog", path)
    given = records(path)
    first = next(record for record in given if record.command[1] == 0x11)
    with server(tmp_path) as process, client(process) as tt:
        tt.set("keep", b"here before")
        assert not restored(tt, "given", first.stamp, check=True)
        assert tt.count() == 1
        assert restored(tt, "given", first.stamp)
        assert tt.get("end") == b"1"


# The original programs


def test_the_original_server_follows_us(running: ServerProcess, tmp_path: Path) -> None:
    program = original("ttserver")
    (tmp_path / "slave").mkdir()
    args = ("-sid", "12", "-mhost", HOST, "-mport", str(running.port), "-rts", "slave.rts")
    slave = ServerProcess(program, *args, databases=("*",), directory=tmp_path / "slave")
    with slave, client(running) as tt, client(slave) as follower:
        tt.set_bulk({f"{i}": b"v" for i in range(1000)})
        while follower.count() < 1000:
            pass
        tt.remove("7")
        while follower.count() > 999:
            pass
        assert follower.get("8") == b"v"


def test_the_original_tool_reads_our_files(running: ServerProcess, tmp_path: Path) -> None:
    program = original("ttulmgr")
    with client(running) as tt:
        tt.set("a", b"1")
        tt.remove("a")
    running.stop()
    shown = subprocess.run(
        [program, "export", str(tmp_path / "log")], check=True, capture_output=True, text=True
    ).stdout
    assert [line.split("\t")[1:3] for line in shown.splitlines()] == [
        ["21:0", "put"],
        ["21:0", "out"],
    ]


def test_the_original_server_goes_on_with_our_log_and_we_with_its(tmp_path: Path) -> None:
    program = original("ttserver")
    (tmp_path / "log").mkdir()
    for number, name in enumerate(["kt-tyrant", program, "kt-tyrant"]):
        process = ServerProcess(
            *(name, "-ulog", str(tmp_path / "log"), "-sid", "21"),
            databases=("*",),
            directory=tmp_path,
        )
        with process:
            with client(process) as tt:
                tt.set(f"k{number}", b"v")
            process.stop()
    assert keys_put(tmp_path / "log") == {b"k0", b"k1", b"k2"}
