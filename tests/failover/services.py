"""A service of several kt-tycoons with their agents, and the etcd that it needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from kt import KT_NONE, KyotoTycoon
from kt.failover.service import View, decode
from kt.net.etcd import Etcd
from kt.net.group.directory import prefix_of
from tests.certificates import Authority
from tests.ports import HOST, free_port
from tests.programs import find_program
from tests.server.processes import SECONDS, ServerProcess
from tests.server.tycoon.pairs import BUNDLED, client, server, wait_until

SERVICE = "orders"
TTL = 2
"""Seconds that a lease lasts: as short as it may be."""

ACK = ("-ack", "1", "-ack-timeout", "1", "-durable", "process")


class RunningEtcd(NamedTuple):
    """An etcd of one server.

    Attributes:
        port: where it is.
        process: it.
        client: speaks with it.
        url: where clients find the master of `SERVICE`.
        words: what agents are told, besides where it is.
    """

    port: int
    process: subprocess.Popen[bytes]
    client: Etcd
    url: str
    words: tuple[str, ...] = ()


AGENT, READER = ("agent", "p:a/s s"), ("reader", "@,?")
"""Users of etcd, and their passwords, after `ask_for_passwords`."""


def ask_for_passwords(etcd: Etcd) -> None:
    """Let it serve nobody else: the one may write what a service has, the other one read it."""
    keys = {"key": encoded("kt/"), "range_end": encoded("kt0")}
    requests: list[tuple[str, object]] = [
        ("user/add", {"name": "root", "password": "root"}),
        ("user/grant", {"user": "root", "role": "root"}),
    ]
    for (name, password), kind in ((AGENT, "READWRITE"), (READER, "READ")):
        requests += [
            ("user/add", {"name": name, "password": password}),
            ("role/add", {"name": name}),
            ("role/grant", {"name": name, "perm": {"permType": kind, **keys}}),
            ("user/grant", {"user": name, "role": name}),
        ]
    for path, request in (*requests, ("enable", {})):
        etcd._ask(f"auth/{path}", request)


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def etcd_command(name: str, directory: Path, url: str, peers: dict[str, str]) -> list[str]:
    """Start one of several. Skips the test where there is none.

    Args:
        name: of this one.
        directory: for all of them.
        url: where clients find it.
        peers: where each is found by the others.
    """
    program = find_program("etcd")
    if program is None:
        pytest.skip("etcd is not installed (Debian: etcd-server)")
    options = {
        "name": name,
        "data-dir": str(directory / f"etcd-{name}"),
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peers[name],
        "initial-advertise-peer-urls": peers[name],
        "initial-cluster": ",".join(f"{one}={place}" for one, place in peers.items()),
    }
    return [
        program,
        *(word for option in options.items() for word in (f"--{option[0]}", option[1])),
    ]


@contextmanager
def running_etcd(directory: Path, authority: Authority | None = None) -> Iterator[RunningEtcd]:
    """An etcd of one server. Skips the test where there is none.

    Args:
        directory: for it.
        authority: with TLS, has signed its certificate and those that it wants to be shown.
    """
    port, peer = free_port(), f"http://{HOST}:{free_port()}"
    url = f"http{'' if authority is None else 's'}://{HOST}:{port}"
    command = etcd_command("one", directory, url, {"one": peer})
    tls = None if authority is None else authority.showing(certificate(authority))
    client = Etcd([(HOST, port)], tls=tls)
    if authority is not None:
        command += ["--cert-file", authority.server, "--key-file", authority.server]
        command += ["--client-cert-auth", "--trusted-ca-file", authority.ca]
    with open(directory / "etcd.output", "wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_until(lambda: answers(client), "etcd answers")
        yield RunningEtcd(port, process, client, f"kt+etcd://{HOST}:{port}/{SERVICE}")
    finally:
        process.kill()
        process.wait(SECONDS)


@contextmanager
def running_guarded_etcd(directory: Path) -> Iterator[RunningEtcd]:
    """The same with TLS, for those who show a certificate and have a password."""
    authority = Authority(directory / "tls")
    with running_etcd(directory, authority) as etcd:
        ask_for_passwords(etcd.client)
        login = directory / "login"
        login.write_text(":".join(AGENT) + "\n")
        shown = certificate(authority)
        files = {"ca": authority.ca, "cert": shown, "auth-file": str(login)}
        words = [word for name, file in files.items() for word in (f"--etcd-{name}", file)]
        reader = ":".join(quote(part, safe="") for part in READER)
        yield etcd._replace(
            client=Etcd([(HOST, etcd.port)], login=AGENT, tls=authority.showing(shown)),
            url=f"kt+etcds://{reader}@{HOST}:{etcd.port}/{SERVICE}"
            f"?etcd_ca={authority.ca}&etcd_cert={shown}",
            words=tuple(words),
        )


def certificate(authority: Authority) -> str:
    """One without a common name: with passwords, etcd refuses others, since it ignores that."""
    return authority.issue("etcd-client.pem", "agent@example.org")


def answers(etcd: Etcd) -> bool:
    try:
        etcd.read("kt/")
    except Exception:
        return False
    return True


class Node:
    """A server and its agent.

    Attributes:
        name: of the agent.
        server: the server.
    """

    def __init__(self, number: int, directory: Path, etcd: int, *options: str) -> None:
        self.name = f"node{number}"
        self.directory = directory / self.name
        self.server: ServerProcess = server(
            *(BUNDLED, number, self.directory, "-rts", "rts", "-lease", "-copy", *options),
            databases=("casket.kch",),
        )
        self.command = [sys.executable, "-m", "kt.failover", SERVICE, self.name]
        self.command += ["--etcd", f"{HOST}:{etcd}", "--ttl", str(TTL)]
        self.command += ["--server", f"kt://{HOST}:{self.server.port}"]
        if number == 1:
            self.command.append("--first")
        self.agent: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.server.start()
        self.start_agent()

    def start_agent(self) -> None:
        with open(self.directory / "agent.output", "ab") as output:
            self.agent = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def end_agent(self, number: int = signal.SIGTERM) -> int:
        assert self.agent is not None
        self.agent.send_signal(number)
        return self.agent.wait(SECONDS)

    def said(self) -> str:
        """What the agent has said so far."""
        return (self.directory / "agent.output").read_text()

    def kill(self) -> None:
        if self.agent is not None and self.agent.poll() is None:
            self.agent.kill()
            self.agent.wait(SECONDS)
        self.server.kill()


class Service:
    """Several nodes.

    Attributes:
        nodes: by number, from 0 on.
        url: where clients find the master.
    """

    def __init__(self, etcd: RunningEtcd, directory: Path, count: int, *options: str) -> None:
        self._etcd, self._process = etcd.client, etcd.process
        self.url = etcd.url
        self.nodes = [Node(1 + number, directory, etcd.port, *options) for number in range(count)]
        for node in self.nodes:
            node.command += etcd.words

    def __enter__(self) -> Service:
        try:
            for node in self.nodes:
                node.start()
            self.await_whole()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for node in self.nodes:
            node.kill()

    @contextmanager
    def etcd_standing_still(self) -> Iterator[None]:
        """Stop etcd, as by a debugger, for a ``with`` block."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def view(self) -> View:
        return decode(self._etcd.read(prefix_of(SERVICE)))

    def await_whole(self, *without: Node) -> Node:
        """Wait until there is a master, and all others have what it has; the master."""

        def is_whole() -> bool:
            view = self.view()
            names = {node.name for node in self.nodes if node not in without}
            if view.master is None or view.state is None or view.state.master != view.master:
                return False
            slaves = names - {view.master}
            whole = {name for name in slaves if view.whole.get(name) == view.state.epoch}
            counts = view.state.ack == 0 or set(view.state.sync) >= slaves
            return whole == slaves and set(view.members) >= names and counts

        wait_until(is_whole, "all have what the master has")
        return self.master()

    def await_another(self, than: Node) -> Node:
        """Wait until another one is the master; that."""
        wait_until(lambda: self.view().master not in (None, than.name), "another one is the master")
        return self.master()

    def master(self) -> Node:
        name = self.view().master
        return next(node for node in self.nodes if node.name == name)

    def connect(self, **options: Any) -> KyotoTycoon[bytes, bytes]:
        return KyotoTycoon.from_url(self.url, serializer=KT_NONE, decode_keys=False, **options)


def epoch_and_writes(node: Node) -> tuple[int, bool]:
    """The epoch that a server knows, and whether it takes writes."""
    with client(node.server) as kt:
        report = kt.report()
        return int(report["repl_epoch"]), not report.get("repl_read_only", 0)
