"""Whatever a server replies: a method returns something, or raises an error of ours.

Nothing is sent: as in a pipeline, a method stops where it waits for its reply, and is given one.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kt.client.deferred import adopt
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.client.tyrant.table_model import Model
from kt.errors import KTError
from kt.serializers import KT_JSON
from kt.wire.reading import Incomplete
from kt.wire.table import IndexKind

# What a parameter without default is given, by its name.
ARGUMENTS: dict[str, Any] = {
    "keys": ["k"],
    "data": {"a": "b"},
    "records": [(0, "k", 1, None)],
    "kind": IndexKind.LEXICAL,
    "width": 3,
    "host": "localhost",
    "procedure": "void",
    "path": "path",
}
PAIRS = {"get_bulk_details", "remove_bulk_details"}
LEFT_OUT = {"checkin", "close", "wait", "cursor", "pipeline", "using", "from_url", "set_database"}

NUMBERS = [
    b"",
    b"0",
    b"1",
    b"-1",
    b"x",
    b"1.5",
    b"nan",
    b"1e999",
    b"9" * 5000,
    b"\xff",
    b"1\0",
    b"[]",
]
NAMES = [
    *(b"count", b"size", b"path", b"num", b"vsiz", b"xt", b"value", b"SIGNALED", b"ERROR", b"_k"),
    *(b"a.ulog", b"", b"\xff"),
]
SIZES = st.sampled_from([0, 0, 1, 1, 2, 3, 8, 2**31, 2**32 - 1])
BLOB = st.sampled_from([*NUMBERS, b"type\tB+ tree", b"a\tb\nc", b"k\0v", b"[[HINT]]", b"12345678"])


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def columns(pairs: list[tuple[bytes, bytes]], status: int, encoding: bytes) -> bytes:
    body = b"".join(b"%b\t%b\n" % pair for pair in pairs)
    kind = b"text/tab-separated-values" + encoding
    head = b"HTTP/1.1 %d OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (status, kind, len(body)) + body


RPC = st.builds(
    columns,
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NUMBERS)), max_size=4),
    st.sampled_from([200, 200, 200, 450, 503, 999]),
    st.sampled_from([b"", b"; colenc=B", b"; colenc=Q", b"; colenc=U", b"; colenc=Z"]),
)
RECORD = st.builds(
    lambda db, key, value, xt: db + u32(len(key)) + u32(len(value)) + xt + key + value,
    st.binary(min_size=2, max_size=2),
    BLOB,
    BLOB,
    st.binary(min_size=8, max_size=8),
)
PAIR = st.builds(lambda key, value: u32(len(key)) + u32(len(value)) + key + value, BLOB, BLOB)
ITEM = st.builds(lambda blob: u32(len(blob)) + blob, BLOB)


def listed(items: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(items, max_size=3).map(lambda found: u32(len(found)) + b"".join(found))


HEADS = st.sampled_from([b"\xba", b"\xb8", b"\xb9", b"\xb4", b"\xbf", b"\0", b"\1", b"\xff"])
BODIES = st.one_of(
    *(listed(items) for items in (RECORD, PAIR, ITEM)),
    *(ITEM, SIZES.map(u32), st.binary(max_size=24), st.binary(min_size=8, max_size=16)),
)
REPLIES = st.lists(RPC | st.builds(bytes.__add__, HEADS, BODIES) | st.binary(), max_size=6)


class City(Model):
    name: str
    size: int = 0


def client_of(kind: type[Any]) -> Any:
    """A client whose calls show what they would send."""
    client = object.__new__(kind)
    adopt(client, vars(kind(serializer=KT_JSON)))
    return client


def methods(client: Any) -> Iterator[tuple[str, Any, list[Any]]]:
    """Name, method and arguments of every request."""
    for name, _ in inspect.getmembers(type(client), inspect.iscoroutinefunction):
        if name.startswith("_") or name in LEFT_OUT:
            continue
        method = getattr(client, name)
        needed = [
            parameter.name
            for parameter in inspect.signature(method).parameters.values()
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        ]
        arguments = [ARGUMENTS.get(parameter, "k") for parameter in needed]
        yield name, method, [[(0, "k")]] if name in PAIRS else arguments


async def collected(items: Any) -> list[Any]:
    return [item async for item in items]


async def awaited(value: Any) -> Any:
    return await value


def calls_of_tycoon() -> dict[str, Any]:
    client = client_of(AsyncKyotoTycoon)
    calls = {name: lambda m=m, a=a: m(*a) for name, m, a in methods(client)}
    del calls["get_range"]  # it is calls of a cursor, which has a connection of its own
    calls["get_bulk, atomic"] = lambda: client.get_bulk(["k"], atomic=True)
    calls["set_bulk, atomic"] = lambda: client.set_bulk({"k": 1}, atomic=True)
    calls["script, raw"] = lambda: client.script("name", {"a": "b"}, False)
    calls["size"] = lambda: awaited(client.size)
    calls["path"] = lambda: awaited(client.path)
    calls["lua"] = lambda: client.lua.function(a=1)
    return calls


def calls_of_tyrant() -> dict[str, Any]:
    client = client_of(AsyncTokyoTyrant)
    calls = {name: lambda m=m, a=a: m(*a) for name, m, a in methods(client)}
    for function in ("get", "getpart", "range", "getlist", "genuid", "iternext", "anything"):
        calls[f"misc, {function}"] = lambda function=function: client.misc(function, ["k"])
    for shape in ("text", "int", "float", "lines", "value"):
        calls[f"lua, {shape}"] = lambda shape=shape: getattr(client.lua.f, f"as_{shape}")("k")
    for name in ("values", "items"):
        calls[name] = lambda name=name: collected(getattr(client, name)())
    calls["iteration"] = lambda: collected(client)
    calls["size"] = lambda: awaited(client.size)
    calls["error"] = lambda: awaited(client.error)
    for name in ("all", "keys", "count", "delete", "explain", "first"):
        calls[f"query, {name}"] = lambda name=name: getattr(client.query(), name)()
        calls[f"model, {name}"] = lambda name=name: getattr(client.table(City).query(), name)()
    calls["model, get"] = lambda: client.table(City).get("k")
    calls["model, create"] = lambda: client.table(City).create(name="Bern")
    calls["model, save"] = lambda: client.table(City).save(City(name="Bern"))
    return calls


def run(call: Coroutine[Any, Any, Any], replies: list[bytes]) -> None:
    """Carry on with a call as long as there are replies that its readers understand."""
    try:
        _, reader = call.send(None)
        for data in replies:
            value = None
            if reader is not None:
                outcome = reader(data, 0)
                if isinstance(outcome, Incomplete):
                    break
                value = outcome[0]
            _, reader = call.send(value)
    except (StopIteration, KTError):
        pass
    finally:
        call.close()


TYCOON, TYRANT = calls_of_tycoon(), calls_of_tyrant()


@pytest.mark.parametrize("name", TYCOON)
@settings(max_examples=80)
@given(replies=REPLIES)
def test_kyoto_tycoon(name: str, replies: list[bytes]) -> None:
    run(TYCOON[name](), replies)


@pytest.mark.parametrize("name", TYRANT)
@settings(max_examples=80)
@given(replies=REPLIES)
def test_tokyo_tyrant(name: str, replies: list[bytes]) -> None:
    run(TYRANT[name](), replies)


@pytest.mark.timeout(600)  # it is a run of all others
@pytest.mark.skipif(os.environ.get("KT_IMPL") == "python", reason="this is that run")
def test_with_the_pure_kernels() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", Path(__file__)],
        env={**os.environ, "KT_IMPL": "python"},
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout
