"""How a server of each kind is told from others: a harmless request, and how its answer begins.

Both kinds listen on port 1978 unless told otherwise, and neither answers the other's requests: each
waits for the end of a line that does not come.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Greeting(NamedTuple):
    """What a server of one kind answers at once, and one of the other kind never.

    Attributes:
        server: what kind of server it is.
        client: the class that speaks with it.
        request: changes nothing.
        answer: how the answer begins.
    """

    server: str
    client: str
    request: bytes
    answer: bytes


TYCOON: Final = Greeting("Kyoto Tycoon", "KyotoTycoon", b"\xba" + bytes(8), b"\xba")
"""Asks for no records (get_bulk)."""

TYRANT: Final = Greeting("Tokyo Tyrant", "TokyoTyrant", b"\xc8\x80", b"\0")
"""Asks for the number of records (rnum); the answer begins with the code of success."""
