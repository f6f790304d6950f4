"""A program that closes nothing: ``python forgetful.py HOST PORT``."""

from __future__ import annotations

import asyncio
import sys

import kt

HOST, PORT = sys.argv[1], int(sys.argv[2])

shared = kt.AsyncKyotoTycoon(HOST, PORT)
blocking = kt.KyotoTycoon(HOST, PORT)
cursors: list[object] = []


async def use() -> None:
    await shared.set("k", "v")
    cursors.append(cursor := shared.cursor())
    await cursor.jump()
    other = kt.AsyncKyotoTycoon(HOST, PORT)
    await other.get("k")
    cursors.append(other.items())


asyncio.run(use())
asyncio.run(use())
print(blocking.get("k"))
cursors.append(last := blocking.cursor())
last.jump()
sys.modules["kept"] = sys.modules["kt.net.aio"]
