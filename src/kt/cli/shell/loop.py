"""The shell's loop: reads a line, carries it out, tells what went wrong, and goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from kt.cli import verbs
from kt.cli.commands import Session
from kt.cli.faults import OK, Usage
from kt.cli.performing import explained, perform, show_help
from kt.cli.shell.lines import is_complete, words_of
from kt.cli.shell.paging import paged
from kt.cli.target import DEFAULT, LIMIT, Target, open_target
from kt.net.endpoint import without_login

if TYPE_CHECKING:
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.key_binding import KeyBindings

COMMANDS: Final = """Commands of the shell:
  \\timing      show how long each line takes, or no longer
  \\json        show results as JSON, or no longer
  \\pager       send long output through a pager, or no longer
  \\use URL     work on another server or file
  \\help        this; help VERB tells about a verb, help lists them
  \\quit        end (also exit, quit, Ctrl-D)"""


class Shell:
    """The state of a shell.

    Attributes:
        status: the exit status of the last line.
        ended: the user wants no more.
    """

    def __init__(self, url: str | None, terminal: bool) -> None:
        self.session = Session(url)
        self.session.interactive = terminal
        self.status = OK
        self.ended = False
        self._timing = False
        self._json = False
        self._paging = terminal
        self.use(self.url)

    @property
    def url(self) -> str:
        """What the shell works on."""
        return self.session.url or os.environ.get("KT_URL") or DEFAULT

    @property
    def target(self) -> Target | None:
        """The same, opened."""
        return self.session.target

    def use(self, url: str) -> None:
        """Work on another server or file."""
        target = open_target(url, LIMIT)
        self.close()
        self.session.url, self.session.target = url, target

    def close(self) -> None:
        """Close what is open."""
        if self.session.target is not None:
            self.session.target.close()
            self.session.target = None

    def carry_out(self, line: str) -> None:
        """Carry out a line; what goes wrong is told."""
        begin = perf_counter()
        try:
            self.status = self._run(line)
        except KeyboardInterrupt:
            self.status = 130
        except Exception as error:  # noqa: BLE001 - whatever it is, the shell goes on
            self.status, text = explained(error)
            sys.stdout.flush()
            if text:
                print(text, file=sys.stderr)
        sys.stdout.flush()
        if self._timing and line.strip() and not line.startswith("\\"):
            print(f"Time: {(perf_counter() - begin) * 1000:.3f} ms", flush=True)

    def _run(self, line: str) -> int:
        if line.strip().startswith("\\"):
            self._command(line.split())
            return OK
        words = words_of(line)
        if not words:
            return self.status
        if words[0] in ("exit", "quit"):
            self.ended = True
            return self.status
        if words[0] == "help":
            return show_help(words[1:])
        if self._json:
            words.insert(2 if words[0] in ("table", *verbs.PROGRAMS) else 1, "--json")
        with paged(self._paging):
            perform(words, self.session)
        return OK

    def _command(self, words: list[str]) -> None:
        name = words[0]
        if name in ("\\q", "\\quit"):
            self.ended = True
        elif name in ("\\?", "\\h", "\\help"):
            print(COMMANDS)
        elif name == "\\use" and len(words) == 2:
            self.use(words[1])
        elif name == "\\timing":
            self._timing = _told("Timing", not self._timing)
        elif name == "\\json":
            self._json = _told("JSON", not self._json)
        elif name == "\\pager":
            self._paging = _told("The pager", not self._paging)
        else:
            raise Usage(f"there is no command {' '.join(words)}: \\help lists them")


def _told(what: str, on: bool) -> bool:
    print(f"{what} is {'on' if on else 'off'}.")
    return on


def run_shell(url: str | None, **terminal: Any) -> int:
    """Run the shell and return its exit status.

    Args:
        url: what to work on; None for what the environment says.
        terminal: `input` and `output` of prompt_toolkit, in place of the real ones.
    """
    on_terminal = bool(terminal) or sys.stdin.isatty()
    shell = Shell(url, on_terminal)
    try:
        for line in _typed(shell, terminal) if on_terminal else _piped():
            shell.carry_out(line)
            if shell.ended:
                break
    finally:
        shell.close()
    return shell.status


def _piped() -> Iterator[str]:
    """Lines of standard input; one whose quote is open goes on in the next."""
    text = ""
    for line in sys.stdin:
        text += line
        if is_complete(text.rstrip("\n")):
            yield text.rstrip("\n")
            text = ""
    if text:
        yield text.rstrip("\n")


def _typed(shell: Shell, terminal: dict[str, Any]) -> Iterator[str]:
    """Lines that are typed, until the end is."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
    from prompt_toolkit.history import FileHistory

    from kt.cli.shell.completing import make_completer, make_lexer

    def begun() -> str:
        return prompt.default_buffer.document.text_before_cursor

    def whole() -> bool:
        return not is_complete(prompt.default_buffer.text)

    prompt: PromptSession[str] = PromptSession(
        history=FileHistory(str(_history())),
        completer=make_completer(begun, lambda: shell.target),
        complete_in_thread=True,
        complete_while_typing=False,
        lexer=make_lexer(),
        auto_suggest=AutoSuggestFromHistory(),
        multiline=_condition(whole),
        key_bindings=_keys(),
        **terminal,
    )
    while True:
        try:
            yield prompt.prompt(f"{without_login(shell.url)}> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _condition(test: Callable[[], bool]) -> Condition:
    from prompt_toolkit.filters import Condition

    return Condition(test)


def _keys() -> KeyBindings:
    """Alt-Enter begins a new line, also where the line is whole."""
    from prompt_toolkit.key_binding import KeyBindings

    def insert(event: Any) -> None:
        event.current_buffer.insert_text("\n")

    bindings = KeyBindings()
    bindings.add("escape", "enter")(insert)
    return bindings


def _history() -> Path:
    """The file with the lines of before."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    folder = Path(base) / "kt"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / "history"
