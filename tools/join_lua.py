"""Write the script that `kt.lua` ships, from its parts.

    tools/join_lua.py [--check]

``src/kt/lua/source/*.lua`` become ``src/kt/lua/kt.lua``: the original servers load one file and
know nothing of others. With ``--check`` nothing is written: the exit status is 1 if the file is
stale.
"""

from __future__ import annotations

import argparse
from pathlib import Path

LIBRARY = Path(__file__).resolve().parent.parent / "src/kt/lua"
TARGET = LIBRARY / "kt.lua"

PARTS = (
    "common",
    "hash",
    "set",
    "list",
    "sorted",
    "schedule",
    "lock",
    "limits",
    "queue",
    "servers",
)
"""Names of the files, in order: what one defines, later ones use."""

HEADER = "-- Generated from source/*.lua by tools/join_lua.py: edit those.\n--\n"


def joined() -> str:
    """Return what the target must hold."""
    parts = [(LIBRARY / "source" / f"{name}.lua").read_text(encoding="utf-8") for name in PARTS]
    return HEADER + "\n".join(parts)


def main() -> int:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if stale")
    options = parser.parse_args()
    text = joined()
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    if options.check:
        print("src/kt/lua/kt.lua is stale: run tools/join_lua.py")
        return 1
    TARGET.write_text(text, encoding="utf-8")
    print("wrote src/kt/lua/kt.lua")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
