"""kt where nothing can be compiled: the client works, and what the servers advise works, too."""

from __future__ import annotations

import json
import os
import shlex
import sysconfig
from pathlib import Path

import pytest

from kt.embedded import EmbeddedServer
from kt.server.advice import install_again
from tests.packaging.conftest import Environment, succeed

pytestmark = pytest.mark.timeout(1800)

PROGRAMS = [("kt-tycoon", "libkyotocabinet-dev"), ("kt-tyrant", "libtokyocabinet-dev")]


def installed(environment: Environment) -> Path:
    [directory] = environment.directory.glob("lib/python3.*/site-packages/kt")
    return directory


def test_nothing_is_compiled(client_only: Environment) -> None:
    directory = installed(client_only)
    assert (directory / "py.typed").exists()
    assert not list(directory.rglob("*.so"))


def test_client_works(client_only: Environment) -> None:
    with EmbeddedServer() as server:
        program = f"""
from kt import KyotoTycoon
from kt.wire.codec import IMPLEMENTATION
with KyotoTycoon(port={server.port}) as db:
    print(IMPLEMENTATION, db.set("k", "v"), db.get("k"), db.incr("n"), db.match_prefix("k"))
"""
        done = client_only.run("python", "-c", program)
    assert (done.stdout, done.stderr) == ("python 1 v 1 ['k']\n", "")


def test_compiled_codec_can_be_demanded(client_only: Environment) -> None:
    done = client_only.run("python", "-c", "import kt.wire.codec", KT_IMPL="compiled")
    assert done.returncode != 0
    assert "ImproperlyConfigured" in done.stderr


@pytest.mark.parametrize(
    ("server", "program", "package"),
    [
        (server, *words)
        for server, words in zip(
            ["EmbeddedServer", "EmbeddedTokyoTyrantServer"], PROGRAMS, strict=True
        )
    ],
)
def test_server_says_what_to_install(
    client_only: Environment, server: str, program: str, package: str
) -> None:
    done = client_only.run(
        "python",
        "-c",
        f"import kt\ntry: kt.{server}({program!r}).run()\n"
        "except kt.ServerStartError as error: print(error.output, end='')",
    )
    [said] = [line for line in done.stdout.splitlines() if line.startswith(f"{program}: ")]
    assert package in said
    assert done.stderr == ""


def test_what_servers_say_leads_to_engines(
    client_only: Environment, offline: dict[str, str], tmp_path: Path
) -> None:
    """Now with a compiler, the command that kt-tycoon prints; into a directory of our own.

    It does not optimize, which would take longer than all the rest.
    """
    said = client_only.run("kt-tycoon").stderr.strip()
    words = shlex.split(said[said.index("then kt again: ") + len("then kt again: ") :])
    installed = tmp_path / "installed"
    again = Environment(client_only.directory, os.environ["PATH"])
    options = ["--no-build-isolation", "--target", str(installed)]
    succeed(again.run(*words, *options, **offline, **hasty_compilers(tmp_path)))
    engines = "kt.server.engines.kyoto._engine, kt.server.engines.tokyo._engine"
    succeed(again.run("python", "-c", f"import {engines}", PYTHONPATH=str(installed)))


def hasty_compilers(directory: Path) -> dict[str, str]:
    """Variables that name the compilers that this Python asks for, each with an option more."""
    named = {}
    for variable in ("CC", "CXX"):
        command = sysconfig.get_config_var(variable)
        program = directory / variable
        program.write_text(f'#!/bin/sh\nexec {command} "$@" -O0\n')
        program.chmod(0o755)
        named[variable] = str(program)
    return named


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        (None, "--no-binary kyototycoon kyototycoon"),
        ({"url": "file:///a%20b/kt", "dir_info": {}}, "'/a b/kt'"),
        ({"url": "file:///kt", "dir_info": {"editable": True}}, "--editable /kt"),
        ({"url": "file:///kt-0.1.0.tar.gz", "archive_info": {}}, "/kt-0.1.0.tar.gz"),
        (
            {"url": "ssh://host/kt", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "git+ssh://host/kt@abc",
        ),
        (
            {"url": "file:///kt-0.1.0-py3-none-any.whl", "archive_info": {}},
            "SOURCE, where SOURCE is kt's source directory or archive "
            "(this one is from /kt-0.1.0-py3-none-any.whl, which holds no engine)",
        ),
    ],
)
def test_source_is_where_kt_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: object, source: str
) -> None:
    noted = tmp_path / "kyototycoon-0.1.0.dist-info"
    noted.mkdir()
    (noted / "METADATA").write_text("Metadata-Version: 2.4\nName: kyototycoon\nVersion: 0.1.0\n")
    if origin is not None:
        (noted / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(tmp_path)
    options = "--force-reinstall --no-deps --no-cache-dir"
    assert install_again().endswith(f"-m pip install {options} {source}")
