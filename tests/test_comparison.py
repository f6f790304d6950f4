"""docs/comparison.md names what there is: the names of its tables are looked up in their homes."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

import kt
from kt.cli import verbs
from kt.client.arguments import Handling

from .conftest import find_original

PAGE = Path(__file__).parent.parent / "docs/comparison.md"
NAME = re.compile(r"`([^`]+)`")
OURS = "kt"
CLIENTS = (kt.KyotoTycoon, kt.TokyoTyrant, kt.AsyncKyotoTycoon, kt.AsyncTokyoTyrant)
SERVERS = {"Kyoto Tycoon": kt.KyotoTycoon, "Tokyo Tyrant": kt.TokyoTyrant}
WORDS = {"[]", "in", "len()", "KT_URL", "for key in db"}  # of Python, or of the environment


def tables() -> list[list[dict[str, str]]]:
    """The tables of the page: rows with the text of each column by its heading."""
    found: list[list[dict[str, str]]] = []
    heads: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            heads = []
        elif not heads:
            heads = [cell.strip() for cell in line.strip("|").split("|")]
            found.append([])
        elif not line.startswith("|--"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == len(heads), line
            found[-1].append(dict(zip(heads, cells, strict=True)))
    return found


CLIENT_TABLE, COMMAND_TABLE = tables()


def names(table: list[dict[str, str]], column: str) -> set[str]:
    return {name for row in table for name in NAME.findall(row[column])}


def resolve(name: str) -> Any:
    """What is called `a.b.c`: a module, or something in it."""
    module, _, last = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return getattr(resolve(module), last)


def parts(name: str) -> tuple[str, str]:
    """Method and keyword of ``set_bulk(atomic=True)``, of ``db=`` (any method), of ``get``."""
    if "=" not in name:
        return name, ""
    method, _, keyword = name.rpartition("(")
    return method, keyword.partition("=")[0]


@cache
def keywords(method: str) -> set[str]:
    """The keywords of a method of our clients; those of any, and of constructors, without one."""
    found = set(Handling.__annotations__)
    for client in CLIENTS:
        for name in [method] if method else ["__init__", *dir(client)]:
            member = getattr(client, name, None)
            if inspect.isfunction(member):
                found.update(inspect.signature(member).parameters)
    return found


@pytest.mark.parametrize("name", sorted(names(CLIENT_TABLE, OURS) - WORDS))
def test_names_of_our_clients(name: str) -> None:
    if name.startswith("kt."):
        resolve(name)
        return
    method, keyword = parts(name)
    assert not method or any(hasattr(client, method) for client in CLIENTS)
    assert not keyword or keyword in keywords(method)


def owners(name: str) -> set[str]:
    """Which servers' clients have this method, or this keyword of it."""
    method, keyword = parts(name)
    found = set()
    for server, client in SERVERS.items():
        home = getattr(client, method or "__init__", None)
        if home is not None and (not keyword or keyword in inspect.signature(home).parameters):
            found.add(server)
    return found


def test_what_one_server_has_is_said_to_be_of_it() -> None:
    for row in CLIENT_TABLE:
        cell = row[OURS]
        for name, note in re.findall(r"`([^`]+)`(?: \(([^()]+)\))?", cell):
            if name in WORDS or name.startswith("kt.") or name.endswith("="):
                continue
            have = owners(name)
            if note in SERVERS:
                assert have == {note}, (name, cell)
            elif len(have) == 1:
                assert f"({have.pop()}" in cell, (name, cell)


def test_names_of_redis_py() -> None:
    redis = pytest.importorskip("redis", reason="redis is missing: tools/bootstrap installs it")
    for name in names(CLIENT_TABLE, "redis-py"):
        if name.startswith("redis."):
            resolve(name)
        else:
            method, keyword = parts(name)
            assert not method or hasattr(redis.Redis, method), name
            home = getattr(redis.Redis, method or "__init__")
            assert not keyword or keyword in inspect.signature(home).parameters, name


@cache
def options(verb: str) -> set[str]:
    """The options of a verb of ours."""
    command = verbs.load(verbs.VERBS[verb])
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("name", sorted(names(COMMAND_TABLE, OURS)))
def test_verbs_of_ours(name: str) -> None:
    words = name.split()
    if words[0] == "kt":
        return
    if name.startswith("--"):
        assert any(name in options(verb) for verb in ("get", "set", "scan"))
    elif words[-1].startswith("-"):
        assert words[-1] in options(words[0])
    elif name != "log":  # which has a program of its own
        assert isinstance(verbs.load(verbs.VERBS[name]), click.Command)


@pytest.mark.parametrize("program", ["ktremotemgr", "tcrmgr", "redis-cli"])
def test_verbs_of_the_originals(program: str) -> None:
    path = find_original(program)
    if path is None:
        pytest.skip(f"{program} is not here: put it on PATH")
    words = [path, "--help"] if program == "redis-cli" else [path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    usage = done.stdout + done.stderr
    for name in names(COMMAND_TABLE, program):
        verb, _, option = name.rpartition(" ")
        if program == "redis-cli":
            assert f"  {name} " in usage, name
        elif verb:
            assert re.search(rf"mgr {verb} .*{option}\b", usage), name
        else:
            assert re.search(rf"mgr {name}\b", usage), name


@pytest.mark.parametrize("program", ["ktremotemgr", "tcrmgr"])
def test_verbs_of_the_originals_are_verbs_here(program: str) -> None:
    theirs = {name.split()[0] for name in names(COMMAND_TABLE, program)}
    assert {name for name in theirs if verbs.find(name, program) is None} == set()
