"""The records that every client in the comparison works on."""

KEYS = [f"key{number:08d}" for number in range(1000)]
VALUES = [f"value {number} ".ljust(32, "-") for number in range(1000)]
COUNTERS = [f"counter{number}" for number in range(10)]
"""Written by `incr` alone: they have no value beforehand."""
SWAPPED = "swapped"
"""Written by `cas` alone: it goes from `TICK` to `TOCK` and back, and begins as `TICK`."""
TICK, TOCK = "tick", "tock"
DEPTH = 100
"""Requests under way in the loads `pipeline` and `tasks`."""
