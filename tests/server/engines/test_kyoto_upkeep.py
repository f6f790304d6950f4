"""Clearing, synchronizing, vacuuming, and what is removed without being asked, in the Kyoto
Cabinet engine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import BinaryCore, Database

from .kyoto import FILES, FUTURE, PAST, TYPES, contents, feed, get_bulk, opened, set_bulk

RECORDS = {b"key%d" % number: b"value" * number for number in range(100)}


@pytest.fixture(params=TYPES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path) as database:
        yield database


def wait_until(condition: Callable[[], bool], step: Callable[[], object]) -> None:
    """Take steps until the condition holds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        step()


class TestExpired:
    def test_are_removed_by_ticks(self, database: Database) -> None:
        database.set_bulk(RECORDS)
        database.set_bulk({b"gone%d" % number: b"" for number in range(500)}, PAST)
        assert database.count() == 600
        wait_until(lambda: database.count() == 100, database.tick)
        assert contents(database) == RECORDS
        wait_until(lambda: not database.tick(), lambda: None)

    def test_are_removed_by_writes(self, database: Database) -> None:
        database.set_bulk({b"gone%d" % number: b"" for number in range(500)}, PAST)
        stream = BinaryCore([database]).stream()
        request = set_bulk([(b"key", b"value")] * 50, xt=FUTURE)
        wait_until(lambda: database.count() == 1, lambda: feed(stream, request))

    def test_are_removed_by_vacuum(self, database: Database) -> None:
        database.set_bulk(RECORDS)
        database.set_bulk({b"gone%d" % number: b"" for number in range(500)}, PAST)
        database.vacuum()
        assert database.count() == 100

    @pytest.mark.parametrize("spec", FILES)
    def test_are_found_in_old_files(self, tmp_path: Path, spec: str) -> None:
        with opened(spec, tmp_path) as database:
            database.set_bulk({b"gone%d" % number: b"" for number in range(300)}, PAST)
            database.set(b"key", b"value", FUTURE)
        with opened(spec, tmp_path) as database:
            assert database.count() == 301
            wait_until(lambda: database.count() == 1, database.tick)

    def test_an_aborted_transaction_brings_them_back(self, database: Database) -> None:
        database.set_bulk({b"gone%d" % number: b"" for number in range(300)}, PAST)
        for _ in range(3):
            database.begin_transaction()
            database.vacuum(200)
            database.end_transaction(commit=False)
        wait_until(lambda: database.count() == 0, database.tick)


class TestCapacity:
    @pytest.mark.parametrize("spec", TYPES)
    def test_number_of_records(self, tmp_path: Path, spec: str) -> None:
        with opened(f"{spec}#ktcapcnt=50", tmp_path) as database:
            for number in range(500):
                database.set(b"key%d" % number, b"value")
                assert database.count() <= 51
            stream = BinaryCore([database]).stream()
            for number in range(50):
                feed(stream, set_bulk([(b"new%d.%d" % (number, n), b"") for n in range(50)]))
            wait_until(lambda: database.count() <= 50, database.tick)

    @pytest.mark.parametrize("spec", ["*#bnum=100", "-", "casket.kch#bnum=100"])
    def test_size(self, tmp_path: Path, spec: str) -> None:
        with opened(f"{spec}#ktcapsiz=100k", tmp_path) as database:
            for number in range(3000):
                database.set(b"key%d" % number, b"v" * 100)
            for _ in range(3000):
                database.tick()
            assert 100 < database.count() < 1100
            assert database.size() < 200_000

    def test_least_recently_used_go_first(self) -> None:
        with Database("*#capcnt=1000#bnum=100") as database:
            for number in range(5000):
                database.set(b"key%d" % number, b"value")
                database.get(b"key0")
            assert database.count() <= 1016
            assert database.get(b"key0") == database.get(b"key4999")


class TestVacuum:
    @pytest.mark.parametrize("spec", ["casket.kch#bnum=1000", "casket.kct#psiz=500"])
    def test_shrinks_the_file(self, tmp_path: Path, spec: str) -> None:
        with opened(spec, tmp_path) as database:
            many = {b"%06d" % number: b"v" * 200 for number in range(20_000)}
            database.set_bulk(many)
            database.synchronize()
            full = database.size()
            database.remove_bulk([key for key in many if key[-1:] != b"7"])
            database.vacuum()
            assert database.size() < full / 3
            kept = {key: value for key, value in many.items() if key.endswith(b"7")}
            assert contents(database) == kept
        path = tmp_path / spec.partition("#")[0]
        assert path.stat().st_size < full / 3
        with opened(spec, tmp_path) as database:
            assert contents(database) == kept

    def test_in_steps(self, tmp_path: Path) -> None:
        with opened("casket.kch", tmp_path) as database:
            database.set_bulk({b"%d" % number: b"v" * 100 for number in range(1000)})
            full = database.size()
            database.remove_bulk([b"%d" % number for number in range(0, 1000, 2)])
            wait_until(lambda: database.size() < full * 0.995, lambda: database.vacuum(20))
            assert database.count() == 500

    def test_ticks_tidy_up(self, tmp_path: Path) -> None:
        with opened("casket.kch", tmp_path) as database:
            database.set_bulk({b"%d" % number: b"v" * 100 for number in range(1000)})
            full = database.size()
            database.remove_bulk([b"%d" % number for number in range(0, 1000, 2)])
            assert database.tick()
            while database.tick():
                continue
            assert database.size() < full
            assert not database.tick()


class TestClear:
    def test_clear(self, database: Database) -> None:
        database.set_bulk(RECORDS)
        database.clear()
        assert database.count() == 0
        database.clear()
        database.set_bulk(RECORDS)
        assert contents(database) == RECORDS

    def test_beside_others(self, database: Database) -> None:
        """Nobody sees anything but complete requests, and nothing breaks."""
        stop = threading.Event()
        failures: list[object] = []

        def work() -> None:
            stream = BinaryCore([database]).stream()
            cursor = database.cursor()
            while not stop.is_set():
                state, reply, _ = feed(stream, set_bulk(RECORDS.items()) + get_bulk(RECORDS))
                if state or reply[:5] != b"\xb8\0\0\0\x64":
                    failures.append((state, reply[:10]))
                try:
                    cursor.jump()
                    cursor.get(step=True)
                    cursor.get()
                except EngineError as error:
                    if error.name != "no record":
                        failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(30):
            database.clear()
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        database.clear()
        assert database.count() == 0

    def test_beside_transactions(self, database: Database) -> None:
        """A transaction that runs while the database is cleared ends as it should."""
        database.set_bulk(RECORDS)
        database.begin_transaction()
        thread = threading.Thread(target=database.clear)
        thread.start()
        thread.join()
        database.set(b"key", b"value")
        database.end_transaction()
        assert contents(database) == {b"key": b"value"}


class TestSynchronize:
    def test_processor(self, database: Database) -> None:
        database.set_bulk(RECORDS)
        seen: list[tuple[str, int]] = []

        def process(path: str, count: int, size: int) -> bool:
            seen.append((path, count))
            return size > 0

        for hard in (False, True):
            database.synchronize(hard, process)
        assert seen == [(database.path, 100)] * 2

    def test_failing_processor(self, database: Database) -> None:
        message = "DB: 8: logical inconsistency: postprocessing failed"
        with pytest.raises(EngineError, match=message):
            database.synchronize(processor=lambda *_: False)
        with pytest.raises(ZeroDivisionError):
            database.synchronize(processor=lambda *_: bool(1 // 0))
        database.set(b"key", b"still alive")

    @pytest.mark.parametrize("hard", [False, True])
    @pytest.mark.parametrize("spec", ["casket.kch", "casket.kct"])
    def test_the_file_is_complete(self, tmp_path: Path, spec: str, hard: bool) -> None:
        with opened(spec, tmp_path) as database:
            database.set_bulk(RECORDS)
            database.synchronize(hard)
            (tmp_path / f"copy-{spec}").write_bytes((tmp_path / spec).read_bytes())
        with opened(f"copy-{spec}", tmp_path) as copy:
            assert contents(copy) == RECORDS

    def test_in_a_transaction(self, database: Database) -> None:
        database.begin_transaction()
        database.set_bulk(RECORDS)
        database.synchronize()
        database.end_transaction()
        assert contents(database) == RECORDS


def test_status(database: Database) -> None:
    database.set_bulk(RECORDS)
    status = database.status()
    assert status[b"count"] == b"100"
    assert status[b"path"].decode() == database.path
    assert status[b"ktopts"] == b"0"
    assert status[b"ktcapcnt"] == status[b"ktcapsiz"] == b"-1"
    assert int(status[b"size"]) == database.size() > 0
