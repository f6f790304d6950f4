"""Whether this server may be the master: epochs, and leases.

The *epoch* counts how often a master was replaced. Promotion raises it, and it is stored before the
first write is taken. Who hears of a higher one (`replaced`, the procedure) is a master no more: it
refuses writes, with the new master's address, also after a start, until it is promoted itself::

    A, epoch 1, master                 B, epoch 1, slave of A
      |                                  | promote: epoch 2, stored
      | <------ replaced: 2, B ----------+ as soon as A can be reached (`telling`)
    epoch 2, stored; writes are refused

A slave takes over the epoch of the master that it follows, follows none of a lower one, and tells
that it was replaced. Originals know no epochs: nothing is said to them.

With a *lease* (``-lease``) a server takes writes only until a time that whoever decides about
masters puts off again and again. The engine itself looks at the clock before each write, so a
server that was stopped, and goes on when another one has been promoted, refuses the first one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final

from kt.device import synchronize_names
from kt.errors import ImproperlyConfigured
from kt.server.engines.kyoto._engine import Database
from kt.server.session import Journal
from kt.wire.tycoon_rpc import NO_LEASE, REPLACED

CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Of leases: the engine's, too."""
NEVER: Final = 1
"""A time of it that is over."""
LATE: Final = f"{NO_LEASE}: nobody has told it to take writes until now (lease)"
CURRENT: Final = "current"
REPLACED_STATE: Final = "replaced"
PROMOTED: Final = "promoted"
"""What a server of an epoch is: nothing special, a master that was replaced, its master. In the
file, the address of the master follows; of the third, that of the former one, who is to be told."""
EPOCH_MAX: Final = 2**63 - 1


def lease_clock() -> int:
    """Nanoseconds, by the clock of leases."""
    return time.clock_gettime_ns(CLOCK)


class Mastership:
    """See the module's docstring. Any thread may call its methods.

    Args:
        databases: whose writes are refused.
        path: of the file with the epoch; it need not be there.
        leased: writes need a lease.
        log: the server's.

    Attributes:
        epoch: the highest that is known.
        master: address of its master, as it was told; empty for ourselves, or if nobody said.
        former: address of the master whom we have replaced, and who does not know it yet.
        run: of this run of the server, and of no other one.

    Raises:
        ImproperlyConfigured: the file cannot be read, or holds something else.
    """

    def __init__(
        self, databases: Sequence[Database], path: str, *, leased: bool, log: Journal
    ) -> None:
        self._databases = databases
        self._path = path
        self.run = os.urandom(8).hex()
        self._leased = leased
        self._log = log
        self._lock = threading.Lock()
        self._of_slave: str | None = None  # what a slave says; None: it follows nobody
        self._lease_end = NEVER if leased else 0
        self._believe(*self._read())
        for database in databases:
            database.refuse_writes_from(self._lease_end, LATE)
        self._refuse()
        if self.replaced:
            log.system(f"writes are refused: {self._words()}")

    def _read(self) -> tuple[int, str, str]:
        try:
            with open(self._path, encoding="utf-8", errors="surrogateescape") as file:
                epoch, state, address = file.read().rstrip("\n").split(" ", 2)
                return int(epoch), state, address
        except FileNotFoundError:
            return 0, CURRENT, ""
        except (OSError, ValueError) as error:
            raise ImproperlyConfigured(
                f"{self._path} does not say of which epoch this server is: {error}"
            ) from None

    def _write(self, epoch: int, state: str, address: str) -> None:
        """Store it for good, then believe it; raises OSError."""
        text = f"{epoch} {state} {address}\n"
        made = f"{self._path}.tmp"
        with open(made, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, self._path)
        synchronize_names(self._path)
        self._believe(epoch, state, address)

    def _believe(self, epoch: int, state: str, address: str) -> None:
        self.epoch, self._state = epoch, state
        self.former, self.master = (address, "") if state == PROMOTED else ("", address)

    # What others tell

    def follow(self, why: str | None) -> None:
        """A slave refuses writes with these words; empty: it takes them; None: it is none."""
        with self._lock:
            self._of_slave = why
            self._refuse()

    def promote(self, former: str, epoch: int | None = None) -> None:
        """Be the master of the next epoch, or of this one; `follow` says when to take writes.

        Args:
            former: address of the master who is to be told so; empty for nobody.
            epoch: None for the next one.

        Raises:
            ValueError: this one is no higher.
            OSError: it cannot be stored. Nothing has changed.
        """
        with self._lock:
            if epoch is not None and epoch <= self.epoch:
                raise ValueError(f"the epoch is {self.epoch} already: {epoch} is too late")
            self._write(self.epoch + 1 if epoch is None else epoch, PROMOTED, former)
            self._log.system(f"this server is the master of epoch {self.epoch}")

    def told(self) -> None:
        """The former master knows; raises OSError."""
        with self._lock:
            if self._state == PROMOTED and self.former:
                self._write(self.epoch, PROMOTED, "")

    def learn(self, epoch: int, master: str) -> None:
        """The master that is followed is of this epoch; raises OSError."""
        with self._lock:
            if epoch > self.epoch:
                self._write(epoch, REPLACED_STATE if self.replaced else CURRENT, master)

    def replace(self, epoch: int, master: str) -> bool:
        """There is a master of this epoch, at that address; whether that was news.

        Raises:
            OSError: it cannot be stored; writes are refused nevertheless.
        """
        with self._lock:
            if epoch <= self.epoch:
                return False
            was_master = self._of_slave is None
            state = REPLACED_STATE if was_master or self.replaced else CURRENT
            self._believe(epoch, state, master)
            self._refuse()
            if was_master:
                self._log.system(f"writes are refused from now on: {self._words()}")
            self._write(epoch, state, master)
            return True

    def lease(self, end: int) -> None:
        """Take writes until this time of `lease_clock`; 0: not any more."""
        with self._lock:
            self._lease_end = end or NEVER
            for database in self._databases:
                database.refuse_writes_from(self._lease_end, LATE)

    @property
    def replaced(self) -> bool:
        """Whether it was a master, and there is another one."""
        return self._state == REPLACED_STATE

    @property
    def leased(self) -> bool:
        """Whether writes need a lease."""
        return self._leased

    def may_write(self) -> bool:
        """Whether writes are taken at the moment."""
        return not self._words() and not self._is_late()

    def _is_late(self) -> bool:
        return self._leased and lease_clock() >= self._lease_end

    def _words(self) -> str:
        if self._of_slave is not None:
            return self._of_slave
        if not self.replaced:
            return ""
        where = f"write to the new one, {self.master}" if self.master else "by one of a later epoch"
        return f"{REPLACED}: {where}"

    def _refuse(self) -> None:
        for database in self._databases:
            database.refuse_writes(self._words())

    def facts(self) -> Iterator[tuple[str, object]]:
        """What the report says of it."""
        yield "repl_epoch", self.epoch
        if self.master:
            yield "repl_epoch_master", self.master
        if self.replaced and self._of_slave is None:
            yield "repl_replaced_by", self.master
        if not self.may_write() or self._of_slave is not None:
            yield "repl_read_only", int(not self.may_write())
        if self._leased:
            now = lease_clock()
            yield "repl_clock", now
            yield "repl_lease", f"{max(self._lease_end - now, 0) / 1e9:.6f}"
