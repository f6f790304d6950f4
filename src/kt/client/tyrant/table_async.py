"""Queries of a table database, bound to a client.

`table_query` says what a search looks like; here it is carried out. A query is immutable and talks
to the server only when it is asked for something: `all`, `keys`, `first`, `count`, `delete`,
`explain`, or iteration.

One search is one request. A filter with ``|`` becomes a metasearch, which answers with keys or
rows, but can neither count nor remove; there `count` fetches the keys, and `delete` removes in a
second request what the first has found.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kt.client.tyrant.table_query import Column, Filter, Order, Search, metasearch
from kt.client.tyrant.table_rows import ROWS, Row
from kt.client.tyrant.values import only, whole
from kt.errors import ArgumentError, ServerError
from kt.wire import table, tyrant
from kt.wire.codec import decode_key
from kt.wire.table import PRIMARY_KEY, SetOperation
from kt.wire.tyrant_commands import NO_UPDATE_LOG

if TYPE_CHECKING:
    from kt.client.tyrant.records_async import AsyncTyrantRecords

T = TypeVar("T")
Load = Callable[[Any, dict[str, str]], T]


def query_rows(client: AsyncTyrantRecords[Any, Any]) -> AsyncQuery[Row]:
    """Begin a query whose rows are dicts of text."""
    return AsyncQuery(client, Search(), _unchanged, Row)


def column_name(column: Column | str) -> str:
    """Return the name of a column that is given as such, or as its name."""
    name = column.name if isinstance(column, Column) else column
    if not isinstance(name, str):
        raise ArgumentError(f"a column is C.NAME or its name, not {column!r}")
    return name


def count(what: str, number: int) -> int:
    """Return a number of rows."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ArgumentError(f"{what} cannot be {number!r}")
    return number


def _unchanged(search: Search) -> Search:
    return search


def _number(found: bytes) -> int:
    number: bytes = only(tyrant.decode_misc(found, False), "search")
    return whole(number, "search")


class _AsyncMatches(ABC, Generic[T]):
    """The matches of one or more searches, and how a row is given to the caller."""

    def __init__(
        self, client: AsyncTyrantRecords[Any, Any], bind: Callable[[Search], Search], load: Load[T]
    ) -> None:
        self._client = client
        self._bind = bind
        self._load = load

    @abstractmethod
    def _request(self) -> tuple[str, list[bytes]]:
        """The name and arguments of the server's function that finds the matches."""

    @property
    @abstractmethod
    def _columns(self) -> tuple[str, ...]:
        """The columns that are wanted; all if empty."""

    async def all(self) -> list[T]:
        """Return the matching rows, in the query's order.

        Raises:
            ServerError: the database is no table.
            SerializationError: a row is not UTF-8, or does not fit the model.
        """
        names = (PRIMARY_KEY, *self._columns) if self._columns else ()
        found = await self._find(table.columns(names))
        return [self._row(match) for match in tyrant.decode_misc(found, False)]

    async def keys(self) -> list[Any]:
        """Return the primary keys of the matching rows, in the query's order."""
        return tyrant.decode_misc(await self._find(), self._client._decode_keys)

    async def count(self) -> int:
        """Return the number of matches."""
        name, _ = self._request()
        if name != "search":
            return len(await self.keys())
        return _number(await self._find(table.COUNT))

    async def delete(self) -> int:
        """Remove the matching rows and return how many they were."""
        name, _ = self._request()
        if name == "search":
            return _number(await self._find(table.REMOVE, table.COUNT))
        keys = await self.keys()
        await self._client.remove_bulk(keys)
        return len(keys)

    async def explain(self) -> str:
        """Return how the server does the search: which indices it uses, line by line."""
        items = tyrant.decode_misc(await self._find(table.HINT), False)
        hint: bytes = only(items[-1:], "search")
        return str(hint.removeprefix(table.HINT_MARK), "utf-8", "replace")

    async def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over the matching rows, which are fetched all at once."""
        for row in await self.all():
            yield row

    async def _find(self, *wanted: bytes) -> bytes:
        name, arguments = self._request()
        removes = table.REMOVE in wanted
        found = await self._client._call(
            tyrant.pack_misc(name, [*arguments, *wanted], 0 if removes else NO_UPDATE_LOG),
            tyrant.read_misc_reply,
            repeatable=not removes,
        )
        if found is None:
            raise ServerError("the server cannot search: is the database a table?", code=1)
        return found

    def _row(self, match: bytes) -> T:
        name, row = table.split_match(match)
        key = decode_key(name, self._client._decode_keys)
        return self._load(key, ROWS.load(row, key))


class AsyncQuery(_AsyncMatches[T]):
    """A search that is put together step by step; each step returns a new query.

    ::

        db.query().filter(C.age >= 18, C.name.startswith("A")).order_by(C.name).limit(10)

    Made by ``db.query()``, whose rows are `Row`, and ``db.table(MODEL).query()``, whose rows are
    instances of the model.
    """

    def __init__(
        self,
        client: AsyncTyrantRecords[Any, Any],
        search: Search,
        bind: Callable[[Search], Search],
        load: Load[T],
    ) -> None:
        super().__init__(client, bind, load)
        self._search = search

    def _with(self, search: Search) -> AsyncQuery[T]:
        return AsyncQuery(self._client, self._bind(search), self._bind, self._load)

    def filter(self, *filters: Filter) -> AsyncQuery[T]:
        """Keep only rows that satisfy all of `filters`, and those given before."""
        for each in filters:
            if not isinstance(each, Filter):
                raise ArgumentError(f"a filter is made of columns, C.age >= 18, not {each!r}")
        return self._with(self._search.with_filters(filters))

    def order_by(self, order: Order | Column | str) -> AsyncQuery[T]:
        """Order the matches by one column, ascending unless ``C.column.desc()`` is given."""
        if not isinstance(order, Order):
            order = Column(column_name(order)).asc()
        return self._with(replace(self._search, order=order))

    def limit(self, limit: int | None) -> AsyncQuery[T]:
        """Give at most `limit` matches; None removes the limit."""
        if limit is not None:
            limit = count("a limit", limit)
        return self._with(replace(self._search, limit=limit))

    def offset(self, offset: int) -> AsyncQuery[T]:
        """Leave out the first `offset` matches."""
        return self._with(replace(self._search, offset=count("an offset", offset)))

    def select(self, *columns: str | Column) -> AsyncQuery[Row]:
        """Fetch only these columns, as text, instead of whole rows."""
        names = tuple(map(column_name, columns))
        search = self._bind(replace(self._search, columns=names))
        return AsyncQuery(self._client, search, self._bind, Row)

    def union(self, *others: AsyncQuery[Any]) -> AsyncCombination[T]:
        """Combine with other queries: rows that any of them finds."""
        return self._combined(SetOperation.UNION, others)

    def intersection(self, *others: AsyncQuery[Any]) -> AsyncCombination[T]:
        """Combine with other queries: rows that all of them find."""
        return self._combined(SetOperation.INTERSECTION, others)

    def difference(self, *others: AsyncQuery[Any]) -> AsyncCombination[T]:
        """Combine with other queries: rows that this one finds and none of the others."""
        return self._combined(SetOperation.DIFFERENCE, others)

    def _combined(
        self, operation: SetOperation, others: tuple[AsyncQuery[Any], ...]
    ) -> AsyncCombination[T]:
        for other in others:
            if not isinstance(other, AsyncQuery):
                raise ArgumentError(f"queries are combined with queries, not with {other!r}")
        searches = [self._search, *(other._search for other in others)]
        return AsyncCombination(self._client, operation, searches, self._bind, self._load)

    async def first(self) -> T | None:
        """Return the first match, or None if there is none."""
        rows = await self.limit(1).all()
        return rows[0] if rows else None

    def _request(self) -> tuple[str, list[bytes]]:
        parts = self._search.parts()
        if len(parts) == 1:
            return "search", parts[0]
        return "metasearch", metasearch(SetOperation.UNION, [self._search])

    @property
    def _columns(self) -> tuple[str, ...]:
        return self._search.columns or ()

    def __repr__(self) -> str:
        return f"query(){self._search}"


class AsyncCombination(_AsyncMatches[T]):
    """Several queries combined as sets, by the server's metasearch.

    The first query's order, limit and columns are those of the result; but an intersection has no
    order, and a union cannot be ordered by the primary key.
    """

    def __init__(
        self,
        client: AsyncTyrantRecords[Any, Any],
        operation: SetOperation,
        searches: list[Search],
        bind: Callable[[Search], Search],
        load: Load[T],
    ) -> None:
        super().__init__(client, bind, load)
        self._operation = operation
        self._searches = searches

    def _request(self) -> tuple[str, list[bytes]]:
        return "metasearch", metasearch(self._operation, self._searches)

    @property
    def _columns(self) -> tuple[str, ...]:
        return self._searches[0].columns or ()

    def __repr__(self) -> str:
        first, *others = (f"query(){search}" for search in self._searches)
        return f"{first}.{self._operation.name.lower()}({', '.join(others)})"
