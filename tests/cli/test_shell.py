"""The shell: lines from a pipe, and keys that are pressed on a terminal that is none."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from kt.cli.shell import paging
from kt.cli.shell.completing import candidates, make_completer, make_lexer
from kt.cli.shell.lines import begun_words, is_complete, words_of
from kt.cli.shell.loop import run_shell
from kt.cli.target import open_target

from .conftest import Kt

Typed = Callable[[str], list[str]]


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Typed:
    """Type keys into a shell on a file, and return what it prints."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = str(tmp_path / "a.kct")
    open_target(path, create=True).close()

    def run(keys: str) -> list[str]:
        with create_pipe_input() as pipe:
            pipe.send_text(keys)
            run_shell(path, input=pipe, output=DummyOutput())
        out, err = capsysbinary.readouterr()
        assert b"Traceback" not in err
        return (out + err).decode().splitlines()

    return run


def test_lines_of_a_pipe(kt: Kt, tycoon_url: str) -> None:
    ran = kt(
        stdin=b"set a 1\nget a\nset b 'two\nlines'\nget b\n\nget none\nbogus\nincr n\nquit\nget a"
    )
    assert ran.lines == ["1", "two", "lines", "1"]
    assert ran.err.splitlines()[0] == "there is no such record"
    assert ran.status == 0
    assert kt(tycoon_url, stdin=b"get a\nget none").status == 1
    assert kt(stdin=b"get 'a").status == 2
    assert kt("-u", "kt://127.0.0.1:1", stdin=b"ping\n").status == 3


def test_typed(typed: Typed, tmp_path: Path) -> None:
    assert typed("set a 1\rget a\r\x04") == ["1"]
    assert typed("set b 'one\rtwo'\rget b\r\\quit\r") == ["one", "two"]
    assert typed('get zzz\rset k "\x1b\r"\rget k\rquit\r') == ["", "", "there is no such record"]
    assert "+get zzz\n" in (tmp_path / "kt/history").read_text()


def test_completer(tmp_path: Path) -> None:
    target = open_target(str(tmp_path / "a.kct"), create=True)
    target.tycoon.set("apricot", b"1")
    document = Document("get apr")
    completer = make_completer(lambda: document.text, lambda: target)
    found = list(completer.get_completions(document, CompleteEvent()))
    assert [(each.text, each.start_position) for each in found] == [("apricot", -3)]
    target.close()


def test_commands(typed: Typed) -> None:
    lines = typed("\\timing\rping\r\\timing\r\\json\rping\r\\help\r\\bogus\rhelp get\rhelp\r\x04")
    assert lines[:2] == ["Timing is on.", "pong"]
    assert lines[2].startswith("Time: ")
    assert '{"ping": true}' in lines
    assert any("\\use URL" in line for line in lines)
    assert "there is no command \\bogus: \\help lists them" in lines
    assert any("standard output" in line for line in lines)


def test_another_target(typed: Typed, tycoon_url: str) -> None:
    assert typed(
        f"set a file\r\\use {tycoon_url}\rset a server\rget a\r\\use x.tch\rget a\r\x04"
    ) == [
        "server",
        "server",
        "there is no file x.tch",
    ]


def test_rows_as_tables(typed: Typed, tmp_path: Path) -> None:
    path = tmp_path / "t.tct"
    open_target(str(path), create=True).close()
    lines = typed(f"\\use {path}\rtable put 1 name=Ann\rtable query\r\x04")
    assert any("name" in line and "key" in line for line in lines)
    assert any("Ann" in line for line in lines)


def test_bytes_that_are_no_text(typed: Typed) -> None:
    assert typed("set -sx 61 FF41\rget a\r\x04") == ["\\xffA"]


@pytest.mark.parametrize(
    ("line", "whole"),
    [("get a", True), ("set a 'x", False), ('set a "x\ny"', True), ("set a \\", False), ("", True)],
)
def test_where_lines_end(line: str, whole: bool) -> None:
    assert is_complete(line) == whole


def test_words() -> None:
    assert words_of("set 'a b' \"c\nd\" e\\ f # g") == ["set", "a b", "c\nd", "e f", "#", "g"]
    assert begun_words("get ") == ["get", ""]
    assert begun_words("get 'a b") == ["get", "a b"]
    assert begun_words("") == [""]


def test_candidates(tmp_path: Path) -> None:
    target = open_target(str(tmp_path / "a.tcb"), create=True)
    target.tyrant.set_bulk({b"with blank": b"1", b"other": b"2"})
    assert candidates("get w", target) == ["'with blank'"]
    assert candidates("ge", target) == ["get", "getbulk"]
    assert candidates("\\ti", target) == ["\\timing"]
    assert candidates("help sc", target) == ["scan", "script"]
    assert "--raw" in candidates("get --", target)
    target.close()


def test_colours() -> None:
    line = make_lexer().lex_document(Document("get 'a'"))(0)
    assert line[0][0] != line[-1][0]


def test_paging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fills the screen goes to the pager, what does not goes to standard output."""
    shown = tmp_path / "shown"
    command = [
        sys.executable,
        "-c",
        f"import sys; open({str(shown)!r}, 'w').write(sys.stdin.read())",
    ]
    for lines, paged in ((2, False), (9, True)):
        sink = paging.Paged(command, 5)
        stdout = io.TextIOWrapper(io.BytesIO())
        for n in range(lines):
            sink.write(b"%d\n" % n)
        sink.finish(stdout)
        assert shown.exists() == paged
        assert stdout.buffer.getvalue() == (b"" if paged else b"0\n1\n")  # type: ignore[attr-defined]
    assert shown.read_text() == "".join(f"{n}\n" for n in range(9))
