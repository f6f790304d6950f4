"""Types of TokyoTyrant's operators. For mypy; nothing here is run."""

from __future__ import annotations

from typing import assert_type

from kt import EmbeddedTokyoTyrantServer, TokyoTyrant


def operators(db: TokyoTyrant[str, bytes]) -> None:
    """The operators take a key, and slices of keys."""
    assert_type(db["k"], bytes | None)
    assert_type(db["a":"c"], dict[str, bytes])
    assert_type("k" in db, bool)
    assert_type(len(db), int)
    assert_type(list(db), list[str])
    assert_type(dict(db.items()), dict[str, bytes])
    db["k"] = b"v"
    del db["k"]
    db[1]  # type: ignore[call-overload]


def embedded(server: EmbeddedTokyoTyrantServer) -> None:
    """An embedded server's client is the default one."""
    assert_type(server.client.get("k"), str | None)
