"""Searches through all keys in the Kyoto Cabinet engine, also while others write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, strategies

from kt.server.engines import EngineError
from kt.server.engines.kyoto import _text as kyoto_text
from kt.server.engines.kyoto._engine import Database
from kt.wire.tycoon_rpc import decode_keys, decode_places

from .kyoto import FILES, ORDERED, PAST, TYPES, opened

FRUIT = [b"apple", b"apricot", b"banana", b"grape", b"grapefruit", b"\xc3\xa9tude", b"\xff\xfe"]


NEAR = strategies.integers(0, 10)


def distance(a: Sequence[object], b: Sequence[object]) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a):
        diagonal, row[0] = row[0], i + 1
        for j, right in enumerate(b):
            cost = min(row[j] + 1, row[j + 1] + 1, diagonal + (left != right))
            diagonal, row[j + 1] = row[j + 1], cost
    return row[-1]


@pytest.fixture(params=TYPES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path) as database:
        for key in FRUIT:
            database.set(key, b"value of " + key)
        database.set(b"apple gone", b"", PAST)
        yield database


class TestMatches:
    def test_prefix(self, database: Database) -> None:
        assert sorted(database.match_prefix(b"ap")) == [b"apple", b"apricot"]
        assert database.match_prefix(b"grapefruit") == [b"grapefruit"]
        assert database.match_prefix(b"zebra") == []
        assert sorted(database.match_prefix(b"")) == FRUIT

    def test_regex(self, database: Database) -> None:
        assert sorted(database.match_regex(b"^a.*(e|t)$")) == [b"apple", b"apricot"]
        assert sorted(database.match_regex(b"rap")) == [b"grape", b"grapefruit"]
        assert database.match_regex(b"^$") == []

    def test_bad_regex(self, database: Database) -> None:
        message = "DB: 8: logical inconsistency: compilation failed"
        with pytest.raises(EngineError, match=message):
            database.match_regex(b"[")

    @pytest.mark.parametrize("origin", ["grape", "grale", "apples", "", "etude", "étude"])
    def test_similar(self, database: Database, origin: str) -> None:
        for most in (0, 1, 2, 5):
            near = [(distance(origin.encode(), key), key) for key in FRUIT]
            expected = [key for far, key in sorted(near) if far <= most]
            assert database.match_similar(origin.encode(), most) == expected
            assert database.match_similar(origin.encode(), most, False, 2) == expected[:2]

    def test_similar_characters(self, database: Database) -> None:
        assert database.match_similar(b"etude", 1) == []
        assert database.match_similar(b"etude", 1, utf8=True) == ["étude".encode()]

    @given(keys=strategies.lists(strategies.text("abé", max_size=9), min_size=1), most=NEAR)
    def test_similar_ones_of_any_length(self, keys: list[str], most: int) -> None:
        with Database("*") as database:
            database.set_bulk({key.encode(): b"" for key in keys})
            for utf8 in (False, True):
                near = sorted(
                    (distance(*((keys[0], key) if utf8 else (keys[0].encode(), key.encode()))), key)
                    for key in set(keys)
                )
                expected = [key.encode() for far, key in near if far <= most]
                assert database.match_similar(keys[0].encode(), most, utf8) == expected

    def test_similar_ones_of_long_keys(self) -> None:
        """A table of all pairs of their bytes would take 14 GiB."""
        key = bytes(range(200)) * 300
        with Database("*") as database:
            database.set(key, b"v")
            assert database.match_similar(key[1:-1], 2) == [key]
            assert database.match_similar(b"x" + key[:-1], 1, utf8=False) == []
            with pytest.raises(EngineError, match="takes too long"):
                database.match_similar(key[::-1], 100_000)
            assert database.get(key) is not None
        assert kyoto_text.distance(key, key[::-1][:1000], False) > 0
        with pytest.raises(RuntimeError, match="takes too long"):
            kyoto_text.distance(key, key[::-1], False)

    def test_limit(self, database: Database) -> None:
        for limit, number in ((0, 0), (1, 1), (2, 2), (5, 2), (-1, 2)):
            assert len(database.match_prefix(b"ap", limit)) == number
            assert len(database.match_regex(b"^ap", limit)) == number
        assert database.match_similar(b"apple", 5, False, 0) == []

    def test_order_of_trees(self, tmp_path: Path) -> None:
        for spec in ORDERED:
            with opened(spec, tmp_path) as database:
                database.set_bulk(dict.fromkeys(reversed(FRUIT), b""))
                assert database.match_prefix(b"") == FRUIT
                assert database.match_prefix(b"grape", 1) == [b"grape"]

    @pytest.mark.parametrize(("prefix", "limit"), [(b"00000", -1), (b"", 10)])
    def test_nothing_is_read_behind_the_last_one(
        self, tmp_path: Path, prefix: bytes, limit: int
    ) -> None:
        """The cache of pages has no more than those of the keys, and of the one that comes next."""
        with opened("casket.kct", tmp_path) as database:
            database.set_bulk({b"%06d" % number: bytes(100) for number in range(20_000)})
        with opened("casket.kct", tmp_path) as database:
            assert len(database.match_prefix(prefix, limit)) == 10
            status = database.status()
            assert 0 < int(status[b"cusage"]) < 3 * int(status[b"psiz"])

    @pytest.mark.parametrize("spec", ["%", "casket.kct"])
    def test_other_orders(self, tmp_path: Path, spec: str) -> None:
        numbers = [b"%d" % number for number in range(30)]
        with opened(f"{spec}#rcomp=decdesc", tmp_path) as database:
            database.set_bulk(dict.fromkeys(numbers, b""))
            assert database.match_prefix(b"") == numbers[::-1]
            assert database.match_prefix(b"2") == [b"%d" % n for n in (*range(29, 19, -1), 2)]


@contextmanager
def meanwhile(action: Callable[[int], None]) -> Iterator[None]:
    """Run `action` with 0, 1, 2 ... in another thread, at least a few times."""
    stop, started = threading.Event(), threading.Event()

    def run() -> None:
        number = 0
        while not stop.is_set():
            action(number)
            number += 1
            if number == 10:
                started.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        started.wait()
        yield
    finally:
        stop.set()
        thread.join()


class TestMeanwhile:
    """Records that exist all the time are found exactly once, whatever others do."""

    COUNT = 20_000

    @pytest.fixture(params=[spec for spec in TYPES if not spec.endswith(("kcd", "kcf"))])
    def large(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
        with opened(request.param, tmp_path) as database:
            database.set_bulk({self.key(number): b"v" for number in range(self.COUNT)})
            yield database

    @staticmethod
    def key(number: int) -> bytes:
        return b"stays%06d" % (number * 7919 % TestMeanwhile.COUNT)

    def check(self, database: Database) -> None:
        for _ in range(3):
            found = [key for key in database.match_prefix(b"") if key.startswith(b"stays")]
            assert len(found) == self.COUNT
            assert len(set(found)) == self.COUNT

    def test_reading(self, large: Database) -> None:
        with meanwhile(lambda number: large.get(self.key(number)) and None):
            self.check(large)

    def test_growing(self, large: Database) -> None:
        with meanwhile(lambda number: large.set(self.key(number), b"v" * (number % 300))):
            self.check(large)

    def test_coming_and_going(self, large: Database) -> None:
        def come_and_go(number: int) -> None:
            large.set(b"comes%d" % (number % 1000), b"w" * (number % 100))
            if number > 500:
                large.remove(b"comes%d" % ((number - 500) % 1000))

        with meanwhile(come_and_go):
            self.check(large)

    def test_expiring(self, large: Database) -> None:
        def expire(number: int) -> None:
            large.set(b"expires%d" % number, b"", PAST)
            large.tick()

        with meanwhile(expire):
            self.check(large)

    def test_vacuum(self, large: Database) -> None:
        with meanwhile(lambda _number: large.vacuum(100)):
            self.check(large)

    def test_aborted_transactions(self, large: Database) -> None:
        def abort(number: int) -> None:
            if number < 40:
                large.begin_transaction()
                large.set(self.key(number), b"changed")
                large.end_transaction(commit=False)

        with meanwhile(abort):
            self.check(large)

    def test_endless_aborted_transactions(self, large: Database) -> None:
        def abort(number: int) -> None:
            large.begin_transaction()
            large.set(self.key(number), b"changed")
            large.end_transaction(commit=False)

        with meanwhile(abort):
            self.check(large)

    def test_in_a_transaction_that_does_not_end(self, large: Database) -> None:
        large.begin_transaction()
        self.check(large)
        large.end_transaction()

    def test_two_searches(self, large: Database) -> None:
        with meanwhile(lambda _number: self.check(large)):
            self.check(large)

    def test_clearing_ends_it(self, large: Database) -> None:
        with meanwhile(lambda _number: large.clear()):
            for _ in range(20):
                assert len(large.match_prefix(b"stays")) <= self.COUNT
        large.clear()
        assert large.match_prefix(b"") == []


@pytest.mark.parametrize("spec", FILES)
def test_snapshots(tmp_path: Path, spec: str) -> None:
    records = {b"key%d" % number: b"v" * number for number in range(300)}
    dump = tmp_path / "dump"
    with opened(spec, tmp_path) as database:
        database.set_bulk(records)
        database.set(b"expires", b"later", -4102444800)
        database.dump_snapshot(str(dump))
    with Database("*") as other:
        other.load_snapshot(str(dump))
        assert other.get_bulk(records) == records
        assert other.get(b"expires") == (b"later", 4102444800)
        assert other.count() == len(records) + 1
        for broken in (b"", b"KCSX\n\0", dump.read_bytes()[:-1], dump.read_bytes()[:100]):
            dump.write_bytes(broken)
            with pytest.raises(EngineError):
                other.load_snapshot(str(dump))


FIELDS = strategies.binary(max_size=20) | strategies.text("a~\x1f\x7f\xe9 ", max_size=20).map(
    str.encode
)


def is_plain(*fields: bytes) -> bool:
    return not any(byte < 0x20 or byte == 0x7F for field in fields for byte in field)


@given(strategies.dictionaries(FIELDS, FIELDS, min_size=1, max_size=12))
def test_packed_columns(records: dict[bytes, bytes]) -> None:
    """They are what a client reads, and encoded only if they have to be."""
    database = Database("%")
    database.set_bulk(records)
    cursor = database.cursor()
    cursor.jump()
    encoding, lines = cursor.take_ahead(1000, 1 << 20, True)
    assert decode_places(lines, encoding, False, bytes) == sorted(records.items())
    assert (encoding == "") is is_plain(*records, *records.values())
    cursor.jump()
    encoding, lines = cursor.take_ahead(1000, 1 << 20, False)
    assert [key for key, _ in decode_places(lines, encoding, False, bytes)] == sorted(records)
    assert (encoding == "") is is_plain(*records)
    found = database.match_prefix_packed(b"", -1, 0, 255)
    assert not isinstance(found, list)
    number, (encoding, lines) = found
    assert number == len(records)
    assert decode_keys(lines, encoding, False) == sorted(records)
    assert (encoding == "") is is_plain(*records)
    assert database.match_prefix_packed(b"", -1, len(records), 255) == sorted(records)
    database.close()


def test_packed_columns_of_long_keys() -> None:
    """As the original server has them."""
    with Database("%") as database:
        for size, expected in ((254, ""), (255, "B")):
            database.set(b"k" * size, b"")
            found = database.match_prefix_packed(b"", -1, 0, 255)
            assert not isinstance(found, list)
            assert found[1][0] == expected
