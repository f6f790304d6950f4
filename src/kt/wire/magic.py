"""Numbers that both kernels and `kt.wire.tycoon` need: first bytes, flags and limits."""

from __future__ import annotations

from typing import Final

NOP: Final = 0xB0
REPLICATION: Final = 0xB1
PLAY_SCRIPT: Final = 0xB4
SET_BULK: Final = 0xB8
REMOVE_BULK: Final = 0xB9
GET_BULK: Final = 0xBA
ERROR: Final = 0xBF

TYRANT_MAGIC: Final = 0xC8
"""First byte of every request to Tokyo Tyrant."""

NO_REPLY: Final = 1
"""Flag: the server sends no reply (`get_bulk` ignores it)."""

NEVER: Final = 2**63 - 1
"""Expiry of a record that does not expire."""

SIZE_MAX: Final = 2**28
"""Longest key or value in bytes; the original servers refuse more."""

KEY_HEAD: Final = 6
"""Layout of a key: u16 database, u32 key size | key."""
PAIR_HEAD: Final = 8
"""Layout of a pair: u32 key size, u32 value size | key, value."""
RECORD_HEAD: Final = 18
"""Layout of a record: u16 database, u32 key size, u32 value size, i64 expiry | key, value."""

RESP_LINE_MAX: Final = 1 << 16
"""Longest line of RESP in bytes: a number, a short text or an error."""
RESP_SIZE_MAX: Final = 1 << 30
"""Most bytes of a string, and most items of an array."""
RESP_DEPTH_MAX: Final = 8
"""How deep arrays may be nested."""
