"""A table database as a collection of a model's instances, bound to a client.

`table_model` says what a model is, `table_async` has the queries. Every method makes sure first
that the database is a table, for which it asks once: elsewhere a row would be bytes like others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, Generic

from kt.client.tyrant.mapping import AsyncTableMapping
from kt.client.tyrant.table_async import AsyncQuery
from kt.client.tyrant.table_model import M, Schema
from kt.client.tyrant.table_query import Search
from kt.client.tyrant.table_rows import ROWS, TT_TABLE
from kt.client.values import RAW
from kt.errors import ArgumentError, ServerError
from kt.wire import table, tyrant

if TYPE_CHECKING:
    from kt.client.tyrant.records_async import AsyncTyrantRecords


class AsyncTable(AsyncTableMapping[M], Generic[M]):
    """The rows of a table as instances of a model. Made by ``db.table(MODEL)``.

    `save` writes rows whole: columns that the model does not have are lost then. `update` keeps
    them.

    All methods raise `ServerError` if the database is no table.
    """

    def __init__(self, client: AsyncTyrantRecords[Any, Any], model: type[M]) -> None:
        """Raises `ImproperlyConfigured` if the model has a column that no row can hold."""
        self._client = client._view(TT_TABLE, ...)
        self._client._decode_keys = True  # a model's key is text
        self._schema = Schema(model)

    async def create(self, **columns: Any) -> M:
        """Make an instance and store it as a new row.

        Args:
            columns: the arguments of the model. Without `key` the database makes a number.

        Raises:
            ServerError: there is a row with that key, or the database is no table.
            ConversionError: a value does not fit its column.
        """
        instance = self._schema.model(**columns)
        key, row = await self._prepare(instance)
        if not await self._client._call(
            tyrant.pack_putkeep(key, row), tyrant.read_putkeep_reply, repeatable=False
        ):
            raise ServerError(f"there is a row {key!r:.60} already", code=1)
        return instance

    async def get(self, key: str) -> M | None:
        """Return the instance with this primary key; None if there is none.

        Raises:
            ConversionError: the row does not fit the model.
        """
        row = await self._row(key)
        return None if row is None else self._schema.load(key, row)

    async def __getitem__(self, key: str) -> M:
        """``await table[key]``: as `get`, but raises KeyError if there is no row."""
        found = await self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    async def get_bulk(self, keys: Iterable[str]) -> dict[str, M]:
        """Return the instances of those of `keys` that have a row, with few requests.

        Raises:
            ConversionError: a row does not fit the model.
        """
        await self._client._require_table()
        rows = await self._client.get_bulk(keys)
        return {key: self._schema.load(key, row) for key, row in rows.items()}

    async def exists(self, key: str) -> bool:
        """Return whether there is a row with this primary key."""
        await self._client._require_table()
        return await self._client.exists(key)

    async def count(self) -> int:
        """Return the number of rows."""
        await self._client._require_table()
        return await self._client.count()

    async def save(self, instance: M) -> None:
        """Store an instance, whether there is a row or not.

        An instance without a key gets a number that the database makes.

        Raises:
            ConversionError: a value does not fit its column.
        """
        key, row = await self._prepare(instance)
        await self._client._call(tyrant.pack_put(key, row), tyrant.read_put_reply, repeatable=True)

    async def save_all(self, instances: Iterable[M]) -> int:
        """Store many instances with few requests and return how many they were; as `save`."""
        await self._client._require_table()
        rows = dict([await self._prepare(instance) for instance in instances])
        await self._client._set_bulk(rows, RAW)
        return len(rows)

    async def update(self, instance_or_key: M | str, /, **columns: Any) -> M | None:
        """Change some columns of a row, and return it as it is now; None if there is no row.

        Columns that are not named stay as they are in the database, those that the model does not
        have among them. The row is read and written again, which is not one step: what others
        write to it in between is lost.

        Args:
            instance_or_key: which row; an instance is not changed itself.
            columns: the new values.

        Raises:
            ArgumentError: the model has no such column, or the instance has no key.
            ConversionError: a value does not fit its column, or the row the model.
        """
        key = instance_or_key if isinstance(instance_or_key, str) else instance_or_key.key
        if key is None:
            raise ArgumentError(f"{instance_or_key!r} has no key: it was never stored")
        changes = self._schema.dump_some(columns, key)
        row = await self._row(key)
        if row is None:
            return None
        changed = {name: text for name, text in (row | changes).items() if text is not None}
        instance = self._schema.load(key, changed)
        if changes:
            data = table.encode_row(changed)
            await self._client._call(tyrant.pack_put(key, data), tyrant.read_put_reply)
        return instance

    async def delete(self, instance_or_key: M | str) -> bool:
        """Remove a row; False if there was none."""
        await self._client._require_table()
        key = instance_or_key if isinstance(instance_or_key, str) else instance_or_key.key
        if key is None:
            return False
        return await self._client._call(
            tyrant.pack_out(key), tyrant.read_out_reply, repeatable=False
        )

    async def keys(self) -> list[str]:
        """Return all primary keys."""
        await self._client._require_table()
        return await self._client.keys()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Iterate over all primary keys, as over a dict."""
        for key in await self.keys():
            yield key

    async def values(self) -> AsyncIterator[M]:
        """Iterate over all instances. In memory are the keys, and a page of rows at a time."""
        await self._client._require_table()
        async for key, row in self._client.items():
            yield self._schema.load(key, row)

    async def items(self) -> AsyncIterator[tuple[str, M]]:
        """Iterate over all primary keys and instances; see `values`."""
        await self._client._require_table()
        async for key, row in self._client.items():
            yield key, self._schema.load(key, row)

    def query(self) -> AsyncQuery[M]:
        """Begin a query, whose rows are instances."""
        return AsyncQuery(self._client, Search(), self._schema.bind, self._schema.load)

    async def create_indexes(self) -> list[str]:
        """Make the indices that the model declares and that are missing; return their columns."""
        made = []
        for name, column in self._schema.columns.items():
            if column.index is not None and await self._client.set_index(
                name, column.index, keep=True
            ):
                made.append(name)
        return made

    async def _row(self, key: str) -> dict[str, str] | None:
        await self._client._require_table()
        found = await self._client._call(
            tyrant.pack_get(key), tyrant.read_get_reply, repeatable=True
        )
        return None if found is None else ROWS.load(found, key)

    async def _prepare(self, instance: M) -> tuple[str, bytes]:
        """The key of an instance, made if need be, and its row."""
        row = table.encode_row(self._schema.dump(instance))
        await self._client._require_table()
        if instance.key is None:
            instance.key = str(await self._client.genuid())
        return instance.key, row

    def __repr__(self) -> str:
        return f"table({self._schema.model.__name__})"
