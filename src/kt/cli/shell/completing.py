"""What the shell completes: verbs, options, and keys of the server; and its colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kt.cli import completion, verbs
from kt.cli.shell.lines import begun_words
from kt.cli.target import Target

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.lexers import Lexer

COMMANDS: Final = ("\\help", "\\json", "\\pager", "\\quit", "\\timing", "\\use")


def candidates(text: str, target: Target | None) -> list[str]:
    """What the last word before the cursor may become."""
    words = begun_words(text)
    if len(words) == 1 and text.lstrip().startswith("\\"):
        return [name for name in COMMANDS if name.startswith(text.lstrip())]
    if words[0] == "help" and len(words) == 2:
        words = words[1:]
    return [_quoted(each) for each in completion.completed(words, target)]


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word) if word and not word.startswith("-") else word


def make_completer(text: Callable[[], str], target: Callable[[], Target | None]) -> Completer:
    """Return what completes the line whose begin `text` gives."""
    from prompt_toolkit.completion import DynamicCompleter, WordCompleter

    def now() -> Completer:
        return WordCompleter(candidates(text(), target()), WORD=True)

    return DynamicCompleter(now)


def make_lexer() -> Lexer:
    """Return what colours a line: verbs, options, quoted words, numbers."""
    from prompt_toolkit.lexers import PygmentsLexer
    from pygments.filters import NameHighlightFilter
    from pygments.lexers.shell import BashLexer
    from pygments.token import Keyword

    names = sorted({name.split()[0] for name in (*verbs.VERBS, *verbs.ALIASES)})
    lexer: Any = PygmentsLexer(BashLexer)
    lexer.pygments_lexer.add_filter(NameHighlightFilter(names=names, tokentype=Keyword))
    return lexer  # type: ignore[no-any-return]
