"""Run every example, one after the other: ``python examples/demo.py``."""

from __future__ import annotations

import tycoon_records

EXAMPLES = (tycoon_records,)


def main() -> None:
    for example in EXAMPLES:
        example.main()


if __name__ == "__main__":
    main()
