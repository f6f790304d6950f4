"""AsyncKyotoTycoon: many tasks, cancelled tasks, slow servers, event loops."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.embedded import EmbeddedServer
from kt.errors import (
    ProtocolError,
    ServerConnectionError,
    ServerTimeoutError,
)
from kt.wire.tycoon import NEVER, pack_get_bulk_reply, pack_set_bulk_reply
from tests.client.peers import Conversation, Peer
from tests.client.workload import OPERATIONS


def found(key: bytes) -> bytes:
    """The reply to a request for `key` whose value is the key."""
    return pack_get_bulk_reply([(0, key, key, NEVER)])


def tell_keys(talk: Conversation) -> None:
    """Answer each request for a record with its key, until the client hangs up."""
    talk.serve_by(lambda request: found(request.keys[0][1]))


def connect(peer: Peer, **options: Any) -> AsyncKyotoTycoon:
    return AsyncKyotoTycoon(peer.host, peer.port, **{"timeout": 10, **options})


async def work(db: AsyncKyotoTycoon, name: str, rounds: int) -> None:
    """As `tests.client.workload.work`."""
    for number in range(rounds):
        key, value = f"{name}/{number}", f"{name} says {number}"
        assert await db.set(key, value) == 1
        assert await db.get(key) == value
        assert await db.append(key, "!") is True
        assert await db.seize(key) == value + "!"
        assert await db.exists(key) is False
        assert await db.incr(name) == number + 1
        assert await db.incr("shared") > number
        many = {f"{name}/{i}": value for i in range(5)}
        assert await db.set_bulk(many, no_reply=True) == 0
        assert await db.get_bulk(many) == many
        assert await db.remove_bulk(many) == len(many)


async def test_tasks_share_a_connection(async_tycoon: AsyncKyotoTycoon) -> None:
    rounds = 1000 // OPERATIONS
    await asyncio.gather(*[work(async_tycoon, f"task {i}", rounds) for i in range(32)])
    assert await async_tycoon.get_int("shared") == 32 * rounds
    assert await async_tycoon.count() == 33
    if async_tycoon.port:  # else there is no network
        assert len(async_tycoon._pool._connections) == 1


async def test_each_task_gets_its_own_reply(peer: Peer) -> None:
    peer.behave(tell_keys)
    async with connect(peer) as db:
        keys = [str(i) for i in range(5000)]
        assert await asyncio.gather(*map(db.get, keys)) == keys
    assert peer.connections == 1


async def test_a_cancelled_task_leaves_the_others_in_step(peer: Peer) -> None:
    asked, go = threading.Event(), threading.Event()

    def answer_late(talk: Conversation) -> None:
        first = talk.request()
        asked.set()
        assert go.wait(10)
        talk.send(found(first.keys[0][1]))
        tell_keys(talk)

    peer.behave(answer_late)
    async with connect(peer) as db:
        tasks = [asyncio.create_task(db.get(str(i))) for i in range(20)]
        await asyncio.to_thread(asked.wait, 10)
        for task in tasks[::3]:
            task.cancel()
        go.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(results):
            if number % 3:
                assert result == str(number)
            else:
                assert isinstance(result, asyncio.CancelledError)
        assert await db.get("k") == "k"
    assert peer.connections == 1


async def test_asyncio_timeout_cancels_a_call(peer: Peer) -> None:
    go = threading.Event()

    def answer_late(talk: Conversation) -> None:
        talk.request()
        assert go.wait(10)
        talk.send(found(b"late"))
        tell_keys(talk)

    peer.behave(answer_late)
    async with connect(peer) as db:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await db.get("late")
        go.set()
        assert await db.get("k") == "k"
    assert peer.connections == 1


async def test_a_late_reply_is_dropped(peer: Peer) -> None:
    """The connection stays where other replies show that the server lives."""
    go = threading.Event()

    def answer_one(talk: Conversation) -> None:
        talk.send(found(talk.request().keys[0][1]))
        talk.request()
        talk.request()
        assert go.wait(10)
        talk.send(found(b"b") + found(b"c"))
        tell_keys(talk)

    peer.behave(answer_one)
    async with connect(peer) as db:
        first = asyncio.create_task(db.using(timeout=5).get("a"))
        second = asyncio.create_task(db.using(timeout=1).get("b"))
        third = asyncio.create_task(db.using(timeout=5).get("c"))
        assert await first == "a"
        with pytest.raises(ServerTimeoutError):
            await second
        go.set()
        assert await third == "c"
        assert await db.get("d") == "d"
    assert peer.connections == 1


async def test_a_silent_server_is_given_up(peer: Peer) -> None:
    """By all who wait for it; what is harmless goes to a new connection."""
    peer.behave(Conversation.wait_for_end, tell_keys)
    async with connect(peer) as db:
        patient = db.using(timeout=5)
        given_up = asyncio.create_task(db.using(timeout=0.2).get("a"))
        harmless = asyncio.create_task(patient.get("b"))
        harmful = asyncio.create_task(patient.set("c", "v"))
        with pytest.raises(ServerTimeoutError):
            await given_up
        assert await harmless == "b"
        with pytest.raises(ServerConnectionError) as caught:
            await harmful
        assert caught.value.sent
        assert await db.get("k") == "k"
    assert peer.connections == 2


async def test_a_broken_reply_fails_those_who_wait(peer: Peer) -> None:
    def lie(talk: Conversation) -> None:
        for _ in range(3):
            talk.request()
        talk.send(found(b"a") + b"nonsense")
        talk.wait_for_end()

    peer.behave(lie)
    async with connect(peer) as db:
        writes = [db.get("a"), db.get("b"), db.set("c", "v")]
        results = await asyncio.gather(*writes, return_exceptions=True)
    assert results[0] == "a"
    assert isinstance(results[1], ProtocolError)
    assert isinstance(results[2], ServerConnectionError)


async def test_requests_wait_while_the_server_does_not_read(peer: Peer) -> None:
    """Tasks wait with their requests, and those do not pile up in the connection."""
    go = threading.Event()
    size, count = 2000, 10_000

    def read_late(talk: Conversation) -> None:
        assert go.wait(30)
        talk.answer(count, pack_set_bulk_reply(1))

    peer.behave(read_late)
    async with connect(peer, timeout=60) as db:
        tasks = [asyncio.create_task(db.set(str(i), "v" * size)) for i in range(count)]
        while not (db._pool._shared and db._pool._shared.congested):
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        transport = db._pool._shared._transport
        assert transport.get_write_buffer_size() < 1_000_000
        assert db._pool._shared._outgoing_size < 1_000_000
        tasks[-1].cancel()
        tasks[-1] = asyncio.create_task(db.set("last", "v" * size))
        go.set()
        assert await asyncio.gather(*tasks) == [1] * count
    assert peer.connections == 1


async def test_calls_that_never_get_their_turn(peer: Peer) -> None:
    go = threading.Event()
    count = 3000
    # How many calls come to connect before their time is over depends on the machine.
    peer.behave(*[lambda talk: go.wait(30)] * count)
    async with connect(peer, timeout=0.3) as db:
        tasks = [db.set(str(i), "v" * 10_000) for i in range(count)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        go.set()
    for result in results:
        assert isinstance(result, (ServerTimeoutError, ServerConnectionError))
    assert isinstance(results[0], ServerTimeoutError)


async def test_connections_of_ones_own_are_limited(async_tycoon: AsyncKyotoTycoon) -> None:
    db = AsyncKyotoTycoon(async_tycoon.host, async_tycoon.port, timeout=10, pool_size=3)
    async with db:
        await db.set_bulk({str(i): "v" for i in range(10)})
        first, second = db.items(), db.items()
        await anext(first)
        await anext(second)
        with pytest.raises(ServerTimeoutError):
            await anext(db.using(timeout=0.05).items())
        third = asyncio.create_task(collect(db))
        await asyncio.sleep(0)
        assert await db.get("1") == "v"
        assert not third.done()
        await first.close()
        assert len(await third) == 10
        await second.close()


async def collect(db: AsyncKyotoTycoon) -> list[str]:
    return [key async for key in db]


async def test_waiting_does_not_hold_up_other_calls(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    waiting = asyncio.create_task(db.wait("go", 10))
    await db.set("k", "v")
    assert await db.get("k") == "v"
    while not await db.signal("go"):
        await asyncio.sleep(0)
    assert await waiting is True


async def test_a_cancelled_wait_gives_its_connection_back(async_tycoon: AsyncKyotoTycoon) -> None:
    db = AsyncKyotoTycoon(async_tycoon.host, async_tycoon.port, timeout=10, pool_size=2)
    async with db:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await db.wait("never", 1)
        assert await db.wait("never", 0.05) is False


async def test_close_while_calls_are_going_on(peer: Peer) -> None:
    peer.behave(Conversation.wait_for_end)
    db = connect(peer)
    tasks = [asyncio.create_task(db.set(str(i), "v")) for i in range(10)]
    while len(db._pool._shared._replies if db._pool._shared else ()) < 10:
        await asyncio.sleep(0)
    await db.close()
    for task in tasks:
        with pytest.raises(ServerConnectionError):
            await task


async def test_close_sends_what_was_written(async_tycoon: AsyncKyotoTycoon) -> None:
    db = AsyncKyotoTycoon(async_tycoon.host, async_tycoon.port, timeout=10)
    async with db:
        await db.ping()
        for i in range(2000):
            await db.set(str(i), "v" * 500, no_reply=True)
    async with asyncio.timeout(10):
        while await async_tycoon.count() < 2000:
            await asyncio.sleep(0)
    assert await async_tycoon.get("1999") == "v" * 500


async def test_close_without_a_connection() -> None:
    db = AsyncKyotoTycoon("127.0.0.1", 1)
    await db.close()
    await db.checkin()
    await db.close()


async def test_all_learn_that_the_server_is_not_there() -> None:
    async with AsyncKyotoTycoon("127.0.0.1", 1, timeout=10) as db:
        results = await asyncio.gather(*[db.get("k") for _ in range(10)], return_exceptions=True)
    assert {type(result) for result in results} == {ServerConnectionError}
    assert len({id(result) for result in results}) == 10


async def test_tasks_connect_once(peer: Peer) -> None:
    peer.behave(tell_keys)
    async with connect(peer) as db:
        assert await asyncio.gather(*[db.get("k") for _ in range(10)]) == ["k"] * 10
    assert peer.connections == 1


async def test_an_abandoned_connection_attempt(peer: Peer) -> None:
    """The task that connects for all is cancelled: another one takes over."""
    peer.behave(tell_keys, tell_keys)
    async with connect(peer) as db:
        tasks = [asyncio.create_task(db.get("k")) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == ["k"] * 4


@pytest.mark.parametrize("closed", [True, False])
def test_one_client_in_several_event_loops(tycoon_server: EmbeddedServer, closed: bool) -> None:
    db = AsyncKyotoTycoon(tycoon_server.host, tycoon_server.port, timeout=10)

    async def use() -> None:
        await db.set("k", "v")
        assert await db.get("k") == "v"
        assert len([pair async for pair in db.items()]) > 0
        assert await db.cursor().jump()
        if closed:
            await db.close()

    for _ in range(3):
        asyncio.run(use())
        assert not db._pool._connections
        gc.collect()  # nothing is left that would warn


def test_a_client_that_is_forgotten_with_its_loop(tycoon_server: EmbeddedServer) -> None:
    """Neither warnings nor anything printed at the interpreter's end."""
    program = Path(__file__).with_name("forgetful.py")
    arguments = [tycoon_server.host, str(tycoon_server.port)]
    done = subprocess.run(
        [sys.executable, "-W", "error", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("v\n", "", 0)


async def test_a_forgotten_client_closes_its_connections(peer: Peer) -> None:
    peer.behave(lambda talk: talk.serve(found(b"k")))
    db = connect(peer)
    assert await db.get("k") == "k"
    del db
    gc.collect()
    await asyncio.to_thread(peer.wait_for_end_of, 1)
    assert peer.connections == 1


async def test_operators(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set("k", "v")
    await async_tycoon.set("k", "w", db=1)
    assert await async_tycoon["k"] == "v"
    assert await async_tycoon["k", 1] == "w"
    assert await async_tycoon["nothing"] is None
