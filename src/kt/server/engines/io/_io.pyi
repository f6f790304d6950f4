"""Threads that serve connections without Python, for as long as their requests allow that."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, final

from typing_extensions import Buffer

T = TypeVar("T")

NOTHING: Final[int]
"""A connection is back for a reason that needs nothing to be done."""
FAILED: Final[int]
"""A connection is back because serving it failed; it cannot go on."""
SUPPORTED: Final[bool]
"""Whether this system can have such threads."""

class Servable:
    """What serves one connection's bytes in native code: the engines' streams."""

@final
class Caller:
    """Who has asked for what worker threads do: regular expressions are not matched for nobody."""

    def run(self, function: Callable[[], T]) -> T:
        """Call it, in this thread, for this caller."""

    def ended(self) -> None:
        """They have ended their side of the connection: what takes long soon fails."""

    def gone(self) -> None:
        """They have gone: what is being matched for them fails."""

@final
class Reply(Buffer):
    """A large reply, where the engine has built it: bytes to be sent, not to be copied."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def give_back(self, length: int) -> None:
        """The first `length` bytes have been sent: their memory goes back to the system."""

@final
class IoThread:
    """One such thread. Its length is the number of connections that it serves."""

    def __init__(self, spin_microseconds: int) -> None:
        """Start it. It looks for events for so long before it sleeps; 0: it sleeps at once."""

    def __len__(self) -> int: ...
    def add(self, socket: int, servable: Servable, owner: Any) -> None:
        """Give it a connection: a socket that does not block and that nobody else uses meanwhile.

        Args:
            socket: file descriptor.
            servable: serves what comes. When that does not want to go on, when the input ends, or
                when anything unusual happens, the connection comes back.
            owner: comes back with it.
        """

    def fileno(self) -> int:
        """What is readable when connections have come back."""

    def take(
        self,
    ) -> tuple[list[tuple[Any, float, bytes]], list[tuple[Any, int, bytes, bytes | Reply]]]:
        """What streams have traced, as (owner, Unix time, trace), and the connections that have
        come back, as (owner, state, input, output).

        `state` is the stream's, `NOTHING` or `FAILED`; `input` was received and not served,
        `output` is to be sent before anything else.
        """

    def hold(self) -> None:
        """Wait until it is outside of every stream, and keep it outside until `release`.

        Connections with new requests come back meanwhile. Every call needs a `release`.
        """

    def release(self) -> None:
        """End one `hold`."""

    def sweep(self) -> None:
        """Have those come back that have stood still in the middle of something since last time."""

    def stop(self) -> None:
        """Have all connections come back, and end the thread; returns when that is done."""
