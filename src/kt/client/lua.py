# Generated from lua_async.py by tools/async_to_sync.py: edit that one.
"""``db.lua``: the server's Lua functions as if they were methods.

::

    db.lua.take(item="apples", count=3)       is  db.script("take", item="apples", count=3)
    db.lua.add("visits", 5)                   is  db.script("add", "visits", "5")
    db.lua.add.as_int("visits", 5)            is  int(db.script("add", "visits", "5"))

The first is Kyoto Tycoon, whose functions take and give named values; the others Tokyo Tyrant,
whose functions take a key and a value and give bytes, for which there are the shapes ``as_...``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from kt.client.arguments import merged
from kt.client.values import Values
from kt.errors import SerializationError
from kt.options import ScriptLock
from kt.types import K, Key, V

T = TypeVar("T")


class _Tycoon(Protocol[K]):
    """What the functions of a Kyoto Tycoon server are called with."""

    def script(self, name: str, __data: Mapping[Any, Any] | None = None, /) -> dict[K, Any]: ...


class _Tyrant(Protocol):
    """What the functions of a Tokyo Tyrant server are called with."""

    _values: Values

    def script(
        self,
        name: str,
        key: Key | None = None,
        value: str | bytes | None = None,
        *,
        lock: ScriptLock = ScriptLock.NONE,
    ) -> bytes: ...


class TycoonScripts(Generic[K]):
    """The Lua functions of a Kyoto Tycoon server, by name."""

    def __init__(self, client: _Tycoon[K]) -> None:
        self._client = client

    def __getattr__(self, name: str) -> TycoonScript[K]:
        return TycoonScript(self._client, public(name))


class TycoonScript(Generic[K]):
    """A Lua function of a Kyoto Tycoon server."""

    def __init__(self, client: _Tycoon[K], name: str) -> None:
        self._client = client
        self.name = name

    def __call__(self, __data: Mapping[Any, Any] | None = None, /, **kwargs: Any) -> dict[K, Any]:
        """Call the function: see `script` of the client."""
        return self._client.script(self.name, merged(__data, kwargs))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class TyrantScripts(Generic[V]):
    """The Lua functions of a Tokyo Tyrant server, by name."""

    def __init__(self, client: _Tyrant) -> None:
        self._client = client

    def __getattr__(self, name: str) -> TyrantScript[V]:
        return TyrantScript(self._client, public(name))


class TyrantScript(Generic[V]):
    """A Lua function of a Tokyo Tyrant server, with shapes for what it returns.

    What the function returns may not have that shape: SerializationError.
    """

    def __init__(self, client: _Tyrant, name: str) -> None:
        self._client = client
        self.name = name

    def __call__(
        self,
        key: Key | None = None,
        value: str | bytes | float | None = None,
        *,
        lock: ScriptLock = ScriptLock.NONE,
    ) -> bytes:
        """Call the function: see `script` of the client; a number is sent as its decimal text."""
        text = repr(value) if isinstance(value, int | float) else value
        return self._client.script(self.name, key, text, lock=lock)

    def as_text(self, *args: Any, **kwargs: Any) -> str:
        """Call the function, which returns UTF-8."""
        return self._as(self(*args, **kwargs), bytes.decode, "text")

    def as_int(self, *args: Any, **kwargs: Any) -> int:
        """Call the function, which returns a whole number, as decimal text."""
        return self._as(self(*args, **kwargs), int, "a whole number")

    def as_float(self, *args: Any, **kwargs: Any) -> float:
        """Call the function, which returns a number, as decimal text."""
        return self._as(self(*args, **kwargs), float, "a number")

    def as_lines(self, *args: Any, **kwargs: Any) -> list[str]:
        """Call the function, which returns lines of UTF-8, each with its end."""
        return self.as_text(*args, **kwargs).splitlines()

    def as_dict(self, *args: Any, **kwargs: Any) -> dict[str, str]:
        """Call the function, which returns lines of UTF-8: a name, a tab, and what it stands for.

        So do the functions that come with the original server.
        """
        text = self(*args, **kwargs)
        return self._as(text, _fields, "lines with a tab each")

    def as_value(self, *args: Any, **kwargs: Any) -> V:
        """Call the function, which returns what the client's serializer reads."""
        found: V = self._client._values.load(self(*args, **kwargs), None)
        return found

    def _as(self, found: bytes, shape: Callable[[bytes], T], name: str) -> T:
        """Return what the function returned in a shape."""
        try:
            return shape(found)
        except ValueError as error:
            message = f"{self.name} returned {found[:20]!r}, which is not {name}"
            raise SerializationError(message, key=None, serializer=name) from error

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def _fields(text: bytes) -> dict[str, str]:
    """Return lines of a name, a tab and a value; raises ValueError if there is no tab."""
    pairs: Iterator[list[str]] = (line.split("\t", 1) for line in text.decode().splitlines())
    return dict(pairs)


def public(name: str) -> str:
    """Return `name`; Python asks for names with two underscores for its own purposes."""
    if name.startswith("__"):
        raise AttributeError(name)
    return name
