"""A port for a server that is started by its command line."""

from __future__ import annotations

import random
import socket

import pytest


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens, below those that systems give to clients."""
    ports = range(21000, 32000)
    for port in random.sample(ports, len(ports)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("there is no free port")
