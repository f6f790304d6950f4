"""The wheel that `make wheel` makes: what is in it, and that it works where nothing else is."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.packaging.conftest import LIBRARIES, Environment, succeed

# The first worker that comes here waits for the compilers.
pytestmark = pytest.mark.timeout(1800)

TRY = str(Path(__file__).with_name("try_installed.py"))
SERVERS = ["kt-tycoon", "kt-tyrant"]


def test_servers_and_clients_work(clean: Environment) -> None:
    """The storage libraries and theirs are those that the wheel carries."""
    printed = succeed(clean.run("python", TRY)).splitlines()
    assert printed[0] == "compiled"
    if sys.platform == "linux":
        used = [path for path in printed[1:] if Path(path).name.startswith(LIBRARIES)]
        # Python itself may have loaded its own libbz2 and liblzma, for modules of its own.
        ours = [path for path in used if path.startswith(str(clean.directory))]
        assert {name for name in LIBRARIES for path in ours if f"/{name}" in path} == {*LIBRARIES}
        assert not [path for path in {*used} - {*ours} if "cabinet" in path or "liblzo" in path]


def test_no_library_of_the_system_is_needed(clean: Environment, hidden: tuple[str, ...]) -> None:
    engine = "import kt.server.engines.kyoto._engine"
    command = [*hidden, sys.executable, "-c", engine]
    ours = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "ImportError" in ours.stderr  # the libraries are hidden indeed
    succeed(clean.run("python", TRY, before=hidden))


@pytest.mark.parametrize("server", SERVERS)
def test_programs(clean: Environment, server: str) -> None:
    assert succeed(clean.run(server, "--version")).startswith(f"{server} ")


def test_holds_nothing_that_is_not_needed_to_run(wheel: Path) -> None:
    names = [Path(name) for name in zipfile.ZipFile(wheel).namelist() if name[-1] != "/"]
    modules = [name for name in names if name.parts[0] == "kt"]
    assert {name.suffix for name in modules} == {".py", ".pyi", ".so", ".lua", ".typed"}
    assert not [name for name in modules if "source" in name.parts]
    libraries = {".libs", ".dylibs"}
    others = {name.parts[0] for name in names if name.parts[0] != "kt"}
    assert {Path(name).suffix for name in others} <= {".dist-info", *libraries}


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")
def test_objects_are_stripped(wheel: Path) -> None:
    from elftools.elf.elffile import ELFFile

    with zipfile.ZipFile(wheel) as opened:
        for name in opened.namelist():
            if name.startswith("kt/") and name.endswith(".so"):
                with opened.open(name) as stream:
                    sections = {section.name for section in ELFFile(stream).iter_sections()}
                assert not sections & {".symtab", ".debug_info"}, name


@pytest.mark.skipif(sys.platform != "linux", reason="Linux' names of platforms")
def test_name_says_which_systems(wheel: Path) -> None:
    assert re.search(r"-(manylinux|musllinux)_\d+_\d+_\w+\.whl$", wheel.name)


@pytest.mark.parametrize(
    "command", [["twine", "check", "--strict"], ["check-wheel-contents"]], ids=lambda c: c[0]
)
def test_opinion_of_others(wheel: Path, archive: Path, command: list[str]) -> None:
    program = str(Path(sys.executable).parent / command[0])
    files = [wheel, archive] if command[0] == "twine" else [wheel]
    done = subprocess.run(
        [program, *command[1:], *files], check=False, capture_output=True, text=True
    )
    assert "WARNING" not in succeed(done)


@pytest.fixture(scope="session")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as opened:
        [name] = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(opened.read(name).decode())


def test_the_client_needs_no_other_package(metadata: Message) -> None:
    needed = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    assert needed
    assert all(str(requirement.marker).find("extra ==") >= 0 for requirement in needed)


def test_versions_of_python(metadata: Message) -> None:
    prefix = "Programming Language :: Python :: "
    classifiers = metadata.get_all("Classifier", [])
    named = [text.removeprefix(prefix) for text in classifiers if text.startswith(prefix + "3.")]
    assert metadata["Requires-Python"] == f">={named[0]}"
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in named


def test_description_leads_nowhere_that_is_not_there(metadata: Message) -> None:
    """A package index has the README, not the files beside it."""
    description = str(metadata.get_payload())
    assert description.lstrip().startswith("# kt")
    assert not re.findall(r"\]\((?!https://)", description)
