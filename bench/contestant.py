"""One client in a process of its own: `clients.py` tells it over standard input what to do.

    python bench/contestant.py ADAPTER SERVER HOST PORT

Each line in is a JSON list [load, seconds]; each line out is a JSON object with `rate` (times per
second), `cpu_us` (processor time of the client for one time, the kernel's on its behalf included),
`latency_us` (percentiles of single times, measured apart), or null if the client cannot do that
load. The first line out lists the loads.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, perf_counter_ns, process_time
from typing import Any

SAMPLES = 1000


def load_adapter(path: str) -> Any:
    """Import the adapter at `path`."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rate(load: Callable[[int], object], seconds: float) -> dict[str, float]:
    """Times per second and processor time of each, in batches of about a tenth of the time."""
    load(1)
    times, begin, used = 1, perf_counter(), process_time()
    done = 0
    while (elapsed := perf_counter() - begin) < seconds:
        if elapsed < seconds / 10:
            times *= 2
        load(times)
        done += times
    return {"rate": done / elapsed, "cpu_us": (process_time() - used) / done * 1e6}


def latency(load: Callable[[int], object], seconds: float) -> dict[str, float]:
    """Percentiles of the time that one time takes, in microseconds."""
    samples = []
    end = perf_counter() + seconds / 2
    while len(samples) < SAMPLES and (len(samples) < 100 or perf_counter() < end):
        begin = perf_counter_ns()
        load(1)
        samples.append((perf_counter_ns() - begin) / 1000)
    cuts = statistics.quantiles(samples, n=100)
    return {"p50": cuts[49], "p90": cuts[89], "p99": cuts[98]}


def main(adapter: str, server: str, host: str, port: str) -> None:
    """Serve the driver until it closes our standard input."""
    loads = load_adapter(adapter).connect(server, host, int(port))
    print(json.dumps(sorted(loads)), flush=True)
    for line in sys.stdin:
        name, seconds = json.loads(line)
        load = loads.get(name)
        result = load and {**rate(load, seconds), "latency_us": latency(load, seconds)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
