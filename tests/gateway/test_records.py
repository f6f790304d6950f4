"""The tests of records and cursors, through a gateway to a cluster."""

from __future__ import annotations

from tests.client.tycoon import test_cursor, test_records

ELSEWHERE = {
    # They make clients of their own, from host and port.
    "test_keys_as_bytes",
    "test_a_cursor_gives_its_connection_back",
    # A cursor of a flat database goes to no key that it has not just passed.
    "test_backwards_needs_an_order",
    # After each removal the cursor reads ahead again, a round trip for every record: a minute.
    "test_changing_records_of_a_hash_table",
}
"""What is left out, and why."""

globals().update(
    (name, thing)
    for module in (test_cursor, test_records)
    for name, thing in vars(module).items()
    if name.startswith("test_") and name not in ELSEWHERE
)
