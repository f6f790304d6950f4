"""How long requests take: what the streams of both engines count, and when."""

from __future__ import annotations

import pytest

from kt.server import times
from kt.server.engines.kyoto import _engine as kyoto
from kt.server.engines.tokyo import _engine as tokyo
from kt.wire import tycoon, tyrant
from kt.wire.magic import NEVER

PLACES = 25


def kyoto_core() -> kyoto.BinaryCore:
    return kyoto.BinaryCore([kyoto.Database("%")])


def tokyo_core() -> tokyo.BinaryCore:
    return tokyo.BinaryCore(tokyo.Database("*"))


@pytest.mark.parametrize("core", [kyoto_core(), tokyo_core()], ids=["kyoto", "tokyo"])
def test_places(core: kyoto.BinaryCore | tokyo.BinaryCore) -> None:
    core.took(1.0)
    assert core.times() == ([0] * PLACES, 0.0)  # nobody has asked for times
    core.timed = True
    for microseconds in (0, 0.5, 1, 3, 4, 1000, 8_388_607, 8_388_608, 10**9):
        core.took(microseconds / 1e6)
    core.took(-1.0)  # a clock that was set back
    counts, seconds = core.times()
    found = {place: count for place, count in enumerate(counts) if count}
    assert found == {0: 3, 1: 1, 2: 1, 3: 1, 10: 1, 23: 1, 24: 2}
    assert seconds == pytest.approx(1016.778223, abs=1e-3)


def test_requests_of_kyoto() -> None:
    core = kyoto_core()
    core.timed = True
    core.set_stamp(b"Server: x\r\n")
    stream = core.stream()
    stream.feed(tycoon.pack_set("k", b"v", 0, NEVER, 0) + tycoon.pack_get("k", 0))
    assert sum(core.times()[0]) == 2
    assert core.times()[1] > 0
    request = tycoon.pack_get("k", 0)
    _, consumed, _ = stream.feed(request[:-1])
    assert sum(core.times()[0]) == 2  # it is not answered yet
    stream.feed(request[consumed:])
    call = b"POST /rpc/get HTTP/1.1\r\nContent-Length: 6\r\n"
    call += b"Content-Type: text/tab-separated-values\r\n\r\nkey\tk\n"
    stream.feed(call + tycoon.pack_remove("k", 0, 0))
    assert sum(core.times()[0]) == 5
    used = {name: count for name, count in core.commands().items() if count}
    assert used == {
        "binary_set_bulk": 1,
        "binary_get_bulk": 2,
        "binary_remove_bulk": 1,
        "rpc_get": 1,
    }


def test_requests_of_tokyo() -> None:
    core = tokyo_core()
    core.timed = True
    stream = core.stream()
    stream.feed(tyrant.pack_put("k", b"v") + tyrant.pack_get("k") + tyrant.pack_get("none"))
    assert sum(core.times()[0]) == 3
    request = tyrant.pack_mget(["k", "none"])
    _, consumed, _, _ = stream.feed(request[:-1])
    assert sum(core.times()[0]) == 3  # it is not answered yet
    _, _, _, reply = stream.feed(request[consumed:])
    assert bytes(reply)[:5] == b"\0\0\0\0\1"
    stream.feed(tyrant.pack_misc("get", ["k"], 0))
    assert sum(core.times()[0]) == 5


def test_text() -> None:
    counts = [0] * PLACES
    counts[2] = 5
    counts[-1] = 1
    text = times.text(counts, 0.25)
    assert text.startswith("count=6 seconds=0.250000 1us=0 2us=0 4us=5 8us=0 ")
    assert text.endswith(" 8388608us=0 more=1")
