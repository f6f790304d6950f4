"""Servers that speak TLS: handshakes, good and bad, certificates, the end, and links to masters."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from kt import EmbeddedServer, EmbeddedTokyoTyrantServer, KyotoTycoon, TokyoTyrant
from kt.errors import ImproperlyConfigured, ServerConnectionError
from kt.server.process.tls import master_context, tls_of
from kt.server.tyrant.options import tyrant_options

from ...certificates import Authority
from ..processes import HOST, SECONDS, ServerProcess
from .test_unix_socket import refused

HELLO = b"\x16\x03\x01"
"""The begin of a handshake."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["kt-tycoon", "kt-tyrant"])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["uvloop", "asyncio"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Lets a server run on each kind of event loop."""
    if request.param == "asyncio":
        (tmp_path / "uvloop.py").write_text("raise ImportError('not here')")
    return {"PYTHONPATH": str(tmp_path)}


Start = Callable[..., ServerProcess]


@pytest.fixture
def start(program: str, authority: Authority, tmp_path: Path) -> Iterator[Start]:
    """Start a server that speaks TLS."""
    started: list[ServerProcess] = []

    def run(*args: str, **options: Any) -> ServerProcess:
        words = args if "-tls-cert" in args else ("-tls-cert", authority.server, *args)
        server = ServerProcess(program, *words, databases=["*"], directory=tmp_path, **options)
        started.append(server)
        server.start()
        return server

    yield run
    for server in started:
        server.kill()


def client(server: ServerProcess, context: ssl.SSLContext | None, **options: Any) -> Any:
    kind = KyotoTycoon if "tycoon" in server.command else TokyoTyrant
    return kind(HOST, server.port, ssl=context, timeout=SECONDS, **options)


def connection(server: ServerProcess) -> socket.socket:
    return socket.create_connection((HOST, server.port), SECONDS)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.01)


# Handshakes


def test_half_handshakes_hold_up_nobody(
    start: Start, authority: Authority, environment: dict[str, str]
) -> None:
    server = start(environment=environment)
    callers = [connection(server) for _ in range(100)]
    for caller in callers[:50]:
        caller.sendall(HELLO)
    with client(server, authority.context) as db:
        for number in range(100):
            db.set(f"k{number}", "v")
        assert db.get("k99") == "v"
        for caller in callers[::2]:
            caller.close()
        assert db.get("k99") == "v"
        assert server.stop() == 0
    for caller in callers:
        caller.close()


@pytest.mark.parametrize("sent", [b"\xba" + bytes(8), b"\xc8\x80", b"\x00"])
def test_what_is_no_handshake_is_answered_at_once(sent: bytes, start: Start) -> None:
    server = start()
    with connection(server) as caller:
        caller.sendall(sent)
        assert caller.recv(100) == b"\x15\x03\x03\0\2\2\x0a"


def test_http_is_told_in_words(start: Start) -> None:
    server = start()
    plain = http.client.HTTPConnection(HOST, server.port, timeout=SECONDS)
    plain.request("GET", "/k")
    reply = plain.getresponse()
    assert (reply.status, reply.read()) == (400, b"this port speaks TLS only\n")
    plain.close()


def test_https(start: Start, authority: Authority) -> None:
    server = start()
    secure = http.client.HTTPSConnection(
        "localhost", server.port, timeout=SECONDS, context=authority.context
    )
    secure.request("PUT", "/k", body=b"v" * 200_000)
    assert secure.getresponse().read() is not None
    secure.request("GET", "/k")
    assert secure.getresponse().read() == b"v" * 200_000
    secure.close()


def test_tls_where_there_is_none_is_answered_at_once(program: str, tmp_path: Path) -> None:
    with ServerProcess(program, databases=["*"], directory=tmp_path) as server:
        with connection(server) as caller:
            caller.sendall(HELLO)
            assert caller.recv(100) == b"\x15\x03\x03\0\2\2\x0a"
        server.wait_for_output("it speaks TLS, and this port does not")


def test_a_client_that_is_slow_is_let_go(authority: Authority, tmp_path: Path) -> None:
    """With less patience than usual, in a process that is told so."""
    script = tmp_path / "impatient.py"
    script.write_text(
        "import sys\n"
        "from kt.server.process import tls\n"
        "from kt.server import __main__\n"
        "tls.HANDSHAKE = 0.2\n"
        "__main__.main()\n"
    )
    server = ServerProcess(
        "kt-tycoon", "-tls-cert", authority.server, databases=["*"], directory=tmp_path
    )
    at = server.command.index("kt.server")
    server.command[at - 1 : at + 1] = [str(script)]
    with server:
        for begin in (b"", HELLO):
            with connection(server) as caller:
                caller.sendall(begin)
                assert caller.recv(100) == b""


# Connections


def test_who_reads_late_has_all_of_it(
    start: Start, authority: Authority, environment: dict[str, str]
) -> None:
    server = start(environment=environment)
    value = os.urandom(20_000_000)
    request = b"GET /k HTTP/1.1\r\nConnection: close\r\n\r\n"
    with client(server, authority.context) as db:
        secure = http.client.HTTPSConnection(
            "localhost", server.port, timeout=SECONDS, context=authority.context
        )
        secure.request("PUT", "/k", body=value)
        assert secure.getresponse().status in (200, 201)
        with authority.context.wrap_socket(connection(server), server_hostname=HOST) as late:
            late.sendall(request)
            first = late.recv(1000)
            db.set("other", "v")
            received = [first]
            while data := late.recv(1 << 16):
                received.append(data)
        secure.close()
    assert b"".join(received).partition(b"\r\n\r\n")[2] == value


def test_the_end_waits_for_replies_and_not_for_idle_clients(
    start: Start, authority: Authority, environment: dict[str, str]
) -> None:
    server = start(environment=environment)
    with client(server, authority.context) as db:
        db.set("k", "v")
        assert server.stop() == 0


# Certificates


def test_certificates_are_read_again(
    start: Start, authority: Authority, tmp_path: Path, program: str
) -> None:
    other = Authority(tmp_path / "other")
    file = tmp_path / "current.pem"
    shutil.copy(authority.server, file)
    server = start("-tls-cert", str(file))
    with client(server, authority.context) as old:
        old.set("k", "v")
        file.write_text("nothing")
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for_output("the old certificates stay: -tls-cert: there is no certificate")
        with client(server, authority.context) as db:
            assert db.get("k") == "v"
        shutil.copy(other.server, file)
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for_output("certificates read again")
        assert old.get("k") == "v"
        with client(server, other.context) as db:
            assert db.get("k") == "v"
        with (
            client(server, authority.context) as db,
            pytest.raises(ServerConnectionError, match="its certificate is not accepted"),
        ):
            db.get("k")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-tls-cert CA", "-tls-cert: there is no certificate with its key in CA"),
        ("-tls-cert /nowhere", "-tls-cert: there is no certificate with its key in /nowhere"),
        ("-tls-key CERT", "-tls-key needs the server's certificate: -tls-cert"),
        ("-tls-ca CA", "-tls-ca needs the server's certificate: -tls-cert"),
        ("-tls-cert CERT -tls-ca /no", "-tls-ca: there are no certificates in /no"),
        ("-tls-cert CERT -port 0 -host /s", "-tls-cert is for TCP: a Unix socket does without"),
        ("-mtls-cert CERT", "-mtls-cert and -mtls-key need -mtls-ca"),
        ("-mtls-ca /nowhere", "-mtls-ca: there are no certificates in /nowhere"),
        ("-mtls-ca CA -mtls-key CERT", "-mtls-key needs a certificate: -mtls-cert"),
    ],
)
def test_what_makes_no_sense(words: str, said: str, authority: Authority) -> None:
    def named(text: str) -> str:
        return text.replace("CERT", authority.server).replace("CA", authority.ca)

    options = tyrant_options("kt-tyrant", named(words).split())
    with pytest.raises(ImproperlyConfigured, match=re.escape(named(said))):
        tls_of(options), master_context(options)


def test_a_key_with_a_passphrase(program: str, authority: Authority, tmp_path: Path) -> None:
    issued = authority.authority.issue_cert(HOST)
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "key.pem").write_bytes(locked)
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    args = ("-tls-cert", str(tmp_path / "cert.pem"), "-tls-key", str(tmp_path / "key.pem"))
    assert "the key has a passphrase" in refused(program, *args)


# Masters


def pair(
    program: str, authority: Authority, tmp_path: Path, *args: str
) -> tuple[ServerProcess, ServerProcess]:
    """A master that wants to see certificates, and a slave of it with these arguments."""
    for name in ("a", "b"):
        (tmp_path / name / "log").mkdir(parents=True)
    master = ServerProcess(
        *(program, "-ulog", "log", "-sid", "1"),
        *("-tls-cert", authority.server, "-tls-ca", authority.ca),
        databases=["*"],
        directory=tmp_path / "a",
    )
    slave = ServerProcess(
        *(program, "-ulog", "log", "-sid", "2", "-rts", "slave.rts"),
        *("-mhost", HOST, "-mport", str(master.port), *args),
        databases=["*"],
        directory=tmp_path / "b",
    )
    return master, slave


def test_a_slave_follows_by_tls(program: str, authority: Authority, tmp_path: Path) -> None:
    args = ("-mtls-ca", authority.ca, "-mtls-cert", authority.client)
    master, slave = pair(program, authority, tmp_path, *args)
    with (
        master,
        slave,
        client(master, authority.showing(authority.client)) as db,
        client(slave, None) as follower,
    ):
        with db.pipeline() as pipeline:
            for number in range(20_000):
                pipeline.set(f"k{number}", "v" * (number % 100))
        db.set("large", "x" * 3_000_000)
        db.set("settled", "1")
        wait_until(lambda: follower.get("settled") == "1")
        assert follower.count() == db.count()
        assert follower.get("large") == "x" * 3_000_000
        assert slave.stop() == 0


def test_a_slave_says_why_it_does_not_follow(
    program: str, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    master, slave = pair(program, authority, tmp_path, "-mtls-ca", stranger.ca)
    with master, slave:
        slave.wait_for_output("is not followed")
        slave.wait_for_output("certificate verify failed")
        assert slave.stop() == 0


def test_a_master_that_speaks_no_tls(program: str, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with ServerProcess(program, databases=["*"], directory=tmp_path / "a") as master:
        args = ("-sid", "2", "-rts", "r", "-mhost", HOST, "-mport", str(master.port))
        slave = ServerProcess(
            program, *args, "-mtls-ca", authority.ca, databases=["*"], directory=tmp_path / "b"
        )
        with slave:
            slave.wait_for_output("is not followed: ")
            slave.wait_for_output("UNEXPECTED_MESSAGE")


# What uses them


@pytest.mark.parametrize("kind", [EmbeddedServer, EmbeddedTokyoTyrantServer])
def test_embedded(kind: type[EmbeddedServer], authority: Authority) -> None:
    program = "kt-tycoon" if kind is EmbeddedServer else "kt-tyrant"
    args = ["-tls-cert", authority.server]
    with kind(program, server_args=args, ssl=authority.context) as server:
        server.client.set("k", "v")
        assert server.client.get("k") == "v"
        with server.connect(timeout=5) as another:
            assert another.get("k") == "v"


def test_the_command(start: Start, authority: Authority) -> None:
    server = start()
    scheme = "kts" if "tycoon" in server.command else "tts"
    url = f"{scheme}://localhost:{server.port}?tls_ca={authority.ca}"
    run = [sys.executable, "-m", "kt.cli"]
    subprocess.run([*run, "set", url, "k", "v"], check=True, timeout=SECONDS)
    got = subprocess.run([*run, "get", url, "k"], check=True, timeout=SECONDS, capture_output=True)
    assert got.stdout.strip() == b"v"
