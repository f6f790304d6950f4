"""A connection to one node of a cluster."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from kt.cluster.commands import Command, Script, record_of
from kt.cluster.settings import Settings
from kt.errors import KTError, ProtocolError, ServerConnectionError
from kt.wire.reading import Buffer, Incomplete, Reader
from kt.wire.resp import RespError, pack_command, read_resp_reply

WRITE_MIN: Final = 1 << 16
"""Bytes that are sent without waiting for the end of the loop's turn."""

CONNECT_TIMEOUT: Final = 1.0

SILENCE: Final = 0.5
"""Seconds without an answer after which a node may have been replaced."""

NOTHING: Final = object()
"""No reply yet."""

ASKING: Final = pack_command([b"ASKING"])


class Waiter(Protocol):
    """Who waits for the reply to a job.

    Attributes:
        origin: the same for jobs whose order is to be kept.
    """

    origin: object

    def answered(self, place: int, reply: Any) -> None: ...
    def failed(self, error: KTError) -> None: ...


class Job:
    """A command under way.

    Attributes:
        command: the command.
        pending: who waits.
        place: which of the replies that they wait for it is.
        deadline: on the loop's clock; until then it is tried again.
        number: which of all jobs it is.
        again: whether it has been refused since others were let go.
        ask: the node that it is for this time, although another one has the slot.
        load: whether the node must be told of the script first.
        reply: what has come, while it waits for replicas.
    """

    __slots__ = (
        "again",
        "ask",
        "command",
        "deadline",
        "load",
        "number",
        "pending",
        "place",
        "reply",
    )

    def __init__(
        self, command: Command, pending: Waiter, place: int, deadline: float, number: int
    ) -> None:
        self.command = command
        self.pending = pending
        self.place = place
        self.deadline = deadline
        self.number = number
        self.again = False
        self.ask = ""
        self.load = False
        self.reply: Any = NOTHING

    def precedes(self, other: Job) -> bool:
        """Whether it has to be carried out before the other one, which is for the same slot."""
        return (
            self.pending.origin is other.pending.origin
            and self.number < other.number
            and record_of(self.command) == record_of(other.command)
        )


class Group:
    """Writes that wait for replicas together."""

    __slots__ = ("begin", "jobs")

    def __init__(self, jobs: list[Job], begin: float) -> None:
        self.jobs = jobs
        self.begin = begin  # on the loop's clock


class Owner(Protocol):
    """Who is told what came of jobs."""

    def answered(self, job: Job, reply: Any, node: Node) -> None: ...
    def waited(self, seconds: float) -> None: ...
    def doubts(self, node: Node) -> None: ...
    def unsent(self, job: Job, reason: str) -> None: ...
    def unanswered(self, job: Job, reason: str) -> None: ...
    def unknown(self, job: Job, reason: str) -> None: ...


def address_of(host: str, port: int) -> str:
    """``HOST:PORT``, as nodes name each other."""
    return f"{host}:{port}"


def split_address(address: str) -> tuple[str, int]:
    """Host and port."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def greeting(settings: Settings) -> list[bytes]:
    """What a connection begins with: commands whose replies must be OK."""
    requests = []
    if settings.password is not None:
        login = [settings.user, settings.password] if settings.user else [settings.password]
        requests.append(pack_command([b"AUTH", *(word.encode() for word in login)]))
    if settings.number:
        requests.append(pack_command([b"SELECT", b"%d" % settings.number]))
    return requests


def trouble_of(error: Exception, settings: Settings) -> str:
    """Why a node cannot be connected with."""
    why = None
    if settings.tls and isinstance(error, TimeoutError):
        return "no answer, or it does not speak TLS"
    if settings.tls and isinstance(error, OSError):
        from kt.net.tls import failure

        why = failure(error)
    return why or str(error) or "no answer"


def wait_command(settings: Settings) -> bytes:
    """What waits until enough replicas have all that was written before."""
    wait = b"%d" % int(settings.ack_timeout * 1000)
    return pack_command([b"WAIT", b"%d" % settings.ack, wait])


async def ask_node(settings: Settings, address: str, words: list[bytes]) -> Any:
    """The reply of a node to one command, over a connection for this alone.

    Raises:
        OSError, KTError: it does not answer.
    """
    host, port = split_address(address)
    reader, writer = await asyncio.open_connection(host, port, ssl=settings.tls_context())
    try:
        first = greeting(settings)
        writer.write(b"".join([*first, pack_command(words)]))
        data = bytearray()
        replies: list[Any] = []
        while len(replies) <= len(first):
            found = read_resp_reply(data, 0)
            if not isinstance(found, Incomplete):
                replies.append(found[0])
                del data[: found[1]]
            elif more := await reader.read(1 << 16):
                data += more
            else:
                raise ServerConnectionError(f"{address} closed the connection", sent=False)
        for reply in replies[:-1]:
            if isinstance(reply, RespError):
                raise ServerConnectionError(f"{address}: {reply}", sent=False)
        return replies[-1]
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


class Node(asyncio.Protocol):
    """A connection; it is made when the first job comes.

    Attributes:
        address: where.
        lost: it cannot be used any more.
        gone: done when nothing is left of it: no task, no socket.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: Settings, address: str, owner: Owner
    ) -> None:
        self.address = address
        self.lost = False
        self._loop = loop
        self._settings = settings
        self._owner = owner
        self._wait = wait_command(settings)
        self._transport: asyncio.Transport | None = None
        self._ready = False
        self._waiting: list[Job] = []  # not sent
        self._size = 0
        self._flushing = False
        self._sent: deque[Job | Group | None] = deque()  # None: a reply that nobody waits for
        self._told: set[Script] = set()  # the scripts that it has been told of
        self._greeted = 0
        self._heard = loop.time()
        self._doubted: bytearray | None = None  # replies after a silence, not looked at yet
        self._partial = bytearray()
        self._resume: Reader[Any] = read_resp_reply
        self._need = 1
        self._reason = f"{address} closed the connection"
        self.gone: asyncio.Future[None] = loop.create_future()
        self._connecting = loop.create_task(self._connect())
        self._connecting.add_done_callback(self._tried)

    async def _connect(self) -> None:
        host, port = split_address(self.address)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                context = self._settings.tls_context()
                await self._loop.create_connection(lambda: self, host, port, ssl=context)
        except Exception as error:  # noqa: BLE001 - such as a name that can be none
            self._reason = f"cannot connect to {self.address}: {trouble_of(error, self._settings)}"
            self._end(None)

    def _tried(self, connecting: asyncio.Task[None]) -> None:
        """Connecting is over; without a transport, so is everything."""
        if self._transport is None and not self.gone.done():
            self.gone.set_result(None)

    def waits(self) -> bool:
        """Whether a job is under way."""
        return bool(self._sent or self._waiting)

    def silent_since(self) -> float:
        """Since when a reply is outstanding, or later; for ever, if none is."""
        return self._heard if self._sent or self._waiting else float("inf")

    def take(self, job: Job) -> None:
        """Carry it out."""
        if not self.waits():
            self._heard = self._loop.time()
        self._waiting.append(job)
        self._size += sum(map(len, job.command.words))
        if not self._ready:
            return
        if self._size >= WRITE_MIN:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def close(self, reason: str) -> None:
        """Cut it off; nothing that it says counts any more."""
        self._reason = f"{self.address} {reason}"
        self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._end(None)

    def _flush(self) -> None:
        """Send what waits."""
        self._flushing = False
        if not self._ready or not self._waiting:
            return
        assert self._transport is not None
        jobs, self._waiting, self._size = self._waiting, [], 0
        parts = []
        writes = []
        for job in jobs:
            command = job.command
            if command.script is not None and (job.load or command.script not in self._told):
                # In time: what comes behind would be done before a script that has to wait.
                self._told.add(command.script)
                parts.append(pack_command([b"SCRIPT", b"LOAD", command.script.source]))
                self._sent.append(None)
            if job.ask:
                parts.append(ASKING)
                self._sent.append(None)
            parts.append(pack_command(command.words))
            self._sent.append(job)
            if not command.reads:
                writes.append(job)
        if writes and self._settings.ack:
            parts.append(self._wait)
            self._sent.append(Group(writes, self._loop.time()))
        self._transport.write(b"".join(parts))

    # Called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if self.lost:
            self._transport.abort()
            return
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        requests = greeting(self._settings)
        self._greeted = -len(requests)
        self._transport.write(b"".join(requests))
        self._begin()

    def _begin(self) -> None:
        """Send what has waited for the connection, once it has been greeted."""
        if self._greeted == 0:
            self._ready = True
            self._flush()

    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        silent = now - self._heard > SILENCE and bool(self._sent)
        self._heard = now
        if self._doubted is not None:
            self._doubted += data
        elif silent:
            assert self._transport is not None
            self._transport.pause_reading()
            self._doubted = bytearray(data)
            self._owner.doubts(self)
        else:
            self._read(data)

    def trust(self) -> None:
        """It is a master still, as others say: what it has said after a silence counts."""
        if self.lost or self._doubted is None or self._transport is None:
            return
        data, self._doubted = self._doubted, None
        self._transport.resume_reading()
        self._read(bytes(data))

    def _read(self, data: bytes) -> None:
        buffer: Buffer = data
        if self._partial:
            self._partial += data
            buffer = self._partial
        begin, size = 0, len(buffer)
        try:
            while size - begin >= self._need:
                found = self._resume(buffer, begin)
                if isinstance(found, Incomplete):
                    self._resume, self._need = found.resume, found.need
                    continue
                reply, begin = found
                self._resume, self._need = read_resp_reply, 1
                self._take(reply)
                if self.lost:
                    return
        except ProtocolError as error:
            self.close(f"spoke no RESP: {error}")
            return
        if buffer is self._partial:
            del self._partial[:begin]
        elif begin < size:
            self._partial += memoryview(data)[begin:]

    def _take(self, reply: Any) -> None:
        if self._greeted < 0:
            self._greeted += 1
            if isinstance(reply, RespError):
                self.close(f"said: {reply}")
                return
            self._begin()
            return
        if not self._sent:
            self.close("sent a reply that nobody asked for")
            return
        job = self._sent.popleft()
        if isinstance(job, Group):
            self._confirmed(job, reply)
        elif job is not None:
            if self._settings.ack and not job.command.reads and type(reply) is not RespError:
                job.reply = reply
            else:
                self._owner.answered(job, reply, self)

    def _confirmed(self, group: Group, replicas: Any) -> None:
        """So many replicas have the writes."""
        self._owner.waited(self._loop.time() - group.begin)
        enough = isinstance(replicas, int) and replicas >= self._settings.ack
        for job in group.jobs:
            if job.reply is NOTHING:
                continue  # answered by an error
            reply, job.reply = job.reply, NOTHING
            if enough:
                self._owner.answered(job, reply, self)
            else:
                count = f"{replicas} of {self._settings.ack}"
                self._owner.unknown(job, f"confirmed by {count} replicas")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        self._end(exc)

    def _end(self, exc: Exception | None) -> None:
        """Tell whose jobs these were."""
        if self.lost:
            return
        self.lost = True
        self._ready = False
        reason = self._reason if exc is None else f"{self.address}: {exc}"
        sent, self._sent = self._sent, deque()
        waiting, self._waiting = self._waiting, []
        for job in sent:
            if isinstance(job, Group):
                for member in job.jobs:
                    if member.reply is not NOTHING:
                        self._owner.unknown(member, reason)
            elif job is not None:
                self._owner.unanswered(job, reason)
        for job in waiting:
            self._owner.unsent(job, reason)
