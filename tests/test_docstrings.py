"""Everything that users may call says what it does: `help()` and the reference have no gaps.

Public are the names in `kt.__all__` and `kt.lua.__all__`, `kt.open`, what the modules of
`kt.contrib` define, and the members of all these classes, those inherited from ours among them.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kt
import kt.contrib
import kt.lua

CONTRIB = [f"kt.contrib.{module.name}" for module in pkgutil.iter_modules(kt.contrib.__path__)]


def is_ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).split(".")[0] == "kt"


def names_of(module: str) -> list[str]:
    """The public names of a module."""
    if module == "kt":
        return [*(name for name in kt.__all__ if name != "__version__"), "open"]
    if module == "kt.lua":
        return kt.lua.__all__
    names = vars(importlib.import_module(module)).items()
    return [n for n, value in names if n[0] != "_" and getattr(value, "__module__", "") == module]


def members(cls: type) -> Iterator[tuple[str, str | None]]:
    """The public methods and properties of a class, each with its docstring or an inherited one."""
    for base in filter(is_ours, cls.__mro__):
        for name, member in vars(base).items():
            if name[0] != "_" and (callable(inspect.unwrap(getattr(cls, name))) or is_data(member)):
                yield f"{base.__qualname__}.{name}", inspect.getdoc(getattr(base, name))


def is_data(member: Any) -> bool:
    """Tell whether it is a property: fields of tuples are described by their class."""
    return isinstance(member, property)


def described_values(module: str) -> set[str]:
    """The names in a module that have a text in quotes below them."""
    path = importlib.import_module(module).__file__
    assert path is not None
    found, target = set(), ""
    for node in ast.parse(Path(path).read_text(encoding="utf-8")).body:
        if target and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(target)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        target = targets[0].id if isinstance(targets[0], ast.Name) else ""
    return found


def home_of(module: str, name: str) -> str:
    """The module that a public name is written in."""
    return kt._HOME.get(name, module) if module == "kt" else module


def undescribed(module: str) -> Iterator[str]:
    for name in names_of(module):
        value = getattr(importlib.import_module(module), name)
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            if name not in described_values(home_of(module, name)):
                yield name
            continue
        if not value.__doc__:
            yield name
        if inspect.isclass(value):
            yield from (member for member, text in members(value) if not text)


@pytest.mark.parametrize("module", ["kt", "kt.lua", *CONTRIB])
def test_every_public_name_and_member_has_a_docstring(module: str) -> None:
    if module in CONTRIB:
        pytest.importorskip(module, reason=f"{module} needs a package: see tools/bootstrap")
    assert importlib.import_module(module).__doc__
    assert not sorted(set(undescribed(module)))


def test_calls_of_pipelines_say_what_the_client_says() -> None:
    assert kt.TycoonPipeline.get_bulk.__doc__ == kt.AsyncKyotoTycoon.get_bulk.__doc__
    assert kt.TyrantPipeline.get_range.__doc__ == kt.AsyncTokyoTyrant.get_range.__doc__
