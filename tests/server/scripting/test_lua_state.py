"""The interpreter: what scripts can reach, how they are ended, and the utilities in Python."""

from __future__ import annotations

import re
import subprocess
import sys
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


HUGE = {
    "doubled": "local s = 'x' while true do s = s .. s end",
    "many times": "local s = 'x' while true do s = s .. s .. s .. s .. s .. s .. s end",
    "coroutine": "coroutine.wrap(function() local s = 'x' while true do s = s .. s end end)()",
    "concat": """local t = {} for i = 1, 100 do t[i] = ('x'):rep(1e5) end
                 while true do t[#t + 1] = table.concat(t) end""",
    "gsub": "local s = 'x' while true do s = s:gsub('.', '%0%0') end",
    "format": "local s = 'x' while true do s = string.format('%s%s', s, s) end",
    "read": "io.open('/dev/zero'):read(2^30)",
    "compiled": """local source = 'return {' .. ('1,'):rep(4e6) .. '}'
                   while true do loadstring(source)() end""",
}


@pytest.mark.parametrize("source", HUGE.values(), ids=HUGE.keys())
def test_what_grows_between_two_looks_ends(source: str) -> None:
    run = runner(Limits(memory=1 << 24))
    source = f"x = 'x' {source}"
    assert "too much memory" in str(run(source))
    assert "too much memory" in str(run(source)), "again"
    kept = "ok, failure = pcall(function() local s = 'x' while true do s = s .. s end end)"
    assert run(f"{kept} assert(not ok and failure == 'not enough memory')") is None
    assert run("x = ('x'):rep(1e6)") is None


def test_large_garbage_does_not_count() -> None:
    run = runner(Limits(memory=1 << 24))
    assert run("local s = ('x'):rep(4e6) for i = 1, 100 do local t = s .. i end") is None


CRASHING = {
    "unpack": "unpack({}, 0, 2^31 - 1)",
    "unpack more": "unpack({}, -2^31, 2^31 - 1)",
    "unpack text": "unpack({}, '0', '2147483647')",
    "unpack from no number": "unpack({}, 0/0, 2^31 - 1)",
    "find": "string.find(('a'):rep(2^18), ('.?'):rep(2^18))",
    "match": "string.match(('a'):rep(2^18), ('a*'):rep(2^18))",
    "gmatch": "for _ in string.gmatch(('a'):rep(2^18), ('.?'):rep(2^18)) do end",
    "gsub": "string.gsub(('a'):rep(2^18), ('a-'):rep(2^18) .. 'b', '')",
    "gsub with a function": "string.gsub(('a'):rep(2^18), ('.?'):rep(2^18), print)",
    "method": "local s = ('a'):rep(2^18) s:find(('.?'):rep(2^18))",
}


@pytest.mark.parametrize("source", CRASHING.values(), ids=CRASHING.keys())
def test_what_would_crash_fails(source: str) -> None:
    """In a process of its own, because it would crash that."""
    program = (
        "import sys; from threading import Event\n"
        "from kt.server.engines.kyoto import _text\n"
        "from kt.server.scripting.state import Alone, Interpreter, Limits\n"
        "interpreter = Interpreter(vars(_text), Limits(), Event(), Alone())\n"
        "print(interpreter.run(sys.argv[1].encode(), 's.lua'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, source], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert re.match(r"s\.lua:1: (pattern too complex|too many results to unpack)", done.stdout)


def test_guarded_functions_are_as_lua_has_them(run: Run) -> None:
    source = """
        local list = {1, 2, nil, 4}
        assert(select('#', unpack(list, 1, 4)) == 4 and select(4, unpack(list, 1, 4)) == 4)
        assert(unpack(list, 2) == 2 and unpack(list, '2', '2') == 2)
        assert(select('#', unpack(list, 5, -1)) == 0 and select('#', unpack({}, 1, 7000)) == 7000)
        assert(select(2, ('a.b'):find('.', 1, true)) == 2 and ('a.b'):match('%a', 2) == 'b')
        assert(('a.b'):find(('x'):rep(1e5)) == nil)
        assert(('ab'):gsub('%a', { a = '1' }) == '1b' and ('ab'):gsub('%a', '%0%0', 1) == 'aab')
        assert(select(2, ('ab'):gsub('%a', string.upper)) == 2)
        local words = {} for key, value in ('a=1 b=2'):gmatch('(%a)=(%d)') do words[key] = value end
        assert(words.a == '1' and words.b == '2')
        local function failure(...) return select(2, pcall(...)) end
        assert(failure(string.gsub, 'a', 'a', function() error({7}) end)[1] == 7)
    """
    assert run(source) is None


@pytest.mark.parametrize(
    ("source", "failure"),
    [
        ("local x = string.find(nil)", "bad argument #1 to 'find' (string expected, got nil)"),
        ("local x = ('x'):match('%')", "malformed pattern (ends with '%')"),
        ("local x = ('x'):gsub('x')", "bad argument #3 to 'gsub' (string/function/table expected)"),
        ("local x = unpack(7)", "bad argument #1 to 'unpack' (table expected, got number)"),
        ("('x'):gsub('x', function() error('inside') end)", "inside"),
    ],
)
def test_failures_of_guarded_functions_say_where(run: Run, source: str, failure: str) -> None:
    assert run(source) == f"s.lua:1: {failure}"


def finalized(finalizer: str) -> str:
    return f"""
    local object = newproxy(true)
    getmetatable(object).__gc = {finalizer}
    getmetatable(object).__index = {{ name = 'object' }}
    assert(object.name == 'object' and getmetatable(newproxy(object)).__index.name == 'object')
    object = nil
    collectgarbage()
"""


def test_finalizers(run: Run) -> None:
    source = finalized("function(dead) done = dead.name end")
    assert run(f"{source} assert(done == 'object')") is None
    assert run("assert(newproxy() and newproxy(false) and not pcall(newproxy, 1))") is None
    assert run(finalized("'no function'")) is None


def test_an_endless_finalizer_ends() -> None:
    run = runner(Limits(seconds=0.1))
    assert run("x = 1") is None
    failure = run(finalized("function() while true do end end") + "while true do end")
    assert "the script ran longer than 0.1 s" in str(failure)


def test_a_failing_finalizer_harms_nobody() -> None:
    interpreter = Interpreter(vars(_kyoto_text), Limits(), Event(), Alone())
    source = "getmetatable(newproxy(true)).__gc = function() error('on purpose') end"
    for _ in range(100):
        assert interpreter.run(source.encode(), "s.lua") is None
        for _ in range(100):
            interpreter.table(["x" * 1000])  # collects garbage, and no script runs


def test_modules_are_found_where_the_system_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"
    monkeypatch.delenv("LUA_PATH", raising=False)
    assert runner(Limits())(f"assert(package.path:find('{system}', 1, true))") is None
    monkeypatch.setenv("LUA_PATH", "/here/?.lua;;/there/?.lua")
    source = f"""
        local path = package.path
        assert(path:find('/here/?.lua;./?.lua;', 1, true) == 1, path)
        assert(path:find('{system};/there/?.lua', 1, true))
    """
    assert runner(Limits())(source) is None
    monkeypatch.setenv("LUA_PATH", "/here/?.lua")
    assert runner(Limits())("assert(package.path == '/here/?.lua')") is None


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
