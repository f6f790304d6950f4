"""How long requests take, as the servers tell it: one text, to be read by programs.

``count=3 seconds=0.000123 1us=0 2us=0 4us=1 ... 8388608us=0 more=0``: so many requests, which took
so long all together; of them so many took less than that many microseconds and not less than half
of it. What is measured is the time from taking up a request until its reply is ready to be sent,
with what it changed in the update log: the time in worker threads and in their queue is in it, the
way through sockets is not. Requests that came together and were answered at once count with the
time of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence


def text(counts: Sequence[int], seconds: float) -> str:
    """Return the text for a histogram of an engine's core."""
    parts = [f"count={sum(counts)}", f"seconds={seconds:.6f}"]
    parts += [f"{1 << place}us={count}" for place, count in enumerate(counts[:-1])]
    return " ".join([*parts, f"more={counts[-1]}"])
