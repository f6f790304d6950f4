"""What the sessions of a gateway share: the clusters, and counts."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from kt.cluster.answers import Request
from kt.cluster.cluster import Cluster
from kt.gateway.relaying import are_read, are_relayed, are_written, new_relayed
from kt.server.session import Journal
from kt.server.tycoon.values import location_of
from kt.wire.tycoon import GetBulk, PlayScript, SetBulk
from kt.wire.tycoon_rpc import HttpRequest

if TYPE_CHECKING:
    from kt.server.engines.relay._relay import Relayed

COUNTS: Final = ("requests", "relayed", "refused", "unknown", "failed")
"""What is counted: all requests; those that native threads have answered; that a client may not
make; whose outcome is not known; that were not carried out for another reason than what they ask
for."""


CALLS: Final = frozenset((b"/rpc/get", b"/rpc/set", b"/rpc/remove"))
"""Targets of the HTTP requests that native threads serve."""


class GatewayService:
    """See the module's docstring.

    Args:
        cluster: the databases.
        log: for requests, where it wants them.
        program: what replies by HTTP say that they come from.
        port: where it listens; 0 for a Unix socket.
        connections: how many clients are there.

    Attributes:
        counts: how many requests there were, by `COUNTS`.
        tasks: those that carry out requests.
        start_time: Unix time of the start.
        answer_by_script: lets a script answer a request, in a thread that has one; it gets what
            replies by HTTP begin with, too. None: there are no scripts.
        location: what comes before the path of a record that was stored by HTTP.
    """

    def __init__(
        self,
        cluster: Cluster,
        log: Journal,
        *,
        program: str,
        port: int,
        connections: Callable[[], int],
    ) -> None:
        self.cluster = cluster
        self.log = log
        self.counts: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()
        self.answer_by_script: Callable[[Request, bytes, Any], bytes] | None = None
        self.location = location_of(port)
        numbered = [
            (number, one.settings)
            for number, one in enumerate(cluster.databases)
            if are_relayed(cluster)
        ]
        self._read = {number for number, settings in numbered if are_read(settings)}
        self._written = {number for number, settings in numbered if are_written(settings)}
        self._program = program
        self.start_time = time.time()
        self._connections = connections

    def relayed(self) -> Relayed | None:
        """What a session needs to be served by a native thread; None if no database can be."""
        return new_relayed() if self._read else None

    def is_plain(self, request: Request) -> bool:
        """Whether a thread will serve it, as far as that is seen at once."""
        if isinstance(request, HttpRequest):
            return request.target in CALLS
        if isinstance(request, PlayScript):
            return False
        served = self._read if isinstance(request, GetBulk) else self._written
        records = request.records if isinstance(request, SetBulk) else request.keys
        return not records or records[0][0] in served

    def stamp(self) -> bytes:
        """The header lines that replies over HTTP begin with."""
        date = formatdate(usegmt=True)
        return f"Server: {self._program}\r\nDate: {date}\r\n".encode()

    def facts(self) -> dict[str, object]:
        """What `report` tells of the gateway."""
        facts: dict[str, object] = {
            "serv_conn_count": self._connections(),
            "serv_task_count": len(self.tasks),
            "serv_running_term": f"{time.time() - self.start_time:.6f}",
            "conf_os_name": os.uname().sysname,
        }
        facts |= {f"cnt_{name}": self.counts[name] for name in COUNTS}
        for index, engine in enumerate(self.cluster.engines):
            facts[f"cluster_{index}"] = engine.facts()
        return facts
