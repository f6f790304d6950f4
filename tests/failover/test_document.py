"""The commands of docs/replication.md for three servers with failover, run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kt.failover.service import decode
from kt.net.etcd import Etcd
from kt.net.group.directory import prefix_of
from tests.ports import HOST, free_port
from tests.server.processes import SECONDS
from tests.server.tycoon.pairs import wait_until

from .services import RunningEtcd

PAGE = Path(__file__).parents[2] / "docs/replication.md"
PROGRAMS = {
    "kt-tycoon": [sys.executable, "-m", "kt.server", "tycoon"],
    "python": [sys.executable],
    "kt": [sys.executable, "-m", "kt.cli"],
    "mkdir": ["mkdir"],
}


def commands(etcd: int) -> list[list[str]]:
    """All of them, with loopback addresses."""
    section = PAGE.read_text(encoding="utf-8").partition("## Three with failover\n")[2]
    block = section.partition("```sh\n")[2].partition("```")[0]
    block = re.sub(r"(192\.0\.2\.\d:2379,?)+", f"{HOST}:{etcd}", block)
    for number in (1, 2, 3):
        port = free_port()
        block = block.replace(f"192.0.2.{number}:1978", f"{HOST}:{port}")
        block = block.replace(f"-host 192.0.2.{number} -port 1978", f"-host {HOST} -port {port}")
    assert "192.0.2" not in block
    lines = map(shlex.split, block.splitlines())
    return [[*PROGRAMS[words[0]], *words[1:]] for words in lines]


@contextmanager
def running(lines: list[list[str]], directory: Path) -> Iterator[None]:
    """Servers and agents, for a ``with`` block."""
    processes = []
    try:
        for line in lines:
            with open(directory / "output", "ab") as output:
                processes.append(
                    subprocess.Popen(
                        line,
                        cwd=directory,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    )
                )
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait(SECONDS)


def test_the_commands_of_the_page(etcd: RunningEtcd, tmp_path: Path) -> None:
    made, *background, client = commands(etcd.port)
    subprocess.run(made, cwd=tmp_path, check=True)
    service = Etcd([(HOST, etcd.port)])

    def is_whole() -> bool:
        view = decode(service.read(prefix_of("orders")))
        return view.state is not None and set(view.state.sync) == {"b", "c"}

    assert len(background) == 6
    with running(background, tmp_path):
        wait_until(is_whole, "both slaves have what the master has")
        subprocess.run(client, cwd=tmp_path, check=True)
        get = [*client[: client.index("set")], "get", "fruit"]
        for url in ("", "?reads=slaves"):
            get[get.index("get") - 1] += url
            assert subprocess.run(get, check=True, capture_output=True).stdout == b"apple\n"
