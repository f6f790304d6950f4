"""kt-tyrant follows a master: what comes, what is said of it, and what ends it."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from kt import IndexKind
from kt.errors import ServerError
from kt.wire.log.tyrant import Record

from ..processes import HOST, ServerProcess
from ..update_logs import DATA, original
from .slaves import (
    GREETING,
    HASH,
    PROGRAMS,
    Client,
    ScriptedMaster,
    client,
    contents,
    frame,
    put,
    server,
    settle,
    wait_until,
)
from .test_update_log import records, without_stamps

SCRIPT = """
function add(key, value)
  _put(key, "1") _putkeep(key, "2") _putcat(key, value) _addint(key .. "i", 4)
  _adddouble(key .. "d", 1.25) _put(key .. "gone", "x") _out(key .. "gone")
  return "ok"
end
"""


def change_everything(tt: Client, *, tree: bool = False) -> None:
    """Every command that changes something, some that fail, and some that have no effect."""
    tt.set(b"a", b"1")
    tt.set(bytes(range(256)), bytes(range(255, -1, -1)))
    tt.set(b"empty", b"")
    tt.add(b"a", b"2")
    tt.add(b"kept", b"2")
    tt.append(b"a", b"3")
    tt.append(b"appended", b"4")
    tt.addshl(b"shifted", b"abcdef", 4)
    tt.addshl(b"shifted", b"gh", 4)
    tt.incr(b"number", 5)
    tt.incr(b"number", -7)
    tt.incr_double(b"double", 1.5)
    tt.incr_double(b"double", -0.25)
    tt.set_bulk({b"%d" % i: b"v" * i for i in range(300)})
    tt.remove_bulk([b"%d" % i for i in range(0, 300, 3)])
    tt.remove(b"1")
    tt.remove(b"absent")
    tt.synchronize()
    tt.optimize()
    tt.misc("putcat", [b"a"], None) if tree else None
    tt.set(b"large", b"x" * 3_000_000)
    tt.append(b"large", b"y")
    if tree:
        tt.putdup(b"a", b"second")
        tt.putdupback(b"a", b"first")


@pytest.mark.parametrize("slave_program", PROGRAMS)
@pytest.mark.parametrize("master_program", PROGRAMS)
@pytest.mark.parametrize("database", ["*", "+", HASH, "c.tcb", "c.tcb#bnum=7"])
def test_every_command(
    master_program: str, slave_program: str, database: str, tmp_path: Path
) -> None:
    """What was there before, and what comes later; then nothing twice after a restart."""
    tree = database.startswith("c.tcb")
    with server(tmp_path / "a", 1, program=master_program, database=database) as a, client(a) as tt:
        change_everything(tt, tree=tree)
        slave = server(tmp_path / "b", 2, program=slave_program, database=database, of=a)
        with slave as b, client(b) as follower:
            settle(tt, follower)
            assert contents(follower) == contents(tt)
            tt.clear()
            change_everything(tt, tree=tree)
            settle(tt, follower)
            assert contents(follower) == contents(tt)
            b.stop()
        if slave_program == "kt-tyrant":
            with slave as b, client(b) as follower:
                tt.append(b"a", b"later")
                settle(tt, follower)
                assert contents(follower) == contents(tt)


def change_table(tt: Client) -> None:
    def call(name: str, *arguments: bytes) -> None:
        tt.misc(name, arguments)

    call("put", b"one", b"name", b"Ada", b"age", b"36")
    call("put", b"two", b"name", b"Bob", b"age", b"41", b"empty", b"")
    tt.set_index("name", IndexKind.LEXICAL)
    tt.set_index("age", IndexKind.DECIMAL)
    call("putcat", b"two", b"city", b"Bern", b"name", b"ignored")
    call("putkeep", b"three", b"name", b"Eve")
    tt.incr(b"two", 3)
    call("put", b"gone", b"name", b"x")
    tt.remove(b"gone")
    tt.optimize_index("age")
    tt.genuid()


@pytest.mark.parametrize("slave_program", PROGRAMS)
@pytest.mark.parametrize("master_program", PROGRAMS)
def test_tables_and_their_indices(master_program: str, slave_program: str, tmp_path: Path) -> None:
    database = "c.tct"
    with server(tmp_path / "a", 1, program=master_program, database=database) as a, client(a) as tt:
        change_table(tt)
        slave = server(tmp_path / "b", 2, program=slave_program, database=database, of=a)
        with slave as b, client(b) as follower:
            tt.incr(b"settled", 1)
            wait_until(lambda: follower.exists(b"settled"))
            assert contents(follower) == contents(tt)
            found = follower.misc("search", ["addcond\0name\x000\0Bob", "get"])
            assert b"city\0Bern" in found[0]
        assert (tmp_path / "b" / "c.tct.idx.name.lex").exists()


def test_what_scripts_and_other_protocols_do(tmp_path: Path) -> None:
    (tmp_path / "script.lua").write_text(SCRIPT)
    script = str(tmp_path / "script.lua")
    with (
        server(tmp_path / "a", 1, "-ext", script) as a,
        client(a) as tt,
        server(tmp_path / "b", 2, of=a, database=HASH) as b,
        client(b) as follower,
    ):
        assert tt.script("add", b"s", b"more") == b"ok"
        with a.connect() as peer:
            peer.sendall(b"set m 0 0 2\r\n10\r\nincr m 5\r\nappend m 0 0 1\r\nx\r\n")
            peer.sendall(b"prepend m 0 0 1\r\ny\r\nset w 0 0 1\r\n1\r\ndelete w\r\n")
            peer.sendall(b"PUT /http HTTP/1.1\r\nContent-Length: 1\r\n\r\n1")
            wait_until(lambda: tt.get(b"http") == b"1")
        settle(tt, follower)
        assert contents(follower) == contents(tt)
        assert follower.get(b"s") == b"1more"
        assert follower.get(b"m") == b"y15x"


@pytest.mark.parametrize(
    ("name", "database"), [("all-kinds", HASH), ("all-kinds-tree", "+"), ("table", "c.tct")]
)
def test_the_recorded_log_of_the_original(name: str, database: str, tmp_path: Path) -> None:
    """Our log has the same commands, with the number of the master; none turns out otherwise."""
    (tmp_path / "a" / "log").mkdir(parents=True)
    shutil.copyfile(DATA / "tyrant" / f"{name}.ulog", tmp_path / "a" / "log" / "00000001.ulog")
    given = without_stamps(tmp_path / "a" / "log")
    with server(tmp_path / "a", 9, database="+") as a:
        slave = server(tmp_path / "b", 2, "-rcc", of=a, database=database)
        with slave as b, client(b) as follower:
            last = records(tmp_path / "a" / "log")[-1].stamp
            wait_until(lambda: follower.status()["rts"] == last, b.printed())
            status = follower.status()
            assert status["repl_error"] == ""
            b.stop()
    assert without_stamps(tmp_path / "b" / "log") == [
        (sid, 9, command) for sid, _, command in given
    ]
    assert (tmp_path / "b" / "slave.rts").read_bytes() == b"%d\n" % last


def test_a_server_without_number_follows_when_it_is_told(tmp_path: Path) -> None:
    with server(tmp_path / "a", 1) as a, client(a) as tt:
        tt.set(b"a", b"1")
        args = ("-mhost", HOST, "-mport", str(a.port))
        with ServerProcess("kt-tyrant", *args, databases=("*",), directory=tmp_path) as b:
            b.wait_for_output("it needs the number of the server, -sid")
            with client(b) as follower:
                assert "mhost" not in follower.status()
                follower.set_master(HOST, a.port)
                settle(tt, follower)
                assert (tmp_path / "ttserver.rts").exists()


def test_a_mask_forbids_to_be_a_slave(tmp_path: Path) -> None:
    with server(tmp_path / "a", 1) as a, client(a) as tt:
        with server(tmp_path / "b", 2, "-mask", "slave", of=a) as b, client(b) as follower:
            b.wait_for_output("the mask forbids to be a slave")
            with pytest.raises(ServerError):
                follower.set_master(HOST, a.port)
            assert follower.set_master(None)
        masked = server(tmp_path / "c", 3, "-mask", "setmst")
        with masked as c, client(c) as follower, pytest.raises(ServerError):
            follower.set_master(HOST, a.port)
        assert tt.count() == 0


@pytest.mark.parametrize(("host", "port"), [("", 0), ("localhost", 0), ("localhost", 65_536)])
def test_no_master_can_be_there(host: str, port: int, tmp_path: Path) -> None:
    with server(tmp_path, 1) as process, client(process) as tt:
        if host:
            with pytest.raises(ServerError):
                tt.set_master(host, port)
            assert "there is no master at" in process.printed()
        else:
            assert tt.set_master(None)
        assert "mhost" not in tt.status()


def test_another_master_another_time_and_none(tmp_path: Path) -> None:
    with (
        server(tmp_path / "a", 1) as a,
        server(tmp_path / "b", 2) as b,
        server(tmp_path / "c", 3, "-rts", "c.rts") as c,
        client(a) as at,
        client(b) as bt,
        client(c) as slave,
    ):
        at.set_bulk({b"a1": b"1", b"a2": b"2"})
        bt.set(b"b1", b"1")
        slave.set_master(HOST, a.port)
        settle(at, slave)
        assert slave.status()["mport"] == a.port
        slave.set_master(HOST, b.port, 1)
        settle(bt, slave, key="settled-b")
        assert slave.count() == at.count() + bt.count()
        newest = records(tmp_path / "b" / "log")[-1].stamp
        assert (tmp_path / "c" / "c.rts").read_text() == f"{newest}\n"
        assert slave.status()["rts"] == newest

        at.append(b"a1", b"+")
        slave.set_master(HOST, a.port, records(tmp_path / "a" / "log")[-1].stamp - 1)
        wait_until(lambda: slave.get(b"a1") == b"1+")
        slave.set_master(None)
        assert "mhost" not in slave.status()
        at.set(b"a3", b"3")
        bt.set(b"b3", b"3")
        slave.set_master(HOST, a.port)
        settle(at, slave)
        assert slave.get(b"a1") == b"1+"
        assert not slave.exists(b"b3")


def test_a_unix_socket(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    path = str(tmp_path / "socket")
    master = ServerProcess(
        *("kt-tyrant", "-ulog", "log", "-sid", "1"),
        databases=("*",),
        directory=tmp_path,
        unix=path,
    )
    with (
        master,
        server(tmp_path / "b", 2, "-mhost", path, "-mport", "0") as b,
        master.connect() as peer,
        client(b) as follower,
    ):
        peer.sendall(b"set a 0 0 1\r\n1\r\n")
        wait_until(lambda: follower.get(b"a") == b"1")


def test_two_masters(tmp_path: Path) -> None:
    """Each has what both were told, and each command comes once to each of their logs."""
    with server(tmp_path / "a", 1) as a, server(tmp_path / "b", 2, of=a) as b:
        with client(a) as at, client(b) as bt:
            at.set_master(HOST, b.port)
            for i in range(1, 201):
                at.append(b"a%d" % (i % 7), b"%d" % i)
                bt.append(b"b%d" % (i % 7), b"%d" % i)
                at.incr(b"sum", i)
                bt.incr(b"sum", i)
            settle(at, bt, key="from-a")
            settle(bt, at, key="from-b")
            assert contents(at) == contents(bt)
            assert at.get_int(b"sum") == 2 * sum(range(201))
        a.stop()
        b.stop()
    for name, own, other in (("a", 1, 2), ("b", 2, 1)):
        logged = without_stamps(tmp_path / name / "log")
        assert len(logged) == 802
        assert {(sid, mid) for sid, mid, _ in logged} == {(own, 0), (other, other)}


def test_a_ring_of_three(tmp_path: Path) -> None:
    with (
        server(tmp_path / "a", 1) as a,
        server(tmp_path / "b", 2, of=a) as b,
        server(tmp_path / "c", 3, of=b) as c,
        client(a) as at,
        client(b) as bt,
        client(c) as ct,
    ):
        at.set_master(HOST, c.port)
        for i in range(50):
            for tt in (at, bt, ct):
                tt.incr(b"sum", i)
        for number, (tt, one, two) in enumerate([(at, bt, ct), (bt, ct, at), (ct, at, bt)]):
            settle(tt, one, two, key=f"settled{number}")
        assert contents(at) == contents(bt) == contents(ct)
        assert at.get_int(b"sum") == 3 * sum(range(50))


def test_an_inconsistency_is_said_and_passed_over(tmp_path: Path) -> None:
    with (
        server(tmp_path / "a", 1) as a,
        server(tmp_path / "b", 2, of=a) as b,
        client(a) as tt,
        client(b) as follower,
    ):
        follower.set(b"a", b"here before")
        tt.add(b"a", b"1")
        tt.set(b"b", b"1")
        settle(tt, follower)
        b.wait_for_output("detected inconsistency: ts=")
        assert follower.get(b"a") == b"here before"


def test_an_inconsistency_ends_a_careful_slave_until_it_is_told(tmp_path: Path) -> None:
    with (
        server(tmp_path / "a", 1) as a,
        server(tmp_path / "b", 2, "-rcc", of=a) as b,
        client(a) as tt,
        client(b) as follower,
    ):
        follower.set(b"a", b"here before")
        tt.add(b"a", b"1")
        tt.set(b"b", b"1")
        wait_until(lambda: "inconsistency" in str(follower.status()["repl_error"]))
        halted = float(follower.status()["time"])
        wait_until(lambda: float(follower.status()["time"]) > halted + 1.5)
        assert follower.status()["repl_connected"] == 0
        assert not follower.exists(b"b")
        failed = records(tmp_path / "a" / "log")[0].stamp
        assert follower.status()["rts"] == failed
        follower.set_master(HOST, a.port, check=True)
        settle(tt, follower)
        assert follower.get(b"b") == b"1"
        assert follower.status()["repl_error"] == ""


def test_delay_is_that_of_an_idle_link(tmp_path: Path) -> None:
    """Not the age of the last command; it grows when the master is gone."""
    with server(tmp_path / "a", 1) as a, server(tmp_path / "b", 2, of=a), client(a) as tt:
        pass
    with (
        server(tmp_path / "a", 1, port=a.port) as a,
        client(a) as tt,
        server(tmp_path / "b", 2, of=a) as b,
        client(b) as follower,
    ):
        settle(tt, follower)
        newest = records(tmp_path / "a" / "log")[-1].stamp
        wait_until(lambda: float(follower.status()["time"]) - newest / 1e6 > 3)
        wait_until(lambda: float(follower.status()["delay"]) < 2.5)
        assert follower.status()["repl_connected"] == 1
        a.kill()
        wait_until(lambda: follower.status()["repl_connected"] == 0)
        wait_until(lambda: float(follower.status()["delay"]) > 3)
        assert "is not followed" in b.printed()
        assert follower.status()["repl_error"] != ""


def test_slaves_take_no_worker_threads(tmp_path: Path) -> None:
    with server(tmp_path / "a", 1, "-thnum", "1") as a, client(a) as tt:
        slaves = [server(tmp_path / f"s{n}", n, "-thnum", "1", of=a) for n in range(2, 5)]
        for slave in slaves:
            slave.start()
        try:
            with client(slaves[0]) as one, client(slaves[1]) as two, client(slaves[2]) as three:
                settle(tt, one, two, three)
                for each in (tt, one, two, three):
                    assert each.match_prefix(b"") == [b"settled"]
                    assert each.synchronize()
        finally:
            for slave in slaves:
                slave.kill()


def test_clients_are_answered_while_much_is_carried_out(tmp_path: Path) -> None:
    with server(tmp_path / "a", 1) as a, client(a) as tt:
        with tt.pipeline() as pipeline:
            for i in range(30_000):
                pipeline.append(b"%d" % (i % 1000), b"v" * 20)
        with server(tmp_path / "b", 2, of=a, database=HASH) as b, client(b) as follower:
            asked = 0
            while follower.count() < 1000:
                asked += 1
            settle(tt, follower)
            assert asked > 0
            assert contents(follower) == contents(tt)


# What may go wrong


def test_the_recorded_stream_of_the_original(scripted: ScriptedMaster, tmp_path: Path) -> None:
    commands = [record._replace(sid=1, mid=0) for record in records(DATA / "tyrant/all-kinds.ulog")]
    stream = b"".join(frame(record) + b"\xca" * (record.stamp % 2) for record in commands)
    with server(tmp_path, 2, "-mhost", HOST, "-mport", str(scripted.port), database=HASH) as b:
        assert scripted.accept() == (1, 2)
        scripted.send(GREETING + stream + b"\xca")
        with client(b) as follower:
            wait_until(lambda: follower.status()["rts"] == commands[-1].stamp, b.printed())
            wait_until(lambda: float(follower.status()["delay"]) < 60)
            scripted.hang_up()
            assert scripted.accept() == (commands[-1].stamp + 1, 2)
        b.stop()
    assert without_stamps(tmp_path / "log") == [
        (1, 1, record.command) for record in records(DATA / "tyrant/all-kinds.ulog")
    ]


def test_stamps_that_step_back(scripted: ScriptedMaster, tmp_path: Path) -> None:
    """As those of an original with -uas do; each comes when the one before is carried out."""
    with server(tmp_path, 2, "-mhost", HOST, "-mport", str(scripted.port), database=HASH) as b:
        scripted.accept()
        scripted.send(GREETING)
        with client(b) as follower:
            for number, stamp in enumerate((1005, 1004, 1005, 1003, 1006)):
                value = b"%d" % number
                scripted.send(frame(Record(stamp, 1, 0, put(b"k", value))))
                scripted.send(frame(Record(stamp, 1, 0, put(b"all", value, 0x12))))
                wait_until(lambda value=value: (follower.get(b"all") or b"").endswith(value))
                assert follower.get(b"k") == value
            assert follower.get(b"all") == b"01234"


def test_a_link_cut_at_every_byte(scripted: ScriptedMaster, tmp_path: Path) -> None:
    """Nothing is carried out twice, and nothing is left out; some have one stamp in common."""
    stamps = [1, 2, 3, 3, 3, 4, 5, 5]
    commands = [
        Record(1000 + stamp, 1, 0, put(b"k", b"%d" % number, 0x12))
        for number, stamp in enumerate(stamps)
    ]
    stream = GREETING + b"".join(map(frame, commands))
    with server(tmp_path, 2, database=HASH) as b, client(b) as follower:
        for cut in range(len(stream) + 1):
            follower.remove(b"k")
            follower.set_master(HOST, scripted.port, 1)
            since, _ = scripted.accept()
            scripted.send(stream[:cut])
            scripted.hang_up()
            wait_until(lambda: follower.status()["repl_error"] != "")
            follower.set_master(HOST, scripted.port)
            since, _ = scripted.accept()
            scripted.send(GREETING)
            scripted.send(b"".join(frame(each) for each in commands if each.stamp >= since))
            wait_until(lambda: follower.get(b"k") == b"01234567", f"{cut}: {follower.get(b'k')!r}")
            follower.set_master(None)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "refuses to be followed"),
        (b"\0\0\0", "refuses to be followed"),
        (bytes(4), "its number is 0"),
        (b"\0\0\0\2", "its number is 2"),
        (b"\0\1\0\0", "its number is 65536"),
        (b"\0\0\0\1", "has ended the connection"),
        (GREETING + b"\xc8", "0xc8, which begins no message"),
        (GREETING + frame(Record(0, 1, 0, put(b"k", b"v"))), "no command: ts=0"),
        (GREETING + frame(Record(1, 0, 0, put(b"k", b"v"))), "no command: ts=1 sid=0"),
        (GREETING + frame(Record(1, 70_000, 0, put(b"k", b"v"))), "no command: ts=1 sid=70000"),
        (GREETING + b"\xc9" + bytes(7) + b"\1\0\0\0\1\xff\xff\xff\xff", "size=4294967295"),
        (GREETING + frame(Record(1, 1, 0, b"")), "no command at 1"),
        (GREETING + frame(Record(1, 1, 0, b"\xc8\x10")), "no command at 1"),
        (GREETING + frame(Record(1, 1, 0, b"\xc8\x30\0\0\0\1k\0")), "no command at 1"),
        (GREETING + frame(Record(1, 1, 0, put(b"k", b"v")[:-3])), "does not fit"),
        (GREETING + frame(Record(1, 1, 0, put(b"k", b"v") + b"\0")), "does not fit"),
        (GREETING + frame(Record(1, 1, 0, b"\xc8\x90\0\0")), "does not fit"),
        (GREETING + frame(Record(1, 1, 0, put(b"k", b"v")[:-1] + b"\2")), "neither success"),
        (GREETING + frame(Record(1, 1, 0, b"\xc8\x12\0")), "does not fit"),
        (GREETING + frame(Record(1, 1, 0, put(b"k", b"v")))[:-1], "with half a command"),
    ],
)
def test_what_is_no_log(sent: bytes, said: str, scripted: ScriptedMaster, tmp_path: Path) -> None:
    """It is said, nothing of it is done, and the slave tries again."""
    args = ("-mhost", HOST, "-mport", str(scripted.port))
    with server(tmp_path, 2, *args, database=HASH) as b, client(b) as follower:
        scripted.accept()
        scripted.send(sent)
        scripted.hang_up()
        b.wait_for_output(said)
        assert scripted.accept() == (1, 2)
        assert follower.count() == 0
        scripted.send(GREETING + frame(Record(5, 1, 0, put(b"k", b"v"))))
        wait_until(lambda: follower.get(b"k") == b"v")
        assert follower.status()["repl_error"] == ""


def test_a_stamp_file_that_holds_none(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    path = tmp_path / "b" / "slave.rts"
    path.write_text("yesterday\n")
    with server(tmp_path / "a", 1) as a, client(a) as tt:
        tt.set(b"a", b"1")
        with server(tmp_path / "b", 2, of=a) as b, client(b) as follower:
            b.wait_for_output("which is no time stamp")
            assert path.read_text() == "yesterday\n"
            assert follower.count() == 0
            path.unlink()
            settle(tt, follower)


def test_a_stamp_ahead_of_the_clock_is_said(tmp_path: Path) -> None:
    with server(tmp_path / "a", 1) as a, server(tmp_path / "b", 2) as b, client(b) as follower:
        follower.set_master(HOST, a.port, 2**62)
        b.wait_for_output("ahead of the clock")
        assert follower.status()["rts"] == 2**62


def test_a_slave_of_itself_and_of_one_without_log(tmp_path: Path) -> None:
    with server(tmp_path / "a", 1) as a, client(a) as tt:
        tt.set_master(HOST, a.port)
        a.wait_for_output("refuses to be followed")
        tt.set(b"a", b"1")
    with (
        ServerProcess("kt-tyrant", "-sid", "5", databases=("*",), directory=tmp_path) as without,
        server(tmp_path / "b", 2, of=without) as b,
    ):
        b.wait_for_output("it has ended the connection")


def test_nothing_is_passed_over_while_our_own_log_cannot_be_written(tmp_path: Path) -> None:
    with (
        server(tmp_path / "a", 1) as a,
        client(a) as tt,
        server(tmp_path / "b", 2, "-le", of=a, database=HASH) as b,
        client(b) as follower,
    ):
        settle(tt, follower)
        limit = (tmp_path / "b" / "log" / "00000001.ulog").stat().st_size + 400_000
        follower.set(b"room", b"x" * 395_000)  # the server's own log must have room
        pid = b.process.pid
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, unlimited[1]))
        for i in range(1000):
            tt.append(b"k", b"%d," % i)
        b.wait_for_output("our own update log cannot be written")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        settle(tt, follower)
        assert follower.get(b"k") == tt.get(b"k")


# The original's tool


def test_the_original_tool_sets_a_master(tmp_path: Path) -> None:
    program = original("tcrmgr")
    with (
        server(tmp_path / "a", 1) as a,
        server(tmp_path / "b", 2) as b,
        client(a) as tt,
        client(b) as follower,
    ):
        tt.set(b"a", b"1")
        arguments = ["-port", str(b.port), "-mport", str(a.port), HOST, HOST]
        subprocess.run([program, "setmst", *arguments], check=True)
        wait_until(lambda: follower.get(b"a") == b"1")


def test_a_master_tells_of_its_slaves(tmp_path: Path) -> None:
    with server(tmp_path / "1", 1) as first, client(first) as tt:
        with server(tmp_path / "2", 2, of=first) as second, client(second) as other:
            tt.set(b"a", b"1")
            settle(tt, other)
            done = int(other.status()["rts"])
            wait_until(lambda: int(follower(tt)["ts"]) >= done, "it is said")
            said = follower(tt)
            assert (said["sid"], said["state"]) == ("2", "following")
            assert (said["bytes"], said["changes"]) == ("0", "0")
            assert int(said["ts"]) < 2 * done  # microseconds, both
            assert float(said["delay"]) >= 0
            assert "slave_1" not in tt.status()
        wait_until(lambda: "slave_lost_2" in tt.status(), "it is lost")
        assert "error=the connection has ended" in tt.status()["slave_lost_2"]
        assert "slave_0" not in tt.status()


def follower(tt: Client) -> dict[str, str]:
    """What a master says of its only slave."""
    return dict(word.split("=", 1) for word in tt.status()["slave_0"].split())
