"""`kt.open` itself: names, locks, forks, the end. What clients do is tested with all servers."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import kt
from kt import ArgumentError, ImproperlyConfigured, KTError, ServerConnectionError, ServerError

KYOTO = ("a.kch", "a.kct", "a.kcd", "a.kcf")
TOKYO = ("a.tch", "a.tcb", "a.tcf", "a.tct")
FILES = KYOTO + TOKYO
SECONDS = 120
"""Until a process of ours is taken to hang."""


def stored(db: Any, path: str) -> None:
    if path.endswith(".tct"):
        db.using(serializer=kt.TT_TABLE).set("1", {"c": "v"})
    else:
        db.set("1", "v")


def found(db: Any, path: str) -> bool:
    if path.endswith(".tct"):
        return bool(db.using(serializer=kt.TT_TABLE).get("1") == {"c": "v"})
    return bool(db.get("1") == "v")


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_is_there_again(tmp_path: Path, name: str) -> None:
    with kt.open(tmp_path / name) as db:
        stored(db, name)
    with kt.open(tmp_path / name) as db:
        assert found(db, name)


@pytest.mark.parametrize("name", FILES)
def test_another_process_has_it(tmp_path: Path, name: str) -> None:
    program = "import kt, sys\ntry: kt.open(sys.argv[1])\nexcept kt.KTError as e: print(e)"
    with kt.open(tmp_path / name) as db:
        done = run(program, tmp_path / name)
        assert "another process has it open" in done.stdout, done
        assert name in done.stdout
        stored(db, name)
    assert run(program, tmp_path / name).stdout == ""


@pytest.mark.parametrize("name", ["locked.kch", "locked.tch"])
def test_what_is_no_database(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x" * 4096)
    with pytest.raises(ImproperlyConfigured, match=name) as caught:
        kt.open(tmp_path / name)
    assert "another process" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_readers_share(tmp_path: Path, name: str) -> None:
    with kt.open(tmp_path / name) as db:
        stored(db, name)
    program = "import kt, sys\nprint(kt.open(sys.argv[1], read_only=True).count())"
    with kt.open(tmp_path / name, read_only=True) as db:
        assert found(db, name)
        assert run(program, tmp_path / name).stdout == "1\n"
        with pytest.raises(ServerError):
            stored(db, name)


@pytest.mark.parametrize("name", FILES)
def test_once_in_a_process(tmp_path: Path, name: str) -> None:
    with kt.open(tmp_path / name), pytest.raises(ImproperlyConfigured, match="in this process"):
        kt.open(tmp_path / name)
    kt.open(tmp_path / name).close()


@pytest.mark.parametrize(("name", "kind"), [("kch", "hash"), ("kct", "tree")])
def test_a_type_in_words_needs_no_suffix(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "casket"
    with kt.open(f"{path}#type={kind}") as db:
        db.set("key", "value")
    with kt.open(f"{path}#type={name}") as db:
        assert db.get("key") == "value"


def test_names() -> None:
    with kt.open() as db:
        assert isinstance(db, kt.KyotoTycoon)
    with kt.open("+", server="tyrant") as tree:
        assert isinstance(tree, kt.TokyoTyrant)
    with pytest.raises(ArgumentError, match="suffixes"):
        kt.open("casket.xyz")
    with pytest.raises(ArgumentError, match="library"):
        kt.open("a.kch", "a.tch")
    with pytest.raises(ArgumentError, match="alone"):
        kt.open("a.tch", "b.tch")
    with pytest.raises(ArgumentError, match="synchronize"):
        kt.open("*", synchronize="always")  # type: ignore[call-overload]
    with pytest.raises(ImproperlyConfigured, match="nowhere"):
        kt.open("/nowhere/a.kch")


def test_several_databases(tmp_path: Path) -> None:
    with kt.open("*", tmp_path / "a.kct", default_db=1) as db:
        db.set_bulk({"b": "2", "a": "1"})
        assert db.match_prefix("") == ["a", "b"]
        assert db.count(0) == 0
        with pytest.raises(KTError):
            db.set("k", "v", 2)


def test_wrong_arguments_leave_nothing_open(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KTError, match="serializer"):
            kt.open(tmp_path / "a.kch", serializer="json")  # type: ignore[call-overload]
    kt.open(tmp_path / "a.kch").close()


def test_after_its_end() -> None:
    db = kt.open("*")
    db.close()
    db.close()
    with pytest.raises(ServerConnectionError, match="closed"):
        db.get("k")


@pytest.mark.parametrize("name", ["*", "a.tch"])
def test_nothing_logs_changes_that_could_be_followed(tmp_path: Path, name: str) -> None:
    path = name if name == "*" else tmp_path / name
    with kt.open(path) as db, pytest.raises(ServerError, match=r"is open in this process.*-ulog"):
        db.changes()

    async def follow() -> None:
        async with kt.open_async(path) as db:
            with pytest.raises(ServerError, match=r"is open in this process.*-ulog"):
                db.changes()

    asyncio.run(follow())


def test_any_number_of_threads() -> None:
    with kt.open("%") as db:

        def work(number: int) -> None:
            for i in range(200):
                db.set(f"{number}-{i}", "v")
                db.incr("n")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert db.incr("n", 0) == 1600
        assert db.count() == 1601


HELD = """
import kt, os, sys, threading, time
path, server = sys.argv[1:]
os.chdir(os.path.dirname(path))
with open("wait", "w") as script:
    script.write("#!/bin/sh\\n>begun; until [ -e end ]; do sleep 0.05; done\\n")
os.chmod("wait", 0o755)
with kt.open(path, server=server) as db:
    db.set("k", "v")
    if server == "tyrant":
        holder = threading.Thread(target=lambda: db.copy("@./wait"))
    else:
        holder = threading.Thread(target=lambda: db.synchronize(command="wait"))
    holder.start()
    while not os.path.exists("begun"):
        time.sleep(0.01)
    found = []
    readers = [threading.Thread(target=lambda: found.append(db.get("k"))) for _ in range(3)]
    for reader in readers:
        reader.start()
    time.sleep(0.2)
    open("end", "w").close()
    for thread in (holder, *readers):
        thread.join()
    print(*found)
"""


@pytest.mark.parametrize("name", ["a.kch", "a.kct", "a.tch", "a.tcb"])
def test_threads_that_wait_for_the_database_hold_up_no_others(tmp_path: Path, name: str) -> None:
    server = "tyrant" if name in TOKYO else "tycoon"
    done = run(HELD, tmp_path / name, server)
    assert (done.stdout, done.stderr) == ("v v v\n", "")


def test_signals_between_threads() -> None:
    with kt.open("*") as db:
        woken = threading.Event()

        def wait() -> None:
            db.wait("go", 30)
            woken.set()

        thread = threading.Thread(target=wait)
        thread.start()
        while not db.signal("go"):
            pass
        thread.join()
        assert woken.is_set()


FORK = """
import kt, os, sys
db = kt.open(sys.argv[1])
db.set("1", "parent")
child = os.fork()
if not child:
    try:
        db.get("1")
    except kt.ServerConnectionError as error:
        os.write(1, str(error).encode())
    db.close()
    del db
    sys.exit(0)
os.waitpid(child, 0)
db.set("2", "parent")
"""


@pytest.mark.parametrize("name", ["a.kch", "a.kct", "a.tch", "a.tcb"])
def test_a_forked_process_leaves_it_alone(tmp_path: Path, name: str) -> None:
    done = run(FORK, tmp_path / name)
    assert done.returncode == 0, done.stderr
    assert "open it anew" in done.stdout
    with kt.open(tmp_path / name) as db:
        assert (db.get("1"), db.get("2")) == ("parent", "parent")


ANEW = """
import kt, os, sys
db = kt.open(sys.argv[1])
db.set("1", "parent")
closed, close = os.pipe()
child = os.fork()
if not child:
    os.read(closed, 1)
    with kt.open(sys.argv[1]) as db:
        db.set("2", db.get("1") + " and child")
    os._exit(0)
db.close()
os.write(close, b".")
status = os.waitpid(child, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("name", [*KYOTO, "a.tch", "a.tcb", "a.tcf"])
def test_a_forked_process_opens_it_anew(tmp_path: Path, name: str) -> None:
    done = run(ANEW, tmp_path / name)
    assert done.returncode == 0, done.stderr
    with kt.open(tmp_path / name) as db:
        assert db.get("2") == "parent and child"


@pytest.mark.parametrize(
    "how",
    [
        "pass",
        "raise ValueError",
        "sys.exit(3)",
        "import signal; signal.raise_signal(signal.SIGINT)",
    ],
)
def test_the_interpreters_end_closes_it(tmp_path: Path, how: str) -> None:
    program = f"import kt, sys\ndb = kt.open(sys.argv[1])\ndb.set('k', 'v')\n{how}"
    run(program, tmp_path / "a.kct")
    with kt.open(tmp_path / "a.kct") as db:
        assert db.get("k") == "v"


KILLED = """
import kt, os, sys
db = kt.open(sys.argv[1], synchronize=sys.argv[2])
for i in range(500):
    db.set(str(i), "v" * 100)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("level", ["commit", "device"])
@pytest.mark.parametrize("name", ["a.tcf", "a.tcf#width=8", "*", "+"])
def test_what_cannot_be_kept_says_so(tmp_path: Path, name: str, level: Any) -> None:
    path = os.fspath(tmp_path / name) if "." in name else name
    plain = re.escape(path.partition("#")[0])
    with pytest.raises(ArgumentError, match=rf"^{plain} has synchronize=.*NONE only"):
        kt.open(path, synchronize=level, server="tyrant")
    with pytest.raises(ArgumentError, match=rf"^{plain} has synchronize=.*NONE only"):
        kt.open_async(path, synchronize=level, server="tyrant")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.kch", "a.kct", "a.tch", "a.tcb", "a.tct"])
def test_writes_that_wait_for_the_device_hold_up_no_event_loop(tmp_path: Path, name: str) -> None:
    async def write() -> None:
        threads = set()
        async with kt.open_async(tmp_path / name, synchronize="device") as db:
            run = asyncio.to_thread

            async def noted(work: Any) -> Any:
                threads.add(work)
                return await run(work)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(asyncio, "to_thread", noted)
                if name.endswith(".tct"):
                    await db.using(serializer=kt.TT_TABLE).set("1", {"c": "v"})
                else:
                    await db.set("1", "v")
        assert threads

    asyncio.run(write())
    with kt.open(tmp_path / name) as db:
        assert found(db, name)


@pytest.mark.parametrize("name", ["a.kch", "a.kct", "a.kcd", "a.kcf", "a.tch", "a.tcb"])
def test_commit_survives_kill(tmp_path: Path, name: str) -> None:
    assert run(KILLED, tmp_path / name, "commit").returncode == -9
    with kt.open(tmp_path / name) as db:
        assert len(db.get_bulk([str(i) for i in range(500)])) == 500


COUNTED = """
import kt, os, sys
db = kt.open(sys.argv[1])
for i in range(500):
    db.incr("i")
    db.incr_double("d", 0.5)
os.write(1, b".")
os.read(0, 1)
"""


def test_counters_come_to_the_file_by_themselves(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.tcb", tmp_path / "copy.tcb"
    command = [sys.executable, "-c", COUNTED, os.fspath(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        for _ in range(300):
            for suffix in ("", ".wal"):
                shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
            with suppress(KTError), kt.open(copy, server="tyrant") as db:
                if (db.incr("i", 0), db.incr_double("d", 0)) == (500, 250):
                    break
            time.sleep(0.1)
        process.kill()
    with kt.open(path, server="tyrant") as db:
        assert (db.incr("i", 0), db.incr_double("d", 0)) == (500, 250)


def test_expired_records_go_by_themselves() -> None:
    with kt.open("*") as db:
        db.set("k", "v", expire_time=1)
        gone = threading.Event()

        def look() -> None:
            while int(db.status()["count"]):
                gone.wait(0.05)
            gone.set()

        threading.Thread(target=look).start()
        assert gone.wait(30)


def test_scripts(tmp_path: Path) -> None:
    script = tmp_path / "s.lua"
    script.write_text(
        "kt = __kyototycoon__\n"
        "function echo(i, o) for k, v in pairs(i) do o[k] = v .. v end return kt.RVSUCCESS end\n"
    )
    with kt.open("*", scripts=script) as db:
        assert db.lua.echo(a="x") == {"a": "xx"}
    with pytest.raises(ImproperlyConfigured, match="no such script"):
        kt.open("*", scripts=tmp_path / "none.lua")
    with kt.open("*") as db, pytest.raises(ServerError):
        db.script("echo")


@pytest.mark.parametrize("name", FILES)
def test_a_server_opens_the_same_file(tmp_path: Path, name: str) -> None:
    kind: Any = kt.EmbeddedServer if name in KYOTO else kt.EmbeddedTokyoTyrantServer
    with kt.open(tmp_path / name) as db:
        stored(db, name)
    program = "kt-tycoon" if name in KYOTO else "kt-tyrant"
    with kind(program, database=os.fspath(tmp_path / name)) as server:
        assert found(server.client, name)
