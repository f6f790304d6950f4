"""The threads that run scripts, with something else in the place of scripts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TypeVar

import pytest

from kt.server.scripting.state import Aside
from kt.server.scripting.workers import Job, Workers

T = TypeVar("T")
SECONDS = 30.0


class Piece:
    """What a worker of these tests keeps."""

    def __init__(self, index: int, aside: Aside, register: list[Piece]) -> None:
        self.index = index
        self.aside = aside
        self.thread = threading.get_ident()
        self.closed = False
        register.append(self)

    def close(self) -> None:
        assert threading.get_ident() == self.thread
        self.closed = True


class Pool:
    """Workers, and an event loop that is run while something is awaited."""

    def __init__(self, number: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.pieces: list[Piece] = []
        self.stop = threading.Event()
        self.workers = Workers(
            number, lambda index, aside: Piece(index, aside, self.pieces), self.loop, self.stop
        )

    def submit(self, function: Callable[[Piece], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.loop.create_future()

        def done(job: Job[Piece, T]) -> None:
            try:
                future.set_result(job.result())
            except RuntimeError as error:
                future.set_exception(error)

        self.workers.submit(function, done)
        return future

    def wait(self, *futures: asyncio.Future[T]) -> list[T]:
        async def results() -> list[T]:
            return await asyncio.wait_for(asyncio.gather(*futures), SECONDS)

        return self.loop.run_until_complete(results())


@pytest.fixture
def start() -> Iterator[Callable[[int], Pool]]:
    pools: list[Pool] = []

    def start(number: int) -> Pool:
        pools.append(Pool(number))
        return pools[-1]

    yield start
    for pool in pools:
        assert pool.workers.close()
        assert all(piece.closed for piece in pool.pieces)
        pool.loop.close()


@pytest.mark.parametrize("number", [1, 2, 16])
def test_every_job_is_done_once(start: Callable[[int], Pool], number: int) -> None:
    pool = start(number)
    done: list[int] = []
    futures = [pool.submit(lambda _, job=job: done.append(job) or job) for job in range(1000)]
    assert pool.wait(*futures) == list(range(1000))
    assert sorted(done) == list(range(1000))


def test_an_error_is_handed_on(start: Callable[[int], Pool]) -> None:
    def fail(piece: Piece) -> None:
        raise RuntimeError("on purpose")

    pool = start(1)
    with pytest.raises(RuntimeError, match="on purpose"):
        pool.wait(pool.submit(fail))
    assert pool.wait(pool.submit(lambda piece: piece.index)) == [0]


def test_each_piece_has_its_thread(start: Callable[[int], Pool]) -> None:
    pool = start(4)
    together = threading.Barrier(4)

    def work(piece: Piece) -> int:
        together.wait(SECONDS)
        assert threading.get_ident() == piece.thread
        return piece.index

    assert sorted(pool.wait(*(pool.submit(work) for _ in range(4)))) == [0, 1, 2, 3]


def test_short_jobs_share_a_worker(
    start: Callable[[int], Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop's clock stands still: a job is short, whatever else the machine does meanwhile."""
    pool = start(8)
    monkeypatch.setattr(pool.loop, "time", lambda: 0.0)
    seen = [pool.wait(pool.submit(lambda piece: piece.index))[0] for _ in range(50)]
    assert len(set(seen)) == 1


def test_a_long_job_does_not_hold_up_others(start: Callable[[int], Pool]) -> None:
    pool = start(2)
    end = threading.Event()
    long = pool.submit(lambda _: end.wait(SECONDS))
    assert pool.wait(*(pool.submit(lambda _, job=job: job) for job in range(10))) == list(range(10))
    assert not long.done()
    end.set()
    assert pool.wait(long) == [True]


def test_results_before_a_long_job_are_given_back(start: Callable[[int], Pool]) -> None:
    pool = start(1)
    end = threading.Event()
    short = [pool.submit(lambda _: "short") for _ in range(3)]
    long = pool.submit(lambda _: end.wait(SECONDS))
    assert pool.wait(*short) == ["short"] * 3
    end.set()
    assert pool.wait(long) == [True]


def test_one_more_while_all_stand_aside(start: Callable[[int], Pool]) -> None:
    """Eleven workers do: which of them runs the eleventh job is not said."""
    pool = start(2)
    end = threading.Event()

    def waits(piece: Piece) -> int:
        assert piece.aside.stand_aside() is None
        end.wait(SECONDS)
        piece.aside.come_back()
        return piece.index

    for _ in range(3):
        end.clear()
        first = [pool.submit(waits) for _ in range(10)]
        assert pool.wait(pool.submit(lambda piece: piece.index))[0] <= 10
        assert not any(future.done() for future in first)
        end.set()
        seen = pool.wait(*first)
        assert len(set(seen)) == 10
        assert max(seen) <= 10
    spare = [piece for piece in pool.pieces if piece.index >= 2]
    until(lambda: all(piece.closed for piece in spare))
    assert pool.wait(pool.submit(lambda piece: piece.index < 2)) == [True]


def until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + SECONDS
    while not condition():
        assert monotonic() < deadline, "it does not happen"


def test_reload(start: Callable[[int], Pool]) -> None:
    pool = start(2)
    end, begun = threading.Event(), threading.Event()

    def work(piece: Piece) -> Piece:
        begun.set()
        end.wait(SECONDS)
        return piece

    busy = pool.submit(work)
    pool.loop.run_until_complete(pool.loop.run_in_executor(None, begun.wait, SECONDS))
    first = list(pool.pieces)
    pool.workers.reload()
    end.set()
    assert pool.wait(busy)[0] in first, "a job goes on with what it began with"
    later = pool.wait(*(pool.submit(lambda piece: piece) for _ in range(10)))
    assert not set(later) & set(first)


def test_what_cannot_be_made() -> None:
    def make(index: int, aside: Aside) -> Piece:
        raise RuntimeError(f"no piece {index}")

    loop = asyncio.new_event_loop()
    with pytest.raises(RuntimeError, match="no piece 0"):
        Workers(2, make, loop, threading.Event())
    loop.close()
