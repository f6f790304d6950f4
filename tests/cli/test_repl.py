"""`kt repl`: a server's log in the words of ktremotemgr slave and tcrmgr repl."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from kt.embedded import EmbeddedServer
from kt.log.reading import read_changes
from kt.types import What
from tests.client.masters import logging_tycoon, logging_tyrant
from tests.conftest import StartTycoon, StartTyrant, find_original

from .conftest import Kt

NEVER = b"\xff" * 5
"""What a value that does not expire begins with in Kyoto Tycoon's log."""


def fields(line: str) -> list[str]:
    return line.split("\t")


def waited(*words: str) -> bytes:
    """The first four lines of a line that waits for more."""
    line = [sys.executable, "-m", "kt.cli", *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        found = b"".join(program.stdout.readline() for _ in range(4))
        assert program.poll() is None
        program.kill()
    return found


def coded(data: bytes) -> str:
    return b64encode(data).decode()


def test_slave(kt: Kt, start_tycoon: StartTycoon) -> None:
    port = logging_tycoon(start_tycoon, "*", "%").port
    kt("set", "-port", port, "a", "1")
    kt("set", "-port", port, "-db", "1", "bytes", "\udcff")
    kt("remove", "-port", port, "a")
    kt("clear", "-port", port, "--yes")
    followed = kt("repl", f"kt://127.0.0.1:{port}", "-n", "4").out
    ran = kt("ktremotemgr", "slave", "-port", port)  # to what there is by now
    assert (ran.status, ran.out) == (0, followed)
    assert [fields(line)[1:] for line in ran.lines] == [
        ["5", "0", "set", coded(b"a"), coded(NEVER + b"1")],
        ["5", "1", "set", coded(b"bytes"), coded(NEVER + b"\xff")],
        ["5", "0", "remove", coded(b"a")],
        ["5", "0", "clear"],
    ]
    stamps = [int(fields(line)[0]) for line in ran.lines]
    assert stamps == sorted(set(stamps))
    since = kt("ktremotemgr", "slave", "-port", port, "-ts", stamps[1])
    assert since.lines == ran.lines[2:]
    assert kt("ktremotemgr", "slave", "-port", port, "-ts", "now").lines == []
    assert kt("ktremotemgr", "slave", "-port", port, "-sid", "5").lines == []
    assert kt("ktremotemgr", "slave", "-port", port, "-sid", "5", "-ux").lines == ran.lines
    assert waited("ktremotemgr", "slave", "-uw", "-port", str(port)) == ran.out


def test_slave_with_files(kt: Kt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    args = ["-ulog", "ulog", "-sid", "5", "-ulim", "100"]
    with EmbeddedServer("kt-tycoon", database="*", server_args=args) as server:
        look_at_files(kt, server.port)


def look_at_files(kt: Kt, port: int | None) -> None:
    for number in range(5):
        kt("set", "-port", port, number, "x" * 100)
    files = [fields(line) for line in kt("ktremotemgr", "slave", "-port", port, "-uf").lines]
    assert len(files) > 2
    assert all(int(size) > 0 and int(stamp) > 0 for _, size, stamp in files[:-1])
    assert kt("ktremotemgr", "slave", "-port", port, "-ur", "-ts", files[0][2]).status == 0
    left = kt("ktremotemgr", "slave", "-port", port, "-uf").lines
    assert [fields(line)[0] for line in left] == [path for path, _, _ in files[1:]]
    assert kt("ktremotemgr", "slave", "-port", port, "-ur").status == 0
    assert len(kt("ktremotemgr", "slave", "-port", port, "-uf").lines) == 1


def test_repl_of_tokyo_tyrant(kt: Kt, start_tyrant: StartTyrant, tmp_path: Path) -> None:
    port = logging_tyrant(start_tyrant, "*").port
    url = f"tt://127.0.0.1:{port}"
    kt(url, "set", "a", "1")
    kt(url, "incr", "n", "5")
    kt(url, "vanish")
    text = kt("tcrmgr", "repl", "-ph", "-n", "3", "-port", port, "127.0.0.1").lines
    assert [fields(line)[1:] for line in text] == [
        ["5:5", "put", "C8 10 00 00 00 01 00 00 00 01 61 31 00"],
        ["5:5", "addint", "C8 60 00 00 00 01 00 00 00 05 6E 00"],
        ["5:5", "vanish", "C8 72 00"],
    ]
    last = fields(text[2])[0]
    assert kt("repl", url, "-ph", "-ts", last, "-n", "1").lines == text[2:]
    (tmp_path / "0.ulog").write_bytes(kt("repl", url, "-n", "3").out)
    found = [change.what for change in read_changes(tmp_path / "0.ulog")]
    assert found == [What.SET, What.ADD_INT, What.CLEAR]


def test_complaints(kt: Kt, tycoon_url: str, tyrant_url: str) -> None:
    assert "log" in kt("repl", tycoon_url).err
    refused = kt("repl", tyrant_url)
    assert refused.status == 3
    assert "-sid" in refused.err
    assert "changes" in kt("repl", tycoon_url, "--json").err
    assert kt("repl", tycoon_url, "-ts", "yesterday").status == 2
    assert kt("restore", tyrant_url, "-ts", "yesterday", "/x").status == 2


@pytest.mark.parametrize("program", ["ktremotemgr", "tcrmgr"])
def test_version(kt: Kt, program: str) -> None:
    assert kt(program, "version").lines == kt("--version").lines


def test_beside_ktremotemgr(kt: Kt, start_tycoon: StartTycoon) -> None:
    original = find_original("ktremotemgr")
    if original is None:
        pytest.skip("ktremotemgr is not here")
    port = str(logging_tycoon(start_tycoon, "*").port)
    kt("setbulk", "-port", port, *"a1b2c3")
    kt("remove", "-port", port, "b")
    kt("repl", f"kt://127.0.0.1:{port}", "-n", "4")  # the original logs some time later
    for options in ([], ["-sid", "5"], ["-sid", "5", "-ux"], ["-uf"], ["-ts", "now"]):
        line = ["slave", "-port", port, *options]
        theirs = subprocess.run([original, *line], capture_output=True, check=True)
        assert kt("ktremotemgr", *line).out == theirs.stdout, options


def test_beside_tcrmgr(kt: Kt, start_tyrant: StartTyrant) -> None:
    original = find_original("tcrmgr")
    if original is None:
        pytest.skip("tcrmgr is not here")
    port = str(logging_tyrant(start_tyrant, "*").port)
    kt("set", "--url", f"tt://127.0.0.1:{port}", "a", "1")
    kt("rm", "--url", f"tt://127.0.0.1:{port}", "none")
    line = ["repl", "-port", port, "-ph", "127.0.0.1"]
    with subprocess.Popen([original, *line], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        theirs = [program.stdout.readline() for _ in range(2)]
        program.kill()
    assert kt("tcrmgr", "repl", "-n", "2", *line[1:]).out == b"".join(theirs)


def test_the_other_kind_of_server(kt: Kt, tycoon_url: str, tyrant_url: str) -> None:
    """Said in the first silence, when it hangs up, or when it answers otherwise."""
    for url, name in ((tycoon_url, "Kyoto Tycoon"), (tyrant_url, "Tokyo Tyrant")):
        wrong = f"{'tt' if url.startswith('kt') else 'kt'}{url[2:]}"
        for line in (["repl"], ["changes", "--since", "oldest"], ["ping"], ["get", "k"]):
            ran = kt(line[0], "--url", wrong, *line[1:])
            assert ran.status == 3
            assert f"a {name} server" in ran.err
