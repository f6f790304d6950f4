"""How long other connections wait while one sends a large value, or gets a large reply.

    python bench/large.py [tycoon|tyrant ...] [--mib 200] [--list 900] [--rounds 3]
                          [--only NAMES] [--database DATABASE] [--server PROGRAM]

As `bench/stalls.py`, whose probes are used: two others ask for something small all the time, one a
record by the binary protocol, the other something that the event loop serves in Python, a third
does so on a new connection each time. The loads are requests as they go over the wire, by every
protocol that the server speaks, and their replies are read as fast as they come. Of the rounds of a
load the one counts in which the others waited least: what else runs on the machine makes them wait,
too. The last column is the most memory that the server has had, in multiples of the reply's (or the
request's) size.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Mapping
from time import perf_counter, sleep
from typing import NamedTuple

from stalls import probes

from kt import EmbeddedServer, EmbeddedTokyoTyrantServer

MIB = 1 << 20
BODY = re.compile(rb"content-length: *(\d+)", re.I)

Load = Callable[[socket.socket], int]
"""Sends a request and reads its reply; how many bytes the larger of both had."""


def drain(sock: socket.socket, size: int) -> int:
    """Read `size` bytes."""
    room = bytearray(MIB)
    left = size
    while left:
        got = sock.recv_into(room, min(left, MIB))
        if not got:
            raise EOFError(f"the reply ends {left} bytes too early")
        left -= got
    return size


def exactly(sock: socket.socket, size: int) -> bytes:
    """Read `size` bytes and return them."""
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError("the reply ends too early")
        data += more
    return data


def http(sock: socket.socket, request: bytes) -> int:
    """Send; read a reply with a Content-Length."""
    sock.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(4096)
    head, _, rest = data.partition(b"\r\n\r\n")
    found = BODY.search(head)
    size = int(found[1]) if found else 0
    assert b" 20" in head[:15], head
    drain(sock, size - len(rest))
    return max(size, len(request))


def put(path: bytes, value: bytes) -> bytes:
    """An HTTP request that stores a value."""
    return b"PUT %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path, len(value), value)


def call(name: bytes, body: bytes, encoding: bytes = b"") -> bytes:
    """An RPC call."""
    kind = b"text/tab-separated-values" + encoding
    head = b"POST /rpc/%b HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (name, kind, len(body)) + body


def tycoon_loads(mib: int, listed: int) -> Mapping[str, Load]:
    """The loads of kt-tycoon."""
    value = b"v" * (mib * MIB)
    part = b"p" * MIB
    record = struct.pack(">HIIq", 0, 1, len(value), 2**62) + b"k" + value
    one = struct.pack(">HI", 0, 1) + b"k"
    piece = struct.pack(">HI", 0, 1) + b"p"
    small = struct.pack(">HIIq", 0, 1, len(part), 2**62) + b"p" + part

    def stored(sock: socket.socket, data: bytes) -> int:
        sock.sendall(struct.pack(">BII", 0xB8, 0, 1) + data)
        drain(sock, 5)
        return len(data)

    def got(sock: socket.socket, keys: bytes, count: int) -> int:
        sock.sendall(struct.pack(">BII", 0xBA, 0, count) + keys * count)
        exactly(sock, 5)
        return drain(sock, count * (19 + (len(value) if count == 1 else MIB)))

    return {
        "(none)": lambda sock: sleep(1) or 1,
        "set": lambda sock: stored(sock, record),
        "get": lambda sock: got(sock, one, 1),
        f"get of {listed} x 1 MiB": lambda sock: stored(sock, small) and got(sock, piece, listed),
        "PUT": lambda sock: http(sock, put(b"/k", value)),
        "GET": lambda sock: http(sock, b"GET /k HTTP/1.1\r\nHost: x\r\n\r\n"),
        "rpc set": lambda sock: http(sock, call(b"set", b"key\tk\nvalue\t" + value)),
        "rpc set, URL": lambda sock: http(
            sock, call(b"set", b"key\tk\nvalue\t" + value, b"; colenc=U")
        ),
        "rpc get": lambda sock: http(sock, call(b"get", b"key\tk")),
        "rpc append": lambda sock: http(sock, call(b"append", b"key\tk\nvalue\tx")),
        "rpc set_bulk": lambda sock: http(sock, call(b"set_bulk", b"_k\t" + value)),
        "rpc get_bulk": lambda sock: http(sock, call(b"get_bulk", b"_k\t")),
        **bulk_loads(listed),
    }


def bulk_loads(listed: int) -> Mapping[str, Load]:
    """Many records of kt-tycoon by their names."""
    names = [b"m%03d" % number for number in range(listed)]
    head = struct.pack(">BIIHIIq", 0xB8, 0, 1, 0, 4, MIB, 2**62)

    def put_many(sock: socket.socket) -> int:
        for name in names:
            sock.sendall(head + name + b"p" * MIB)
            drain(sock, 5)
        return listed * MIB

    wanted = b"".join(b"_%b\t\n" % name for name in names)
    return {
        f"set of {listed} x 1 MiB": put_many,
        f"rpc get_bulk of {listed} x 1 MiB": lambda sock: http(sock, call(b"get_bulk", wanted)),
    }


def put_value(sock: socket.socket, key: bytes, data: bytes) -> int:
    """Store a record in kt-tyrant."""
    sock.sendall(b"\xc8\x10" + struct.pack(">II", 1, len(data)) + key + data)
    drain(sock, 1)
    return len(data)


def misc(sock: socket.socket, name: bytes, *arguments: bytes) -> int:
    """Call a function of kt-tyrant; how long the elements of its reply are together."""
    listed = b"".join(struct.pack(">I", len(argument)) + argument for argument in arguments)
    sock.sendall(b"\xc8\x90" + struct.pack(">III", len(name), 0, len(arguments)) + name + listed)
    code, count = struct.unpack(">BI", exactly(sock, 5))
    assert code == 0, name
    return sum(drain(sock, *struct.unpack(">I", exactly(sock, 4))) for _ in range(count))


def next_record(sock: socket.socket) -> int:
    """Move kt-tyrant's iterator over the large record."""
    misc(sock, b"iterinit", b"k")
    return misc(sock, b"iternext")


def get_memcached(sock: socket.socket, *keys: bytes) -> int:
    """Ask kt-tyrant in memcached's words; how long the values are together."""
    sock.sendall(b"get %b\r\n" % b" ".join(keys))
    size = 0
    while True:
        head = b""
        while not head.endswith(b"\n"):
            head += sock.recv(1)
        if head == b"END\r\n":
            return size
        size += drain(sock, int(head.split()[3]))
        drain(sock, 2)


def tyrant_scans(listed: int, ordered: bool) -> Mapping[str, Load]:
    """Functions of kt-tyrant that look through records."""

    def put_many(sock: socket.socket) -> int:
        part = b"p" * MIB
        return sum(put_value(sock, b"m%03d" % number, part) for number in range(listed))

    loads: dict[str, Load] = {
        "iternext": next_record,
        "getpart": lambda sock: misc(sock, b"getpart", b"k", b"7", b"9"),
        "regex": lambda sock: misc(sock, b"regex", b"^k$"),
        "regex, another": lambda sock: misc(sock, b"regex", b"^key"),
    }
    ranges: dict[str, Load] = {
        "range": lambda sock: misc(sock, b"range", b"k", b"1"),
        f"put of {listed} x 1 MiB": put_many,
        f"range of {listed} x 1 MiB": lambda sock: misc(sock, b"range", b"m", b"900"),
    }
    return loads | ranges if ordered else loads


def tyrant_loads(mib: int, listed: int, ordered: bool) -> Mapping[str, Load]:
    """The loads of kt-tyrant."""
    value = b"v" * (mib * MIB)
    part = b"p" * MIB

    def asked(sock: socket.socket, request: bytes, reply_size: int) -> int:
        sock.sendall(request)
        drain(sock, reply_size)
        return max(len(request), reply_size)

    def listed_get(sock: socket.socket) -> int:
        put_value(sock, b"p", part)
        request = b"\xc8\x31" + struct.pack(">I", listed) + b"\0\0\0\1p" * listed
        return asked(sock, request, 5 + listed * (9 + MIB))

    get = b"\xc8\x30\0\0\0\1k"
    cat = b"\xc8\x12" + struct.pack(">II", 1, 1) + b"kx"
    store = b"set k 0 0 %d\r\n%b\r\n" % (len(value), value)
    return {
        "(none)": lambda sock: sleep(1) or 1,
        "put": lambda sock: put_value(sock, b"k", value),
        "get": lambda sock: asked(sock, get, 5 + len(value)),
        "putcat": lambda sock: asked(sock, cat, 1),
        f"mget of {listed} x 1 MiB": listed_get,
        "getlist": lambda sock: misc(sock, b"getlist", b"k"),
        "memcached set": lambda sock: asked(sock, store, 8),
        "memcached get": lambda sock: get_memcached(sock, b"k"),
        f"getlist of {listed} x 1 MiB": lambda sock: misc(sock, b"getlist", *[b"p"] * listed),
        f"memcached get of {listed} x 1 MiB": lambda sock: get_memcached(sock, *[b"p"] * listed),
        "PUT": lambda sock: http(sock, put(b"/k", value)),
        "GET": lambda sock: http(sock, b"GET /k HTTP/1.1\r\nHost: x\r\n\r\n"),
        **tyrant_scans(listed, ordered),
    }


class Memory(NamedTuple):
    """The memory of a process."""

    pid: int

    def forget_peak(self) -> None:
        """Let `peak` tell of what comes."""
        with open(f"/proc/{self.pid}/clear_refs", "w") as file:
            file.write("5")

    def read(self, name: str) -> int:
        """In bytes."""
        with open(f"/proc/{self.pid}/status") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(name))


class Run(NamedTuple):
    """One run of a load."""

    seconds: float
    waits: list[float]  # the longest of each probe, in milliseconds
    memory: float

    def cells(self) -> str:
        """The cells of a row."""
        return " | ".join([f"{self.seconds:.2f}", *map("{:.1f}".format, self.waits)])


def run(program: str, port: int, sock: socket.socket, load: Load, memory: Memory) -> Run:
    """Run a load once, beside the probes."""
    asking = probes(program, port, ("binary", "loop", "connect"))
    memory.forget_peak()
    before = memory.read("VmRSS")
    begin = perf_counter()
    size = load(sock)
    seconds = perf_counter() - begin
    waits = [json.loads(process.communicate("")[0])["longest"] for process in asking]
    more = (memory.read("VmHWM") - before) / size if size > MIB else 0
    return Run(seconds, waits, more)


def measure(
    program: str, server: str, path: str, loads: Mapping[str, Load], rounds: int, only: str
) -> None:
    """Print a row for each load: the round in which others waited least, and the most memory."""
    kind = EmbeddedServer if program == "tycoon" else EmbeddedTokyoTyrantServer
    with kind(server, database=path) as running:
        memory = Memory(running.pid or 0)
        sock = socket.create_connection(("127.0.0.1", running.port))
        running.connect().set("key-00000001", "v")
        for name, load in loads.items():
            if not re.search(only, name):
                load(sock)  # the others need what it leaves
                continue
            runs = [run(program, running.port or 0, sock, load, memory) for _ in range(rounds)]
            quietest = min(runs, key=lambda run: max(run.waits))
            most = max(run.memory for run in runs)
            print(f"| {name} | {quietest.cells()} | {most:.2f} |", flush=True)


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("servers", nargs="*", choices=["tycoon", "tyrant", []])
    parser.add_argument("--mib", type=int, default=200, help="MiB of a value")
    parser.add_argument("--list", type=int, default=900, help="values of 1 MiB in a reply")
    parser.add_argument("--rounds", type=int, default=3, help="of each load")
    parser.add_argument("--only", default="", help="a regular expression for names of loads")
    parser.add_argument("--database", default="*", help="type of database")
    parser.add_argument("--server", help="another program, such as an original server")
    options = parser.parse_args()
    ordered = options.database == "+" or options.database.endswith(".tcb")
    for program in options.servers or ["tycoon", "tyrant"]:
        if program == "tycoon":
            loads = tycoon_loads(options.mib, options.list)
        else:
            loads = tyrant_loads(options.mib, options.list, ordered)
        print(f"| {options.server or 'kt-' + program} | s | binary | loop | connect | memory |")
        print("|---|---:|---:|---:|---:|---:|")
        with tempfile.TemporaryDirectory(prefix="kt-bench-") as folder:
            path = f"{folder}/{options.database}" if "." in options.database else options.database
            server = options.server or f"kt-{program}"
            measure(program, server, path, loads, options.rounds, options.only)


if __name__ == "__main__":
    sys.exit(main())
