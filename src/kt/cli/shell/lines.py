"""Lines of the shell: where they end, and their words."""

from __future__ import annotations

import shlex

from kt.cli.faults import Usage


def is_complete(text: str) -> bool:
    """Tell whether a line is whole: no quote is open, and it does not end with a backslash."""
    try:
        words_of(text)
    except Usage:
        return False
    return not text.endswith("\\") or text.endswith("\\\\")


def words_of(text: str) -> list[str]:
    """Split a line into its words; raises `Usage` if a quote is open."""
    try:
        return shlex.split(text, comments=False)
    except ValueError as error:
        raise Usage(f"{error}: quote words with '...' or \"...\"") from None


def begun_words(text: str) -> list[str]:
    """Split the begin of a line for completion; the last word is empty after a blank."""
    for close in ("", "'", '"'):
        try:
            words = shlex.split(text + close, comments=False)
        except ValueError:
            continue
        return [*words, ""] if not close and (not text or text[-1].isspace()) else words
    return [""]
