"""Lua scripts in kt-tyrant: the threads that run them, and the calls that it makes by itself."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from kt.server.scripting.state import Alone, Aside, Limits, find_script
from kt.server.scripting.workers import Workers
from kt.server.tyrant.options import Periodic
from kt.server.tyrant.script import Chunks, NamedLocks, Service, Stash, TyrantScript
from kt.server.tyrant.service import TyrantService

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Sequence

SERVER_ID: Final = 0
"""Tells replicating servers apart: this one is alone."""


def script_service(
    service: TyrantService, path: str, limits: Limits, stop: threading.Event
) -> Service:
    """What all interpreters have in common.

    Args:
        service: what it may use.
        path: the script's file; after an ``@``, the script itself.
        limits: of each call.
        stop: set when scripts are to end.

    Raises:
        ImproperlyConfigured: there is no such script.
    """
    if not path.startswith("@"):
        path = find_script(path)
    service.log.system(f"scripting extension: {path}")
    service.has_scripts = True
    return Service(
        path=path,
        database=service.database,
        threads=service.threads,
        server_id=SERVER_ID,
        limits=limits,
        stop=stop,
        log=service.log,
        holding=service.holding,
        stash=Stash(),
        named_locks=NamedLocks(),
        record_locks=service.locks,
        chunks=Chunks(),
    )


class Scripts(Workers[TyrantScript]):
    """The workers, and the periodic calls, each in a thread and with a Lua state of its own.

    Args:
        service: what they may use.
        path: the script's file; after an ``@``, the script itself.
        limits: of each call.
        periodic: the calls that are made again and again.
        loop: where workers give back what they have done.

    Raises:
        ImproperlyConfigured: there is no such script, or lupa is not installed.
    """

    def __init__(
        self,
        service: TyrantService,
        path: str,
        limits: Limits,
        periodic: Sequence[Periodic],
        loop: AbstractEventLoop,
    ) -> None:
        threads, stop = service.threads, threading.Event()
        made = script_service(service, path, limits, stop)
        super().__init__(threads, partial(_make, made, len(periodic)), loop, stop)
        self._no_more = threading.Event()
        self._periodic = [
            PeriodicCall(call, TyrantScript(made, threads + number, Alone()), self._no_more)
            for number, call in enumerate(periodic)
        ]
        for thread in self._periodic:
            thread.start()

    def close(self) -> bool:
        self._no_more.set()
        self.see_out(self._periodic)
        ended = super().close()
        return ended and not any(thread.is_alive() for thread in self._periodic)


def _make(service: Service, periodic: int, index: int, aside: Aside) -> TyrantScript:
    """The script of a worker. The numbers after those of `threads` are the periodic calls'."""
    number = index if index < service.threads else index + periodic
    try:
        return TyrantScript(service, number, aside)
    except OSError as error:  # the file may be gone when one more is wanted
        service.log.error(f"cannot load the script: {error}")  # noqa: TRY400 - it says all
        raise


class PeriodicCall(threading.Thread):
    """Calls a function of a script every so often, with an empty key and value."""

    def __init__(self, call: Periodic, script: TyrantScript, end: threading.Event) -> None:
        super().__init__(name=f"kt-periodic-{call.name}", daemon=True)
        self._call = call
        self._script = script
        self._end = end

    def run(self) -> None:
        name = self._call.name.encode("utf-8", "surrogateescape")
        while not self._end.wait(self._call.seconds):
            self._script.call(name, b"", b"")
