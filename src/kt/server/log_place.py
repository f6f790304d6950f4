"""Which update log has what a file lacks: known by an end that it has had.

The first record of a log's file has a stamp of its own, in microseconds or finer, and so have the
last bytes before its end. So a log is known wherever it was moved or copied to; one that has gone
on is, too; and another one, be it empty or longer, is not taken for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kt.server.engines.log._log import UpdateLog


class LogPlace(NamedTuple):
    """Where an update log ended; nothing is known without arguments.

    Attributes:
        number: of its newest file that had something.
        size: bytes of that.
        first: the stamp of its first record; 0 if it had none, so it may be any log.
        tail: a sum of the last bytes.
        boot: of the machine then, as a number; 0 if that is not known.
    """

    number: int = 0
    size: int = 0
    first: int = 0
    tail: int = 0
    boot: int = 0


def why_another(place: LogPlace, log: UpdateLog, *, all_there: bool) -> str:
    """Why a log cannot be the one that had ended at a place; empty if it can.

    Args:
        place: where.
        log: that is there now.
        all_there: also after a loss of power it has not become shorter.
    """
    if not place.first:
        return ""
    if not LogPlace(*log.place()).first:
        return "it is empty"
    found = LogPlace(*log.place_at(place.number, place.size))
    if not found.first:
        return f"it has no file {place.number}, in which that one ended"
    if found.first != place.first:
        return f"its file {place.number} is another one"
    if found.size < place.size:
        lost = not all_there and 0 not in (place.boot, found.boot) and place.boot != found.boot
        return "" if lost else f"it lacks the last {place.size - found.size} bytes that one had"
    same = found.tail == place.tail
    return "" if same else "it has something else there: it is damaged, or has gone on otherwise"
