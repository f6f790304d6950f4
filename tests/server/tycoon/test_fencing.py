"""Masters that were replaced, and leases: who takes writes, and who does not any more."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from kt import KyotoTycoon, OutcomeUnknown, ServerError
from kt.server.tycoon.replication.mastership import EPOCH_MAX, lease_clock

from ..processes import HOST, ServerProcess, refused
from .pairs import BUNDLED, client, facts, following, server, wait_until

ONE = ("%",)


def master(directory: Path, *args: str, number: int = 1) -> ServerProcess:
    name = directory / str(number)
    return server(BUNDLED, number, name, "-rts", "rts", *args, databases=ONE)


def slave(of: ServerProcess, directory: Path, number: int = 2, *args: str) -> ServerProcess:
    name = directory / str(number)
    return server(BUNDLED, number, name, *following(of), "-ro-slave", *args, databases=ONE)


def follows(process: ServerProcess) -> None:
    wait_until(lambda: facts(process).get("repl_connected") == 1, "it follows")


def replaced_by(process: ServerProcess) -> object:
    return facts(process).get("repl_replaced_by")


def await_replaced(process: ServerProcess, by: ServerProcess) -> None:
    """Wait until a master knows by whom it was replaced, and refuses writes."""
    where = f"{HOST}:{by.port}"
    wait_until(lambda: replaced_by(process) == where, "it knows that it was replaced")
    with client(process) as kt:
        takes_none(kt, f"a master that was replaced: write to the new one, {where}")
    process.wait_for_output(f"a master that was replaced: write to the new one, {where}")


def takes_none(kt: KyotoTycoon, words: str) -> None:
    with pytest.raises(ServerError, match=words):
        kt.add(b"refused", b"1")
    with pytest.raises(ServerError):  # by the binary protocol
        kt.set(b"refused", b"1")
    assert kt.get(b"refused") is None


def test_a_master_hears_that_it_was_replaced_and_remembers(tmp_path: Path) -> None:
    first = master(tmp_path)
    with first:
        second = slave(first, tmp_path)
        with second, client(second) as kt:
            follows(second)
            assert facts(first) == {"repl_epoch": 0}
            kt.promote()
            await_replaced(first, second)
            assert facts(first)["repl_epoch"] == 1
            assert facts(first)["repl_read_only"] == 1
            assert kt.set(b"a", b"1")
            first.restart()
            await_replaced(first, second)
            with client(first) as former:
                former.tune_replication(HOST, second.port, read_only=True)
                wait_until(lambda: former.get(b"a") == b"1", "it follows")
                former.tune_replication()
                takes_none(former, "a master that was replaced")  # nobody has promoted it
                former.tune_replication(HOST, second.port)
                follows(first)
                former.promote()
                assert former.set(b"a", b"2")
                assert former.promote() > 0  # once more does nothing
            await_replaced(second, first)
            assert facts(second)["repl_epoch"] == 2


def test_a_master_that_stood_still_hears_it_when_it_goes_on(tmp_path: Path) -> None:
    first = master(tmp_path)
    with first:
        second = slave(first, tmp_path)
        with second, client(second) as kt:
            follows(second)
            with first.standing_still():
                kt.promote()
                assert kt.set(b"a", b"1")
            await_replaced(first, second)


def test_a_master_that_was_away_hears_it_at_its_start(tmp_path: Path) -> None:
    first = master(tmp_path)
    with first:
        second = slave(first, tmp_path)
        with second:
            follows(second)
            first.stop(signal.SIGKILL)
            with client(second) as kt:
                kt.promote()
            second.stop(signal.SIGKILL)
            at = second.command.index("-mhost")
            del second.command[at : at + 4]  # -mport, too
            second.start()  # which has not forgotten whom it has to tell
            first.start()
            await_replaced(first, second)
            with client(second) as kt:
                assert kt.set(b"a", b"1")


def test_a_slave_follows_no_master_that_was_replaced(tmp_path: Path) -> None:
    first = master(tmp_path)
    with first:
        second, third = slave(first, tmp_path), slave(first, tmp_path, 3)
        with second, third, client(third) as kt:
            follows(third)
            first.stop(signal.SIGKILL)
            with client(second) as other:
                other.promote()
            kt.tune_replication(HOST, second.port)
            follows(third)
            assert facts(third)["repl_epoch"] == 1
            second.stop(signal.SIGKILL)
            first.start()
            kt.tune_replication(HOST, first.port)
            await_replaced(first, second)  # the slave knows by whom
            wait_until(
                lambda: facts(third).get("repl_connected") == 1, "it follows who knows the epoch"
            )
            with client(first) as former:
                former.promote()
                assert former.set(b"a", b"1")
            wait_until(lambda: kt.get(b"a") == b"1", "it follows")


def test_what_is_confirmed_to_a_replaced_master_does_not_count(tmp_path: Path) -> None:
    first = master(tmp_path, "-ack", "1", "-ack-timeout", "0.5")
    with first, client(first) as kt:
        second = slave(first, tmp_path)
        with second:
            wait_until(lambda: kt.report()["ack_slaves"] == 1, "it follows")
            assert kt.set(b"a", b"1")
            with second.standing_still():
                with pytest.raises(OutcomeUnknown):
                    kt.incr(b"n")
                kt.rpc("replaced", {"epoch": b"7", "master": b"elsewhere:1"})
            before = kt.report()["ack_stamp"]
            with client(second) as other:
                wait_until(lambda: other.get(b"n") is not None, "the slave has it")
            assert kt.report()["ack_stamp"] == before


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "invalid parameters"),
        ({"epoch": b"0"}, "no such epoch"),
        ({"epoch": b"-1"}, "no such epoch"),
        ({"epoch": b"2", "master": b"a\nb"}, "no such address"),
        ({"epoch": b"2", "master": b"a" * 600}, "no such address"),
    ],
)
def test_nonsense_replaces_nobody(columns: dict[str, bytes], words: str, tmp_path: Path) -> None:
    with master(tmp_path) as process, client(process) as kt:
        with pytest.raises(ServerError, match=words):
            kt.rpc("replaced", columns)
        with pytest.raises(ServerError, match="needs no lease"):
            kt.rpc("lease", {"end": b"1"})
        assert kt.set(b"a", b"1")
        assert kt.rpc("replaced", {"epoch": b"%d" % EPOCH_MAX}) == {"epoch": b"%d" % EPOCH_MAX}
        takes_none(kt, "replaced: by one of a later epoch")
        with pytest.raises(ServerError, match="is too late"):
            kt.rpc("promote", {"epoch": b"5"})


def test_a_file_with_something_else_stops_the_start(tmp_path: Path) -> None:
    process = master(tmp_path)
    (tmp_path / "1" / "log").mkdir()
    (tmp_path / "1" / "log" / "epoch").write_text("nonsense\n")
    assert "does not say of which epoch" in refused(process)


def test_a_lease_ends_by_itself(tmp_path: Path) -> None:
    with master(tmp_path, "-lease") as process, client(process) as kt:
        takes_none(kt, "no master at present")
        assert facts(process)["repl_read_only"] == 1
        kt.rpc("promote", {"epoch": b"5"})
        takes_none(kt, "no master at present")
        kt.rpc("lease", {"end": b"%d" % (lease_clock() + 3600 * 10**9)})
        assert kt.set(b"a", b"1")
        assert "repl_read_only" not in facts(process)
        kt.rpc("lease", {"end": b"0"})
        takes_none(kt, "no master at present")
        end = lease_clock() + 2 * 10**9
        kt.rpc("lease", {"end": b"%d" % end})
        with process.standing_still():
            while lease_clock() <= end:
                time.sleep(0.01)
        takes_none(kt, "no master at present")
        process.restart()
        kt.close()
        takes_none(kt, "no master at present")


def test_a_lease_needs_a_server_that_can_be_a_slave(tmp_path: Path) -> None:
    process = server(BUNDLED, 1, tmp_path / "1", "-lease", databases=ONE)
    assert "-lease is for a slave: -mhost or -rts is missing" in refused(process)


def test_who_becomes_a_slave_confirms_nothing_of_before(tmp_path: Path) -> None:
    """Else it might, when it is a master again, and its slaves have something newer."""
    first = master(tmp_path, "-ack", "1", "-ack-timeout", "0")
    other = master(tmp_path, number=2)
    with first, other, client(first) as kt:
        outcome: list[object] = []

        def write() -> None:
            try:
                outcome.append(kt.incr(b"n"))
            except OutcomeUnknown as error:
                outcome.append(str(error))

        writer = threading.Thread(target=write)
        writer.start()
        wait_until(lambda: waiting(first) == 1, "it waits")
        with client(first) as again:
            again.tune_replication(HOST, other.port, read_only=True)
        writer.join()
        assert "no master any more" in str(outcome)


def waiting(process: ServerProcess) -> object:
    with client(process) as kt:
        return kt.report()["ack_waiting"]


def test_only_slaves_that_the_decider_names_count(tmp_path: Path) -> None:
    first = master(tmp_path, "-ack", "1", "-ack-timeout", "0.5", "-lease")
    with first, client(first) as kt:
        second = slave(first, tmp_path)
        with second:
            end = b"%d" % (lease_clock() + 3600 * 10**9)
            kt.rpc("lease", {"end": end, "count": b""})
            follows(second)
            assert kt.report()["ack_slaves"] == 0
            with pytest.raises(OutcomeUnknown):
                kt.incr(b"n")
            kt.rpc("lease", {"count": b"3"})
            with pytest.raises(OutcomeUnknown):
                kt.incr(b"n")
            kt.rpc("lease", {"count": b"2,3"})
            assert kt.incr(b"n") == 3
            assert kt.report()["ack_slaves"] == 1


def test_a_lease_tells_where_the_server_is(tmp_path: Path) -> None:
    first = master(tmp_path, "-lease")
    with first, client(first) as kt:
        end = b"%d" % (lease_clock() + 3600 * 10**9)
        kt.rpc("lease", {"end": end})
        second = slave(first, tmp_path, 2, "-lease")
        with second, client(second) as other:
            assert kt.set(b"a", b"1")
            wait_until(lambda: other.get(b"a") == b"1", "it follows")
            wait_until(lambda: other.rpc("lease")["ts_log"] != b"0", "it knows where it is")
            other.tune_replication()
            said = other.rpc("lease")
            assert said["durable"] == b"none"
            newest = other.ulog_list()[-1].timestamp
            assert newest <= int(said["ts_log"]) <= int(said["log"])
            assert kt.ulog_list()[-1].timestamp <= int(said["ts"])
            run = said["run"]
            second.restart()
            other.close()
            assert other.rpc("lease")["run"] != run
