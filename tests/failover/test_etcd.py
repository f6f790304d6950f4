"""What we say to etcd, and what it says."""

from __future__ import annotations

import pytest

from kt import ServerConnectionError
from kt.net.etcd import Entry, Etcd
from tests.ports import HOST, free_port

from .services import RunningEtcd


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
