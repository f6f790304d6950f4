"""kt where nothing can be compiled: the client works, the servers say what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kt.embedded import EmbeddedServer

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kt as it is installed on a system whose compilers fail."""
    directory = tmp_path_factory.mktemp("pure")
    commands = ["egg_info", "--egg-base", str(directory), "build", "--build-base", str(directory)]
    built = subprocess.run(
        [sys.executable, "setup.py", *commands, "--build-lib", str(directory / "lib")],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "CC": "false", "CXX": "false"},
    )
    assert "building extension" in built.stderr
    return directory / "lib"


def run(pure: Path, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "KT_IMPL"}
    return subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=pure,
        env={**clean, "PYTHONPATH": str(pure), **environment},
    )


def test_nothing_is_compiled(pure: Path) -> None:
    assert (pure / "kt" / "py.typed").exists()
    assert not list(pure.rglob("*.so"))


def test_client_works(pure: Path) -> None:
    with EmbeddedServer() as server:
        program = f"""
from kt import KyotoTycoon
from kt.wire.codec import IMPLEMENTATION
with KyotoTycoon(port={server.port}) as db:
    print(IMPLEMENTATION, db.set("k", "v"), db.get("k"), db.incr("n"), db.match_prefix("k"))
"""
        done = run(pure, program)
    assert (done.stdout, done.stderr) == ("python 1 v 1 ['k']\n", "")


def test_compiled_codec_can_be_demanded(pure: Path) -> None:
    done = run(pure, "import kt.wire.codec", KT_IMPL="compiled")
    assert done.returncode != 0
    assert "ImproperlyConfigured" in done.stderr


@pytest.mark.parametrize(
    ("server", "program", "package"),
    [
        ("EmbeddedServer", "kt-tycoon", "libkyotocabinet-dev"),
        ("EmbeddedTokyoTyrantServer", "kt-tyrant", "libtokyocabinet-dev"),
    ],
)
def test_server_says_what_to_install(pure: Path, server: str, program: str, package: str) -> None:
    done = run(
        pure,
        f"import kt\ntry: kt.{server}({program!r}).run()\n"
        "except kt.ServerStartError as error: print(error.output, end='')",
    )
    assert done.stdout.startswith(f"{program}: ")
    assert package in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
