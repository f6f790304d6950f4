"""A database on a cluster: records, searches, and what concerns all of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from random import randrange
from typing import Any, Final

from kt.cluster.commands import (
    EVERY,
    Command,
    Failure,
    Script,
    Steps,
    call,
    good,
    illogical,
    script,
)
from kt.cluster.layout import META, Bucket, Flat, Layout, Tree, slot_of
from kt.cluster.records import Records
from kt.cluster.settings import Settings
from kt.cluster.walks import PAGE_MAX, Bounds, FlatWalk, Passes, TreeWalk, Walk, with_prefix
from kt.errors import ImproperlyConfigured

SWEEP: Final = 100
"""Expired keys that a call of `sweep` forgets."""

_DATA_SIZE: Final = re.compile(rb"used_memory_dataset:(\d+)")
_LITERAL: Final = re.compile(rb"\^([\w /:,;@=-]+)(?![*?{|+])")


class Database(Records):
    """A database as `settings` say it.

    Args:
        settings: what its URL says.
        clock: Unix time in seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._tree = Tree(settings.prefix, settings.buckets) if settings.ordered else None
        self._flat = Flat(settings.prefix)
        layout: Layout = self._flat if self._tree is None else self._tree
        super().__init__(layout, clock)
        self._to_sweep = randrange(settings.buckets)  # noqa: S311 - no secret

    def claim(self) -> Steps[None]:
        """Make sure that the numbered database is ours and laid out so.

        Raises:
            ImproperlyConfigured: something else is there.
        """
        settings = self.settings
        if self._tree is None:
            [sizes, known] = yield [
                Command([b"DBSIZE"], EVERY, True),
                Command([b"EXISTS", META], slot_of(META), True),
            ]
            if sum(good(size) for _, size in sizes) and not good(known):
                raise ImproperlyConfigured(
                    f"database {settings.number} of the cluster has keys that are not kt's: a flat "
                    "database wants a number, or a cluster, for itself"
                )
        [found] = yield [self._claim()]
        if isinstance(good(found), bytes):
            raise ImproperlyConfigured(
                f"database {settings.number} of the cluster has {found.decode()}, "
                f"asked for is {settings.prefix.decode()}: {self.layout.text.decode()}"
            )

    def _claim(self) -> Command:
        prefix = self.settings.prefix
        claim = call(script("claim"), [META], slot_of(META), prefix, self.layout.text)
        return claim._replace(reads=True)  # every client says the same again

    # Searches

    def walk(self, bounds: Bounds = Bounds(), prefix: bytes = b"") -> Walk:  # noqa: B008 - a value
        """All keys within bounds, in order; those with the prefix, where there is no order."""
        if self._tree is None:
            return FlatWalk(self._flat, prefix, self.settings.scan_limit)
        return TreeWalk(self._tree, with_prefix(prefix) if prefix else bounds)

    def match_prefix(self, prefix: bytes, limit: int) -> Steps[list[bytes]]:
        return (yield from self._search(prefix, lambda key: True, limit))

    def match_regex(self, text: bytes, limit: int) -> Steps[list[bytes]]:
        try:
            pattern = re.compile(text, re.DOTALL)
        except re.error as error:
            raise illogical(f"compilation failed: {error}") from None
        literal = _LITERAL.match(text)
        prefix = literal[1] if literal and b"|" not in text else b""
        return (yield from self._search(prefix, lambda key: bool(pattern.search(key)), limit))

    def match_similar(
        self, origin: bytes, distance: int, is_text: bool, limit: int
    ) -> Steps[list[bytes]]:
        """Keys that differ by so many letters at most, the most similar ones first."""
        wanted = _letters(origin, is_text)
        found: dict[bytes, int] = {}

        def is_similar(key: bytes) -> bool:
            letters = _letters(key, is_text)
            if abs(len(letters) - len(wanted)) > distance:
                return False
            found[key] = edit_distance(wanted, letters)
            return found[key] <= distance

        keys = yield from self._search(b"", is_similar, -1)
        keys.sort(key=found.__getitem__)
        return keys if limit < 0 else keys[:limit]

    def _search(
        self, prefix: bytes, wanted: Callable[[bytes], bool], limit: int
    ) -> Steps[list[bytes]]:
        """Keys of records that are there."""
        walk = self.walk(prefix=prefix)
        found: list[bytes] = []
        looked_at = 0
        while limit < 0 or len(found) < limit:
            page = PAGE_MAX if limit < 0 else min(max(limit - len(found), 16), PAGE_MAX)
            keys = yield from walk.more(page)
            if not keys:
                break
            looked_at += len(keys)
            if looked_at > self.settings.scan_limit:
                most = self.settings.scan_limit
                raise Failure(500, f"DB: 9: system error: more than {most} keys to look at")
            keys = [key for key in keys if wanted(key)]
            if self.layout.ordered:
                keys = yield from self._existing(keys)
            found += keys
        return found if limit < 0 else found[:limit]

    def _existing(self, keys: list[bytes]) -> Steps[list[bytes]]:
        """Those of which there is a record: the index may have some that have expired."""
        if not keys:
            return []
        replies = yield [self.exists_command(key) for key in keys]
        return [key for key, reply in zip(keys, replies, strict=True) if good(reply)]

    # All of it

    def count(self) -> Steps[int]:
        """How many records there are.

        In flat, those that move at this very moment may be counted twice, or not at all.
        """
        if self._tree is None:
            passes = Passes()
            while True:
                sizes = yield from passes.begin([b"DBSIZE"], reads=True)
                yield from passes.end()
                if not passes.moved:
                    break
            total: int = sum(good(size) for _, size in sizes)
            return max(total - 1, 0)  # the one is META
        buckets = self._tree.buckets
        cards = [Command([b"ZCARD", bucket.index], bucket.slot, True) for bucket in buckets]
        now = b"%d" % self.now()
        words = (b"-inf", now)
        expired = [Command([b"ZCOUNT", b.expiries, *words], b.slot, True) for b in buckets]
        replies = yield [*cards, *expired]
        numbers: list[int] = [good(reply) for reply in replies]
        return sum(numbers[: len(buckets)]) - sum(numbers[len(buckets) :])

    def clear(self) -> Steps[None]:
        """Remove all records. They do not all go at one moment."""
        if self._tree is None:
            passes, over = Passes(), False
            while not over:
                for _, reply in (yield from passes.begin([b"FLUSHDB", b"ASYNC"], reads=False)):
                    good(reply)
                over = yield from passes.end()
            good((yield [self._claim()])[0])
            return
        walk = TreeWalk(self._tree)
        while keys := (yield from walk.more(PAGE_MAX)):
            yield from self.remove_bulk(keys)
        yield from self.vacuum()

    def vacuum(self) -> Steps[None]:
        """Forget the keys of records that have expired."""
        for bucket in () if self._tree is None else self._tree.buckets:
            while (yield from self._sweep(bucket)) == SWEEP:
                pass

    def sweep(self) -> Steps[None]:
        """The same for some records of a bucket; then of the next one, if that was all."""
        if self._tree is not None:
            buckets = self._tree.buckets
            if (yield from self._sweep(buckets[self._to_sweep])) < SWEEP:
                self._to_sweep = (self._to_sweep + 1) % len(buckets)

    def _sweep(self, bucket: Bucket) -> Steps[int]:
        now, most = b"%d" % self.now(), b"%d" % SWEEP
        sweeping: Script = script("sweep")
        [gone] = yield [call(sweeping, [bucket.index, bucket.expiries], bucket.slot, now, most)]
        count: int = good(gone)
        return count

    def synchronize(self, hard: bool) -> Steps[None]:
        """Wait until one replica of each master has all that was written; until the log is on disk.

        Raises:
            Failure: that is not so within the time for it.
        """
        wait = b"%d" % int(self.settings.ack_timeout * 1000)
        words = [b"WAITAOF", b"1", b"0", wait] if hard else [b"WAIT", b"1", wait]
        [replies] = yield [Command(words, EVERY)]
        for node, reply in replies:
            done = good(reply)[0] if hard else good(reply)
            if not done:
                raise Failure(
                    500, f"DB: 9: system error: {node} has not brought its data elsewhere"
                )

    def status(self) -> Steps[dict[bytes, bytes]]:
        count = yield from self.count()
        [infos] = yield [Command([b"INFO", b"memory"], EVERY, True)]
        sizes = [_DATA_SIZE.search(good(info)) for _, info in infos]
        settings = self.settings
        columns: dict[str, Any] = {
            "count": count,
            "size": sum(int(size[1]) for size in sizes if size),
            "path": settings,
            "type": "cluster",
            "layout": "tree" if settings.ordered else "flat",
            "masters": len(infos),
            "ack": settings.ack,
        }
        if settings.ordered:
            columns["buckets"] = settings.buckets
        return {name.encode(): str(value).encode() for name, value in columns.items()}


def _letters(key: bytes, is_text: bool) -> str | bytes:
    return key.decode("utf-8", "surrogateescape") if is_text else key


def edit_distance(one: str | bytes, other: str | bytes) -> int:
    """How many letters must be put in, taken out or replaced to make the one the other."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        before, row[0] = row[0], at
        for index, second in enumerate(other, 1):
            cost = before if letter == second else 1 + min(before, row[index], row[index - 1])
            before, row[index] = row[index], cost
    return row[-1]
