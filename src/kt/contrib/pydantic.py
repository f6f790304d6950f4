"""Values of one type, by pydantic: its models, dataclasses, TypedDicts, lists.

::

    users = KyotoTycoon(serializer=PydanticSerializer(User))
    users.get("ann")  # a User, or None; SerializationError if the value is none

The client's type is `KyotoTycoon[str, User]`. Values are stored as JSON. What is read is validated;
a value of another type is refused when it is to be stored. Needs the extra `pydantic`.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from kt.contrib.kinds import instances_of

_T_co = TypeVar("_T_co", covariant=True)


class PydanticSerializer(Generic[_T_co]):
    """A serializer for values of a type.

    Args:
        kind: the type.
        strict: take nothing but the type itself, no number that is written as text; None: as the
            type says.
        by_alias: names in JSON are the fields' aliases.
    """

    def __init__(
        self, kind: type[_T_co], *, strict: bool | None = None, by_alias: bool = False
    ) -> None:
        self._kind = kind
        self._class = instances_of(kind)
        self._strict = strict
        self._by_alias = by_alias
        self._adapter: TypeAdapter[_T_co] = TypeAdapter(kind)

    def dumps(self, value: Any, /) -> bytes:
        """Return `value` as JSON.

        Raises:
            TypeError: it is not of the type.
            PydanticSerializationError: a part of it is not.
        """
        if not isinstance(value, self._class):
            raise TypeError(f"{self!r} takes no {type(value).__name__}")
        return self._adapter.dump_json(value, by_alias=self._by_alias, warnings="error")

    def loads(self, data: bytes, /) -> _T_co:
        """Return the value that `data` holds; raises ValidationError if it holds no such."""
        if self._by_alias:
            return self._adapter.validate_json(data, strict=self._strict, by_alias=True)
        return self._adapter.validate_json(data, strict=self._strict, by_alias=False, by_name=True)

    def __repr__(self) -> str:
        return f"PydanticSerializer({getattr(self._kind, '__qualname__', self._kind)})"
