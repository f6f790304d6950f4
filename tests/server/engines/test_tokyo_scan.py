"""Searches through whole databases, while others work with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from kt.server.engines.tokyo._engine import Database

from .tokyo import HASHES, ORDERED, TYPES, every_key, fill, items, key, opened, value

COUNT = 20_000

Search = Callable[[Database], list[bytes]]


def by_prefix(database: Database) -> list[bytes]:
    return items(database.fwmkeys(every_key(database)))


def by_regex(database: Database) -> list[bytes]:
    return items(database.misc(b"regex", [b"."]))[::2]


@pytest.fixture(params=TYPES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path) as database:
        fill(database, COUNT)
        yield database


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def while_running(future: Future[list[bytes]], work: Callable[[int], object]) -> list[bytes]:
    """Do `work` with increasing numbers until the future is done; its result."""
    number = 0
    while not future.done():
        work(number)
        number += 1
    return future.result()


@pytest.mark.parametrize("search", [by_prefix, by_regex])
def test_every_key_once_while_others_write(
    database: Database, threads: ThreadPoolExecutor, search: Search
) -> None:
    """Records that are there all the time are found once, whatever happens to them and others."""
    changed = [key(number * 7 % COUNT) for number in range(COUNT)]

    def change(number: int) -> None:
        one = changed[number % COUNT]
        grown = b"x" * (number % 300)
        database.put(one, value(database, b"longer " + grown))  # may move to another place
        database.put(key(COUNT + number % 500), value(database, b"new"))
        database.out(key(COUNT + number * 3 % 500))

    for _ in range(3):
        found = while_running(threads.submit(search, database), change)
        always = [one for one in found if int(one) <= COUNT]
        assert len(always) == COUNT
        assert len(found) == len(set(found))


def test_removed_keys_do_not_disturb(database: Database, threads: ThreadPoolExecutor) -> None:
    def remove(number: int) -> None:
        if number % 3:
            database.out(key(number))

    found = while_running(threads.submit(by_prefix, database), remove)
    assert {key(number) for number in range(0, COUNT, 3)} <= set(found)
    assert len(found) == len(set(found))


def test_vanishing_ends_a_search(database: Database, threads: ThreadPoolExecutor) -> None:
    search = threads.submit(by_prefix, database)
    assert database.vanish()
    assert database.put(b"1", value(database, b"after"))
    assert len(search.result()) <= COUNT
    assert by_prefix(database) == [b"1"]


@pytest.mark.parametrize("name", ["*#capnum=5000", "casket.tch#dfunit=4"])
def test_what_moves_by_itself(tmp_path: Path, threads: ThreadPoolExecutor, name: str) -> None:
    with opened(name, tmp_path) as database:
        fill(database, 5_000)

        def change(number: int) -> None:
            database.put(key(number % 5_000), b"y" * (number % 200))

        for _ in range(5):
            found = while_running(threads.submit(by_prefix, database), change)
            assert len(found) == len(set(found))
            assert len(found) >= 4_500


def test_searches_leave_the_shared_iterator_alone(
    database: Database, threads: ThreadPoolExecutor
) -> None:
    if database.type_name == "fixed-length":
        pytest.skip("as in the original, a search moves the iterator of a fixed-length database")
    searches = [threads.submit(search, database) for search in (by_prefix, by_regex) * 3]
    assert database.iterinit()
    seen = []
    while (one := database.iternext()) is not None:
        seen.append(one)
    assert len(seen) == COUNT
    assert len(set(seen)) == COUNT
    assert all(len(search.result()) == COUNT for search in searches)


def test_two_searches_at_once(database: Database, threads: ThreadPoolExecutor) -> None:
    searches = [threads.submit(by_prefix, database) for _ in range(4)]
    assert {frozenset(search.result()) for search in searches} == {
        frozenset(key(number) for number in range(COUNT))
    }


def test_limits(database: Database) -> None:
    assert len(items(database.fwmkeys(every_key(database), 5_000))) == 5_000
    assert len(items(database.misc(b"regex", [b"9$", b"1500"]))) == 3_000


def is_let_in(database: Database, search: Callable[[Database], object]) -> bool:
    """Run searches in a thread until a read has begun and ended within one of them."""
    begun = ended = 0
    over = threading.Event()

    def searching() -> None:
        nonlocal begun, ended
        while not over.is_set():
            begun += 1
            search(database)
            ended += 1

    thread = threading.Thread(target=searching)
    thread.start()
    try:
        for _ in range(100_000):
            under_way = begun if begun > ended else 0
            database.get(b"1")
            if under_way and ended < under_way:
                return True
        return False
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "search",
    [
        lambda database: database.fwmkeys(every_key(database)),
        lambda database: database.misc(b"regex", [b"x"]),
        lambda database: database.misc(b"getlist", [key(number) for number in range(COUNT)]),
    ],
    ids=["fwmkeys", "regex", "getlist"],
)
def test_others_get_in_meanwhile(database: Database, search: Callable[[Database], object]) -> None:
    assert is_let_in(database, search)


@pytest.mark.parametrize("name", ["casket.tch", "casket.tct"])
def test_others_get_in_while_a_file_is_defragmented(tmp_path: Path, name: str) -> None:
    with opened(name, tmp_path) as database:
        fill(database, COUNT)
        assert is_let_in(database, lambda database: database.misc(b"defrag"))


@pytest.mark.parametrize("name", TYPES)
def test_closing_ends_searches(tmp_path: Path, name: str) -> None:
    """A search that is under way when the database is closed ends, whole or with an error."""
    with opened(name, tmp_path) as database:
        fill(database, COUNT)
        searching = threading.Barrier(4)

        def search(number: int) -> str:
            searching.wait()
            try:
                while True:
                    by_prefix(database)
                    by_regex(database)
                    database.misc(b"search", [b"addcond\0column\0STRRX\0value", b"count"])
                    database.get(key(number))
            except RuntimeError as error:
                return str(error)

        with ThreadPoolExecutor(3) as threads:
            searches = [threads.submit(search, number) for number in range(3)]
            searching.wait()
            assert database.close()
            assert {one.result() for one in searches} == {"the database is closed"}
        assert database.close()
        with pytest.raises(RuntimeError, match="closed"):
            database.put(b"1", b"2")


@pytest.mark.parametrize("name", HASHES)
def test_a_search_sees_many_stores(tmp_path: Path, name: str) -> None:
    if name == "*":
        pytest.skip("in memory there is one store")
    with opened(name, tmp_path, stores=3) as database:
        keys = fill(database, 3_000)
        assert sorted(by_prefix(database)) == sorted(keys)
        assert sorted(by_regex(database)) == sorted(keys)


LARGE = [bytes([number]) * (5 << 20) for number in range(1, 4)]


def searched(database: Database) -> list[bytes]:
    return items(database.misc(b"regex", [b"."]))


def ranged(database: Database) -> list[bytes]:
    return items(database.misc(b"range", [b"1"]))


@pytest.mark.parametrize("name", TYPES)
def test_large_values_are_found(tmp_path: Path, name: str) -> None:
    """Each with its key, wherever it is, and no more than are wanted."""
    with opened(f"{name}#width=6000000" if name.endswith(".tcf") else name, tmp_path) as database:
        stored = {key(number): value(database, b"%d" % number) for number in range(30)}
        for number in (0, 1, 16, 29):
            stored[key(number)] = value(database, LARGE[number % 3] + b"%d" % number)
        for one, its in stored.items():
            assert database.put(one, its)
        for search in [searched, ranged] if name in ORDERED else [searched]:
            found = search(database)
            assert len(found) == 2 * len(stored)
            assert {one: row(its) for one, its in zip(found[::2], found[1::2], strict=True)} == {
                one: row(its) for one, its in stored.items()
            }
        assert items(database.misc(b"regex", [b"^17$"])) == [b"17", stored[b"17"]]
        assert len(items(database.misc(b"regex", [b"^(1|2|17)$", b"2"]))) == 4
        assert items(database.misc(b"regex", [b"^16$"])) == [b"16", stored[b"16"]]


def row(stored: bytes) -> list[bytes]:
    """A value, or a row with its columns in any order."""
    return sorted(stored.split(b"\0"))


@pytest.mark.parametrize("name", TYPES)
def test_large_values_change_meanwhile(
    tmp_path: Path, threads: ThreadPoolExecutor, name: str
) -> None:
    """What is found is what was there at some time, and what stays is found once."""
    with opened(f"{name}#width=6000000" if name.endswith(".tcf") else name, tmp_path) as database:
        fill(database, 30)
        versions = [value(database, its) for its in (*LARGE, LARGE[0] + b"longer", b"small")]
        for number in (12, 13, 14):
            assert database.put(key(number), versions[number % 3])

        def change(number: int) -> None:
            database.put(key(12), versions[number % 5])
            database.out(key(13))
            database.put(key(13), versions[number * 2 % 5])

        for search in [searched, ranged] if name in ORDERED else [searched]:
            found = while_running(threads.submit(search, database), change)
            records = dict(zip(found[::2], found[1::2], strict=True))
            assert len(found) == 2 * len(records)
            assert set(records) | {key(13)} == {key(number) for number in range(30)}
            assert records[key(14)] == versions[2]
            assert records[key(12)] in versions
            assert records.get(key(13), versions[0]) in versions


@pytest.mark.parametrize("name", ["*", "+"])
def test_a_copy_has_large_values(tmp_path: Path, name: str) -> None:
    with opened(name, tmp_path) as database:
        fill(database, 300)
        assert database.put(key(100), LARGE[0])
        assert database.copy(bytes(tmp_path / "copy.tch"))
    with opened("copy.tch", tmp_path) as copy:
        assert copy.count() == 300
        assert copy.get(key(100)) == LARGE[0]
        assert copy.get(key(7)) == b"value 8"
