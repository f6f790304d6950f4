"""How values become bytes and bytes become values.

A serializer is any object with two methods, `dumps(value) -> bytes` (a str is taken as UTF-8) and
`loads(bytes) -> value`, so the modules `json`, `pickle` and `marshal` serve as they are. The five
below carry the names of the public API; what they need beyond Python itself is imported when it is
first used.

===========  =============================================================  ================
name         a value is sent as                                             and comes back as
===========  =============================================================  ================
KT_BINARY    UTF-8 for str, bytes as they are, decimal text for numbers     str
KT_NONE      bytes as they are, nothing else                                bytes
KT_JSON      compact JSON                                                   what JSON holds
KT_MSGPACK   MessagePack; text stays text and bytes stay bytes              what MessagePack holds
KT_PICKLE    a pickle: only for data that no stranger can write             any object
===========  =============================================================  ================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, Protocol, TypeVar, final

from kt.errors import ImproperlyConfigured

V_co = TypeVar("V_co", covariant=True)


class Serializer(Protocol[V_co]):
    """What a client asks of a serializer; see the module's docstring."""

    def dumps(self, value: Any, /) -> bytes | str:
        """Return `value` as bytes, or as text to be sent as UTF-8."""

    def loads(self, data: bytes, /) -> V_co:
        """Return the value that `data` stands for; any exception means that it does not decode."""


class _Named:
    """A serializer that shows itself by its public name."""

    name = ""

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return self.name  # pickle and copy give the one instance back


@final
class BinarySerializer(_Named):
    """Text as UTF-8."""

    name = "KT_BINARY"

    def dumps(self, value: str | bytes | bytearray | memoryview | float, /) -> bytes:
        """Return text as UTF-8, bytes as they are, a number as its decimal text.

        Raises:
            TypeError: for anything else, True, False and None included.
        """
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, bytes):
            return value
        if isinstance(value, bytearray | memoryview):
            return bytes(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return repr(value).encode()
        raise TypeError(f"KT_BINARY takes str, bytes, int or float, not {type(value).__name__}")

    def loads(self, data: bytes, /) -> str:
        """Return `data`, which must be UTF-8, as text."""
        return str(data, "utf-8")


@final
class NoSerializer(_Named):
    """Bytes as they are."""

    name = "KT_NONE"

    def dumps(self, value: bytes | bytearray | memoryview, /) -> bytes:
        """Return `value` as bytes; TypeError if it is not bytes already."""
        if isinstance(value, bytes):
            return value
        if isinstance(value, bytearray | memoryview):
            return bytes(value)
        raise TypeError(f"KT_NONE takes bytes, not {type(value).__name__}")

    def loads(self, data: bytes, /) -> bytes:
        """Return `data`."""
        return bytes(data)


@final
class JsonSerializer(_Named):
    """JSON as UTF-8, without spaces."""

    name = "KT_JSON"

    def dumps(self, value: Any, /) -> bytes:
        """Return `value` as JSON; TypeError or ValueError if JSON cannot hold it."""
        return self._encode(value).encode()

    def loads(self, data: bytes, /) -> Any:
        """Return the value of the JSON text `data`."""
        return self._decode(str(data, "utf-8"))

    @cached_property
    def _encode(self) -> Callable[[Any], str]:
        from json import JSONEncoder

        return JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

    @cached_property
    def _decode(self) -> Callable[[str], Any]:
        from json import JSONDecoder

        return JSONDecoder().decode


@final
class MsgpackSerializer(_Named):
    """MessagePack, by the package `msgpack`."""

    name = "KT_MSGPACK"

    def dumps(self, value: Any, /) -> bytes:
        """Return `value` as MessagePack; TypeError or ValueError if it cannot hold it."""
        packed: bytes = self._msgpack.packb(value)
        return packed

    def loads(self, data: bytes, /) -> Any:
        """Return the one value that `data` holds; maps may have keys of any kind."""
        return self._msgpack.unpackb(data, strict_map_key=False)

    def require(self) -> None:
        """Raise ImproperlyConfigured if the package is not there."""
        assert self._msgpack

    @cached_property
    def _msgpack(self) -> Any:
        try:
            import msgpack
        except ImportError as error:
            raise ImproperlyConfigured(
                "KT_MSGPACK needs the package msgpack: pip install kyototycoon[msgpack]"
            ) from error
        return msgpack


@final
class PickleSerializer(_Named):
    """Python's pickle, highest protocol. Unpickling runs code that the data names."""

    name = "KT_PICKLE"

    def dumps(self, value: Any, /) -> bytes:
        """Return `value` pickled."""
        data: bytes = self._pickle.dumps(value, -1)
        return data

    def loads(self, data: bytes, /) -> Any:
        """Return the object that `data` is the pickle of."""
        return self._pickle.loads(data)

    @cached_property
    def _pickle(self) -> Any:
        import pickle

        return pickle


KT_BINARY: Final = BinarySerializer()
"""Text, bytes and numbers, which come back as text: the default."""
KT_NONE: Final = NoSerializer()
"""Bytes, as they are."""
KT_JSON: Final = JsonSerializer()
"""What JSON holds, as UTF-8 without spaces."""
KT_MSGPACK: Final = MsgpackSerializer()
"""What MessagePack holds; needs the extra ``msgpack``."""
KT_PICKLE: Final = PickleSerializer()
"""Any object of Python: only where no stranger can write, for it runs what it reads."""
