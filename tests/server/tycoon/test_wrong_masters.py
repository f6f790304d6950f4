"""kt-tycoon as a slave of masters that hang up, send nonsense, or have been recorded."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kt import KT_NONE, KyotoTycoon
from kt.types import Change, What
from kt.wire import tycoon as binary
from kt.wire.log import tycoon as log
from kt.wire.tycoon_rpc import HttpRequest, decode_rpc, pack_rpc_reply
from tests.client.masters import recorded
from tests.client.peers import Behaviour, Conversation, HungUp, Peer

from ..processes import ServerProcess
from .pairs import BUNDLED, facts, server, wait_for_trouble, wait_until

STAMP = 1_795_000_000_000_000_000
ACCEPTED = binary.REPLICATION_REPLY
Replication = binary.Replication


def message(number: int, what: What = What.SET) -> bytes:
    """A change as it is sent; each a millisecond after the one before."""
    key = b"key%d" % number
    value = b"value%d" % number if what is What.SET else None
    change = Change(what, STAMP + number * 10**6, 7, 0, key, value)
    return binary.pack_update(binary.Update(change.stamp, log.pack_message(change)))


def framed(body: bytes, number: int = 1) -> bytes:
    return struct.pack(">BQI", 0xB1, STAMP + number * 10**6, len(body)) + body


def beat(number: int) -> bytes:
    return binary.pack_update(binary.Update(STAMP + number * 10**6, None))


def facts_of_master(request: HttpRequest, **changed: bytes) -> bytes:
    """What a master answers to the calls that come before it is followed."""
    call = decode_rpc(request)
    assert call is not None
    answers = {
        b"report": {b"serv_current_time": b"%f" % time.time()},
        b"ulog_list": {b"log/0000000001.ulog": b"17:%d" % STAMP},
        b"status": {b"ktopts": b"0"},
    }
    columns: dict[bytes, bytes] = dict(answers[call[0]])
    columns.update({name.encode(): value for name, value in changed.items() if name in columns})
    return pack_rpc_reply(200, columns.items())


def asked(talk: Conversation) -> Replication:
    """Answer the calls of a slave, until it asks for the log."""
    while isinstance(request := talk.request(), HttpRequest):
        talk.send(facts_of_master(request))
    assert isinstance(request, Replication)
    return request


def sending(*parts: bytes, since: int | None = None, cut: int = 0) -> Behaviour:
    """Accept a slave, send this without the last `cut` bytes, and hang up."""

    def behave(talk: Conversation) -> None:
        request = asked(talk)
        assert since is None or request.since == since
        assert request.server == 2
        sent = ACCEPTED + b"".join(parts)
        talk.send(sent[: len(sent) - cut])

    return behave


def staying(*parts: bytes, since: int | None = None) -> Behaviour:
    """The same, and stay until the slave hangs up."""

    def behave(talk: Conversation) -> None:
        sending(*parts, since=since)(talk)
        with suppress(OSError):
            talk.wait_for_end()

    return behave


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


@pytest.fixture
def slave(tmp_path: Path) -> Iterator[ServerProcess]:
    with server(BUNDLED, 2, tmp_path / "slave", "-rts", "rts", databases=("*",)) as process:
        yield process


@pytest.fixture
def kt(slave: ServerProcess) -> Iterator[KyotoTycoon]:
    with KyotoTycoon(slave.host, slave.port, serializer=KT_NONE, decode_keys=False) as client:
        yield client


def follow(kt: KyotoTycoon, peer: Peer, ts: int | None = None) -> None:
    kt.tune_replication(peer.host, peer.port, ts=ts)


# What was recorded


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_recorded_master(step: int, peer: Peer, kt: KyotoTycoon) -> None:
    """Every message is applied, however it is cut into pieces, and every heartbeat is answered."""
    sent = recorded("tycoon")
    answered = threading.Event()

    def behave(talk: Conversation) -> None:
        assert asked(talk).since == 0
        for sender, data in sent[1:]:
            if sender == "slave":
                assert talk.read(len(data)) == data
            else:
                for at in range(0, len(data), step):
                    talk.send(data[at : at + step])
        answered.set()
        with suppress(OSError):
            talk.wait_for_end()

    peer.behave(behave)
    follow(kt, peer, 0)
    expected, stamp = contents_of(sent)
    wait_until(answered.is_set, "every heartbeat is answered")
    wait_until(lambda: kt.report().get("repl_timestamp") == stamp, "everything is applied")
    found = kt.get_bulk(kt.match_prefix(b""))
    assert found == expected
    assert found


def contents_of(sent: list[tuple[str, bytes]]) -> tuple[dict[bytes, bytes], int]:
    """What database 0 has after these messages, without what has expired; and the last stamp."""
    data = b"".join(data for sender, data in sent if sender == "master")
    found: dict[bytes, bytes] = {}
    at, stamp = 1, 0
    while at < len(data):
        reading = binary.read_update(data, at)
        assert isinstance(reading, tuple)
        update, at = reading
        stamp = max(stamp, update.stamp)
        if not update.message:
            continue
        change = log.decode_message(log.Record(update.stamp, update.message))
        if change.db or change.key is None:
            continue
        found.pop(change.key, None)
        if change.what is What.SET and (change.expiry is None or change.expiry > time.time()):
            assert change.value is not None
            found[change.key] = change.value
    return found, stamp


# Links that are cut


def cut_off_at(slave: ServerProcess) -> object:
    """How far a slave has come; None while it follows, which it does until it has read all."""
    said = facts(slave)
    return None if said["repl_connected"] else said["repl_timestamp"]


def test_cut_at_every_byte_of_records(peer: Peer, slave: ServerProcess, kt: KyotoTycoon) -> None:
    """Nothing is lost, and what is asked for is what has not come yet."""
    parts = [message(1), message(2), message(2, What.REMOVE), message(3), beat(4)]
    ends = [len(ACCEPTED)]
    stamps = [0, STAMP + 10**6, STAMP + 2 * 10**6, STAMP + 2 * 10**6, STAMP + 3 * 10**6]
    for part in parts:
        ends.append(ends[-1] + len(part))
    sizes = [0]

    def behave(talk: Conversation) -> None:
        left = ends[-1] - sizes[-1]
        with suppress(HungUp):
            (staying(*parts) if left < 0 else sending(*parts, cut=left))(talk)

    peer.behave(*[behave] * 10_000)
    for size in range(ends[-1] + 1):
        sizes.append(size)
        connection = peer.connections + 1
        follow(kt, peer, 0)
        peer.wait_for_end_of(connection)
        done = sum(end <= size for end in ends) - 1
        wanted = [*stamps, STAMP + 4 * 10**6][max(done, 0)]
        wait_until(
            lambda wanted=wanted: cut_off_at(slave) == wanted,  # type: ignore[misc]
            f"it is cut off behind {wanted}",
        )
    sizes.append(ends[-1] + 1)
    wait_until(lambda: facts(slave)["repl_connected"] == 1, "it comes back")
    assert kt.get(b"key1") == b"value1"
    assert kt.get(b"key2") is None
    assert kt.get(b"key3") == b"value3"


def test_cut_at_every_byte_of_a_handshake(peer: Peer, kt: KyotoTycoon) -> None:
    answers = [
        pack_rpc_reply(200, [(b"serv_current_time", b"%f" % time.time())]),
        pack_rpc_reply(200, [(b"log/0000000001.ulog", b"17:%d" % STAMP)]),
        pack_rpc_reply(200, [(b"ktopts", b"0")]),
    ]

    plan: list[tuple[int, int] | None] = [(0, 0)]

    def behave(talk: Conversation) -> None:
        with suppress(HungUp):
            if (cut := plan[-1]) is None:
                staying(message(1))(talk)
                return
            for answer in answers[: cut[0]]:
                talk.request()
                talk.send(answer)
            talk.request()
            talk.send(answers[cut[0]][: cut[1]])

    peer.behave(*[behave] * 10_000)
    for number, answer in enumerate(answers):
        for size in range(len(answer)):
            plan.append((number, size))
            connection = peer.connections + 1
            follow(kt, peer)
            peer.wait_for_end_of(connection)
    plan.append(None)
    wait_until(lambda: kt.get(b"key1") == b"value1", "it follows in the end")


# Nonsense


NONSENSE = {
    "no message": b"\xb7" + bytes(20),
    "an HTTP reply": b"HTTP/1.1 200 OK\r\n\r\n",
    "a message that is too long": struct.pack(">BQI", 0xB1, STAMP, 1 << 30),
    "half a head of a change": framed(b"\0\1\0"),
    "a size without an end": framed(struct.pack(">HHB", 7, 0, 0xA1) + b"\xff" * 9),
    "a size that is too large": framed(struct.pack(">HHB", 7, 0, 0xA1) + b"\x05\x05key"),
    "a size that is too small": framed(struct.pack(">HHB", 7, 0, 0xA2) + b"\x01key"),
    "an enormous size": framed(struct.pack(">HHB", 7, 0, 0xA2) + b"\x81" + b"\xff" * 8 + b"\x7fk"),
    "clear with something behind": framed(struct.pack(">HHB", 7, 0, 0xA5) + b"x"),
    "no expiry": framed(struct.pack(">HHB", 7, 0, 0xA1) + b"\x01\x03kabc"),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_stops_it(
    nonsense: bytes, peer: Peer, slave: ServerProcess, kt: KyotoTycoon
) -> None:
    """What comes before is applied, nothing behind it; the slave serves, and says what is wrong."""
    peer.behave(staying(message(1), nonsense, message(2)))
    follow(kt, peer)
    wait_for_trouble(slave, "what it sends is damaged")
    assert facts(slave)["repl_timestamp"] == STAMP + 10**6
    assert kt.get(b"key1") == b"value1"
    assert kt.get(b"key2") is None
    assert kt.count() == 1
    peer.behave(staying(message(2), since=STAMP + 10**6))
    follow(kt, peer)
    wait_until(lambda: kt.get(b"key2") == b"value2", "it goes on when it is told to")
    assert facts(slave)["repl_error"] == ""


def test_operations_of_the_future_are_passed_over(peer: Peer, kt: KyotoTycoon) -> None:
    unknown = framed(struct.pack(">HHB", 7, 0, 0xA0) + b"whatever", 2)
    peer.behave(staying(message(1), unknown, framed(b"", 2), message(3)))
    follow(kt, peer)
    wait_until(lambda: kt.get(b"key3") == b"value3", "what comes behind is applied")
    assert kt.count() == 2


def test_what_we_have_made_ourselves_is_passed_over(peer: Peer, kt: KyotoTycoon) -> None:
    own = Change(What.SET, STAMP + 2 * 10**6, 2, 0, b"own", b"old")
    sent = binary.pack_update(binary.Update(own.stamp, log.pack_message(own)))
    kt.set(b"own", b"new")
    peer.behave(staying(message(1), sent, message(3)))
    follow(kt, peer)
    wait_until(lambda: kt.get(b"key3") == b"value3", "what comes behind is applied")
    assert kt.get(b"own") == b"new"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"\xbf", "keeps no update log"),
        (b"\x00", "it answered 0x0"),
        (b"", "it has ended the connection"),
    ],
)
def test_refusals(
    reply: bytes, words: str, peer: Peer, slave: ServerProcess, kt: KyotoTycoon
) -> None:
    def behave(talk: Conversation) -> None:
        asked(talk)
        talk.send(reply)

    peer.behave(*[behave] * 30)
    follow(kt, peer)
    wait_for_trouble(slave, words)
    kt.tune_replication()


@pytest.mark.parametrize("answer", [b"no such command\r\n\r\n", b"\xc8\xc8\xc8", b""])
def test_other_servers(answer: bytes, peer: Peer, slave: ServerProcess, kt: KyotoTycoon) -> None:
    def behave(talk: Conversation) -> None:
        with suppress(HungUp):
            talk.request()
            talk.send(answer)

    peer.behave(*[behave] * 30)
    follow(kt, peer)
    wait_until(lambda: facts(slave)["repl_error"] != "", "it says what is wrong")
    assert facts(slave)["repl_connected"] == 0
    kt.set(b"served", b"1")
    assert kt.get(b"served") == b"1"
    kt.tune_replication()
