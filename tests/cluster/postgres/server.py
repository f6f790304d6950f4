"""A real PostgreSQL on this machine, for as long as a test wants it.

What is written need not last, so the server does not wait for the disk.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.cluster.nodes import wait_for
from tests.ports import free_port
from tests.programs import environment, find_program

OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "deadlock_timeout": "100ms",
}


def someone_else() -> dict[str, Any]:
    """Whom the server runs as: it refuses root."""
    if os.getuid() != 0:
        return {}
    names = {one.pw_name: one for one in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def why_not_here() -> str:
    """Why none can be started; empty if one can."""
    program = find_program("initdb")
    if program is None:
        return "there is no PostgreSQL (Debian: postgresql)"
    try:
        subprocess.run(
            [program, "--version"],
            capture_output=True,
            cwd="/",
            env=environment(program),
            **someone_else(),
        )
    except PermissionError:
        return f"it refuses root, and others may not run {program}"
    return ""


class LocalPostgres:
    """A server.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    user = "kt"

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="kt-postgres-"))
        self._data = self._directory / "data"
        self._who = someone_else()
        self.port = free_port()
        if self._who:
            os.chown(self._directory, self._who["user"], self._who["group"])
        words = ["-D", self._data, "-U", self.user, "-A", "trust", "-N", "-E", "UTF8"]
        done = subprocess.run(
            [str(find_program("initdb")), *words, "--no-locale"],
            capture_output=True,
            text=True,
            cwd="/",
            env=environment(str(find_program("initdb"))),
            **self._who,
        )
        assert done.returncode == 0, done.stderr
        self.start()

    def start(self) -> None:
        """Start it, also once more."""
        options = OPTIONS | {"port": str(self.port), "unix_socket_directories": self._directory}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self._directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(find_program("postgres")), "-D", self._data, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment(str(find_program("postgres"))),
                **self._who,
            )
        wait_for(self._serves)

    def _serves(self) -> bool:
        assert self.process.poll() is None, (self._directory / "log").read_text()
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection beside the client's."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            dbname="postgres",
            autocommit=True,
            connect_timeout=10,
        )

    def run(self, text: str) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        with self.connect() as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def url(self, table: str = "kt", **options: object) -> str:
        """The URL of a table."""
        given = "".join(f"&{name.replace('_', '-')}={value}" for name, value in options.items())
        return f"postgres://{self.user}@127.0.0.1:{self.port}/postgres?table={table}{given}"

    def urls(self) -> list[str]:
        """Two databases."""
        return [self.url("one"), self.url("two")]

    def empty(self) -> None:
        """Remove all tables."""
        self.run("DROP TABLE IF EXISTS one, two, kt")

    def kill(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """End it: at once, or with SIGINT in order."""
        self.process.send_signal(number)
        self.process.wait(60)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self._directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
