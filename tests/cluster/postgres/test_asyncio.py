"""As test_records.py, for asyncio: records and pipelines, with its own loop and with uvloop."""

from __future__ import annotations

from tests.client import test_pipeline_async
from tests.client.tycoon import test_records_async

from .test_records import ELSEWHERE

globals().update(
    (name, thing)
    for module in (test_pipeline_async, test_records_async)
    for name, thing in vars(module).items()
    if name.startswith("test_") and name not in ELSEWHERE
)
