"""The errors that both kernels raise, worded once. Each function returns the exception."""

from __future__ import annotations

from kt.errors import ArgumentError, ProtocolError, ServerError
from kt.wire.magic import SIZE_MAX


def not_a_key(key: object) -> ArgumentError:
    return ArgumentError(f"a key or a column is str or bytes, not {type(key).__name__}")


def key_not_text(key: str, error: UnicodeError) -> ArgumentError:
    return ArgumentError(f"the key {key!r:.60} cannot be encoded: {error}")


def too_long(what: str, size: int) -> ArgumentError:
    return ArgumentError(f"a {what} has at most {SIZE_MAX} bytes, not {size}")


def not_bytes(value: object) -> TypeError:
    return TypeError(f"a value is bytes, not {type(value).__name__}")


def not_text(value: object) -> TypeError:
    return TypeError(f"a value is str, bytes, int or float, not {type(value).__name__}")


def bad_number(db: object, xt: object = 0, flags: object = 0) -> ArgumentError:
    """Says which of the numbers does not fit its field."""
    for name, value, low, high in (
        ("db", db, 0, 0xFFFF),
        ("flags", flags, 0, 0xFFFFFFFF),
        ("xt", xt, -(2**63), 2**63 - 1),
    ):
        if not isinstance(value, int) or isinstance(value, bool):
            return ArgumentError(f"{name} is an int, not {type(value).__name__}")
        if not low <= value <= high:
            return ArgumentError(f"{name} is in {low}..{high}, not {value}")
    return ArgumentError("one request has at most 2**32 - 1 records")


def not_a_procedure(name: str) -> ArgumentError:
    return ArgumentError(f"a procedure's name has ASCII letters, digits, _ and - only: {name!r}")


def request_failed() -> ServerError:
    return ServerError(
        "the server reports that the request failed, not why: its log may say so, and"
        " repl_read_only of its report, whether it is a read-only slave"
    )


def wrong_magic(first: int, expected: int) -> ProtocolError:
    return ProtocolError(f"a message begins with byte {first:#04x} instead of {expected:#04x}")


def too_many_records(count: int) -> ProtocolError:
    return ProtocolError(f"{count} records answer a request for one")


def impossible_sizes(ksiz: int, vsiz: int = 0) -> ProtocolError:
    return ProtocolError(f"a record announces {ksiz} + {vsiz} bytes; the limit is {SIZE_MAX} each")


def too_long_a_block(size: int) -> ProtocolError:
    return ProtocolError(f"a part of a copy announces {size} bytes, which is too much")


def not_columns() -> ProtocolError:
    return ProtocolError("a reply that should have columns has none")


def bad_columns(encoding: str | None) -> ProtocolError:
    return ProtocolError(f"malformed columns (encoding {encoding or 'plain'})")


def bad_code(code: int) -> ProtocolError:
    return ProtocolError(f"a reply begins with byte {code:#04x}: neither success nor failure")


def impossible_size(size: int) -> ProtocolError:
    return ProtocolError(f"an element announces {size} bytes; the limit is {SIZE_MAX}")


def too_many_items(count: int, limit: int) -> ProtocolError:
    return ProtocolError(f"a list announces {count} items; the limit is {limit}")


def unknown_command(number: int) -> ProtocolError:
    return ProtocolError(f"there is no command {number:#04x}")


def too_many_to_send(count: int) -> ArgumentError:
    return ArgumentError(f"{count} items are too many for one request")


def command_failed(verb: str) -> ServerError:
    return ServerError(f"the server reports that {verb} failed", code=1)


def cut_frame() -> ValueError:
    return ValueError("a frame to decode is shorter than its records")


def not_resp(begin: bytes) -> ProtocolError:
    return ProtocolError(f"not a reply of RESP: {begin!r}")


def wrong_items(what: str, error: Exception) -> ArgumentError:
    return ArgumentError(f"these are to be an iterable of {what}: {error}")
