"""What was recorded of the original servers' logs, snapshots and streams, and how to compare it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from kt.types import Change, What

DATA = Path(__file__).parent / "data" / "log"

NO_EXPIRY = 2**40 - 1

NAMES = {
    What.SET: "put",
    What.KEEP: "putkeep",
    What.APPEND: "putcat",
    What.SHIFT: "putshl",
    What.REMOVE: "out",
    What.ADD_INT: "addint",
    What.ADD_DOUBLE: "adddouble",
    What.SYNC: "sync",
    What.OPTIMIZE: "optimize",
    What.CLEAR: "vanish",
    What.CALL: "misc",
}


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def unpacked(value: Any) -> Any:
    """What a value in the material stands for."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and "b64" in value:
        return base64.b64decode(value["b64"])
    if isinstance(value, dict):
        return value["repeat"].encode() * value["size"]
    return value


def tycoon_change(entry: dict[str, Any]) -> Change[bytes, bytes]:
    expiry = entry.get("xt")
    return Change(
        What(entry["op"]),
        entry["ts"],
        entry["sid"],
        entry["db"],
        unpacked(entry.get("key")),
        unpacked(entry.get("value")),
        None if expiry in (None, NO_EXPIRY, 2**63 - 1) else expiry,
    )


def tyrant_entry(change: Change[bytes, bytes]) -> tuple[Any, ...]:
    """(stamp, sid, mid, name, failed, arguments) as `tyrant_expected` has it."""
    arguments = [change.name, change.key, change.value, change.number, *change.items]
    given = [argument for argument in arguments if argument is not None]
    stamp = change.stamp // 1000
    return stamp, change.sid, change.mid, NAMES[change.what], change.failed, given


def tyrant_expected(entry: dict[str, Any]) -> tuple[Any, ...]:
    keys = ("ts", "sid", "mid", "name", "failed")
    return (*(entry[key] for key in keys), list(map(unpacked, entry["args"])))
