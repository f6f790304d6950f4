"""Changes out of log files, with the positions that the servers' streams have."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from datetime import datetime
from functools import partial
from os import PathLike
from typing import Any, Generic, Self

from kt.client.changes_values import decoded, selection
from kt.client.values import Values
from kt.errors import ArgumentError, LogGapError
from kt.log.files import Damage, Entry, Kind, LogFile, find_files
from kt.moments import nanoseconds
from kt.options import Since
from kt.serializers import KT_BINARY, Serializer
from kt.types import Change, K, Key, V
from kt.wire.log.positions import TycoonFollower, TyrantFollower
from kt.wire.log.tyrant import NANOSECONDS


class LogChanges(Generic[K, V]):
    """Changes out of log files, in order. An iterator; `position` says how far it has come."""

    def __init__(
        self,
        entries: Iterator[Entry],
        follower: TycoonFollower | TyrantFollower,
        takes: Callable[[Change[bytes, bytes]], bool],
        decode: Callable[[Change[bytes, bytes]], Change[K, V]],
    ) -> None:
        self._entries = entries
        self._follower = follower
        self._takes = takes
        self._decode = decode

    @property
    def position(self) -> str:
        """Where to go on when the changes so far are done: a value for `since`."""
        return self._follower.position

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change[K, V]:
        for entry in self._entries:
            if self._takes(entry.change):
                return self._decode(entry.change)
        raise StopIteration


def read_changes(
    *paths: str | PathLike[str],
    since: Since | datetime | str = Since.OLDEST,
    sid: int | Iterable[int] | None = None,
    db: int | Iterable[int] | None = None,
    prefix: Key | None = None,
    everything: bool = False,
    persistent: Container[int] = (),
    serializer: Serializer[Any] = KT_BINARY,
    decode_keys: bool = True,
    skip_damage: bool = False,
) -> LogChanges[Any, Any]:
    """Return the changes in log files of one server, in order.

    Args:
        paths: folders with logs, or files in the order of the log.
        since: a position of this iterator or of a client's `changes`; a time (aware); OLDEST.
        sid: only changes that were done first at the server with this id, or with one of these.
        db: only changes of this database, or of one of these (Kyoto Tycoon).
        prefix: only changes of keys that begin so, and those that belong to no key, as clear.
        everything: also commands of Tokyo Tyrant that change no record.
        persistent: databases of Kyoto Tycoon with ``ktopts=p``, whose records have no expiry.
        serializer: how values become what they were; KT_NONE leaves bytes.
        decode_keys: keys are str, otherwise bytes.
        skip_damage: leave out what is damaged instead of raising LogDamageError there.

    Raises:
        ArgumentError: these are no log files, or of both servers, or `since` does not fit them.
        LogGapError: while iterating: a file is missing, or what comes after `since`.
        LogDamageError: while iterating: something is no record.
    """
    files = [file for file in find_files(paths) if file.kind is not Kind.SNAPSHOT]
    if not files:
        raise ArgumentError(f"there are no log files in {', '.join(map(str, paths)) or 'nothing'}")
    if len({file.kind for file in files}) > 1:
        raise ArgumentError("logs of both servers cannot be read in one go")
    follower = _follower(files[0].kind, since)
    return LogChanges(
        _new_entries(files, follower, persistent, skip_damage),
        follower,
        selection(sid, db, prefix, everything).takes,
        partial(decoded, values=Values(serializer), decode_keys=decode_keys),
    )


def read_snapshot(
    path: str | PathLike[str],
    *,
    persistent: Container[int] = (),
    serializer: Serializer[Any] = KT_BINARY,
    decode_keys: bool = True,
) -> Iterator[Change[Any, Any]]:
    """Yield the records of a snapshot of Kyoto Tycoon, as changes that set them.

    Raises:
        ArgumentError: it is no snapshot.
        LogDamageError: it is damaged, or has fewer records than it says. What comes before is
            yielded.
        ImproperlyConfigured: its compressor is not installed.
    """
    file = LogFile(str(path))
    if file.kind is not Kind.SNAPSHOT:
        raise ArgumentError(f"{path} is no snapshot")
    values = Values(serializer)
    for entry in file.entries(persistent):
        if isinstance(entry, Damage):
            raise entry.error()
        yield decoded(entry.change, values, decode_keys)


def _follower(kind: Kind, since: Since | datetime | str) -> TycoonFollower | TyrantFollower:
    if since is Since.NOW:
        raise ArgumentError("files have no present: read from a time, a position, or OLDEST")
    if isinstance(since, str):
        return TycoonFollower(since) if kind is Kind.TYCOON else TyrantFollower(since)
    stamp = nanoseconds(since) if isinstance(since, datetime) else 0
    if kind is Kind.TYCOON:
        return TycoonFollower.after(stamp - 1)
    return TyrantFollower.at(stamp // NANOSECONDS)


def _new_entries(
    files: list[LogFile],
    follower: TycoonFollower | TyrantFollower,
    persistent: Container[int],
    skip_damage: bool,
) -> Iterator[Entry]:
    """Yield the records that the follower has not had."""
    begin = follower.begin()
    unit = 1 if isinstance(follower, TycoonFollower) else NANOSECONDS
    first = begin + 1 if isinstance(follower, TycoonFollower) else begin
    for previous, file in zip([None, *files], files, strict=False):
        if previous is not None and file.number > previous.number + 1:
            raise LogGapError(
                f"between {previous.path} and {file.path} files are missing",
                oldest=_oldest(file, persistent),
            )
        for entry in file.entries(persistent):
            if isinstance(entry, Damage):
                if not skip_damage:
                    raise entry.error()
            elif (stamp := entry.change.stamp // unit) >= first and follower.take(stamp):
                yield entry
    follower.end()


def _oldest(file: LogFile, persistent: Container[int]) -> str:
    """Return the position at the begin of a file."""
    for entry in file.entries(persistent):
        if isinstance(entry, Entry):
            if file.kind is Kind.TYCOON:
                return TycoonFollower.after(entry.change.stamp - 1).position
            return TyrantFollower.at(entry.change.stamp // NANOSECONDS).position
    return TycoonFollower.after(0).position if file.kind is Kind.TYCOON else "tyrant:1"
