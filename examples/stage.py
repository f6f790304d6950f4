"""How the examples speak: headings, lines with times, lists and a progress bar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

console = Console(highlight=False)


class Line:
    """What one timed step has to say: set `result` within the step."""

    def __init__(self) -> None:
        self.result = ""
        self.count = 0


def chapter(title: str) -> None:
    console.print()
    console.rule(f"[bold]{title}", align="left")


def say(text: str) -> None:
    console.print(f"{'':10}{text}", markup=False)


def seconds(value: float) -> str:
    """A duration with three significant digits and a unit one can read."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


@contextmanager
def timed(what: str) -> Iterator[Line]:
    """Print how long the block took, `what`, and its result; with `count`, how many a second."""
    line = Line()
    began = perf_counter()
    yield line
    took = perf_counter() - began
    speed = f"\n[dim]{line.count / took:,.0f} a second" if line.count else ""
    row = Table.grid(padding=(0, 1))
    row.add_column(width=9, justify="right", style="dim")
    row.add_column(width=36)
    row.add_column(ratio=1, overflow="fold", style="green")
    row.add_row(seconds(took), what, escape(line.result) + speed)
    console.print(row)


def listing(items: Iterable[object], more: int = 0) -> None:
    """Print items below the line that found them, and how many are not shown."""
    for item in items:
        console.print(f"{'':12}{item}", markup=False, style="cyan")
    if more:
        console.print(f"{'':12}… and {more:,} more", style="dim")


def progress() -> Progress:
    return Progress(
        TextColumn(f"{'':9}{{task.description}}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.percentage:.0f} %"),
        console=console,
    )
