"""How replies and requests are read: pure functions that say when they need more bytes.

A *reader* is called with everything received so far and the offset at which its frame begins::

    data  ....[pos = begin of the frame ............ end of the frame) begin of the next ...
                                        ^ what has arrived ends anywhere

It returns ``(value, end)`` when the frame is complete, or ``Incomplete(need, resume)``: call
``resume(data, pos)``, with the same `pos` and at least `need` bytes after it (lower bound, never
more than the frame is long), to go on where this call stopped. Nothing is scanned twice, no state
hides in the reader, and nothing is allocated for what has only been announced.

A reader raises `ProtocolError` when the bytes cannot be the protocol. Where the peer reports a
failure in a well-formed reply, `value` is a `ServerError` instance: the stream is in step, and the
caller decides whether to raise it (a call) or to hand it on (a pipeline).
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Final, Generic, TypeAlias, TypeVar

Buffer: TypeAlias = bytes | bytearray
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Incomplete(Generic[T_co]):
    """The frame is not complete: call `resume` when `need` bytes follow the frame's begin."""

    __slots__ = ("need", "resume")

    def __init__(self, need: int, resume: Reader[T_co]) -> None:
        self.need = need
        self.resume = resume


class Cutting(Incomplete[T_co]):
    """Likewise, and with `need` bytes it takes as long to go on as to copy them."""

    __slots__ = ()


CUT_AT_ONCE: Final = 1 << 20


def cut(data: Buffer, begin: int, end: int) -> bytes:
    """A part of `data`, copied once; a large one in slices, so that other threads get on."""
    with memoryview(data) as view:
        if end - begin <= CUT_AT_ONCE:
            return bytes(view[begin:end])
        whole = BytesIO()
        for at in range(begin, end, CUT_AT_ONCE):
            whole.write(view[at : min(at + CUT_AT_ONCE, end)])
    return whole.getvalue()


Reader: TypeAlias = Callable[[Buffer, int], "tuple[T, int] | Incomplete[T]"]


def read_with_rest(reader: Reader[T], data: Buffer, pos: int) -> tuple[T | Incomplete[T], Buffer]:
    """What a reader reads, and what comes behind it; everything, if that is incomplete.

    For a worker thread that has taken over `data` and lets go of it: to free it takes long, too.
    """
    result = reader(data, pos)
    if isinstance(result, Incomplete):
        return result, data[pos:] if pos else data
    value, end = result
    return value, bytes(memoryview(data)[end:])
