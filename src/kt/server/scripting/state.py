"""One Lua 5.1 interpreter for scripts, and the only place that touches lupa.

::

    worker thread (Python)                     Lua, without the GIL
    ---------------------------------------    ---------------------------------------------------
    entry(name, arguments) ------------------> the prelude's entry function
                                                   pcall(the script's function)
    host function, with the GIL  <------------         db:get(key), _put(key, value), ...
                                 ------------>     every 10,000 instructions: may it go on?
    Interpreter.verdict  <--------------------         (asked once a second)
    result           <------------------------ the prelude's result

What scripts see is made in Lua: ``lua/common.lua``, with functions from here, then the *prelude* of
the server, with the server's own. Scripts get no Python object except a few opaque ones (databases,
cursors) that have no attributes for them. Strings are bytes on both sides. An interpreter belongs
to one thread.

**Limits.** A script runs until it returns or fails, has run for `Limits.seconds`, holds more than
`Limits.memory`, or the server stops. Then it gets a Lua error that it cannot hold back: catching it
brings the next one. What is not Lua cannot be ended in the middle: one pattern match, one engine
operation. What waits in Python (`sleep`, locks) looks at the verdict itself.
"""

from __future__ import annotations

import importlib
import re
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import copysign, inf, isfinite
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from kt.errors import ImproperlyConfigured
from kt.server.scripting.programs import program_host

Host: TypeAlias = Mapping[str, object]
"""What a prelude is given: functions and constants by name."""

LuaTable: TypeAlias = Any
LuaFunction: TypeAlias = Callable[..., Any]

LAST_CALL: Final = 5.0
"""Seconds that a script has when the server ends."""

NAP: Final = 0.5
"""A thread that waits for something looks so often, in seconds, whether its script may go on."""


SLACK: Final = 1 << 26
"""Lua's own limit on memory is at least so many bytes above `Limits.memory`."""


class Limits(NamedTuple):
    """What a script may use. Both limits are looked at now and then.

    Between two looks at the memory, Lua's own limit holds: twice as much, or `SLACK` more. It would
    end the process when it is reached while Python hands something over, so it is on only while Lua
    runs.

    Attributes:
        seconds: time of one call; 0 for no limit.
        memory: bytes that the interpreter of one worker may hold; 0 for no limit.
    """

    seconds: float = 0.0
    memory: int = 0


class Aside(Protocol):
    """Who has to know that a call waits for what only another call does."""

    def stand_aside(self) -> str | None:
        """It begins to wait; returns why it must not, if so."""

    def come_back(self) -> None:
        """It goes on."""


class Alone:
    """An `Aside` for an interpreter in a thread of its own: nobody has to know."""

    def stand_aside(self) -> None: ...
    def come_back(self) -> None: ...


def find_script(name: str) -> str:
    """The path of a script: a file, or the name of one that comes with this package.

    Raises:
        ImproperlyConfigured: there is none.
    """
    ours = Path(__file__).parents[2] / "lua" / name
    for path in (Path(name), ours):
        if path.is_file():
            return str(path)
    raise ImproperlyConfigured(f"{name}: no such script")


class Interpreter:
    """A Lua state with the utilities that the scripts of both servers have.

    Args:
        text: the engine's text utilities: codec, regex_match, regex_replace, distance.
        limits: what a script may use.
        stop: set when scripts are to end because the server does.
        aside: to be told when a call waits for another one.

    Attributes:
        failure: the exception that a Lua error becomes in Python.

    Raises:
        ImproperlyConfigured: lupa is not installed.
    """

    def __init__(self, text: Host, limits: Limits, stop: threading.Event, aside: Aside) -> None:
        lupa = _lupa()
        self.failure: type[Exception] = lupa.LuaError
        self._runtime = lupa.LuaRuntime(
            encoding=None,
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_no_attributes,
            max_memory=0 if limits.memory else None,
        )
        self._type: Callable[[object], str | None] = lupa.lua_type
        self.table: Callable[[object], LuaTable] = self._runtime.table_from
        self._limits = limits
        self._stop = stop
        self._aside = aside
        self._deadline = inf
        self._restricted = False
        shared = self._functions({**self._host(), **text})
        self._common: LuaTable = self._runtime.execute(
            source("common.lua"), shared, name=b"=common.lua"
        )

    def _functions(self, host: Host) -> LuaTable:
        return self.table({name.encode(): value for name, value in host.items()})

    def prelude(self, name: str, host: Host) -> Any:
        """Run a file of ``lua/`` with `host`; returns what it returns."""
        if self._limits.memory:
            outside = self._common[b"outside"]
            host = {
                name: outside(value) if self._is_python(value) else value
                for name, value in host.items()
            }
        return self._common[b"part"](name.encode(), self._functions(host), self._common)

    def _is_python(self, value: object) -> bool:
        """Whether it is a function of ours. (Lua's tables can be called, too.)"""
        return callable(value) and self._type(value) is None

    def _restrict(self) -> bool:
        """Limit what Lua allocates; whether it was limited before."""
        was, self._restricted = self._restricted, True
        if not was:
            memory = self._limits.memory
            self._runtime.set_max_memory(memory + max(memory, SLACK), total=True)
        return was

    def _relax(self) -> bool:
        """Do not limit it; whether it was limited before."""
        was, self._restricted = self._restricted, False
        if was:
            self._runtime.set_max_memory(0)
        return was

    def begin(self) -> None:
        """A call begins: its time counts from now."""
        self._relax()
        if self._limits.seconds:
            self._deadline = time.monotonic() + self._limits.seconds

    def begin_last(self) -> None:
        """As `begin`, for a call that is made although the server stops."""
        self._stop = threading.Event()
        self._deadline = time.monotonic() + LAST_CALL

    def run(self, script: bytes, name: str) -> str | None:
        """Run a script at top level; returns what is wrong with it, if anything is."""
        self.begin()
        failure: bytes | None = self._common[b"run"](script, name.encode(errors="surrogateescape"))
        return None if failure is None else readable(failure)

    def verdict(self) -> str | None:
        """Why the running script must end, if it must."""
        if self._stop.is_set():
            return "the server stops"
        if time.monotonic() > self._deadline:
            return f"the script ran longer than {self._limits.seconds or LAST_CALL:g} s"
        return None

    def wait(self, attempt: Callable[[float], bool]) -> str | None:
        """Repeat `attempt`, which waits up to so many seconds for what another call may have to
        do, until it succeeds or the script must end.

        Returns:
            why it must end; None after a success.
        """
        if attempt(0.0):
            return None
        if reason := self._aside.stand_aside():
            return reason
        try:
            return self._repeat(attempt)
        finally:
            self._aside.come_back()

    def _repeat(self, attempt: Callable[[float], bool]) -> str | None:
        while not attempt(self._nap()):
            if reason := self.verdict():
                return reason
        return None

    def end(self, reason: str) -> None:
        """End the script that has called the host. Raises `failure`."""
        self._common[b"stop"](reason.encode())

    def sleep(self, seconds: float) -> str | None:
        """Wait; returns why the script must end, if it must before that."""
        end = time.monotonic() + seconds

        def attempt(nap: float) -> bool:
            left = end - time.monotonic()
            self._stop.wait(max(0.0, min(nap, left)))
            return left <= nap

        return self._repeat(attempt)

    def _nap(self) -> float:
        return max(0.0, min(NAP, self._deadline - time.monotonic()))

    def _host(self) -> Host:
        return {
            "source": lambda name: source(name.decode()),
            "memory_limit": self._limits.memory,
            "restrict": self._restrict,
            "relax": self._relax,
            **program_host(self._repeat),
            "verdict": lambda: _encoded(self.verdict()),
            "sleep": lambda seconds: _encoded(self.sleep(seconds)),
            "time": time.time,
            "bit": bit,
            "pack": lambda layout, *numbers: pack(layout, numbers),
            "pack_table": lambda layout, numbers: pack(layout, list(numbers.values())),
            "unpack": lambda layout, data: tuple(unpack(layout, data)),
            "unpack_table": lambda layout, data: self.table(unpack(layout, data)),
        }


@cache
def source(name: str) -> bytes:
    """A file of ``lua/``."""
    from importlib import resources  # not there until a script runs: it takes time to import

    return resources.files(__package__).joinpath("lua", name).read_bytes()


def _lupa() -> Any:
    try:
        return importlib.import_module("lupa.lua51")
    except ImportError as error:
        raise ImproperlyConfigured(
            f"scripts need lupa ({error}): pip install kyototycoon[server]"
        ) from None


def _no_attributes(_object: object, _name: object, _is_setting: bool) -> str:
    raise AttributeError("scripts cannot look into this object")


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def readable(message: bytes) -> str:
    """A message of a script, for the log: one line."""
    return message.decode("utf-8", "backslashreplace").replace("\n", " | ")


# Utilities that need more than Lua has. Numbers that do not fit wrap around, as in C.


def _integer(number: float) -> int:
    return int(number) if isfinite(number) else 0


def bit(mode: bytes, number: float, operand: float) -> int | None:
    """An operation on unsigned integers of 32 bits; None if there is none of that name."""
    a, b = _integer(number) & 0xFFFFFFFF, _integer(operand) & 0xFFFFFFFF
    match mode.lower():
        case b"and":
            return a & b
        case b"or":
            return a | b
        case b"xor":
            return a ^ b
        case b"not":
            return a ^ 0xFFFFFFFF
        case b"left":
            return (a << (b & 31)) & 0xFFFFFFFF
        case b"right":
            return a >> (b & 31)
    return None


_CODES: Final = {"c": "b", "C": "B", "s": "h", "S": "H", "l": "q", "L": "Q", "F": "f", "D": "d"}
_BIG_ENDIAN: Final = {"n": "H", "N": "I", "M": "Q"}
_SIZES: Final = {letter: struct.calcsize(f"={letter}") for letter in "bBhHiIqQfd"}


def _items(layout: bytes) -> list[tuple[str, float]]:
    """Letters of a layout, each with how often it applies: ``c``, ``n4``, ``i*``."""
    items: list[tuple[str, float]] = []
    text = layout.partition(b"\0")[0].decode("latin-1")
    for letter, times in re.findall(r"(?s)(.)([0-9]+|\*)?", text):
        items.append((letter, inf if times == "*" else int(times or "1")))
    return items


def _form(letter: str) -> tuple[str, str]:
    """Byte order and letter of the `struct` module; no letter if it is not one of ours."""
    if letter in _BIG_ENDIAN:
        return ">", _BIG_ENDIAN[letter]
    code = _CODES.get(letter, letter)
    return "=", code if code in _SIZES else ""


def pack(layout: bytes, numbers: Sequence[float]) -> bytes:
    """Numbers as bytes, as the layout says; `numbers` beyond it are left out.

    ``c s i l`` and capitals: integers of 1, 2, 4, 8 bytes in the machine's order; ``n N M``: of 2,
    4, 8 bytes, big-endian; ``f d``: floating point; ``w``: seven bits a byte, most significant
    first.
    """
    packed = bytearray()
    at = 0
    for letter, times in _items(layout):
        chosen = numbers[at : at + int(min(times, len(numbers)))]
        at += len(chosen)
        packed += _packed(letter, chosen)
    return bytes(packed)


def _packed(letter: str, numbers: Sequence[float]) -> bytes:
    if letter in "wW":
        return b"".join(_packed_sevens(_integer(number) & (1 << 64) - 1) for number in numbers)
    order, code = _form(letter)
    if not code:
        return b""
    form = f"{order}{len(numbers)}{code}"
    if code in "fd":
        try:
            return struct.pack(form, *numbers)
        except OverflowError:  # a number beyond what a float can be
            return struct.pack(form, *(_single(number) for number in numbers))
    mask = (1 << 8 * _SIZES[code]) - 1
    return struct.pack(form.upper(), *(_integer(number) & mask for number in numbers))


def _single(number: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return copysign(inf, number)


def _packed_sevens(number: int) -> bytes:
    sevens = [number & 0x7F]
    while number := number >> 7:
        sevens.append(number & 0x7F | 0x80)
    return bytes(reversed(sevens))


def unpack(layout: bytes, data: bytes) -> list[float]:
    """The numbers in bytes that `pack` made; a number that is cut off ends it."""
    numbers: list[float] = []
    at = 0
    for letter, times in _items(layout):
        order, code = _form(letter)
        if letter in "wW":
            count = 0
            while count < times and at < len(data):
                number, at = _unpacked_sevens(data, at)
                numbers.append(float(number))
                count += 1
        elif code:
            size = _SIZES[code]
            count = int(min(times, (len(data) - at) // size))
            numbers += map(float, struct.unpack_from(f"{order}{count}{code}", data, at))
            at = at + count * size if count == times else len(data)
    return numbers


def _unpacked_sevens(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    while at < len(data):
        digit, at = data[at], at + 1
        number = number << 7 | digit & 0x7F
        if digit < 0x80:
            break
    return number & 0xFFFFFFFFFFFFFFFF, at
