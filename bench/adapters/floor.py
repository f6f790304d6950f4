"""No client at all: ready bytes out of a bare socket and back, nothing made and nothing decoded.

What is left is the kernel's work and the server's. A reply is taken to be complete when as many
bytes have come as the first time (bulk), or with the first read (single requests).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from itertools import cycle

from records import COUNTERS, DEPTH, KEYS, SWAPPED, TICK, TOCK, VALUES

from kt.wire import tycoon, tycoon_rpc, tyrant

KEY_BYTES = [key.encode() for key in KEYS]


def connect(server: str, host: str, port: int) -> dict[str, Callable[[int], object]]:
    """Return the loads of this adapter (see README.md)."""
    sock = socket.create_connection((host, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if server == "tycoon":
        sock.sendall(tycoon.pack_set(SWAPPED, TICK.encode(), 0, tycoon.NEVER))
        sock.recv(65536)
    single, bulk = (tycoon_requests if server == "tycoon" else tyrant_requests)()
    loads: dict[str, Callable[[int], object]] = {}
    for name, requests in single.items():
        loads[name] = one_at_a_time(sock, requests)
    for name, request in bulk.items():
        loads[name] = whole_reply(sock, request)
    loads["tasks"] = loads["pipeline"] = whole_reply(sock, b"".join(single["get"][:DEPTH]))
    return loads


def one_at_a_time(sock: socket.socket, requests: Sequence[bytes]) -> Callable[[int], object]:
    endless = cycle(requests)

    def load(times: int) -> None:
        send, receive, following = sock.sendall, sock.recv, endless.__next__
        for _ in range(times):
            send(following())
            receive(65536)

    return load


def whole_reply(sock: socket.socket, request: bytes) -> Callable[[int], object]:
    length = 0

    def load(times: int) -> None:
        nonlocal length
        if not length:
            length = learn_length(sock, request)
        for _ in range(times):
            sock.sendall(request)
            missing = length
            while missing:
                missing -= len(sock.recv(1 << 18))

    return load


def learn_length(sock: socket.socket, request: bytes) -> int:
    """Length of the reply: what comes until nothing comes any more."""
    sock.sendall(request)
    length = len(sock.recv(1 << 18))
    sock.settimeout(0.2)
    try:
        while True:
            length += len(sock.recv(1 << 18))
    except TimeoutError:
        return length
    finally:
        sock.settimeout(None)


def tycoon_requests() -> tuple[dict[str, list[bytes]], dict[str, bytes]]:
    rpc = tycoon_rpc.pack_rpc
    never = tycoon.NEVER
    single = {
        "get": [tycoon.pack_get(key, 0) for key in KEYS],
        "set": [
            tycoon.pack_set(key, value.encode(), 0, never)
            for key, value in zip(KEYS, VALUES, strict=True)
        ],
        "exists": [rpc("check", [(b"key", key)]) for key in KEY_BYTES],
        "incr": [rpc("increment", [(b"key", key.encode()), (b"num", b"1")]) for key in COUNTERS],
        "cas": [
            rpc("cas", [(b"key", SWAPPED.encode()), (b"oval", old), (b"nval", new)])
            for old, new in ((TICK.encode(), TOCK.encode()), (TOCK.encode(), TICK.encode()))
        ],
    }
    bulk = {
        "set_bulk": tycoon.pack_set_bulk(
            dict(zip(KEY_BYTES, [v.encode() for v in VALUES], strict=True)), 0, never, None
        ),
        "get_bulk": tycoon.pack_get_bulk(KEY_BYTES, 0),
        "match_prefix": rpc("match_prefix", [(b"prefix", b"key0")]),
    }
    return single, bulk


def tyrant_requests() -> tuple[dict[str, list[bytes]], dict[str, bytes]]:
    values = [value.encode() for value in VALUES]
    single = {
        "get": [tyrant.pack_get(key) for key in KEY_BYTES],
        "set": [tyrant.pack_put(k, v) for k, v in zip(KEY_BYTES, values, strict=True)],
        "exists": [tyrant.pack_vsiz(key) for key in KEY_BYTES],
        "incr": [tyrant.pack_addint(key.encode(), 1) for key in COUNTERS],
    }
    pairs = [part for pair in zip(KEY_BYTES, values, strict=True) for part in pair]
    bulk = {
        "set_bulk": tyrant.pack_misc(b"putlist", pairs),
        "get_bulk": tyrant.pack_mget(KEY_BYTES),
        "match_prefix": tyrant.pack_fwmkeys(b"key0", -1),
    }
    return single, bulk
