"""The Tokyo Cabinet engine: every method on every type of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kt.errors import ImproperlyConfigured
from kt.server.engines.tokyo._engine import Database

from .tokyo import ORDERED, TYPES, every_key, fill, is_table, items, key, opened, value


@pytest.fixture(params=TYPES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path) as database:
        yield database


def test_records(database: Database) -> None:
    one, two = value(database, b"one"), value(database, b"two")
    assert database.get(b"1") is None
    assert database.vsiz(b"1") is None
    assert not database.out(b"1")
    assert database.put(b"1", one)
    assert database.get(b"1") == one
    assert not database.putkeep(b"1", two)
    assert database.putkeep(b"2", two)
    assert database.put(b"1", two)
    assert database.get(b"1") == two
    assert database.count() == 2
    assert database.size() > 0
    assert database.out(b"1")
    assert database.get(b"1") is None
    assert database.count() == 1


def test_putcat_appends(database: Database) -> None:
    assert database.putcat(b"1", value(database, b"one"))
    more = b"other\0two" if is_table(database) else b"two"
    assert database.putcat(b"1", more)
    expected = b"column\0one\0other\0two" if is_table(database) else b"onetwo"
    assert database.get(b"1") == expected


def test_putshl_keeps_the_end(database: Database) -> None:
    if is_table(database):
        pytest.skip("a row has no end")
    assert database.putshl(b"1", b"abcdef", 4)
    assert database.putshl(b"1", b"gh", 4)
    assert database.get(b"1") == b"efgh"
    assert database.putshl(b"1", b"x", 0)
    assert database.get(b"1") == b""


def test_counters(database: Database) -> None:
    assert database.addint(b"1", 5) == 5
    assert database.addint(b"1", -7) == -2
    assert database.adddouble(b"2", 1.5) == 1.5
    assert database.adddouble(b"2", 0.25) == 1.75
    if not is_table(database):
        database.put(b"3", b"no counter")
        assert database.addint(b"3", 1) is None
        assert database.adddouble(b"3", 1.0) is None


def test_the_iterator_visits_every_key(database: Database) -> None:
    keys = fill(database, 50)
    assert database.iterinit()
    seen = []
    while (one := database.iternext()) is not None:
        seen.append(one)
    assert sorted(seen) == sorted(keys)


def test_fwmkeys(database: Database) -> None:
    keys = fill(database, 30)
    found = items(database.fwmkeys(every_key(database)))
    assert sorted(found) == sorted(keys)
    assert len(items(database.fwmkeys(every_key(database), 7))) == 7
    assert items(database.fwmkeys(every_key(database), 0)) == []
    if database.type_name != "fixed-length":
        with_prefix = items(database.fwmkeys(b"1"))
        assert sorted(with_prefix) == sorted(one for one in keys if one.startswith(b"1"))


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (b"[2,4]", [b"2", b"3", b"4"]),
        (b"(2,4)", [b"3"]),
        (b"[min,3)", [b"1", b"2"]),
        (b" [ 4 , max ] ", [b"4", b"5"]),
        (b"[prev,next]", []),
        (b"[1,5", []),
        (b"nonsense", []),
        (b"", []),
    ],
)
def test_intervals_of_a_fixed_length_database(
    tmp_path: Path, interval: bytes, expected: list[bytes]
) -> None:
    with opened("casket.tcf", tmp_path) as database:
        fill(database, 5)
        assert items(database.fwmkeys(interval)) == expected


def test_lists_of_records(database: Database) -> None:
    pairs = [part for n in range(20) for part in (key(n), value(database, b"%d" % n))]
    assert items(database.misc(b"putlist", pairs)) == []
    assert items(database.misc(b"getlist", [b"1", b"99", b"3"])) == [*pairs[:2], *pairs[4:6]]
    assert items(database.misc(b"outlist", [b"1", b"99", b"3"])) == []
    assert database.count() == 18


def test_long_lists_of_records(database: Database) -> None:
    count = 3_000
    pairs = [part for n in range(count) for part in (key(n), value(database, b"%d" % n))]
    assert items(database.misc(b"putlist", pairs)) == []
    assert database.count() == count
    assert items(database.misc(b"getlist", pairs[::2])) == pairs
    assert items(database.misc(b"outlist", pairs[2::2])) == []
    assert database.count() == 1


def test_vanish_and_go_on(database: Database) -> None:
    fill(database, 100)
    assert database.vanish()
    assert database.count() == 0
    assert items(database.fwmkeys(every_key(database))) == []
    fill(database, 3)
    assert database.count() == 3


def test_whole_database_operations(database: Database) -> None:
    keys = fill(database, 500)
    assert database.sync()
    assert database.optimize()
    assert database.sync()
    assert all(database.get(one) == value(database, b"value " + one) for one in keys)
    assert database.fatal_error is None


@pytest.mark.parametrize("steps", [[], [b"1"], [b"1000"], [b"-1"]])
def test_defrag(database: Database, steps: list[bytes]) -> None:
    keys = fill(database, 1_000)
    for one in keys[::2]:
        database.out(one)
    can = database.type_name in ("hash", "B+ tree", "table")
    assert (database.misc(b"defrag", steps) is not None) == can
    kept = keys[1::2]
    assert all(database.get(one) == value(database, b"value " + one) for one in kept)
    assert sorted(items(database.fwmkeys(every_key(database)))) == sorted(kept)


def test_copy(database: Database, tmp_path: Path) -> None:
    fill(database, 100)
    suffix = Path(database.path).suffix or {"*": ".tch", "+": ".tcb"}[database.path]
    target = tmp_path / f"copy{suffix}"
    assert database.copy(bytes(target))
    assert not database.copy(b"/nosuch/directory/copy.tch")
    with opened(str(target), tmp_path) as copied:
        assert copied.count() == 100
        assert copied.get(b"7") == value(database, b"value 7")


@pytest.mark.parametrize("name", ["casket.tch", "casket.tcb", "casket.tcf", "casket.tct"])
def test_a_file_is_not_copied_over_itself(tmp_path: Path, name: str) -> None:
    with opened(name, tmp_path) as database:
        fill(database, 100)
        (tmp_path / "link").symlink_to(database.path)
        assert not database.copy(database.path.encode())
        assert not database.copy(bytes(tmp_path / "link"))
        assert database.fatal_error is None
    with opened(name, tmp_path) as database:
        assert database.count() == 100
        assert database.get(b"7") == value(database, b"value 7")


def test_copy_runs_a_command(tmp_path: Path) -> None:
    with opened("*", tmp_path) as database:
        assert database.copy(b"@true")
        assert not database.copy(b"@false")


def test_unknown_functions_and_missing_arguments(database: Database) -> None:
    for name in (b"", b"nosuch", b"\0", b"fwmkeys", b"@get", b"%put", b"@", b"x" * 1000):
        assert database.misc(name, [b"1"]) is None
    for name in (b"put", b"out", b"get", b"getpart", b"regex"):
        assert database.misc(name) is None


def test_getpart(database: Database) -> None:
    if is_table(database):
        pytest.skip("rows are not cut")
    database.put(b"1", b"abcdef")
    assert items(database.misc(b"getpart", [b"1", b"2", b"3"])) == [b"cde"]
    assert items(database.misc(b"getpart", [b"1", b"4"])) == [b"ef"]
    assert database.misc(b"getpart", [b"1", b"6"]) is None


def test_the_last_error_is_told(database: Database) -> None:
    if database.in_memory:
        assert database.misc(b"error") is None
        return
    assert items(database.misc(b"error")) == [b"0: success"]
    assert database.get(b"1") is None
    assert items(database.misc(b"error")) == [b"22: no record found"]


def test_regex(database: Database) -> None:
    keys = fill(database, 40)
    found = items(database.misc(b"regex", [b"^1[0-4]$"]))
    assert sorted(found[::2]) == sorted(one for one in keys if one in b"10 11 12 13 14".split())
    assert found[1] == value(database, b"value " + found[0])
    assert len(items(database.misc(b"regex", [b".", b"6"]))) == 12
    assert database.misc(b"regex", [b"("]) is None


def test_regex_ignores_case_after_a_star(tmp_path: Path) -> None:
    with opened("*", tmp_path) as database:
        database.put(b"Key", b"v")
        assert items(database.misc(b"regex", [b"kEY"])) == []
        assert items(database.misc(b"regex", [b"*kEY"])) == [b"Key", b"v"]


def test_range(database: Database) -> None:
    fill(database, 9)
    found = database.misc(b"range", [b"3", b"-1", b"6"])
    if database.type_name in ("hash", "table", "on-memory hash"):
        assert found is None
    else:
        assert items(found)[::2] == [b"3", b"4", b"5"]
        assert items(database.misc(b"range", [b"8"]))[::2] == [b"8", b"9"]
        assert items(database.misc(b"range", [b"4", b"2"]))[::2] == [b"4", b"5"]
        assert len(items(database.misc(b"range"))) == 18


@pytest.mark.parametrize("name", ORDERED[:2])
def test_order_of_keys(tmp_path: Path, name: str) -> None:
    with opened(name, tmp_path) as database:
        keys = [b"b", b"a\0", b"a", b"", b"\xff", b"B"]
        for one in keys:
            database.put(one, b"")
        assert items(database.fwmkeys(b"")) == sorted(keys)
        assert items(database.misc(b"range", [b"a"]))[::2] == sorted(keys)[2:]


def test_duplicates_in_a_tree(tmp_path: Path) -> None:
    with opened("casket.tcb", tmp_path) as database:
        for number in range(3):
            assert items(database.misc(b"putdupback", [b"k", b"%d" % number])) == []
        assert items(database.misc(b"putdup", [b"k", b"behind"])) == []
        assert items(database.misc(b"putlist", [b"k", b"last"])) == []
        assert database.get(b"k") == b"2"
        assert items(database.misc(b"get", [b"k"])) == [b"2", b"1", b"0", b"behind", b"last"]
        assert len(items(database.misc(b"getlist", [b"k", b"other"]))) == 10
        assert items(database.fwmkeys(b"")) == [b"k"]
        assert len(items(database.misc(b"range", [b"k"]))) == 10
        assert items(database.misc(b"outlist", [b"k"])) == []
        assert database.count() == 0


def test_capacity_limits_a_database_in_memory(tmp_path: Path) -> None:
    for name in ("*#capnum=100", "+#capnum=100"):
        with opened(name, tmp_path) as database:
            fill(database, 2_000)
            assert database.count() <= 100 + 512
            assert database.sync()
            assert 0 < database.count() <= 100


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for name in (str(tmp_path), "/nosuch/casket.tch", "casket.xyz", "", "#"):
        with pytest.raises(ImproperlyConfigured, match="cannot open the database"):
            Database(name)


def test_a_file_is_open_once(tmp_path: Path) -> None:
    with opened("casket.tch", tmp_path), pytest.raises(ImproperlyConfigured):
        Database(str(tmp_path / "casket.tch"))


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "casket.tcb"))
    assert database.close()
    assert database.close()


# Many stores


def test_stores_share_the_keys(tmp_path: Path) -> None:
    with opened("casket.tch#bnum=1000", tmp_path, stores=3) as database:
        keys = fill(database, 300)
        files = sorted(path.name for path in (tmp_path / "casket.tch").iterdir())
        assert files == [f"adbmul-{number:03}.tch" for number in (1, 2, 3)]
        assert database.count() == 300
        assert sorted(items(database.fwmkeys(b""))) == sorted(keys)
        assert items(database.misc(b"get", [b"7"])) == [b"value 7"]
        assert items(database.misc(b"@out", [b"1", b"2", b"nosuch"])) == []
        assert items(database.misc(b"%put", [b"a", b"1", b"b", b"2"])) == []
        assert items(database.misc(b"@get", [b"a", b"nosuch", b"b"])) == [b"1", b"2"]
        assert database.iterinit()
        seen = []
        while (one := database.iternext()) is not None:
            seen.append(one)
        assert sorted(seen) == sorted([*keys[2:], b"a", b"b"])
        assert database.copy(bytes(tmp_path / "copy"))
        assert database.optimize()
        assert database.sync()
    (tmp_path / "copy").rename(tmp_path / "copy.tch")
    for name, stores in (("casket.tch", 1), ("copy.tch", 9)):
        with opened(name, tmp_path, stores=stores) as again:
            assert again.count() == 300
            assert again.get(b"300") == b"value 300"


def test_stores_must_be_files(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured):
        Database("*", stores=2)


# Errors


@pytest.mark.parametrize("target", ["/nonexistent/x", "/dev/full"])
@pytest.mark.parametrize("name", TYPES)
def test_a_failed_copy_harms_nobody(tmp_path: Path, name: str, target: str) -> None:
    """What is missing is told by the database, not by what the library said of something else."""
    with opened(name, tmp_path) as database:
        row = value(database, b"1")
        assert database.put(b"1", row)
        assert not database.putkeep(b"1", row)
        database.copy(target.encode())
        if target != "/dev/full":
            assert database.fatal_error is None
        for number in (2, 3):
            assert items(database.misc(b"getlist", [b"1", b"%d" % number])) == [b"1", row]
            assert items(database.misc(b"outlist", [b"%d" % number])) == []
        assert items(database.misc(b"outlist", [b"1"])) == []
        assert database.get(b"1") is None


@pytest.mark.parametrize("name", ["casket.tch", "casket.tcb", "casket.tct", "casket.tcf"])
def test_somebody_elses_copy_stays(tmp_path: Path, name: str) -> None:
    """While a file is replaced, the old one has a second name; nobody else gives that to a copy."""
    with opened(name, tmp_path):
        pass
    copies = [tmp_path / f"{name}.{word}" for word in ("before", "bak", "old", "torn", "rescued2")]
    for copy in copies:
        copy.write_text("precious")
    with opened(name, tmp_path) as database:
        database.optimize(b"")
    assert [copy.read_text() for copy in copies] == ["precious"] * len(copies)
