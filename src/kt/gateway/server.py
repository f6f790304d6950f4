"""Servers as gateways: their databases are on clusters, and they keep nothing but cursors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from kt.cluster.cluster import Cluster
from kt.cluster.engines import parse_cluster_url
from kt.gateway.relaying import start_relay
from kt.gateway.service import GatewayService
from kt.gateway.tycoon import TycoonGatewaySession
from kt.gateway.tyrant import TyrantGatewaySession
from kt.server.process.connection import Connection
from kt.server.process.server import CLOSE_GRACE, Server
from kt.version import VERSION

if TYPE_CHECKING:
    from kt.server.process.delegation import Delegation
    from kt.server.process.options import ServiceOptions
    from kt.server.process.start import Start
    from kt.server.tycoon.options import TycoonOptions
    from kt.server.tyrant.options import TyrantOptions


class GatewayServer(Server):
    """A running gateway.

    Args:
        options: the command line.
        start: the process.
        databases: their URLs.
    """

    def __init__(self, options: ServiceOptions, start: Start, databases: Sequence[str]) -> None:
        super().__init__(options, start)
        self._cluster = Cluster([parse_cluster_url(one) for one in databases])
        self._service = GatewayService(
            self._cluster,
            self.log,
            program=f"{options.program}/{VERSION}",
            port=options.port,
            connections=lambda: len(self.connections),
        )
        self._sweeping: asyncio.Task[None] | None = None

    def open(self) -> None:
        for database in self._cluster.databases:
            self.log.system(f"opening a database: path={database.settings}")
        self.loop.run_until_complete(self._cluster.open())

    def tick(self) -> None:
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = self.loop.create_task(self._cluster.sweep())

    def close(self) -> bool:
        self.loop.run_until_complete(self._end())
        return True

    async def _end(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._service.tasks:
            await asyncio.wait(self._service.tasks, timeout=CLOSE_GRACE)
        await self._cluster.close()


class TycoonGateway(GatewayServer):
    """kt-tycoon in front of clusters."""

    options: TycoonOptions

    def __init__(self, options: TycoonOptions, start: Start) -> None:
        super().__init__(options, start, options.databases)

    def connect(self) -> Connection:
        return Connection(self, TycoonGatewaySession(self._service))

    def open(self) -> None:
        super().open()
        if self.options.script is None:
            return
        from kt.gateway.scripts import answer_by_script, start_scripts

        # A script may use the cluster at once, for which the loop has to run.
        start = partial(start_scripts, self.options, self._cluster, self.loop, self.log)
        self.scripts = self.loop.run_until_complete(self.loop.run_in_executor(None, start))
        self._service.answer_by_script = answer_by_script

    def delegate(self) -> Delegation | None:
        return start_relay(self.loop, self._service, self.options.spin)


class TyrantGateway(GatewayServer):
    """kt-tyrant in front of a cluster."""

    options: TyrantOptions

    def __init__(self, options: TyrantOptions, start: Start) -> None:
        super().__init__(options, start, [options.database])

    def connect(self) -> Connection:
        return Connection(self, TyrantGatewaySession(self._service, self.options.mask))
