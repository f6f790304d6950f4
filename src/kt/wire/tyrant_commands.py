"""The numbers of Tokyo Tyrant's protocol: commands, flags, limits, and the layouts of requests.

`kt.wire.tyrant` describes the messages.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from kt.wire.magic import TYRANT_MAGIC

MAGIC: Final = TYRANT_MAGIC
PUT: Final = 0x10
PUTKEEP: Final = 0x11
PUTCAT: Final = 0x12
PUTSHL: Final = 0x13
PUTNR: Final = 0x18
OUT: Final = 0x20
GET: Final = 0x30
MGET: Final = 0x31
VSIZ: Final = 0x38
ITERINIT: Final = 0x50
ITERNEXT: Final = 0x51
FWMKEYS: Final = 0x58
ADDINT: Final = 0x60
ADDDOUBLE: Final = 0x61
EXT: Final = 0x68
SYNC: Final = 0x70
OPTIMIZE: Final = 0x71
VANISH: Final = 0x72
COPY: Final = 0x73
RESTORE: Final = 0x74
SETMST: Final = 0x78
RNUM: Final = 0x80
SIZE: Final = 0x81
STAT: Final = 0x88
MISC: Final = 0x90
REPL: Final = 0xA0

LOCK_RECORD: Final = 1
"""Flag of ext: no other call with this flag and the same key runs meanwhile."""
LOCK_GLOBAL: Final = 2
"""Flag of ext: no other call with a lock runs meanwhile."""
CHECK_CONSISTENCY: Final = 1
"""Flag of restore and setmst: stop where a change finds another state than its master's."""
NO_UPDATE_LOG: Final = 1
"""Flag of misc: do not write the call into the update log."""

ITEMS_MAX: Final = 2**20
"""Most items of one mget or misc request; the original server hangs up on more."""
NAME_MAX: Final = 1023
"""Longest function name of ext and misc."""

UPDATE: Final = 0xC9
HEARTBEAT: Final = 0xCA
"""Messages in the stream that answers repl."""
UPDATE_MAX: Final = 2**30
"""Longest update: a change of two arguments of the greatest size, and what surrounds them."""

I32: Final = struct.Struct(">i")
U32: Final = struct.Struct(">I")
U64: Final = struct.Struct(">Q")
NO_NUMBERS: Final = struct.Struct(">")
"""Layouts of the numbers of requests; sizes are among them."""
PUTSHL_NUMBERS: Final = struct.Struct(">IIi")
FWMKEYS_NUMBERS: Final = struct.Struct(">Ii")
ADDINT_NUMBERS: Final = struct.Struct(">Ii")
ADDDOUBLE_NUMBERS: Final = struct.Struct(">Iqq")
EXT_NUMBERS: Final = struct.Struct(">IIII")
RESTORE_NUMBERS: Final = struct.Struct(">IQI")
SETMST_NUMBERS: Final = struct.Struct(">IIQI")
MISC_NUMBERS: Final = struct.Struct(">II")
REPL_NUMBERS: Final = struct.Struct(">QI")
REAL: Final = struct.Struct(">qq")
"""The integral part and the fraction of a double."""

UPDATE_HEAD: Final = struct.Struct(">BQII")
"""Magic, since, server, size of the request."""

OK_REPLY: Final = b"\0"
FAILURE_REPLY: Final = b"\1"

TYRANT_VERSION: Final = "1.1.41"
LIBRARY_VERSION: Final = "324"
PROTOCOL_VERSION: Final = "0.91"
"""The version of Tokyo Tyrant that our servers behave like: clients look at it."""

_FRACTIONS: Final = 10**12


def split_real(n: float) -> tuple[int, int]:
    """A double as its integral part and its fraction in units of 10**-12."""
    if math.isnan(n):
        return -(2**63), -(2**63)
    if math.isinf(n):
        return (2**63 - 1 if n > 0 else -(2**63)), 0
    fraction, integral = math.modf(n)
    return int(integral), int(fraction * _FRACTIONS)


def join_real(integral: int, fraction: int) -> float:
    """The double that `split_real` has split."""
    if integral == -(2**63):
        return math.nan if fraction == -(2**63) else -math.inf
    if integral == 2**63 - 1:
        return math.inf
    return integral + fraction / _FRACTIONS
