"""The Unicode character database that Python carries, as records: some 32,000 named characters."""

from __future__ import annotations

import sys
import unicodedata
from typing import TypedDict

from fontTools.unicodedata import block


class Character(TypedDict):
    character: str
    block: str
    category: str


def characters() -> dict[str, Character]:
    """Name -> character, block and general category.

    Characters whose name is only their number (CJK UNIFIED IDEOGRAPH-4E00) or their sound (HANGUL
    SYLLABLE GA) are left out: they would be five of six records.
    """
    records: dict[str, Character] = {}
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        name = unicodedata.name(character, "")
        if name and not name.endswith(f"-{number:04X}") and not name.startswith("HANGUL SYLLABLE"):
            records[name] = Character(
                character=character,
                block=block(character),
                category=unicodedata.category(character),
            )
    return records
