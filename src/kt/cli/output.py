"""How verbs show what they found: bytes as they are, in hexadecimal, or as JSON.

With JSON every object is a line. Bytes that are not UTF-8 are ``{"base64": "..."}`` there, so that
nothing is lost.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def json_value(data: Any) -> Any:
    """Return something that JSON can hold."""
    if isinstance(data, bytes):
        try:
            return data.decode()
        except UnicodeDecodeError:
            import base64

            return {"base64": base64.b64encode(data).decode()}
    return data


class Output:
    """Where a verb writes, and how.

    Args:
        as_json: one JSON object in each line.
        null: end lines with NUL instead of a newline.
        as_hex: show bytes in hexadecimal (``-px``).
        separator: what stands for NUL in values of tables (``-sep``).
    """

    def __init__(
        self,
        as_json: bool = False,
        null: bool = False,
        as_hex: bool = False,
        separator: bytes | None = None,
    ) -> None:
        self.as_json = as_json
        self.as_hex = as_hex
        self.separator = separator
        self.escapes = False  # for a terminal that somebody reads: what is no text as \\xff
        self.end = b"\0" if null else b"\n"

    def raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        sys.stdout.buffer.write(data)

    def shown(self, data: bytes) -> bytes:
        """Return bytes as a line has them."""
        if self.as_hex:
            return data.hex(" ").upper().encode()
        if self.separator is not None:
            data = data.replace(b"\0", self.separator)
        return data.decode("utf-8", "backslashreplace").encode() if self.escapes else data

    def line(self, *fields: bytes | str | int) -> None:
        """Write fields with a tab between them; only bytes are data, and may be hexadecimal."""
        parts = (
            self.shown(field) if isinstance(field, bytes) else str(field).encode()
            for field in fields
        )
        self.raw(b"\t".join(parts) + self.end)

    def object(self, members: Any) -> None:
        """Write a line of JSON."""
        import json

        if isinstance(members, Mapping):
            members = {name: json_value(value) for name, value in members.items()}
        text = json.dumps(json_value(members), ensure_ascii=False)
        self.raw(text.encode() + self.end)

    def record(self, key: bytes, value: bytes | None = None, expiry: int | None = None) -> None:
        """Write a record; what is None is left out."""
        if self.as_json:
            members = {"key": key, "value": value, "expires": expiry}
            self.object({name: each for name, each in members.items() if each is not None})
        elif value is None:
            self.line(key)
        elif expiry is None:
            self.line(key, value)
        else:
            self.line(key, value, expiry)

    def number(self, number: int | str) -> None:
        """Write one number."""
        self.raw(str(number).encode() + self.end)

    def measures(self, measures: Mapping[str, bytes | str | int | float]) -> None:
        """Write what a server tells: a line for each, or one object."""
        if self.as_json:
            self.object(measures)
            return
        for name, value in measures.items():
            text = value if isinstance(value, bytes) else str(value).encode()
            self.raw(name.encode() + b": " + text + self.end)
