"""Carries out one line, tells what an error means, and shows help: for `program` and the shell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kt.cli import verbs
from kt.cli.faults import FAILED, NO, OK, USAGE, No, Usage
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


def perform(words: list[str], session: Session) -> int:
    """Run one verb; its errors are raised."""
    from kt.cli.commands import arranged

    if words[0] in (*verbs.PROGRAMS, "table") and words[1:] in ([], ["--help"], ["-h"]):
        return show_help([])
    if words[0] in verbs.PROGRAMS and words[1:] in (["version"], ["--version"]):
        return show_version()
    name, home, rest = _verb(words)
    command = verbs.load(home)
    context = command.make_context(f"kt {name}", arranged(command, rest), obj=session)
    with context:
        command.invoke(context)
    return OK


def _verb(words: list[str]) -> tuple[str, str, list[str]]:
    """Name and place of a line's verb, and the words after it."""
    program = words[0] if words[0] in verbs.PROGRAMS else ""
    words = words[1:] if program else words
    size = 2 if words[0] == "table" else 1
    name = " ".join(words[:size])
    home = verbs.find(name, program)
    if not home:
        import difflib

        known = [*verbs.VERBS, *verbs.ALIASES]
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise Usage(f"there is no verb {name!r}{hint} (kt --help lists them)")
    return name, home, words[size:]


def explained(error: Exception) -> tuple[int, str]:
    """The exit status for an error, and what to say."""
    if isinstance(error, No):
        return NO, str(error)
    if isinstance(error, (Usage, ArgumentError)):
        return USAGE, _without_logins(str(error))
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


def _without_logins(text: str) -> str:
    """What is said of a line, in which there may be URLs with passwords."""
    return re.sub(r"(?<=://)[^\s/@]*@", "", text)


def _explained_click(error: Exception) -> tuple[int, str]:
    import click

    if isinstance(error, click.exceptions.Exit):
        return error.exit_code, ""
    if isinstance(error, click.exceptions.Abort):
        return 130, ""
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" ({context.command_path} --help tells more)" if context is not None else ""
        return USAGE, _without_logins(error.format_message()) + hint
    return FAILED, f"{type(error).__name__}: {error}"


def show_version() -> int:
    """Show which kt this is."""
    from kt.version import VERSION

    print(f"kt {VERSION}")
    return OK


def show_help(words: list[str]) -> int:
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
Without a verb: a shell. kt VERB --help tells more about a verb. Lines of ktremotemgr work as they
are, those of tcrmgr after kt tcrmgr.

Exit status: 0 done, 1 no such record or no, 2 wrong usage, 3 the server or the file failed."""
