"""The exceptions: what they say survives pickling and copying, for process pools and the like."""

from __future__ import annotations

import copy
import pickle
import pkgutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kt
from kt.errors import (
    ConversionError,
    KTError,
    SerializationError,
    ServerConnectionError,
    ServerError,
    ServerStartError,
)
from kt.serializers import KT_JSON


def kinds() -> list[type[KTError]]:
    """Every exception of ours, wherever it is."""
    for module in pkgutil.walk_packages(kt.__path__, "kt."):
        if not module.name.endswith(("__main__", "._engine", "._io", "._text")):
            import_module(module.name)
    return sorted(set(below(KTError)), key=lambda kind: kind.__qualname__)


def below(kind: type[KTError]) -> Iterator[type[KTError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from below(each)


KINDS = kinds()

# What the constructor of a class, and of those below it, is called with.
CONSTRUCTORS: dict[str, tuple[Any, ...]] = {
    "ConversionError": ({"key": "k", "model": "City", "column": "size", "value": ["x"]},),
    "SerializationError": ({"key": b"k", "serializer": "KT_JSON"},),
    "ServerStartError": ({"output": "printed\n"},),
    "ServerConnectionError": ({"sent": True},),
    "ServerError": ({"code": 450},),
    "HttpRefusal": (400, "no reason"),
    "EngineError": (7, "no record", "there is none"),
}


def example(kind: type[KTError], message: str) -> KTError:
    arguments: tuple[Any, ...] = ()
    for base in kind.__mro__:
        if base.__name__ in CONSTRUCTORS:
            arguments = CONSTRUCTORS[base.__name__]
            break
    make: Any = kind
    if len(arguments) > 1:
        return make(*arguments)
    return make(message, **(arguments[0] if arguments else {}))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(message=st.text())
def test_exceptions_survive(kind: type[KTError], message: str) -> None:
    error = example(kind, message)
    error.add_note("a note")
    twins = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)]
    for twin in [*twins, copy.copy(error), copy.deepcopy(error)]:
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert twin.args == error.args
        assert vars(twin) == vars(error)


def test_all_are_found() -> None:
    assert {ConversionError, SerializationError, ServerConnectionError} < set(KINDS)
    assert {ServerError, ServerStartError} < set(KINDS)
    assert {"LockLost", "Unsent", "EngineError"} < {kind.__name__ for kind in KINDS}


def fail() -> None:
    kt.KyotoTycoon(serializer=KT_JSON)._values.load(b"{", "k")


def test_process_pool_survives() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        with pytest.raises(SerializationError) as caught:
            executor.submit(fail).result()
        assert (caught.value.key, caught.value.serializer) == ("k", "KT_JSON")
        assert executor.submit(len, "xyz").result() == 3
