"""asyncio: carries out commands on a cluster, whatever happens to its nodes.

::

    run(commands) --> a Job each --> Node (a connection) --> replies, in their order
                        ^   |
                        |   v  the engine says that it has not done it, or nothing was sent
                      held by slot, tried again until `timeout`

1. What surely was not done is tried again: MOVED, ASK, TRYAGAIN, CLUSTERDOWN, LOADING, READONLY,
   NOSCRIPT, no connection; and whatever only reads.
2. A write that was sent and not answered is not: `OutcomeUnknown`.
3. A connection to a master that is none any more is cut off. If nothing comes for half a second,
   other nodes are asked for the map; also every 15 seconds. What a node says after such a silence
   counts once others have confirmed that it is a master: it may have slept and been replaced.
4. Commands of one client for one record are carried out in their order. While a command for a slot
   is being tried again, later ones for the slot wait behind it. Of those that had left already and
   have been carried out, reads are repeated behind it; if one is a write, the command is not tried
   again, as the write cannot be undone: `ServerTimeoutError`. What waited goes on with one command
   for each record first, so that no second one passes if that is refused, too. When a slot gets
   another owner, what comes waits until the former one has answered.
5. With `ack`, the writes of one turn of the loop are followed by one WAIT; too few replicas:
   `OutcomeUnknown`.
6. What the engine refuses for good is the reply.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any, Final, Protocol

from kt.cluster.commands import EVERY, FRESH, NOWHERE, Command, Steps, record_of
from kt.cluster.contract import retries_text
from kt.cluster.node import SILENCE, Job, Node, address_of, ask_node, trouble_of
from kt.cluster.settings import Settings
from kt.cluster.slots import NODES, Meaning, SlotMap, judge
from kt.errors import (
    KTError,
    ReplyLostError,
    ReplyTimeoutError,
    ServerConnectionError,
    ServerTimeoutError,
)
from kt.wire.resp_error import RespError

REFRESH: Final = 15.0
"""Seconds after which the map is asked for anyway."""

PAUSE: Final = 0.05
"""Seconds until a command is tried again."""

MAP_TIMEOUT: Final = 1.0
"""Seconds that a node has to say what it knows."""

DEPOSED: Final = "is no master any more"


class Suspect(Protocol):
    """A connection to a node that has been silent: it is trusted again or closed."""

    @property
    def address(self) -> str: ...
    def trust(self) -> None: ...
    def close(self, reason: str) -> None: ...


class Follower(Protocol):
    """Who has connections to the nodes, too, and does with them what the engine does."""

    def map_changed(self) -> None:
        """Another node may have a slot."""

    def cut_off(self, address: str, reason: str) -> None:
        """Nothing that this node says counts any more."""


class NotAMaster(ServerConnectionError):
    """The node that a command was for has no slots any more; the command was not carried out."""


def is_closed() -> ServerConnectionError:
    """What whoever asks gets after `close`."""
    return ServerConnectionError("the connection to the cluster is closed", sent=False)


class Pending:
    """The commands of one `run`; those of the same origin are carried out in their order."""

    __slots__ = ("future", "left", "origin", "replies")

    def __init__(
        self, number: int, future: asyncio.Future[list[Any]], origin: object = None
    ) -> None:
        self.origin = self if origin is None else origin
        self.replies: list[Any] = [None] * number
        self.left = number
        self.future = future

    def answered(self, place: int, reply: Any) -> None:
        self.replies[place] = reply
        self.left -= 1
        if not self.left and not self.future.done():
            self.future.set_result(self.replies)

    def failed(self, error: KTError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Engine:
    """The connections to one numbered database of a cluster, in one event loop.

    Attributes:
        map: who serves which slot.
        retries: how often commands were tried again, by the kind: the first word of the engine's
            error; ``LOST`` for a connection, ``UNSERVED`` for a slot that nobody had, ``ORDER``
            for a read that had passed a write.
        acks: how often writes waited for replicas, and for how many seconds in all.
        followers: who is told what is learned of the nodes.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.map = SlotMap()
        self.retries: dict[str, int] = {}
        self.acks = (0, 0.0)
        self.followers: list[Follower] = []
        self._loop = asyncio.get_running_loop()
        self._nodes: dict[str, Node] = {}
        self._doubted: set[Suspect] = set()
        self._open: set[Node] = set()  # also those that are being cut off
        self._flying: dict[int, int] = {}
        self._held: dict[int, list[Job]] = {}
        self._resting: set[Job] = set()  # for no slot, and to be tried again
        self._numbers = count()
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # For who has something to do

    async def open(self) -> None:
        """Find the nodes.

        Raises:
            ServerConnectionError: no address answers, or what answers is no cluster.
        """
        if not self.map.masters:
            self._refresh_soon()
            if self._refreshing is not None:
                await asyncio.wait([self._refreshing])
        if not self.map.masters:
            tried = ", ".join(address_of(*address) for address in self.settings.addresses)
            raise ServerConnectionError(f"no node of a cluster answers at {tried}: {self._trouble}")

    async def run(
        self, commands: list[Command], origin: object = None, *, refused: bool = False
    ) -> list[Any]:
        """The replies to commands, which go out before this waits for anything.

        Args:
            commands: what is to be carried out, for each record in its order.
            origin: the same for commands of several calls that are to be in their order, too.
            refused: whether they have been tried in vain before.

        Raises:
            OutcomeUnknown: it is not known whether one was carried out.
            ServerTimeoutError: nobody served one in time.
        """
        if self._closed:
            raise is_closed()
        if not commands:
            return []
        if not self.map.masters:
            await self.open()
        if commands[0].slot == FRESH:
            await asyncio.gather(*map(self._learn_from, self.map.masters))
        pending = Pending(len(commands), self._loop.create_future(), origin)
        deadline = self._loop.time() + self.settings.timeout
        for place, command in enumerate(commands):
            if command.slot in (EVERY, FRESH):
                self._ask_every(command, pending, place, deadline)
            else:
                job = Job(command, pending, place, deadline, next(self._numbers))
                self._retry(job) if refused else self._send(job)
        try:
            return await pending.future
        except ServerTimeoutError as error:
            if does_one_thing(commands):
                raise
            raise ReplyTimeoutError(f"{error}; others of its writes may be done") from error

    def facts(self) -> str:
        """What `report` tells of it."""
        acks, seconds = self.acks
        return (
            f"nodes={len(self.map.nodes)} masters={len(self.map.masters)}"
            f" complete={int(self.map.is_complete())} {retries_text(self.retries)}"
            f" replicas={self.map.replicas_up} slots={self.map.served()}"
            f" acks={acks} ack_seconds={seconds:.6f}"
        )

    def look_again(self) -> None:
        """Ask for the map: a node is silent, or gone."""
        self._refresh_soon()

    def stay_current(self) -> None:
        """Ask for the map if that is long ago."""
        if self._loop.time() - self._refreshed > REFRESH:
            self._refresh_soon()

    async def close(self) -> None:
        """Cut all connections; what waits fails."""
        self._closed = True
        ends: list[asyncio.Future[None]] = []
        if self._timer is not None:
            self._timer.cancel()
        if self._refreshing is not None:
            self._refreshing.cancel()
            ends.append(self._refreshing)
        for node in list(self._open):
            node.close("is not needed any more")
            ends.append(node.gone)
        for job in [*self._resting, *(job for jobs in self._held.values() for job in jobs)]:
            job.pending.failed(is_closed())
        await asyncio.gather(*ends, return_exceptions=True)

    # The way of a job

    def _ask_every(self, command: Command, pending: Pending, place: int, deadline: float) -> None:
        """Ask all masters; if a slot has none, nobody has the whole answer."""
        if not self.map.is_complete():
            pending.failed(ServerTimeoutError("a part of the cluster is not served"))
            return
        masters = self.map.masters
        every = Pending(len(masters), self._loop.create_future())

        def over(future: asyncio.Future[list[Any]]) -> None:
            error = None if future.cancelled() else future.exception()
            if error is None and not future.cancelled():
                pending.answered(place, list(zip(masters, future.result(), strict=True)))
            elif isinstance(error, NotAMaster) and self._loop.time() < deadline:
                self._ask_every(command, pending, place, deadline)
            elif isinstance(error, KTError):
                pending.failed(error)

        every.future.add_done_callback(over)
        for at, node in enumerate(masters):
            directed = command._replace(slot=NOWHERE, node=node)
            self._send(Job(directed, every, at, deadline, next(self._numbers)))

    def _send(self, job: Job) -> None:
        """Have it carried out, unless others for its slot come first."""
        slot = job.command.slot
        if slot != NOWHERE:
            if slot in self._held:
                self._held[slot].append(job)
                return
            self._flying[slot] = self._flying.get(slot, 0) + 1
        self._pass_on(job)

    def _retry(self, job: Job) -> None:
        """Have it carried out as one that has been refused."""
        slot = job.command.slot
        job.again = True
        if slot not in self._flying and slot not in self._held:
            self._loop.call_soon(self._release, slot)
        self._held.setdefault(slot, []).append(job)

    def _pass_on(self, job: Job) -> None:
        self._resting.discard(job)
        if self._closed:
            self._landed(job)
            job.pending.failed(is_closed())
            return
        self._watch()
        address = job.ask or job.command.node or self.map.owner(job.command.slot)
        if not address:
            self._again(job, "a slot without a master", "UNSERVED", pause=True)
            return
        node = self._nodes.get(address)
        if node is None or node.lost:
            node = self._nodes[address] = Node(self._loop, self.settings, address, self)
            self._open.add(node)
            node.gone.add_done_callback(partial(self._forget, node))
        node.take(job)

    def _forget(self, node: Node, _gone: asyncio.Future[None]) -> None:
        self._open.discard(node)

    def answered(self, job: Job, reply: Any, node: Node) -> None:
        """A reply has come."""
        if type(reply) is RespError:
            self._refused(job, reply, node)
            return
        if self._held and self._overtakes(job):
            return
        self._landed(job)
        job.pending.answered(job.place, reply)

    def _overtakes(self, job: Job) -> bool:
        """Whether it has passed a command that is to be tried again, and so has to be repeated."""
        if job.command.slot not in self._held:
            return False
        held = self._held[job.command.slot]
        if job.command.reads:
            repeated = any(one.precedes(job) and not one.command.reads for one in held)
            if repeated:
                self._again(job, "ORDER", pause=False)
            return repeated
        self._give_up_before(job)
        return False

    def _give_up_before(self, job: Job) -> None:
        """A write may have been carried out: what should have been before it cannot be any more."""
        held = self._held.get(job.command.slot) or []
        for late in [one for one in held if one.precedes(job)]:
            held.remove(late)
            what = late.command.words[0].decode()
            late.pending.failed(
                ServerTimeoutError(
                    f"{what} was not served before {job.command.words[0].decode()} of its record"
                )
            )

    def _refused(self, job: Job, error: RespError, node: Node) -> None:
        verdict = judge(error, node.address)
        slot = job.command.slot
        job.ask, job.load = "", job.load or verdict.meaning == Meaning.SCRIPT
        if verdict.meaning == Meaning.REFUSED:
            self._landed(job)
            job.pending.answered(job.place, error)
            return
        if verdict.meaning == Meaning.MOVED and slot != NOWHERE:
            self.map.moved(slot, verdict.node)
            self._map_changed()
            self._refresh_soon()
        elif verdict.meaning == Meaning.ASK:
            job.ask = verdict.node
        elif verdict.meaning == Meaning.LATER:
            self._refresh_soon()
        reason = error.kind.decode("ascii", "replace")
        self._again(job, reason, pause=verdict.meaning == Meaning.LATER)

    def waited(self, seconds: float) -> None:
        """Replicas have confirmed writes, or too few have, after so long."""
        number, total = self.acks
        self.acks = number + 1, total + seconds

    def doubts(self, node: Suspect) -> None:
        """It has been silent, and now answers: find out whether it has been replaced meanwhile."""
        self._doubted.add(node)
        self._refresh_soon()

    def unsent(self, job: Job, reason: str) -> None:
        """The connection was gone before the command had left."""
        job.ask = ""
        self._refresh_soon()
        self._again(job, reason, "LOST", pause=True)

    def unanswered(self, job: Job, reason: str) -> None:
        """The connection was gone before the reply had come."""
        job.ask = ""
        self._refresh_soon()
        if job.command.reads:
            self._again(job, reason, "LOST", pause=True)
        else:
            self.unknown(job, reason)

    def unknown(self, job: Job, reason: str) -> None:
        """It may have been carried out or not."""
        self._give_up_before(job)
        self._landed(job)
        job.pending.failed(ReplyLostError(f"outcome unknown: {reason}"))

    def _landed(self, job: Job) -> None:
        """It is no longer under way; who waited for that may go."""
        slot = job.command.slot
        if slot == NOWHERE:
            return
        left = self._flying[slot] - 1
        if left:
            self._flying[slot] = left
            return
        del self._flying[slot]
        if slot in self._held:
            self._loop.call_soon(self._release, slot)

    def _again(self, job: Job, reason: str, kind: str = "", *, pause: bool) -> None:
        """Try it again, in its place among those for its slot."""
        kind = kind or reason
        self.retries[kind] = self.retries.get(kind, 0) + 1
        if self._closed:
            self._landed(job)
            job.pending.failed(is_closed())
            return
        if self._loop.time() >= job.deadline:
            seconds = self.settings.timeout
            self._landed(job)
            what = f"{job.command.words[0].decode()} was not served within {seconds:g} s: {reason}"
            job.pending.failed(ServerTimeoutError(what))
            return
        slot = job.command.slot
        if slot == NOWHERE:
            if job.command.node in self.map.masters:
                self._resting.add(job)
                self._loop.call_later(PAUSE, self._pass_on, job)
            else:
                job.pending.failed(NotAMaster(f"{job.command.node} serves no slots any more"))
            return
        job.again = True
        self._held.setdefault(slot, []).append(job)
        if pause:
            self._loop.call_later(PAUSE, self._landed, job)
        else:
            self._landed(job)

    def _release(self, slot: int) -> None:
        """Send what was held, in the order in which it was asked for."""
        if slot in self._flying:
            return
        jobs = self._held.pop(slot, [])
        jobs.sort(key=lambda job: job.number)
        if any(job.again for job in jobs):
            jobs, later = _first_of_each_record(jobs)
            if later:
                self._held[slot] = later
        for job in jobs:
            self._flying[slot] = self._flying.get(slot, 0) + 1
            self._pass_on(job)

    # The map

    def _watch(self) -> None:
        """Look after the connections as long as there is something under way."""
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(SILENCE / 2, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for node in list(self._nodes.values()):
            if node.silent_since() < now - self.settings.timeout - self.settings.ack_timeout:
                node.close("did not answer")
        busy = [node for node in self._nodes.values() if node.waits()]
        if now - self._refreshed > REFRESH or any(n.silent_since() < now - SILENCE for n in busy):
            self._refresh_soon()
        if busy or self._held or self._resting:
            self._watch()

    def _refresh_soon(self) -> None:
        """Ask for the map, once at a time."""
        if self._refreshing is None and not self._closed:
            self._refreshing = self._loop.create_task(self._refresh())
            self._refreshing.add_done_callback(self._refresh_over)

    def _refresh_over(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if self._doubted:
            self._refresh_soon()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    _trouble = "nothing was tried"

    async def _refresh(self) -> None:
        """Ask nodes for the map, those that are silent last, until one answers."""
        now = self._loop.time()
        silent = {a for a, n in self._nodes.items() if n.silent_since() < now - SILENCE / 2}
        known = self.map.nodes
        random.shuffle(known)
        known.sort(key=silent.__contains__)
        given = [address_of(*address) for address in self.settings.addresses]
        doubted = set(self._doubted)
        asked = dict.fromkeys([*known, *given])
        others = asked.keys() - {node.address for node in doubted}
        for address in [a for a in asked if a in others or not others]:
            if not await self._learn_from(address):
                continue
            await self._confirm(doubted)
            self._refreshed = self._loop.time()
            return
        await asyncio.sleep(PAUSE)

    async def _confirm(self, doubted: set[Suspect]) -> None:
        """Believe nodes that have been silent, or do not, by what those say who may replace them.

        A replica that has taken over is the first to know it.
        """
        replicas = {one for node in doubted for one in self.map.replicas(node.address)}
        await asyncio.gather(*map(self._learn_from, replicas))
        self._doubted -= doubted
        for node in doubted:
            if node.address in self.map.masters:
                node.trust()
            else:
                node.close(DEPOSED)

    async def _learn_from(self, address: str) -> bool:
        """Take in what a node says of the cluster; False if it says nothing."""
        try:
            async with asyncio.timeout(MAP_TIMEOUT):
                text = await ask_node(self.settings, address, NODES)
        except (OSError, KTError, TimeoutError) as error:
            self._trouble = f"{address}: {trouble_of(error, self.settings)}"
            return False
        if not isinstance(text, bytes):
            self._trouble = f"{address}: {text}"
            return False
        deposed = self.map.learn(text, address)
        self._map_changed()
        for node in deposed:
            if node in self._nodes:
                self._nodes.pop(node).close(DEPOSED)
            for follower in self.followers:
                follower.cut_off(node, DEPOSED)
        return True

    def _map_changed(self) -> None:
        for slot in self.map.take_changed():
            if slot in self._flying:  # what comes next waits for the former owner's replies
                self._held.setdefault(slot, [])
        for follower in self.followers:
            follower.map_changed()


def _first_of_each_record(jobs: list[Job]) -> tuple[list[Job], list[Job]]:
    """The jobs that may go together, and those that follow one of them."""
    first: dict[tuple[int, bytes], Job] = {}
    later = []
    for job in jobs:
        job.again = False
        if first.setdefault((id(job.pending.origin), record_of(job.command)), job) is not job:
            later.append(job)
    return list(first.values()), later


def does_one_thing(commands: list[Command]) -> bool:
    """Whether, if one of them is not carried out, nothing is."""
    if len(commands) == 1 and commands[0].slot not in (EVERY, FRESH):
        return True
    return all(command.reads for command in commands)


async def carry_out(steps: Steps[Any], run: Callable[[list[Command]], Awaitable[list[Any]]]) -> Any:
    """Drive an operation with what carries out commands."""
    try:
        commands = next(steps)
        while True:
            try:
                replies = await run(commands)
            except BaseException as error:  # noqa: BLE001 - the operation ends by it
                commands = steps.throw(error)
            else:
                commands = steps.send(replies)
    except StopIteration as stop:
        return stop.value
