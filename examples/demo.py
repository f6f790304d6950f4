"""Run every example, one after the other: ``python examples/demo.py``."""

from __future__ import annotations

import lua_containers
import tycoon_records
import tyrant_tables

EXAMPLES = (tycoon_records, tyrant_tables, lua_containers)


def main() -> None:
    for example in EXAMPLES:
        example.main()


if __name__ == "__main__":
    main()
