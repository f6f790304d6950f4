"""``-skel``: a database from a shared library, by the C interface that ttserver has for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kt import KT_NONE, TokyoTyrant
from kt.errors import ServerError

from ..processes import HOST, SECONDS, ServerProcess, refused
from ..tycoon.pairs import wait_until

SOURCE = Path(__file__).parent / "skeleton.c"


def built(directory: Path, *words: str) -> Path:
    """The library; it is not linked with Tokyo Cabinet, as many are not."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = directory / f"skeleton{len(list(directory.glob('*.so')))}.so"
    command = [compiler, "-std=gnu11", "-shared", "-fPIC", *words, "-o", library, SOURCE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    if "tcadb.h" in done.stderr:
        pytest.skip("there are no headers of Tokyo Cabinet")
    assert done.returncode == 0, done.stderr
    return library


def serving(library: Path, *words: str, directory: Path, name: str = "shelf") -> ServerProcess:
    return ServerProcess(
        "kt-tyrant", "-skel", str(library), *words, databases=[name], directory=directory
    )


def client(server: ServerProcess) -> TokyoTyrant[str, bytes]:
    return TokyoTyrant(HOST, server.port, serializer=KT_NONE, timeout=SECONDS)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("library"))


@pytest.fixture
def server(library: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    with serving(library, directory=tmp_path) as server:
        yield server


def test_records(server: ServerProcess) -> None:
    with client(server) as db:
        assert db.set("a", b"1")
        assert db.add("b", b"2")
        assert not db.add("b", b"3")
        assert db.append("b", b"4")
        assert db.get("b") == b"24"
        assert db.get_bulk(["a", "b", "c"]) == {"a": b"1", "b": b"24"}
        assert db.length("b") == 2
        assert db.length("c") is None
        assert db.addshl("b", b"567", 4)
        assert db.get("b") == b"4567"
        assert db.remove("a")
        assert not db.remove("a")
        assert db.count() == 1
        assert (db.incr("n", 5), db.incr("n", 5)) == (5, 10)
        assert db.incr_double("d", 1.5) == 1.5
        assert db.misc("put", ["e", "6"]) is not None
        assert db.get("e") == b"6"


def test_a_large_value(server: ServerProcess) -> None:
    value = b"v" * (9 << 20)
    with client(server) as db:
        assert db.set("large", value)
        assert db.get("large") == value
        assert db.get_bulk(["large", "none"]) == {"large": value}
        assert db.length("large") == len(value)


def test_iterating_and_prefixes(server: ServerProcess) -> None:
    stored = {f"k{i}": b"%d" % i for i in range(2000)}
    with client(server) as db:
        for key, value in stored.items():
            db.set(key, value)
        assert sorted(db.keys()) == sorted(stored)
        assert sorted(db.match_prefix("k199", None)) == ["k199", *(f"k199{i}" for i in range(10))]
        assert len(db.match_prefix("k", 7)) == 7
        assert db.match_prefix("x") == []


def test_the_whole_database(server: ServerProcess, tmp_path: Path) -> None:
    with client(server) as db:
        db.set("a", b"1")
        assert db.synchronize()
        assert db.optimize("#bnum=7")
        assert db.copy(str(tmp_path / "copy"))
        assert (tmp_path / "copy").read_text() == "1 records"
        assert db.size == 4321
        status = db.status()
        assert (status["type"], status["path"], status["rnum"]) == ("skeleton", "shelf", 1)
        assert db.clear()
        assert db.count() == 0
    assert server.stop() == 0
    assert "shelf\n" in server.printed()  # it was closed


def test_every_function_is_its_own(server: ServerProcess) -> None:
    with client(server) as db:
        for name in ("regex", "range", "getlist", "error", "search", "vanish", "what it is"):
            found = db.misc(name, ["x"])
            assert found in ([name, "x"], [(name, b"x")], [name.encode(), b"x"], {name: b"x"}), name
        assert not db.misc("nosuch", ["x"])


def test_a_failure(server: ServerProcess) -> None:
    with client(server) as db:
        with pytest.raises(ServerError):
            db.set("a", b"fail")
        assert db.get("a") is None


def test_what_it_lacks_fails(tmp_path: Path) -> None:
    """But for the keys with a prefix and the size of a value, which can be found otherwise."""
    with serving(built(tmp_path, "-DFEW"), directory=tmp_path) as server, client(server) as db:
        for key in ("apple", "apricot", "pear"):
            assert db.set(key, b"12345")
        assert sorted(db.match_prefix("ap")) == ["apple", "apricot"]
        assert len(db.match_prefix("ap", 1)) == 1
        assert db.length("pear") == 5
        assert db.get("pear") == b"12345"
        assert db.count() == 0
        assert not db.misc("put", ["a", "b"])
        calls = (
            db.clear,
            db.synchronize,
            db.optimize,
            lambda: db.incr("n"),
            lambda: db.add("x", b"y"),
        )
        for lacking in calls:
            with suppress(ServerError):
                assert not lacking()
        assert db.remove("pear")


def test_an_update_log_and_a_slave(library: Path, tmp_path: Path) -> None:
    for name in ("master", "slave", "master/log"):
        (tmp_path / name).mkdir()
    log = ("-ulog", "log", "-sid", "1")
    with serving(library, *log, directory=tmp_path / "master") as master, client(master) as db:
        db.set("a", b"1")
        db.incr("n", 3)
        db.misc("put", ["b", "2"])
        words = ("-sid", "2", "-mhost", HOST, "-mport", str(master.port))
        with serving(library, *words, directory=tmp_path / "slave") as slave, client(slave) as copy:
            wait_until(lambda: copy.get("b") == b"2", "the slave has all of it")
            assert copy.get("a") == b"1"
            assert copy.incr("n", 0) == 3


def test_who_may_only_read_calls_none_of_its_functions(library: Path, tmp_path: Path) -> None:
    server = serving(library, "-allow", HOST, "read", directory=tmp_path)
    with server, client(server) as db:
        assert db.get("a") is None
        assert db.misc("what it is", []) is False


@pytest.mark.parametrize(
    ("words", "name", "complaint"),
    [
        ((), "refused", "cannot open the database refused by "),
        (("-mul", "3"), "x.tch", "-mul is for Tokyo Cabinet's own files"),
        (("-durable", "process"), "x", "-durable is for Tokyo Cabinet's own files"),
        (("-restore-to", "2026-11-01"), "x", "-restore-to is for Tokyo Cabinet's own files"),
    ],
)
def test_refused(
    words: tuple[str, ...], name: str, complaint: str, library: Path, tmp_path: Path
) -> None:
    assert complaint in refused(serving(library, *words, directory=tmp_path, name=name))


def test_libraries_that_are_none(tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("text")
    for library, complaint in (
        (tmp_path / "nosuch.so", "it cannot be loaded"),
        (text, "it cannot be loaded"),
        (built(tmp_path, "-Dinitialize=begin"), "it has no function `initialize`"),
        (built(tmp_path, "-DFAILS"), "its function `initialize` has failed"),
    ):
        assert complaint in refused(serving(library, directory=tmp_path))
        (tmp_path / "output").unlink()
