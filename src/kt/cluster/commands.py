"""What the mapping asks of the engine, as values, and how it goes on with the replies.

An operation is a generator. It yields commands that may be carried out at the same time, gets their
replies in their order, and returns its result::

    def seize(...):                                          driver
        [raw] = yield [Command(...)]     commands ->  sends each to the node that owns its slot
                                         <- replies   follows redirections, tries again
        return ...

So the mapping needs no socket, and drives whoever wants to: `kt.cluster.engine`, or a test.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from kt.errors import KTError, ServerTimeoutError
from kt.wire.resp_error import RespError

T = TypeVar("T")

EVERY: Final = -1
"""In place of a slot: every master; the reply is a list of (node, reply)."""

NOWHERE: Final = -2
"""In place of a slot: the command names its node."""

FRESH: Final = -3
"""As `EVERY`, once all masters that are known have been asked who else there is."""


class Script:
    """A script of ours, which nodes know by its hash once they have been told of it."""

    def __init__(self, name: str) -> None:
        self.source = (Path(__file__).parent / "scripts" / f"{name}.lua").read_bytes()
        self.hash = sha1(self.source, usedforsecurity=False).hexdigest().encode()


@cache
def script(name: str) -> Script:
    """The script of this name, read once."""
    return Script(name)


class Command(NamedTuple):
    """A command of the engine.

    Attributes:
        words: the command itself.
        slot: of its keys; or `EVERY`, `FRESH` or `NOWHERE`.
        reads: whether it changes nothing, so that it does no harm to carry it out twice, and no
            replica has to confirm it.
        node: the address that it is for, with `NOWHERE`.
        script: what it calls, if it is EVALSHA.
    """

    words: list[bytes]
    slot: int
    reads: bool = False
    node: str = ""
    script: Script | None = None


Steps: TypeAlias = Generator[list[Any], list[Any], T]
"""An operation. What it yields is of its engine: `Command`, or `kt.cluster.postgres` has others."""


class Batch(list[Any]):
    """Commands for another database than the first.

    Attributes:
        home: its index.
    """

    home = 0


def at_home(home: int, steps: Steps[T]) -> Steps[T]:
    """The same operation in the database of this index."""
    if home == 0:
        return (yield from steps)
    try:
        commands = next(steps)
        while True:
            batch = Batch(commands)
            batch.home = home
            try:
                replies = yield batch
            except BaseException as error:  # noqa: BLE001 - it is the operation's
                commands = steps.throw(error)
            else:
                commands = steps.send(replies)
    except StopIteration as stop:
        result: T = stop.value
        return result


def record_of(command: Command) -> bytes:
    """The name of the record that it is for, if it is for one."""
    return command.words[1 if command.script is None else 3]


class Left:
    """In place of a reply: the command was not carried out, or only reads; it is to be now."""


LEFT: Final = Left()


def with_known(commands: list[Command], known: Sequence[Any]) -> tuple[list[Command], list[int]]:
    """The commands whose replies are `LEFT`, for the same database, and their places."""
    places = [place for place, reply in enumerate(known) if reply is LEFT]
    rest = Batch(commands[place] for place in places)
    rest.home = commands.home if isinstance(commands, Batch) else 0
    return rest, places


def put_in_order(rounds: Sequence[list[Command]], known: Sequence[list[Any]]) -> None:
    """Change what is known of commands so that what is left can be carried out in its place.

    A read that came behind a write of its record that is left is left, too. What is left before a
    write that may have been carried out cannot be any more.
    """
    written: set[tuple[int, bytes]] = set()
    left: set[tuple[int, bytes]] = set()
    places = [
        (commands.home if isinstance(commands, Batch) else 0, command, replies, at)
        for commands, replies in zip(rounds, known, strict=True)
        for at, command in enumerate(commands)
    ]
    for home, command, replies, at in reversed(places):
        record = home, record_of(command)
        if replies[at] is LEFT:
            if record in written:
                what = command.words[0].decode()
                replies[at] = ServerTimeoutError(f"{what} was not served before a later write")
        elif not command.reads:
            written.add(record)
    for home, command, replies, at in places:
        record = home, record_of(command)
        if command.reads and record in left:
            replies[at] = LEFT
        elif not command.reads and replies[at] is LEFT:
            left.add(record)


def call(found: Script, names: list[bytes], slot: int, *arguments: bytes) -> Command:
    """A call of a script."""
    words = [b"EVALSHA", found.hash, b"%d" % len(names), *names, *arguments]
    return Command(words, slot, script=found)


class Failure(KTError):
    """The operation failed, and the client is told so.

    Attributes:
        status: the HTTP status to answer: 450 the record is not as it is needed, 500 the engine
            refuses, 501 there is no such thing in a cluster.
        text: why, as Kyoto Tycoon words it.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def no_record() -> Failure:
    return Failure(450, "DB: 7: no record: no record")


def duplicate() -> Failure:
    return Failure(450, "DB: 6: record duplication: record duplication")


def illogical(what: str = "logical inconsistency") -> Failure:
    return Failure(450, f"DB: 8: logical inconsistency: {what}")


def not_here(what: str) -> Failure:
    return Failure(501, f"not implemented in a cluster: {what}")


def good(reply: Any) -> Any:
    """The reply, unless it says that the engine refuses the command. Raises `Failure`."""
    if isinstance(reply, RespError):
        raise Failure(500, f"DB: 9: system error: {reply}")
    return reply
