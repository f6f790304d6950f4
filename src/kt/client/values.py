"""A client's serializer, as the codec takes it, with errors that name key and serializer."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from kt.errors import ImproperlyConfigured, SerializationError
from kt.serializers import KT_BINARY, KT_MSGPACK, KT_NONE, Serializer
from kt.types import Key
from kt.wire.codec import dump_value, load_value
from kt.wire.values import TEXT, Dumps, Loads, ValueFailure


class Values:
    """Turns values into bytes and back.

    Attributes:
        serializer: what does it.
        dumps: the same for `kt.wire`.
        loads: the same for `kt.wire`.
        encoding: context for calls into `kt.wire` that use `dumps`.
        decoding: context for calls into `kt.wire` that use `loads`.
    """

    def __init__(self, serializer: Serializer[Any]) -> None:
        """Prepare; raises ImproperlyConfigured if `serializer` is none or lacks a package."""
        if serializer is KT_MSGPACK:
            KT_MSGPACK.require()
        self.serializer = serializer
        self.dumps, self.loads = kernels(serializer)
        name = name_of(serializer)
        self.encoding = _Failures(name, "cannot be encoded")
        self.decoding = _Failures(name, "does not decode")

    def dump(self, value: Any, key: Key | None) -> bytes:
        """Return the bytes of `value`, which belongs to `key`."""
        try:
            return dump_value(value, self.dumps, key)
        except ValueFailure as failure:
            raise self.encoding.named(failure) from failure.__cause__

    def load(self, data: bytes, key: Key | None) -> Any:
        """Return the value in `data`, which belongs to `key`."""
        try:
            return load_value(data, self.loads, key)
        except ValueFailure as failure:
            raise self.decoding.named(failure) from failure.__cause__


class _Failures:
    """A context in which a value that fails raises SerializationError."""

    __slots__ = ("_problem", "_serializer")

    def __init__(self, serializer: str, problem: str) -> None:
        self._serializer = serializer
        self._problem = problem

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, ValueFailure):
            raise self.named(error) from error.__cause__

    def named(self, failure: ValueFailure) -> SerializationError:
        """Return the exception for callers, which names key and serializer."""
        whose = "a value" if failure.key is None else f"the value of {failure.key!r:.60}"
        return SerializationError(
            f"{whose} {self._problem} with {self._serializer}: {failure.__cause__}",
            key=failure.key,
            serializer=self._serializer,
        )


def name_of(serializer: object) -> str:
    """Return what to call a serializer in a message."""
    for attribute in ("name", "__name__"):
        name = getattr(serializer, attribute, None)
        if isinstance(name, str):
            return name
    return type(serializer).__name__


def kernels(serializer: Serializer[Any]) -> tuple[Dumps, Loads]:
    """Return `serializer` as the codec takes it."""
    if serializer is KT_BINARY:
        return TEXT, TEXT
    if serializer is KT_NONE:
        return None, None
    dumps = getattr(serializer, "dumps", None)
    loads = getattr(serializer, "loads", None)
    if not (callable(dumps) and callable(loads)):
        raise ImproperlyConfigured(
            f"a serializer has two methods, dumps and loads; {serializer!r} has not"
        )
    return _to_bytes(dumps), loads


def _to_bytes(dumps: Callable[[Any], bytes | str]) -> Callable[[Any], bytes]:
    def dump(value: Any) -> bytes:
        data = dumps(value)
        return data.encode() if isinstance(data, str) else data

    return dump


RAW = Values(KT_NONE)
"""Bytes as they are."""
