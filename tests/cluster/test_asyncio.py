"""As test_records.py, for asyncio: with its own loop and with uvloop."""

from __future__ import annotations

from tests.client import test_pipeline_async
from tests.client.tycoon import (
    test_bulk_async,
    test_conveniences_async,
    test_cursor_async,
    test_records_async,
)

from .test_records import ELSEWHERE

MODULES = (
    test_bulk_async,
    test_conveniences_async,
    test_cursor_async,
    test_pipeline_async,
    test_records_async,
)

globals().update(
    (name, thing)
    for module in MODULES
    for name, thing in vars(module).items()
    if name.startswith("test_") and name not in ELSEWHERE
)
