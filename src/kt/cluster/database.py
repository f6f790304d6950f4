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
    script,
)
from kt.cluster.cursors import WalkingCursor
from kt.cluster.layout import META, Bucket, Flat, Layout, Tree, slot_of
from kt.cluster.records import Records
from kt.cluster.settings import Settings
from kt.cluster.walks import PAGE_MAX, Bounds, FlatWalk, Passes, TreeWalk, Walk, with_prefix
from kt.errors import ImproperlyConfigured

SWEEP: Final = 100
"""Expired keys that a call of `sweep` forgets."""

_DATA_SIZE: Final = re.compile(rb"used_memory_dataset:(\d+)")


class Database(Records):
    """A database as `settings` say it.

    Args:
        settings: what its URL says.
        clock: Unix time in seconds.
    """

    settings: Settings

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._tree = Tree(settings.prefix, settings.buckets) if settings.ordered else None
        self._flat = Flat(settings.prefix)
        layout: Layout = self._flat if self._tree is None else self._tree
        super().__init__(settings, layout, clock)
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

    def cursor(self) -> WalkingCursor:
        return WalkingCursor(self)

    # Searches

    def walk(self, bounds: Bounds = Bounds(), prefix: bytes = b"") -> Walk:  # noqa: B008 - a value
        """All keys within bounds, in order; those with the prefix, where there is no order."""
        if self._tree is None:
            return FlatWalk(self._flat, prefix, self.settings.scan_limit)
        return TreeWalk(self._tree, with_prefix(prefix) if prefix else bounds)

    def existing(self, keys: list[bytes]) -> Steps[list[bytes]]:
        """The index may have some that have expired."""
        if not keys or self._tree is None:
            return keys
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
