# Generated from test_tls_async.py by tools/async_to_sync.py: edit that one.
"""The asyncio clients with TLS, at both bundled servers."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.errors import (
    ArgumentError,
    KTError,
    ProtocolError,
    ServerConnectionError,
    ServerTimeoutError,
)
from kt.options import Since
from tests.certificates import LONG_AGO, Authority
from tests.server.processes import HOST, SECONDS, ServerProcess

Client = KyotoTycoon[Any, Any] | TokyoTyrant[Any, Any]

LARGE = "x" * 5_000_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=["kt-tycoon", "kt-tyrant"])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(
    program: str, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server that speaks TLS."""
    directory = tmp_path_factory.mktemp(program)
    with ServerProcess(
        program, "-tls-cert", authority.server, databases=["*"], directory=directory
    ) as process:
        yield process


def client_of(process: ServerProcess, host: str = HOST, **options: Any) -> Client:
    kind = KyotoTycoon if "tycoon" in process.command else TokyoTyrant
    return kind(host, process.port, **{"timeout": SECONDS, **options})


def url_of(process: ServerProcess, query: str) -> tuple[type[Client], str]:
    if "tycoon" in process.command:
        return KyotoTycoon, f"kts://localhost:{process.port}/0?{query}"
    return TokyoTyrant, f"tts://localhost:{process.port}?{query}"


def fails(client: Client, said: str, error: type[KTError] = ServerConnectionError) -> None:
    with client, pytest.raises(error, match=said):
        client.get("k")


def test_calls_of_all_sizes(server: ServerProcess, authority: Authority) -> None:
    with client_of(server, ssl=authority.context) as db:
        for number in range(100):
            db.set(f"k{number}", str(number))
        assert db.get("k99") == "99"
        assert db.set("large", LARGE)
        assert db.get("large") == LARGE
        db.remove("k99")
        assert db.get("k99") is None


def test_pipelines_with_much_both_ways(server: ServerProcess, authority: Authority) -> None:
    """The server reads no further while it cannot write."""
    with client_of(server, ssl=authority.context) as db:
        value = "v" * 100_000
        with db.pipeline() as pipeline:
            for number in range(300):
                pipeline.set(f"k{number}", value)
                results = [pipeline.get(f"k{number // 2}") for _ in range(2)]
        assert [result.result() for result in results] == [value, value]


def test_a_url_names_the_files(server: ServerProcess, authority: Authority) -> None:
    kind, url = url_of(server, f"tls_ca={authority.ca}&timeout=20")
    with kind.from_url(url) as db:
        db.set("k", "v")
        assert db.get("k") == "v"
    kind, url = url_of(server, "timeout=20")
    with kind.from_url(url, ssl=authority.context) as db:
        assert db.get("k") == "v"
    fails(kind.from_url(url), "its certificate is not accepted")


def test_a_server_that_was_started_again(server: ServerProcess, authority: Authority) -> None:
    with client_of(server, ssl=authority.context) as db:
        db.set("k", "v")
        server.restart()
        assert db.get("k") is None


def test_who_it_is_not(server: ServerProcess, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    fails(client_of(server, ssl=stranger.context), "its certificate is not accepted")
    fails(client_of(server, ssl=True), "its certificate is not accepted")


@pytest.mark.parametrize(
    ("name", "until", "said"),
    [("example.org", None, "mismatch"), (HOST, LONG_AGO, "certificate has expired")],
)
def test_a_certificate_that_is_not_good(
    name: str, until: Any, said: str, program: str, authority: Authority, tmp_path: Path
) -> None:
    bad = authority.issue("bad.pem", name, until=until)
    with ServerProcess(program, "-tls-cert", bad, databases=["*"], directory=tmp_path) as process:
        fails(client_of(process, ssl=authority.context), said)


def test_without_tls_at_a_server_with(server: ServerProcess) -> None:
    fails(client_of(server, timeout=None), "speaks TLS only: pass ssl", ProtocolError)
    with client_of(server, timeout=None) as db, pytest.raises(ProtocolError, match="TLS only"):
        db.set("large", LARGE)


def test_with_tls_at_a_server_without(program: str, authority: Authority, tmp_path: Path) -> None:
    with ServerProcess(program, databases=["*"], directory=tmp_path) as process:
        fails(client_of(process, ssl=authority.context, timeout=None), "does not speak TLS")
        with client_of(process) as db:
            assert db.get("k") is None


def test_with_tls_at_one_that_says_nothing(authority: Authority) -> None:
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        db = KyotoTycoon(HOST, port, ssl=authority.context, connect_timeout=0.1)
        with pytest.raises((ServerTimeoutError, ServerConnectionError)):
            db.get("k")


def test_certificates_of_clients(program: str, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    args = ("-tls-cert", authority.server, "-tls-ca", authority.ca)
    with ServerProcess(program, *args, databases=["*"], directory=tmp_path) as process:
        with client_of(process, ssl=authority.showing(authority.client)) as db:
            db.set("k", "v")
        kind, url = url_of(process, f"tls_ca={authority.ca}&tls_cert={authority.client}")
        with kind.from_url(url) as db:
            assert db.get("k") == "v"
        wrong = authority.showing(stranger.client)
        for context in (authority.context, wrong):
            fails(client_of(process, ssl=context), "certificate")


def test_changes(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    args = ("-tls-cert", authority.server, "-ulog", "log", "-sid", "1")
    with ServerProcess("kt-tycoon", *args, databases=["*"], directory=tmp_path) as process:
        with KyotoTycoon(HOST, process.port, ssl=authority.context) as db:
            for number in range(3000):
                db.set(f"k{number}", "v" * 100)
            number = 0
            with db.changes(since=Since.OLDEST) as feed:
                for change in feed:
                    assert change.key == f"k{number}"
                    number += 1
                    if number == 3000:
                        break
        plain = KyotoTycoon(HOST, process.port)
        feed = plain.changes(since=Since.OLDEST)
        with pytest.raises(ProtocolError, match="TLS only"), plain, feed:
            pass


@pytest.mark.parametrize("argument", [1, "yes", b"", ssl])
def test_what_is_no_context(argument: Any) -> None:
    with pytest.raises(ArgumentError, match=r"ssl is an ssl\.SSLContext, or True, not "):
        KyotoTycoon(ssl=argument)


def test_what_makes_no_sense(authority: Authority) -> None:
    with pytest.raises(ArgumentError, match="a Unix socket"):
        TokyoTyrant("/tmp/socket", 0, ssl=authority.context)
    with pytest.raises(ArgumentError, match="begins with kts or tts"):
        KyotoTycoon.from_url(f"kt://localhost?tls_ca={authority.ca}")
    with pytest.raises(ArgumentError, match="tls_ca: there are no certificates in"):
        KyotoTycoon.from_url("kts://localhost?tls_ca=/nowhere")
    with pytest.raises(ArgumentError, match="tls_cert: there is no certificate with its key in"):
        KyotoTycoon.from_url(f"kts://localhost?tls_cert={authority.ca}")
    with pytest.raises(ArgumentError, match="tls_key needs a certificate"):
        TokyoTyrant.from_url(f"tts://localhost?tls_key={authority.server}")
    with pytest.raises(ArgumentError, match="says how to speak TLS"):
        TokyoTyrant.from_url(f"tts://localhost?tls_ca={authority.ca}", ssl=authority.context)
    with pytest.raises(ArgumentError, match="says how to speak TLS"):
        TokyoTyrant.from_url("tts://localhost", ssl=False)
