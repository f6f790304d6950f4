"""Full copies from masters that know none, have none, or send damaged ones."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kt import KyotoTycoon
from kt.types import Change, What
from kt.wire import tycoon as binary
from kt.wire.log import tycoon as log
from kt.wire.log.copies import COPY, Block, Done, Failure, Resumed, pack_copy_message, pack_place
from kt.wire.tycoon_rpc import HttpRequest, pack_rpc_reply
from tests.client.peers import Behaviour, Conversation, HungUp, Peer

from ...processes import ServerProcess
from ..pairs import BUNDLED, facts, server, wait_for_trouble, wait_until
from ..test_wrong_masters import ACCEPTED, STAMP, beat, facts_of_master, kt, message, peer

__all__ = ["kt", "peer"]

LATER = pack_rpc_reply(200, [(b"log/0000000005.ulog", b"17:%d" % (STAMP + 10**10))])


def record(key: bytes) -> bytes:
    """A record of a copy."""
    change = Change(What.SET, 0, 7, 0, key, b"copied")
    return binary.pack_update(binary.Update(0, log.pack_message(change)))


def copy(*keys: bytes, damage: int | None = None) -> bytes:
    """A whole copy, a block for each key; one may have another check than it should have."""
    check, parts = 0, []
    for number, key in enumerate(keys):
        changes = record(key)
        check = zlib.crc32(changes, check)
        parts.append(pack_copy_message(Block(changes, check ^ (number == damage))))
    return b"".join([*parts, pack_copy_message(Done(STAMP, check))])


def answering(sent: bytes, asked_for: int = COPY, since: int | None = None) -> Behaviour:
    """Answer the calls of a slave, then what it asks for with this, and hang up."""

    def behave(talk: Conversation) -> None:
        while isinstance(request := talk.request(), HttpRequest):
            talk.send(facts_of_master(request))
        assert request.flags == asked_for
        assert since is None or request.since == since
        with suppress(HungUp, OSError):
            talk.send(ACCEPTED + sent)

    return behave


@pytest.fixture
def slave(tmp_path: Path) -> Iterator[ServerProcess]:
    args = ("-rts", "rts", "-copy")
    with server(BUNDLED, 2, tmp_path / "slave", *args, databases=("*",)) as process:
        yield process


def test_an_original_with_all_of_its_log_is_followed_from_the_start(
    peer: Peer, kt: KyotoTycoon
) -> None:
    """It knows no copies, and sends the log."""

    def stay(talk: Conversation) -> None:
        answering(message(1), asked_for=log.CONFIRMS | log.TELLS)(talk)
        with suppress(OSError):
            talk.wait_for_end()

    peer.behave(answering(message(1)), stay)
    kt.tune_replication(peer.host, peer.port)
    wait_until(lambda: kt.get(b"key1") == b"value1", "its log is applied")


def test_an_original_without_the_begin_of_its_log_is_not_followed(
    peer: Peer, slave: ServerProcess, kt: KyotoTycoon
) -> None:
    def behave(talk: Conversation) -> None:
        while isinstance(request := talk.request(), HttpRequest):
            is_list = b"ulog_list" in request.target
            talk.send(LATER if is_list else facts_of_master(request))
        talk.send(ACCEPTED + message(1000))
        with suppress(OSError, HungUp):
            talk.wait_for_end()

    peer.behave(*[behave] * 2)  # on a connection of its own it tells where its log begins
    kt.tune_replication(peer.host, peer.port)
    wait_for_trouble(slave, "it cannot send a copy of its databases, as original servers cannot")
    assert "begins with file 5" in str(facts(slave)["repl_error"])
    assert kt.count() == 0


WRONG = {
    "the check of the first block": (copy(b"a", b"b", damage=0), "a copy is damaged"),
    "the check of a later block": (copy(b"a", b"b", damage=1), "a copy is damaged"),
    "a block too few": (
        copy(b"a", b"b")[9 + len(record(b"a")) :],
        "a copy is damaged",
    ),
    "cut off": (copy(b"a", b"b")[:-1], "it has ended the connection"),
    "cut off in a block": (copy(b"a", b"b")[:30], "it has ended the connection"),
    "failed": (pack_copy_message(Failure("no room there")), "no room there"),
    "a log in the middle": (copy(b"a")[:-13] + beat(1), "a message begins with byte 0xb0"),
    "a begin elsewhere": (pack_copy_message(Resumed(1)) + copy(b"a"), "a copy goes on elsewhere"),
    "a begin in the middle": (
        copy(b"a", b"b")[:-13] + pack_copy_message(Resumed(1)),
        "a copy goes on elsewhere",
    ),
    "a size too large": (b"\xb2\xff\xff\xff\xff" + bytes(4), "a part of a copy announces"),
}


@pytest.mark.parametrize(("sent", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_not_applied(
    sent: bytes, words: str, peer: Peer, slave: ServerProcess, kt: KyotoTycoon, tmp_path: Path
) -> None:
    """The slave says so, is as it was, and asks again."""
    peer.behave(answering(sent), answering(copy(b"a", b"b")), *[answering(b"", 0)] * 60)
    kt.tune_replication(peer.host, peer.port)
    slave.wait_for_output(words)
    slave.wait_for_output("the copy has been applied")
    assert kt.count() == 2
    assert not list((tmp_path / "slave").glob("rts.copy*"))
    kt.tune_replication()
    assert facts(slave) == {"repl_epoch": 0}
    assert int((tmp_path / "slave" / "rts").read_text()) >= STAMP


GONE_ON = {
    "it goes on": (
        pack_copy_message(Resumed(1)) + copy(b"a", b"b")[9 + len(record(b"a")) :],
        [b"a", b"b"],
    ),
    "nothing was missing but the end": (
        pack_copy_message(Resumed(1)) + copy(b"a")[9 + len(record(b"a")) :],
        [b"a"],
    ),
    "it begins anew": (copy(b"c", b"d"), [b"c", b"d"]),
}


@pytest.mark.parametrize(("sent", "keys"), GONE_ON.values(), ids=GONE_ON)
def test_a_master_is_told_what_has_come(
    sent: bytes, keys: list[bytes], peer: Peer, slave: ServerProcess, kt: KyotoTycoon
) -> None:
    """It may go on there, or not, as one that does not know how."""
    part = copy(b"a", b"b")[: 9 + len(record(b"a")) + 20]
    place = pack_place(1, zlib.crc32(record(b"a")))
    followed = [answering(b"", asked_for=log.CONFIRMS | log.TELLS)] * 60
    peer.behave(answering(part, since=0), answering(sent, since=place), *followed)
    kt.tune_replication(peer.host, peer.port)
    slave.wait_for_output("the copy has been applied")
    assert sorted(kt.match_prefix(b"")) == keys
    kt.tune_replication()


def test_a_file_that_somebody_has_removed(
    peer: Peer, slave: ServerProcess, kt: KyotoTycoon, tmp_path: Path
) -> None:
    """What has come is counted in memory; it has to be there, too."""
    unfinished = tmp_path / "slave" / "rts.copy.tmp"
    part = copy(b"a", b"b")[: 9 + len(record(b"a")) + 20]

    def behave(talk: Conversation) -> None:
        wait_until(unfinished.exists, "there is something")
        unfinished.unlink()
        answering(copy(b"c", b"d"), since=0)(talk)

    followed = [answering(b"", asked_for=log.CONFIRMS | log.TELLS)] * 60
    peer.behave(answering(part, since=0), behave, *followed)
    kt.tune_replication(peer.host, peer.port)
    slave.wait_for_output("the copy has been applied")
    assert sorted(kt.match_prefix(b"")) == [b"c", b"d"]
    kt.tune_replication()
