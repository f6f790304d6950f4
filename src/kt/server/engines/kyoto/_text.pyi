"""The text utilities of Kyoto Cabinet, exactly as the original server's scripts know them.

Where the library takes a C string, text ends at its first zero byte. Whatever may take long lets go
of the GIL. `MemoryError`: the result, or the work on the way to it, does not fit.
`RuntimeError`: a match takes too long.
"""

def atoi(text: bytes, /) -> int:
    """The decimal number that text begins with, 0 if none."""

def atoix(text: bytes, /) -> int:
    """As `atoi`, with a fraction and one of the suffixes k m g t p e (powers of 1024)."""

def atof(text: bytes, /) -> float:
    """The real number that text begins with, 0.0 if none."""

def hash_murmur(data: bytes, /) -> int:
    """64 bits."""

def hash_fnv(data: bytes, /) -> int:
    """64 bits."""

def distance(a: bytes, b: bytes, utf8: bool, /) -> int:
    """Levenshtein distance in bytes, or in characters if `utf8`."""

def regex_match(text: bytes, pattern: bytes, /) -> bool:
    """Whether the POSIX extended expression occurs in text; False if it is malformed."""

def regex_replace(text: bytes, pattern: bytes, replacement: bytes, /) -> bytes:
    """Every occurrence replaced; ``$&``, ``$1``..., ``$$`` in the replacement are special."""

def codec(mode: bytes, data: bytes, /) -> bytes | None:
    """Encode with mode url base quote hex zlib deflate gzip, decode with ``~`` before it.

    The mode's case does not matter. None: no such mode, or data that does not decode.
    """
