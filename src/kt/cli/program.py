"""From the words of a command line to an exit status.

::

    kt [URL] VERB [OPTION|WORD]...      kt [URL]      kt tcrmgr LINE      kt ktremotemgr LINE

Nothing but `main` prints errors: one line to standard error, never a traceback. What each exit
status means: `kt.cli.faults`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kt.cli import verbs
from kt.cli.faults import FAILED, NO, OK, USAGE, No, Usage
from kt.cli.target import is_file, is_url
from kt.errors import (
    ArgumentError,
    ConversionError,
    KTError,
    ProtocolError,
    SerializationError,
    ServerConnectionError,
    ServerTimeoutError,
)

if TYPE_CHECKING:
    from kt.cli.commands import Session


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(lambda: run(words), "kt")


def run(words: list[str]) -> int:
    """Run a command line."""
    url = None
    if words and (is_url(words[0]) or is_file(words[0])):
        url = words.pop(0)
    elif len(words) > 1 and words[0] in ("-u", "--url"):
        url = words[1]
        del words[:2]
    if words and words[0] == "--version":
        from kt.version import VERSION

        print(f"kt {VERSION}")
        return OK
    if not words or words[0] in ("help", "--help", "-h"):
        return _help(words[1:])
    if words[0] == "log":
        from kt.log.program import main as log

        return log(words[1:], program="kt log")
    from kt.cli.commands import Session

    return perform(words, Session(url))


def perform(words: list[str], session: Session) -> int:
    """Run one verb; its errors are raised."""
    from kt.cli.commands import arranged

    name, home, rest = _verb(words)
    command = verbs.load(home)
    context = command.make_context(f"kt {name}", arranged(command, rest), obj=session)
    with context:
        command.invoke(context)
    return OK


def _verb(words: list[str]) -> tuple[str, str, list[str]]:
    """Name and place of a line's verb, and the words after it."""
    tcrmgr = words[0] == "tcrmgr"
    if words[0] in ("tcrmgr", "ktremotemgr"):
        words = words[1:] or ["--help"]
    size = 2 if words[0] == "table" else 1
    name = " ".join(words[:size])
    home = verbs.find(name, tcrmgr)
    if home is None:
        import difflib

        known = [*verbs.VERBS, *verbs.ALIASES]
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise Usage(f"there is no verb {name!r}{hint} (kt --help lists them)")
    return name, home, words[size:]


def guarded(work: Callable[[], int], name: str) -> int:
    """Return what `work` returns, or the exit status of its error, which is told."""
    try:
        status = work()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on
        return OK
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, users get no traceback
        status, text = explained(error)
        if text:
            print(f"{name}: {text}", file=sys.stderr)
    return status


def explained(error: Exception) -> tuple[int, str]:
    """The exit status for an error, and what to say."""
    if isinstance(error, No):
        return NO, str(error)
    if isinstance(error, (Usage, ArgumentError)):
        return USAGE, str(error)
    if isinstance(error, (SerializationError, ConversionError)):
        return FAILED, str(error)
    hung_up = isinstance(error, ServerConnectionError) and error.sent
    if hung_up or isinstance(error, (ServerTimeoutError, ProtocolError)):
        hint = "kt:// is for Kyoto Tycoon and tt:// for Tokyo Tyrant: is it the other kind?"
        return FAILED, f"{error} ({hint})"
    if isinstance(error, (KTError, OSError)):
        return FAILED, str(error)
    if isinstance(error, ModuleNotFoundError):
        return FAILED, f"{error}: pip install 'kyototycoon[cli]' brings what kt needs"
    return _explained_click(error)


def _explained_click(error: Exception) -> tuple[int, str]:
    import click

    if isinstance(error, click.exceptions.Exit):
        return error.exit_code, ""
    if isinstance(error, click.exceptions.Abort):
        return 130, ""
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" ({context.command_path} --help tells more)" if context is not None else ""
        return USAGE, error.format_message() + hint
    return FAILED, f"{type(error).__name__}: {error}"


def _help(words: list[str]) -> int:
    """Show help for a verb, or the list of all."""
    if words:
        from kt.cli.commands import Session

        return perform([*words, "--help"], Session())
    print(USAGE_TEXT)
    for section, names in verbs.SECTIONS.items():
        print(f"\n{section}: {', '.join(names)}")
    print(HELP_END)
    return OK


USAGE_TEXT = """Usage: kt [URL] VERB [OPTION|WORD]...

Work on Kyoto Tycoon and Tokyo Tyrant: servers and database files.

URL is kt://HOST:PORT/DB, tt://HOST:PORT, or a file such as casket.kch; also with --url, as the
first word after the verb, or in the environment as KT_URL. Without: kt://127.0.0.1:1978."""

HELP_END = """
kt VERB --help tells more about a verb. Lines of ktremotemgr work as they are, those of tcrmgr after
kt tcrmgr.

Exit status: 0 done, 1 no such record or no, 2 wrong usage, 3 the server or the file failed."""


def _unused(*_: Any) -> None:
    """Keep the table of verbs complete: ``log`` has options of its own."""


log = _unused
