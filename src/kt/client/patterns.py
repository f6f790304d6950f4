"""Patterns of keys as in a shell: ``user:*:name``."""

from __future__ import annotations

import re
from typing import Final

from kt.errors import ArgumentError
from kt.types import Key
from kt.wire.codec import encode_key

_TOKEN: Final = re.compile(rb"\\(.)|\[([!^]?)(\]?[^\]]*)\]|\*|\?|([^\\*?])", re.DOTALL)
_SPECIAL: Final = re.compile(rb"[.\[\]\\()*+?{}|^$]")


def glob_regex(pattern: Key) -> bytes:
    """Return the POSIX extended regular expression that finds the same keys.

    Raises:
        ArgumentError: the pattern ends with a backslash.
    """
    text, parts, at = encode_key(pattern), [b"^"], 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise ArgumentError(f"the pattern {pattern!r} ends in the middle of a character")
        parts.append(_regex_of(token))
        at = token.end()
    return b"".join([*parts, b"$"])


def _regex_of(token: re.Match[bytes]) -> bytes:
    escaped, negated, members, plain = token.groups()
    if members:
        return b"[%b%b]" % (b"^" if negated else b"", members)
    if escaped or plain:
        return _SPECIAL.sub(rb"\\\g<0>", escaped or plain)
    return b".*" if token[0] == b"*" else b"."
