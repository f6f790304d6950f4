"""Values of one type, by msgspec: its Structs, dataclasses, attrs classes, TypedDicts, lists.

::

    users = KyotoTycoon(serializer=MsgspecSerializer(User))
    users.get("ann")  # a User, or None; SerializationError if the value is none

The client's type is `KyotoTycoon[str, User]`. What is read is checked; a value of another type is
refused when it is to be stored. Needs the extra `msgspec`.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from kt.contrib.kinds import instances_of

_T_co = TypeVar("_T_co", covariant=True)


class MsgspecSerializer(Generic[_T_co]):
    """A serializer for values of a type.

    Args:
        kind: the type.
        form: what is stored: JSON, or MessagePack, which is shorter.
        strict: take nothing but the type itself, no number that is written as text.
    """

    def __init__(
        self, kind: type[_T_co], *, form: Literal["json", "msgpack"] = "json", strict: bool = True
    ) -> None:
        self._kind = kind
        self._class = instances_of(kind)
        library: Any = msgspec.json if form == "json" else msgspec.msgpack
        self._encode = library.Encoder().encode
        self._decode = library.Decoder(kind, strict=strict).decode

    def dumps(self, value: Any, /) -> bytes:
        """Return `value` as bytes; raises TypeError if it is not of the type."""
        if not isinstance(value, self._class):
            raise TypeError(f"{self!r} takes no {type(value).__name__}")
        return cast("bytes", self._encode(value))

    def loads(self, data: bytes, /) -> _T_co:
        """Return the value that `data` holds; raises msgspec.DecodeError if it holds no such."""
        return cast("_T_co", self._decode(data))

    def __repr__(self) -> str:
        return f"MsgspecSerializer({getattr(self._kind, '__qualname__', self._kind)})"
