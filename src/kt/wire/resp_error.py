"""What a server that speaks RESP says instead of a result."""

from __future__ import annotations


class RespError:
    """A reply that begins with ``-``: a value, not an exception, for the caller has to judge it.

    Attributes:
        text: the server's words; the first says of what kind it is, such as ``MOVED``.
    """

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text

    @property
    def kind(self) -> bytes:
        """The first word."""
        return self.text.partition(b" ")[0]

    def __str__(self) -> str:
        return self.text.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"RespError({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RespError) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)
