"""The update log of the original servers, written natively: update_log.h and log_reader.h."""

from typing import Literal, final

Kind = Literal["tycoon", "tyrant"]
Durable = Literal["none", "process", "device"]
Numbers = tuple[int, int, int, int, int]

class Loggable:
    """What an engine can tell what it changes."""

@final
class UpdateLog(Loggable):
    """A directory of log files that grows. All methods may be called by any thread."""

    server: int
    """The number of this server."""
    findings: str
    """What was found at the start that somebody should know; empty if nothing was."""

    def __init__(
        self,
        directory: str,
        *,
        kind: Kind,
        server: int,
        limit: int = 0,
        keeps_files: bool = False,
        durable: Durable = "none",
    ) -> None:
        """Go on where the newest file of the directory ends.

        Args:
            directory: must be there.
            kind: whose files.
            server: the number of this server.
            limit: a file that has so many bytes is followed by the next one; 0 for no limit.
            keeps_files: full files wait for `synchronize`.
            durable: what takes nothing of what was acknowledged: with ``process``, a kill of this
                process at any moment; with ``device``, a loss of power.

        Raises:
            OSError: the log cannot be opened, or another process writes it.
        """

    def append(self, server: int, master: int, message: bytes) -> None:
        """Take over one record. An engine does that by itself."""

    def flush(self) -> bool:
        """Write what has been taken over; False if that cannot be done now."""

    def stamp(self) -> int:
        """A stamp that no record so far goes above, and that all later ones do."""

    def synchronize(self) -> bool:
        """Bring to the device what has been written; False if that fails."""

    def trouble(self) -> str:
        """Why nothing can be written at present; empty if it can."""

    def position(self) -> tuple[int, int]:
        """The number of the newest file, and its size."""

    def place(self) -> Numbers:
        """Where what has been written ends: the fields of `kt.server.log_place.LogPlace`."""

    def place_at(self, number: int, size: int) -> Numbers:
        """Likewise, of so many bytes of a file; of fewer, if it has no more."""

    def files(self) -> dict[int, str]:
        """The paths of the files, by their numbers."""

    def fileno(self) -> int:
        """What is readable once more has been written than at the last `await_more`."""

    def await_more(self) -> None: ...
    def heard(self) -> None:
        """`fileno` has been readable."""

    def reader(
        self, since: int, server: int, only: bool = False, everything: bool = False
    ) -> LogReader:
        """Read it as the protocol of replication sends it.

        Args:
            since: stamp; of tycoon's records only newer ones are read, of tyrant's that one, too.
            server: number of who asks; changes that were made there are left out.
            only: all others are left out instead.
            everything: nothing is left out.
        """

MORE: int
WAITING: int
BROKEN: int

@final
class LogReader:
    """Reads a log while it is written. For one thread at a time."""

    trouble: str
    """Why it cannot be read further."""
    incomplete: bool
    """Whether files are gone that may have had what is wanted; known after the first `read`."""
    close_behind: bool
    """Whether what comes next was written lately, so that reading it takes no time."""

    def read(self, limit: int) -> tuple[int, bytes]:
        """What comes next, about so many bytes, and `MORE`, `WAITING` or `BROKEN`."""

    def stamp(self) -> int:
        """Everything up to this stamp has been read; after `WAITING` it is of the present."""

    def position(self) -> tuple[int, int]:
        """Up to where it has read: a file's number, and bytes of it; (0, 0) before it begins."""
