"""AsyncKyotoTycoon's pipelines (and AsyncTokyoTyrant's, where they differ)."""

from __future__ import annotations

import pytest

from kt.client.deferred import Unsent
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client_async import AsyncTokyoTyrant
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


async def test_results_in_order(async_tycoon: AsyncKyotoTycoon) -> None:
    async with async_tycoon.pipeline() as pipe:
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


async def test_execute_returns_the_results(async_tycoon: AsyncKyotoTycoon) -> None:
    pipe = async_tycoon.pipeline()
    pipe.set("k", "v")
    pipe.get("k")
    assert await pipe.execute() == [1, "v"]
    assert await pipe.execute() == []
    pipe.get("k")
    await pipe.flush()
    pipe.seize("k")
    assert await pipe.execute() == ["v", "v"]


async def test_tokyo_tyrant(async_tyrant: AsyncTokyoTyrant) -> None:
    async with async_tyrant.pipeline() as pipe:
        stored = pipe.set("k", "v")
        value = pipe.get("k")
        total = pipe.incr("n", 2)
        records = pipe.get_bulk(["k", "nothing"])
        count = pipe.count()
    assert (stored.result(), value.result(), total.result()) == (True, "v", 2)
    assert (records.result(), count.result()) == ({"k": "v"}, 2)


async def test_a_failure_is_that_call_s_alone(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set("text", "no number")
    pipe = async_tycoon.pipeline()
    before, failing, after = pipe.get("text"), pipe.incr("text"), pipe.set("later", "v")
    with pytest.raises(ServerError) as caught:
        await pipe.execute()
    assert failing.exception() is caught.value
    assert (before.result(), after.result()) == ("no number", 1)
    with pytest.raises(ServerError):
        failing.result()
    assert await async_tycoon.get("later") == "v"


async def test_failures_among_the_results(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set("text", "no number")
    async with async_tycoon.using(serializer=KT_JSON).pipeline(raise_errors=False) as pipe:
        pipe.incr("text")
        pipe.get("text")
        pipe.get("nothing")
        failed, undecodable, missing = await pipe.execute()
    assert isinstance(failed, ServerError)
    assert isinstance(undecodable, SerializationError)
    assert undecodable.key == "text"
    assert missing is None


async def test_what_cannot_be_sent_is_refused_at_once(async_tycoon: AsyncKyotoTycoon) -> None:
    async with async_tycoon.pipeline() as pipe:
        stored = pipe.set("k", "v")
        with pytest.raises(SerializationError):
            pipe.set("k", object())
    assert stored.result() == 1


async def test_a_result_before_its_time(async_tycoon: AsyncKyotoTycoon) -> None:
    async with async_tycoon.pipeline() as pipe:
        value = pipe.get("k")
        with pytest.raises(ArgumentError, match="execute"):
            value.result()
        assert "pending" in repr(value)
    assert repr(value) == "<PipelineResult: None>"


async def test_left_by_an_exception(async_tycoon: AsyncKyotoTycoon) -> None:
    pipe = async_tycoon.pipeline()
    stored = pipe.set("k", "v")
    with pytest.raises(ZeroDivisionError):
        async with pipe:
            raise ZeroDivisionError
    assert isinstance(stored.exception(), Unsent)
    assert await async_tycoon.get("k") is None


async def test_writes_without_reply(async_tycoon: AsyncKyotoTycoon) -> None:
    async with async_tycoon.pipeline() as pipe:
        first = pipe.set("a", "1", no_reply=True)
        value = pipe.get("a")
        last = pipe.set("b", "2", no_reply=True)
    assert (first.result(), value.result(), last.result()) == (0, "1", 0)
    assert await async_tycoon.get("b") == "2"


async def test_nothing_but_writes_without_reply(async_tycoon: AsyncKyotoTycoon) -> None:
    async with async_tycoon.pipeline() as pipe:
        for number in range(MANY):
            pipe.set(f"k{number}", "v", no_reply=True)
    assert await async_tycoon.count() == MANY


async def test_it_sees_what_was_written_before(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set("k", "v", no_reply=True)
    pipe = async_tycoon.pipeline()
    pipe.get("k")
    assert await pipe.execute() == ["v"]


async def test_calls_of_several_exchanges(async_tyrant: AsyncTokyoTyrant) -> None:
    keys = [f"k{number}" for number in range(MANY)]
    await async_tyrant.set_bulk(dict.fromkeys(keys, "v"))
    async with async_tyrant.pipeline() as pipe:
        every = pipe.get_bulk(keys)
        one = pipe.get("k1")
    assert every.result() == dict.fromkeys(keys, "v")
    assert one.result() == "v"


async def test_a_long_pipeline(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set("k", "v" * 1000)
    pipe = async_tycoon.pipeline()
    for _ in range(10 * MANY):
        pipe.get("k")
    results = await pipe.execute()
    assert len(results) == 10 * MANY
    assert set(results) == {"v" * 1000}


async def test_a_call_that_needs_a_connection_of_its_own(async_tycoon: AsyncKyotoTycoon) -> None:
    async with async_tycoon.pipeline() as pipe:
        with pytest.raises(ArgumentError, match="connection of its own"):
            pipe.rpc("void", wait=Wait("a signal"))


async def test_a_server_that_hangs_up_after_a_failure(peer: Peer) -> None:
    """The original does that with a database that is not to be written."""
    peer.behave(
        lambda talk: (talk.answer(1, ERROR_REPLY), talk.wait_for_end()),
        lambda talk: talk.serve(pack_set_bulk_reply(1)),
    )
    async with AsyncKyotoTycoon(peer.host, peer.port, timeout=10) as db:
        pipe = db.pipeline(raise_errors=False)
        failed = pipe.set("k", "v")
        await pipe.execute()
        assert isinstance(failed.exception(), ServerError)
        async with db.pipeline() as pipe:
            stored = pipe.set("k", "v")
        assert stored.result() == 1


async def test_a_server_that_goes_on_after_a_failure(peer: Peer) -> None:
    replies = iter([ERROR_REPLY, pack_set_bulk_reply(1), pack_set_bulk_reply(1)])
    peer.behave(lambda talk: talk.serve_by(lambda request: next(replies)))
    async with AsyncKyotoTycoon(peer.host, peer.port, timeout=10) as db:
        pipe = db.pipeline(raise_errors=False)
        results = pipe.set("k", "v"), pipe.set("k", "v")
        await pipe.execute()
        assert isinstance(results[0].exception(), ServerError)
        async with db.pipeline() as pipe:
            stored = pipe.set("k", "v")
        assert (results[1].result(), stored.result()) == (1, 1)
    assert peer.connections == 1


async def test_a_connection_that_breaks(peer: Peer) -> None:
    def one_answer(talk: Conversation) -> None:
        talk.request()
        talk.send(pack_get_bulk_reply([(0, b"k", b"v", NEVER)]))

    peer.behave(one_answer)
    async with AsyncKyotoTycoon(peer.host, peer.port, timeout=10) as db:
        pipe = db.pipeline()
        first, second = pipe.get("k"), pipe.get("k")
        silent = pipe.set("k", "v", no_reply=True)
        with pytest.raises((ServerConnectionError, ProtocolError)) as caught:
            await pipe.execute()
    assert first.result() == "v"
    assert second.exception() is caught.value
    assert silent.done()
