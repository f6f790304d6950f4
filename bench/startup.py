"""How long the servers take from their start until they listen, and until they answer.

The originals are measured too where the environment variables KTSERVER and TTSERVER name them. The
times are those of the quickest of several starts: what else runs on the machine makes them longer,
not shorter.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from time import perf_counter, sleep

from kt.embedded import _free_port

ROUNDS = 20
HOST = "127.0.0.1"
OURS = {
    "kt-tycoon": [sys.executable, "-m", "kt.server", "tycoon"],
    "kt-tyrant": [sys.executable, "-m", "kt.server", "tyrant"],
}
QUESTION = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"


def start(command: list[str], directory: str) -> tuple[float, float]:
    """Milliseconds from the start until it listens, and until it answers."""
    port = _free_port(HOST)
    begin = perf_counter()
    server = subprocess.Popen(
        [*command, "-host", HOST, "-port", str(port), "*"], cwd=directory, stdout=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                peer = socket.create_connection((HOST, port))
                break
            except ConnectionRefusedError:
                sleep(0.0005)
        listens = perf_counter()
        with peer:
            peer.sendall(QUESTION)
            assert peer.recv(1)
        return 1000 * (listens - begin), 1000 * (perf_counter() - begin)
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    originals = [os.environ[name] for name in ("KTSERVER", "TTSERVER") if os.environ.get(name)]
    commands = OURS | {os.path.basename(program): [program] for program in originals}
    print("milliseconds from the start until it  listens  answers")
    for name, command in commands.items():
        with tempfile.TemporaryDirectory() as directory:
            times = [start(command, directory) for _ in range(ROUNDS)]
        listens, answers = (min(column) for column in zip(*times, strict=True))
        print(f"{name:<36} {listens:8.0f} {answers:8.0f}")


if __name__ == "__main__":
    main()
