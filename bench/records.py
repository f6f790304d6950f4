"""The records that every client in the comparison works on."""

from os import getpid

KEYS = [f"key{number:08d}" for number in range(1000)]
VALUES = [f"value {number} ".ljust(32, "-") for number in range(1000)]
COUNTERS = [f"counter{number}" for number in range(10)]
"""Written by `incr` alone: they have no value beforehand."""
SWAPPED = f"swapped{getpid()}"
"""Written by this client's `cas`: set to `TICK` first, it goes to `TOCK` and back."""
TICK, TOCK = "tick", "tock"
DEPTH = 100
"""Requests under way in the loads `pipeline` and `tasks`."""
