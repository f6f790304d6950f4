"""Files that are equal, found by several processes: ``python examples/duplicates.py FOLDER``.

One process looks which files have the same size and puts them into a queue; workers take them
from there and note each file below the hash of what is in it. The server that carries the queue
begins and ends with this program, and workers on other machines could join in.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing import get_context

import kt
import kt.lua

WORKERS = os.cpu_count() or 2
END = b""  # no path is empty
Database = kt.KyotoTycoon[bytes, bytes]


def candidates(folder: str) -> Iterator[bytes]:
    """Paths of files that share their size with another one; no links, nothing empty."""
    sizes: dict[int, list[bytes]] = defaultdict(list)
    for place, _, names in os.walk(os.fsencode(folder)):
        for name in names:
            path = os.path.join(place, name)
            if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path):
                sizes[os.path.getsize(path)].append(path)
    for paths in sizes.values():
        if len(paths) > 1:
            yield from paths


def connect(host: str, port: int) -> Database:
    """A client for paths, which are bytes."""
    return kt.KyotoTycoon(host, port, kt.KT_NONE, decode_keys=False)


def work(host: str, port: int) -> None:
    """Note one file after the other. `append` is atomic: no two workers lose each other's."""
    with connect(host, port) as db:
        todo = kt.lua.Queue(db, "todo")
        while (path := todo.pop(timeout=None)) != END:
            assert path is not None
            try:
                with open(path, "rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                print(f"{os.fsdecode(path)}: {error.strerror}", file=sys.stderr)
            else:
                db.append(f"hash:{found}", path + b"\0")


def duplicates(folder: str) -> Iterator[list[str]]:
    """Groups of equal files, each and all of them in order."""
    context = get_context("spawn")
    with (
        kt.EmbeddedServer(scripts=kt.lua.SCRIPTS) as server,
        connect(server.host, server.port) as db,
    ):
        todo = kt.lua.Queue(db, "todo")
        workers = [
            context.Process(target=work, args=(server.host, server.port)) for _ in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        for path in candidates(folder):
            todo.push(path)
        todo.push(*[END] * WORKERS)
        for worker in workers:
            worker.join()
        groups = [paths.split(b"\0")[:-1] for key, paths in db.items() if key.startswith(b"hash:")]
    yield from sorted(sorted(map(os.fsdecode, group)) for group in groups if len(group) > 1)


def main(folder: str = ".") -> None:
    for group in duplicates(folder):
        print(*group, sep="\n", end="\n\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
