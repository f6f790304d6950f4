"""What the tests of this folder install, built once for all workers of a run.

=================  ===============================================================================
fixture            gives
=================  ===============================================================================
release            a directory: the source archive and the wheel, as `make wheel` makes them
bare_path          a PATH with the programs that kt itself calls and no compiler
offline            variables with which pip builds from source without an index
hidden             words before a command, so that it sees no engine library of the system
clean              a new environment that holds that wheel and nothing else
client_only        a new environment, in which the archive was installed without a compiler
=================  ===============================================================================
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

LIBRARIES = ("libkyotocabinet", "libtokyocabinet", "liblzo2", "liblzma", "libbz2")
"""The storage libraries and what they need, beginnings of their names."""

PROGRAMS = ("cat", "env", "ls", "sh", "sleep", "tail")


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and how programs are run in it."""

    directory: Path
    path: str

    @property
    def python(self) -> str:
        return str(self.directory / "bin" / "python")

    def run(
        self, *command: str, before: tuple[str, ...] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment, or python, with nothing of ours in its own."""
        program = [str(self.directory / "bin" / command[0]), *command[1:]]
        return subprocess.run(
            [*before, *program],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env={"PATH": f"{self.directory}/bin:{self.path}", "HOME": str(self.directory)}
            | variables,
        )


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a directory in whichever worker is first; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, build: Callable[[Path], None]) -> Path:
        directory, done = common / name, common / f"{name}.done"
        with (common / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(directory, ignore_errors=True)  # of a worker that failed
                directory.mkdir()
                build(directory)
                done.touch()
        return directory

    return make


Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def release(once: Once) -> Path:
    def build(directory: Path) -> None:
        succeed(
            subprocess.run(
                [sys.executable, ROOT / "tools" / "make_wheel.py", directory],
                check=False,
                capture_output=True,
                text=True,
            )
        )

    return once("release", build)


@pytest.fixture(scope="session")
def archive(release: Path) -> Path:
    [found] = release.glob("*.tar.gz")
    return found


@pytest.fixture(scope="session")
def wheel(release: Path) -> Path:
    [found] = release.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def bare_path(once: Once) -> str:
    def build(directory: Path) -> None:
        for program in PROGRAMS:
            found = shutil.which(program)
            assert found is not None, program
            (directory / program).symlink_to(found)

    return str(once("bare-path", build))


@pytest.fixture(scope="session")
def offline(once: Once) -> dict[str, str]:
    """Our own setuptools and Cython, and nothing else of our environment: no kt to be replaced."""

    def build(directory: Path) -> None:
        packages = Path(sysconfig.get_path("platlib"))
        for name in ("setuptools", "_distutils_hack", "Cython", "cython.py"):
            (directory / name).symlink_to(packages / name)
        for about in packages.glob("setuptools-*.dist-info"):  # names its commands
            (directory / about.name).symlink_to(about)

    return {"PYTHONPATH": str(once("building", build)), "PIP_NO_INDEX": "1"}


LOADED = """
import kt.server.engines.kyoto._engine, kt.server.engines.tokyo._engine
print(open("/proc/self/maps").read())
"""

# $1 is mount, then come the files, --, and the command.
HIDE = """
mount=$1
shift
while [ "$1" != -- ]; do
    "$mount" --bind /dev/null "$1" || exit
    shift
done
shift
exec "$@"
"""


@pytest.fixture(scope="session")
def hidden() -> tuple[str, ...]:
    """In a mount namespace of its own, /dev/null lies over the libraries that our engines load."""
    unshare, mount = shutil.which("unshare"), shutil.which("mount")
    if sys.platform != "linux" or unshare is None or mount is None:
        pytest.skip("libraries are hidden with Linux' unshare and mount")
    maps = succeed(
        subprocess.run([sys.executable, "-c", LOADED], check=False, capture_output=True, text=True)
    )
    files = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "/" in line}
    libraries = sorted(file for file in files if Path(file).name.startswith(LIBRARIES))
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    words = [unshare, *root, "--mount", "/bin/sh", "-c", HIDE, "sh", mount, *libraries, "--"]
    tried = subprocess.run([*words, "true"], check=False, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no mount namespace here: {tried.stderr.strip()}")
    return tuple(words)


def new_environment(directory: Path, path: str) -> Environment:
    succeed(
        subprocess.run(
            [sys.executable, "-m", "venv", directory], check=False, capture_output=True, text=True
        )
    )
    return Environment(directory, path)


@pytest.fixture(scope="session")
def clean(once: Once, wheel: Path, bare_path: str) -> Environment:
    def build(directory: Path) -> None:
        environment = new_environment(directory, bare_path)
        succeed(environment.run("pip", "install", "--no-index", str(wheel)))

    return Environment(once("clean", build), bare_path)


@pytest.fixture(scope="session")
def client_only(once: Once, archive: Path, bare_path: str, offline: dict[str, str]) -> Environment:
    def build(directory: Path) -> None:
        environment = new_environment(directory, bare_path)
        succeed(environment.run("pip", "install", "--no-build-isolation", str(archive), **offline))

    return Environment(once("client-only", build), bare_path)
