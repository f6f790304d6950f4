"""A session whose replies wait until enough slaves have what was written before them (``-ack``).

::

    step, or the end of work --> replies, and the stamp of the newest record that was written
                                    |
             nothing was written ---+--- not confirmed yet: they are kept back; the session waits
                    |                        |                                |
                    v                        v confirmed                      v in time by too few
                  sent                     sent              HTTP: status 500, and the words
                                                             binary: the begin of the reply, then
                                                             the connection ends
                                                             memcached: SERVER_ERROR, and the words

Where a reply is made does not matter: whatever wrote, its stamp is known by the thread in which it
has run. What wants no reply does not wait. The binary protocol has no words for "stored, but not
confirmed", and its error would say that nothing is stored. So a client gets the begin of the reply
and the end of the connection, which it knows as a broken connection: the outcome is unknown. So
does one that has sent several requests at once, whose replies would be out of step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from kt.server.engines.kyoto._engine import take_written
from kt.server.session import Await, InScript, InThread, Work
from kt.server.tycoon.answering import Answering
from kt.server.tycoon.memcached.queues import QueueSession
from kt.server.tycoon.memcached.session import MemcachedSession
from kt.server.tycoon.replication.quorum import Quorum
from kt.server.tycoon.session import TycoonSession
from kt.wire.memcached import server_error
from kt.wire.reading import Incomplete
from kt.wire.tycoon_rpc import UNCONFIRMED, pack_rpc_reply, read_http_reply

if TYPE_CHECKING:
    from kt.server.engines.io._io import Reply

T = TypeVar("T")

HTTP: Final = b"HTTP/"
"""How a reply by HTTP begins."""

FOR_EVER: Final = 1e9
"""Seconds."""


class Kept(NamedTuple):
    """What a session does once all is confirmed; its attributes are the session's."""

    output: list[bytes | Reply]
    wrote: int
    work: Work | None
    closing: bool


def noting(run: Callable[..., T], *script: Any) -> tuple[T, int]:
    """What `run` returns, and the newest stamp of what it has written; in any thread."""
    take_written()
    result = run(*script)
    return result, take_written()


class Acknowledged(Answering):
    """What makes such a session of one of its other bases; see the module's docstring."""

    _owed = 0  # the newest stamp that the next reply waits for

    @property
    def _quorum(self) -> Quorum:
        assert self.service.quorum is not None
        return self.service.quorum

    def say_unconfirmed(self, kept: Kept, why: str) -> bool:
        """Write this instead of what was kept back; whether the connection goes on."""
        raise NotImplementedError

    def step(self, data: bytes | bytearray, pos: int) -> int:
        take_written()
        pos = super().step(data, pos)
        self._wait(take_written())
        return pos

    def _go_on(self, then: Callable[[Any], None], result: Any) -> None:
        take_written()
        then(result)
        self._wait(take_written())

    def _worked(self, then: Callable[[Any], None], noted: tuple[Any, int]) -> None:
        result, stamp = noted
        self._owed = max(self._owed, stamp)
        self._go_on(then, result)

    def _watched(self, work: Work) -> Work:
        """The same work, so that what it writes is noticed."""
        if isinstance(work, (InThread, InScript)):
            return work._replace(
                run=partial(noting, work.run), then=partial(self._worked, work.then)
            )
        return work._replace(then=partial(self._go_on, work.then))

    def _wait(self, stamp: int) -> None:
        """After a step or work that has written up to this stamp: let the replies go, or wait."""
        if stamp:
            self.plain = 0  # an I/O thread would give it back
            self._owed = max(self._owed, stamp)
        if self.work is not None and not self.follows:
            self.work = self._watched(self.work)
        if self._owed <= self._quorum.reached:
            self._owed = 0
        elif self.output:
            self._keep_back()
        elif self.work is None and not self.begun():
            self._owed = 0  # no reply was wanted

    def _keep_back(self) -> None:
        kept = Kept(self.output, self.wrote, self.work, self.closing)
        self.output, self.wrote, self.closing = [], 0, False
        seconds = self._quorum.seconds if self._quorum.seconds > 0 else FOR_EVER
        enter = partial(self._quorum.wait, self._owed)
        self.work = Await(enter, seconds, partial(self._told, kept), gives_up=False)

    def _told(self, kept: Kept, confirmed: bool) -> None:
        self._owed = 0
        if confirmed:
            self.output, self.wrote, self.work, self.closing = kept
            return
        why = f"{UNCONFIRMED} {self._quorum.why_not()}"
        self.service.log.info(f"({self.peer}): {why}")
        if self.say_unconfirmed(kept, why):
            self.work = kept.work
        else:
            self.close()


class AcknowledgedSession(Acknowledged, TycoonSession):
    """One of Kyoto Tycoon's protocols."""

    def say_unconfirmed(self, kept: Kept, why: str) -> bool:
        instead_of = b"".join(kept.output)
        goes_on = is_one_reply(instead_of) and not kept.closing
        if instead_of.startswith(HTTP):
            columns = [(b"ERROR", why.encode())]
            stamp = self.service.stamp
            self.write(pack_rpc_reply(500, columns, keep_alive=goes_on, stamp=stamp))
        else:
            self.write(instead_of[:1])
        return goes_on


class AcknowledgedText(Acknowledged):
    """One of memcached's."""

    def say_unconfirmed(self, kept: Kept, why: str) -> bool:
        self.write(server_error(why.encode()))
        return len(kept.output) == 1 and not kept.closing


class AcknowledgedMemcached(AcknowledgedText, MemcachedSession):
    """A client of memcached."""


class AcknowledgedQueues(AcknowledgedText, QueueSession):
    """Likewise, where keys are queues."""


def is_one_reply(output: bytes) -> bool:
    """Whether it is a reply by HTTP, and nothing else."""
    if not output.startswith(HTTP):
        return False
    read = read_http_reply(output, 0)
    return not isinstance(read, Incomplete) and read[1] == len(output)
