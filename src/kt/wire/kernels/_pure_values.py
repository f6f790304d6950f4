"""Keys and values in pure Python; `kt.wire.values` says what the arguments mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from kt.wire import faults
from kt.wire.magic import SIZE_MAX
from kt.wire.reading import Buffer
from kt.wire.values import TEXT, Dumps, Key, Loads, Text, ValueFailure


def cut(data: Buffer, start: int, end: int) -> bytes:
    """A copy of ``data[start:end]`` as bytes (none is made of a whole bytes object)."""
    if type(data) is bytes:
        return data[start:end]
    return bytes(memoryview(data)[start:end])


def encode_key(key: Key) -> bytes:
    """The bytes of a key. Raises `ArgumentError` for what cannot be a key."""
    if isinstance(key, str):
        try:
            encoded = key.encode()
        except UnicodeEncodeError:
            encoded = _encode_escaped(key)
    elif type(key) is bytes:
        encoded = key
    elif isinstance(key, (bytes, bytearray, memoryview)):
        encoded = bytes(key)
    else:
        raise faults.not_a_key(key)
    if len(encoded) > SIZE_MAX:
        raise faults.too_long("key", len(encoded))
    return encoded


def _encode_escaped(key: str) -> bytes:
    try:
        return key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise faults.key_not_text(key, error) from error


def decode_key(key: bytes, decode_keys: bool) -> Key:
    """The key as the caller sees it: str if `decode_keys`, otherwise bytes."""
    return key.decode("utf-8", "surrogateescape") if decode_keys else key


def dump_bytes(value: Any) -> bytes:
    """`dumps` of None: bytes-like objects, as they are."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise faults.not_bytes(value)


def dump_text(value: Any) -> bytes:
    """`dumps` of TEXT."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value).encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise faults.not_text(value)


def dumper(dumps: Dumps) -> Callable[[Any], bytes]:
    """The function that `dumps` stands for."""
    if dumps is None:
        return dump_bytes
    return dump_text if isinstance(dumps, Text) else dumps


def loader(loads: Loads) -> Callable[[bytes], Any] | None:
    """The function that `loads` stands for; None if values stay bytes."""
    return bytes.decode if isinstance(loads, Text) else loads


def dump_value(value: Any, dumps: Dumps, key: Key | None) -> bytes:
    """The bytes of a value. Raises `ValueFailure` with `key` if there are none."""
    try:
        data = dumper(dumps)(value)
        if type(data) is not bytes:
            data = dump_bytes(data)
    except Exception as error:
        raise ValueFailure(key) from error
    if len(data) > SIZE_MAX:
        raise faults.too_long("value", len(data))
    return data


def load_value(data: bytes, loads: Loads, key: Key | None) -> Any:
    """The value in `data`. Raises `ValueFailure` with `key` if it does not decode."""
    load = loader(loads)
    if load is None:
        return data
    try:
        return load(data)
    except Exception as error:
        raise ValueFailure(key) from error


def encode_keys(keys: list[Key]) -> list[bytes]:
    """The bytes of many keys, which may be too long."""
    try:
        return list(map(str.encode, keys))  # type: ignore[arg-type]  # str is the usual case
    except (TypeError, UnicodeEncodeError):
        return list(map(encode_key, keys))


def decode_each(keys: list[bytes], decode_keys: bool) -> list[Any]:
    """`decode_key` of many keys."""
    if not decode_keys:
        return keys
    try:
        return list(map(bytes.decode, keys))
    except UnicodeDecodeError:
        return [key.decode("utf-8", "surrogateescape") for key in keys]


def dump_values(records: Mapping[Any, Any], dumps: Dumps) -> list[bytes]:
    """The bytes of the values of records, which may be too long. Raises `ValueFailure`."""
    values: list[Any] = list(records.values())
    if dumps is TEXT:
        with suppress(TypeError, UnicodeEncodeError):
            return list(map(str.encode, values))
    elif callable(dumps):
        values = _dump_with(records, dumps)
        dumps = None
    if dumps is None and set(map(type, values)) <= {bytes}:
        return values
    keys_and_values = zip(records, values, strict=True)
    return [dump_value(value, dumps, key) for key, value in keys_and_values]


def _dump_with(records: Mapping[Any, Any], dumps: Callable[[Any], bytes]) -> list[bytes]:
    values: list[bytes] = []
    try:
        values.extend(map(dumps, records.values()))
    except Exception as error:  # `values` has what came before the value that failed
        raise ValueFailure(list(records)[len(values)]) from error
    return values


def load_values(keys: list[Key], values: list[bytes], loads: Loads) -> list[Any]:
    """The values in `values`, which belong to `keys`. Raises `ValueFailure`."""
    load = loader(loads)
    if load is None:
        return values
    loaded: list[Any] = []
    try:
        loaded.extend(map(load, values))
    except Exception as error:  # `loaded` has what came before the value that failed
        raise ValueFailure(keys[len(loaded)]) from error
    return loaded
