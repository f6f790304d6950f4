"""``db.lua``: scripts as methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kt.errors import SerializationError, ServerError
from kt.options import ScriptLock
from kt.serializers import KT_JSON
from tests.conftest import StartTycoon, StartTyrant

TYCOON_SCRIPT = """
function echo(input, output)
  for name, value in pairs(input) do output[name] = value end
end
function fails() error("as asked") end
"""

TYRANT_SCRIPT = """
function echo(key, value) return value end
function both(key, value) return key .. "\\n" .. value .. "\\n" end
function fails() return nil end
"""


@pytest.fixture
def tycoon_script(start_tycoon: StartTycoon, tmp_path: Path) -> Any:
    (tmp_path / "script.lua").write_text(TYCOON_SCRIPT)
    return start_tycoon(args=["-scr", "script.lua"])


@pytest.fixture
def tyrant_script(start_tyrant: StartTyrant, tmp_path: Path) -> Any:
    (tmp_path / "script.lua").write_text(TYRANT_SCRIPT)
    return start_tyrant(args=["-ext", "script.lua"])


async def test_tycoon(tycoon_script: Any) -> None:
    from kt.client.tycoon.client_async import AsyncKyotoTycoon

    async with AsyncKyotoTycoon(port=tycoon_script.port) as db:
        assert await db.lua.echo(item="apples", count=3) == {"item": "apples", "count": "3"}
        assert await db.lua.echo({"a": "1"}, b="2") == {"a": "1", "b": "2"}
        assert await db.lua.echo() == {}
        assert await db.using(serializer=KT_JSON).lua.echo(a=[1, None]) == {"a": [1, None]}
        with pytest.raises(ServerError, match="function 'fails'"):
            await db.lua.fails()
        with pytest.raises(ServerError, match="function 'nothing'"):
            await db.lua.nothing()
        with pytest.raises(AttributeError):
            db.lua.__wrapped__  # noqa: B018
        assert "echo" in repr(db.lua.echo)


async def test_tyrant(tyrant_script: Any) -> None:
    from kt.client.tyrant.client_async import AsyncTokyoTyrant

    async with AsyncTokyoTyrant(port=tyrant_script.port) as db:
        echo = db.lua.echo
        assert await echo("k", "v") == b"v"
        assert await echo("k", b"\xff", lock=ScriptLock.RECORD) == b"\xff"
        assert await echo.as_text("k", "ä") == "ä"
        assert await echo.as_int("k", 7) == 7
        assert await echo.as_float("k", 0.5) == 0.5
        assert await db.lua.both.as_lines("k", "v", lock=ScriptLock.GLOBAL) == ["k", "v"]
        assert await echo.as_dict("k", "a\tb c\nd\t\te\n") == {"a": "b c", "d": "\te"}
        assert await echo.as_dict("k", "") == {}
        with pytest.raises(SerializationError, match="a tab"):
            await echo.as_dict("k", "no tab")
        json = db.using(serializer=KT_JSON).lua
        assert await json.echo.as_value("k", '{"a": [1]}') == {"a": [1]}
        with pytest.raises(SerializationError):
            await json.echo.as_value("k", "{")
        for name in ("fails", "nothing"):
            with pytest.raises(ServerError):
                await getattr(db.lua, name)("k")
