"""The tests of cursors and of Tokyo Tyrant's records, through gateways to PostgreSQL."""

from __future__ import annotations

from tests.client.tycoon import test_cursor
from tests.client.tyrant import test_records
from tests.gateway.test_records import ELSEWHERE as NOT_BY_GATEWAYS
from tests.gateway.test_tyrant_records import ELSEWHERE as NOT_BY_TYRANT

ELSEWHERE = {
    *NOT_BY_GATEWAYS,
    *NOT_BY_TYRANT,
    # There is always an order.
    "test_ranges_need_an_order",
    # 70,000 records, which take half a minute where much else goes on.
    "test_bulk_in_several_requests",
}
"""What is left out, and why; see there, too."""

globals().update(
    (name, thing)
    for module in (test_cursor, test_records)
    for name, thing in vars(module).items()
    if name.startswith("test_") and name not in ELSEWHERE
)
