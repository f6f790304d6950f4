"""The text utilities of Tokyo Cabinet, exactly as the original server's scripts know them.

Where the library takes a C string, text ends at its first zero byte. Whatever may take long lets go
of the GIL. `MemoryError`: the text is longer than the library takes.
`RuntimeError`: a match takes too long.
"""

def codec(mode: bytes, data: bytes, /) -> bytes | None:
    """Encode with mode url base quote hex pack tcbs deflate gzip bzip xml; decode with a ``~``.

    The mode's case does not matter. None: no such mode, or data that does not decode.
    """

def regex_match(text: bytes, pattern: bytes, /) -> bool:
    """Whether the POSIX extended expression occurs in text; a leading ``*`` ignores case."""

def regex_replace(text: bytes, pattern: bytes, replacement: bytes, /) -> bytes:
    """Every occurrence replaced; ``&`` and ``\\1``... in the replacement are special."""

def distance(a: bytes, b: bytes, utf8: bool, /) -> int:
    """Levenshtein distance in bytes, or in characters if `utf8`."""

def crc32(data: bytes, /) -> int: ...
def to_ucs2(text: bytes, /) -> list[int]:
    """UTF-8 to 16-bit character codes."""

def from_ucs2(codes: list[int], /) -> bytes:
    """16-bit character codes to UTF-8."""
