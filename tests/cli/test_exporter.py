"""`kt exporter`: what servers tell, as Prometheus reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kt.cli.care.exporter import address
from kt.cli.care.metrics import FAMILIES
from kt.cli.faults import Usage
from kt.cli.target import open_target
from tests.client.peers import Peer
from tests.conftest import StartTycoon, StartTyrant

from .conftest import Kt, Ran

MANY = 100

Metrics = dict[tuple[str, ...], float]


def read(text: str) -> Metrics:
    """Values by name and the values of the labels, in the order of the labels' names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics(ran: Ran) -> Metrics:
    assert ran.status == 0, ran.err
    return read(ran.out.decode())


def test_tycoon(kt: Kt, start_tycoon: StartTycoon) -> None:
    server = start_tycoon("*", "a b.kct")
    url = f"kt://127.0.0.1:{server.port}"
    kt(url, "set", "k", "v")
    kt(url, "get", "k")
    kt(url, "get", "none")
    found = metrics(kt("exporter", url, "--once"))
    assert found["kt_up", url] == 1
    assert found["kt_operations_total", "get", url] == 2
    assert found["kt_misses_total", "get", url] == 1
    assert found["kt_operations_total", "set", url] == 1
    assert found["kt_records", "0", "*", url] == 1
    assert found["kt_records", "1", "a b.kct", url] == 0
    assert found["kt_size_bytes", "1", "a b.kct", url] > 0
    assert found["kt_connections", url] >= 1
    assert found["kt_memory_resident_bytes", url] > 0
    assert found["kt_uptime_seconds", url] > 0
    assert found["kt_cpu_seconds_total", "user", url] >= 0


def test_tyrant(kt: Kt, start_tyrant: StartTyrant) -> None:
    server = start_tyrant("a.tch")
    url = f"tt://127.0.0.1:{server.port}"
    kt(url, "set", "k", "v")
    kt(url, "get", "none")
    found = metrics(kt("exporter", url, "--once"))
    assert found["kt_up", url] == 1
    assert found["kt_operations_total", "put", url] == 1
    assert found["kt_misses_total", "get", url] == 1
    assert [value for key, value in found.items() if key[0] == "kt_records"] == [1]
    assert any(key[:2] == ("kt_info", "Tokyo Tyrant") for key in found)


def test_times_and_commands(
    kt: Kt, start_tycoon: StartTycoon, start_tyrant: StartTyrant, tycoon_kind: str, tyrant_kind: str
) -> None:
    tycoon = f"kt://127.0.0.1:{start_tycoon('*').port}"
    tyrant = f"tt://127.0.0.1:{start_tyrant('*').port}"
    for url in (tycoon, tyrant):
        target = open_target(url)
        for number in range(MANY):  # on the event loop, and in an I/O thread
            target.client.set_bytes(b"k", b"%d" % number)
        target.close()
    found = metrics(kt("exporter", tycoon, tyrant, "--once"))
    for url, kind in ((tycoon, tycoon_kind), (tyrant, tyrant_kind)):
        counted = {key[:2]: value for key, value in found.items() if url in key}
        if kind == "original":
            assert ("kt_request_seconds_count", url) not in found
            continue
        count = found["kt_request_seconds_count", url]
        assert MANY <= count < MANY + 10  # whoever started it has asked it, too
        assert found["kt_request_seconds_bucket", "+Inf", url] == count
        assert found["kt_request_seconds_sum", url] > 0
        limits = [value for key, value in counted.items() if key[0] == "kt_request_seconds_bucket"]
        assert limits == sorted(limits)
    if tycoon_kind == "bundled":
        assert found["kt_commands_total", "binary_set_bulk", tycoon] == MANY


def test_many_servers_and_one_that_is_not_there(
    kt: Kt, start_tycoon: StartTycoon, start_tyrant: StartTyrant
) -> None:
    tycoon = f"kt://127.0.0.1:{start_tycoon('*').port}"
    tyrant = f"tt://127.0.0.1:{start_tyrant('*').port}"
    with Peer() as peer:
        nobody = f"kt://127.0.0.1:{peer.port}"  # which closes now
    found = metrics(kt("exporter", tycoon, tyrant, nobody, tycoon, "--once"))
    up = {key[1]: value for key, value in found.items() if key[0] == "kt_up"}
    assert up == {tycoon: 1, tyrant: 1, nobody: 0}
    assert not [key for key in found if nobody in key and key[0] == "kt_records"]


def test_server_that_does_not_answer(kt: Kt) -> None:
    with Peer() as peer:
        # By the second connection the client looks what kind of server does not answer it.
        peer.behave(*[lambda talk: talk.wait_for_end()] * 2)
        url = f"kt://127.0.0.1:{peer.port}"
        found = metrics(kt("exporter", url, "--once", "--timeout", "0.2"))
    assert found["kt_up", url] == 0
    assert found["kt_scrape_duration_seconds", url] >= 0.2


@contextmanager
def exporter(*words: str) -> Iterator[str]:
    """Run it as a program; the URL that it prints."""
    program = subprocess.Popen(
        [sys.executable, "-m", "kt.cli", "exporter", "--listen", "127.0.0.1:0", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "KT_URL"},
    )
    assert program.stderr is not None
    try:
        yield program.stderr.readline().split()[-1]
    finally:
        program.kill()
        program.wait()
        program.stderr.close()


def scrape(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as reply:
        assert reply.status == 200
        text: str = reply.read().decode()
    return text


def test_over_http(start_tycoon: StartTycoon) -> None:
    server = start_tycoon("*")
    url = f"kt://127.0.0.1:{server.port}"
    with exporter(url) as where:
        assert read(scrape(where))["kt_up", url] == 1
        server.stop()
        assert read(scrape(where))["kt_up", url] == 0
        server.run()
        text = scrape(where)
    assert read(text)["kt_up", url] == 1
    promtool = shutil.which("promtool")
    if promtool is not None:
        checked = subprocess.run([promtool, "check", "metrics"], input=text, text=True, check=False)
        assert checked.returncode == 0


def test_usage(kt: Kt) -> None:
    assert address(":80") == ("0.0.0.0", 80)
    assert address("[::1]:80") == ("::1", 80)
    for wrong in ("", "host", "host:", "host:70000", "80"):
        with pytest.raises(Usage):
            address(wrong)
    ran = kt("exporter", "a.kch", "--once")
    assert ran.status == 2
    assert "a.kch is a file" in ran.err
    assert all(family.text.endswith(".") for family in FAMILIES.values())
