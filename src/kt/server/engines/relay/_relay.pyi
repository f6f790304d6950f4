"""Threads that serve a gateway's clients without Python, for as long as they ask for single records
and small bulks of them, and nothing unusual happens."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias, final

from kt.server.engines.io._io import Servable

SUPPORTED: Final[bool]
"""Whether this system can have such threads."""

LOST: Final[int]
"""A connection to a node has ended while something was under way."""
SILENT: Final[int]
"""A node has not answered for a while."""
DOUBTED: Final[int]
"""A node answers after having been silent: it waits to be trusted or cut off."""

class Shape(NamedTuple):
    """What a thread needs of a database.

    Attributes:
        heads: what names of records begin with, for each bucket of a tree; a flat one has one.
        flat: which of both it is.
        reads: whether records are read by a thread.
        writes: whether they are stored and removed.
        greeting: commands that connections to nodes begin with.
        greetings: how many that are; the replies must be OK.
        patience: seconds after which a node is given up that does not answer.
        replicas: how many must have what is written, before it is answered.
        wait: the command that waits for them.
    """

    heads: list[bytes]
    flat: bool
    reads: bool
    writes: bool
    greeting: bytes
    greetings: int
    patience: float
    replicas: int
    wait: bytes

class Left:
    """Of a command: it was not carried out, or only reads."""

class Unknown:
    """Of a command: it may have been carried out or not."""

    reason: str
    def __init__(self, reason: str) -> None: ...

LEFT: Final[Left]

Known: TypeAlias = bytes | int | Left | Unknown | None
"""What a command came to: the engine's reply, or why there is none."""

class Relayed(Servable):
    """What a session and a thread have in common.

    Attributes:
        known: when the connection has come back, of the requests that its input begins with, and
            that must be answered first: what each command of each of them has come to.
    """

    known: list[list[Known]]

@final
class RelayThread:
    """One such thread. Its length is the number of connections that it serves."""

    def __init__(
        self, spin_microseconds: int, databases: Sequence[Shape], *, traces: bool = False
    ) -> None:
        """Start it. It looks for events for so long before it sleeps; 0: it sleeps at once.

        With `traces` it notes which requests it has answered, a byte for each: 0 for get_bulk, 1
        for set_bulk, 2 for remove_bulk; 3, 4 and 5 for the calls get, set and remove.
        """

    def __len__(self) -> int: ...
    def add(self, socket: int, servable: Relayed, owner: Any) -> None:
        """Give it a connection, as to an `IoThread`."""

    def fileno(self) -> int:
        """What is readable when connections have come back, or there are troubles."""

    def take(
        self,
    ) -> tuple[list[tuple[Any, float, bytes]], list[tuple[Any, int, bytes, bytes]]]:
        """As that of `IoThread`."""

    def take_troubles(self) -> list[tuple[int, int, str]]:
        """What `take` has found of them, as (kind, database, address of the node)."""

    def take_count(self) -> int:
        """Requests answered since the last call."""

    def set_stamp(self, lines: bytes) -> None:
        """The header lines that replies by HTTP begin with."""

    def set_owners(self, database: int, nodes: list[str], owners: list[int]) -> None:
        """Tell which node has which slot: its place among `nodes`, -1 for none."""

    def trust(self, database: int, address: str) -> None:
        """Believe a node that was doubted."""

    def cut_off(self, database: int, address: str, reason: str) -> None:
        """End the connection to a node; nothing that it says counts any more."""

    def hold(self) -> None:
        """Do nothing: it calls no engine."""

    def release(self) -> None:
        """Do nothing."""

    def sweep(self) -> None:
        """Have those come back that have stood still in the middle of something since last time."""

    def stop(self) -> None:
        """Have all connections come back, and end the thread.

        What nodes do not answer within a second is given up.
        """
