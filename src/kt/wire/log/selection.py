"""Which changes of a log are wanted."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from kt.types import Change, What
from kt.wire.log.tyrant import READING


class Selection(NamedTuple):
    """What is None does not matter.

    Attributes:
        sids: ids of the servers where they were done first.
        dbs: indices of their databases.
        prefix: begin of their keys. What belongs to no key is taken if it may change records.
        everything: also commands of Tokyo Tyrant that change nothing: those that failed (but calls
            may fail half-way), that only read, and synchronization.
    """

    sids: Container[int] | None = None
    dbs: Container[int] | None = None
    prefix: bytes | None = None
    everything: bool = False

    def takes(self, change: Change[bytes, bytes]) -> bool:
        """Tell whether `change` is wanted."""
        if self.sids is not None and change.sid not in self.sids:
            return False
        if self.dbs is not None and change.db not in self.dbs:
            return False
        if not (self.everything or _may_change(change)):
            return False
        if self.prefix is None:
            return True
        if change.key is None:
            return change.what not in (What.SYNC, What.OPTIMIZE)
        return change.key.startswith(self.prefix)


def _may_change(change: Change[bytes, bytes]) -> bool:
    if change.what is What.CALL:
        return change.name not in READING
    return change.what is not What.SYNC and not change.failed
