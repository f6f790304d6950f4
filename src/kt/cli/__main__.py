"""``python -m kt.cli``: the same as `kt`."""

from __future__ import annotations

from kt.cli.program import main

if __name__ == "__main__":
    raise SystemExit(main())
