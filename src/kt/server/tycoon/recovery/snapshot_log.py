"""DIR/snapshots.durable: which update log goes on from the snapshots in a directory (``-bgs``).

A killed server's last changes are in its log only. So who starts with these snapshots and another
log, be it an empty one, would lack them without a word. The originals pass over this file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from kt.server.checkpoint_file import (
    Checkpoint,
    State,
    check_log,
    checkpoint_path,
    present_boot,
    read_checkpoint,
    write_checkpoint,
)
from kt.server.log_place import LogPlace

if TYPE_CHECKING:
    from kt.server.history import History


class SnapshotLog:
    """The update log that goes on from snapshots.

    Args:
        directory: of the snapshots.

    Attributes:
        history: the update log; None if the server has none.
        known: whether its place in the log says which one it is; an empty one may be any.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = os.path.join(directory, "snapshots")
        self._boot = present_boot()
        self._position = (0, 0)
        self.history: History | None = None
        self.known = True

    def check(self) -> None:
        """Before a snapshot, and then the log, is applied to a database.

        Raises:
            ImproperlyConfigured: a server was killed whose last changes are in another log.
        """
        checkpoint = read_checkpoint(self._path)
        if self.history is None or checkpoint is None or checkpoint.state == "closed":
            return
        whose = f"the server with the snapshots in {self._directory}"
        forget = f"remove {checkpoint_path(self._path)}"
        check_log(whose, checkpoint, self.history, forget)

    @property
    def is_to_be_noted(self) -> bool:
        """Whether the log has begun since `note`, so that it can be known now."""
        history = self.history
        return history is not None and not self.known and history.log.position() != self._position

    def note(self, stamp: int, state: State = "open") -> None:
        """Say which one it is. All snapshots are newer than `stamp`, and were taken before.

        Raises:
            OSError: the file cannot be written.
        """
        history = self.history
        if history is None:
            with suppress(FileNotFoundError):
                os.remove(checkpoint_path(self._path))
            return
        self._position, place = history.log.position(), LogPlace(*history.log.place())
        self.known = place.first > 0
        checkpoint = Checkpoint(
            index=0,
            stamp=stamp,
            state=state,
            boot=self._boot,
            durable=history.durable,
            log=self._position,
            inode=history.inode,
            place=place,
        )
        write_checkpoint(self._path, checkpoint)
