"""Keys as queues (``opts=q``), as the original has them.

::

    set jobs 0 0 5    a new record, "jobs 01795622469617 0000": keys are in the order of time
    get jobs          takes the oldest one away, for this client; waits for one, for `qtout` seconds
    delete jobs       the oldest of those that it has taken is done with

What a client has taken and not done with is put back, where it was, when its connection ends. Other
commands, and clients of other protocols, see the records as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Final, NamedTuple

from kt.errors import ImproperlyConfigured
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import NEVER, XT_MAX, Code, Database
from kt.server.session import Await
from kt.server.tycoon.memcached.commands import Answer, hit, missed, store_element, value_lines
from kt.server.tycoon.memcached.session import STORING, MemcachedSession, Plain, Storing
from kt.server.tycoon.memcached.shared import Memcached
from kt.wire.memcached import DELETED, END, NOT_FOUND

LOOK_AGAIN: Final = 1.0
"""Seconds after which who waits looks whether something has come by other protocols."""

SET: Final = STORING[b"set"]


class Element(NamedTuple):
    """A record that has been taken away."""

    value: bytes
    xt: int


def check_order(database: Database) -> None:
    """See to it that a database can have queues.

    Raises:
        ImproperlyConfigured: its records have no order.
    """
    cursor = database.cursor()
    try:
        cursor.jump_back()
    except EngineError as error:
        if error.code == Code.NOIMPL:
            raise ImproperlyConfigured(
                f"-plex opts=q needs a database in the order of keys (a tree), not {database.path}"
            ) from None
    finally:
        cursor.close()


def take_oldest(database: Database, queue: bytes, taken: dict[bytes, Element]) -> bytes | None:
    """Move the oldest element of a queue to `taken`; its key, None if there is none."""
    prefix = queue + b" "
    cursor = database.cursor()
    try:
        while True:
            cursor.jump(prefix)
            key = cursor.get_key()
            if not key.startswith(prefix):
                return None
            if _take(database, key, taken):
                return key
    except EngineError as error:
        if error.code != Code.NOREC:
            raise
        return None
    finally:
        cursor.close()


def _take(database: Database, key: bytes, taken: dict[bytes, Element]) -> bool:
    """Take a record, unless somebody else was faster."""
    try:
        taken[key] = Element(*database.seize(key))
    except EngineError as error:
        if error.code != Code.NOREC:
            raise
        return False
    return True


class Getting:
    """A ``get`` under way.

    Attributes:
        queues: those that it has not looked at yet, the next one last.
        until: when it gives up, on the clock of `monotonic`.
        reply: so far.
        hits: how many elements are in it.
        misses: how many queues had none.
    """

    def __init__(self, queues: Sequence[bytes], seconds: float) -> None:
        self.queues = list(reversed(queues))
        self.until = monotonic() + seconds
        self.reply: list[bytes] = []
        self.hits = 0
        self.misses = 0


class QueueSession(MemcachedSession):
    """See the module's docstring."""

    takes_away = True

    def __init__(self, shared: Memcached) -> None:
        super().__init__(shared)
        self._taken: dict[bytes, Element] = {}

    def storing(self, storing: Storing) -> Callable[[Memcached, Sequence[bytes], bytes], Answer]:
        return store_element if storing is SET else storing.answer

    def stored(self, words: list[bytes]) -> None:
        if words[0] == b"set":
            self.shared.wake(words[1])

    def get(self, words: list[bytes]) -> None:
        self._look(Getting(words[1:], self.shared.options.queue_timeout))

    def _look(self, getting: Getting) -> None:
        """Look into the next queue."""
        if not getting.queues:
            answer = Answer([*getting.reply, END], getting.hits, getting.misses)
            self.finish("get", "get", answer)
            return
        queue = getting.queues[-1]
        self.run(
            partial(take_oldest, self.shared.database, queue, self._taken),
            partial(self._looked, getting),
        )

    def _looked(self, getting: Getting, key: bytes | Answer | None) -> None:
        if isinstance(key, Answer):
            self.finish("get", "get", key)
            return
        queue = getting.queues[-1]
        left = getting.until - monotonic()
        if key is None and left > 0 and not self.shared.ended:
            enter = partial(self.shared.wait, queue)
            again = partial(self._look_again, getting)
            self.work = Await(enter, min(left, LOOK_AGAIN), again)
            return
        getting.queues.pop()
        if key is None:
            getting.misses += 1
        else:
            getting.hits += 1
            getting.reply += value_lines(self.shared, queue, self._taken[key].value)
        self._look(getting)

    def _look_again(self, getting: Getting, woken: bool) -> None:
        self._look(getting)

    def serve_plain(self, words: list[bytes], plain: Plain, *, quiet: bool) -> None:
        if words[0] != b"delete":
            super().serve_plain(words, plain, quiet=quiet)
            return
        prefix = words[1] + b" "
        oldest = min((key for key in self._taken if key.startswith(prefix)), default=None)
        if oldest is not None:
            del self._taken[oldest]
        answer = missed(NOT_FOUND) if oldest is None else hit(DELETED)
        self.finish("delete", "remove", answer, quiet=quiet)

    # The end

    def lost(self) -> Callable[[], object] | None:
        super().lost()
        return self._put_back if self._taken else None

    def _put_back(self) -> None:
        """Put back what is not done with."""
        for key, (value, xt) in self._taken.items():
            try:
                self.shared.database.set(key, value, NEVER if xt >= XT_MAX else -xt)
            except EngineError as error:
                self.service.failed(b"put back " + key, str(error).encode())
