"""Threads that run scripts, each with an interpreter of its own.

::

    event loop --- submit ---> idle worker (the one that was busy last), or the backlog
        ^                          |
        |                          v  function(script)
        +--- done(job) <---- finished jobs, one wake-up of the loop for many

Unlike a thread pool's, these threads keep something: the script's interpreter, with the script's
global variables, as each worker thread of the original servers does. Taking the worker that was
busy last keeps the same few interpreters, and their memory, in use while there is little to do.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast

END_GRACE = 10.0
"""Seconds that workers have to end; what is not Lua cannot be ended in the middle."""

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
        make: makes what worker `index` keeps; called in its thread, for one after the other.
        loop: where jobs are given back.
        stop: tells scripts that they must end.

    Raises:
        whatever `make` raises.
    """

    def __init__(
        self,
        number: int,
        make: Callable[[int], S],
        loop: asyncio.AbstractEventLoop,
        stop: threading.Event,
    ) -> None:
        self.make = make
        self.ended = False
        self.generation = 0
        self._loop = loop
        self._stop = stop
        self._lock = threading.Lock()
        self._idle: list[_Worker[S]] = []
        self._backlog: deque[Job[S, Any]] = deque()
        self._finished: deque[Job[S, Any]] = deque()
        self._told = False  # the loop knows that there are finished jobs
        self._workers = [_Worker(self, index) for index in range(number)]
        for worker in self._workers:
            worker.begin()

    def submit(self, function: Callable[[S], T], done: Callable[[Job[S, T]], None]) -> None:
        """Run `function` with the script of some worker, then `done(job)` on the loop."""
        job = Job(function, done)
        with self._lock:
            if not self._idle:
                self._backlog.append(job)
                return
            worker = self._idle.pop()
        worker.wake(job)

    def reload(self) -> None:
        """Let every worker make its script anew, at once or when it has finished its job."""
        with self._lock:
            self.generation += 1
        self._wake_idle()

    def end(self, seconds: float) -> None:
        """Tell scripts that still run after so many seconds that they must end."""
        self._loop.call_later(seconds, self._stop.set)

    def close(self) -> bool:
        """End the threads; jobs that have not begun are dropped.

        Returns:
            whether they ended within `END_GRACE` seconds.
        """
        with self._lock:
            self.ended = True
            self._backlog.clear()
        self._wake_idle()
        deadline = time.monotonic() + END_GRACE
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        return not any(worker.is_alive() for worker in self._workers)

    def _wake_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.wake(None)

    # What a worker uses

    def next(self, worker: _Worker[S], generation: int) -> Job[S, Any] | None:
        """Wait for a job; None when everything ended, or the worker's generation did."""
        with self._lock:
            if self.ended or generation != self.generation:
                return None
            if self._backlog:
                return self._backlog.popleft()
            self._idle.append(worker)
        return worker.sleep()

    def finish(self, job: Job[S, Any]) -> None:
        """Give a job back on the loop."""
        self._finished.append(job)
        if not self._told:
            self._told = True
            self._loop.call_soon_threadsafe(self._give_back)

    def _give_back(self) -> None:
        self._told = False
        while self._finished:
            job = self._finished.popleft()
            job.done(job)


class _Worker(threading.Thread, Generic[S]):
    """One thread and its script."""

    def __init__(self, pool: Workers[S], index: int) -> None:
        super().__init__(name=f"kt-script-{index}", daemon=True)
        self._pool = pool
        self._index = index
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._job: Job[S, Any] | None = None
        self._alarm = threading.Lock()  # held while asleep
        self._alarm.acquire()

    def begin(self) -> None:
        """Start, and return when the script is made."""
        self.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def wake(self, job: Job[S, Any] | None) -> None:
        self._job = job
        self._alarm.release()

    def sleep(self) -> Job[S, Any] | None:
        self._alarm.acquire()
        job, self._job = self._job, None
        return job

    def run(self) -> None:
        pool = self._pool
        try:
            script = pool.make(self._index)
        except Exception as failure:  # noqa: BLE001 - raised by `begin`
            self._failure = failure
            return
        finally:
            self._ready.set()
        generation = pool.generation
        while not pool.ended:
            job = pool.next(self, generation)
            if job is not None:
                job.run(script)
                pool.finish(job)
            elif generation != pool.generation:
                generation = pool.generation
                script.close()
                script = pool.make(self._index)
        script.close()
