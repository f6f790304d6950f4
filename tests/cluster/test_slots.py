"""The map of slots, and what errors of the engine mean; no sockets."""

from __future__ import annotations

import pytest

from kt.cluster.slots import Meaning, SlotMap, Verdict, judge
from kt.wire.resp import RespError


def line(name: str, address: str, flags: str, epoch: int, *slots: str) -> str:
    return " ".join([name, f"{address}@1", flags, "-", "0", "0", str(epoch), "connected", *slots])


def text(*lines: str) -> bytes:
    return ("\n".join(lines) + "\n").encode()


BEGIN = text(
    line("a", "h:1", "myself,master", 1, "0-8191"),
    line("b", "h:2", "master", 2, "8192-16383"),
    line("c", "h:3", "slave", 1),
)


def test_a_map_is_learnt() -> None:
    slots = SlotMap()
    assert slots.learn(BEGIN, "h:1") == {"h:3"}
    assert slots.masters == ["h:1", "h:2"]
    assert (slots.owner(0), slots.owner(8192), slots.owner(16383)) == ("h:1", "h:2", "h:2")
    assert slots.is_complete()
    assert slots.nodes == ["h:1", "h:2", "h:3"]
    assert slots.replicas("h:2") == []


def test_who_may_replace_a_master_is_known() -> None:
    slots = SlotMap()
    slots.learn(BEGIN.replace(b"slave -", b"slave a"), "h:1")
    assert slots.replicas("h:1") == ["h:3"]
    slots.learn(BEGIN, "h:1")
    assert slots.replicas("h:1") == ["h:3"]  # whoever was one may have taken over


def test_a_node_without_a_host_is_the_one_asked() -> None:
    slots = SlotMap()
    slots.learn(text(line("a", ":1", "myself,master", 1, "0-16383")), "asked:7")
    assert slots.owner(5) == "asked:1"


def test_a_replaced_master_is_deposed_and_cannot_come_back() -> None:
    slots = SlotMap()
    slots.learn(BEGIN, "h:1")
    after = text(
        line("a", "h:1", "master,fail", 1),
        line("b", "h:2", "myself,master", 2, "8192-16383"),
        line("c", "h:3", "master", 3, "0-8191"),
    )
    assert slots.learn(after, "h:2") == {"h:1"}
    assert slots.owner(0) == "h:3"
    slots.learn(BEGIN, "h:1")  # it has slept, and knows of nothing
    assert slots.owner(0) == "h:3"


def test_another_cluster_at_the_same_place_is_learnt() -> None:
    slots = SlotMap()
    slots.learn(BEGIN, "h:1")
    slots.learn(text(line("d", "h:9", "myself,master", 0, "0-16383")), "h:9")
    assert slots.masters == ["h:9"]


def test_a_failed_master_keeps_its_slots_until_another_one_has_them() -> None:
    slots = SlotMap()
    failed = BEGIN.replace(b"myself,master", b"master,fail")
    assert "h:1" not in slots.learn(failed, "h:2")
    assert slots.owner(0) == "h:1"


def test_who_is_lost_serves_nothing_and_replaces_nobody() -> None:
    slots = SlotMap()
    slots.learn(BEGIN, "h:1")
    assert (slots.served(), slots.replicas_up) == (16384, 1)
    slots.learn(BEGIN.replace(b"slave", b"slave,fail"), "h:1")
    assert (slots.served(), slots.replicas_up) == (16384, 0)
    slots.learn(BEGIN.replace(b"myself,master", b"master,fail"), "h:2")
    assert (slots.served(), slots.replicas_up) == (8192, 1)


def test_a_redirection_is_believed() -> None:
    slots = SlotMap()
    slots.learn(BEGIN, "h:1")
    slots.moved(0, "h:2")
    assert (slots.owner(0), slots.owner(1)) == ("h:2", "h:1")


def test_slots_that_nobody_serves_are_noticed() -> None:
    slots = SlotMap()
    assert not slots.is_complete()
    slots.learn(text(line("a", "h:1", "master", 1, "0-100", "[101->-x]")), "h:1")
    assert not slots.is_complete()


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        ("MOVED 5 h:2", Verdict(Meaning.MOVED, "h:2")),
        ("MOVED 5 :2", Verdict(Meaning.MOVED, "asked:2")),
        ("ASK 5 h:2", Verdict(Meaning.ASK, "h:2")),
        ("TRYAGAIN Multiple keys", Verdict(Meaning.LATER)),
        ("CLUSTERDOWN Hash slot not served", Verdict(Meaning.LATER)),
        ("READONLY You can't write", Verdict(Meaning.LATER)),
        ("LOADING Redis is loading", Verdict(Meaning.LATER)),
        ("NOSCRIPT No matching script", Verdict(Meaning.SCRIPT)),
        ("OOM command not allowed", Verdict(Meaning.REFUSED)),
        ("NOREPLICAS Not enough", Verdict(Meaning.REFUSED)),
        ("ERR unknown command", Verdict(Meaning.REFUSED)),
    ],
)
def test_errors_are_judged(error: str, verdict: Verdict) -> None:
    assert judge(RespError(error.encode()), "asked:1") == verdict
