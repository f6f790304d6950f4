# Generated from pipeline_async.py by tools/async_to_sync.py: edit that one.
"""The pipeline of a Kyoto Tycoon client: requests that are begun now and carried out together."""

from __future__ import annotations

from kt.client.pipeline import Pipeline
from kt.client.tycoon.pipeline_calls import TycoonCalls
from kt.client.tycoon.records import TycoonRecords
from kt.types import K, V


class TycoonPipeline(Pipeline, TycoonCalls[K, V]):
    """A pipeline of a Kyoto Tycoon client; made by its method `pipeline`."""

    def __init__(self, client: TycoonRecords[K, V], raise_errors: bool) -> None:
        super().__init__(client, raise_errors)
        self._adopt(vars(client))
