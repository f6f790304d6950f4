"""The library of Lua scripts: a queue with waiting consumers, a rate limiter, a lock."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import stage

import kt.lua
from kt import EmbeddedServer, KyotoTycoon

CONSUMERS = 4
ITEMS = 2_000
END = "end"


def start() -> EmbeddedServer:
    server = EmbeddedServer(server_args=["-th", "32"], scripts=kt.lua.SCRIPTS)
    with stage.timed("start a server with the scripts") as line:
        server.run()
        line.result = f"{server.host}:{server.port}, process {server.pid}"
    return server


def queue(db: KyotoTycoon[str, str]) -> None:
    jobs: kt.lua.Queue[str] = kt.lua.Queue(db, "jobs")
    done: Counter[int] = Counter()
    seen: set[str] = set()

    def consume(number: int) -> None:
        while (item := jobs.pop(timeout=None)) != END:
            assert item is not None
            done[number] += 1
            seen.add(item)

    with ThreadPoolExecutor(CONSUMERS) as executor:
        for number in range(CONSUMERS):
            executor.submit(consume, number)
        with stage.timed(f"push {ITEMS:,} items for {CONSUMERS} consumers") as line:
            for item in range(ITEMS):
                jobs.push(str(item))
            jobs.push(*[END] * CONSUMERS)
            line.count = ITEMS
    stage.say(f"{done.total():,} popped, {len(seen):,} of them different, as they came to each:")
    stage.listing(f"consumer {number}: {count:,}" for number, count in sorted(done.items()))


def wake_up(db: KyotoTycoon[str, str]) -> None:
    jobs: kt.lua.Queue[str] = kt.lua.Queue(db, "jobs")
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(lambda: (jobs.pop(timeout=None), perf_counter()))
        while not db.exists("jobs"):  # the consumer's mark that it waits
            pass
        with stage.timed("push to a consumer that waits") as line:
            pushed = perf_counter()
            jobs.push("wake up")
            item, popped = waiting.result()
            line.result = f"{item!r} after {stage.seconds(popped - pushed)}"


def limit(db: KyotoTycoon[str, str]) -> None:
    limiter = kt.lua.RateLimiter(db, "login:ada", limit=5, seconds=60)
    with stage.timed("5 attempts a minute: try 8") as line:
        permits = [limiter.take() for _ in range(8)]
        line.result = " ".join("yes" if permit else "no" for permit in permits)
    stage.say(f"the next one in {permits[-1].retry_after:.1f} seconds")


def lock(db: KyotoTycoon[str, str]) -> None:
    holders, most = 0, 0

    def work(_: int) -> None:
        nonlocal holders, most
        with kt.lua.Lock(db, "report", seconds=30):
            holders += 1
            most = max(most, holders)
            holders -= 1

    with stage.timed("200 turns of 8 threads with a lock") as line:
        with ThreadPoolExecutor(8) as executor:
            list(executor.map(work, range(200)))
        line.count = 200
        line.result = f"never more than {most} at a time"


def main() -> None:
    stage.chapter("Lua scripts: a queue, a rate limiter, a lock")
    with start() as server:
        db = server.client
        queue(db)
        wake_up(db)
        limit(db)
        lock(db)


if __name__ == "__main__":
    main()
