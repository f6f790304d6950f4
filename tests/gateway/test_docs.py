"""The command of docs/cluster.md starts a gateway."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ServerConnectionError
from tests.cluster.nodes import LocalCluster, wait_for
from tests.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


def test_the_gateway_of_the_docs(cluster: LocalCluster) -> None:
    if not cluster.numbered:
        pytest.skip("this engine has no second database: Valkey has, from 9 on")
    cluster.empty()
    found = re.search(r"```sh\n(kt-tycoon .*)\n```", PAGE.read_text(encoding="utf-8"))
    assert found is not None
    first, second = (f"127.0.0.1:{node.port}" for node in cluster.nodes[:2])
    command = found[1].replace("h1:6379", first).replace("h2:6379", second)
    port = free_port()
    command = command.replace("-host 192.0.2.1", f"-host 127.0.0.1 -port {port} -ls")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    served = subprocess.Popen(f"exec {command}", shell=True, env={**os.environ, "PATH": path})

    def is_served() -> bool:
        assert served.poll() is None
        try:
            return db.set("k", "v") == db.set("k", "v", db=1) == 1
        except ServerConnectionError:
            return False

    with KyotoTycoon("127.0.0.1", port, timeout=30) as db:
        try:
            wait_for(is_served)
            assert db.match_prefix("k", db=1) == ["k"]
        finally:
            served.terminate()
            assert served.wait(30) == 0
            cluster.empty()
