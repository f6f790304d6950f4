"""What a session is: a protocol without input and output. Bytes go in; replies and *work* come out.

::

                 step(data, pos)                           output, work, yields, closing
    driver  --------------------------->  session  --------------------------------------->  driver
            <- position: what is served             a worker thread, a script's, a wait
            -- work.then(result) ------->           -- and so on with `output` ----------->

A session serves one client. It knows databases and what else it needs by a small object made for
it (its *service*), and nothing of sockets, event loops or processes. What takes long, or has to be
waited for, it does not do: it leaves it in `work`, as a value, and whoever drives the session sees
to it and calls `then` with what came of it. Nothing is served meanwhile, so replies are in the
order of the requests.

Drivers: `kt.server.process.connection` on the event loop, and `kt.server.inline`, which does
everything at once, in the thread that asks.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from kt.server.engines.io._io import Reply, Servable

T = TypeVar("T")

LARGE_REQUEST: Final = 1 << 20
"""A request of more bytes is cut out of the input by a worker thread."""


class Rights(IntFlag):
    """What a client may do."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 4
    """What is about files and servers, not records."""
    SCRIPTS = 8
    """Call scripts, which may do anything."""
    ALL = 15


class Journal(Protocol):
    """A log, as sessions and scripts write to it."""

    @property
    def info_wanted(self) -> bool:
        """Whether lines about single requests are kept."""

    def debug(self, message: str) -> None: ...
    def info(self, message: str, when: float | None = None) -> None: ...
    def system(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


class InThread(NamedTuple):
    """Run this where it holds up nobody, then `then(its result)`."""

    run: Callable[[], Any]
    then: Callable[[Any], None]


class InScript(NamedTuple):
    """Run this with a script, then `then(its result)`."""

    run: Callable[[Any], Any]
    then: Callable[[Any], None]


class Await(NamedTuple):
    """Wait for something, for a limited time.

    Attributes:
        enter: begins; what it is given is to be called once, with True when it has happened, with
            False when it never will. Returns a function that gives up.
        seconds: after so many it is given up.
        then: gets what `enter`'s argument got; False when the time is up.
        gives_up: a client that ends its side meanwhile has given up, too.
    """

    enter: Callable[[Callable[[bool], None]], Callable[[], None]]
    seconds: float
    then: Callable[[bool], None]
    gives_up: bool = True


class Drain(NamedTuple):
    """Wait until the client has taken what is written, or most of it; then go on.

    Attributes:
        seconds: after so many it is given up; 0 or less for no limit.
        then: gets whether the client has taken it.
    """

    seconds: float
    then: Callable[[bool], None]


Work: TypeAlias = InThread | InScript | Await | Drain


class Session:
    """What every session has; see the module's docstring.

    A protocol has one duty, `step`. It must be quick.

    Attributes:
        output: replies that the driver has not taken yet.
        wrote: how many bytes that is.
        work: what must be done before anything else is served; the driver takes it.
        yields: others should have their turn before the next step; the driver takes it.
        closing: nothing more is served; the connection ends when `output` is sent.
        need: `step` is not called before so many bytes are there. A step that finds its request
            incomplete may set it; the driver sets it to 1 before each step.
        plain: steps in a row that needed nothing but the engine's stream; counted by `step`.
        behind: whether input has come behind the request whose work is done; set by the driver.
        unserved: what a threaded command had taken over and not used; the driver takes it.
        peer: the client's address and port, or ``unix``, as the log shows it; set by the driver.
        descriptor: number of the client's socket; -1 without one; set by the driver.
        rights: what the client may do; see `restrict`.
    """

    def __init__(self) -> None:
        self.output: list[bytes | Reply] = []
        self.wrote = 0
        self.work: Work | None = None
        self.yields = False
        self.closing = False
        self.need = 1
        self.plain = 0
        self.behind = False
        self.unserved: bytes | bytearray = b""
        self.peer = ""
        self.descriptor = -1
        self.rights = Rights.ALL

    # What a protocol defines

    def step(self, data: bytes | bytearray, pos: int) -> int:
        """Serve what begins at `data[pos]`.

        Args:
            data: everything received and not yet served; valid during this call only, except for
                a step that serves or takes over all of it: nobody changes it then.
            pos: offset of the first unserved byte; there are at least `need` of them.

        Returns:
            the offset of the first byte that is now served or taken over; `pos` itself says that
            more bytes are needed (unless the step left work, or closes).
        """
        raise NotImplementedError

    def restrict(self, rights: Rights) -> None:
        """Let the client do no more than this; before the first step."""
        self.rights = rights

    def at_once(self, requests: bytes) -> tuple[bytes, int]:
        """Serve whole requests, as far as the engine's stream runs them by itself.

        A short cut for drivers, between two requests only.

        Returns:
            the replies, and how many bytes have been served: `step` must serve the rest.
        """
        return b"", 0

    def begun(self) -> bool:
        """Whether a request has begun of which all that has come is taken over already."""
        return False

    def cut_off(self) -> None:
        """The rest of an unfinished request will not come: a last chance to `write`."""

    def failed(self) -> None:
        """Serving raised an exception, which is logged by now: a last chance to `write`."""

    def servable(self) -> Servable | None:
        """What an I/O thread can serve it with; None while that cannot be."""
        return None

    def returned(self, state: int) -> None:
        """An I/O thread has ended with this state of the `servable`, or `NOTHING`: do what it says.

        What it has not served is input by now, and `behind` tells whether there is any.
        """

    def log_trace(self, traced: bytes, when: float) -> None:
        """Log what the `servable` has noted of requests that an I/O thread has run.

        Args:
            traced: what it has noted.
            when: Unix time.
        """

    def lost(self) -> Callable[[], object] | None:
        """The client is gone, and no work is under way: let go of what belongs to it.

        Returns:
            what is left to be done in a worker thread.
        """
        return None

    # What a protocol uses

    def write(self, data: bytes | Reply) -> None:
        """Send `data` after everything written before."""
        self.output.append(data)
        self.wrote += len(data)

    def yield_turn(self) -> None:
        """Let others be served before the next step."""
        self.yields = True

    def in_thread(self, run: Callable[[], T], then: Callable[[T], None]) -> None:
        """Go on with `then(run())`; `run` may take long. Call it last in a step.

        If `run` raises, `failed` is called and the session ends. `then` is not called when the
        client was lost meanwhile.
        """
        self.work = InThread(run, then)

    def in_script(self, run: Callable[[Any], T], then: Callable[[T], None]) -> None:
        """As `in_thread`, where there is a script: that is what `run` gets."""
        self.work = InScript(run, then)

    def unread(self, data: bytes | bytearray) -> None:
        """Put back the part of the input that a threaded command had taken over and not used."""
        self.unserved = data

    def close(self) -> None:
        """Serve nothing more; send what is written; end."""
        self.closing = True
