"""Tells a former master that it was replaced: a link of its own, until it has heard it.

An original is told nothing, since it has no words for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kt.server.link import Halted, Link, Master, Peer
from kt.server.session import Journal
from kt.server.tycoon.replication.mastership import Mastership
from kt.server.tycoon.replication.vetting import Caller

if TYPE_CHECKING:
    from ssl import SSLContext

ANSWERING: Final = 10.0
"""Seconds that it has for each answer."""


class Telling:
    """See the module's docstring. Any thread may call its methods.

    Args:
        mastership: ours.
        port: where we take writes; 0 for a Unix socket, which is nobody else's business.
        log: the server's.
        tls: how a master is spoken with by TLS; None: without.

    Attributes:
        mastership: likewise.
    """

    def __init__(
        self, mastership: Mastership, port: int, log: Journal, tls: SSLContext | None
    ) -> None:
        self.mastership = mastership
        self._port = port
        self._log = log
        self._link = Link(self, log, tls, "has not heard that it was replaced")

    def begin(self) -> None:
        """Go on to tell who did not know it when the server ended."""
        host, colon, port = self.mastership.former.rpartition(":")
        if colon and port.isdigit():
            self.tell(Master(host, int(port)))

    def tell(self, master: Master | None) -> None:
        """Tell this one, as soon as it can be reached; None: nobody any more."""
        self._link.follow(master)

    def end(self) -> None:
        """The server stops."""
        self._link.end()

    def prepare(self) -> None:
        """See `kt.server.link.Errand`."""

    def follow(self, peer: Peer, master: Master) -> None:
        """See `kt.server.link.Errand`."""
        caller = Caller(peer, ANSWERING)
        epoch = caller.epoch()
        if epoch is not None and epoch < self.mastership.epoch:
            self.tell_at_once(caller, peer)
            self._log.system(f"{master} knows that it was replaced")
        self.mastership.told()
        self._link.follow(None)

    def tell_at_once(self, caller: Caller, peer: Peer) -> None:
        """Tell a master that there is one of a later epoch: us, or who has told us.

        Args:
            caller: asks it.
            peer: the connection.

        Raises:
            Halted: it does not want to hear that.
            OSError, KTError: it has not answered.
        """
        epoch, master = self.mastership.epoch, self.mastership.master
        if not master and self._port:
            host = peer.local_host()
            master = f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"
        if not caller.tell_replaced(epoch, master):
            raise Halted("it goes on to take writes, though it was replaced: see its log (-allow)")
