# Generated from test_pipeline_async.py by tools/async_to_sync.py: edit that one.
"""KyotoTycoon's pipelines (and TokyoTyrant's, where they differ)."""

from __future__ import annotations

import pytest

from kt.client.deferred import Unsent
from kt.client.tycoon.client import KyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.errors import (
    ArgumentError,
    ProtocolError,
    SerializationError,
    ServerConnectionError,
    ServerError,
)
from kt.options import Wait
from kt.serializers import KT_JSON
from kt.wire.tycoon import ERROR_REPLY, NEVER, pack_get_bulk_reply, pack_set_bulk_reply
from tests.client.peers import Conversation, Peer

MANY = 5000


def test_results_in_order(tycoon: KyotoTycoon) -> None:
    with tycoon.pipeline() as pipe:
        stored = pipe.set("k", "v")
        value = pipe.get("k")
        missing = pipe.get("nothing")
        total = pipe.incr("n", 5)
        found = pipe.exists("k")
        keys = pipe.match_prefix("k")
        records = pipe.get_bulk(["k", "nothing"])
        removed = pipe.remove("k")
        assert len(pipe) == 8
        assert not value.done()
    assert (stored.result(), value.result(), missing.result()) == (1, "v", None)
    assert (total.result(), found.result(), keys.result()) == (5, True, ["k"])
    assert (records.result(), removed.result()) == ({"k": "v"}, 1)
    assert value.done()
    assert value.exception() is None


def test_execute_returns_the_results(tycoon: KyotoTycoon) -> None:
    pipe = tycoon.pipeline()
    pipe.set("k", "v")
    pipe.get("k")
    assert pipe.execute() == [1, "v"]
    assert pipe.execute() == []
    pipe.get("k")
    pipe.flush()
    pipe.seize("k")
    assert pipe.execute() == ["v", "v"]


def test_tokyo_tyrant(tyrant: TokyoTyrant) -> None:
    with tyrant.pipeline() as pipe:
        stored = pipe.set("k", "v")
        value = pipe.get("k")
        total = pipe.incr("n", 2)
        records = pipe.get_bulk(["k", "nothing"])
        count = pipe.count()
    assert (stored.result(), value.result(), total.result()) == (True, "v", 2)
    assert (records.result(), count.result()) == ({"k": "v"}, 2)


def test_a_failure_is_that_call_s_alone(tycoon: KyotoTycoon) -> None:
    tycoon.set("text", "no number")
    pipe = tycoon.pipeline()
    before, failing, after = pipe.get("text"), pipe.incr("text"), pipe.set("later", "v")
    with pytest.raises(ServerError) as caught:
        pipe.execute()
    assert failing.exception() is caught.value
    assert (before.result(), after.result()) == ("no number", 1)
    with pytest.raises(ServerError):
        failing.result()
    assert tycoon.get("later") == "v"


def test_failures_among_the_results(tycoon: KyotoTycoon) -> None:
    tycoon.set("text", "no number")
    with tycoon.using(serializer=KT_JSON).pipeline(raise_errors=False) as pipe:
        pipe.incr("text")
        pipe.get("text")
        pipe.get("nothing")
        failed, undecodable, missing = pipe.execute()
    assert isinstance(failed, ServerError)
    assert isinstance(undecodable, SerializationError)
    assert undecodable.key == "text"
    assert missing is None


def test_what_cannot_be_sent_is_refused_at_once(tycoon: KyotoTycoon) -> None:
    with tycoon.pipeline() as pipe:
        stored = pipe.set("k", "v")
        with pytest.raises(SerializationError):
            pipe.set("k", object())
    assert stored.result() == 1


def test_a_result_before_its_time(tycoon: KyotoTycoon) -> None:
    with tycoon.pipeline() as pipe:
        value = pipe.get("k")
        with pytest.raises(ArgumentError, match="execute"):
            value.result()
        assert "pending" in repr(value)
    assert repr(value) == "<PipelineResult: None>"


def test_left_by_an_exception(tycoon: KyotoTycoon) -> None:
    pipe = tycoon.pipeline()
    stored = pipe.set("k", "v")
    with pytest.raises(ZeroDivisionError), pipe:
        raise ZeroDivisionError
    assert isinstance(stored.exception(), Unsent)
    assert tycoon.get("k") is None


def test_writes_without_reply(tycoon: KyotoTycoon) -> None:
    with tycoon.pipeline() as pipe:
        first = pipe.set("a", "1", no_reply=True)
        value = pipe.get("a")
        last = pipe.set("b", "2", no_reply=True)
    assert (first.result(), value.result(), last.result()) == (0, "1", 0)
    assert tycoon.get("b") == "2"


def test_nothing_but_writes_without_reply(tycoon: KyotoTycoon) -> None:
    with tycoon.pipeline() as pipe:
        for number in range(MANY):
            pipe.set(f"k{number}", "v", no_reply=True)
    assert tycoon.count() == MANY


def test_it_sees_what_was_written_before(tycoon: KyotoTycoon) -> None:
    tycoon.set("k", "v", no_reply=True)
    pipe = tycoon.pipeline()
    pipe.get("k")
    assert pipe.execute() == ["v"]


def test_calls_of_several_exchanges(tyrant: TokyoTyrant) -> None:
    keys = [f"k{number}" for number in range(MANY)]
    tyrant.set_bulk(dict.fromkeys(keys, "v"))
    with tyrant.pipeline() as pipe:
        every = pipe.get_bulk(keys)
        one = pipe.get("k1")
    assert every.result() == dict.fromkeys(keys, "v")
    assert one.result() == "v"


def test_a_long_pipeline(tycoon: KyotoTycoon) -> None:
    tycoon.set("k", "v" * 1000)
    pipe = tycoon.pipeline()
    for _ in range(10 * MANY):
        pipe.get("k")
    results = pipe.execute()
    assert len(results) == 10 * MANY
    assert set(results) == {"v" * 1000}


def test_a_call_that_needs_a_connection_of_its_own(tycoon: KyotoTycoon) -> None:
    with tycoon.pipeline() as pipe, pytest.raises(ArgumentError, match="connection of its own"):
        pipe.rpc("void", wait=Wait("a signal"))


def test_a_server_that_hangs_up_after_a_failure(peer: Peer) -> None:
    """The original does that with a database that is not to be written."""
    peer.behave(
        lambda talk: (talk.answer(1, ERROR_REPLY), talk.wait_for_end()),
        lambda talk: talk.serve(pack_set_bulk_reply(1)),
    )
    with KyotoTycoon(peer.host, peer.port, timeout=10) as db:
        pipe = db.pipeline(raise_errors=False)
        failed = pipe.set("k", "v")
        pipe.execute()
        assert isinstance(failed.exception(), ServerError)
        with db.pipeline() as pipe:
            stored = pipe.set("k", "v")
        assert stored.result() == 1


def test_a_server_that_goes_on_after_a_failure(peer: Peer) -> None:
    replies = iter([ERROR_REPLY, pack_set_bulk_reply(1), pack_set_bulk_reply(1)])
    peer.behave(lambda talk: talk.serve_by(lambda request: next(replies)))
    with KyotoTycoon(peer.host, peer.port, timeout=10) as db:
        pipe = db.pipeline(raise_errors=False)
        results = pipe.set("k", "v"), pipe.set("k", "v")
        pipe.execute()
        assert isinstance(results[0].exception(), ServerError)
        with db.pipeline() as pipe:
            stored = pipe.set("k", "v")
        assert (results[1].result(), stored.result()) == (1, 1)
    assert peer.connections == 1


def test_a_connection_that_breaks(peer: Peer) -> None:
    def one_answer(talk: Conversation) -> None:
        talk.request()
        talk.send(pack_get_bulk_reply([(0, b"k", b"v", NEVER)]))

    peer.behave(one_answer)
    with KyotoTycoon(peer.host, peer.port, timeout=10) as db:
        pipe = db.pipeline()
        first, second = pipe.get("k"), pipe.get("k")
        silent = pipe.set("k", "v", no_reply=True)
        with pytest.raises((ServerConnectionError, ProtocolError)) as caught:
            pipe.execute()
    assert first.result() == "v"
    assert second.exception() is caught.value
    assert silent.done()
