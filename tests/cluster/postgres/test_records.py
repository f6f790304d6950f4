"""The tests of records, cursors and pipelines, with a client that goes straight to PostgreSQL."""

from __future__ import annotations

from tests.client import test_pipeline
from tests.client.tycoon import test_bulk, test_conveniences, test_cursor, test_records
from tests.cluster.test_records import ELSEWHERE as NOT_ON_CLUSTERS

HERE = {
    # Bulks are atomic.
    "test_bulk_of_nothing",
    "test_bulk_in_another_database",
    "test_bulk_with_expiry",
    "test_bulk_as_one_operation",
    "test_a_value_that_does_not_decode",
}

ELSEWHERE = NOT_ON_CLUSTERS - HERE
"""What is left out, and why: see there."""

globals().update(
    (name, thing)
    for module in (test_bulk, test_conveniences, test_cursor, test_pipeline, test_records)
    for name, thing in vars(module).items()
    if name.startswith("test_") and name not in ELSEWHERE
)
