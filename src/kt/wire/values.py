"""How keys and values turn into bytes and back: the vocabulary shared by both kernels.

Keys go out as UTF-8. Bytes that are not UTF-8 survive a round trip through `str` because both
directions use the ``surrogateescape`` error handler (PEP 383).

Values are turned by `dumps` and `loads`, which are one of:

=========  ==========================================  =====================================
argument   dumps(value) -> bytes                       loads(bytes) -> value
=========  ==========================================  =====================================
None       bytes-like objects, as they are             bytes
TEXT       str as UTF-8; bytes-like as they are;       str (UTF-8, strict)
           int and float as their decimal text
callable   whatever it returns (must be bytes)         whatever it returns
=========  ==========================================  =====================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from kt.errors import KTError

__all__ = ["TEXT", "Text", "Key", "Dumps", "Loads", "ValueFailure"]


class Text:
    """The type of `TEXT`, which has no other instance."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "TEXT"


TEXT: Final = Text()

Key: TypeAlias = str | bytes
Dumps: TypeAlias = Callable[[Any], bytes] | Text | None
Loads: TypeAlias = Callable[[bytes], Any] | Text | None


class ValueFailure(KTError):  # becomes a SerializationError
    """One value does not encode or decode; `__cause__` is what its serializer raised.

    Raised by the kernels, which know the key but not the serializer's name; the client turns it
    into a `SerializationError` that has both.

    Attributes:
        key: the key of the record, as the caller sees it.
    """

    def __init__(self, key: Key | None) -> None:
        super().__init__(key)
        self.key = key
