"""How long requests took, as the bundled servers tell it: see `kt.server.times`."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import NamedTuple


class Times(NamedTuple):
    """A histogram.

    Attributes:
        limits: of its places, in seconds, rising; the last one is infinity.
        counts: how many requests took less than that, and not less than the limit before.
        seconds: that all of them took together.
    """

    limits: tuple[float, ...]
    counts: tuple[int, ...]
    seconds: float

    def since(self, before: Times) -> Times:
        """What has come since another look at the same server."""
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        return Times(self.limits, counts, self.seconds - before.seconds)

    def below(self, share: float) -> float | None:
        """A time in seconds that this share of the requests did not take; None without any."""
        total = sum(self.counts)
        wanted, seen = share * total, 0
        for limit, count in zip(self.limits, self.counts, strict=True):
            seen += count
            if total and seen >= wanted:
                return limit
        return None

    def above(self, seconds: float) -> int:
        """How many requests took longer, as far as the limits tell: from the next one on."""
        pairs = zip((0.0, *self.limits), self.counts, strict=False)
        return sum(count for least, count in pairs if least >= seconds)


def times_of(report: Mapping[str, int | float | str]) -> Times | None:
    """What a report or a status holds; None if the server does not tell."""
    text = report.get("serv_times", report.get("times"))
    if text is None:
        return None
    parts = dict(part.partition("=")[::2] for part in str(text).split())
    places = [name for name in parts if name.endswith("us")]
    limits = (*(int(name.removesuffix("us")) / 1e6 for name in places), inf)
    counts = tuple(int(parts[name]) for name in (*places, "more"))
    return Times(limits, counts, float(parts["seconds"]))
