"""The units of systemd and the image's commands: what they start, and how that goes on."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kt.cli.program import main
from kt.cli.target import open_target
from kt.errors import KTError
from tests.ports import free_port

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PROGRAMS = Path(sys.executable).parent
SERVERS = ["tycoon", "tyrant"]


def settings(path: Path) -> dict[str, list[str]]:
    """The values of a unit's settings."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_all_units_are_here() -> None:
    names = [path.name for path in UNITS]
    assert names == [
        *("kt-exporter.service", "kt-failover.service"),
        *("kt-tycoon.service", "kt-tyrant.service"),
    ]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_unit(unit: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze (Debian: systemd)")
    copy = tmp_path / unit.name  # the programs must be there, so they are those of this Python
    copy.write_text(unit.read_text().replace("/opt/kt/bin", str(PROGRAMS)))
    ran = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
    rated = subprocess.run(
        [analyze, "security", "--offline=yes", "--threshold=20", copy],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout  # no worse than 2.0 of 10


def url_of(kind: str, port: int) -> str:
    return f"{'kt' if kind == 'tycoon' else 'tt'}://127.0.0.1:{port}"


def wait_for(what: Callable[[], object], server: subprocess.Popen[bytes]) -> None:
    while not what():
        assert server.poll() is None


def answers(url: str) -> bool:
    try:
        target = open_target(url, 60)
        try:
            target.client.ping()
        finally:
            target.close()
    except KTError:
        return False
    return True


@pytest.mark.parametrize("kind", SERVERS)
def test_command_of_a_unit(kind: str, tmp_path: Path) -> None:
    found = settings(DEPLOY / "systemd" / f"kt-{kind}.service")
    defaults = dict(
        word.split("=", 1) for line in found["Environment"] for word in shlex.split(line)
    )
    command = found["ExecStart"][0]
    for name, value in defaults.items():
        command = command.replace(f"${name}", value)
    log = tmp_path / "server.log"
    command = command.replace(f"/var/log/kt-{kind}/server.log", str(log))
    command = command.replace(f" /etc/kt-{kind} ", f" {tmp_path} ")
    port = free_port()
    command = re.sub(r"-port \d+", f"-port {port}", command)
    words = shlex.split(command.replace("/opt/kt/bin", str(PROGRAMS)))
    assert "127.0.0.1" in words
    server = subprocess.Popen(words, cwd=tmp_path)
    try:
        wait_for(lambda: answers(url_of(kind, port)), server)
        moved = log.rename(tmp_path / "server.log.1")
        assert found["ExecReload"] == ["/bin/kill -USR1 $MAINPID"]
        server.send_signal(signal.SIGUSR1)
        wait_for(log.exists, server)
        server.terminate()
        assert server.wait() == 0
        assert moved.stat().st_size > 0
        assert log.stat().st_size > 0
        assert defaults["DATABASES"] in [path.name for path in tmp_path.iterdir()]
    finally:
        server.kill()
        server.wait()


def test_command_of_the_agents_unit() -> None:
    found = settings(DEPLOY / "systemd" / "kt-failover.service")
    words = dict(word.split("=", 1) for line in found["Environment"] for word in shlex.split(line))
    assert words["OPTIONS"] == "--server kt://127.0.0.1:1978"
    port = free_port()
    words.update(NAME="a", OPTIONS=f"--server kt://127.0.0.1:{port} --etcd 127.0.0.1:{port}")
    command = found["ExecStart"][0].replace("/opt/kt/bin", str(PROGRAMS))
    for name, value in words.items():
        command = command.replace(f"${{{name}}}", value).replace(f"${name}", value)
    agent = subprocess.Popen(shlex.split(command), stderr=subprocess.PIPE, text=True)
    try:
        assert agent.stderr is not None
        assert f"127.0.0.1:{port}" in agent.stderr.readline()  # it looks for its server
        agent.terminate()
        assert agent.wait() == 0
    finally:
        agent.kill()
        agent.communicate()


def test_image_starts_a_server_that_its_health_check_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (DEPLOY / "docker" / "Dockerfile").read_text()
    check = json.loads(re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", text, re.MULTILINE)[0])
    assert check[0] == "kt"
    start = json.loads(re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)[0])
    program, *words = (word.replace("0.0.0.0", "127.0.0.1") for word in start)  # loopback, here
    words = [word.replace("/commands", str(tmp_path)) for word in words]
    port = free_port()
    monkeypatch.setenv("KT_URL", url_of("tycoon", port))
    assert main(check[1:]) == 3
    line = [PROGRAMS / program, "-port", str(port), *words]
    server = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: main(check[1:]) == 0, server)
        server.terminate()
        assert server.wait() == 0
    finally:
        server.kill()
        server.wait()
