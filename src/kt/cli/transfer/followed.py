"""What changes at a Kyoto Tycoon while it is copied, and afterwards: carried out there, too.

Changes are states, so it does no harm to carry one out again: whoever is interrupted goes on behind
the last one that is known to be done.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeAlias

from kt.cli.faults import Usage
from kt.cli.transfer.batches import packed
from kt.cli.transfer.running import State, bunches
from kt.cli.transfer.sinks import Sink
from kt.cli.transfer.sources import Source
from kt.client.expiry import NO_EXPIRY
from kt.errors import ServerError
from kt.options import Since
from kt.types import Change, What

if TYPE_CHECKING:
    from kt.client.tycoon.changes import TycoonChanges

BUNCH: Final = 1000
"""Changes that are carried out at once, at most."""
QUIET: Final = 1.0
"""Seconds: if nothing has come for so long, or the last change is no older, both are even."""

PERSISTENT: Final = 2
"""The flag in the status of a database in which nothing expires."""

Placed: TypeAlias = tuple[Change[bytes, bytes], str]
"""A change, and where to go on behind it."""


class Following:
    """See the module's docstring.

    Args:
        source: where it changes.
        databases: of the source, that are wanted.
        sink: where it is carried out.
        quiet: do not say when both are even.
    """

    def __init__(self, source: Source, databases: Sequence[int], sink: Sink, quiet: bool) -> None:
        if source.target.kind == "tyrant":
            raise Usage("--follow is for Kyoto Tycoon, whose update log has values, not commands")
        if source.filtered or sink.mode == "keep":
            raise Usage("--follow takes all that changes: not with --prefix, --regex or --keep")
        self._client, self._url = source.target.tycoon, source.target.url
        self._databases = databases
        self._sink = sink
        self._quiet = quiet

    def now(self) -> str:
        """Where to begin later, to have all that changes from now on."""
        try:
            with self._feed(Since.NOW) as feed:
                assert feed.position is not None
                return feed.position
        except ServerError as error:
            raise Usage(f"{self._url} keeps no update log, or not for us: {error}") from None

    def run(self, state: State, until_even: bool) -> None:
        """Carry out what changes, for ever or until both are even.

        Args:
            state: knows where to begin, and is told how far it has come.
            until_even: end then.
        """
        self._sink.mode = "overwrite"
        try:
            self._follow(state, until_even)
        except BaseException:
            state.save()
            raise

    def _follow(self, state: State, until_even: bool) -> None:
        was_even = False
        with self._feed(state.members["since"]) as feed:
            for bunch in bunches(_placed(feed), BUNCH, QUIET, feed.close):
                self._carry_out([change for change, _ in bunch])
                if bunch:
                    last, since = bunch[-1]
                    state.reached(since=since, copied=True)
                even = not bunch or time.time() - last.stamp / 1e9 < QUIET
                if even and not was_even and not self._quiet:
                    print("copy: both are even", file=sys.stderr, flush=True)
                was_even = was_even or even
                if even and until_even:
                    return

    def _feed(self, since: Since | str) -> TycoonChanges[bytes, bytes]:
        client = self._client
        persistent = [
            db for db in self._databases if int(client.status(db).get("ktopts", 0)) & PERSISTENT
        ]
        return client.changes(since=since, db=self._databases, persistent=persistent)

    def _carry_out(self, changes: Sequence[Change[bytes, bytes]]) -> None:
        for (db, what), group in groupby(changes, lambda change: (change.db, change.what)):
            if what is What.SET:
                states = {one.key or b"": (one.value or b"", _xt(one.expiry)) for one in group}
                self._sink.replace(packed(db, [(key, *state) for key, state in states.items()]))
            elif what is What.REMOVE:
                self._sink.remove(db, [one.key or b"" for one in group])
            elif what is What.CLEAR:
                self._sink.clear(db)


def _placed(feed: TycoonChanges[bytes, bytes]) -> Generator[Placed, None, None]:
    for change in feed:
        assert feed.position is not None
        yield change, feed.position


def _xt(expiry: int | None) -> int:
    return NO_EXPIRY if expiry is None else expiry
