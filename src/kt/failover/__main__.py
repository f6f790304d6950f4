"""``python -m kt.failover``: see `kt.failover.program`."""

from __future__ import annotations

from kt.failover.program import main
from kt.output import written

if __name__ == "__main__":
    raise SystemExit(written(main))
