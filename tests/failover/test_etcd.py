"""What we say to etcd, and what it says."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from kt import ArgumentError, ProtocolError, ServerConnectionError, ServerError
from kt.net.etcd import Entry, Etcd, login_from_file
from tests.certificates import Authority
from tests.ports import HOST, free_port
from tests.server.tycoon.pairs import wait_until

from .services import AGENT, READER, RunningEtcd, answers, ask_for_passwords, etcd_command


def test_keys_are_put_only_if_others_are_as_they_were(etcd: RunningEtcd) -> None:
    client = Etcd([(HOST, etcd.port)])
    assert client.read("kt/a/") == {}
    assert client.write({"kt/a/x": 0}, {"kt/a/x": ("one", 0), "kt/a/y": ("\u00e4", 0)})
    assert client.write({}, {"kt/b": ("other", 0)})
    found = client.read("kt/a/")
    revision = found["x"].revision
    assert found == {"x": Entry(b"one", revision, 0), "y": Entry("\u00e4".encode(), revision, 0)}
    assert not client.write({"kt/a/x": 0}, {"kt/a/x": ("two", 0)})
    assert client.write({"kt/a/x": revision, "kt/a/z": 0}, {"kt/a/x": ("two", 0)})
    assert not client.write({"kt/a/x": revision}, {"kt/a/x": ("three", 0)})
    assert client.read("kt/a/")["x"].value == b"two"


def test_keys_end_with_their_lease(etcd: RunningEtcd) -> None:
    client = Etcd([(HOST, free_port()), (HOST, etcd.port)])  # nobody is at the first one
    lease = client.grant(60)
    assert client.write({}, {"kt/a/x": ("one", lease)})
    assert client.read("kt/a/")["x"].lease == lease
    assert client.keep(lease)
    client.revoke(lease)
    assert client.read("kt/a/") == {}
    assert not client.keep(lease)
    client.revoke(lease)  # once more does nothing


def test_nobody_answers() -> None:
    client = Etcd([(HOST, free_port()), (HOST, free_port())])
    with pytest.raises(ServerConnectionError, match="etcd does not answer"):
        client.read("kt/")


def test_users_and_passwords(etcd: RunningEtcd) -> None:
    place = (HOST, etcd.port)
    agent, reader = Etcd([place], login=AGENT), Etcd([place], login=READER)
    assert agent.read("kt/") == {}  # there are no passwords yet, and it does not ask for any
    ask_for_passwords(etcd.client)
    lease = agent.grant(60)
    assert agent.write({}, {"kt/a/x": ("one", lease)})
    assert agent.keep(lease)
    assert reader.read("kt/a/")["x"].value == b"one"
    with pytest.raises(ServerError, match="permission denied"):
        reader.write({}, {"kt/a/x": ("two", 0)})
    with pytest.raises(ServerError, match="permission denied"):
        agent.read("other/")
    agent._token = "of.1"  # etcd forgets tokens, at a new start at the latest
    agent.revoke(lease)
    assert agent.read("kt/a/") == {}
    with pytest.raises(ServerError, match="authentication failed"):
        Etcd([place], login=("agent", "wrong")).read("kt/")
    with pytest.raises(ServerError, match="user name is empty"):
        Etcd([place]).read("kt/")


def test_tls(guarded_etcd: RunningEtcd, tmp_path: Path) -> None:
    place = (HOST, guarded_etcd.port)
    assert guarded_etcd.client.read("kt/") == {}
    with pytest.raises((ProtocolError, ServerConnectionError)):  # depends on its version
        Etcd([place]).read("kt/")
    stranger = Authority(tmp_path / "stranger")
    with pytest.raises(ServerConnectionError, match="certificate is not accepted"):
        Etcd([place], tls=stranger.context).read("kt/")
    without = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.pem"))
    with pytest.raises(ServerConnectionError):  # it wants to see one
        Etcd([place], tls=without).read("kt/")


def test_etcd_without_tls_is_said(etcd: RunningEtcd, tmp_path: Path) -> None:
    client = Etcd([(HOST, etcd.port)], tls=Authority(tmp_path).context)
    with pytest.raises(ServerConnectionError, match="does not speak TLS"):
        client.read("kt/")


def test_one_that_resets_a_connection_with_tls(tmp_path: Path) -> None:
    def reset(listening: socket.socket) -> None:
        one, _ = listening.accept()
        one.recv(1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()

    with socket.create_server((HOST, 0)) as listening:
        client = Etcd([(HOST, listening.getsockname()[1])], tls=Authority(tmp_path).context)
        thread = threading.Thread(target=reset, args=(listening,))
        thread.start()
        with pytest.raises(ServerConnectionError, match="does not speak TLS"):
            client.read("kt/")
        thread.join()


def test_files_with_a_password(tmp_path: Path) -> None:
    path = tmp_path / "login"
    with pytest.raises(ArgumentError, match="cannot be read"):
        login_from_file(str(path))
    for text in ("", "name", ":password", "name:"):
        path.write_text(text)
        with pytest.raises(ArgumentError, match="USER:PASSWORD"):
            login_from_file(str(path))
    path.write_text("name:pass:word\n")
    assert login_from_file(str(path)) == ("name", "pass:word")


def test_who_has_no_contact_with_the_others_has_not_answered(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("one", "two", "three")}
    peers = {name: f"http://{HOST}:{free_port()}" for name in ports}
    commands = [
        etcd_command(name, tmp_path, f"http://{HOST}:{port}", peers) for name, port in ports.items()
    ]
    with ExitStack() as stack, open(tmp_path / "output", "wb") as output:
        servers = [subprocess.Popen(words, stdout=output, stderr=output) for words in commands]
        for server in servers:
            stack.callback(server.wait)
            stack.callback(server.kill)
        client = Etcd([(HOST, ports["three"])], 60)
        wait_until(lambda: answers(client), "they have found each other")
        for server in servers[:2]:
            server.kill()
        with pytest.raises(ServerConnectionError, match="etcd does not answer"):
            client.read("kt/")
