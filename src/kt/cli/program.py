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

from kt.cli.performing import explained, perform, show_help, show_version
from kt.cli.target import is_file, is_url
from kt.output import written


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed by whoever started us
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
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
        return show_version()
    if not words:
        from kt.cli.shell.loop import run_shell

        return run_shell(url)
    if words[0] in ("help", "--help", "-h"):
        return show_help(words[1:])
    if words[0] == "log":
        from kt.log.program import main as log

        return log(words[1:], program="kt log")
    from kt.cli.commands import Session

    return perform(words, Session(url))


def guarded(work: Callable[[], int], name: str) -> int:
    """Return what `work` returns, or the exit status of its error, which is told."""
    try:
        status = written(work)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, users get no traceback
        status, text = explained(error)
        if text:
            print(f"{name}: {text}", file=sys.stderr)
    return status
