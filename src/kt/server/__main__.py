"""``python -m kt.server tycoon`` and ``python -m kt.server tyrant``; also kt-tycoon and kt-tyrant.

A server is imported only when it is asked for, so one works where the other's library is missing,
and only when its process listens already (see `kt.server.process.start`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from kt.errors import ImproperlyConfigured, KTError
from kt.output import written

if TYPE_CHECKING:
    from kt.server.process.log import Log
    from kt.server.process.options import Flag, ServiceOptions
    from kt.server.process.start import Start
    from kt.server.tycoon.options import TycoonOptions
    from kt.server.tyrant.options import TyrantOptions


def tycoon() -> None:
    """Run kt-tycoon with the program's command line."""
    _run("kt-tycoon", _tycoon, sys.argv[1:])


def tyrant() -> None:
    """Run kt-tyrant with the program's command line."""
    _run("kt-tyrant", _tyrant, sys.argv[1:])


def _tycoon(program: str, words: Sequence[str]) -> int:
    from kt.server.tycoon.options import ARGUMENTS, FLAGS, PURPOSE, tycoon_options

    if _helped(program, words, PURPOSE, FLAGS, ARGUMENTS):
        return 0
    options = tycoon_options(program, words)
    _check_times(options)
    if any("://" in spec for spec in options.databases):
        return _gateway(options)

    def serve(start: Start) -> int:
        _need_kyoto()
        from kt.server.tycoon.server import TycoonServer

        return TycoonServer(options, start).run()

    def restore(log: Log) -> None:
        _need_kyoto()
        from kt.server.tycoon.recovery.restoring import restore

        restore(options, log)

    from kt.server.process.start import run, run_once

    return run(options, serve) if options.restore_to is None else run_once(options, restore)


def _gateway(options: TycoonOptions) -> int:
    """Serve databases on clusters, for which no engine is needed here, but by scripts."""
    from kt.gateway.options import check_tycoon_options
    from kt.server.process.start import run

    check_tycoon_options(options)

    def serve(start: Start) -> int:
        if options.script is not None:
            _need_kyoto()
        from kt.gateway.server import TycoonGateway

        return TycoonGateway(options, start).run()

    return run(options, serve)


def _tyrant(program: str, words: Sequence[str]) -> int:
    from kt.server.tyrant.options import ARGUMENTS, FLAGS, PURPOSE, tyrant_options

    if _helped(program, words, PURPOSE, FLAGS, ARGUMENTS):
        return 0
    options = tyrant_options(program, words)
    _check_times(options)
    if "://" in options.database:
        from kt.gateway.options import check_tyrant_options

        check_tyrant_options(options)

    def serve(start: Start) -> int:
        return _serve_tyrant(options, start)

    def restore(log: Log) -> None:
        _need_engine("tokyo", "Tokyo Cabinet", "libtokyocabinet-dev", "tokyo-cabinet")
        from kt.server.tyrant.restoring import restore

        restore(options, log)

    from kt.server.process.daemon import PidFile
    from kt.server.process.log import TyrantLog
    from kt.server.process.start import run, run_once

    if options.restore_to is not None:
        return run_once(options, restore, log_class=TyrantLog)
    pid_file = PidFile(options.pid_path)
    return run(
        options,
        serve,
        log_class=TyrantLog,
        prepare=lambda log: pid_file.make_room(options.kill, log),
    )


def _serve_tyrant(options: TyrantOptions, start: Start) -> int:
    if "://" in options.database:
        from kt.gateway.server import TyrantGateway

        return TyrantGateway(options, start).run()
    _need_engine("tokyo", "Tokyo Cabinet", "libtokyocabinet-dev", "tokyo-cabinet")
    from kt.server.tyrant.server import TyrantServer

    return TyrantServer(options, start).run()


def _check_times(options: ServiceOptions) -> None:
    if options.restore_from is not None and options.restore_to is None:
        raise ImproperlyConfigured("-restore-from says where to begin, -restore-to is missing")


def _helped(
    program: str, words: Sequence[str], purpose: str, flags: Sequence[Flag], arguments: str
) -> bool:
    """Print the help if it is asked for."""
    if "--help" not in words[:1]:
        return False
    from kt.server.process.options import usage

    print(usage(program, purpose, flags, arguments), end="")
    return True


def _need_kyoto() -> None:
    _need_engine("kyoto", "Kyoto Cabinet", "libkyotocabinet-dev", "kyoto-cabinet")


def _need_engine(engine: str, library: str, debian: str, brew: str) -> None:
    """Say what to install if the engine is missing."""
    try:
        import_module(f"kt.server.engines.{engine}._engine")
    except ImportError as error:
        from kt.server.advice import without_engine

        raise ImproperlyConfigured(without_engine(error, library, debian, brew)) from None


def _show_version(program: str) -> int:
    from kt.version import VERSION

    print(f"{program} {VERSION}")
    return 0


def _run(program: str, main: Callable[[str, Sequence[str]], int], words: Sequence[str]) -> None:
    shows_version = "--version" in words[:1]
    try:
        status = written(lambda: _show_version(program) if shows_version else main(program, words))
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
