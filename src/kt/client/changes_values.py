"""Changes as callers see them: keys and values decoded, and what they may ask for."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from kt.client.values import Values
from kt.options import Since
from kt.types import Change, Key
from kt.wire.codec import decode_key, encode_key
from kt.wire.log.selection import Selection


def selection(
    sid: int | Iterable[int] | None,
    db: int | Iterable[int] | None,
    prefix: Key | None,
    everything: bool = False,
) -> Selection:
    """Return what the arguments of `changes` select."""
    start = None if prefix is None else encode_key(prefix)
    return Selection(_set(sid), _set(db), start, everything)


def _set(numbers: int | Iterable[int] | None) -> Container[int] | None:
    if numbers is None:
        return None
    return frozenset((numbers,) if isinstance(numbers, int) else numbers)


def decoded(change: Change[bytes, bytes], values: Values, decode_keys: bool) -> Change[Any, Any]:
    """Return `change` with its key and value decoded; raises SerializationError."""
    key: Any = change.key
    if key is not None and decode_keys:
        key = decode_key(key, True)
    if change.value is None:
        return change._replace(key=key)
    return change._replace(key=key, value=values.load(change.value, key))


class Terms(NamedTuple):
    """What a feed needs to know.

    Attributes:
        timeout: seconds to connect and to be answered; None: any time.
        values: turns values into what they were.
        decode_keys: keys are str, otherwise bytes.
        since: where to begin.
        selection: which changes are wanted.
        as_sid: the id to ask with.
        persistent: databases without expiry.
        give_up: seconds after which no new connection is tried any more; None: never.
    """

    timeout: float | None
    values: Values
    decode_keys: bool
    since: Since | datetime | str
    selection: Selection
    as_sid: int
    give_up: float | None = None
    persistent: Container[int] = ()
