"""Rules for the source that no linter knows: what may import what, and sizes.

Every import of `src/kt` counts: those for types only, those inside of functions, those of Cython.
Modules must not import each other in a circle, and rooms (packages, or single modules) import only
what stands before them in `ROOMS`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import kt

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "kt"

BASE = {"device", "errors", "moments", "options", "output", "serializers", "types", "version"}
"""Rooms that all that stand after them may import."""

CLIENTS = "client client.tycoon client.tyrant"
SERVING = (
    "server.times server.engines server.holders server.session server.reading server.history "
    "server.feed server.link server.log_files server.restoring server.stamp_file "
    "server.log_place server.checkpoint_file server.progress server.scripting server.process"
)

# Room -> what it may import besides BASE, all of it before it. A module belongs to the room with
# the longest name that fits; "" is kt itself. Clients and servers have only wire in common.
ROOMS = {
    "device": "",
    "errors": "",
    "moments": "",
    "options": "",
    "output": "",
    "version": "",
    "types": "",
    "serializers": "",
    "wire": "",
    "net": "wire",
    "client": "net wire",
    "client.tycoon": "client net wire",
    "client.tyrant": "client net wire",
    "lua": f"{CLIENTS} wire",
    "log": "client wire",
    "embedded": CLIENTS,
    "failover": f"net {CLIENTS}",
    "server.times": "",
    "server.engines": "",
    "server.holders": "",
    "server.session": "server.engines",
    "server.reading": "server.session wire",
    "server.inline": "server.session",
    "server.log_files": "wire",
    "server.history": "wire server.engines server.session server.log_files",
    "server.feed": "server.history server.engines server.session",
    "server.link": "server.session",
    "server.restoring": "server.log_files server.session",
    "server.stamp_file": "",
    "server.progress": "server.session",
    "server.log_place": "server.engines",
    "server.checkpoint_file": "server.engines server.session server.history server.log_place",
    "server.scripting": "server.holders",
    "server.process": "server.session server.holders server.engines server.scripting",
    "server.tycoon": f"{SERVING} wire",
    "server.tyrant": f"{SERVING} wire",
    "server.advice": "",
    "local": f"net {CLIENTS} server.inline server.session server.scripting server.engines "
    "server.checkpoint_file server.tycoon server.tyrant",
    "cluster": f"net {CLIENTS} wire server.tycoon",
    "gateway": "net cluster server.engines server.session server.process server.holders "
    "server.scripting server.tycoon "
    "server.tyrant wire",
    "server.__main__": "server.advice server.process server.tycoon server.tyrant cluster gateway",
    "contrib": f"{CLIENTS} embedded local lua",
    "cli": f"{CLIENTS} embedded local log net wire cluster",
    "": f"{CLIENTS} cluster embedded local log wire",
}

# The wire layer turns bytes into values and values into bytes. It does nothing else.
NOT_IN_WIRE = {"asyncio", "datetime", "gevent", "select", "socket", "threading", "time", "uvloop"}

MAX_FOLDER = 20
MAX_FILE = 700
MAX_FUNCTION = 40

GENERATED = ("# Generated from ", "-- Generated from ")


SOURCES = {".py", ".pyx", ".pxd", ".pyi"}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def is_bare(path: Path) -> bool:
    """Tell whether it is a package's own module that holds nothing but a docstring."""
    return path.name == "__init__.py" and len(ast.parse(path.read_text(encoding="utf-8")).body) < 2


def module_files() -> dict[str, list[Path]]:
    """Every module with the files that it is written in."""
    files: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in SOURCES and not is_bare(path):
            files.setdefault(module_name(path), []).append(path)
    return files


FILES = module_files()


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules, or of things in modules, that a file imports."""
    if path.suffix in {".pyx", ".pxd"}:
        yield from cython_imports(path)
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ["kt", *path.relative_to(PACKAGE).parts][: -node.level] if node.level else []
            module = ".".join([*package, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


CYTHON_IMPORT = re.compile(
    r"""^[ ]* (?: from [ ]+ (?P<module>[\w.]+) [ ]+ c?import [ ]+ (?P<names>\([^)]*\)|[^\n#]+)
              | c?import [ ]+ (?P<whole>[\w.]+)
              | include [ ]+ "(?P<part>[^"]+)" )""",
    re.MULTILINE | re.VERBOSE,
)


def cython_imports(path: Path) -> Iterator[str]:
    """The same for Cython, the files that it includes among it."""
    for found in CYTHON_IMPORT.finditer(path.read_text(encoding="utf-8")):
        if found["part"]:
            yield from cython_imports(path.with_name(found["part"]))
        elif found["whole"]:
            yield found["whole"]
        else:
            assert not found["module"].startswith("."), path
            names = re.findall(r"(\w+)(?: as \w+)?", found["names"])
            yield from (f"{found['module']}.{name}" for name in names)


def module_of(name: str) -> str | None:
    """The module of ours that an import of `name` means."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name or None


def arrows() -> dict[str, set[str]]:
    """Which module of ours imports which other ones."""
    return {
        module: {
            target
            for path in paths
            for name in imports(path)
            if (target := module_of(name)) is not None and target != module
        }
        for module, paths in FILES.items()
    }


ARROWS = arrows()


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other; after one is found, it is opened to find others."""
    found = []
    graph = {module: set(targets) for module, targets in graph.items()}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1]  # each is imported by the next one
            found.append(circle)
            graph[circle[1]].discard(circle[0])
        else:
            return found


def test_no_circle() -> None:
    """Where two modules need each other's types, the lower one says in a Protocol what it needs."""
    assert circles(ARROWS) == []


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"b"}, "e": {"a"}}
    assert sorted(sorted(set(circle)) for circle in circles(graph)) == [["a", "b", "c"], ["b", "d"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def room(module: str) -> str:
    """The room that a module stands in."""
    name = module.removeprefix("kt").removeprefix(".")
    while name not in ROOMS:
        assert name, f"{module} is in no room"
        name = name.rpartition(".")[0]
    assert name or module == "kt", f"{module} is in no room"
    return name


def test_imports_point_downwards() -> None:
    order = list(ROOMS)
    upwards = set()
    for module, targets in ARROWS.items():
        here = room(module)
        before = set(order[: order.index(here)])
        allowed = {here} | (before & (BASE | set(ROOMS[here].split())))
        upwards |= {(here, there) for there in map(room, targets) if there not in allowed}
    assert not upwards


def test_rooms_are_in_order() -> None:
    order = list(ROOMS)
    for number, (name, below) in enumerate(ROOMS.items()):
        assert set(below.split()) <= set(order[:number]), name


@pytest.mark.parametrize("path", sorted((PACKAGE / "wire").rglob("*.py")), ids=lambda p: p.name)
def test_wire_does_no_input_or_output(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & NOT_IN_WIRE


def hand_written() -> list[Path]:
    return [
        path
        for directory in ("src", "tests", "tools", "examples", "bench")
        for path in sorted((ROOT / directory).rglob("*"))
        if path.suffix in {".py", ".pyi", ".pyx", ".pxd", ".pxi", ".h", ".cpp", ".lua"}
        and not generated(path)
    ]


def generated(path: Path) -> bool:
    if path.suffix == ".cpp":
        return path.name.startswith("_")  # Cython's
    return path.read_text(encoding="utf-8").startswith(GENERATED)


def test_no_folder_is_too_full() -> None:
    folders = Counter(path.parent.relative_to(ROOT) for path in hand_written())
    assert not {str(folder): files for folder, files in folders.items() if files > MAX_FOLDER}


def test_no_file_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in hand_written()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE
    }
    assert not long


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length of every function, without its docstring."""
    if path.suffix == ".py":
        yield from python_functions(path)
    elif path.suffix in {".pyx", ".pxi", ".cpp", ".h"}:
        yield from block_functions(path)


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                assert first.end_lineno is not None
                length -= first.end_lineno - first.lineno + 1
            yield node.name, length


CYTHON_BEGIN = re.compile(r"^( *)(?:async )?(?:def|cdef(?! class)|cpdef) .*?(\w+)\(")
CXX_BEGIN = re.compile(r"^( *)(?!namespace|class|struct|extern|union|enum)\S.*\{$")


def block_functions(path: Path) -> Iterator[tuple[str, int]]:
    """The same by layout: a function ends where the indentation of its first line comes back."""
    begin = CYTHON_BEGIN if path.suffix in {".pyx", ".pxi"} else CXX_BEGIN
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if found := begin.match(line):
            indent = len(found[1])
            length = 1
            for other in lines[number + 1 :]:
                outside = other.strip() and len(other) - len(other.lstrip()) <= indent
                if outside and not other.lstrip().startswith(")"):
                    break
                length += 1
            yield line.strip(), length


def test_no_function_is_too_long() -> None:
    long = {
        f"{path.relative_to(ROOT)}: {name}": length
        for path in hand_written()
        for name, length in functions(path)
        if length > MAX_FUNCTION
    }
    assert not long


def test_import_is_light() -> None:
    """``import kt`` loads neither asyncio nor a serializer nor a server."""
    heavy = {"asyncio", "http", "json", "msgpack", "pickle", "subprocess", "uvloop", "kt.server"}
    program = "import sys; before = set(sys.modules); import kt; print(*set(sys.modules) - before)"
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert "kt" in printed.split()
    assert not heavy & set(printed.split())


def test_every_public_name_is_there() -> None:
    assert all(hasattr(kt, name) for name in kt.__all__)
    assert set(kt._HOME) - {"open"} < set(kt.__all__)  # `open` would hide Python's own
    assert not hasattr(kt, "nothing")
