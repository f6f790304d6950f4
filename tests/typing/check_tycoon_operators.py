"""Types of KyotoTycoon's operators. For mypy; nothing here is run."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

from kt import EmbeddedServer, KyotoTycoon


def operators(db: KyotoTycoon[str, bytes]) -> None:
    """The operators take a key, or a key and a database."""
    assert_type(db["k"], bytes | None)
    assert_type(db[b"k", 1], bytes | None)
    assert_type("k" in db, bool)
    assert_type(len(db), int)
    assert_type(list(db), list[str])
    assert_type(dict(db.items()), dict[str, bytes])
    db["k"] = b"v"
    db["k", 1] = b"v", timedelta(days=1)
    del db["k"]
    db[1]  # type: ignore[index]


def embedded(server: EmbeddedServer) -> None:
    """An embedded server's client is the default one."""
    assert_type(server.client.get("k"), str | None)
