"""A process that writes until it is killed: ``writer.py SUFFIX SEED WIDE PATH|PORT PROMISE``.

It writes a line for each step that was acknowledged.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import kt
from tests.crash.workload import carry_out, steps


def connected(suffix: str, place: str, promise: str) -> Any:
    """The client: of a server if `place` is a port, else of the file of that name."""
    options: dict[str, Any] = {"serializer": kt.KT_NONE}
    if not place.isdigit():
        return kt.open(place, synchronize=promise, **options)  # type: ignore[call-overload]
    make = kt.TokyoTyrant if suffix.startswith(".t") else kt.KyotoTycoon
    return make("127.0.0.1", int(place), **options)


def main() -> None:
    suffix, seed, wide, place, promise = sys.argv[1:]
    db = connected(suffix, place, promise)
    if suffix == ".tct":
        db.set_index("c", kt.IndexKind.LEXICAL)
    os.write(1, b"begin\n")
    for step in steps(int(seed), wide=int(wide)):
        carry_out(db, step, suffix)
        os.write(1, b".\n")


if __name__ == "__main__":
    main()
