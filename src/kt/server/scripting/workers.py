"""Threads that run scripts, each with an interpreter of its own.

::

    event loop --- submit ---> jobs ---> the worker that is awake ---> finished jobs --+
        ^                                                                              |
        +--- done(job), for all that are finished, when no job is left or at a look ---+

Unlike a thread pool's, these threads keep something: the script's interpreter, with the script's
global variables, as each worker thread of the original servers does.

Most calls take microseconds. Waking a thread takes longer than that, and threads that are awake at
once pass Python's interpreter lock to and fro. So one worker is awake, does one job after the
other, and gives them back together. While jobs wait, the loop has a look every millisecond: it
takes what is finished, and wakes another worker if all that are awake have been at the same job
since the last look. So a long script holds up the others for about two milliseconds.

A call may wait for what only another call does: end a transaction, release a lock. Its worker
*stands aside* meanwhile. When all workers do, one more is made, so that there is always one to run
the call that they wait for; it ends when it is not needed any more. `MAX_ASIDE` calls may wait so,
the next one fails.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Generic, Protocol, TypeVar, cast

from kt.server.scripting.state import LAST_CALL, Aside

LOOK = 0.001
"""Seconds between two looks while there are jobs."""

NOTICE = 1.5
"""Seconds in which a script notices that it must end; what is not Lua cannot be ended."""

LAST = LAST_CALL + NOTICE
"""Seconds that a worker has to let go of its script, which may have a last call to make."""

MAX_ASIDE = 200
"""So many workers may wait for other calls at once; each is a thread and an interpreter."""

S = TypeVar("S", bound="Script")
T = TypeVar("T")


class Script(Protocol):
    """What a worker keeps."""

    def close(self) -> None:
        """The worker ends."""


class Job(Generic[S, T]):
    """One piece of work: `done` gets it back on the event loop, and may ask for the result."""

    __slots__ = ("_error", "_function", "_value", "done")

    def __init__(self, function: Callable[[S], T], done: Callable[[Job[S, T]], None]) -> None:
        self._function = function
        self._value: T | None = None
        self._error: BaseException | None = None
        self.done = done

    def run(self, script: S) -> None:
        try:
            self._value = self._function(script)
        except BaseException as error:  # noqa: BLE001 - handed on
            self._error = error

    def result(self) -> T:
        """What the function returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return cast(T, self._value)


class Workers(Generic[S]):
    """Worker threads; see the module's docstring.

    Args:
        number: how many threads.
        make: makes what worker `index` keeps; called in its thread, at first for one after the
            other. It also gets what to tell when a call waits for another one.
        loop: where jobs are given back.
        stop: tells scripts that they must end.

    Raises:
        whatever `make` raises.
    """

    def __init__(
        self,
        number: int,
        make: Callable[[int, Aside], S],
        loop: asyncio.AbstractEventLoop,
        stop: threading.Event,
    ) -> None:
        self.make = make
        self.ended = False
        self.generation = 0
        self._loop = loop
        self._stop = stop
        self._end_at = 0.0  # when scripts must end; by the monotonic clock
        self._jobs: deque[Job[S, Any]] = deque()
        self._lock = threading.Lock()  # of who is asleep and who is awake
        self._asleep: list[_Worker[S]] = []
        self._awake: set[_Worker[S]] = set()
        self._called = False  # `_call` is about to run
        self._looks = False  # `_look` is
        self._finished: deque[Job[S, Any]] = deque()
        self._number = number
        self._aside = 0  # workers that stand aside
        self._workers = [_Worker(self, index) for index in range(number)]
        for worker in list(self._workers):
            worker.begin()

    def submit(self, function: Callable[[S], T], done: Callable[[Job[S, T]], None]) -> None:
        """Run `function` with the script of some worker, then `done(job)` on the loop."""
        self._jobs.append(Job(function, done))
        if not self._called:
            self._called = True
            self._loop.call_soon(self._call)

    def _call(self) -> None:
        """See that somebody takes the jobs: at the end of a turn of the loop, for all of them."""
        self._called = False
        with self._lock:
            worker = None if self._awake else self._wake_one()
            waits = worker is None or len(self._jobs) > 1
        if worker is not None:
            worker.wake()
        if waits and not self._looks:
            self._looks = True
            self._loop.call_later(LOOK, self._look)

    def reload(self) -> None:
        """Let every worker make its script anew, at once or when it has finished its job."""
        with self._lock:
            self.generation += 1
        self._wake_all()

    def end(self, seconds: float) -> None:
        """Tell scripts that still run after so many seconds that they must end."""
        self._end_at = time.monotonic() + seconds
        self._loop.call_later(seconds, self._stop.set)

    def close(self) -> bool:
        """End the threads; jobs that have not begun are dropped.

        Returns:
            whether they have ended: scripts have the time that `end` gave them, then must notice.
        """
        with self._lock:
            self.ended = True
            self._jobs.clear()
            workers = list(self._workers)
        self._wake_all()
        self.see_out(workers)
        late = [worker for worker in workers if not worker.is_busy()]  # at what `_end` does
        join_all(late, time.monotonic() + LAST)
        return not any(worker.is_alive() for worker in workers)

    def see_out(self, threads: Sequence[threading.Thread]) -> None:
        """Wait for threads that run scripts, and tell these when they must end."""
        join_all(threads, self._end_at)
        stopped_at = self._end_at if self._stop.is_set() else time.monotonic()
        self._stop.set()
        join_all(threads, stopped_at + NOTICE)

    def _look(self) -> None:
        """See to what is finished, and to jobs that nobody takes."""
        with self._lock:
            self._looks = bool(self._jobs)
            held_up = self._looks and all(worker.is_held_up() for worker in self._awake)
            worker = self._wake_one() if held_up else None
        self._give_back()
        if worker is not None:
            worker.wake()
        if self._looks:
            self._loop.call_later(LOOK, self._look)

    def _wake_one(self) -> _Worker[S] | None:
        """The worker that went to sleep last, which is now to be woken."""
        if not self._asleep:
            return None
        worker = self._asleep.pop()
        self._awake.add(worker)
        return worker

    def _wake_all(self) -> None:
        with self._lock:
            workers, self._asleep = self._asleep, []
            self._awake.update(workers)
        for worker in workers:
            worker.wake()

    def _give_back(self) -> None:
        while self._finished:
            job = self._finished.popleft()
            job.done(job)

    # What a worker uses

    def next(self, worker: _Worker[S], generation: int) -> Job[S, Any] | None:
        """A job, after waiting for one; None when it is time to end or to make the script anew."""
        while True:
            with self._lock:
                if self.ended or generation != self.generation:
                    return None
                if self._jobs:
                    self._awake.add(worker)
                    return self._jobs.popleft()
                self._awake.discard(worker)
                if self._too_many(worker):
                    self._workers.remove(worker)
                    worker.leaves = True
                    return None
                self._asleep.append(worker)
            worker.sleep()

    def _too_many(self, worker: _Worker[S]) -> bool:
        """Whether a worker was needed only while others stood aside."""
        return worker.index >= self._number and len(self._workers) - self._aside > self._number

    def stand_aside(self, worker: _Worker[S]) -> str | None:
        """A worker's call waits for another call; returns why it must not, if so."""
        with self._lock:
            if self._aside >= MAX_ASIDE:
                return "too many calls wait for others"
            self._aside += 1
            self._awake.discard(worker)
            if self._aside == len(self._workers) and not self.ended:
                self._one_more()
            next_one = self._wake_one() if self._jobs and not self._awake else None
        if next_one is not None:
            next_one.wake()
        return None

    def _one_more(self) -> None:
        taken = {worker.index for worker in self._workers}
        worker = _Worker(self, next(index for index in count(self._number) if index not in taken))
        worker.start()
        self._workers.append(worker)

    def come_back(self, worker: _Worker[S]) -> None:
        """A worker's call goes on."""
        with self._lock:
            self._aside -= 1
            self._awake.add(worker)
            idle = next((other for other in self._asleep if self._too_many(other)), None)
            if idle is not None:
                self._asleep.remove(idle)
                self._awake.add(idle)
        if idle is not None:
            idle.wake()

    def failed(self, worker: _Worker[S]) -> None:
        """A worker has nothing to work with."""
        with self._lock:
            self._workers.remove(worker)

    def finish(self, job: Job[S, Any]) -> None:
        """Give a job back on the loop, soon."""
        self._finished.append(job)
        if not self._jobs:
            self._loop.call_soon_threadsafe(self._give_back)


def join_all(threads: Sequence[threading.Thread], deadline: float) -> None:
    """Wait for the end of threads, until a time of the monotonic clock."""
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


class _Worker(threading.Thread, Generic[S]):
    """One thread and its script.

    Attributes:
        index: its number; those that are made while others stand aside have the highest ones.
        leaves: it is not needed any more.
    """

    def __init__(self, pool: Workers[S], index: int) -> None:
        super().__init__(name=f"kt-script-{index}", daemon=True)
        self._pool = pool
        self.index = index
        self.leaves = False
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._job: Job[S, Any] | None = None  # under way
        self._seen: Job[S, Any] | None = None  # at the last look
        self._alarm = threading.Lock()  # held while asleep
        self._alarm.acquire()

    def begin(self) -> None:
        """Start, and return when the script is made."""
        self.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def wake(self) -> None:
        self._alarm.release()

    def sleep(self) -> None:
        self._alarm.acquire()

    def is_busy(self) -> bool:
        """Whether it is at a job."""
        return self._job is not None

    def is_held_up(self) -> bool:
        """Whether it has been at the same job since this was asked last."""
        seen, self._seen = self._seen, self._job
        return seen is self._job

    def stand_aside(self) -> str | None:
        return self._pool.stand_aside(self)

    def come_back(self) -> None:
        self._pool.come_back(self)

    def run(self) -> None:
        pool = self._pool
        generation = pool.generation
        try:
            script = pool.make(self.index, self)
        except Exception as failure:  # noqa: BLE001 - raised by `begin`
            self._failure = failure
            pool.failed(self)
            return
        finally:
            self._ready.set()
        while not (pool.ended or self.leaves):
            job = pool.next(self, generation)
            if job is not None:
                self._job = job
                job.run(script)
                self._job = None
                pool.finish(job)
            elif generation != pool.generation:
                generation = pool.generation
                script.close()
                script = pool.make(self.index, self)
        script.close()
