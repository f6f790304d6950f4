"""Too few are left to choose a master: somebody says which of them is to be it."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kt import OutcomeUnknown
from kt.failover.agent import Refusal
from kt.failover.forcing import refuse_needless
from kt.failover.service import Ballot, Member, State, View
from tests.server.tycoon.pairs import client, wait_until

from .services import ACK, Node, RunningEtcd, Service


def force(node: Node) -> subprocess.CompletedProcess[str]:
    """Let a node be the master."""
    words = [word for word in node.command if word != "--first"]
    return subprocess.run([*words, "--force"], capture_output=True, text=True, check=False)


def test_two_of_three_are_lost_at_once(etcd: RunningEtcd, tmp_path: Path) -> None:
    with Service(etcd, tmp_path, 3, *ACK) as service:
        first, second, third = service.nodes
        assert service.master() is first
        with service.connect() as kt:
            assert kt.set(b"a", b"1")
        with client(third.server) as kt:
            wait_until(lambda: kt.get(b"a") == b"1", "it is there")
        refused = force(third)
        assert refused.returncode == 1
        assert "node1 is the master" in refused.stderr
        assert third.agent is not None
        third.agent.send_signal(signal.SIGSTOP)  # nobody votes before both are lost
        second.kill()
        first.kill()
        third.agent.send_signal(signal.SIGCONT)
        wait_until(lambda: force(third).returncode == 0, "it is the master")
        with service.connect(timeout=30) as kt:
            assert kt.get(b"a") == b"1"
            with pytest.raises(OutcomeUnknown):  # there is nobody to have it, too
                kt.set(b"b", b"2")
        second.start()
        assert service.await_whole(first) is third
        with service.connect(timeout=30) as kt:
            assert kt.set(b"b", b"3")
        with client(second.server) as kt:
            assert kt.get(b"b") == b"3"
        assert "gets a copy of node3" in second.said()


NOW = 17
STATE = State(3, "a", 1, {"b": 2, "c": 3})


def view(state: State | None = STATE, master: str | None = None, **votes: Ballot | None) -> View:
    members = {name: Member("h", 1, 1, ballot) for name, ballot in votes.items()}
    known = {"b": 3, "c": 3, "d": 2}
    return View({"state": NOW}, master, 0, ("", 0), members, known, state)


def test_who_may_be_forced() -> None:
    vote = Ballot(NOW, 5, True)
    refuse_needless(view(c=vote), "c")
    refuse_needless(view(c=Ballot(NOW, 5, False)), "c")
    refuse_needless(view(a=None, c=vote), "a")
    for found, name, why in (
        (view(None, c=vote), "c", "--first"),
        (view(master="b", c=vote), "c", "b is the master"),
        (view(c=vote), "b", "no agent of b"),
        (view(d=vote), "d", "does not have what"),
        (view(c=vote, d=Ballot(NOW - 1, 5, True)), "c", "not known yet how much these have: d"),
        (view(b=vote, c=vote), "c", "c becomes the master"),
        (view(replace(STATE, sync={"c": 3}), c=vote), "c", "c becomes the master"),
    ):
        with pytest.raises(Refusal, match=why):
            refuse_needless(found, name)
