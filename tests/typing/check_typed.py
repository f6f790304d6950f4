"""Types of clients whose values are of one type. For mypy; nothing here is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

from kt import AsyncKyotoTycoon, KyotoTycoon, TokyoTyrant
from kt.contrib.msgspec import MsgspecSerializer
from kt.contrib.pydantic import PydanticSerializer


@dataclass
class User:
    """A value."""

    name: str


def typed(db: KyotoTycoon, tyrant: TokyoTyrant) -> None:
    users = KyotoTycoon(serializer=MsgspecSerializer(User))
    assert_type(users, KyotoTycoon[str, User])
    assert_type(users.get("k"), User | None)
    assert_type(db.using(serializer=PydanticSerializer(User)), KyotoTycoon[str, User])
    assert_type(db.using(serializer=PydanticSerializer(list[User])), KyotoTycoon[str, list[User]])
    assert_type(tyrant.using(serializer=MsgspecSerializer(User)), TokyoTyrant[str, User])


async def asynchronous() -> None:
    users = AsyncKyotoTycoon(serializer=PydanticSerializer(User))
    assert_type(await users.get("k"), User | None)
