"""Plots of what `clients.py` and `servers.py` have measured: throughput and latency percentiles.

    python bench/plot.py RESULTS.json PLOT.svg

The file may be one or the other's ``--json``. Bars show medians, whiskers the lowest and highest of
the rounds; dots show the median and triangles the 99th percentile of the latency.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

COLOURS = ["#9aa0a6", "#1a73e8", "#8ab4f8", "#188038", "#81c995", "#e8710a", "#a142f4"]


def bars(axes: Any, labels: list[str], series: dict[str, list[dict[str, float] | None]]) -> None:
    """Draw one group of bars per label, one bar per series; figures relative to the first one's."""
    width = 0.8 / len(series)
    for index, (title, figures) in enumerate(series.items()):
        for position, figure in enumerate(figures):
            if figure is None:
                continue
            base = next(iter(series.values()))[position]
            assert base is not None
            height = figure["median"] / base["median"]
            whiskers = [
                [height - figure["lowest"] / base["median"]],
                [figure["highest"] / base["median"] - height],
            ]
            axes.bar(
                position + (index - (len(series) - 1) / 2) * width,
                height,
                width,
                color=COLOURS[index % len(COLOURS)],
                label=title if position == 0 else None,
                yerr=whiskers,
                error_kw={"elinewidth": 0.7, "capsize": 1.5},
            )
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.axhline(1, color="#5f6368", linewidth=0.7)
    axes.legend(frameon=False, ncols=len(series))
    axes.set_ylabel(f"relative to {next(iter(series))}")


def dots(axes: Any, labels: list[str], series: dict[str, list[dict[str, float] | None]]) -> None:
    """Draw the median and the 99th percentile of the latency, in microseconds."""
    width = 0.8 / len(series)
    for index, (title, figures) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        places = [
            (position + (index - (len(series) - 1) / 2) * width, figure)
            for position, figure in enumerate(figures)
            if figure is not None
        ]
        for name, marker in (("p50", "o"), ("p99", "^")):
            axes.plot(
                [place for place, _ in places],
                [figure[name] for _, figure in places],
                marker,
                color=colour,
                markersize=4,
                label=f"{title}, {name}",
            )
    axes.set_yscale("log")
    axes.set_ylabel("latency, µs")
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")


def plot_clients(report: dict[str, Any], target: Path) -> None:
    """Draw the results of `clients.py`."""
    results = report["results"]
    figure, axes = plt.subplots(
        2, len(results), figsize=(8 * len(results), 9), squeeze=False, layout="constrained"
    )
    for column, (server, rows) in enumerate(results.items()):
        titles = list(dict.fromkeys(title for row in rows for title in row["clients"]))
        labels = [row["load"] for row in rows]
        series = {title: [row["clients"].get(title) for row in rows] for title in titles}
        axes[0][column].set_title(f"{server}: throughput")
        bars(axes[0][column], labels, series)
        axes[1][column].set_title(f"{server}: latency")
        dots(axes[1][column], labels, series)
    figure.suptitle(report["machine"], fontsize="small")
    figure.savefig(target)


def plot_servers(report: dict[str, Any], target: Path) -> None:
    """Draw the results of `servers.py`."""
    figure, axes = plt.subplots(
        2, len(report), figsize=(8 * len(report), 9), squeeze=False, layout="constrained"
    )
    for column, (server, result) in enumerate(report.items()):
        names = result["titles"][::-1]
        database = result["rows"][0]["database"]
        rows = [row for row in result["rows"] if row["database"] == database]
        labels = [row["load"] for row in rows]
        series: dict[str, list[dict[str, float] | None]] = {
            name: [
                {**row[name], "p50": row[name]["p50_us"], "p99": row[name]["p99_us"]}
                for row in rows
            ]
            for name in names
        }
        axes[0][column].set_title(f"{server}, database {database}: throughput")
        bars(axes[0][column], labels, series)
        axes[0][column].set_yscale("log", base=2)
        axes[0][column].set_ylim(bottom=0.5)
        axes[0][column].yaxis.set_major_formatter("{x:g}")
        axes[1][column].set_title(f"{server}, database {database}: latency")
        dots(axes[1][column], labels, series)
        figure.suptitle(result["machine"], fontsize="small")
    figure.savefig(target)


def main() -> None:
    """Parse the command line and draw."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: plot.py RESULTS.json PLOT.svg")
    report = json.loads(Path(sys.argv[1]).read_text())
    (plot_clients if "results" in report else plot_servers)(report, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
