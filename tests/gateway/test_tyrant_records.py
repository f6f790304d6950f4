"""The tests of Tokyo Tyrant's records and scans, through a gateway to a cluster."""

from __future__ import annotations

from tests.client.tyrant import test_conveniences, test_records, test_scan, test_scan_async

ELSEWHERE = {
    # They are about files and tables.
    "test_duplicates",
    "test_fixed_length_records",
    "test_search",
    "test_glob",
}
"""What is left out, and why."""

globals().update(
    (name, thing)
    for module in (test_conveniences, test_records, test_scan_async, test_scan)
    for name, thing in vars(module).items()
    if name.startswith("test_") and name not in ELSEWHERE
)
