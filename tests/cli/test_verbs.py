"""Verbs of `kt` on servers of both kinds, and on files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from kt.cli import verbs
from kt.cli.program import main
from kt.cli.target import open_target
from tests.conftest import StartTycoon, program, tycoon_of, tyrant_of

from .conftest import Kt

BYTES = bytes(range(256))


@pytest.fixture(scope="module")
def servers(pytestconfig: pytest.Config) -> Iterator[Callable[[str, str], str]]:
    """URLs of servers by kind, each started when it is asked for."""
    with ExitStack() as stack:

        @cache
        def start(kind: str, which: str) -> str:
            if kind == "tycoon":
                name = program(which, "kt-tycoon", "ktserver", pytestconfig)
                return f"kt://127.0.0.1:{stack.enter_context(tycoon_of(name, ['*'])).port}"
            name = program(which, "kt-tyrant", "ttserver", pytestconfig)
            return f"tt://127.0.0.1:{stack.enter_context(tyrant_of(name, '*')).port}"

        yield start


WHERE = ["tycoon bundled", "tyrant bundled", "tycoon original", "tyrant original"]


@pytest.fixture(params=[*WHERE, "casket.kch", "casket.kct", "casket.tcb"])
def url(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    servers: Callable[[str, str], str],
) -> str:
    """Servers of both kinds, and files of both libraries, all of them empty."""
    if request.param in WHERE:
        found = servers(*request.param.split())
    else:
        found = str(tmp_path / request.param)
        open_target(found, create=True).close()
    monkeypatch.setenv("KT_URL", found)
    assert main(["clear"]) == 0
    return found


def test_records(kt: Kt, url: str) -> None:
    assert kt("set", "k", "v") == (0, b"", "")
    assert kt("get", "k") == (0, b"v\n", "")
    assert kt("get", "none").status == 1
    assert kt("add", "k", "w").status == 1
    assert kt("add", "new", "w").status == 0
    assert kt("append", "k", "-1").status == 0
    assert kt(url, "get", "k").out == b"v-1\n"
    assert kt("get", "--url", url, "k", "--raw").out == b"v-1"
    assert kt("incr", "n", "5").out == b"5\n"
    assert kt("incr", "n", "-7").out == b"-2\n"
    assert kt("incr", "x", "1.5", "--float").out == b"1.500000\n"
    assert kt("exists", "k").lines[0] == "size: 3"
    assert kt("exists", "none").status == 1
    assert kt("rm", "k", "none").status == 0
    assert kt("rm", "k").status == 1


def test_bytes_survive(kt: Kt, url: str) -> None:
    assert kt("set", os.fsdecode(BYTES[1:]), stdin=BYTES).status == 0
    assert kt("get", os.fsdecode(BYTES[1:]), "--raw").out == BYTES
    assert kt("get", "-px", "-sx", BYTES[1:].hex()).out == BYTES.hex(" ").upper().encode() + b"\n"
    (found,) = kt("scan", "--json").json
    assert set(found["value"]) == {"base64"}
    assert kt("ls", "--null").out == BYTES[1:] + b"\0"
    assert kt("set", "a-file", "--file", __file__).status == 0
    assert kt("get", "a-file", "-pz").out == Path(__file__).read_bytes()


def test_many_records(kt: Kt, url: str) -> None:
    lines = b"".join(b"key%d\tvalue %d\n" % (n, n) for n in range(2500))
    assert kt("import", stdin=lines).status == 0
    assert len(kt("ls").lines) == 2500
    assert sorted(kt("ls", "key24").lines)[0] == "key24"
    assert sorted(kt("scan", "key249").lines)[:2] == ["key249\tvalue 249", "key2490\tvalue 2490"]
    assert len(kt("scan", "--limit", "7").lines) == 7
    assert sorted(kt("regex", "y1?7$").lines) == ["key17", "key7"]
    assert sorted(kt("ls", "--glob", "key[12]49?").lines)[:2] == ["key1490", "key1491"]
    assert kt("scan", "--glob", "*2499").lines == ["key2499\tvalue 2499"]
    assert kt("ls", "--glob", "ey1").lines == []
    assert kt("ls", "--glob", "k*", "--regex", "k").status == 2
    assert kt("ls", "--glob", "k\\").status == 2
    assert kt("getbulk", "key2", "none", "key1").lines == ["key1\tvalue 1", "key2\tvalue 2"]
    assert kt("removebulk", "key2", "none", "key1").status == 0
    assert kt("import", stdin=b"key3\nkey4\tnew\n").status == 0
    assert kt("get", "key4").out == b"new\n"
    assert kt("inform").lines[0] == "count: 2497"
    assert kt("clear").status == 0
    assert kt("ls").out == b""
    for line in ("ping", "sync", "status", "report"):
        assert kt(line).status == 0
        assert kt(line, "--json").status == 0


def test_expiry_and_cas(kt: Kt, tycoon_url: str) -> None:
    assert kt("set", "k", "v", "--expire", "1000").status == 0
    (found,) = kt("get", "k", "--json").json
    assert found["expires"] > 1_700_000_000
    assert kt("cas", "k", "x", "w").status == 1
    assert kt("cas", "k", "v", "w").status == 0
    assert kt("cas", "new", "--missing", "1").status == 0
    assert kt("cas", "new", "1", "--remove").status == 0
    assert kt("cas", "new", "1").status == 2
    assert kt("get", "-rm", "k").out == b"w\n"
    assert kt("get", "k").status == 1
    assert kt("set", "k", "1", "--db", "1").status == 0
    assert kt(f"{tycoon_url}/1", "get", "k").out == b"1\n"
    assert kt("get", "k", "--db", "7").status == 1
    assert kt("set", "k", "1", "--db", "none").status == 2


def test_signals(kt: Kt, tycoon_url: str) -> None:
    assert kt("set", "k", "v", "-swname", "never", "-swtime", "0.01").status == 1
    assert kt("get", "k").status == 1
    assert kt("set", "k", "v", "-ssname", "done", "-ssbrd").status == 0


@pytest.mark.parametrize("tyrant_database", ["casket.tct"], indirect=True)
def test_tables(kt: Kt, tyrant_url: str) -> None:
    assert kt("table", "put", "1", "name=Ann", "age=31").status == 0
    assert kt("table", "put", "2", "name=Bob Lee", "age=9", "note=a=b").status == 0
    assert kt("table", "put", "2", "name=x", "--add").status == 1
    assert kt("table", "put", "3", "nonsense").status == 2
    assert sorted(kt("table", "get", "2", "--json").json[0]["columns"]) == ["age", "name", "note"]
    assert kt("table", "get", "9").status == 1
    assert kt("table", "index", "age", "decimal").status == 0
    rows = kt("table", "query", "age>=9", "--order", "+age", "--select", "age").lines
    assert rows == ["2\tage=9", "1\tage=31"]
    for condition, keys in {
        "name=Ann": "1",
        "name!=Ann": "2",
        "name^=A": "1",
        "name$=Lee": "2",
        "name*=ob": "2",
        "name~=^A": "1",
        "name:=Lee x": "2",
        "age==9": "2",
        "age<10": "2",
    }.items():
        assert [row["key"] for row in kt("table", "query", condition, "--json").json] == [keys]
    assert kt("table", "query", "age>x").status == 2
    assert kt("table", "query", "name=Ann", "--count").out == b"1\n"
    assert b"age" in kt("table", "query", "age>9", "--explain").out
    assert kt("table", "query", "age>9", "--delete").out == b"1\n"
    assert kt("table", "index", "age", "--delete").status == 0


def test_what_goes_wrong(kt: Kt, tycoon_url: str, tmp_path: Path) -> None:
    assert kt("gett", "k") == (
        2,
        b"",
        "kt: there is no verb 'gett'; did you mean 'get'? (kt --help lists them)\n",
    )
    assert kt("get").status == 2
    assert kt("get", "--bogus", "k").status == 2
    assert kt("get", "-port", "no", "k").status == 2
    assert kt("incr", "k", "x").status == 2
    assert kt("set", "text", "abc").status == 0
    assert kt("incr", "text").status == 3
    assert kt("table", "get", "k").status == 2
    assert kt(tmp_path / "none.kch", "get", "k").status == 2
    assert kt("--url", "nonsense://x", "get", "k").status == 2
    assert kt("-u", "kt://127.0.0.1:1", "ping").status == 3
    assert kt("get", "-sx", "zz").status == 2
    assert kt("import", tmp_path / "none").status == 3
    assert kt("get", "k", "l").status == 2
    assert kt("tcrmgr").out == kt("--help").out
    assert kt("table").out == kt("table", "--help").out == kt("--help").out


def test_closed_and_full_files(tycoon_url: str) -> None:
    command = f"{sys.executable} -m kt.cli"
    for line, status in {
        "ping >&-": 0,
        "get none 2>&-": 1,
        "set k <&-": 0,
        "ls >/dev/full": 3,
        "ls | head -c 1": 0,
    }.items():
        done = subprocess.run(
            f"{command} {line}", shell=True, capture_output=True, check=False, text=True
        )
        assert (done.returncode, done.stdout[:3]) == (status, "k" if "head" in line else "")
        assert done.stderr.count("\n") <= 1, done.stderr


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("kt.cli --version", 3),
        ("kt.cli help get", 3),
        ("kt.log verify {log}", 2),
        ("kt.server tycoon --version", 1),
        ("kt.server tyrant --help", 1),
        ("kt.failover --help", 0),
    ],
)
def test_full_files_of_all_programs(line: str, status: int, tmp_path: Path) -> None:
    """One error, and the status of the program, not that of an interpreter that cannot end."""
    log = tmp_path / "0000000001.ulog"
    log.write_bytes(b"\xa0" + (17).to_bytes(8, "big") + bytes(8))
    command = f"{sys.executable} -m {line.format(log=log)} >/dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, check=False, text=True)
    assert done.returncode == status
    assert done.stderr.count("\n") <= 1, done.stderr


def test_words_that_look_like_urls(kt: Kt, tycoon_url: str) -> None:
    assert kt("set", "--", "kt://x", "1").status == 0
    assert kt("get", "--url", tycoon_url, "kt://x").out == b"1\n"


def test_the_wrong_kind_of_server(kt: Kt, tycoon_url: str) -> None:
    ran = kt(tycoon_url.replace("kt:", "tt:"), "get", "k", "--timeout", "0.2")
    assert ran.status == 3
    assert "Kyoto" in ran.err


def test_help(kt: Kt) -> None:
    assert b"ktremotemgr" in kt("--help").out
    assert kt("help", "get").out == kt("get", "--help").out
    for name, home in verbs.VERBS.items():
        if home:
            ran = kt(*name.split(), "--help")
            assert (ran.status, ran.err) == (0, "")
    assert kt("--version").out.startswith(b"kt ")


@pytest.mark.parametrize("option", [(), ("--orig", "2.5")])
def test_what_is_no_whole_number(kt: Kt, tycoon_url: str, option: tuple[str, ...]) -> None:
    ran = kt("incr", "n", "1" if option else "1.5", *option)
    assert ran.status == 2
    assert "is no whole number: --float" in ran.err
    assert "is no number" in kt("incr", "n", "x", "--float").err


def test_a_file_after_a_verb_without_words(kt: Kt, tmp_path: Path) -> None:
    path = tmp_path / "a.kct"
    open_target(str(path), create=True).close()
    assert kt("ping", path).lines == ["pong"]
    assert kt("inform", "-st", "-u", path).lines
    assert kt("doctor", path).lines == ["nothing found"]
    assert kt("clear", path, "b.kct").status == 2
    assert kt("get", path).status != 0, "this is a key"


def test_log(kt: Kt, tmp_path: Path) -> None:
    assert kt("log", "list", tmp_path / "none").status == 2


def test_completion(kt: Kt, tycoon_url: str) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert b"kt completion words" in kt("completion", shell).out
    assert kt("completion", "csh").status == 2
    kt("setbulk", "apple", "1", "apricot", "2", "pear", "3")

    def words(*before: str) -> list[str]:
        return sorted(kt("completion", "words", "--", *before).lines)

    assert words("ge") == ["get", "getbulk"]
    assert words("get", "ap") == ["apple", "apricot"]
    assert words(tycoon_url, "get", "p") == ["pear"]
    assert words("get", "pear", "") == []
    assert words("rm", "pear", "ap") == ["apple", "apricot"]
    assert words("get", "--ra") == ["--raw"]
    assert words("table", "q") == ["query"]
    assert words("help", "getb") == ["getbulk"]
    assert words("ktremotemgr", "slave", "-u")[1:] == ["-uf", "-ur", "-url", "-uw", "-ux"]
    assert "slave" in words("ktremotemgr", "sl")
    assert words("get", "--url", "kt://127.0.0.1:1", "a") == []


def path_with_kt(directory: Path) -> str:
    """A PATH on which kt is this one, whether it is installed or not."""
    (directory / "kt").write_text(f'#!/bin/sh\nexec {sys.executable} -m kt.cli "$@"\n')
    (directory / "kt").chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def test_bash_completes_keys_with_colons(kt: Kt, tycoon_url: str, tmp_path: Path) -> None:
    """bash splits words at colons, and completes what is after the last one."""
    import shutil

    if shutil.which("bash") is None:
        pytest.skip("bash is not here")
    kt("setbulk", "user:1", "1", "user:22", "2", "a b", "3")
    path = path_with_kt(tmp_path)

    def completed(line: str) -> list[str]:
        program = 'eval "$(kt completion bash)"; COMP_LINE=$1; COMP_POINT=${#1}; _kt kt; '
        program += 'printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(
            ["bash", "-c", program, "-", line],
            env={**os.environ, "PATH": path, "COMP_WORDBREAKS": " \t:="},
            capture_output=True,
            text=True,
            check=True,
        )
        return sorted(done.stdout.split("\n")[:-1])

    assert completed("kt get us") == ["user:1", "user:22"]
    assert completed("kt get user:") == ["1", "22"]
    assert completed(f"kt {tycoon_url} get user:2") == ["22"]
    assert completed("KT_X=1 kt get -u " + tycoon_url + " a") == ["a\\ b"]


def test_fish_completes(kt: Kt, tycoon_url: str, tmp_path: Path) -> None:
    import shutil

    program = shutil.which("fish")
    if program is None:
        pytest.skip("fish is not here")
    kt("setbulk", "user:1", "1", "user:22", "2", "a b", "3")

    def completed(line: str) -> list[str]:
        done = subprocess.run(
            [program, "-c", "kt completion fish | source; complete -C $argv", line],
            env={**os.environ, "PATH": path_with_kt(tmp_path), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return sorted(done.stdout.split("\n")[:-1])

    assert completed("kt getb") == ["getbulk"]
    assert completed(f"kt get --url {tycoon_url} user:") == ["user:1", "user:22"]
    assert completed(f"kt get --url {tycoon_url} a") == ["a b"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_take_their_completion(shell: str, kt: Kt, tmp_path: Path) -> None:
    import shutil

    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not here")
    script = tmp_path / "script"
    script.write_bytes(kt("completion", shell).out)
    subprocess.run([program, "-n", str(script)], check=True)


def test_as_a_program(start_tycoon: StartTycoon) -> None:
    server = start_tycoon("*")
    url = f"kt://127.0.0.1:{server.port}"
    command = [sys.executable, "-m", "kt.cli", url]
    subprocess.run([*command, "set", "k"], check=True, input=BYTES)
    done = subprocess.run([*command, "get", "k", "--raw"], check=True, capture_output=True)
    assert done.stdout == BYTES
    done = subprocess.run([*command, "get", "none"], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (1, b"kt: there is no such record\n")


def test_ping_loads_little() -> None:
    """What it loads is what it costs: nothing of the shell, of asyncio, of servers."""
    program = (
        "import sys; from kt.cli.program import main; main(['-u', 'kt://127.0.0.1:1', 'ping'])"
    )
    program += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "click" in loaded
    heavy = {"asyncio", "rich", "prompt_toolkit", "pygments", "kt.server", "kt.local.opening"}
    heavy |= {"dataclasses", "json", "logging", "ssl", "subprocess", "kt.net.group", "kt.lua"}
    assert not heavy & loaded


@pytest.mark.parametrize(
    "line",
    [
        "kt://u:secret@127.0.0.1:1 kt://u:secret@127.0.0.1:1 get k",
        "top kt://u:secret@127.0.0.1:1 kt://u:secret@127.0.0.1:1",
        "tcrmgr http ftp://u:secret@127.0.0.1:1/",
    ],
)
def test_what_is_wrong_with_a_line_is_said_without_passwords(kt: Kt, line: str) -> None:
    ran = kt(*line.split())
    assert ran.status == 2
    assert "127.0.0.1:1" in ran.err
    assert "secret" not in ran.err
