"""A client of a gateway that speaks Tokyo Tyrant's binary protocol.

Its one byte for what failed says "no such record" in most replies. So where the cluster does not
say what there is, or whether a write was carried out, the connection ends without a reply, and the
client knows that it does not know.
"""

from __future__ import annotations

import sys
from typing import Final

from kt.cluster.tyrant.answers import CLEAR_FAILURES, Request, failure, masked, read_request
from kt.cluster.tyrant.answers import Session as Answers
from kt.errors import KTError, OutcomeUnknown, ProtocolError
from kt.gateway.service import GatewayService
from kt.gateway.session import GatewaySession
from kt.server.session import Rights
from kt.server.tyrant.identity import identity, usage
from kt.server.tyrant.options import COMMANDS_OF, Command
from kt.wire import tyrant_commands as codes
from kt.wire.reading import Buffer, Incomplete

COMMANDS: Final = {
    getattr(codes, command.name): command for command in tuple(Command)[: Command.SLAVE]
}
"""What each command on the wire is in a mask."""

GROUPS: Final = {
    **dict.fromkeys(COMMANDS_OF[Rights.READ], Command.ALLREAD),
    **dict.fromkeys((*COMMANDS_OF[Rights.WRITE], Command.MISC), Command.ALLWRITE),
    **dict.fromkeys(COMMANDS_OF[Rights.ADMIN], Command.ALLMANAGE),
}

READING: Final = frozenset(b"get getlist getpart range regex iterinit iternext".split())
MANAGING: Final = frozenset(b"sync optimize defrag cacheclear".split())
"""Functions of `misc` that read, and those that are about the database; others write."""

LINE_MAX: Final = 1 << 13
"""Bytes of a line of text that are looked at before it is refused."""

MEMCACHED: Final = frozenset(
    b"get gets set add replace append prepend cas delete incr decr touch".split()
    + b"stats flush_all version verbosity quit".split()
)
NOT_HERE: Final = b"not implemented in a cluster: "


class TyrantGatewaySession(GatewaySession):
    """See the module's docstring.

    Args:
        service: what all sessions share.
        mask: the bits of the commands that nobody may give.
    """

    def __init__(self, service: GatewayService, mask: int) -> None:
        database = service.cluster.databases[0]
        super().__init__(service, Answers(database, self._facts, self._refuses))
        self._mask = mask

    def read(self, data: Buffer, pos: int) -> tuple[Request, int] | Incomplete[Request]:
        if data[pos] != codes.MAGIC and data.find(b"\n", pos) < 0 and len(data) - pos < LINE_MAX:
            return Incomplete(len(data) - pos + 1, self.read)  # to see what it speaks
        return read_request(data, pos)

    def misread(self, data: Buffer, pos: int, error: ProtocolError) -> None:
        if data[pos] == codes.MAGIC:
            return
        words = bytes(data[pos : pos + LINE_MAX]).partition(b"\n")[0].split() or [b""]
        if words[-1].startswith(b"HTTP/"):
            body = NOT_HERE + b"HTTP\n"
            self.write(b"HTTP/1.1 501 Not Implemented\r\nContent-Length: %d\r\n\r\n" % len(body))
            self.write(body)
        elif words[0] in MEMCACHED:
            self.write(b"SERVER_ERROR " + NOT_HERE + b"the protocol of memcached\r\n")

    def is_last(self, request: Request) -> bool:
        return request.code == codes.REPL  # there is no update log

    def refusal(self, request: Request, error: KTError) -> bytes:
        if request.code == codes.PUTNR:
            return b""
        if request.code in CLEAR_FAILURES and not isinstance(error, OutcomeUnknown):
            return failure(request.code)
        self.close()
        return b""

    def name_of(self, request: Request) -> str:
        return f"doing {COMMANDS[request.code].name.lower()} command"

    def _refuses(self, request: Request) -> bytes | None:
        """The reply if the server's mask or the client's rights forbid it."""
        command = COMMANDS[request.code]
        bits = command, GROUPS.get(command, command), Command.ALLORG
        is_masked = any(self._mask >> bit & 1 for bit in bits)
        if not (is_masked or self._needs(request) & ~self.rights):
            return None
        self.service.counts["refused"] += 1
        return masked(request.code) if is_masked else failure(request.code)

    @staticmethod
    def _needs(request: Request) -> Rights:
        """What a client must be allowed to do."""
        if request.code == codes.MISC:
            name = request.value.name
            if name in MANAGING:
                return Rights.ADMIN
            return Rights.READ if name in READING else Rights.WRITE
        command = COMMANDS[request.code]
        return next((right for right, ones in COMMANDS_OF.items() if command in ones), Rights.ALL)

    def _facts(self) -> dict[str, object]:
        """What `stat` tells of the gateway."""
        facts = [*identity(0), ("bigend", int(sys.byteorder == "big"))]
        facts += usage(self.descriptor, self.service.start_time)
        return dict(facts) | self.service.facts()
