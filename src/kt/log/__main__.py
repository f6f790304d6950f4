"""``python -m kt.log``: see `kt.log.program`."""

from __future__ import annotations

from kt.log.program import main

if __name__ == "__main__":
    raise SystemExit(main())
