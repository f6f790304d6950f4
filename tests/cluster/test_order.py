"""Commands of one client for one record stay in their order, also if the first one is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import kt
from kt.client.tycoon.client import KyotoTycoon
from kt.errors import OutcomeUnknown, ServerTimeoutError

from .scripted import ScriptedNode

LATER = [b"LOADING", b"CLUSTERDOWN", b"TRYAGAIN", b"MASTERDOWN"]


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with ScriptedNode() as started:
        yield started


@pytest.fixture
def db(node: ScriptedNode) -> Iterator[KyotoTycoon[str, str]]:
    with kt.connect(node.url(timeout=60), server="tycoon") as client:
        client.set("k", "old")
        client.set("other", "old")
        node.done.clear()
        yield client


def outcomes(db: KyotoTycoon[str, str], *calls: tuple[Any, ...]) -> list[Any]:
    """What becomes of calls that leave together, up to the first that fails."""
    pipe = db.pipeline()
    for verb, *arguments in calls:
        getattr(pipe, verb)(*arguments)
    return pipe.execute()


@pytest.mark.parametrize("error", LATER)
def test_a_read_waits_for_the_write_before_it(
    error: bytes, node: ScriptedNode, db: KyotoTycoon[str, str]
) -> None:
    node.refuse([error])
    assert outcomes(db, ("set", "k", "new"), ("get", "k")) == [1, "new"]


@pytest.mark.parametrize("error", LATER)
def test_a_write_that_was_passed_by_another_is_not_done(
    error: bytes, node: ScriptedNode, db: KyotoTycoon[str, str]
) -> None:
    node.refuse([error])
    with pytest.raises(ServerTimeoutError, match="not served before") as raised:
        outcomes(db, ("set", "k", "first"), ("set", "k", "second"))
    assert not isinstance(raised.value, OutcomeUnknown)
    assert db.get("k") == "second"
    assert [words[-1][5:] for words in node.done if words[0] == b"SET"] == [b"second"]


def test_a_read_does_not_see_a_later_write(node: ScriptedNode, db: KyotoTycoon[str, str]) -> None:
    node.refuse([b"LOADING"])
    with pytest.raises(ServerTimeoutError, match="GET was not served before"):
        outcomes(db, ("get", "k"), ("remove", "k"))
    assert db.get("k") is None


def test_reads_may_pass_reads(node: ScriptedNode, db: KyotoTycoon[str, str]) -> None:
    node.refuse([b"LOADING"])
    assert outcomes(db, ("get", "k"), ("get", "k")) == ["old", "old"]
    assert len(node.done) == 2


def test_other_records_are_not_concerned(node: ScriptedNode, db: KyotoTycoon[str, str]) -> None:
    node.refuse([b"LOADING"])
    calls = ("set", "k", "new"), ("set", "other", "new"), ("get", "other"), ("get", "k")
    assert outcomes(db, *calls) == [1, 1, "new", "new"]
    assert len(node.done) == 5  # the last one twice


def test_what_is_refused_again_is_not_passed(node: ScriptedNode, db: KyotoTycoon[str, str]) -> None:
    """After a refusal, one command of each record goes first."""
    node.refuse([b"LOADING"] * 4 + [b"CLUSTERDOWN"])
    calls = [("set", "k", str(number)) for number in range(3)]
    assert outcomes(db, *calls, ("get", "k")) == [1, 1, 1, "2"]


def test_one_record_twice_in_a_bulk(node: ScriptedNode, db: KyotoTycoon[str, str]) -> None:
    """Others of its writes are done, so it is not known which."""
    node.refuse([b"LOADING"])
    with pytest.raises(OutcomeUnknown, match="others of its writes may be done"):
        db.set_bulk_details([(0, "k", "first", None), (0, "k", "second", None)])
    assert db.get("k") == "second"


def test_other_clients_are_not_concerned(node: ScriptedNode, db: KyotoTycoon[str, str]) -> None:
    """What is asked for at the same time by several has no order."""
    stored: list[int] = []
    for number in range(20):
        node.refuse([b"LOADING"])
        callers = [
            threading.Thread(
                target=lambda value: stored.append(db.set("k", value)), args=[f"{number}"]
            )
            for _ in range(4)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert db.get("k") == str(number)
    assert stored == [1] * 80
