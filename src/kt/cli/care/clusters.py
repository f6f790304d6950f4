"""What a gateway tells of the clusters that its databases are on.

Its report has ``cluster_0`` and so on, each a text of ``NAME=NUMBER`` with spaces between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

SLOTS: Final = 16384
"""So many slots a cluster has."""


class ClusterSample(NamedTuple):
    """What goes on between a gateway and a cluster.

    Attributes:
        nodes: that the cluster has.
        masters: of them, those that have slots.
        replicas: of them, those that follow a master and are not lost.
        slots: that are served, of 16384.
        retries: commands per second that were tried again, by the reason; those of reasons that
            there were at least once.
        connections: to PostgreSQL; None where it is another engine.
        ack: seconds that replicas took to confirm writes, on average; None where none had to.
    """

    nodes: int
    masters: int
    replicas: int
    slots: int
    retries: dict[str, float]
    ack: float | None
    connections: int | None = None


def clusters_of(
    before: Mapping[str, object], after: Mapping[str, object], seconds: float
) -> list[ClusterSample]:
    """What two reports say, with the time between them; nothing of another server."""
    then = dict(numbers_of(before))
    return [_sample(then.get(index, {}), now, seconds) for index, now in numbers_of(after)]


def numbers_of(report: Mapping[str, object]) -> Iterator[tuple[int, dict[str, float]]]:
    """The number of each database of a gateway, with what is told of its cluster."""
    for index in range(len(report)):
        if (name := f"cluster_{index}") in report:
            yield index, _numbers(report[name])


def _numbers(text: object) -> dict[str, float]:
    found = {}
    for word in str(text).split():
        name, _, number = word.partition("=")
        found[name] = float(number)
    return found


def _sample(then: dict[str, float], now: dict[str, float], seconds: float) -> ClusterSample:
    since = {name: number - then.get(name, 0) for name, number in now.items()}
    rates = {
        name.removeprefix("retries_"): round(number / max(seconds, 1e-6), 1)
        for name, number in since.items()
        if name.startswith("retries_")
    }
    acks = since.get("acks", 0)
    return ClusterSample(
        nodes=int(now.get("nodes", 0)),
        masters=int(now.get("masters", 0)),
        replicas=int(now.get("replicas", 0)),
        slots=int(now.get("slots", 0)),
        retries=rates,
        ack=since["ack_seconds"] / acks if acks > 0 else None,
        connections=int(now["connections"]) if "connections" in now else None,
    )


def cluster_text(number: int, now: ClusterSample) -> str:
    """A sample as a line of text, without the time of confirmations."""
    if now.connections is not None:
        parts = [f"cluster {number}: PostgreSQL", f"{now.connections} connections"]
        return ", ".join([*parts, *_rates(now)])
    slots = "all slots served" if now.slots == SLOTS else f"{now.slots} of {SLOTS} slots served"
    parts = [f"cluster {number}: {now.masters} masters", f"{now.replicas} replicas", slots]
    return ", ".join([*parts, *_rates(now)])


def _rates(now: ClusterSample) -> list[str]:
    """How often which commands were tried again, if at all."""
    return [f"{kind} {rate:.1f}/s" for kind, rate in sorted(now.retries.items()) if rate]
