"""The verb `changes`: what a server changes, as it happens, one JSON object in each line.

A line is written and handed on before the next change is asked for, and only then its position goes
to the file of ``--position``. So whoever is stopped anywhere and goes on with that file sees each
change at least once, in order: the last one possibly twice.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kt.cli.commands import Call, flag, option, verb
from kt.cli.faults import Usage
from kt.log.showing import change_json
from kt.options import Since

if TYPE_CHECKING:
    from kt.client.tycoon.changes import TycoonChanges
    from kt.client.tyrant.changes import TyrantChanges


class Place:
    """A file that says how far a reader has come; None for none."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)

    def read(self) -> str | None:
        """The position in the file; None if there is no file yet."""
        if self._path is None or not self._path.exists():
            return None
        position = self._path.read_text("utf-8", "replace").strip()
        if not position.startswith(("tycoon:", "tyrant:")):
            raise Usage(f"{self._path} holds no position; remove it to begin at --since")
        return position

    def write(self, position: str | None) -> None:
        """Put a position into the file, whole or not at all."""
        if self._path is None or position is None:
            return
        new = self._path.with_name(f"{self._path.name}.new")
        new.write_text(f"{position}\n", "utf-8")
        new.replace(self._path)


def since_of(text: str) -> Since | datetime | str:
    """What `--since` means: now, oldest, a position, or a time (ISO 8601, local unless it says)."""
    if text in (Since.NOW.value, Since.OLDEST.value):
        return Since(text)
    if text.startswith(("tycoon:", "tyrant:")):
        return text
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise Usage(f"--since takes now, oldest, a position or a time, not {text!r}") from None


def _feed(
    call: Call,
    since: Since | datetime | str,
    prefix: str | None,
    sid: tuple[int, ...],
    everything: bool,
    give_up: float | None,
) -> TycoonChanges[bytes, bytes] | TyrantChanges[bytes, bytes]:
    target = call.target
    start = None if prefix is None else os.fsencode(prefix)
    if target.kind == "tyrant":
        return target.tyrant.changes(
            since=since, sid=sid or None, prefix=start, everything=everything, give_up=give_up
        )
    if everything:
        raise Usage("--everything is for Tokyo Tyrant: Kyoto Tycoon logs what is changed only")
    index = target.tycoon.default_db
    db = index if call.names_db or index else None
    return target.tycoon.changes(since=since, sid=sid or None, db=db, prefix=start, give_up=give_up)


@verb(
    option("since", "--since", default="now", help="now, oldest, a position, or a time."),
    option("place", "--position", help="FILE that keeps the position; goes on from there."),
    option("prefix", "--prefix", help="Only keys that begin so, and what has no key."),
    option("sid", "--sid", type=int, multiple=True, help="Only done first at this server."),
    flag("everything", "--everything", help="Also what changes nothing (Tokyo Tyrant)."),
    option("number", "-n", "--count", type=int, help="End after so many changes."),
    option("give_up", "--give-up", type=float, help="Seconds without a server; without: for ever."),
)
def do_changes(
    call: Call,
    since: str,
    place: str | None,
    prefix: str | None,
    sid: tuple[int, ...],
    everything: bool,
    number: int | None,
    give_up: float | None,
) -> None:
    """Follow a server with an update log: each change is a line of JSON, until Ctrl-C.

    A lost connection is made again. Without --db, changes of all databases come. With --position
    FILE it goes on where it was; --since counts where there is no such file yet.
    """
    if number is not None and number < 1:
        raise Usage("--count is 1 or more")
    keeper = Place(place)
    begin = keeper.read() or since_of(since)
    with _feed(call, begin, prefix, sid, everything, give_up) as feed:
        keeper.write(feed.position)
        for done, change in enumerate(feed, 1):
            record = change_json(change)
            call.out.object({**record, "position": feed.position})
            sys.stdout.flush()
            keeper.write(feed.position)
            if done == number:
                break
