"""Connections whose requests are plain are served by native threads, past the router in Python.

::

    Connection --- pass_on --->  RelayThread: requests, commands to the nodes, replies
               <-- come_back --  another request; or requests of which something is not as usual,
                                 with what is known of their commands
    Engine     --- which node has a slot, which may be believed, which is cut off --->
               <-- nodes that are lost or silent --

The engine stays the one who asks nodes for the map and decides whom to believe; threads have
connections of their own and do what it says. What they cannot carry out themselves is answered by
the session, as if it had come from there: only commands are carried out again that were not carried
out, or only read.

Left to Python: trees but for reading, nodes behind TLS, and clients that may not read and write.
Where requests are logged, threads note what they have answered, and the loop logs it soon after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kt.cluster.commands import LEFT as TO_BE_DONE
from kt.cluster.database import Database
from kt.cluster.engine import Engine
from kt.cluster.node import greeting, wait_command
from kt.cluster.settings import Settings
from kt.errors import ReplyLostError
from kt.server.process.delegation import Delegation, NativeThread, thread_count

try:
    from kt.server.engines.relay import _relay
    from kt.server.engines.relay._relay import (
        DOUBTED,
        LEFT,
        Relayed,
        RelayThread,
        Shape,
        Unknown,
    )

    SUPPORTED = _relay.SUPPORTED
except ImportError:  # not compiled
    SUPPORTED = False

if TYPE_CHECKING:
    import asyncio
    from collections import Counter

    from kt.cluster.cluster import Cluster
    from kt.server.engines.relay._relay import Known
    from kt.server.session import Journal


class Service(Protocol):
    """What a gateway has that threads work for."""

    cluster: Cluster
    counts: Counter[str]

    @property
    def log(self) -> Journal: ...
    def stamp(self) -> bytes: ...


def are_read(settings: object) -> bool:
    """Whether threads read a database's records."""
    return SUPPORTED and isinstance(settings, Settings) and not settings.tls


def are_written(settings: object) -> bool:
    """Whether they store and remove them, too."""
    return isinstance(settings, Settings) and are_read(settings) and not settings.ordered


def are_relayed(cluster: Cluster) -> bool:
    """Whether there are threads: they know one engine, and have all databases or none."""
    return SUPPORTED and all(isinstance(one, Database) for one in cluster.databases)


def shape_of(database: Database) -> Shape:
    """What a thread needs to know of a database."""
    settings = database.settings
    requests = greeting(settings)
    return Shape(
        heads=database.layout.heads,
        flat=not settings.ordered,
        reads=are_read(settings),
        writes=are_written(settings),
        greeting=b"".join(requests),
        greetings=len(requests),
        patience=settings.timeout + settings.ack_timeout,
        replicas=settings.ack,
        wait=wait_command(settings),
    )


def new_relayed() -> Relayed:
    """What a session and a thread have in common; only where there are threads."""
    return Relayed()


def replies_of(known: list[Known]) -> list[Any]:
    """What is known of commands, as `kt.cluster` has it."""
    return [_reply_of(one) for one in known]


def _reply_of(known: Known) -> Any:
    if isinstance(known, Unknown):
        return ReplyLostError(f"outcome unknown: {known.reason}")
    return TO_BE_DONE if known is LEFT else known


@dataclass(frozen=True)
class SuspectOf:
    """A thread's connection to a node that has been silent."""

    thread: RelayThread
    database: int
    address: str

    def trust(self) -> None:
        self.thread.trust(self.database, self.address)

    def close(self, reason: str) -> None:
        self.thread.cut_off(self.database, self.address, reason)


class Relay(Delegation):
    """The threads of a gateway. For the event loop's thread.

    Args:
        loop: the event loop.
        service: what they serve.
        spin: microseconds for which a thread without work waits awake.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, service: Service, spin: int) -> None:
        databases = service.cluster.databases
        shapes = [shape_of(one) for one in databases if isinstance(one, Database)]
        traces = service.log.info_wanted
        self._relays = tuple(
            RelayThread(spin, shapes, traces=traces) for _ in range(thread_count())
        )
        self._service = service
        self._stamp = b""
        super().__init__(loop, self._relays)
        for number, engine in enumerate(self._engines()):
            follower = MapTeller(loop, self._relays, number, engine)
            engine.followers.append(follower)
            follower.tell()

    def _engines(self) -> list[Engine]:
        return [one for one in self._service.cluster.engines if isinstance(one, Engine)]

    def write_traces(self) -> None:
        """Log and count what has been answered, and tell the time and the map."""
        super().write_traces()
        stamp = self._service.stamp()
        for relay in self._relays:
            self._count(relay)
            if stamp != self._stamp:
                relay.set_stamp(stamp)
        self._stamp = stamp
        for engine in self._engines():
            engine.stay_current()

    def stop(self) -> None:
        super().stop()
        for relay in self._relays:
            self._count(relay)
        for engine in self._engines():
            engine.followers.clear()

    def _count(self, relay: RelayThread) -> None:
        answered = relay.take_count()
        self._service.counts["requests"] += answered
        self._service.counts["relayed"] += answered

    def _take_back(self, thread: NativeThread) -> None:
        super()._take_back(thread)
        assert isinstance(thread, RelayThread)
        for kind, number, address in thread.take_troubles():
            engine = self._engines()[number]
            if kind == DOUBTED:
                engine.doubts(SuspectOf(thread, number, address))
            else:
                engine.look_again()


class MapTeller:
    """Tells threads what the engine learns of the nodes of a database."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        relays: Sequence[RelayThread],
        number: int,
        engine: Engine,
    ) -> None:
        self._loop = loop
        self._relays = relays
        self._number = number
        self._engine = engine
        self._told: tuple[str, ...] = ()
        self._telling = False

    def map_changed(self) -> None:
        """Tell of it at the end of the loop's turn; slots move in crowds."""
        if not self._telling:
            self._telling = True
            self._loop.call_soon(self.tell)

    def tell(self) -> None:
        """Tell which node has which slot, if it is news."""
        self._telling = False
        owners = self._engine.map.owners
        if owners == self._told:
            return
        self._told = owners
        nodes = [node for node in dict.fromkeys(owners) if node]
        places = {node: place for place, node in enumerate(nodes)}
        numbers = [places.get(owner, -1) for owner in owners]
        for relay in self._relays:
            relay.set_owners(self._number, nodes, numbers)

    def cut_off(self, address: str, reason: str) -> None:
        """Have the connections to a node ended, when nobody makes them anew."""
        self.tell()
        for relay in self._relays:
            relay.cut_off(self._number, address, reason)


def start_relay(loop: asyncio.AbstractEventLoop, service: Service, spin: int) -> Relay | None:
    """The threads; None where the system has none."""
    return Relay(loop, service, spin) if are_relayed(service.cluster) else None
