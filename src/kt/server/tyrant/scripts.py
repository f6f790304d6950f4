"""Lua scripts in kt-tyrant: the threads that run them, and the calls that it makes by itself."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from kt.server.scripting.state import Limits, find_script
from kt.server.scripting.workers import Workers
from kt.server.tyrant.script import NamedLocks, Service, Stash, TyrantScript

if TYPE_CHECKING:
    from kt.server.tyrant.options import Periodic
    from kt.server.tyrant.server import TyrantServer

SERVER_ID: Final = 0
"""Tells replicating servers apart: this one is alone."""

PERIODIC_GRACE: Final = 10.0
"""Seconds that a periodic call has, at the end, to notice that it must end."""


class Scripts(Workers[TyrantScript]):
    """The workers, and the periodic calls, each in a thread and with a Lua state of its own.

    Raises:
        ImproperlyConfigured: there is no such script, or lupa is not installed.
    """

    def __init__(self, server: TyrantServer, path: str) -> None:
        if not path.startswith("@"):
            path = find_script(path)
        server.log.system(f"scripting extension: {path}")
        threads, stop = server.options.threads, threading.Event()
        service = Service(
            path=path,
            database=server.database,
            threads=threads,
            server_id=SERVER_ID,
            limits=Limits(server.options.script_seconds, server.options.script_memory),
            stop=stop,
            log=server.log,
            holding=server.holding,
            stash=Stash(),
            named_locks=NamedLocks(),
            record_locks=server.locks,
            chunks=[],
        )
        super().__init__(threads, partial(TyrantScript, service), server.loop, stop)
        self._periodic = [
            PeriodicCall(call, TyrantScript(service, threads + number), stop)
            for number, call in enumerate(server.options.periodic)
        ]
        for thread in self._periodic:
            thread.start()

    def close(self) -> bool:
        self._stop.set()
        for thread in self._periodic:
            thread.join(PERIODIC_GRACE)
        ended = super().close()
        return ended and not any(thread.is_alive() for thread in self._periodic)


class PeriodicCall(threading.Thread):
    """Calls a function of a script every so often, with an empty key and value."""

    def __init__(self, call: Periodic, script: TyrantScript, stop: threading.Event) -> None:
        super().__init__(name=f"kt-periodic-{call.name}", daemon=True)
        self._call = call
        self._script = script
        self._end = stop

    def run(self) -> None:
        name = self._call.name.encode("utf-8", "surrogateescape")
        while not self._end.wait(self._call.seconds):
            self._script.call(name, b"", b"")
