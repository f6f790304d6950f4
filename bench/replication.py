"""How fast a slave of Kyoto Tycoon takes what its master has, and how far it is behind meanwhile.

    python bench/replication.py [MASTER:SLAVE ...] [--records 500000] [--rate 50000] [--seconds 5]
    python bench/replication.py --ack [--seconds 5]
    python bench/replication.py --copy [--records 1000000]

MASTER and SLAVE are programs, kt-tycoon or ktserver, or both redis-server. For each pair a line
tells

- how many records a second a new slave takes of a log that is there already;
- the lag under load: a process of its own sets records at the master at the given rate, 100 at a
  time, while another one writes the time under a key at the master, waits until the slave has it,
  and so on. The table has the median and the 99th percentile, in milliseconds, and the rate that
  was reached.

With `--ack`: how many records a second one client and eight processes set, one record at a time,
and how long each takes, without and with a slave that a kt-tycoon waits for (`-ack 1`).

With `--copy`: what a client notices of a full copy, which sets one record after the other: how many
a second, and how long each takes, by what is done meanwhile. The slave gets what processor time
nobody else wants (nice 19), as if it were on another machine.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from time import perf_counter, sleep
from typing import Any

from kt import KT_NONE, EmbeddedServer, KyotoTycoon

BATCH = 100
VALUE = b"v" * 32


REDIS = "redis-server"

Place = tuple[str, str, int]
"""Program, host and port of a server."""


class Redis:
    """As much of a client of Redis as is needed here, with the names of ours."""

    def __init__(self, host: str, port: int) -> None:
        import redis

        self.redis = redis.Redis(host, port)
        self.set, self.get, self.error = self.redis.set, self.redis.get, redis.RedisError

    def count(self) -> int:
        try:
            return self.redis.dbsize()
        except self.error:  # it does not answer while it gets its copy
            return 0

    def set_bulk(self, records: Mapping[bytes, bytes]) -> None:
        self.redis.mset(records)

    def __enter__(self) -> Redis:
        return self

    def __exit__(self, *error: object) -> None:
        self.redis.close()


def client(place: Place) -> Any:
    program, *address = place
    if program == REDIS:
        return Redis(*address)
    return KyotoTycoon(*address, serializer=KT_NONE)


@contextlib.contextmanager
def running(program: str, *args: str) -> Iterator[Place]:
    if program == REDIS:
        with running_redis(*args) as place:
            yield place
        return
    server = EmbeddedServer(program, database="*", server_args=["-le", *args])
    with server:
        yield program, server.host, server.port


@contextlib.contextmanager
def running_redis(*args: str) -> Iterator[Place]:
    """In memory only; no second is waited for other slaves before a copy is sent."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        host, port = "127.0.0.1", free_port()
        words = ["--bind", host, "--port", str(port), "--dir", directory, "--save", ""]
        words += ["--repl-diskless-sync-delay", "0", *args]
        process = subprocess.Popen([REDIS, *words], stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        while not listens(host, port):
            sleep(0.002)
        yield REDIS, host, port


def listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def follow(master: Place, directory: str) -> tuple[str, ...]:
    program, host, port = master
    if program == REDIS:
        return ("--replicaof", host, str(port))
    return ("-mhost", host, "-mport", str(port), "-rts", f"{directory}/rts", "-sid", "2")


def logging(program: str, directory: str) -> tuple[str, ...]:
    """What a master needs."""
    return () if program == REDIS else ("-ulog", f"{directory}/log", "-sid", "1")


def fill(master: Place, records: int) -> None:
    with client(master) as db:
        for begin in range(0, records, 1000):
            db.set_bulk({b"%08d" % i: VALUE for i in range(begin, begin + 1000)})


def throughput(slave: Place, records: int, begun: float) -> float:
    """Records a second, from the start of the slave on."""
    with client(slave) as db:
        while db.count() < records:
            sleep(0.002)
    return records / (perf_counter() - begun)


def load(master: Place, rate: int, seconds: float, reached: object) -> None:
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


def lags(master: Place, slave: Place, seconds: float) -> list[float]:
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
        running(master, *logging(master, directory)) as first,
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


def set_records(master: Place, number: int, seconds: float, found: object) -> None:
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
        running("kt-tycoon", *logging("kt-tycoon", directory), "-ack", str(ack)) as master,
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


PHASES = ("alone", "snapshot", "sending", "applying", "following")


def follow_by_copy(master: Place, directory: str, phase: Any) -> None:
    """A process with a new slave that takes a copy: tells what it is doing, by its number."""
    os.nice(19)
    with running("kt-tycoon", *follow(master, directory), "-copy") as slave, client(slave) as db:
        while phase.value != PHASES.index("following"):
            report = db.report()
            state = report.get("repl_state")
            if state == "copying":
                state = "sending" if report["repl_copied"] else "snapshot"
            if state in PHASES:
                phase.value = PHASES.index(state)
            sleep(0.02)
        sleep(3)


def copied(records: int) -> Iterator[str]:
    """The lines of the table."""
    took: dict[int, list[float]] = {number: [] for number in range(len(PHASES))}
    phase = multiprocessing.Value("i", 0)
    with (
        tempfile.TemporaryDirectory() as directory,
        running("kt-tycoon", *logging("kt-tycoon", directory)) as master,
        client(master) as db,
    ):
        fill(master, records)
        slave = multiprocessing.Process(target=follow_by_copy, args=(master, directory, phase))
        begin, number = perf_counter(), 0
        while perf_counter() - begin < 5 or slave.is_alive():
            if slave.pid is None and perf_counter() - begin >= 3:
                slave.start()
            number += 7919  # records far from each other
            begun = perf_counter()
            db.set(b"%08d" % (number % records), VALUE)
            took[phase.value].append(perf_counter() - begun)
        slave.join()
    for number, found in took.items():
        if found:
            found.sort()
            rate, last = len(found) / sum(found), found[len(found) * 99 // 100]
            yield f"{PHASES[number]:10} {sum(found):8.1f} {rate:10,.0f} {last * 1e6:9,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pairs", nargs="*", default=["kt-tycoon:kt-tycoon"])
    parser.add_argument("--records", type=int, default=500_000)
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--ack", action="store_true")
    parser.add_argument("--copy", action="store_true")
    arguments = parser.parse_args()
    if arguments.copy:
        print(f"{'meanwhile':10} {'seconds':>8} {'records/s':>10} {'p99, us':>9}")
        for line in copied(arguments.records):
            print(line, flush=True)
        return
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
