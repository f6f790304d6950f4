"""What a master tells of those who follow it, and what they cost it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from kt import KyotoTycoon
from kt.wire.log.tycoon import LOOK
from kt.wire.tycoon import pack_replication

from ..processes import HOST, SECONDS, ServerProcess
from .pairs import (
    BUNDLED,
    client,
    facts,
    following,
    server,
    wait_for_trouble,
    wait_until,
    wait_until_equal,
)

MIB = 1 << 20
ONE = ("%",)
LACKING = "asks for changes that have been removed"
SLAVE = re.compile(r"slave_\d+")


def slaves(kt: KyotoTycoon) -> list[dict[str, str]]:
    """What the report says of each."""
    lines = [str(value) for name, value in kt.report().items() if SLAVE.fullmatch(name)]
    return [dict(word.split("=", 1) for word in line.split()) for line in lines]


def lost(kt: KyotoTycoon) -> dict[str, str]:
    """Why those have ended who follow no longer, by their numbers."""
    report = kt.report()
    return {
        name.removeprefix("slave_lost_"): str(report[name]).partition("error=")[2]
        for name in report
        if name.startswith("slave_lost_")
    }


def test_a_master_tells_how_far_each_slave_is(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", databases=ONE)
    with first, client(first) as kt:
        assert slaves(kt) == []
        second = server(BUNDLED, 2, tmp_path / "2", *following(first), databases=ONE)
        third = server(BUNDLED, 3, tmp_path / "3", *following(first), databases=ONE)
        with second, third:
            kt.set_bulk({b"%d" % i: b"v" for i in range(1000)})
            wait_until_equal(first, second, 1)
            wait_until_equal(first, third, 1)
            newest = kt.ulog_list()[-1].timestamp
            wait_until(lambda: all(int(one["ts"]) >= newest for one in slaves(kt)), "confirmed")
            said = slaves(kt)
            assert sorted(one["sid"] for one in said) == ["2", "3"]
            assert {(one["bytes"], one["changes"]) for one in said} == {("0", "0")}
            assert {one["state"] for one in said} == {"following"}
            assert all(float(one["delay"]) >= 0 for one in said)
            third.kill()
            wait_until(lambda: [one["sid"] for one in slaves(kt)] == ["2"], "one is left")
            assert lost(kt) == {"3": "the connection has ended"}
            third.start()
            wait_until(lambda: lost(kt) == {}, "it is back")


def test_a_slave_says_how_much_it_has_not_got(tmp_path: Path) -> None:
    """As its master tells it: many parts of the log are left when one is applied slowly."""
    with server(BUNDLED, 1, tmp_path / "1", databases=ONE) as first, client(first) as kt:
        args = (*following(first), "-riv", "1")
        with server(BUNDLED, 2, tmp_path / "2", *args, databases=ONE) as second:
            wait_until(lambda: facts(second).get("repl_bytes") == 0, "it has all")
            assert facts(second)["repl_changes"] == 0
            for begin in range(0, 60_000, 10_000):
                kt.set_bulk({b"key %d" % i: b"v" * 100 for i in range(begin, begin + 10_000)})
            wait_until(lambda: int(facts(second)["repl_bytes"]) > 100_000, "much is left")
            left = facts(second)
            assert 100 < int(left["repl_bytes"]) / int(left["repl_changes"]) < 200
            with client(second) as other:
                other.tune_replication(HOST, first.port, interval=0)
            wait_until(lambda: facts(second).get("repl_bytes") == 0, "it has all again")
            assert facts(second)["repl_changes"] == 0


def test_who_does_not_read_is_given_up_and_the_report_says_so(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", "-tout", "1", databases=ONE)
    with first, client(first) as kt:
        for _ in range(32):
            kt.set(b"large", b"x" * MIB)
        with attached(first):
            wait_until(lambda: lost(kt) == {"9": "it has not read for too long"}, "it is given up")
        assert slaves(kt) == []


def test_who_takes_a_copy_is_among_them(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", "-copy-rate", "64k", databases=ONE)
    with first, client(first) as kt:
        for number in range(20):
            kt.set(b"%d" % number, b"x" * MIB)
        args = (*following(first), "-copy")
        with server(BUNDLED, 2, tmp_path / "2", *args, databases=ONE):
            wait_until(lambda: any("copied" in one for one in slaves(kt)), "it takes one")
            (one,) = slaves(kt)
            assert (one["sid"], one["state"]) == ("2", "copying")
        wait_until(lambda: lost(kt) == {"2": "the connection has ended"}, "it is cut off")


def attached(process: ServerProcess) -> socket.socket:
    """A slave that reads nothing of what is sent."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    sock.connect((HOST, process.port))
    sock.sendall(pack_replication(1, 9))
    return sock


def first_stamp_sent(process: ServerProcess, flags: int) -> int:
    """Ask for the log from its beginning on, and read what comes first."""
    data = b""
    with socket.create_connection((HOST, process.port), SECONDS) as sock:
        sock.sendall(pack_replication(0, 9, flags))
        while len(data) < 10:
            received = sock.recv(10 - len(data))
            assert received, "it ends the connection"
            data += received
    assert data[:2] == b"\xb1\xb1"
    return int.from_bytes(data[2:], "big")


def test_who_looks_where_the_log_begins_is_no_slave_that_lacks_something(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", "-ulim", "1k", databases=ONE)
    with first, client(first) as kt:
        for number in range(200):
            kt.set(b"%d" % number, b"v")
        kt.ulog_remove()
        stamp = first_stamp_sent(first, LOOK)
        first.wait_for_output("looks where the update log begins: ts=0 sid=9")
        assert LACKING not in first.printed()
        assert first_stamp_sent(first, 0) == stamp
        first.wait_for_output(LACKING)
        args = following(first)
        with server(BUNDLED, 2, tmp_path / "2", *args, databases=ONE) as second:
            wait_for_trouble(second, "its update log begins with file")
            wait_until(lambda: slaves(kt) == [], "nobody follows")
        assert first.printed().count(LACKING) == 1


def test_a_slave_that_does_not_read_costs_its_master_no_memory(tmp_path: Path) -> None:
    """The log is read as far as a slave takes it, also across the files of the log."""
    directory = tmp_path / "1"
    first = server(BUNDLED, 1, directory, "-ulim", "16m", databases=ONE)
    with first, client(first) as kt, attached(first):
        kt.set(b"a", b"1")
        wait_until(lambda: len(slaves(kt)) == 1, "it is attached")
        before = first.memory()
        for _ in range(128):
            kt.set(b"large", b"x" * MIB)
        wait_until(lambda: int(slaves(kt)[0]["bytes"]) > 100 * MIB, "it is far behind")
        said = slaves(kt)[0]
        assert int(said["ts"]) == 1
        assert 100 <= int(said["changes"]) <= 300  # the first one that it lacks is short
        assert first.memory() - before < 48 * MIB
        assert kt.get(b"large") is not None
