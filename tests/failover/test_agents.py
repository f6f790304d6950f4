"""Agents and their servers: who is the master, who is refused, and clients that find it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from kt import KTError, Retry, ServerError
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from tests.ports import free_port
from tests.server.tycoon.pairs import client, facts, wait_until

from .services import ACK, Node, RunningEtcd, Service, epoch_and_writes

PATIENT = Retry(None, backoff=0.01, longest=0.1)


def takes_none(node: Node) -> None:
    with client(node.server) as kt, pytest.raises(ServerError):
        kt.add(b"refused", b"1")


def write(service: Service, value: bytes) -> None:
    """Set a record, as soon as there is a master that takes it."""
    with service.connect(timeout=30, retry=PATIENT) as kt:

        def is_taken() -> bool:
            try:
                return bool(kt.set(b"a", value))
            except KTError:  # refused between two leases
                return False

        wait_until(is_taken, "it takes writes")


def test_an_agent_that_ends_makes_room_for_another_master(
    etcd: RunningEtcd, tmp_path: Path
) -> None:
    with Service(etcd, tmp_path, 2) as service, service.connect(timeout=30, retry=PATIENT) as kt:
        first, second = service.nodes
        assert service.master() is first
        assert kt.set(b"a", b"1")
        assert first.end_agent() == 0
        takes_none(first)
        assert service.await_another(first) is second
        assert kt.set(b"a", b"2")
        first.start_agent()
        service.await_whole()
        with client(first.server) as former:
            wait_until(lambda: former.get(b"a") == b"2", "it follows")
        assert epoch_and_writes(second) == (2, True)
        assert epoch_and_writes(first) == (2, False)


def test_a_server_whose_agent_is_killed_is_no_master_any_more(
    etcd: RunningEtcd, tmp_path: Path
) -> None:
    with Service(etcd, tmp_path, 3) as service:
        first = service.nodes[0]
        with service.connect() as kt:
            assert kt.set(b"a", b"1")
        service.await_whole()
        first.end_agent(signal.SIGKILL)
        second = service.await_another(first)
        takes_none(first)
        with service.connect(timeout=30, retry=PATIENT) as kt:
            assert kt.get(b"a") == b"1"
            assert kt.set(b"a", b"2")
        third = next(node for node in service.nodes if node not in (first, second))
        with client(third.server) as kt:
            wait_until(lambda: kt.get(b"a") == b"2", "it follows the new one")
        assert "gets a copy" not in third.said().partition("of epoch 1")[2]  # it went on


def test_etcd_with_tls_and_passwords(guarded_etcd: RunningEtcd, tmp_path: Path) -> None:
    with Service(guarded_etcd, tmp_path, 2) as service:
        first, second = service.nodes
        with service.connect(timeout=30, retry=PATIENT) as kt:
            assert kt.set(b"a", b"1")
            assert first.end_agent() == 0
            assert service.await_another(first) is second
            assert kt.set(b"a", b"2")
        asyncio.run(read_once(service))


async def read_once(service: Service) -> None:
    async with AsyncKyotoTycoon.from_url(service.url, timeout=30, retry=PATIENT) as kt:
        assert await kt.get("a") == "2"


def test_an_agent_that_is_started_anew_goes_on(etcd: RunningEtcd, tmp_path: Path) -> None:
    with Service(etcd, tmp_path, 2, *ACK) as service:
        for node in service.nodes:
            node.end_agent(signal.SIGKILL)
            node.start_agent()
        master = service.await_whole()
        write(service, b"1")
        for node in service.nodes:
            if node is not master:
                node.server.stop(signal.SIGKILL)
                node.server.start()
        service.await_whole()
        write(service, b"2")


def test_nobody_takes_writes_without_etcd(etcd: RunningEtcd, tmp_path: Path) -> None:
    with Service(etcd, tmp_path, 2) as service, service.connect(timeout=30, retry=PATIENT) as kt:
        assert kt.set(b"a", b"1")
        with service.etcd_standing_still():
            for node in service.nodes:
                wait_until(lambda: not epoch_and_writes(node)[1], "it takes none")  # noqa: B023
                takes_none(node)
            assert kt.get(b"a") == b"1"  # reading goes on
        service.await_whole()
        write(service, b"2")


def test_a_new_server_that_has_records_is_refused(etcd: RunningEtcd, tmp_path: Path) -> None:
    with Service(etcd, tmp_path, 2) as service:
        third = Node(3, tmp_path, etcd.port)
        service.nodes.append(third)
        third.server.command.remove("-lease")
        third.server.start()
        with client(third.server) as kt:
            kt.set(b"mine", b"1")
        third.server.stop()
        third.server.command[-1:-1] = ["-lease"]
        third.start()
        wait_until(lambda: "start the agent with --overwrite" in third.said(), "it is said")
        with client(third.server) as kt:
            assert kt.get(b"mine") == b"1"
        third.end_agent()
        third.command.append("--overwrite")
        third.start_agent()
        service.await_whole()
        with client(third.server) as kt:
            assert kt.get(b"mine") is None


def test_a_service_begins_with_the_first_one(etcd: RunningEtcd, tmp_path: Path) -> None:
    node = Node(2, tmp_path, etcd.port)
    try:
        node.start()
        wait_until(lambda: "start the agent of one with --first" in node.said(), "it is said")
        takes_none(node)
    finally:
        node.kill()


def test_a_server_without_lease_is_refused(etcd: RunningEtcd, tmp_path: Path) -> None:
    node = Node(1, tmp_path, etcd.port)
    node.server.command.remove("-lease")
    try:
        node.start()
        wait_until(lambda: "without -lease" in node.said(), "it is said")
    finally:
        node.kill()


def test_a_master_that_was_started_anew_and_has_lost_something_is_replaced(
    etcd: RunningEtcd, tmp_path: Path
) -> None:
    service = Service(etcd, tmp_path, 2)
    for node in service.nodes:
        node.server.command[-1] = "%"  # in memory
    with service, service.connect(timeout=30, retry=PATIENT) as kt:
        first, second = service.nodes
        assert kt.set(b"a", b"1")
        with client(second.server) as slave:
            wait_until(lambda: slave.get(b"a") == b"1", "it follows")
        first.server.stop(signal.SIGKILL)
        first.server.start()
        assert service.await_another(first) is second
        assert kt.get(b"a") == b"1"
        service.await_whole()
        with client(first.server) as former:
            assert former.get(b"a") == b"1"


def test_the_asyncio_client_finds_the_master(etcd: RunningEtcd, tmp_path: Path) -> None:
    with Service(etcd, tmp_path, 2) as service:
        asyncio.run(find_masters(service))


async def find_masters(service: Service) -> None:
    first, second = service.nodes
    url = f"{service.url}?timeout=30"
    async with AsyncKyotoTycoon.from_url(url, retry=PATIENT) as kt:
        assert await kt.set("a", "1")
        assert kt.port == first.server.port
        await asyncio.to_thread(service.await_whole)
        await asyncio.to_thread(first.end_agent)
        await asyncio.to_thread(service.await_another, first)
        assert await kt.set("a", "2")
        assert kt.port == second.server.port
    async with AsyncKyotoTycoon.from_url(f"{url}&reads=slaves") as kt:
        assert await kt.get("a") in ("1", "2")


def test_slaves_count_only_when_etcd_knows_them(etcd: RunningEtcd, tmp_path: Path) -> None:
    with Service(etcd, tmp_path, 3, *ACK) as service:
        first, second, third = service.nodes
        for node in (second, third):  # no agent of theirs looks any more, but they follow
            node.end_agent(signal.SIGKILL)
        view = service.view()
        assert view.state is not None
        assert set(view.state.sync) == {second.name, third.name}
        with client(first.server) as kt:
            assert kt.report()["ack_slaves"] == 2
        third.start_agent()
        third_only = {third.name: 3}
        wait_until(lambda: sync_of(service) == third_only, "who has no agent counts no more")
        write(service, b"1")


def sync_of(service: Service) -> dict[str, int] | None:
    state = service.view().state
    return None if state is None else state.sync


def test_what_the_command_line_refuses() -> None:
    from kt.failover.program import main

    for words in (
        ["a/b", "c"],
        ["", "c"],
        ["a", "c", "--ttl", "1"],
        ["a", "c", "--etcd", "x:y"],
        ["a", "c", "--address", "host"],
        ["a", "c", "--server", "tt://x"],
        ["a", "c", "--etcd-cert", "x"],
        ["a", "c", "--etcd-ca", "/nowhere/ca.pem"],
        ["a", "c", "--etcd-auth-file", "/nowhere/login"],
    ):
        with pytest.raises(SystemExit):
            main(words)


def test_an_agent_without_etcd_says_so(tmp_path: Path) -> None:
    node = Node(1, tmp_path, free_port())
    try:
        node.start()
        wait_until(lambda: "etcd does not answer" in node.said(), "it is said")
        with client(node.server) as kt, pytest.raises(KTError):
            kt.add(b"a", b"1")
        assert facts(node.server)["repl_read_only"] == 1
    finally:
        node.kill()
