# Generated from pipeline_async.py by tools/async_to_sync.py: edit that one.
"""The pipeline of a Tokyo Tyrant client: requests that are begun now and carried out together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kt.client.pipeline import Pipeline
from kt.client.tyrant.pipeline_calls import TyrantCalls
from kt.client.tyrant.records import TyrantRecords
from kt.types import K, V

if TYPE_CHECKING:
    from kt.client.tyrant.table_calls import TableCalls
    from kt.client.tyrant.table_model import M


class TyrantPipeline(Pipeline, TyrantCalls[K, V]):
    """A pipeline of a Tokyo Tyrant client; made by its method `pipeline`."""

    def __init__(self, client: TyrantRecords[K, V], raise_errors: bool) -> None:
        super().__init__(client, raise_errors)
        self._adopt(vars(client))

    def table(self, model: type[M]) -> TableCalls[M]:
        """Return the table database as a collection of instances of `model`, for this pipeline.

        Raises:
            ImproperlyConfigured: the model has a column that no row can hold.
        """
        from kt.client.tyrant.table_calls import TableCalls

        return TableCalls(self._client, model, self._begin)
