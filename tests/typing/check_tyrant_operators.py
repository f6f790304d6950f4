"""Types of TokyoTyrant's operators. For mypy; nothing here is run."""

from __future__ import annotations

from typing import assert_type

from kt import EmbeddedTokyoTyrantServer, Model, TokyoTyrant


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


class Person(Model):
    """A row."""

    name: str


def models(db: TokyoTyrant) -> None:
    """A table of a model is a mapping from keys to its instances."""
    people = db.table(Person)
    assert_type(people["k"], Person)
    assert_type("k" in people, bool)
    assert_type(len(people), int)
    assert_type(list(people), list[str])
    assert_type(dict(people.items()), dict[str, Person])
    people["k"] = Person(name="Ann")
    del people["k"]
    people["k"] = "Ann"  # type: ignore[assignment]
    people[1]  # type: ignore[index]
