"""The pipeline of a Kyoto Tycoon client: requests that are begun now and carried out together."""

from __future__ import annotations

from kt.client.pipeline_async import AsyncPipeline
from kt.client.tycoon.pipeline_calls import TycoonCalls
from kt.client.tycoon.records_async import AsyncTycoonRecords
from kt.types import K, V


class AsyncTycoonPipeline(AsyncPipeline, TycoonCalls[K, V]):
    """A pipeline of a Kyoto Tycoon client; made by its method `pipeline`."""

    def __init__(self, client: AsyncTycoonRecords[K, V], raise_errors: bool) -> None:
        super().__init__(client, raise_errors)
        self._adopt(vars(client))
