"""A master is lost while somebody writes, again and again: what was acknowledged is there.

``KT_FAILOVERS`` says how often, for each way to be lost; 2 without it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from kt import KTError, KyotoTycoon, Retry

from ..processes import HOST, ServerProcess
from .pairs import BUNDLED, acknowledging_nothing, client, facts, server, wait_until

ROUNDS = int(os.environ.get("KT_FAILOVERS", "2"))
OPTIONS = ("-rts", "rts", "-ack", "1", "-ack-timeout", "1", "-durable", "process")


class Writer(threading.Thread):
    """Writes numbered records to whoever is the master.

    Attributes:
        acknowledged: the numbers whose writes have succeeded.
    """

    def __init__(self, servers: list[ServerProcess]) -> None:
        super().__init__()
        self.acknowledged: set[int] = set()
        self._url = "kt://" + ",".join(f"{HOST}:{one.port}" for one in servers)
        self._ended = threading.Event()

    def run(self) -> None:
        retry = Retry(None, backoff=0.01, longest=0.05)
        with KyotoTycoon.from_url(self._url, timeout=2, retry=retry) as kt:
            number = 0
            while not self._ended.is_set():
                number += 1
                with suppress(KTError):
                    kt.set(f"{number}", f"{number}")
                    self.acknowledged.add(number)

    def finish(self) -> None:
        self._ended.set()
        self.join()

    def await_progress(self) -> None:
        """Wait until some more have been acknowledged."""
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) > before + 20, "writes are acknowledged")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[ServerProcess]]:
    """A master, and one that can be its slave."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                server(BUNDLED, i, tmp_path / str(i), *OPTIONS, databases=("casket.kch",))
            )
            for i in (1, 2)
        ]


def follow(slave: ServerProcess, master: ServerProcess) -> None:
    """Make it a slave that has everything."""
    with client(slave) as kt, client(master) as other:
        kt.tune_replication(HOST, master.port, ts=0, read_only=True)
        wait_until(lambda: facts(slave).get("repl_connected") == 1, "it follows")
        wait_until(lambda: other.report()["ack_slaves"] == 1, "it counts")


def promote(process: ServerProcess) -> None:
    with client(process) as kt:
        kt.promote()


def check(master: ServerProcess, acknowledged: set[int]) -> None:
    """All of these records are there."""
    with client(master) as kt:
        found = kt.get_bulk([b"%d" % number for number in acknowledged])
    lost = {number for number in acknowledged if found.get(b"%d" % number) != b"%d" % number}
    assert not lost


def lose_by_kill(master: ServerProcess, slave: ServerProcess) -> None:
    """The master is killed, and started again when there is another one."""
    master.stop(signal.SIGKILL)
    promote(slave)
    master.start()


def lose_by_stop(master: ServerProcess, slave: ServerProcess) -> None:
    """The master stands still until there is another one; then it acknowledges nothing."""
    with acknowledging_nothing(master):
        promote(slave)


@pytest.mark.parametrize("lose", [lose_by_kill, lose_by_stop])
def test_nothing_acknowledged_is_lost(
    lose: Callable[[ServerProcess, ServerProcess], None], servers: list[ServerProcess]
) -> None:
    master, slave = servers
    follow(slave, master)
    writer = Writer(servers)
    writer.start()
    try:
        for _ in range(ROUNDS):
            writer.await_progress()
            lose(master, slave)
            master, slave = slave, master
            where = f"{HOST}:{master.port}"
            wait_until(lambda: facts(slave).get("repl_replaced_by") == where, "it knows")  # noqa: B023
            follow(slave, master)
            check(master, set(writer.acknowledged))
    finally:
        writer.finish()
    check(master, writer.acknowledged)
