"""Moving from ktserver without stopping: the steps of docs/migrate-servers.md, in their order."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from kt import KyotoTycoon

from ..processes import HOST, ServerProcess
from ..update_logs import original
from .pairs import BUNDLED, client, facts, server, wait_until, wait_until_equal

COPY = """#!/bin/sh
cp "$1" "$1.copy" && echo "$2" > "$1.rts"
"""


class Writer(threading.Thread):
    """Writes to a server until it is told to stop; then `count` records are there."""

    def __init__(self, process: ServerProcess, prefix: bytes) -> None:
        super().__init__()
        self.process, self.prefix = process, prefix
        self.stopping = threading.Event()
        self.count = 0

    def run(self) -> None:
        with client(self.process) as kt:
            while not self.stopping.is_set():
                kt.set(self.prefix + b"%d" % self.count, b"v" * 100)
                self.count += 1

    def finish(self) -> None:
        self.stopping.set()
        self.join()


@pytest.mark.parametrize("name", ["ktserver", BUNDLED])
def test_moving_without_stopping(name: str, tmp_path: Path) -> None:
    tool = original("ktremotemgr")
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "copy").write_text(COPY)
    (commands / "copy").chmod(0o755)
    old = server(name, 1, tmp_path / "old", "-cmd", str(commands), databases=("casket.kch",))
    with old:
        with client(old) as kt:
            kt.set_bulk({b"before%d" % i: b"v" for i in range(1000)})
        sync = [tool, "sync", "-host", HOST, "-port", str(old.port), "-cmd", "copy"]
        subprocess.run(sync, check=True)
        writer = Writer(old, b"old")
        writer.start()
        new = take_over(tmp_path, old)
        with new, client(new) as kt:
            wait_until(lambda: bool(facts(new).get("repl_connected")), "it follows")
            writer.finish()
            wait_until_equal(old, new, 1)
            later = Writer(new, b"new")
            later.start()
            promote(kt, tool, new)
            old.stop()
            later.finish()
            assert kt.count() == 1000 + writer.count + later.count
            assert kt.get(b"before7") == b"v"
            kt.clear()
            assert kt.count() == 0


def take_over(directory: Path, old: ServerProcess) -> ServerProcess:
    """The new server, with the copy of the old one's file."""
    (directory / "new").mkdir()
    for name, new_name in (("casket.kch.copy", "casket.kch"), ("casket.kch.rts", "rts")):
        (old.directory / name).rename(directory / "new" / new_name)
    assert int((directory / "new" / "rts").read_text()) > 0
    follow = ("-mhost", HOST, "-mport", str(old.port), "-rts", "rts")
    return server(BUNDLED, 2, directory / "new", *follow, databases=("casket.kch",))


def promote(kt: KyotoTycoon, tool: str, new: ServerProcess) -> None:
    subprocess.run([tool, "tunerepl", "-host", HOST, "-port", str(new.port)], check=True)
    assert "repl_master_host" not in kt.report()
