"""The interpreter: what scripts can reach, how they are ended, and the utilities in Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ImproperlyConfigured
from kt.server.scripting.state import Alone, Interpreter, Limits, bit, find_script, pack, unpack

_kyoto_text = pytest.importorskip("kt.server.engines.kyoto._text")

Run = Callable[[str], str | None]


@pytest.fixture
def run() -> Run:
    """Runs Lua source with an interpreter that lasts for the test; returns the failure."""
    return runner(Limits())


def runner(limits: Limits, stop: Event | None = None) -> Run:
    interpreter = Interpreter(vars(_kyoto_text), limits, stop or Event(), Alone())
    return lambda source: interpreter.run(source.encode(), "s.lua")


def test_a_script_that_works(run: Run) -> None:
    assert run("x = 1") is None
    assert run("assert(x == 1)") is None


@pytest.mark.parametrize(
    ("source", "failure"),
    [
        ("x = = 1", "s.lua:1: unexpected symbol near '='"),
        ("x = 1\nerror('here')", "s.lua:2: here"),
        ("error({})", "table: 0x"),
        ("error(setmetatable({}, {__tostring = function() return 'told' end}))", "told"),
        ("error()", "nil"),
        ("error(setmetatable({}, {__tostring = error}))", "an error that cannot be shown"),
        ("error('two\\nlines \\255')", "two | lines \\xff"),
    ],
)
def test_failures_say_where_and_why(run: Run, source: str, failure: str) -> None:
    assert failure in str(run(source))


@pytest.mark.parametrize(
    "source",
    [
        "assert(python == nil and package.loaded.python == nil)",
        "assert(not pcall(require, 'python'))",
        "assert(not pcall(os.exit, 1))",
        "assert(not pcall(debug.sethook))",
        """for _, value in pairs(debug.getregistry()) do
             if type(value) == 'userdata' then
               assert(not pcall(function() return value.__class__ end))
               assert(not pcall(function() value.x = 1 end))
             end
           end""",
    ],
)
def test_python_is_out_of_reach(run: Run, source: str) -> None:
    assert run(source) is None


ENDLESS = {
    "loop": "while true do end",
    "pcall": "while true do pcall(function() while true do end end) end",
    "xpcall": "local function f() while true do end end while true do xpcall(f, f) end",
    "coroutine": "coroutine.wrap(function() while true do end end)()",
    "coroutines": """while true do
                       coroutine.resume(coroutine.create(function() while true do end end))
                     end""",
    "metatable": "local t = setmetatable({}, {__index = function() while true do end end}) x = t.y",
    "sort": "table.sort({1, 2, 3}, function() while true do end end)",
}


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS.keys())
def test_an_endless_script_ends(source: str) -> None:
    run = runner(Limits(seconds=0.1))
    failure = run(source)
    assert failure is not None
    assert re.match(r"s\.lua:\d: the script ran longer than 0\.1 s", failure)
    assert run("x = 1") is None, "what was said about the last call holds for the next one"


def test_an_endless_script_ends_when_the_server_stops() -> None:
    stop = Event()
    run = runner(Limits(), stop)
    stop.set()
    assert "s.lua:1: the server stops" in str(run("while true do end"))


def test_a_script_that_takes_too_much_memory_ends() -> None:
    run = runner(Limits(memory=1 << 24))
    assert "too much memory" in str(run("local t = {} while true do t[#t + 1] = {} end"))
    grows = "local s, more = '', ('x'):rep(1e5) while true do s = s .. more end"
    assert "too much memory" in str(run(grows))
    assert "too much memory" in str(run("x = ('x'):rep(2^40)"))
    assert run("for i = 1, 100000 do local t = {i} end") is None, "garbage does not count"


def test_coroutines_work_as_without_limits(run: Run) -> None:
    source = """
        local routine = coroutine.create(function(a, b)
          local c = coroutine.yield(a + b)
          local d, e = coroutine.yield(c * 2)
          return d .. e
        end)
        assert(select('#', coroutine.resume(routine, 1, 2)) == 2)
        local ok, doubled = coroutine.resume(routine, 5)
        assert(ok and doubled == 10)
        assert(select(2, coroutine.resume(routine, 'x', 'y')) == 'xy')
        assert(coroutine.status(routine) == 'dead')
        assert(not coroutine.resume(routine))
        local step = coroutine.wrap(function(...) for i = 1, select('#', ...) do
          coroutine.yield((select(i, ...))) end end)
        assert(step('a', nil, 'c') == 'a' and step() == nil and step() == 'c')
        local ok, message = pcall(coroutine.wrap(function() error('inside') end))
        assert(not ok and message:find('inside'))
    """
    assert run(source) is None


def test_no_such_script() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"nowhere\.lua: no such script"):
        find_script("nowhere.lua")


NUMBERS = st.one_of(st.integers(-(2**53), 2**53).map(float), st.floats())


@given(st.sampled_from(["and", "or", "xor", "not", "left", "right", "AND"]), NUMBERS, NUMBERS)
def test_bit_gives_32_bits(mode: str, number: float, operand: float) -> None:
    result = bit(mode.encode(), number, operand)
    assert result is not None
    assert 0 <= result < 2**32


def test_bit() -> None:
    assert bit(b"and", 12, 10) == 8
    assert bit(b"XOR", 12, 10) == 6
    assert bit(b"not", 0, 0) == 2**32 - 1
    assert bit(b"left", 1, 31) == 2**31
    assert bit(b"right", -1, 28) == 15
    assert bit(b"rotate", 1, 1) is None


RANGES = {
    "c": (-(2**7), 2**7),
    "C": (0, 2**8),
    "s": (-(2**15), 2**15),
    "S": (0, 2**16),
    "i": (-(2**31), 2**31),
    "I": (0, 2**32),
    "l": (-(2**53), 2**53),
    "L": (0, 2**53),
    "n": (0, 2**16),
    "N": (0, 2**32),
    "M": (0, 2**53),
    "w": (0, 2**53),
}


@given(st.data(), st.sampled_from(sorted(RANGES)))
def test_pack_round_trip(data: st.DataObject, letter: str) -> None:
    low, high = RANGES[letter]
    numbers = data.draw(st.lists(st.integers(low, high - 1).map(float), max_size=20))
    layout = letter.encode() + b"*"
    assert unpack(layout, pack(layout, numbers)) == numbers


@given(st.text("cCsSiIlLfFdDnNMwW*0123456789x", max_size=20), st.binary(max_size=40))
def test_any_layout_and_any_data(layout: str, data: bytes) -> None:
    numbers = unpack(layout.encode(), data)
    assert all(isinstance(number, float) for number in numbers)
    assert isinstance(pack(layout.encode(), numbers), bytes)


@given(NUMBERS, st.sampled_from("cCsSiIlLfFdDnNMw"))
def test_any_number_packs(number: float, letter: str) -> None:
    assert pack(letter.encode(), [number])


def test_pack_leaves_out_and_stops() -> None:
    assert pack(b"n2N", [1, 2, 3, 4]) == b"\0\1\0\2\0\0\0\3"
    assert pack(b"c", []) == b""
    assert unpack(b"n*", b"\0\1\0\2\0") == [1.0, 2.0]
    assert unpack(b"w*", b"\x81") == [1.0]
