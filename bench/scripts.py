"""Calls of Lua functions on the bundled servers and on the originals, in turn, on this machine.

    python bench/scripts.py [tycoon|tyrant ...] [--original PROGRAM] [--seconds 2] [--rounds 5]
                            [--only LOAD ...] [--json FILE]

Both servers load the same file (``bench/scripts/``) and have a database in memory. Each load is one
function of it, called over one connection and over 32. The rest is as in `servers.py`, whose load
generator and table these are: every reply is checked.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import servers
from servers import CONTESTS, Load

HERE = Path(__file__).resolve().parent
FUNCTIONS = ("echo", "get", "visit", "many", "map")
FLAGS = {"tycoon": "-scr", "tyrant": "-ext"}


def loads(name: str) -> Sequence[Load]:
    """The loads of one server: every function, over one connection and over 32."""
    return [
        Load(
            f"{function}, {count} connection{'s' * (count > 1)}",
            f"{name}-script:{function}",
            count,
            1,
            1.0,
        )
        for function in FUNCTIONS
        for count in (1, 32)
    ]


def main() -> None:
    """Run `servers.py` with these loads."""
    for name, flag in FLAGS.items():
        script = HERE / "scripts" / f"{name}.lua"
        CONTESTS[name] = replace(
            CONTESTS[name],
            databases=("*",),
            loads=tuple(loads(name)),
            real=("-ls", flag, str(script)) if name == "tycoon" else ("-le", flag, str(script)),
            real_tuning="",
        )
    sys.argv.append("--real")
    servers.main()


if __name__ == "__main__":
    main()
