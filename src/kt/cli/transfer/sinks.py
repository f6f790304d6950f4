"""Where records go: servers and files, both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from kt.cli.faults import Usage
from kt.cli.target import Target
from kt.cli.transfer.batches import Batch, expiring, packed, request
from kt.client.expiry import NO_EXPIRY

if TYPE_CHECKING:
    from kt.cli.transfer.sources import Source

Mode = Literal["empty", "overwrite", "keep"]
"""What to do with records that are there: refuse to begin, replace them, leave them."""

TABLE: Final = "table"


class Sink:
    """Stores batches in a target.

    Args:
        target: where they go.
        db: into which database; None for that which they come from.
        mode: what to do with what is there.
        drop_expiry: a Tokyo Tyrant takes records that expire, and they never do there.
    """

    def __init__(
        self, target: Target, db: int | None, mode: Mode = "empty", drop_expiry: bool = False
    ) -> None:
        self.target = target
        self.db = db
        self.mode: Mode = mode
        self.drop_expiry = drop_expiry
        self._last: bytes | None = None

    def check(self, databases: list[int], rows: bool) -> None:
        """Raise `Usage` if the records cannot go there, before anything is written."""
        wanted = databases if self.db is None else [self.db]
        if self.target.kind == "tyrant":
            self._check_tyrant(databases, rows)
            return
        if rows:
            raise Usage(f"these are rows, and {self.target.url} is no table but of Kyoto Tycoon")
        from kt.cli.transfer.sources import Source

        missing = set(wanted) - set(Source(self.target).databases())
        if missing:
            raise Usage(f"{self.target.url} has no database {min(missing)}; --to-db chooses one")
        if self.mode == "empty":
            counts = {db: self.target.tycoon.count(db) for db in wanted}
            self._refuse(sum(counts.values()))

    def _check_tyrant(self, databases: list[int], rows: bool) -> None:
        if len(databases) > 1:
            raise Usage("Tokyo Tyrant has one database: choose one of the source with --db")
        kind = self.target.tyrant.stat().get("type", "")
        if rows != (kind == TABLE):
            what = "rows" if rows else "no rows"
            raise Usage(f"these are {what}, and {self.target.url} is a {kind} database")
        if self.mode == "empty":
            self._refuse(self.target.tyrant.count())

    def _refuse(self, count: int) -> None:
        if count:
            raise Usage(
                f"{self.target.url} holds {count} records: --overwrite replaces those that are "
                "there, --keep leaves them"
            )

    def store(self, batch: Batch) -> int:
        """Store a batch and return how many records were."""
        db = self._into(batch.db)
        if self.mode == "keep":
            batch = self._missing(batch, db)
        if not batch.number:
            return 0
        if self.target.kind == "tyrant":
            return self._store_tyrant(batch)
        client = self.target.tycoon
        return client._write(request(batch, db), False, batch.number)

    def replace(self, batch: Batch) -> None:
        """Store records of different keys, each in place of what is there."""
        self._last = None  # no duplicate of what came before
        self.store(batch)

    def remove(self, db: int, keys: list[bytes]) -> None:
        """Remove the records of these keys, as far as there are any."""
        if self.target.kind == "tyrant":
            self.target.tyrant.remove_bulk(keys)
        else:
            self.target.tycoon.remove_bulk(keys, self._into(db))

    def clear(self, db: int) -> None:
        """Remove all records."""
        if self.target.kind == "tyrant":
            self.target.tyrant.clear()
        else:
            self.target.tycoon.clear(self._into(db))

    def _into(self, db: int) -> int:
        """The database for what comes from this one."""
        return db if self.db is None else self.db

    def _missing(self, batch: Batch, db: int) -> Batch:
        """Those of the records that there are none of yet."""
        records = batch.records()
        keys = [record[1] for record in records]
        if self.target.kind == "tyrant":
            there = self.target.tyrant.get_bulk(keys)
        else:
            there = self.target.tycoon.get_bulk(keys, db)
        left = [(key, value, xt) for _, key, value, xt in records if key not in there]
        return packed(batch.db, left, batch.last)

    def _store_tyrant(self, batch: Batch) -> int:
        if not self.drop_expiry and expiring(batch):
            raise Usage("some records expire, which Tokyo Tyrant cannot: --drop-expiry")
        records = batch.records()
        firsts: dict[bytes, bytes] = {}
        others: list[tuple[bytes, bytes]] = []  # duplicates, which follow each other in a tree
        previous = self._last
        for _, key, value, _ in records:
            if key == previous:
                others.append((key, value))
            else:
                firsts[key] = value
            previous = key
        client = self.target.tyrant
        client.set_bulk(firsts)
        if others:
            with client.pipeline() as pipe:
                for key, value in others:
                    pipe.putdup(key, value)
        self._last = previous
        return len(records)

    def make_indices(self, indices: dict[str, str]) -> None:
        """Make the indices of a table."""
        from kt.wire.table import IndexKind

        for name, kind in indices.items():
            self.target.tyrant.set_index(name, IndexKind[kind.upper()])


class Differences:
    """What differs between a database of two targets, found batch by batch.

    Iterating gives ``("-", key)`` for what only the left one has, ``("+", key)`` for what only the
    right one has, ``("~", key)`` where value or expiry differ.
    """

    def __init__(self, left: Source, right: Source, db: int) -> None:
        self._left = left
        self._right = right
        self._db = db
        self.looked_at = 0

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for batch in self._left.batches(self._db):
            there = _found(self._right.target, self._db, batch)
            for _, key, value, xt in batch.records():
                self.looked_at += 1
                other = there.get(key)
                if other is None:
                    yield "-", key
                elif other[0] != value or abs(other[1] - xt) > 1:
                    yield "~", key
        for batch in self._right.batches(self._db):
            there = _found(self._left.target, self._db, batch)
            for _, key, _, _ in batch.records():
                self.looked_at += 1
                if key not in there:
                    yield "+", key


def _found(target: Target, db: int, batch: Batch) -> dict[bytes, tuple[bytes, int]]:
    """Values and expiries of the keys of a batch in the other target."""
    keys = [record[1] for record in batch.records()]
    if target.kind == "tyrant":
        found = target.tyrant.get_bulk(keys)
        return {key: (value, NO_EXPIRY) for key, value in found.items()}
    from kt.wire.tycoon import decode_get_bulk_details, pack_get_bulk, read_get_bulk_reply

    client = target.tycoon
    frame = client._call(pack_get_bulk(keys, db), read_get_bulk_reply, True)
    return {key: (value, xt) for _, key, value, xt in decode_get_bulk_details(frame, False, None)}
