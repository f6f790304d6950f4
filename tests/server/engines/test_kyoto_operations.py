"""Operations on records in the Kyoto Cabinet engine, on every type of database."""

from __future__ import annotations

import math
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import (
    KEEP,
    NEVER,
    REMOVE,
    XT_MAX,
    Code,
    Database,
    Verdict,
)

from ...clock import engine_second
from .kyoto import FUTURE, PAST, TYPES, contents, opened

LEAST = -(2**63)
LARGEST = 2**63 - 1


@pytest.fixture(params=TYPES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path) as database:
        yield database


def fails(code: Code) -> Any:
    return pytest.raises(EngineError, match=rf"^DB: {code}: ")


class TestOneRecord:
    def test_set_and_get(self, database: Database) -> None:
        for value in (b"", b"\0\xff", b"v" * 100_000, b"short again"):
            database.set(b"key", value)
            assert database.get(b"key") == (value, XT_MAX)
            assert database.check(b"key") == (len(value), XT_MAX)
        assert database.count() == 1

    def test_keys_are_bytes(self, database: Database) -> None:
        keys = [b"", b"\0", b"a\0b", b"\xff" * 300, "ключ".encode()]
        for key in keys:
            database.set(key, key + b"!")
        assert [database.get(key)[0] for key in keys] == [key + b"!" for key in keys]
        assert sorted(contents(database)) == sorted(keys)

    def test_missing(self, database: Database) -> None:
        for operation in (database.get, database.check, database.seize, database.remove):
            with pytest.raises(EngineError) as caught:
                operation(b"missing")
            assert str(caught.value) == "DB: 7: no record: no record"
            assert caught.value.code == Code.NOREC

    def test_add(self, database: Database) -> None:
        database.add(b"key", b"1")
        with pytest.raises(EngineError, match="DB: 6: record duplication: record duplication"):
            database.add(b"key", b"2")
        assert database.get(b"key")[0] == b"1"

    def test_replace(self, database: Database) -> None:
        with fails(Code.NOREC):
            database.replace(b"key", b"1")
        database.set(b"key", b"1")
        database.replace(b"key", b"2")
        assert database.get(b"key")[0] == b"2"

    def test_append_clears_the_expiry(self, database: Database) -> None:
        database.append(b"key", b"1", FUTURE)
        assert database.get(b"key") == (b"1", -FUTURE)
        database.append(b"key", b"2")
        assert database.get(b"key") == (b"12", XT_MAX)

    def test_remove_and_seize(self, database: Database) -> None:
        database.set(b"key", b"1", FUTURE)
        assert database.seize(b"key") == (b"1", -FUTURE)
        database.set(b"key", b"2")
        database.remove(b"key")
        assert database.count() == 0

    def test_cas(self, database: Database) -> None:
        with pytest.raises(EngineError, match="DB: 8: logical inconsistency: status conflict"):
            database.cas(b"key", b"1", b"2")
        database.cas(b"key", None, None)
        database.cas(b"key", None, b"1", FUTURE)
        with fails(Code.LOGIC):
            database.cas(b"key", None, b"2")
        assert database.get(b"key") == (b"1", -FUTURE)
        database.cas(b"key", b"1", b"2")
        database.cas(b"key", b"2", None)
        assert database.count() == 0


class TestCounters:
    def test_increment(self, database: Database) -> None:
        assert database.increment(b"n", 5) == 5
        assert database.get(b"n")[0] == struct.pack(">q", 5)
        assert database.increment(b"n", -7) == -2
        assert database.increment(b"n", 0) == -2
        assert database.increment(b"new", 1, 100) == 101
        assert database.increment(b"n", 3, LARGEST) == 3
        with fails(Code.LOGIC):
            database.increment(b"none", 1, LEAST)
        database.set(b"text", b"seven b")
        with pytest.raises(EngineError, match="DB: 8: logical inconsistency: logical incons"):
            database.increment(b"text", 1)

    def test_increment_goes_round(self, database: Database) -> None:
        assert database.increment(b"n", LARGEST) == LARGEST
        assert database.increment(b"n", 2) == LEAST + 1

    def test_increment_double(self, database: Database) -> None:
        assert database.increment_double(b"d", 1.75) == 1.75
        assert database.get(b"d")[0] == struct.pack(">qq", 1, 750_000_000_000_000)
        assert database.increment_double(b"d", 0.5) == 2.25
        assert database.increment_double(b"d", -3.5) == -1.25
        assert database.increment_double(b"d", 9.5, math.inf) == 9.5
        assert database.increment_double(b"new", 1, 0.25) == 1.25
        for arguments in ((b"none", 1, -math.inf), (b"none", math.nan), (b"none", 1, math.nan)):
            with fails(Code.LOGIC):
                database.increment_double(*arguments)

    def test_infinities_stay(self, database: Database) -> None:
        assert database.increment_double(b"d", math.inf) == math.inf
        assert database.increment_double(b"d", -1e300) == math.inf
        assert database.increment_double(b"e", -1e300) == -1e300
        assert database.increment_double(b"e", 1) == -math.inf


class TestExpiry:
    def test_is_from_now_or_absolute(self, database: Database) -> None:
        before = engine_second()
        database.set(b"now", b"", 100)
        assert before + 100 <= database.get(b"now")[1] <= time.time() + 100
        for xt, stored in ((FUTURE, -FUTURE), (NEVER, XT_MAX), (2**40, XT_MAX), (LEAST, XT_MAX)):
            database.set(b"key", b"", xt)
            assert database.get(b"key")[1] == stored

    def test_expired_records_are_absent(self, database: Database) -> None:
        def expire() -> None:
            database.set(b"key", b"old", PAST)

        expire()
        for operation in (database.get, database.check, database.seize, database.remove):
            with fails(Code.NOREC):
                operation(b"key")
        expire()
        with fails(Code.NOREC):
            database.replace(b"key", b"new")
        assert database.get_bulk([b"key"]) == {}
        assert database.remove_bulk([b"key"]) == 0
        assert database.match_prefix(b"") == []
        database.append(b"key", b"new")
        assert database.get(b"key")[0] == b"new"
        expire()
        database.add(b"key", b"new")
        expire()
        assert database.increment(b"key", 1) == 1
        expire()
        database.cas(b"key", None, b"new")

    def test_persistent_databases_have_none(self, tmp_path: Path) -> None:
        for spec in TYPES:
            with opened(f"{spec}#ktopts=p", tmp_path) as database:
                database.set(b"key", b"value", PAST)
                assert database.get(b"key") == (b"value", XT_MAX)
                assert database.status()[b"ktopts"] == b"2"
                cursor = database.cursor()
                cursor.jump()
                assert cursor.get() == (b"key", b"value", XT_MAX)


class TestBulk:
    @pytest.mark.parametrize("atomic", [False, True])
    def test_bulk(self, database: Database, atomic: bool) -> None:
        records = {b"key%d" % number: b"value" * number for number in range(50)}
        assert database.set_bulk(records, FUTURE, atomic) == 50
        assert database.get(b"key7") == (b"value" * 7, -FUTURE)
        assert database.get_bulk([*records, b"missing"], atomic) == records
        assert database.remove_bulk([b"key1", b"missing", b"key2"], atomic) == 2
        assert len(database.get_bulk(records, atomic)) == 48
        assert database.set_bulk({}, NEVER, atomic) == 0


class Recorder:
    """A visitor that notes what it sees and says what it is told."""

    def __init__(self, said: Any = KEEP) -> None:
        self.said = said
        self.seen: list[tuple[Any, ...]] = []

    def visit_full(self, *record: Any) -> Any:
        self.seen.append(record)
        return self.said

    def visit_empty(self, *record: Any) -> Any:
        self.seen.append(record)
        return self.said


class TestVisitors:
    def test_accept(self, database: Database) -> None:
        database.set(b"key", b"value", FUTURE)
        visitor = Recorder()
        database.accept(b"key", visitor)
        database.accept(b"none", visitor)
        assert visitor.seen == [(b"key", b"value", -FUTURE), (b"none",)]
        database.accept(b"none", Recorder(b"new"))
        database.accept(b"key", Recorder((b"newer", FUTURE - 1)))
        assert database.get(b"none") == (b"new", XT_MAX)
        assert database.get(b"key") == (b"newer", 1 - FUTURE)
        database.accept_bulk([b"key", b"none", b"neither"], Recorder(REMOVE))
        assert database.count() == 0

    def test_failure_leaves_the_record(self, database: Database) -> None:
        class Broken:
            def visit_full(self, key: bytes, value: bytes, xt: int) -> Verdict:
                raise KeyError(key)

            def visit_empty(self, key: bytes) -> bytes:
                return "not bytes"  # type: ignore[return-value]

        database.set(b"key", b"value")
        with pytest.raises(KeyError):
            database.accept(b"key", Broken())
        with pytest.raises(TypeError):
            database.accept(b"none", Broken())
        assert contents(database) == {b"key": b"value"}

    def test_calling_the_engine_is_refused(self, database: Database) -> None:
        class Recursive(Recorder):
            def visit_empty(self, key: bytes) -> Verdict:
                database.get(key)
                return KEEP

        with pytest.raises(EngineError, match="inside of a visitor"):
            database.accept(b"key", Recursive())
        database.set(b"key", b"still alive")

    def test_iterate(self, database: Database) -> None:
        records = {b"key%d" % number: b"value" for number in range(20)}
        database.set_bulk(records)
        database.set(b"gone", b"", PAST)
        visitor = Recorder(REMOVE)
        database.iterate(visitor)
        assert {key: value for key, value, _xt in visitor.seen} == records
        assert contents(database) == {}


class TestTransactions:
    def test_commit_and_abort(self, database: Database) -> None:
        database.set(b"kept", b"1")
        database.begin_transaction()
        with fails(Code.LOGIC):
            database.begin_transaction(timeout=0)
        database.set(b"new", b"2")
        database.remove(b"kept")
        database.end_transaction(commit=False)
        assert contents(database) == {b"kept": b"1"}
        database.begin_transaction(hard=True)
        database.set(b"new", b"2")
        database.end_transaction()
        assert contents(database) == {b"kept": b"1", b"new": b"2"}
        with fails(Code.INVALID):
            database.end_transaction()

    def test_abort_brings_back_what_was_cleared(self) -> None:
        with Database("*") as database:  # the one type whose engine can do it
            database.set(b"kept", b"1")
            database.begin_transaction()
            database.clear()
            assert database.count() == 0
            database.end_transaction(commit=False)
            assert contents(database) == {b"kept": b"1"}

    def test_waits_for_another(self, database: Database) -> None:
        begun, second = threading.Event(), []

        def run_second() -> None:
            begun.set()
            database.begin_transaction()
            second.append(database.get(b"key")[0])
            database.end_transaction()

        database.begin_transaction()
        thread = threading.Thread(target=run_second)
        thread.start()
        begun.wait()
        with fails(Code.LOGIC):
            database.begin_transaction(timeout=0.01)
        database.set(b"key", b"first")
        database.end_transaction()
        thread.join()
        assert second == [b"first"]


def test_closed(tmp_path: Path) -> None:
    for spec in TYPES:
        with opened(spec, tmp_path) as database:
            database.set(b"key", b"value")
            cursor = database.cursor()
            cursor.jump()
        database.close()
        assert not database.tick()
        for operation in (
            database.count, database.size, database.status, database.clear, database.vacuum,
            database.synchronize, database.begin_transaction, database.end_transaction,
            cursor.step, cursor.get, cursor.jump,
            lambda: database.get(b"key"), lambda: database.set(b"key", b"value"),
            lambda: database.match_prefix(b""), lambda: database.vacuum(10),
            lambda: database.dump_snapshot("dump"), lambda: database.cursor().jump(),
        ):  # fmt: skip
            with pytest.raises(EngineError, match="DB: 2: invalid operation: not opened"):
                operation()
    with opened("casket.kch", tmp_path) as database:
        assert database.get(b"key")[0] == b"value"


def test_read_only(tmp_path: Path) -> None:
    for spec in ("casket.kch", "casket.kct"):
        with opened(spec, tmp_path) as database:
            database.set(b"key", b"value")
        with opened(spec, tmp_path, read_only=True) as database:
            assert database.get(b"key")[0] == b"value"
            for refused in (database.clear, lambda: database.set(b"key", b"")):
                with pytest.raises(EngineError, match="DB: 4: no permission: permission denied"):
                    refused()
    with Database("*", read_only=True) as database:
        with fails(Code.NOPERM):
            database.set(b"key", b"")
        database.clear()


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="DB: 2: invalid operation: unknown database type"):
        Database("casket")
    with pytest.raises(EngineError, match="DB: 3: no repository"):
        Database(str(tmp_path / "no" / "a.kch"))
    (tmp_path / "nonsense.kch").write_bytes(b"nonsense" * 1000)
    with pytest.raises(EngineError, match="DB: 2: invalid operation: invalid magic data"):
        Database(str(tmp_path / "nonsense.kch"))


# --- The same as a dictionary does

KEYS = st.sampled_from([b"a", b"b", b"c", b"\0", b"long" * 60])
VALUES = st.binary(max_size=40) | st.just(b"v" * 3000)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["set", "add", "replace", "append"]), KEYS, VALUES, st.booleans()),
    st.tuples(st.sampled_from(["get", "seize", "remove"]), KEYS),
    st.tuples(st.just("cas"), KEYS, st.none() | VALUES, st.none() | VALUES),
    st.tuples(st.sampled_from(["clear", "synchronize", "vacuum", "tick"])),
)


def store_in_model(
    model: dict[bytes, bytes], name: str, key: bytes, value: bytes, expired: bool
) -> Code | None:
    if name == "add" and key in model:
        return Code.DUPREC
    if name == "replace" and key not in model:
        return Code.NOREC
    stored = model.get(key, b"") + value if name == "append" else value
    model[key] = stored
    if expired:
        del model[key]
    return None


def take_from_model(model: dict[bytes, bytes], name: str, key: bytes) -> Any:
    if key not in model:
        return Code.NOREC
    value = model[key] if name == "get" else model.pop(key)
    return None if name == "remove" else (value, XT_MAX)


def swap_in_model(
    model: dict[bytes, bytes], key: bytes, old: bytes | None, new: bytes | None
) -> Code | None:
    if model.get(key) != old:
        return Code.LOGIC
    model.pop(key, None)
    if new is not None:
        model[key] = new
    return None


def act_on_model(model: dict[bytes, bytes], name: str, *arguments: Any) -> Any:
    """What the engine should return, or the code of its failure."""
    if name in ("set", "add", "replace", "append"):
        return store_in_model(model, name, *arguments)
    if name in ("get", "seize", "remove"):
        return take_from_model(model, name, *arguments)
    if name == "cas":
        return swap_in_model(model, *arguments)
    if name == "clear":
        model.clear()
    return None


def act_on_engine(database: Database, name: str, *arguments: Any) -> Any:
    if name in ("set", "add", "replace", "append"):
        key, value, expired = arguments
        arguments = (key, value, PAST if expired else NEVER)
    try:
        result = getattr(database, name)(*arguments)
    except EngineError as error:
        return error.code
    return None if name == "tick" else result


@pytest.mark.parametrize("spec", TYPES)
@given(steps=st.lists(STEPS, max_size=30))
def test_model(tmp_path_factory: pytest.TempPathFactory, spec: str, steps: list[Any]) -> None:
    model: dict[bytes, bytes] = {}
    with opened(spec, tmp_path_factory.mktemp("model")) as database:
        for step in steps:
            assert act_on_engine(database, *step) == act_on_model(model, *step)
        assert contents(database) == model
        assert sorted(database.match_prefix(b"")) == sorted(model)
