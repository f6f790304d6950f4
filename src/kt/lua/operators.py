"""Python's operators, for the containers of blocking clients.

Python can await neither ``len(x)`` nor ``y in x`` nor an assignment, so these are no part of the
async source. The containers of asyncio clients have `length`, `contains`, `set` and `delete`
instead, and ``await x[y]`` and ``async for``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AnySet
from typing import Any, Protocol, Self

from kt.client.operators import Unawaitable


class _Sized(Protocol):
    def length(self) -> int: ...
    def contains(self, item: Any) -> bool: ...


class _Settable(Protocol):
    def set(self, item: Any, value: Any) -> Any: ...
    def delete(self, item: Any) -> None: ...


class Operators:
    """``len(x)``, ``y in x``; true if not empty."""

    def __len__(self: _Sized) -> int:
        return self.length()

    def __contains__(self: _Sized, item: Any) -> bool:
        return self.contains(item)


class ItemOperators(Operators):
    """``x[y] = z``, ``del x[y]``."""

    def __setitem__(self: _Settable, item: Any, value: Any) -> None:
        self.set(item, value)

    def __delitem__(self: _Settable, item: Any) -> None:
        self.delete(item)


class ListOperators(ItemOperators):
    """``reversed(x)``, ``x += y``."""

    def slice(
        self, start: int | None = None, stop: int | None = None, step: int | None = None
    ) -> list[Any]:
        """Return some of the values; negative positions count from the end."""
        raise NotImplementedError

    def extend(self, values: Iterable[Any]) -> int:
        """Put values at the end. Returns how many there are then."""
        raise NotImplementedError

    def __reversed__(self) -> Iterator[Any]:
        return iter(self.slice(step=-1))

    def __iadd__(self, values: Iterable[Any]) -> Self:
        self.extend(values)
        return self


class SetOperators(Operators):
    """Comparing and combining with other sets: each reads all members, in one round trip."""

    def members(self) -> set[Any]:
        """Return all members."""
        raise NotImplementedError

    def update(self, *others: Iterable[Any]) -> int:
        """Add the members of others. Returns how many were not there."""
        raise NotImplementedError

    def difference_update(self, *others: Iterable[Any]) -> int:
        """Remove the members of others. Returns how many were there."""
        raise NotImplementedError

    def __and__(self, other: Iterable[Any]) -> set[Any]:
        return self.members() & set(other)

    def __or__(self, other: Iterable[Any]) -> set[Any]:
        return self.members() | set(other)

    def __sub__(self, other: Iterable[Any]) -> set[Any]:
        return self.members() - set(other)

    def __xor__(self, other: Iterable[Any]) -> set[Any]:
        return self.members() ^ set(other)

    def __rsub__(self, other: Iterable[Any]) -> set[Any]:
        return set(other) - self.members()

    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__

    def __ior__(self, other: Iterable[Any]) -> Self:
        self.update(other)
        return self

    def __isub__(self, other: Iterable[Any]) -> Self:
        self.difference_update(other)
        return self

    def __le__(self, other: AnySet[Any]) -> bool:
        return self.members() <= set(other)

    def __lt__(self, other: AnySet[Any]) -> bool:
        return self.members() < set(other)

    def __ge__(self, other: AnySet[Any]) -> bool:
        return self.members() >= set(other)

    def __gt__(self, other: AnySet[Any]) -> bool:
        return self.members() > set(other)

    def isdisjoint(self, other: Iterable[Any]) -> bool:
        """Tell whether none of `other` is a member."""
        return self.members().isdisjoint(other)


class AsyncOperators(Unawaitable):
    """None: see the module. What would be one by accident says so."""

    _membership = "contains"


class AsyncItemOperators(AsyncOperators):
    """None: see the module."""


class AsyncListOperators(AsyncItemOperators):
    """None: see the module."""


class AsyncSetOperators(AsyncOperators):
    """None: see the module."""
