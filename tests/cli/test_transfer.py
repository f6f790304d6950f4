"""dump, load, copy and diff: between servers of both kinds and files of both libraries."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kt.cli.target import open_target
from kt.cli.transfer import batches, dumps, sources
from kt.cli.transfer.batches import Batch
from kt.cli.transfer.dumps import Reader
from kt.cli.transfer.sinks import Sink
from kt.client.tycoon.client import KyotoTycoon
from kt.serializers import KT_NONE
from tests.conftest import StartTycoon, StartTyrant

from .conftest import Kt

RECORDS = {b"key%05d" % n: b"value %d" % n * (n % 7) for n in range(2000)} | {
    b"\xff\x00": bytes(range(256)),
    b"": b"empty key",
    b"large": b"x" * 600_000,
}


ENGINES = ("kct", "tch", "kch")
COMPRESSED = ("gz", "xz", "bz2")


def filled(path: str) -> None:
    """Make a file with records, some of which expire."""
    target = open_target(path, create=True)
    if target.kind == "tyrant":
        target.tyrant.set_bulk({key: value for key, value in RECORDS.items() if key})
    else:
        target.tycoon.set_bulk(RECORDS)
        target.tycoon.set("expires", b"1", expire_time=-2_000_000_000)
    target.close()


def content(path: str) -> dict[bytes, bytes]:
    target = open_target(path)
    found = dict(target.client.items())
    target.close()
    return found


@pytest.mark.parametrize(
    ("form", "engine"),
    [("a.ktd", engine) for engine in ("kch", "kct", "tch", "tcb")]
    + [(form, "kct") for form in ("a.jsonl", "a.jsonl.gz", "a.jsonl.xz", "a.json.bz2")],
)
def test_round_trip(kt: Kt, tmp_path: Path, form: str, engine: str) -> None:
    source, copy, dump = (str(tmp_path / name) for name in (f"a.{engine}", f"b.{engine}", form))
    filled(source)
    assert kt(source, "dump", dump).status == 0
    assert kt(copy, "load", dump).status == 2  # there is no such file
    ran = kt(copy, "load", dump, "--create", "--json")
    assert ran.json[0]["records"] == len(content(source))
    assert content(copy) == content(source)
    assert kt("diff", source, copy, "-q") == (0, b"", "")
    if engine in ("kch", "kct"):
        assert kt(copy, "get", "expires", "--json").json[0]["expires"] == 2_000_000_000


@pytest.mark.parametrize("database", ["*", ":", "a.kch"])
def test_servers(
    kt: Kt, start_tycoon: StartTycoon, database: str, tmp_path: Path, tycoon_kind: str
) -> None:
    if tycoon_kind == "local":
        pytest.skip("files are tested above")
    server, other = start_tycoon(database, "*"), start_tycoon("%", "%")
    url, to = (f"kt://127.0.0.1:{each.port}" for each in (server, other))
    db = KyotoTycoon.from_url(url, serializer=KT_NONE, decode_keys=False)
    db.set_bulk(RECORDS)
    db.set("expires", b"1", db=1, expire_time=-2_000_000_000)
    assert kt("copy", url, to).status == 0
    assert kt("diff", url, to).status == 0
    copied = KyotoTycoon.from_url(to, serializer=KT_NONE, decode_keys=False)
    assert dict(copied.items()) == RECORDS
    found = copied.get_bulk_details([(1, "expires")])
    assert found == db.get_bulk_details([(1, "expires")])
    assert kt("copy", url, to).status == 2  # it holds records
    copied.set("key00007", b"other")
    copied.remove("key00008")
    copied.set("more", b"1")
    ran = kt("diff", url, to)
    assert (ran.status, sorted(ran.lines)) == (1, ["+\tmore", "-\tkey00008", "~\tkey00007"])
    assert kt("copy", url, to, "--keep").status == 0
    assert (copied.get("key00007"), copied.get("key00008")) == (b"other", RECORDS[b"key00008"])
    assert kt("copy", url, to, "--overwrite", "--db", "0", "--prefix", "key00007").status == 0
    assert copied.get("key00007") == RECORDS[b"key00007"]
    for each in (db, copied):
        each.close()


def test_filters_and_databases(kt: Kt, tmp_path: Path) -> None:
    source, copy = str(tmp_path / "a.kct"), str(tmp_path / "b.kct")
    filled(source)
    assert len(kt(source, "dump", "--prefix", "key000").lines) == 102  # with header and end
    assert len(kt(source, "dump", "-", "--regex", "9$").lines) == 202
    assert kt(source, "dump", tmp_path / "d", "--prefix", "key01", "--regex", "7$").status == 0
    assert kt(copy, "load", tmp_path / "d", "--create", "--to-db", "3").status == 2
    assert kt(copy, "load", tmp_path / "d").status == 0
    assert len(content(copy)) == 100
    assert kt(source, "dump", tmp_path / "d").status == 2  # it is there already
    assert kt(source, "dump", tmp_path / "d", "--force").status == 0
    assert kt(copy, "load", "-", "--overwrite", stdin=(tmp_path / "d").read_bytes()).status == 0
    assert content(copy) == content(source)


def test_tables(kt: Kt, start_tyrant: StartTyrant, tyrant_kind: str, tmp_path: Path) -> None:
    if tyrant_kind == "local":
        pytest.skip("files are tested above")
    server, other = start_tyrant("a.tct"), start_tyrant("b.tct")
    url, to = (f"tt://127.0.0.1:{each.port}" for each in (server, other))
    for column, kind in {"name": "lexical", "age": "decimal", "words": "token"}.items():
        assert kt(url, "table", "index", column, kind).status == 0
    for n in range(20):
        kt(url, "table", "put", n, f"name=n{n}", f"age={n}", "words=a b", "ä=ö")
    assert kt(url, "dump", tmp_path / "t.jsonl").status == 0
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert lines[1] == {"key": "0", "row": {"name": "n0", "age": "0", "words": "a b", "ä": "ö"}}
    indices = {"name": "lexical", "age": "decimal", "words": "token"}
    assert lines[-1]["indices"] == indices
    assert kt(to, "load", tmp_path / "t.jsonl").status == 0
    assert kt("diff", url, to).status == 0
    target = open_target(to)
    assert sources.indices_of(target, indices) == indices
    target.close()
    tree = f"{tmp_path}/y.kct"
    refused = kt("load", "-u", tree, tmp_path / "t.jsonl", "--create")
    assert refused.status == 2
    assert "rows" in refused.err
    assert content(tree) == {}
    hash_file = f"{tmp_path}/x.tch"
    assert kt(hash_file, "load", tmp_path / "t.jsonl", "--create").status == 2
    assert content(hash_file) == {}


def test_duplicates_of_a_tree(kt: Kt, tmp_path: Path) -> None:
    source, copy = str(tmp_path / "a.tcb"), str(tmp_path / "b.tcb")
    target = open_target(source, create=True)
    for n in range(5000):
        target.tyrant.putdup(b"k%d" % (n // 3), b"%d" % n)
    found = list(target.tyrant.items())
    target.close()
    assert kt("copy", source, copy, "--create").status == 0
    copied = open_target(copy)
    assert list(copied.tyrant.items()) == found
    copied.close()


def test_between_libraries(kt: Kt, tmp_path: Path) -> None:
    source, copy, back = (str(tmp_path / name) for name in ("a.kct", "b.tcb", "c.kch"))
    filled(source)
    assert kt("copy", source, copy, "--create").status == 2  # some records expire
    assert kt("copy", source, copy, "--drop-expiry", "--overwrite").status == 0
    assert kt("copy", copy, back, "--create").status == 0
    assert content(back) == content(source)


def test_damage(kt: Kt, tmp_path: Path) -> None:
    source, copy, dump = str(tmp_path / "a.kct"), str(tmp_path / "b.kct"), tmp_path / "d.ktd"
    filled(source)
    kt(source, "dump", dump)
    whole = dump.read_bytes()
    for damaged in (whole[:-30], whole[:5000], whole[:400] + b"x" + whole[401:], b"", b"{}\n"):
        dump.write_bytes(damaged)
        ran = kt(copy, "load", dump, "--create")
        assert ran.status == 3
        assert "damage" in ran.err or "no dump" in ran.err or "end" in ran.err
    assert not Path(copy).exists()  # nothing was stored
    dump.write_bytes(whole)
    assert kt("load", dump, "--check").out == b"records: %d\n" % len(content(source))


class Broken(Exception):
    """What interrupts a transfer in these tests."""


def fails_after(number: int) -> Callable[[Sink, Batch], int]:
    """What stores so many batches, and is interrupted then."""
    store = Sink.store
    stored = []

    def fail(self: Sink, batch: Batch) -> int:
        if len(stored) == number:
            raise Broken("no more")
        stored.append(batch)
        return store(self, batch)

    return fail


def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (batches, sources, dumps):
        monkeypatch.setattr(module, "BATCH_MAX", 300)


@pytest.mark.parametrize(
    ("engine", "form"),
    [("kch", "d.ktd"), ("kch", "d.jsonl"), ("kct", "d.jsonl"), ("tcb", "d.ktd"), ("tch", "d.jsonl")]
    + [(engine, f"d.jsonl.{suffix}") for engine, suffix in zip(ENGINES, COMPRESSED, strict=True)],
)
def test_resume_a_dump(
    kt: Kt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, form: str
) -> None:
    source, copy, dump = str(tmp_path / f"a.{engine}"), str(tmp_path / "b.kct"), tmp_path / form
    filled(source)
    small_batches(monkeypatch)
    kt(source, "dump", dump)
    whole = dump.read_bytes()
    for part in (0.3, 0.67, 0.99):
        dump.write_bytes(whole[: int(len(whole) * part)])
        assert kt(source, "dump", dump, "--resume", "--prefix", "k").status == 2  # other records
        assert kt(source, "dump", dump, "--resume").status == 0
        assert kt(copy, "load", dump, "--create", "--overwrite", "--json").json[0]["records"] == (
            len(content(source))
        )
        assert content(copy) == content(source)
        assert kt(source, "dump", dump, "--resume").status == 2  # complete


@pytest.mark.parametrize("form", ["d.ktd", "d.jsonl"])
def test_resume_a_dump_of_duplicates(
    kt: Kt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    source, copy, dump = str(tmp_path / "a.tcb"), str(tmp_path / "b.tcb"), tmp_path / form
    target = open_target(source, create=True)
    for n in range(5000):
        target.tyrant.putdup(b"k%03d" % (n // 450), b"%d" % n)
    found = list(target.tyrant.items())
    target.close()
    small_batches(monkeypatch)
    kt(source, "dump", dump)
    whole = dump.read_bytes()
    for part in (0.3, 0.5, 0.8):
        dump.write_bytes(whole[: int(len(whole) * part)])
        assert kt(source, "dump", dump, "--resume").status == 0
        assert kt("load", dump, "--check").out == b"records: 5000\n"
    assert kt(copy, "load", dump, "--create").status == 0
    copied = open_target(copy)
    assert list(copied.tyrant.items()) == found
    copied.close()


@pytest.mark.parametrize(
    ("form", "filters"),
    [("d.ktd", ()), ("d.jsonl", ("--prefix", "key")), ("d.jsonl.gz", ())],
)
def test_resume_a_dump_of_a_cache(
    kt: Kt, start_tycoon: StartTycoon, tmp_path: Path, form: str, filters: tuple[str, ...]
) -> None:
    """Reading has brought the records into another order."""
    server = start_tycoon("%", "*", "*")
    client = server.connect(serializer=KT_NONE, decode_keys=False)
    for db in range(3):
        client.set_bulk(RECORDS, db=db)
    url, dump = f"kt://127.0.0.1:{server.port}", tmp_path / form
    kt(url, "dump", dump, *filters)
    expected = {record for batch in Reader(str(dump)).batches() for record in batch.records()}
    assert len(expected) > 5900
    whole = dump.read_bytes()
    for part in (0.2, 0.5, 0.8):
        dump.write_bytes(whole[: int(len(whole) * part)])
        client.get_bulk([b"key%05d" % number for number in range(0, 2000, 3)], db=1)
        assert kt(url, "dump", dump, "--resume", *filters).status == 0
        found = [record for batch in Reader(str(dump)).batches() for record in batch.records()]
        assert len(found) == len(expected), "each once"
        assert set(found) == expected
    client.close()


def test_resume_a_copy_of_a_cache(
    kt: Kt, start_tycoon: StartTycoon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, copy, state = start_tycoon("*"), str(tmp_path / "b.kct"), tmp_path / "state"
    client = server.connect(serializer=KT_NONE, decode_keys=False)
    client.set_bulk(RECORDS)
    client.close()
    line = ("copy", f"kt://127.0.0.1:{server.port}", copy, "--create", "--resume", state)
    monkeypatch.setattr(Sink, "store", fails_after(2))
    assert kt(*line).status == 3
    monkeypatch.undo()
    assert state.exists()
    assert kt(*line).status == 0
    assert content(copy) == RECORDS


@pytest.mark.parametrize("engine", ["kch", "kct", "tcb"])
def test_resume_a_copy_and_a_load(
    kt: Kt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    source, copy, loaded = (str(tmp_path / f"{name}.{engine}") for name in "abc")
    dump, state = tmp_path / "d.jsonl", tmp_path / "state"
    filled(source)
    kt(source, "dump", dump)
    small_batches(monkeypatch)
    store = Sink.store
    lines = [
        ("copy", source, copy, "--create", "--resume", state),
        (loaded, "load", dump, "--create", "--resume"),
    ]
    for line in lines:
        monkeypatch.setattr(Sink, "store", fails_after(2))
        assert kt(*line).status == 3
        monkeypatch.setattr(Sink, "store", store)
        assert kt(*line).status == 0
        assert content(str(line[2] if line[0] == "copy" else line[0])) == content(source)
    assert not state.exists()
    assert not Path(f"{dump}.resume").exists()


def test_slices_of_keys(start_tycoon: StartTycoon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the server gives, one key at a time or many, all come, and each once."""
    server = start_tycoon("%")
    client = server.connect(serializer=KT_NONE, decode_keys=False)
    client.set_bulk({b"%05d" % n: b"" for n in range(1500)})
    keys = [b"%05d" % n for n in range(1500)]
    for at_once in (0, 10_000):
        monkeypatch.setattr(sources, "AT_ONCE", at_once)
        assert list(sources.tycoon_keys(client, 0, None)) == keys
        assert list(sources.tycoon_keys(client, 0, b"01000")) == keys[1001:]
    client.clear()
    assert list(sources.tycoon_keys(client, 0, None)) == []
    client.close()


def test_slices_of_a_hash_table_go_on_where_they_ended(start_tycoon: StartTycoon) -> None:
    server = start_tycoon("*")
    with server.connect(serializer=KT_NONE, decode_keys=False) as client:
        client.set_bulk({b"%05d" % n: b"" for n in range(1500)})
        keys = list(sources.tycoon_keys(client, 0, None))
        assert len(keys) == 1500
        for last in (0, 10, 500, 1498, 1499):
            rest = list(sources.tycoon_keys(client, 0, keys[last]))
            assert rest == keys[last + 1 :]


def test_what_is_no_dump(kt: Kt, tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(b"nothing")
    assert kt("load", tmp_path / "x.gz").status == 3
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"nothing"))
    assert kt("load", tmp_path / "x.gz").status == 3
    assert kt("load", tmp_path / "none").status == 3


def test_wrong_use(kt: Kt, tmp_path: Path) -> None:
    source = str(tmp_path / "a.kct")
    filled(source)
    assert kt(source, "dump", tmp_path / "d.ktd.gz").status == 2
    assert kt(source, "copy").status == 2
    assert kt("copy", source, tmp_path / "none.kct").status == 2
    assert kt(source, "load", "--keep", "--overwrite", tmp_path / "none").status == 3
    with pytest.raises(FileNotFoundError):
        Reader(str(tmp_path / "none"))


def test_read_only_sources_stay_as_they_are(kt: Kt, tmp_path: Path) -> None:
    source = tmp_path / "a.tcb"
    filled(str(source))
    before = source.read_bytes()
    assert kt(source, "dump", tmp_path / "d").status == 0
    assert source.read_bytes() == before


@pytest.mark.parametrize("suffix", ["kct", "tcb"])
def test_a_copy_follows_until_both_are_even(
    kt: Kt, start_tycoon: StartTycoon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """What changes while records are copied is carried out afterwards, in its order."""
    (tmp_path / "log").mkdir()
    server = start_tycoon("%", args=["-ulog", str(tmp_path / "log"), "-sid", "1"])
    copy, url = str(tmp_path / f"copy.{suffix}"), f"kt://127.0.0.1:{server.port}"
    client = server.connect(serializer=KT_NONE, decode_keys=False)
    client.set_bulk(RECORDS)
    client.remove(b"")  # no key of Tokyo Cabinet's trees
    small_batches(monkeypatch)
    store, stored = Sink.store, []

    def store_and_change(sink: Sink, batch: Batch) -> int:
        if not stored:
            client.set(b"key00000", b"changed")
            client.set(b"key00000", b"changed again")
            client.set(b"new", b"1")
            client.remove(b"key00001")
            client.set(b"key00002", b"gone")
            client.remove(b"key00002")
            client.set(b"key00001", b"back")
        stored.append(batch)
        return store(sink, batch)

    monkeypatch.setattr(Sink, "store", store_and_change)
    done = kt("copy", url, copy, "--create", "--follow", "--until-even")
    assert done.status == 0
    assert "both are even" in done.err
    assert content(copy) == dict(client.items())
    assert content(copy)[b"key00001"] == b"back"
    client.clear()
    client.set(b"last", b"1")
    client.close()


def test_a_copy_that_follows_goes_on(
    kt: Kt, start_tycoon: StartTycoon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while it copies, and while it follows."""
    (tmp_path / "log").mkdir()
    server = start_tycoon("%", "%#ktopts=p", args=["-ulog", str(tmp_path / "log"), "-sid", "1"])
    other = start_tycoon("*", "*")
    state, url = tmp_path / "state", f"kt://127.0.0.1:{server.port}"
    client = server.connect(serializer=KT_NONE, decode_keys=False)
    client.set_bulk(RECORDS)
    small_batches(monkeypatch)
    store = Sink.store
    line = ("copy", url, f"kt://127.0.0.1:{other.port}", "--resume", state, "--follow")
    line = (*line, "--until-even")
    monkeypatch.setattr(Sink, "store", fails_after(2))
    assert kt(*line).status == 3
    client.set(b"key00000", b"while it was away", expire_time=-2_000_000_000)
    client.set(b"persistent", b"12345678", db=1)
    client.remove(b"key00003")
    monkeypatch.setattr(Sink, "replace", fails_after(0))
    monkeypatch.setattr(Sink, "store", store)
    assert kt(*line).status == 3
    assert state.exists()
    monkeypatch.undo()
    client.clear(1)
    client.set(b"after", b"clear", db=1)
    assert kt(*line).status == 0
    assert not state.exists()
    copied = other.connect(serializer=KT_NONE, decode_keys=False)
    assert dict(copied.items()) == dict(client.items())
    assert dict(copied.items(db=1)) == {b"after": b"clear"}
    assert copied.get_bulk_details([(0, b"key00000")]) == client.get_bulk_details(
        [(0, b"key00000")]
    )
    client.close()
    copied.close()


def test_what_cannot_be_followed(kt: Kt, start_tycoon: StartTycoon, tmp_path: Path) -> None:
    server, copy = start_tycoon("%"), str(tmp_path / "copy.kct")
    line = ("copy", f"kt://127.0.0.1:{server.port}", copy, "--create")
    assert "--until-even is for --follow" in kt(*line, "--until-even").err
    assert "not with --prefix" in kt(*line, "--follow", "--prefix", "a").err
    assert "keeps no update log" in kt(*line, "--follow").err
    filled(str(tmp_path / "a.tch"))
    said = kt("copy", tmp_path / "a.tch", tmp_path / "b.tch", "--create", "--follow")
    assert "--follow is for Kyoto Tycoon" in said.err


def test_a_copy_that_was_begun_without_following(
    kt: Kt, start_tycoon: StartTycoon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be followed from its middle on: what changed before would be missing."""
    (tmp_path / "log").mkdir()
    server = start_tycoon("%", args=["-ulog", str(tmp_path / "log"), "-sid", "1"])
    with server.connect(serializer=KT_NONE, decode_keys=False) as client:
        client.set_bulk(RECORDS)
    small_batches(monkeypatch)
    store, state = Sink.store, tmp_path / "state"
    copy, url = str(tmp_path / "copy.kct"), f"kt://127.0.0.1:{server.port}"
    line = ("copy", url, copy, "--create", "--resume", state)
    monkeypatch.setattr(Sink, "store", fails_after(2))
    assert kt(*line).status == 3
    monkeypatch.setattr(Sink, "store", store)
    refused = kt(*line, "--follow", "--until-even")
    assert refused.status == 2
    assert "begun without --follow" in refused.err
    assert kt(*line).status == 0
    assert content(copy) == RECORDS
