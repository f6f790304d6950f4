"""The master is lost while somebody writes: another one is it, and what was acknowledged is there.

``KT_FAILOVERS`` says how often, for each way to be lost; 2 without it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from kt import KTError, Retry
from tests.server.tycoon.pairs import acknowledging_nothing, client, contents, wait_until

from .services import ACK, Node, RunningEtcd, Service

ROUNDS = int(os.environ.get("KT_FAILOVERS", "2"))


class Writer(threading.Thread):
    """Counts up in a few records, and writes a new one each time, at whoever is the master.

    Attributes:
        acknowledged: the numbers whose writes have succeeded.
    """

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.acknowledged: dict[int, None] = {}
        self._service = service
        self._ended = threading.Event()

    def run(self) -> None:
        retry = Retry(None, backoff=0.01, longest=0.1)
        with self._service.connect(timeout=2, retry=retry) as kt:
            number = 0
            while not self._ended.is_set():
                number += 1
                value = b"%d" % number
                with suppress(KTError):
                    kt.set_bulk({value: value, b"last%d" % (number % 10): value})
                    self.acknowledged[number] = None

    def finish(self) -> None:
        self._ended.set()
        self.join()

    def await_progress(self) -> None:
        """Wait until some more have been acknowledged."""
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) > before + 20, "writes are acknowledged")

    def check(self, service: Service) -> None:
        """What was acknowledged is there, and nothing older than that."""
        acknowledged = list(self.acknowledged)
        with service.connect(timeout=30) as kt:
            found = kt.get_bulk([b"%d" % number for number in acknowledged])
            last = kt.get_bulk([b"last%d" % digit for digit in range(10)])
        assert not [number for number in acknowledged if b"%d" % number not in found]
        for number in acknowledged[-10:]:
            assert int(last[b"last%d" % (number % 10)]) >= number


def lose_by_kill(service: Service, master: Node) -> None:
    """The server is killed, and started again when there is another one."""
    master.server.stop(signal.SIGKILL)
    service.await_another(master)
    master.server.start()


def lose_by_stop(service: Service, master: Node) -> None:
    """The server stands still until there is another one; then it acknowledges nothing."""
    with acknowledging_nothing(master.server):
        service.await_another(master)


def lose_all(service: Service, master: Node) -> None:
    """The machine is lost: server and agent; both are started again."""
    assert master.agent is not None
    master.end_agent(signal.SIGKILL)
    master.server.stop(signal.SIGKILL)
    service.await_another(master)
    master.start()


@pytest.mark.parametrize("lose", [lose_by_kill, lose_by_stop, lose_all])
def test_nothing_acknowledged_is_lost(
    lose: Callable[[Service, Node], None], etcd: RunningEtcd, tmp_path: Path
) -> None:
    with Service(etcd, tmp_path, 3, *ACK) as service:
        writer = Writer(service)
        writer.start()
        try:
            for _ in range(ROUNDS):
                writer.await_progress()
                lose(service, service.await_whole())
                writer.await_progress()
                writer.check(service)
        finally:
            writer.finish()
        master = service.await_whole()
        writer.check(service)
        await_equal(service, master)


def await_equal(service: Service, master: Node) -> None:
    """Wait until all have the same records, those of the master."""
    with client(master.server) as kt:
        wanted = contents(kt, 1)
        for node in service.nodes:
            with client(node.server) as other:
                wait_until(lambda: contents(other, 1) == wanted, "they are equal")
