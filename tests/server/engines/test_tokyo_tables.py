"""Table databases in the Tokyo Cabinet engine: rows, indices, searches."""

from __future__ import annotations

import ctypes
import ctypes.util
import random
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kt.server.engines.tokyo._engine import BinaryCore, Database, Hold, State
from kt.wire import tyrant_commands as codes

from .tokyo import (
    items,
    key_request,
    mget_request,
    misc_request,
    opened,
    record_request,
    sized,
)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Database]:
    with opened("casket.tct", tmp_path) as table:
        for number in range(100):
            row = [b"n", b"%d" % number, b"name", b"name%02d" % (number % 50)]
            row += [b"tags", b"even,all" if number % 2 == 0 else b"odd,all"]
            assert items(table.misc(b"put", [b"key%d" % number, *row])) == []
        yield table


def search(table: Database, *arguments: bytes) -> list[bytes]:
    return items(table.misc(b"search", arguments))


def test_rows(table: Database) -> None:
    assert items(table.misc(b"get", [b"key7"])) == b"n 7 name name07 tags odd,all".split()
    assert table.get(b"key7") == b"n\x007\0name\0name07\0tags\0odd,all"
    assert items(table.misc(b"putcat", [b"key7", b"n", b"8", b"more", b"x"])) == []
    assert table.get(b"key7") == b"n\x007\0name\0name07\0tags\0odd,all\0more\0x"
    assert table.misc(b"putkeep", [b"key7", b"n", b"8"]) is None
    assert items(table.misc(b"out", [b"key7"])) == []
    assert table.misc(b"get", [b"key7"]) is None


def test_a_row_without_a_key_gets_one(table: Database) -> None:
    assert items(table.misc(b"put", [b"", b"n", b"1000"])) == []
    assert table.put(b"", b"n\x001000")
    found = search(table, b"addcond\0n\0NUMEQ\x001000")
    assert len(found) == 2
    assert all(key.isdigit() for key in found)
    first, second = (int(items(table.misc(b"genuid"))[0]) for _ in range(2))
    assert second > first


@pytest.mark.parametrize("index", [None, b"lexical", b"decimal", b"token", b"qgram"])
def test_searches(table: Database, index: bytes | None) -> None:
    if index is not None:
        for column in (b"n", b"name", b"tags"):
            assert items(table.misc(b"setindex", [column, index])) == []
    for conditions, expected in [
        ([b"addcond\0n\0NUMEQ\x0042"], {42}),
        ([b"addcond\0n\0NUMBT\x0010 12"], {10, 11, 12}),
        ([b"addcond\0name\0STREQ\0name07"], {7, 57}),
        ([b"addcond\0name\0STRBW\0name0", b"addcond\0n\0NUMGE\x0050"], set(range(50, 60))),
        ([b"addcond\0name\0STRRX\0^name4[89]$"], {48, 49, 98, 99}),
        ([b"addcond\0tags\0STRAND\0even all", b"addcond\0n\0NUMLT\x004"], {0, 2}),
        ([b"addcond\0tags\0~STROR\0even", b"addcond\0n\0NUMLT\x004"], {1, 3}),
        ([b"addcond\0tags\0FTSPH\0odd", b"addcond\0n\0NUMLE\x003"], {1, 3}),
        ([b"addcond\0\0STROREQ\0key3,key5,nosuch"], {3, 5}),
        ([b"addcond\0nosuch\0STREQ\0"], set()),
    ]:
        found = search(table, *conditions)
        assert sorted(found) == sorted(b"key%d" % number for number in expected), conditions


def test_order_and_limit(table: Database) -> None:
    order, limit = b"setorder\0n\0NUMDESC", b"setlimit\x003\x001"
    assert search(table, order, limit) == [b"key98", b"key97", b"key96"]
    assert search(table, b"setorder\0n\0STRASC", limit) == [b"key1", b"key10", b"key11"]
    assert search(table, limit, b"count") == [b"3"]
    assert search(table, b"setlimit\x000\x000") == []


def test_shapes_of_results(table: Database) -> None:
    one = b"addcond\0n\0NUMEQ\x007"
    assert search(table, one, b"get") == [b"\0key7\0n\x007\0name\0name07\0tags\0odd,all"]
    assert search(table, one, b"get\0name\0nosuch\0n") == [b"name\0name07\0n\x007"]
    assert search(table, one, b"count") == [b"1"]
    assert search(table, one, b"out", b"get\0n") == [b"n\x007"]
    assert search(table, one) == []
    assert table.count() == 99
    assert search(table, b"addcond\0n\0NUMGE\x0090", b"out") == []
    assert table.count() == 89


def test_sets_of_searches(table: Database) -> None:
    low, high = b"addcond\0n\0NUMLT\x006", b"addcond\0n\0NUMGE\x004"
    order = b"setorder\0n\0NUMASC"
    queries = [low, order, b"next", high, order]
    union = items(table.misc(b"metasearch", [*queries, b"mstype\x000"]))
    assert len(union) == 100
    both = items(table.misc(b"metasearch", [*queries, b"mstype\x001"]))
    assert sorted(both) == [b"key4", b"key5"]
    difference = items(table.misc(b"metasearch", [*queries, b"mstype\x002"]))
    assert sorted(difference) == [b"key0", b"key1", b"key2", b"key3"]


def test_indices(table: Database, tmp_path: Path) -> None:
    assert items(table.misc(b"setindex", [b"n", b"decimal"])) == []
    assert (tmp_path / "casket.tct.idx.n.dec").exists()
    assert items(table.misc(b"setindex", [b"n", b"optimize"])) == []
    assert items(table.misc(b"setindex", [b"n", b"void"])) == []
    assert not (tmp_path / "casket.tct.idx.n.dec").exists()
    assert table.misc(b"setindex", [b"n", b"nosuch"]) is None
    assert table.misc(b"setindex", [b"n", b"void"]) is None


def test_indices_can_be_named_at_the_start(tmp_path: Path) -> None:
    with opened("casket.tct#idx=n:dec#idx=name:lex", tmp_path) as table:
        assert table.put(b"k", b"n\x001\0name\0x")
    files = {path.name for path in tmp_path.iterdir()}
    assert files >= {"casket.tct.idx.n.dec", "casket.tct.idx.name.lex"}


# Searches with regular expressions, which are not the library's


class Library:
    """A table that the library has to itself."""

    def __init__(self, path: Path) -> None:
        name = ctypes.util.find_library("tokyocabinet")
        if name is None:
            pytest.skip("the library cannot be loaded by its name")
        self._c = ctypes.CDLL(name)
        for function in ("tcadbnew", "tcadbmisc", "tclistnew", "tclistval"):
            getattr(self._c, function).restype = ctypes.c_void_p
        self._table = ctypes.c_void_p(self._c.tcadbnew())
        assert self._c.tcadbopen(self._table, bytes(path))

    def search(self, arguments: list[bytes]) -> list[bytes]:
        given = ctypes.c_void_p(self._c.tclistnew())
        for argument in arguments:
            self._c.tclistpush(given, argument, len(argument))
        found = ctypes.c_void_p(self._c.tcadbmisc(self._table, b"search", given))
        size = ctypes.c_int()
        result = []
        for i in range(self._c.tclistnum(found)):
            element = self._c.tclistval(found, i, ctypes.byref(size))
            result.append(ctypes.string_at(element, size.value))
        self._c.tclistdel(given)
        self._c.tclistdel(found)
        return result

    def close(self) -> None:
        assert self._c.tcadbclose(self._table)
        self._c.tcadbdel(self._table)


WORDS = b"alpha beta gamma delta eps zeta eta theta".split()
PATTERNS = [
    rb"^a",
    rb"(a|e)t",
    b"*BETA",
    b"[02468]$",
    b"[^ ]+ [a-z]+",
    b"x",
    b"^$",
    b".",
    b"(",
    b"7",
]
OTHERS = [
    *(b"STREQ\0eta|STRINC\0a|STRBW\0k1|STREW\0a|STRAND\0alpha beta|STROR\0eta,eps".split(b"|")),
    *(b"STROREQ\0alpha k7|NUMEQ\x007|NUMGT\x00100|NUMGE\x0050|NUMLT\x00100|NUMLE\x009".split(b"|")),
    *(
        b"NUMBT\x0020 400|NUMOREQ\x003 5|FTSPH\0alpha|FTSAND\0alpha beta|FTSOR\0eta zeta".split(
            b"|"
        )
    ),
]
INDICES = [
    (b"s", b"lexical"),
    (b"n", b"decimal"),
    (b"t", b"token"),
    (b"t", b"qgram"),
    (b"", b"lex"),
]


def random_query(chance: random.Random) -> list[bytes]:
    """Conditions, at least one of them a regular expression, an order, and a limit."""
    arguments = []
    for i in range(chance.randrange(1, 4)):
        pattern = i == 0 or chance.random() < 0.3
        what = b"STRRX\0" + chance.choice(PATTERNS) if pattern else chance.choice(OTHERS)
        sign = chance.choice([b"", b"", b"~", b"+", b"~+"])
        arguments.append(
            b"addcond\0" + chance.choice([b"", b"n", b"s", b"t"]) + b"\0" + sign + what
        )
    chance.shuffle(arguments)
    if chance.random() < 0.5:
        kind = chance.choice([b"STRASC", b"STRDESC", b"NUMASC", b"NUMDESC"])
        arguments.append(b"setorder\0n\0" + kind)
    if chance.random() < 0.5:
        arguments.append(
            b"setlimit\0%d\0%d" % (chance.choice([0, 1, 9, 900]), chance.choice([0, 5]))
        )
    return arguments


@pytest.mark.parametrize("seed", range(4))
def test_regular_expressions_find_what_the_library_finds(tmp_path: Path, seed: int) -> None:
    """The same rows in the same order, however they are asked for."""
    chance = random.Random(seed)
    numbers = chance.sample(range(1200), 1200)
    with opened("casket.tct", tmp_path) as table:
        for i, number in enumerate(numbers):
            row = {b"n": b"%d" % number, b"s": chance.choice(WORDS)}
            row[b"t"] = b" ".join(chance.sample(WORDS, 3))
            kept = [part for pair in row.items() if chance.random() < 0.95 for part in pair]
            assert table.put(b"k%d" % i, b"\0".join(kept or [b"n", b"%d" % number]))
        for column, index in chance.sample(INDICES, seed):
            assert table.misc(b"setindex", [column, index]) is not None
    (tmp_path / "other").mkdir()
    for file in tmp_path.glob("casket*"):
        shutil.copy(file, tmp_path / "other")
    library = Library(tmp_path / "other" / "casket.tct")
    with opened("casket.tct", tmp_path) as table:
        for number in range(120):
            arguments = random_query(chance)
            if number % 4 == 0:
                others = [b"next", *random_query(chance)]
                arguments += [*others, b"mstype\0%d" % chance.randrange(4), b"get\0\0n"]
            elif number % 4 == 1:
                arguments += [b"out", b"setlimit\x003\x001", b"get"]
            elif number % 4 == 2:
                arguments.append(chance.choice([b"count", b"get\0n\0s"]))
            assert search(table, *arguments) == library.search(arguments), arguments
        assert table.count() == len(library.search([]))
    library.close()


def test_rows_of_equal_value_stay_in_their_order(table: Database) -> None:
    names = search(table, b"addcond\0tags\0STRRX\0odd")
    same = [b"addcond\0tags\0STRRX\0odd", b"setorder\0tags\0STRDESC", b"setlimit\x002"]
    assert search(table, *same) == names[:2]
    assert search(table, *same, b"addcond\0n\0NUMGE\x000") == names[:2]


def test_the_hint_of_a_regular_expression(table: Database) -> None:
    hint = search(table, b"addcond\0name\0STRRX\0^name0[12]$", b"setlimit\x003\x000", b"hint")[-1]
    assert hint.split(b"\n")[1:-1] == [
        b"scanning the whole table",
        b"limited matching: 3",
        b"result set size: 3",
        b"leaving the natural order",
    ]
    several = [
        b"addcond\0n\0STRRX\0^1.$",
        b"next",
        b"addcond\0n\0STRRX\x007",
        b"mstype\x001",
        b"hint",
    ]
    lines = search(table, *several)[-1].split(b"\n")
    assert b"[0] result set size: 10" in lines
    assert b"[1] result set size: 19" in lines
    several[0] = b"addcond\0n\0STRRX\0x"
    assert b"[1] omitted" in search(table, *several)[-1].split(b"\n")


def test_others_read_while_rows_to_be_removed_are_looked_for(tmp_path: Path) -> None:
    hard = b"addcond\0c\0STRRX\0(a|b)*a(a|b){400}c"
    long = b"c\0" + bytes(random.Random(1).choices(b"ab", k=200_000))
    with opened("casket.tct", tmp_path) as table:
        assert table.put(b"1", long)
        assert table.put(b"2", b"c\0" + b"a" * 401 + b"c")
        found: list[bytes] = []
        removing = threading.Thread(
            target=lambda: found.extend(search(table, hard, b"out", b"get\0"))
        )
        removing.start()
        writer, reader = BinaryCore(table).stream(), BinaryCore(table).stream()
        while writer.feed(record_request(codes.PUT, b"3", b"c\0x"))[0] != State.BUSY:
            assert removing.is_alive()
        reply = b""
        while not reply:  # on a busy machine the way to the database may be long
            _, _, _, reply = reader.feed(key_request(codes.GET, b"1"))
            assert removing.is_alive()
        assert reply == b"\0" + sized(long)
        removing.join()
        assert found == [b"\x002"]
        assert table.get(b"1") == long
        assert table.get(b"2") is None


# Whom a long search holds up


@pytest.mark.parametrize(
    ("name", "arguments", "hold"),
    [
        (b"search", [b"addcond\0n\0NUMEQ\x001", b"get"], Hold.WRITERS),
        (b"metasearch", [b"next", b"mstype\x001"], Hold.WRITERS),
        (b"search", [b"out"], Hold.ALL),
        (b"search", [b"get", b"remove\0x"], Hold.ALL),
        (b"setindex", [b"n", b"lexical"], Hold.ALL),
        (b"optimize", [], Hold.ALL),
        (b"get", [b"out"], Hold.NONE),
        (b"regex", [b"out"], Hold.NONE),
        (b"nosuch", [], Hold.NONE),
    ],
)
def test_who_is_held_up(table: Database, name: bytes, arguments: list[bytes], hold: Hold) -> None:
    assert table.hold_of(name, arguments) is hold


@pytest.fixture
def big(tmp_path: Path) -> Iterator[Database]:
    with opened("big.tct#bnum=500000", tmp_path) as table:
        for number in range(100_000):
            table.put(b"%d" % number, b"n\0%d" % number)
        yield table


def test_a_search_lets_others_read(big: Database) -> None:
    """Reads go on during a search; what writes is told to wait, and does."""
    stream, waiting = BinaryCore(big).stream(), BinaryCore(big).stream()
    get, put = key_request(codes.GET, b"7"), record_request(codes.PUT, b"7", b"n\0seven")
    found: list[bytes] = []
    over = threading.Event()

    def searching() -> None:
        while not over.is_set():
            found[:] = search(big, b"addcond\0n\0STRRX\x007.*7.*7", b"count")

    def read(request: bytes) -> tuple[int, bytes]:
        """A reply; on a busy machine the way to the database may be long."""
        while True:
            state, _, _, reply = stream.feed(request)
            if state != State.BUSY:
                return state, reply

    thread = threading.Thread(target=searching)
    thread.start()
    try:
        while stream.feed(put)[0] != State.BUSY:
            assert big.put(b"7", b"n\x007")
        assert read(get)[1] in (b"\0" + sized(b"n\x007"), b"\0" + sized(b"n\0seven"))
        assert read(mget_request([b"7"]))[0] == State.MORE
        assert read(misc_request(b"getlist", [b"7"]))[0] == State.MORE
        assert waiting.feed(put, wait=True)[3] == b"\0"
        assert big.get(b"7") == b"n\0seven"
    finally:
        over.set()
        thread.join()
    assert read(put)[1] == b"\0"
    assert found == [b"%d" % sum(str(n).count("7") > 2 for n in range(100_000))]


def test_searches_run_beside_each_other_and_between_writes(big: Database) -> None:
    def searching(_: int) -> list[bytes]:
        return search(big, b"addcond\0n\0NUMGE\x0099990", b"count")

    def writing(_: int) -> bool:
        return all(big.put(b"%d" % number, b"n\0%d" % number) for number in range(100))

    with ThreadPoolExecutor(6) as threads:
        searches = threads.map(searching, range(8))
        writes = threads.map(writing, range(4))
        assert set(map(tuple, searches)) == {(b"10",)}
        assert all(writes)


# What the original server dies of


@pytest.mark.parametrize("index", [b"lexical", b"decimal"])
def test_an_empty_value_under_an_index_is_refused(table: Database, index: bytes) -> None:
    assert items(table.misc(b"setindex", [b"n", index])) == []
    for name in (b"put", b"putkeep", b"putcat"):
        assert table.misc(name, [b"new", b"n", b""]) is None
        assert table.misc(name, [b"new", b"n\0hidden", b""]) is None
    empty = b"a\x001\0n\0\0b\x001"
    assert not table.put(b"new", empty)
    assert not table.putkeep(b"new", empty)
    assert not table.putcat(b"new", empty)
    assert not table.putshl(b"new", empty, 100)
    assert not table.putshl(b"key1", b"n\0", 2)
    assert table.misc(b"putlist", [b"new", empty]) is None
    assert table.get(b"new") is None
    assert table.put(b"new", b"other\0")


@pytest.mark.parametrize("index", [b"lexical", b"decimal"])
def test_an_index_over_an_empty_value_is_refused(table: Database, index: bytes) -> None:
    assert table.put(b"new", b"other\0")
    assert table.misc(b"setindex", [b"other", index]) is None
    assert items(table.misc(b"put", [b"hidden", b"more\0hidden", b""])) == []
    assert table.misc(b"setindex", [b"more", index]) is None
    assert table.optimize()
    assert items(table.misc(b"setindex", [b"other", b"token"])) == []


@pytest.mark.parametrize("index", [b"token", b"qgram"])
def test_too_much_for_a_full_text_index_is_refused(table: Database, index: bytes) -> None:
    long = b"x" * 40_000
    assert table.put(long, b"text\0" + long)
    assert table.misc(b"setindex", [b"text", index]) is None
    assert table.misc(b"setindex", [b"", index]) is None
    assert table.out(long)
    assert items(table.misc(b"setindex", [b"text", index])) == []
    assert not table.put(long, b"text\0" + long)
    assert items(table.misc(b"setindex", [b"", index])) == []
    assert table.addint(long, 1) is None
    assert table.adddouble(long, 1.0) is None
    assert table.addint(b"counter", 1) == 1
    assert table.put(b"short", b"text\0" + long)


def test_keys_are_indexed_as_they_are(tmp_path: Path) -> None:
    """The library reads an indexed key up to a zero byte, which has to be there."""
    with opened("casket.tct", tmp_path) as table:
        assert items(table.misc(b"setindex", [b"", b"qgram"])) == []
        for number in range(200):
            assert table.put(b"key%d" % number + b"-" * (number % 17), b"a\0b")
            assert table.putcat(b"key%d" % number + b"-" * (number % 17), b"c\0d")
        assert search(table, b"addcond\0\0FTSPH\0key19", b"count") == [b"11"]
        for number in range(200):
            assert table.out(b"key%d" % number + b"-" * (number % 17))
        assert search(table, b"addcond\0\0FTSPH\0key", b"count") == [b"0"]


@pytest.mark.parametrize("name", ["casket.tch", "casket.tct", "casket.tcb", "*", "+"])
def test_iterinit_with_an_empty_key(tmp_path: Path, name: str) -> None:
    with opened(name, tmp_path) as database:
        assert database.put(b"a", b"b\0c")
        may = name[-3:] not in ("tch", "tct")
        assert (database.misc(b"iterinit", [b""]) is not None) == may


def test_a_record_has_a_longest_size(tmp_path: Path) -> None:
    with opened("*", tmp_path) as database:
        part = bytes(2**27)
        for _ in range(8):
            assert database.putcat(b"k", part)
        assert not database.putcat(b"k", b"x")
        assert not database.putshl(b"k", b"x", 10)
        assert database.misc(b"putcat", [b"k", b"x"]) is None
        assert database.vsiz(b"k") == 2**30
