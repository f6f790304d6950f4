"""Ports for the servers that tests start.

Each is given out once to all test processes of this machine, in turn: a server that starts later,
or starts again, still finds its port free. They lie below those that `kt.embedded` takes and those
that systems give to outgoing connections.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from kt.embedded import _is_free

HOST = "127.0.0.1"

PORTS = range(5_000, 10_000)


def free_port() -> int:
    """A port at which nobody listens, and which nobody else has been given for a long time."""
    path = Path(tempfile.gettempdir()) / f"kt-tests-{os.getuid()}.port"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        turn = int.from_bytes(os.pread(descriptor, 8, 0))
        for number in range(turn, turn + len(PORTS)):
            port = PORTS[number % len(PORTS)]
            if _is_free(HOST, port):
                os.pwrite(descriptor, (number + 1).to_bytes(8), 0)
                return port
    finally:
        os.close(descriptor)
    raise AssertionError(f"no free port at {HOST} between {PORTS[0]} and {PORTS[-1]}")
