"""How the examples speak: headings, lines with times, lists and a progress bar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console
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
    console.print(f"  {text}", markup=False)


def seconds(value: float) -> str:
    """A duration with three significant digits and a unit one can read."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


@contextmanager
def timed(what: str) -> Iterator[Line]:
    """Print `what`, its result and how long the block took; with `count`, how many a second."""
    line = Line()
    began = perf_counter()
    yield line
    took = perf_counter() - began
    speed = seconds(took)
    if line.count:
        speed += f", {line.count / took:,.0f} a second"
    console.print(f"  {what:<46} [green]{line.result}[/]  [dim]{speed}[/]")


def listing(items: Iterable[object], more: int = 0) -> None:
    """Print items below the line that found them, and how many are not shown."""
    for item in items:
        console.print(f"      {item}", markup=False, style="cyan")
    if more:
        console.print(f"      … and {more:,} more", style="dim")


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    shown = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        shown.add_column(column)
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    console.print(shown)


def progress() -> Progress:
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.percentage:.0f} %"),
        console=console,
    )
