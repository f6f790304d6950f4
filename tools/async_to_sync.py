"""Write the blocking twin of every async source.

    tools/async_to_sync.py [--check] [FILE_async.py ...]

``src/kt/client/NAME_async.py`` becomes ``NAME.py`` beside it; without arguments, every
``*_async.py`` under src and tests is converted. With ``--check`` nothing is written: the exit
status is 1 if a twin is stale.

The conversion works on tokens, so comments and layout stay. `async` and `await` go, names are
replaced by the rules below, and docstrings and comments (with the examples in them) are treated the
same way. The result goes through ruff, import order included. What differs by more than this does
not belong into a converted file: it belongs into `kt.net`, whose two modules have the same names.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

HEADER = """\
# Generated from {source} by tools/async_to_sync.py: edit that one.
"""

TIDY = "I,F401,C4,SIM117,UP028"
"""Rules of ruff to apply: order and use of imports; what need not be a loop or nested any more."""

NAMES = {
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "aiter": "iter",
    "anext": "next",
    "asynccontextmanager": "contextmanager",
    "aio": "blocking",
}
"""Names that change, other than by `RULES`."""

RULES = [
    (re.compile(r"^(_?)Async(?=[A-Z])"), r"\1"),  # AsyncCursor -> Cursor, AsyncIterator -> Iterator
    (re.compile(r"_async$"), ""),  # kt.client.tycoon.cursor_async -> kt.client.tycoon.cursor
    (re.compile(r"^async_(?=[a-z])"), ""),  # fixtures: async_tycoon -> tycoon
]

PROSE = [
    (re.compile(r"\basync (?=def\b|for\b|with\b)"), ""),
    (re.compile(r"\(await ([\w.]+(?:\([^()]*\))?)\)"), r"\1"),
    (re.compile(r"\bawait (?=[\w(])"), ""),
]
"""The same for text: examples in docstrings."""


def sync_name(name: str) -> str:
    """Return the blocking counterpart of an identifier."""
    if name in NAMES:
        return NAMES[name]
    for pattern, replacement in RULES:
        name = pattern.sub(replacement, name)
    return name


def sync_text(text: str) -> str:
    """Return a comment or docstring as it should read in the twin."""
    for pattern, replacement in PROSE:
        text = pattern.sub(replacement, text)
    return re.sub(r"\b[A-Za-z_]\w*", lambda match: sync_name(match[0]), text)


def is_docstring(tokens: list[tokenize.TokenInfo], index: int) -> bool:
    """Tell whether the string at `index` is a statement of its own."""
    before = tokens[index - 1].type if index else tokenize.NEWLINE
    return tokens[index + 1].type == tokenize.NEWLINE and before in (
        tokenize.ENCODING,
        tokenize.NEWLINE,
        tokenize.NL,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.COMMENT,
    )


def needless_parentheses(tokens: list[tokenize.TokenInfo]) -> set[int]:
    """Return the indices of parentheses that only `await` needed: ``(await x.y()).z``."""
    needless = set()
    for opening, token in enumerate(tokens[:-1]):
        if token.string != "(" or tokens[opening + 1].string != "await":
            continue
        previous = tokens[opening - 1]
        if previous.string in (")", "]") or is_callee(previous):
            continue
        closing = closing_of(tokens, opening)
        if closing is not None:
            needless |= {opening, closing}
    return needless


def is_callee(token: tokenize.TokenInfo) -> bool:
    """Tell whether a parenthesis after `token` is a call's."""
    keywords = {"return", "in", "not", "and", "or", "if", "else", "await", "yield", "assert", "is"}
    return token.type == tokenize.NAME and token.string not in keywords


def closing_of(tokens: list[tokenize.TokenInfo], opening: int) -> int | None:
    """Return the match of a parenthesis, or None if more than a primary stands between them."""
    depth = 0
    for index in range(opening, len(tokens)):
        text = tokens[index].string
        if text in ("(", "[", "{"):
            depth += 1
        elif text in (")", "]", "}"):
            depth -= 1
            if depth == 0:
                return index
        elif depth == 1 and text not in (".", "await") and tokens[index].type != tokenize.NAME:
            return None
    return None


def replacements(tokens: list[tokenize.TokenInfo]) -> Iterator[tuple[tokenize.TokenInfo, str]]:
    """Yield the tokens to replace, in order, each with what replaces it."""
    needless = needless_parentheses(tokens)
    for index, token in enumerate(tokens):
        if index in needless or token.string in ("async", "await"):
            yield token, ""
        elif token.type == tokenize.NAME and sync_name(token.string) != token.string:
            yield token, sync_name(token.string)
        elif token.type == tokenize.COMMENT or (
            token.type == tokenize.STRING and is_docstring(tokens, index)
        ):
            yield token, sync_text(token.string)


def convert(source: str) -> str:
    """Return the blocking twin of `source`, not yet formatted."""
    lines = source.splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    parts, done = [], 0
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for token, text in replacements(tokens):
        begin, end = (offsets[row - 1] + column for row, column in (token.start, token.end))
        parts += [source[done:begin], text]
        done = end
        if token.string in ("async", "await"):
            done += len(source[end:]) - len(source[end:].lstrip(" "))
    return "".join([*parts, source[done:]])


def formatted(text: str, path: Path) -> str:
    """Return `text` as ruff writes it, which also puts right what the conversion leaves odd."""
    fix = ["check", "--fix-only", "--unsafe-fixes", "--select", TIDY, "--quiet"]
    for command in (fix, ["format", "--quiet"]):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
    return text


def twin_of(source: Path) -> tuple[Path, str]:
    """Return where the twin of `source` belongs and what it must hold."""
    path = source.with_name(source.name.replace("_async", ""))
    text = HEADER.format(source=source.name) + convert(source.read_text())
    return path, formatted(text, path)


def shown(path: Path) -> str:
    """Return `path` as seen from the project's root, wherever the project is."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name)


def main(arguments: list[str]) -> int:
    """Convert, or check, the files named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if stale")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args(arguments)
    stale = 0
    for source in options.files or sorted(
        [*ROOT.glob("src/**/*_async.py"), *ROOT.glob("tests/**/*_async.py")]
    ):
        path, text = twin_of(source.resolve())
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        if options.check:
            print(f"{shown(path)} is stale: run tools/async_to_sync.py")
        else:
            path.write_text(text)
            print(f"wrote {shown(path)}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
