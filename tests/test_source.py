"""Rules for the source that no linter knows: which layer may import which, and sizes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kt

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "kt"

BASE = {"errors", "options", "serializers", "types", "version"}

# Layer -> what it may import of kt. What is in no layer may be imported by all, and imports BASE.
LAYERS = {
    "wire": {"wire"},
    "net": {"net", "wire"},
    "client": {"client", "net", "wire"},
    "server": {"server", "wire"},
    "lua": {"lua", "client", "wire"},
    "embedded": {"client"},
    "__init__": {"client", "embedded", "wire"},
}

# The wire layer turns bytes into values and values into bytes. It does nothing else.
NOT_IN_WIRE = {"asyncio", "datetime", "gevent", "select", "socket", "threading", "time", "uvloop"}

MAX_FILE = 700
MAX_FUNCTION = 40

GENERATED = ("# Generated from ", "-- Generated from ")


def module_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, in functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ["kt", *path.relative_to(PACKAGE).parts][: -node.level] if node.level else []
            module = ".".join([*package, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", module_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    allowed = LAYERS.get(layer(path), set()) | BASE
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("kt.")}
    assert ours <= allowed


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
    assert set(kt._HOME) < set(kt.__all__)
    assert not hasattr(kt, "nothing")
