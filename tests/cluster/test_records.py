"""The tests of records, cursors and pipelines, with a client that goes straight to a cluster.

Database 0 is flat, where the engine has numbered databases, and database 1 a tree, as ``*`` and
``%`` of a server.
"""

from __future__ import annotations

from tests.client import test_pipeline
from tests.client.tycoon import test_bulk, test_conveniences, test_cursor, test_records

ELSEWHERE = {
    # They make clients of their own, from host and port.
    "test_keys_as_bytes",
    "test_a_cursor_gives_its_connection_back",
    "test_iterators_that_are_not_exhausted",
    # They are of Tokyo Tyrant.
    "test_tokyo_tyrant",
    "test_calls_of_several_exchanges",
    # They have a server that misbehaves.
    "test_a_connection_that_breaks",
    "test_a_server_that_hangs_up_after_a_failure",
    "test_a_server_that_goes_on_after_a_failure",
    "test_get_or_needs_one_request",
    # Bulks that are atomic as a whole are refused.
    "test_bulk_of_nothing",
    "test_bulk_in_another_database",
    "test_bulk_with_expiry",
    "test_bulk_as_one_operation",
    "test_a_value_that_does_not_decode",
    # A bulk that names a database that is not there stores nothing.
    "test_several_databases_at_once",
    # The first database may be a tree; test_layouts.py has it.
    "test_range_where_there_is_no_order",
    # A cursor of a flat database goes to no key that it has not just passed.
    "test_backwards_needs_an_order",
    # After each removal the cursor reads ahead again, a round trip for every record: a minute.
    "test_changing_records_of_a_hash_table",
}
"""What is left out, and why."""

globals().update(
    (name, thing)
    for module in (test_bulk, test_conveniences, test_cursor, test_pipeline, test_records)
    for name, thing in vars(module).items()
    if name.startswith("test_") and name not in ELSEWHERE
)
