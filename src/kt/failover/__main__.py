"""``python -m kt.failover``: see `kt.failover.program`."""

from __future__ import annotations

from kt.failover.program import main

if __name__ == "__main__":
    raise SystemExit(main())
