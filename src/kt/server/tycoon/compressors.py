"""Names of the compressors of snapshots, as the command line has them."""

from __future__ import annotations

from typing import Final

ALIASES: Final = {"gz": "zlib", "oz": "lzo", "xz": "lzma"}
NAMES: Final = ("none", "zlib", "lzo", "lzma")


def compressor(word: str) -> str:
    """The name of a compressor, in any case; the original has two names for each."""
    name = ALIASES.get(word.lower(), word.lower())
    if name not in NAMES:
        raise ValueError(f"it is one of {', '.join(NAMES)}")
    return name
