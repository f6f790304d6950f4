"""Walks over the keys of a database: ordered ones over a tree, unordered ones over flat.

An ordered walk asks every bucket for a page of its keys and merges them. Keys are certain up to the
*edge*: the nearest of the last keys of those buckets that have more::

    bucket 0   a  f  k                  a b c d f are certain; then the buckets whose pages are
    bucket 1   b  c  d  f | (edge)      more than half used up are asked again
    bucket 2   e? no: it would be here

A page of a walk of n keys has n / B + 3 * sqrt(n / B) + 1 of them, which is nearly always enough.
No walk sees one moment: a record that is there all the time is seen once, others may be or not.

A flat database is walked by SCAN on every master, and once more if records may have moved past
the walk (`Passes`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import isqrt
from typing import Any, Final, NamedTuple, Protocol

from kt.cluster.commands import EVERY, FRESH, NOWHERE, Command, Failure, Steps, good
from kt.cluster.layout import META, Bucket, Flat, Tree
from kt.cluster.slots import NODES, Move, View

GROWTH: Final = 4
PAGE_MAX: Final = 1024
SCAN_COUNT: Final = b"1000"

PASSES_MAX: Final = 100
"""So often are all masters asked, at most."""


class Walk(Protocol):
    """Keys, a page after the other."""

    def more(self, wanted: int) -> Steps[list[bytes]]:
        """The next keys, about as many as are wanted; none at the end."""


class Bounds(NamedTuple):
    """Where an ordered walk begins and ends, in the engine's notation."""

    begin: bytes = b"-"
    end: bytes = b"+"
    backward: bool = False


def with_prefix(prefix: bytes) -> Bounds:
    """All keys that begin so."""
    if not prefix:
        return Bounds()
    stem = prefix.rstrip(b"\xff")
    end = b"(" + stem[:-1] + bytes([stem[-1] + 1]) if stem else b"+"
    return Bounds(b"[" + prefix, end)


class _Page:
    """The keys of a bucket that are known and not given out."""

    __slots__ = ("begin", "bucket", "finished", "keys")

    def __init__(self, bucket: Bucket, begin: bytes) -> None:
        self.bucket = bucket
        self.begin = begin
        self.keys: list[bytes] = []
        self.finished = False


class TreeWalk:
    """An ordered walk."""

    def __init__(self, layout: Tree, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - a value
        self._bounds = bounds
        begin = bounds.end if bounds.backward else bounds.begin
        self._pages = [_Page(bucket, begin) for bucket in layout.buckets]

    def more(self, wanted: int) -> Steps[list[bytes]]:
        found: list[bytes] = []
        while len(found) < wanted and (keys := (yield from self._certain(wanted))):
            found += keys
        return found

    def _certain(self, wanted: int) -> Steps[list[bytes]]:
        """Some of the next keys; none at the end."""
        share = wanted // len(self._pages)
        size = share + 3 * isqrt(share) + 1
        if any(not page.keys and not page.finished for page in self._pages):
            yield from self._refill(size)
        pages = [page for page in self._pages if page.keys]
        open_ends = [page.keys[-1] for page in pages if not page.finished]
        backward = self._bounds.backward
        edge = (max if backward else min)(open_ends) if open_ends else None
        keys = []
        for page in pages:
            count = sum(edge is None or (k >= edge if backward else k <= edge) for k in page.keys)
            keys += page.keys[:count]
            del page.keys[:count]
        keys.sort(reverse=backward)
        return keys

    def _refill(self, size: int) -> Steps[None]:
        pages = [page for page in self._pages if not page.finished and len(page.keys) <= size // 2]
        replies = yield [self._ask(page, size) for page in pages]
        for page, reply in zip(pages, replies, strict=True):
            good(reply)
            page.keys += reply
            page.finished = len(reply) < size
            if reply:
                page.begin = b"(" + reply[-1]

    def _ask(self, page: _Page, size: int) -> Command:
        backward = self._bounds.backward
        words = [
            b"ZREVRANGEBYLEX" if backward else b"ZRANGEBYLEX",
            page.bucket.index,
            page.begin,
            self._bounds.begin if backward else self._bounds.end,
            b"LIMIT",
            b"0",
            b"%d" % size,
        ]
        return Command(words, page.bucket.slot, True)


class Passes:
    """Asks all masters for what they have, in passes, until no record can have been missed.

    A pass misses a record that leaves a master which is still to be asked for one that has been.
    So a pass in which nothing moves misses nothing, and two passes one after the other miss nothing
    that moves once only in that time: a slot that stays half moved costs a second pass and no more.
    What passes do not see is a slot that goes away and comes back in each of two of them.

    Attributes:
        moved: whether slots have changed hands in the last pass.
    """

    def __init__(self) -> None:
        self.moved = False
        self._view: View | None = None  # at the begin of the pass
        self._moves: list[dict[int, set[Move]]] = []  # in the last passes
        self._all_asked = False
        self._passes = 0

    def begin(self, words: list[bytes], *, reads: bool) -> Steps[list[tuple[str, Any]]]:
        """The reply of each master to the command that a pass begins with."""
        self._passes += 1
        if self._passes > PASSES_MAX:
            raise Failure(500, "DB: 9: system error: slots move to and fro")
        replies: list[tuple[str, Any]]
        if self._view is None:
            slot = EVERY if self._passes == 1 else FRESH
            views, replies = yield [Command(NODES, slot, True), Command(words, slot, reads)]
            self._view = _view(views)
        else:
            [replies] = yield [Command(words, EVERY, reads)]
        self._all_asked = self._view.is_complete() and self._view.nodes == [n for n, _ in replies]
        return replies

    def end(self) -> Steps[bool]:
        """Whether all has been seen; otherwise another pass has to begin."""
        assert self._view is not None
        [views] = yield [Command(NODES, EVERY, True)]
        before, after = self._view, _view(views)
        self.moved = before.owners != after.owners
        if not self._all_asked or not after.is_complete():
            self.moved, self._view, self._moves = True, None, []
            return False
        self._view = after
        self._moves = [*self._moves[-1:], before.moves_to(after)]
        if before.is_still(after):
            return True
        first, last = self._moves[0], self._moves[-1]
        return len(self._moves) > 1 and all(
            len(moves | first[slot]) == 1 for slot, moves in last.items() if slot in first
        )


def _view(replies: list[tuple[str, Any]]) -> View:
    return View([(node, good(reply)) for node, reply in replies])


class FlatWalk:
    """A walk without an order."""

    def __init__(self, layout: Flat, prefix: bytes, limit: int) -> None:
        self._head = layout.head
        self._pattern = _quoted(layout.head + prefix) + b"*"
        self._passes = Passes()
        self._over = False
        self._cursors: dict[str, bytes] = {}
        self._seen: set[bytes] = set()
        self._limit = limit

    def more(self, wanted: int) -> Steps[list[bytes]]:
        found: list[bytes] = []
        while len(found) < wanted and not self._over:
            found += yield from self._scan()
            if not self._cursors:
                self._over = yield from self._passes.end()
        return found

    def _scan(self) -> Steps[list[bytes]]:
        """The next page of every master."""
        replies: list[tuple[str, Any]]
        if not self._cursors:
            replies = yield from self._passes.begin(self._words(b"0"), reads=True)
        else:
            nodes = list(self._cursors)
            commands = [
                Command(self._words(cursor), NOWHERE, True, node)
                for node, cursor in self._cursors.items()
            ]
            replies = list(zip(nodes, (yield commands), strict=True))
        self._cursors = {}
        keys = []
        for node, reply in replies:
            cursor, names = good(reply)
            if cursor != b"0":
                self._cursors[node] = cursor
            keys += list(self._new(names))
        return keys

    def _words(self, cursor: bytes) -> list[bytes]:
        return [b"SCAN", cursor, b"MATCH", self._pattern, b"COUNT", SCAN_COUNT]

    def _new(self, names: list[bytes]) -> Iterator[bytes]:
        for name in names:
            if name not in self._seen and name != META:
                self._seen.add(name)
                yield name.removeprefix(self._head)
        if len(self._seen) > self._limit:
            raise Failure(500, f"DB: 9: system error: more than {self._limit} keys to look at")


def _quoted(text: bytes) -> bytes:
    """A pattern that matches this text only."""
    return b"".join(b"\\%c" % byte if byte in b"*?[]\\^-" else b"%c" % byte for byte in text)


def page_sizes() -> Iterator[int]:
    """How many keys to ask for at a time: few at first, for who wants only one."""
    size = 1
    while True:
        yield size
        size = min(size * GROWTH, PAGE_MAX)


class Ahead:
    """The keys in front of a cursor."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._sizes = page_sizes()
        self._keys: deque[bytes] = deque()
        self._passed: deque[bytes] = deque(maxlen=PAGE_MAX)

    def first(self) -> Steps[bytes | None]:
        """The key that comes next, which stays there; None at the end."""
        if not self._keys:
            self._keys.extend((yield from self._walk.more(next(self._sizes))))
        return self._keys[0] if self._keys else None

    def pop(self) -> None:
        """Leave the key that `first` has given."""
        if self._keys:
            self._passed.append(self._keys.popleft())

    def back_to(self, key: bytes) -> bool:
        """Go back to a key that was left lately; False if that cannot be."""
        if key not in self._passed:
            return False
        while self._passed:
            self._keys.appendleft(self._passed.pop())
            if self._keys[0] == key:
                break
        return True
