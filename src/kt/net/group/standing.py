"""What servers say of themselves, and which of them a client takes.

::

    report --> Standing: whom it follows, whether it takes writes, its epoch
                  |
                  +--> `Group.choose`: the master; or, for reads, a slave that follows

A master is who takes writes and follows nobody. Where several say so, the one with the highest
epoch is it: the others were replaced and do not know it yet. A client never goes back to an epoch
before one that it has seen.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kt.errors import KTError, ServerConnectionError, ServerError
from kt.net.endpoint import Endpoint
from kt.wire import tyrant
from kt.wire.columns import RpcReply
from kt.wire.reading import Reader
from kt.wire.tycoon_rpc import (
    NO_LEASE,
    READ_ONLY,
    REPLACED,
    decode_columns,
    decode_error,
    pack_rpc,
    read_rpc_reply,
)

PATIENCE: Final = 1.0
"""Seconds that each server has, at most, to say who it is."""

REFUSED: Final = 500
"""Status of a write that a server refuses which is no master."""

REFUSALS: Final = (READ_ONLY, REPLACED, NO_LEASE)

SCRIPTS: Final = (b"\xb4", b"POST /rpc/play_script ")
"""How requests begin that may have done a part of their work when they are refused."""

Place = tuple[str, int]
"""Host and port of a server."""


class Standing(NamedTuple):
    """What a server says of itself.

    Attributes:
        master: whom it follows; empty if nobody.
        writable: whether it takes writes.
        current: whether it follows its master at the moment.
        epoch: how often masters have been replaced, as far as it knows.
    """

    master: str
    writable: bool
    current: bool
    epoch: int

    @property
    def is_master(self) -> bool:
        """Whether it takes writes for all."""
        return self.writable and not self.master

    def __str__(self) -> str:
        if self.master:
            return f"a slave of {self.master}"
        return "a master" if self.writable else "no master any more"


class Inquiry(NamedTuple):
    """How a kind of server is asked.

    Attributes:
        request: asks what it is.
        read_reply: reads the reply.
        decode: makes something of it.
        reads: how requests begin that only read records.
    """

    request: bytes
    read_reply: Reader[Any]
    decode: Callable[[Any], Standing]
    reads: re.Pattern[bytes]


def tycoon_standing(reply: RpcReply) -> Standing:
    """What a report tells."""
    if reply.encoding is None or reply.status != 200:
        raise ServerError(decode_error(reply), code=reply.status)
    facts = decode_columns(reply.body, reply.encoding)
    host = facts.get(b"repl_master_host", b"").decode("utf-8", "replace")
    return Standing(
        f"{host}:{facts.get(b'repl_master_port', b'0').decode()}" if host else "",
        facts.get(b"repl_read_only", b"0") == b"0",
        facts.get(b"repl_connected", b"1") == b"1",
        _number(facts.get(b"repl_epoch", b"")),
    )


def tyrant_standing(blob: bytes) -> Standing:
    """What the statistics tell; a server of this kind always takes writes."""
    facts: Mapping[str, str] = tyrant.decode_stat(blob)
    host = facts.get("mhost", "")
    connected = facts.get("repl_connected", "1") == "1"
    return Standing(f"{host}:{facts.get('mport', '')}" if host else "", True, connected, 0)


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() else 0


TYCOON: Final = Inquiry(
    pack_rpc("report", []),
    read_rpc_reply,
    tycoon_standing,
    re.compile(rb"\xba|POST /rpc/(?:check|get|get_bulk|match_\w+|status) "),
)

TYRANT: Final = Inquiry(
    tyrant.STAT_REQUEST,
    tyrant.read_stat_reply,
    tyrant_standing,
    re.compile(rb"\xc8[\x30\x31\x38\x58]"),
)
"""Reads: get, mget, vsiz, fwmkeys."""

INQUIRIES: Final = {"kyoto_tycoon": TYCOON, "tokyo_tyrant": TYRANT}
"""By kind of server, as clients call it."""


def groups(
    system: str,
    places: Sequence[Place],
    *,
    slaves_read: bool,
    directory: Callable[[float | None], list[Place]] | None = None,
) -> tuple[Group, Group | None]:
    """The servers of a kind (see `INQUIRIES`): to find the master, and for reads by slaves."""
    inquiry = INQUIRIES[system]
    master = Group(places, inquiry, directory=directory)
    if not slaves_read:
        return master, None
    return master, Group(places, inquiry, slaves=True, directory=directory)


class Group:
    """The servers that a client may use, and what it knows of them.

    Args:
        places: where they are.
        inquiry: how they are asked.
        slaves: take a slave, if there is one.
        directory: asks elsewhere where they are, within so many seconds, the master first; None:
            they are at `places`.

    Attributes:
        inquiry: likewise.
        epoch: the highest that was seen.
    """

    def __init__(
        self,
        places: Sequence[Place],
        inquiry: Inquiry,
        *,
        slaves: bool = False,
        directory: Callable[[float | None], list[Place]] | None = None,
    ) -> None:
        self.inquiry = inquiry
        self.directory = directory
        self.epoch = 0
        self._places = list(places)
        self._slaves = slaves
        self._chosen: Endpoint | None = None

    def endpoints(self, places: Sequence[Place] | None, present: Endpoint) -> list[Endpoint]:
        """Those to be asked, in turn: the one that was chosen first.

        Args:
            places: what the directory has said.
            present: the endpoint of the pool.
        """
        if places:
            self._places = list(places)
        found = [present._replace(host=host, port=port) for host, port in self._places]
        if self._chosen in found:
            found.remove(self._chosen)
            found.insert(0, self._chosen)
        elif self._slaves:
            random.shuffle(found)
        return found

    def is_settled(self, endpoint: Endpoint, standing: Standing) -> bool:
        """Whether the server that was chosen before still is what it was: nobody else is asked."""
        if endpoint != self._chosen or standing.epoch < self.epoch:
            return False
        self.epoch = standing.epoch
        return standing.is_master is not self._slaves and (standing.current or not self._slaves)

    def choose(self, found: Mapping[Endpoint, Standing | KTError]) -> Endpoint:
        """The one to be used from now on.

        Args:
            found: what each has said, or why it has not, in the order in which they were asked.

        Raises:
            ServerConnectionError: there is none.
        """
        self._chosen = None
        standings = {place: one for place, one in found.items() if isinstance(one, Standing)}
        self.epoch = max([self.epoch, *(one.epoch for one in standings.values())])
        if self._slaves:
            slaves = [one for one in standings if standings[one].master]
            current = [one for one in slaves if standings[one].current]
            candidates = current or slaves or list(standings)
        else:
            candidates = [
                place
                for place, one in standings.items()
                if one.is_master and one.epoch == self.epoch
            ]
        if not candidates:
            said = "; ".join(_described(place, one, self.epoch) for place, one in found.items())
            raise ServerConnectionError(f"there is no master: {said}", sent=False)
        self._chosen = candidates[0]
        return candidates[0]


def _described(place: Endpoint, found: Standing | KTError, epoch: int) -> str:
    if isinstance(found, KTError):
        return str(found) if str(place) in str(found) else f"{place}: {found}"
    late = found.is_master and found.epoch < epoch
    return f"{place} is {'a master that was replaced' if late else found}"


def share(timeout: float | None, others: int) -> float:
    """Seconds that a server has which is asked before so many others."""
    return PATIENCE if timeout is None else max(min(PATIENCE, timeout / (others + 1)), 0.001)


def is_refusal(value: object) -> bool:
    """Whether a reply says, or may say, that the server is no master; the write is not done."""
    if isinstance(value, RpcReply):
        return value.status == REFUSED and any(one in decode_error(value) for one in REFUSALS)
    return isinstance(value, ServerError) and value.code is None


def may_repeat(request: bytes) -> bool:
    """Whether what a server has refused can be sent to another one."""
    return not request.startswith(SCRIPTS)
