"""A server of lines, on the shell that both real servers share: it shows what the shell does.

=============  ====================================================================================
line           answer
=============  ====================================================================================
``boom``       none: the handler raises an exception
``slow boom``  none: it raises one in a worker thread
``slow ...``   the line, from a worker thread, when the file ``go`` exists
``quit``       ``bye``, and the end
anything else  the line
=============  ====================================================================================

A line that is cut off is answered with ``cut``, one whose handler fails with ``failed``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from kt.server.process.connection import Connection
from kt.server.process.options import SERVICE_FLAGS, ServiceOptions, read_command_line
from kt.server.process.server import Server
from kt.server.process.start import run
from kt.server.session import Session


class LineSession(Session):
    def step(self, data: bytes | bytearray, pos: int) -> int:
        end = data.find(b"\n", pos) + 1
        if not end:
            self.need = len(data) - pos + 1
            return pos
        line = bytes(data[pos:end])
        if line == b"boom\n":
            raise RuntimeError("the handler's fault")
        if line.startswith(b"slow "):
            self.in_thread(lambda: self.slowly(line), self.write)
        elif line == b"quit\n":
            self.write(b"bye\n")
            self.close()
        else:
            self.write(line)
        return end

    def slowly(self, line: bytes) -> bytes:
        if line == b"slow boom\n":
            raise RuntimeError("the thread's fault")
        while not Path("go").exists():
            time.sleep(0.01)
        return line

    def cut_off(self) -> None:
        self.write(b"cut")

    def failed(self) -> None:
        self.write(b"failed")


class LineServer(Server):
    def connect(self) -> Connection:
        return Connection(self, LineSession())


if __name__ == "__main__":
    fields, _ = read_command_line("line-server", SERVICE_FLAGS, sys.argv[1:])
    options = ServiceOptions(program="line-server", **fields)
    sys.exit(run(options, lambda start: LineServer(options, start).run()))
