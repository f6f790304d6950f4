"""The exceptions: what they say survives pickling and copying, for process pools and the like."""

from __future__ import annotations

import copy
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from typing import Any

import pytest
from hypothesis import given, settings
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
        if not module.name.endswith(("__main__", "._engine", "._io", "._relay", "._text")):
            import_module(module.name)
    return sorted(set(below(KTError)), key=lambda kind: kind.__qualname__)


def below(kind: type[KTError]) -> Iterator[type[KTError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from below(each)


KINDS = kinds()

EXAMPLES: dict[str, Any] = {"int": 7, "int | None": 450, "bool": True, "object": ["x"]}
"""By the annotation of a constructor's parameter; everything else takes text."""


def example(kind: type[KTError], message: str) -> KTError:
    """An exception made with all arguments that its constructor takes."""
    make: Any = kind
    if not inspect.isfunction(kind.__init__):  # Python's own
        return make(message)
    positional, named = [], {}
    for name, parameter in list(inspect.signature(kind.__init__).parameters.items())[1:]:
        value = EXAMPLES.get(parameter.annotation, message)
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = value
        else:
            positional.append(value)
    return make(*positional, **named)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=20)
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


@pytest.mark.parametrize(
    ("kind", "also"),
    [
        (kt.ReplyLostError, kt.ServerConnectionError),
        (kt.ReplyTimeoutError, kt.ServerTimeoutError),
        (kt.IncompleteReplyError, kt.ServerTimeoutError),
        (kt.BrokenReplyError, kt.ProtocolError),
    ],
)
def test_unknown_outcomes_are_also_what_happened(kind: type[KTError], also: type[KTError]) -> None:
    assert issubclass(kind, kt.OutcomeUnknown)
    assert issubclass(kind, also)


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
