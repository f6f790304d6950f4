"""tools/async_to_sync.py, which writes the blocking twins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOL = ROOT / "tools" / "async_to_sync.py"

SOURCE = '''\
"""A client.

To be used so::

    async with AsyncThing() as thing:
        print((await thing.get("k")).body, await thing.size)
"""

from collections.abc import AsyncIterator

from kt.client.tycoon.cursor_async import AsyncCursor
from kt.net.aio import Pool


class AsyncThing:
    """`AsyncThing`, awaitable."""

    def __init__(self) -> None:
        self.pool = Pool()

    async def get(self, key: str) -> "bytes | None":
        # await the AsyncCursor's reply
        async with AsyncCursor(self.pool) as cursor:
            if not (await cursor.jump(key)):
                return None
            reply = (await cursor.get()).body  # how async
            return reply + (await cursor.rest + b"")

    async def __aiter__(self) -> AsyncIterator[str]:
        async for key in self.pool:
            yield "await" + key

    async def __anext__(self) -> str:
        raise StopAsyncIteration

    async def all(self) -> list[str]:
        return [key async for key in self]
'''

TWIN = '''\
# Generated from thing_async.py by tools/async_to_sync.py: edit that one.
"""A client.

To be used so::

    with Thing() as thing:
        print(thing.get("k").body, thing.size)
"""

from collections.abc import Iterator

from kt.client.tycoon.cursor import Cursor
from kt.net.blocking import Pool


class Thing:
    """`Thing`, awaitable."""

    def __init__(self) -> None:
        self.pool = Pool()

    def get(self, key: str) -> "bytes | None":
        # the Cursor's reply
        with Cursor(self.pool) as cursor:
            if not cursor.jump(key):
                return None
            reply = cursor.get().body  # how async
            return reply + (cursor.rest + b"")

    def __iter__(self) -> Iterator[str]:
        for key in self.pool:
            yield "await" + key

    def __next__(self) -> str:
        raise StopIteration

    def all(self) -> list[str]:
        return list(self)
'''


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, TOOL, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_twin(tmp_path: Path) -> None:
    source, twin = tmp_path / "thing_async.py", tmp_path / "thing.py"
    source.write_text(SOURCE)
    assert run("--check", source).returncode == 1
    assert not twin.exists()
    assert run(source).returncode == 0
    assert twin.read_text() == TWIN
    assert run("--check", source).returncode == 0
    twin.write_text(TWIN + "\n")
    assert run("--check", source).returncode == 1


def test_all_twins_are_fresh() -> None:
    assert run("--check").stdout == ""


@pytest.mark.parametrize(
    "name", ["base", "tycoon/cursor", "tycoon/client", "tycoon/records", "tyrant/admin"]
)
def test_twins_await_nothing(name: str) -> None:
    text = (ROOT / "src" / "kt" / "client" / f"{name}.py").read_text()
    assert "await " not in text
    assert "Async" not in text
