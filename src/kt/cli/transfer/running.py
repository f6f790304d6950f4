"""A transfer while it runs: the source in a thread of its own, progress, and where to go on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from kt.cli.output import json_value
from kt.cli.transfer.batches import Batch

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

DEPTH: Final = 8
"""Batches that wait between the source and the sink."""
PATIENCE: Final = 0.2
"""Seconds until a thread that waits looks whether the other one has ended."""
SAVE_EVERY: Final = 1.0


class _End:
    """What the source's thread leaves last: its error, if it had one."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Fetcher(Generic[T]):
    """Fetches items in a thread while its context lasts, which gets the queue that they are put in.

    Args:
        items: to be fetched.
        depth: how many wait at most.
        stop: called at the end, to let `items` end that wait for something.
    """

    def __init__(
        self,
        items: Generator[T, None, None],
        depth: int,
        stop: Callable[[], object] = lambda: None,
    ) -> None:
        self._queue: Queue[T | _End] = Queue(depth)
        self._stopped = Event()
        self._items = items
        self._stop = stop
        self._thread = Thread(target=self._fetch, name="kt-source", daemon=True)

    def __enter__(self) -> Queue[T | _End]:
        self._thread.start()
        return self._queue

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._stop()
        self._thread.join()

    def _fetch(self) -> None:
        error = None
        try:
            with closing(self._items) as items:  # its connection goes back in this thread
                for item in items:
                    if not self._put(item):
                        return
        except BaseException as raised:  # noqa: BLE001 - it is raised in the other thread
            error = raised
        self._put(_End(error))

    def _put(self, item: T | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=PATIENCE)
            except Full:
                continue
            return True
        return False


def ahead(batches: Generator[Batch, None, None]) -> Iterator[Batch]:
    """Yield batches that a thread fetches meanwhile."""
    with _Fetcher(batches, DEPTH) as queue:
        while not isinstance(item := _taken(queue), _End):
            yield item
        if item.error is not None:
            raise item.error


def _taken(queue: Queue[Batch | _End]) -> Batch | _End:
    while True:
        try:
            return queue.get(timeout=60)  # with a timeout, so that Ctrl-C ends it
        except Empty:
            continue


def bunches(
    items: Generator[T, None, None], most: int, seconds: float, stop: Callable[[], object]
) -> Iterator[list[T]]:
    """Yield what a thread has fetched meanwhile, for ever.

    Args:
        items: come when they come.
        most: items at once.
        seconds: after so many without any, what is yielded is empty.
        stop: lets `items` end.
    """
    with _Fetcher(items, most, stop) as queue:
        while True:
            bunch: list[T] = []
            with suppress(Empty):
                item = queue.get(timeout=seconds)
                while not isinstance(item, _End):
                    bunch.append(item)
                    if len(bunch) == most:
                        break
                    item = queue.get_nowait()
                else:
                    raise item.error or EOFError("there are no more changes")
            yield bunch


class Meter:
    """Counts what has been done and shows it: a bar on a terminal, one line at the end.

    Args:
        what: the verb.
        total: how many records there will be; None if nobody knows.
        quiet: show nothing.
    """

    def __init__(self, what: str, total: int | None, quiet: bool) -> None:
        self._what = what
        self._quiet = quiet
        self._begin = monotonic()
        self._bar: Progress | None = None
        self._task: Any = None
        self.records = 0
        if not quiet and sys.stderr.isatty():
            self._show_bar(total)

    def _show_bar(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,} records, {task.fields[rate]:,}/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(self._what, total=total, rate=0)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None and not self._quiet:
            print(
                f"{self._what}: {self.records:,} records in {self.seconds:.1f} s, "
                f"{self.rate:,} per second",
                file=sys.stderr,
            )

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return monotonic() - self._begin

    @property
    def rate(self) -> int:
        """Records per second."""
        return int(self.records / max(self.seconds, 1e-6))

    def add(self, records: int) -> None:
        """Count records that are done."""
        self.records += records
        if self._bar is not None:
            self._bar.update(self._task, advance=records, rate=self.rate)


class State:
    """Where an interrupted transfer goes on: a file that is there as long as it is not complete.

    Args:
        path: the file; None to keep nothing.
        between: what is being transferred; a state of something else is refused.
    """

    def __init__(self, path: str | None, between: dict[str, str]) -> None:
        self._path = path
        self._between = between
        self._saved = monotonic()
        self._kept: dict[str, Any] = {}
        self.members: dict[str, Any] = {}
        if path is not None and os.path.exists(path):
            from kt.cli.faults import Usage

            with open(path, encoding="utf-8") as file:
                found = json.load(file)
            if found.get("between") != between:
                raise Usage(f"{path} is of another transfer: {found.get('between')}")
            self.members = found["members"]

    def keep(self, **members: Any) -> None:
        """Remember this besides how far it has come."""
        self._kept = members

    def reached(self, **members: Any) -> None:
        """Remember how far it has come; written now and then."""
        known = {**self._kept, **members}
        self.members = {name: json_value(value) for name, value in known.items()}
        if monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self._saved = monotonic()
        if self._path is None or not self.members:
            return
        with open(f"{self._path}.new", "w", encoding="utf-8") as file:
            json.dump({"between": self._between, "members": self.members}, file)
        os.replace(f"{self._path}.new", self._path)

    def finished(self) -> None:
        """Remove the file."""
        if self._path is not None and os.path.exists(self._path):
            os.remove(self._path)


def run(batches: Generator[Batch, None, None], work: Callable[[Batch], int], meter: Meter) -> None:
    """Give every batch to `work`, which says how many records it did."""
    for batch in ahead(batches):
        meter.add(work(batch))
