"""Peers that send changes as a master does, and servers that keep a log."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
from kt.types import Change, What
from kt.wire import tycoon as binary
from kt.wire import tyrant, tyrant_server
from kt.wire.log import tycoon as tycoon_log
from kt.wire.log import tyrant as tyrant_log
from tests.client.peers import Behaviour, Conversation, HungUp
from tests.conftest import StartTycoon, StartTyrant

DATA = Path(__file__).parent.parent / "wire" / "data" / "log"

STAMP = 1_795_000_000_000_000_000
SERVER = 7
"""The id of these masters."""


def change(number: int) -> Change[bytes, bytes]:
    """The change of this number: a millisecond after the one before."""
    stamp = STAMP + number * 10**6
    return Change(What.SET, stamp, SERVER, 0, b"key%d" % number, b"value%d" % number)


def tycoon_message(change: Change[bytes, bytes], *, persistent: bool = False) -> bytes:
    message = tycoon_log.pack_message(change, persistent=persistent)
    return binary.pack_update(binary.Update(change.stamp, message))


def tycoon_rest(stamp: int = STAMP) -> bytes:
    return binary.pack_update(binary.Update(stamp, None))


def tyrant_message(change: Change[bytes, bytes]) -> bytes:
    command = tyrant_log.pack_command(change)
    return tyrant_server.pack_update(tyrant.Update(change.stamp // 1000, change.sid, command))


TYRANT_REST = tyrant_server.pack_update(None)


def tycoon_master(*numbers: int, since: int | None = None, cut: int = 0) -> Behaviour:
    """Accept a slave, expect it to ask for what came `since`, send changes, all but `cut` bytes."""

    def behave(talk: Conversation) -> None:
        request = talk.request()
        assert isinstance(request, binary.Replication)
        assert since is None or request.since == since
        sent = binary.REPLICATION_REPLY + b"".join(tycoon_message(change(n)) for n in numbers)
        talk.send(sent[: len(sent) - cut])

    return behave


def tyrant_master(*numbers: int, since: int | None = None, cut: int = 0) -> Behaviour:
    """The same for Tokyo Tyrant."""

    def behave(talk: Conversation) -> None:
        request = talk.request()
        assert isinstance(request, tyrant_server.Repl)
        assert since is None or request.since == since
        messages = b"".join(tyrant_message(change(n)) for n in numbers)
        sent = tyrant_server.pack_repl_reply(SERVER) + TYRANT_REST + messages
        talk.send(sent[: len(sent) - cut])

    return behave


def then(behaviour: Behaviour, *more: Callable[[Conversation], object]) -> Behaviour:
    """One after the other on the same connection."""

    def behave(talk: Conversation) -> None:
        behaviour(talk)
        for step in more:
            step(talk)

    return behave


def stay(talk: Conversation) -> None:
    """Say nothing more until the client hangs up."""
    talk.wait_for_end()


def recorded(server: str) -> list[tuple[str, bytes]]:
    """(sender, bytes) of the first connection in the recorded stream of this server."""
    found = []
    for line in (DATA / server / "stream.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["conn"] == 0 and "hex" in entry:
            found.append((entry["from"], bytes.fromhex(entry["hex"])))
    return found


def replay(server: str, step: int) -> Behaviour:
    """Send what the master in the recorded stream has sent, `step` bytes at a time."""

    def behave(talk: Conversation) -> None:
        talk.request()
        with suppress(HungUp, ConnectionError):  # the client has seen enough
            for sender, data in recorded(server)[1:]:
                if sender == "slave":
                    assert talk.read(len(data)) == data
                else:
                    for at in range(0, len(data), step):
                        talk.send(data[at : at + step])
            talk.wait_for_end()

    return behave


def logging_tycoon(start: StartTycoon, *databases: str, args: Sequence[str] = ()) -> EmbeddedServer:
    """Start a server with an update log in the folder ulog."""
    return start(*databases, args=["-ulog", "ulog", "-sid", "5", *args])


def logging_tyrant(
    start: StartTyrant, database: str, args: Sequence[str] = ()
) -> EmbeddedTokyoTyrantServer:
    """The same for Tokyo Tyrant."""
    Path("ulog").mkdir(exist_ok=True)
    return start(database, args=["-ulog", "ulog", "-sid", "5", *args])
