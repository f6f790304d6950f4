"""A lock, a rate limiter, and a counter that forgets. None of them grows with its use."""

from __future__ import annotations

from secrets import token_bytes
from types import TracebackType
from typing import Any, Final, Self

from kt.errors import ArgumentError
from kt.lua.arguments import positive
from kt.lua.calls_async import AsyncContainer, AsyncDatabase
from kt.lua.numbers import dump_number, load_number
from kt.lua.results import LockLost, Outcome, Permit
from kt.types import Key

TOKEN_BYTES: Final = 16


class AsyncLock(AsyncContainer[Any]):
    """A lock that has at most one holder, and that is free again after some time at the latest.

    ::

        async with AsyncLock(db, "report", seconds=60):
            ...

    The holder is known by a random token, so that nobody releases what is not his any more. It is
    not reentrant. All operations are O(1).

    Args:
        client: client of a server that has loaded the scripts.
        key: the record.
        seconds: after which the lock is free, if it is neither released nor extended.
        db: index of the database; None for the client's default.
    """

    def __init__(
        self,
        client: AsyncDatabase[Any, Any],
        key: Key,
        seconds: float = 30.0,
        db: int | None = None,
    ) -> None:
        super().__init__(client, key, db)
        self.seconds = positive("seconds", seconds)
        self._token: bytes | None = None

    async def acquire(self, timeout: float | None = None) -> bool:
        """Acquire the lock; waits if somebody, this object included, holds it.

        Args:
            timeout: seconds to wait at most; None: any time; 0: do not wait.

        Returns:
            Whether it is ours now.
        """
        token = token_bytes(TOKEN_BYTES)
        seconds = dump_number(self.seconds)

        async def attempt(unmark: bytes, mark: bytes) -> Outcome[bool]:
            done, left = await self._call("lockAcquire", token, seconds, unmark, mark)
            return Outcome(done == b"1" or None, float(left))

        if not await self._consume(attempt, timeout):
            return False
        self._token = token
        return True

    async def release(self) -> None:
        """Make the lock free.

        Raises:
            LockLost: it was not ours any more.
        """
        token, self._token = self._token, None
        if token is None:
            raise LockLost(f"{self!r} was not acquired")
        done = await self._produce("lockRelease", [token], broadcast=False)
        if done[0] != b"1":
            raise LockLost(f"{self!r} was held for longer than it was to be")

    async def extend(self, seconds: float | None = None) -> None:
        """Hold the lock for so many seconds from now; None: as many as at first.

        Raises:
            LockLost: it is not ours any more.
        """
        length = self.seconds if seconds is None else positive("seconds", seconds)
        if self._token is None or not await self._test(
            "lockExtend", self._token, dump_number(length)
        ):
            raise LockLost(f"{self!r} cannot be extended")

    async def owned(self) -> bool:
        """Return whether this object holds the lock, now."""
        holder = await self._call("lockHolder")
        return bool(holder) and holder[0] == self._token

    async def locked(self) -> bool:
        """Return whether anybody holds the lock, now."""
        return bool(await self._call("lockHolder"))

    async def remaining(self) -> float:
        """Return the seconds that its holder has left; 0 if it is free."""
        holder = await self._call("lockHolder")
        return float(holder[1]) if holder else 0.0

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.release()
        except LockLost:
            if error is None:  # what went wrong inside says more
                raise


class AsyncRateLimiter(AsyncContainer[Any]):
    """At most so many in so many seconds: a bucket of tokens that fills evenly.

    ::

        limiter = AsyncRateLimiter(db, "login:ada", limit=5, seconds=60)
        if not await limiter.take():
            raise TooManyAttempts

    A bucket nobody has taken from is full. It may be emptied at once, so that within `seconds` at
    most twice `limit` are taken. All operations are O(1).

    Args:
        client: client of a server that has loaded the scripts.
        key: the record.
        limit: tokens that the bucket holds.
        seconds: in which an empty bucket fills.
        db: index of the database; None for the client's default.
    """

    def __init__(
        self,
        client: AsyncDatabase[Any, Any],
        key: Key,
        limit: float,
        seconds: float,
        db: int | None = None,
    ) -> None:
        super().__init__(client, key, db)
        self.limit = positive("limit", limit)
        self.seconds = positive("seconds", seconds)

    async def take(self, count: float = 1) -> Permit:
        """Take tokens if there are as many."""
        return await self._ask("rateTake", count)

    async def check(self, count: float = 1) -> Permit:
        """Return what `take` would say, and take nothing."""
        return await self._ask("rateCheck", count)

    async def clear(self) -> None:
        """Fill the bucket."""
        await self._call("rateClear")

    async def _ask(self, name: str, count: float) -> Permit:
        numbers = self.limit, self.seconds, positive("count", count)
        allowed, left, after = await self._call(name, *map(dump_number, numbers))
        return Permit(allowed == b"1", float(left), float(after))


class AsyncCounter(AsyncContainer[Any]):
    """What was counted within the last so many seconds.

    The window moves in steps of ``seconds / intervals``; what was counted leaves it within one.
    All operations are O(intervals).

    Args:
        client: client of a server that has loaded the scripts.
        key: the record.
        seconds: length of the window.
        intervals: number of steps in it.
        db: index of the database; None for the client's default.
    """

    def __init__(
        self,
        client: AsyncDatabase[Any, Any],
        key: Key,
        seconds: float,
        intervals: int = 60,
        db: int | None = None,
    ) -> None:
        super().__init__(client, key, db)
        self.seconds = positive("seconds", seconds)
        self.intervals = int(positive("intervals", intervals))
        if self.intervals != intervals:
            raise ArgumentError(f"intervals is a whole number, not {intervals!r}")
        self._window = dump_number(self.seconds), dump_number(self.intervals)

    async def add(self, n: float = 1) -> int | float:
        """Count `n` now. Returns the sum in the window."""
        found = await self._call("counterAdd", *self._window, dump_number(n))
        return load_number(found[0])

    async def total(self) -> int | float:
        """Return the sum in the window."""
        found = await self._call("counterTotal", *self._window)
        return load_number(found[0])

    async def clear(self) -> None:
        """Forget everything."""
        await self._call("counterClear")
