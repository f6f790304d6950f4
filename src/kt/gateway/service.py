"""What the sessions of a gateway share: the clusters, and counts."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from kt.cluster.cluster import Cluster
from kt.server.session import Journal
from kt.server.tycoon.values import location_of

COUNTS: Final = ("requests", "refused", "unknown", "failed")
"""What is counted: all requests; those that a client may not make, whose outcome is not known, and
that were not carried out for another reason than what they ask for."""


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
        self.location = location_of(port)
        self._program = program
        self._start_time = time.time()
        self._connections = connections

    def stamp(self) -> bytes:
        """The header lines that replies over HTTP begin with."""
        date = formatdate(usegmt=True)
        return f"Server: {self._program}\r\nDate: {date}\r\n".encode()

    def facts(self) -> dict[str, object]:
        """What `report` tells of the gateway."""
        facts: dict[str, object] = {
            "serv_conn_count": self._connections(),
            "serv_task_count": len(self.tasks),
            "serv_running_term": f"{time.time() - self._start_time:.6f}",
            "conf_os_name": os.uname().sysname,
        }
        facts |= {f"cnt_{name}": self.counts[name] for name in COUNTS}
        for index, engine in enumerate(self.cluster.engines):
            retries = sum(engine.retries.values())
            kinds = "".join(f" retries_{name}={n}" for name, n in sorted(engine.retries.items()))
            facts[f"cluster_{index}"] = (
                f"nodes={len(engine.map.nodes)} masters={len(engine.map.masters)}"
                f" complete={int(engine.map.is_complete())} retries={retries}{kinds}"
            )
        return facts
