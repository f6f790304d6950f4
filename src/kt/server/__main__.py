"""``python -m kt.server tycoon`` and ``python -m kt.server tyrant``; also kt-tycoon and kt-tyrant.

A server is imported only when it is asked for, so one works where the other's library is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from ..errors import ImproperlyConfigured, KTError

ENGINE_MISSING = """\
{program} has no storage engine here ({cause}): install {library} and a C++ compiler \
(Debian: apt install {debian} g++; macOS: brew install {brew}), then build again: \
pip install --force-reinstall --no-binary kyototycoon kyototycoon"""


def tycoon() -> None:
    """Run kt-tycoon with the program's command line."""
    _run("kt-tycoon", _tycoon, sys.argv[1:])


def tyrant() -> None:
    """Run kt-tyrant with the program's command line."""
    _run("kt-tyrant", _tyrant, sys.argv[1:])


def _tycoon(program: str, words: Sequence[str]) -> int:
    from .options import usage
    from .options_tycoon import ARGUMENTS, FLAGS, PURPOSE, tycoon_options

    if "--help" in words[:1]:
        print(usage(program, PURPOSE, FLAGS, ARGUMENTS), end="")
        return 0
    options = tycoon_options(program, words)
    try:
        from .engines import _kyoto  # noqa: F401 - is it there?
    except ImportError as error:
        raise ImproperlyConfigured(
            ENGINE_MISSING.format(
                program=program,
                cause=error,
                library="Kyoto Cabinet",
                debian="libkyotocabinet-dev",
                brew="kyoto-cabinet",
            )
        ) from None
    from .tycoon import TycoonServer

    return TycoonServer(options).run()


def _tyrant(program: str, words: Sequence[str]) -> int:
    from .tyrant import main

    return main(program, words)


def _run(program: str, main: Callable[[str, Sequence[str]], int], words: Sequence[str]) -> None:
    if "--version" in words[:1]:
        from ..version import VERSION

        print(f"{program} {VERSION}")
        return
    try:
        status = main(program, words)
    except (KTError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        status = 1
    sys.exit(status)


def main() -> None:
    """Run the server that the first argument names."""
    servers = {"tycoon": ("kt-tycoon", _tycoon), "tyrant": ("kt-tyrant", _tyrant)}
    words = sys.argv[1:]
    if not words or words[0] not in servers:
        print("usage: python -m kt.server tycoon|tyrant [OPTION ...] ...", file=sys.stderr)
        sys.exit(1)
    program, run = servers[words[0]]
    _run(program, run, words[1:])


if __name__ == "__main__":
    main()
