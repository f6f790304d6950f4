"""Programs that scripts run with ``io.popen``, as Lua has it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from kt.server.scripting.state import Alone, Interpreter, Limits

from ...conftest import StartTycoon, StartTyrant

# What both kinds of each server run. `said` is what a function has to say.
SCRIPT = """
local function all(...)
  local words = {}
  for index = 1, select("#", ...) do words[index] = tostring((select(index, ...))) end
  return table.concat(words, ",")
end

local tests = {}

function tests.reads()
  local file = io.popen("echo hello; echo 2 lines")
  local said = all(io.type(file), type(file), tostring(file):match("^file %("), file:read("*l"))
  said = all(said, file:read("*n", "*a"))
  return all(said, file:read("*l"), file:close())
end

function tests.lines()
  local lines, file = {}, io.popen("printf 'a\\\\nb\\\\n\\\\nc'", "r")
  for line in file:lines() do lines[#lines + 1] = line end
  return all(#lines, table.concat(lines, "|"), io.close(file), io.type(file), tostring(file))
end

function tests.writes()
  local file = io.popen("tr a-z A-Z > written", "w")
  local said = all(file:write("some ", 7), file:flush(), file:seek())
  said = all(said, file:close())
  return all(said, io.open("written"):read("*a"))
end

function tests.ends()
  local file = io.popen("exit 3")
  return all(file:read("*a"), file:read("*a"), file:read("*l"), file:close())
end

function tests.nothing()
  return all(io.popen("/no such program 2>/dev/null"):read("*l"))
end

function tests.modes()
  return all(io.popen("true", "x"))
end

function tests.closed()
  local file = io.popen("true")
  file:close()
  return all(pcall(file.read, file))
end

function tests.input()
  local before = io.input()
  io.input(io.popen("echo from a program"))
  local said = io.read()
  io.close(io.input())
  io.input(before)
  return said
end

function tests.many()
  local files, said = {}, 0
  for number = 1, 50 do files[number] = io.popen("echo " .. number) end
  for _, file in ipairs(files) do
    said = said + file:read("*n")
    file:close()
  end
  return said
end

function tests.letgo()
  for number = 1, 50 do io.popen("cat > /dev/null", "w"):write(number) end
  collectgarbage()
  return "collected"
end

function run(input, output)
  if type(input) == "string" then return tests[input]() end
  output.said = tests[input.name]()
end
"""

SAID = {
    "reads": "file,userdata,file (,hello,2, lines\n,nil,true",
    "lines": "4,a|b||c,true,closed file,file (closed)",
    "ends": ",,nil,true",
    "nothing": "nil",
    "modes": "nil,true: Invalid argument,22",
    "closed": "false,attempt to use a closed file",
    "input": "from a program",
    "many": "1275",
    "letgo": "collected",
    "writes": "true,true,nil,Illegal seek,29,true,SOME 7",
}


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.lua"
    path.write_text(SCRIPT)
    return str(path)


def test_programs_in_kyoto_tycoon(start_tycoon: StartTycoon, script: str) -> None:
    client = start_tycoon("*", args=["-scr", script]).client
    said = {name: client.script("run", {"name": name})["said"] for name in SAID}
    assert said == SAID


def test_programs_in_tokyo_tyrant(start_tyrant: StartTyrant, script: str) -> None:
    client = start_tyrant("*", args=["-ext", script]).client
    said = {name: client.script("run", name).decode() for name in SAID}
    assert said == SAID


# What follows is about ours only.


@pytest.fixture
def run() -> Callable[[str], str | None]:
    interpreter = Interpreter({}, Limits(seconds=0.2), Event(), Alone())
    return lambda source: interpreter.run(source.encode(), "s.lua")


def test_waiting_for_a_program_ends(run: Callable[[str], str | None], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    failure = run(f"io.popen('cat; cat {gate}', 'w'):close()")
    assert failure == "s.lua:1: the script ran longer than 0.2 s"
    gate.open("w").close()
    for thread in threading.enumerate():
        if thread.name == "kt-program":
            thread.join()


def test_arguments(run: Callable[[str], str | None]) -> None:
    assert "bad argument #1 to 'popen'" in str(run("io.popen()"))
    assert "bad argument #2 to 'popen'" in str(run("io.popen('true', {})"))
    assert run("assert(io.popen(7):read('*a') == '')") is None


def test_closing_without_a_program(run: Callable[[str], str | None]) -> None:
    source = """
        assert(io.open("/dev/null"):close() and io.close(io.open("/dev/null")))
        local default = io.output()
        io.output("/dev/null")
        assert(io.close() and not pcall(io.close))
        io.output(default)
        assert(not pcall(io.close, 7) and not pcall(io.close, nil))
    """
    assert run(source) is None
