"""Cursors of the Kyoto Cabinet engine."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import KEEP, REMOVE, XT_MAX, Cursor, Database, Verdict

from .kyoto import FUTURE, HASHES, ORDERED, PAST, TYPES, contents, opened

RECORDS = {b"key%02d" % number: b"value%d" % number for number in range(20)}
NOWHERE = pytest.raises(EngineError, match="DB: 7: no record: no record")


@pytest.fixture(params=TYPES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path) as database:
        database.set_bulk(RECORDS)
        yield database


@pytest.fixture(params=ORDERED)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path) as database:
        database.set_bulk(RECORDS)
        yield database


@pytest.fixture
def cursor(database: Database) -> Cursor:
    cursor = database.cursor()
    cursor.jump()
    return cursor


class TestMovement:
    def test_goes_through_everything(self, database: Database, cursor: Cursor) -> None:
        seen = dict([cursor.get(step=True)[:2] for _ in RECORDS])
        assert seen == RECORDS
        with NOWHERE:
            cursor.get()
        with NOWHERE:
            cursor.step()

    def test_jumps_to_a_key(self, database: Database, cursor: Cursor) -> None:
        cursor.jump(b"key07")
        assert cursor.get() == (b"key07", b"value7", XT_MAX)
        assert cursor.get_key() == b"key07"
        assert cursor.get_value(step=True) == b"value7"
        cursor.jump(b"key08")
        assert cursor.get_value() == b"value8"
        with NOWHERE:
            cursor.jump(b"zebra")

    def test_jumps_to_the_next_key_of_a_tree(self, tree: Database) -> None:
        cursor = tree.cursor()
        cursor.jump(b"key07a")
        assert cursor.get_key() == b"key08"
        cursor.jump_back(b"key07a")
        assert cursor.get_key() == b"key07"

    def test_goes_backwards_in_a_tree(self, tree: Database) -> None:
        cursor = tree.cursor()
        cursor.jump_back()
        seen = [cursor.get_key()]
        for _ in range(len(RECORDS) - 1):
            cursor.step_back()
            seen.append(cursor.get_key())
        assert seen == sorted(RECORDS, reverse=True)
        with NOWHERE:
            cursor.step_back()

    @pytest.mark.parametrize("spec", HASHES)
    def test_does_not_go_backwards_in_a_hash(self, tmp_path: Path, spec: str) -> None:
        with opened(spec, tmp_path) as database:
            database.set(b"key", b"")
            cursor = database.cursor()
            cursor.jump()
            for move in (cursor.jump_back, cursor.step_back):
                with pytest.raises(EngineError, match="DB: 1: not implemented: not implemented"):
                    move()

    def test_nothing_to_jump_to(self, tmp_path: Path) -> None:
        for spec in TYPES:
            with opened(spec, tmp_path) as database, NOWHERE:
                database.cursor().jump()

    def test_new_cursors_are_nowhere(self, database: Database) -> None:
        with NOWHERE:
            database.cursor().get()


class TestChanges:
    def test_set_value(self, database: Database, cursor: Cursor) -> None:
        changed = {}
        for number in range(len(RECORDS)):
            key = cursor.get_key()
            changed[key] = b"x" * number * 20
            cursor.set_value(changed[key], FUTURE, step=True)
        assert contents(database) == changed
        assert database.get(b"key07")[1] == -FUTURE

    def test_remove_moves_on(self, database: Database, cursor: Cursor) -> None:
        for left in range(len(RECORDS), 0, -1):
            assert database.count() == left
            cursor.remove()
        with NOWHERE:
            cursor.remove()

    def test_seize(self, database: Database, cursor: Cursor) -> None:
        key, value, xt = cursor.seize()
        assert (value, xt) == (RECORDS[key], XT_MAX)
        assert cursor.get_key() != key
        assert database.count() == len(RECORDS) - 1

    def test_removed_by_others(self, database: Database, cursor: Cursor) -> None:
        key = cursor.get_key()
        database.remove(key)
        assert cursor.get_key() != key
        assert len(dict(r[:2] for r in cursor.records())) == len(RECORDS) - 1

    def test_accept(self, database: Database, cursor: Cursor) -> None:
        class Halve:
            def visit_full(self, key: bytes, value: bytes, xt: int) -> Verdict:
                return REMOVE if int(key[3:]) % 2 else KEEP

            def visit_empty(self, key: bytes) -> Verdict:
                raise AssertionError

        for _ in RECORDS:
            cursor.accept(Halve(), step=True)
        with NOWHERE:
            cursor.accept(Halve(), step=True)
        assert sorted(contents(database)) == [b"key%02d" % number for number in range(0, 20, 2)]

    def test_clearing_leaves_it_nowhere(self, database: Database, cursor: Cursor) -> None:
        database.clear()
        with NOWHERE:
            cursor.get()
        database.set(b"new", b"record")
        with NOWHERE:
            cursor.step()
        cursor.jump()
        assert cursor.get() == (b"new", b"record", XT_MAX)

    def test_aborting_leaves_it_nowhere(self, database: Database, cursor: Cursor) -> None:
        database.begin_transaction()
        database.end_transaction(commit=False)
        with NOWHERE:
            cursor.get()


class TestExpiry:
    def test_expired_records_are_stepped_over(self, database: Database, cursor: Cursor) -> None:
        for number in range(0, 20, 2):
            database.set(b"key%02d" % number, b"", PAST)
        assert sorted(contents(database)) == [b"key%02d" % number for number in range(1, 20, 2)]

    def test_backwards_too(self, tree: Database) -> None:
        for number in (19, 18, 16):
            tree.set(b"key%02d" % number, b"", PAST)
        cursor = tree.cursor()
        cursor.jump_back()
        assert cursor.get_key() == b"key17"
        cursor.step_back()
        assert cursor.get_key() == b"key15"

    def test_a_jump_may_land_on_one(self, database: Database, cursor: Cursor) -> None:
        database.set(b"key07", b"", PAST)
        cursor.jump(b"key07")
        assert database.count() == len(RECORDS)


def test_life_of_cursors(tmp_path: Path) -> None:
    for spec in TYPES:
        with opened(spec, tmp_path) as database:
            cursors = [database.cursor() for _ in range(100)]
            cursors[0].close()
            with pytest.raises(EngineError, match="cursor is closed"):
                cursors[0].jump()
            cursors[1].close()
            cursors[1].close()
            survivor = cursors[2]
            del cursors
            gc.collect()
        del database
        gc.collect()
        with pytest.raises(EngineError, match="not opened"):
            survivor.jump()
        assert survivor.database.spec.endswith(spec)


class TestMany:
    """Those that go leave the others where they are."""

    def test_going_in_any_order(self, database: Database) -> None:
        cursors = [database.cursor() for _ in range(300)]
        for cursor in cursors:
            cursor.jump()
        first = cursors[0].get_key()
        for cursor in [*cursors[1::3], *cursors[2::3][::-1]]:
            cursor.close()
        cursors = cursors[::3]
        database.remove(first)
        assert {cursor.get_key() for cursor in cursors} == {cursors[0].get_key()} != {first}
        database.clear()
        for cursor in cursors[::2]:
            with NOWHERE:
                cursor.get()
            cursor.close()
        database.set(b"k" * 1000, b"value")
        for cursor in cursors[1::2]:
            cursor.jump()
            assert cursor.get_key() == b"k" * 1000
            cursor.close()

    def test_going_inside_of_a_visitor(self, database: Database) -> None:
        left = [database.cursor() for _ in range(3)]

        class Visitor:
            def visit_full(self, key: bytes, value: bytes, xt: int) -> Verdict:
                left.clear()
                return KEEP

            def visit_empty(self, key: bytes) -> Verdict:
                raise AssertionError

        left[0].jump()
        database.accept(b"key01", Visitor())
        assert not left
        database.cursor().close()
        database.clear()
        assert contents(database) == {}
