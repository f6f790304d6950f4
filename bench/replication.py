"""How fast a slave of Kyoto Tycoon takes what its master has, and how far it is behind meanwhile.

    python bench/replication.py [MASTER:SLAVE ...] [--records 500000] [--rate 50000] [--seconds 5]
    python bench/replication.py --ack [--seconds 5]

MASTER and SLAVE are programs, kt-tycoon or ktserver. For each pair a line tells

- how many records a second a new slave takes of a log that is there already;
- the lag under load: a process of its own sets records at the master at the given rate, 100 at a
  time, while another one writes the time under a key at the master, waits until the slave has it,
  and so on. The table has the median and the 99th percentile, in milliseconds, and the rate that
  was reached.

With `--ack`: how many records a second one client and eight processes set, one record at a time,
and how long each takes, without and with a slave that a kt-tycoon waits for (`-ack 1`).
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import tempfile
from collections.abc import Iterator
from time import perf_counter, sleep

from kt import KT_NONE, EmbeddedServer, KyotoTycoon

BATCH = 100
VALUE = b"v" * 32


def client(address: tuple[str, int]) -> KyotoTycoon:
    return KyotoTycoon(*address, serializer=KT_NONE)


@contextlib.contextmanager
def running(program: str, *args: str) -> Iterator[tuple[str, int]]:
    server = EmbeddedServer(program, database="*", server_args=["-le", *args])
    with server:
        yield server.host, server.port


def follow(master: tuple[str, int], directory: str) -> tuple[str, ...]:
    host, port = master
    return ("-mhost", host, "-mport", str(port), "-rts", f"{directory}/rts", "-sid", "2")


def fill(master: tuple[str, int], records: int) -> None:
    with client(master) as db:
        for begin in range(0, records, 1000):
            db.set_bulk({b"%08d" % i: VALUE for i in range(begin, begin + 1000)})


def throughput(slave: tuple[str, int], records: int, begun: float) -> float:
    """Records a second, from the start of the slave on."""
    with client(slave) as db:
        while db.count() < records:
            sleep(0.002)
    return records / (perf_counter() - begun)


def load(master: tuple[str, int], rate: int, seconds: float, reached: object) -> None:
    """Set records at this rate; tells how many it were a second."""
    with client(master) as db:
        begin = perf_counter()
        done = 0
        while (passed := perf_counter() - begin) < seconds:
            if done > passed * rate:
                sleep(0.0005)
                continue
            db.set_bulk({b"%08d" % (i % 1_000_000): VALUE for i in range(done, done + BATCH)})
            done += BATCH
        reached.value = done / (perf_counter() - begin)  # type: ignore[attr-defined]


def lags(master: tuple[str, int], slave: tuple[str, int], seconds: float) -> list[float]:
    """Milliseconds from the acknowledgement at the master until the slave has it."""
    found = []
    with client(master) as first, client(slave) as second:
        begin = perf_counter()
        number = 0
        while perf_counter() - begin < seconds:
            number += 1
            value = b"%d" % number
            first.set(b"probe", value)
            written = perf_counter()
            while second.get(b"probe") != value:
                sleep(0.0002)
            found.append((perf_counter() - written) * 1000)
    return sorted(found)


def measure(pair: str, records: int, rate: int, seconds: float) -> str:
    master, slave = pair.split(":")
    with (
        tempfile.TemporaryDirectory() as directory,
        running(master, "-ulog", f"{directory}/log", "-sid", "1") as first,
    ):
        fill(first, records)
        sleep(0.3)  # the original writes its log ten times a second
        begun = perf_counter()
        with running(slave, *follow(first, directory)) as second:
            taken = throughput(second, records, begun)
            reached = multiprocessing.Value("d", 0.0)
            writer = multiprocessing.Process(target=load, args=(first, rate, seconds, reached))
            writer.start()
            found = lags(first, second, seconds)
            writer.join()
    middle, last = found[len(found) // 2], found[len(found) * 99 // 100]
    return f"{pair:24} {taken:10,.0f} {middle:9.1f} {last:9.1f} {reached.value:10,.0f}"


def set_records(master: tuple[str, int], number: int, seconds: float, found: object) -> None:
    """Set one record after the other; tells how many microseconds each has taken."""
    took = []
    with client(master) as db:
        db.set(b"first", VALUE)
        end = perf_counter() + seconds
        while (begun := perf_counter()) < end:
            db.set(b"%d-%d" % (number, len(took)), VALUE)
            took.append((perf_counter() - begun) * 1e6)
    found.put(took)  # type: ignore[attr-defined]


def acknowledged(ack: int, clients: int, seconds: float) -> str:
    with (
        tempfile.TemporaryDirectory() as directory,
        running("kt-tycoon", "-ulog", f"{directory}/log", "-sid", "1", "-ack", str(ack)) as master,
        running("kt-tycoon", *follow(master, directory)),
    ):
        with client(master) as db:
            while "slave_0" not in db.report():
                sleep(0.01)
        queue: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
        writers = [
            multiprocessing.Process(target=set_records, args=(master, number, seconds, queue))
            for number in range(clients)
        ]
        for writer in writers:
            writer.start()
        found = sorted(took for _ in writers for took in queue.get())
        for writer in writers:
            writer.join()
    middle, last = found[len(found) // 2], found[len(found) * 99 // 100]
    return f"{ack:4} {clients:8} {len(found) / seconds:10,.0f} {middle:9,.0f} {last:9,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pairs", nargs="*", default=["kt-tycoon:kt-tycoon"])
    parser.add_argument("--records", type=int, default=500_000)
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--ack", action="store_true")
    arguments = parser.parse_args()
    if arguments.ack:
        print(f"{'ack':>4} {'clients':>8} {'records/s':>10} {'us':>9} {'p99, us':>9}")
        for clients, ack in ((1, 0), (1, 1), (8, 0), (8, 1)):
            print(acknowledged(ack, clients, arguments.seconds), flush=True)
        return
    print(f"{'master:slave':24} {'records/s':>10} {'lag, ms':>9} {'p99, ms':>9} {'load/s':>10}")
    for pair in arguments.pairs:
        print(measure(pair, arguments.records, arguments.rate, arguments.seconds), flush=True)


if __name__ == "__main__":
    main()
