"""Both bundled servers start from an installed kt, and clients talk to them.

A program of its own, without pytest: tests run it in environments that hold nothing but kt, and a
release in those of cibuildwheel. It prints the files that the servers have loaded, on Linux.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from kt import (
    TT_TABLE,
    AsyncKyotoTycoon,
    EmbeddedServer,
    EmbeddedTokyoTyrantServer,
    KyotoTycoon,
    TokyoTyrant,
)
from kt.wire.codec import IMPLEMENTATION

# One of each compression that the libraries have: each is a library more that must be there.
TYCOON = ["*", "z.kch#opts=c#zcomp=zlib", "o.kct#opts=c#zcomp=lzo", "x.kct#opts=c#zcomp=lzma"]
TYRANT = ["*", "d.tch#opts=ld", "b.tcb#opts=lb", "t.tct"]
TEXT = "kt " * 1000


def loaded(pid: int | None) -> set[str]:
    """Files that a process has mapped; nothing where the system does not say."""
    maps = Path(f"/proc/{pid}/maps")
    lines = maps.read_text(encoding="utf-8").splitlines() if maps.exists() else []
    return {line.split(maxsplit=5)[5] for line in lines if "/" in line}


async def ask(port: int) -> None:
    async with AsyncKyotoTycoon(port=port) as client:
        assert await client.get("k") == TEXT


def try_tycoon(directory: str) -> set[str]:
    database = [name if name == "*" else f"{directory}/{name}" for name in TYCOON]
    with EmbeddedServer("kt-tycoon", database=database) as server:
        assert server.port is not None
        with KyotoTycoon(port=server.port) as client:
            for db in range(len(database)):
                client.set("k", TEXT, db=db)
                assert client.get("k", db=db) == TEXT
                assert client.match_regex("^k$", db=db) == ["k"]
            asyncio.run(ask(server.port))
            return loaded(server.pid)


def try_tyrant(database: str) -> set[str]:
    with EmbeddedTokyoTyrantServer("kt-tyrant", database=database) as server:
        assert server.port is not None
        with TokyoTyrant(port=server.port) as client:
            rows = client.using(serializer=TT_TABLE)
            if database.endswith(".tct"):
                rows.set("k", {"text": TEXT})
                assert rows.get("k") == {"text": TEXT}
            else:
                client.set("k", TEXT)
                assert client.get("k") == TEXT
            return loaded(server.pid)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        seen = try_tycoon(directory)
        for database in TYRANT:
            seen |= try_tyrant(database if database == "*" else f"{directory}/{database}")
    print(IMPLEMENTATION, *sorted(seen), sep="\n")


if __name__ == "__main__":
    main()
