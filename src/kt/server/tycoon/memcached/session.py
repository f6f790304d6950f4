"""What serves a client of memcached on the first database of a kt-tycoon.

==============================================  ==================================================
command                                         answer
==============================================  ==================================================
set, add, replace, append, prepend              STORED, NOT_STORED
    KEY FLAGS EXPIRY SIZE [noreply], data
cas KEY FLAGS EXPIRY SIZE UNIQUE [noreply],     STORED, EXISTS, NOT_FOUND
    data
get KEY ...                                     VALUE KEY FLAGS SIZE, data, ... END
gets KEY ...                                    VALUE KEY FLAGS SIZE UNIQUE, data, ... END
delete KEY [TIME] [noreply]                     DELETED, NOT_FOUND
incr, decr KEY NUMBER [noreply]                 the number, NOT_FOUND; text that is no number
                                                counts as 0, and so does what would be below
touch KEY EXPIRY [noreply]                      TOUCHED, NOT_FOUND
stats                                           STAT NAME VALUE ... END
flush_all [DELAY] [noreply]                     OK: at once
version                                         VERSION KyotoTycoon/0.9.56b
quit                                            none: the end
==============================================  ==================================================

EXPIRY: below 1 never, up to 2^24 seconds from now, else since the epoch. append, prepend, incr and
decr keep it, and the flags. Anything else, an empty line too, is answered by ERROR; too few words
by CLIENT_ERROR, and what the client may not do, too; what fails by SERVER_ERROR. Data that does not
end where it should ends the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Final, NamedTuple, TypeVar

from kt.server.engines import EngineError, LargeValue
from kt.server.reading import ReadingSession
from kt.server.session import Rights
from kt.server.tycoon.answering import Answering
from kt.server.tycoon.large import LARGE_VALUE
from kt.server.tycoon.memcached import commands
from kt.server.tycoon.memcached.commands import Answer
from kt.server.tycoon.memcached.shared import ORIGINAL, Memcached
from kt.server.tycoon.rights import refusal
from kt.server.tycoon.values import integer
from kt.wire.magic import SIZE_MAX
from kt.wire.memcached import (
    ERROR,
    client_error,
    read_data_leniently,
    read_words,
    server_error,
)

T = TypeVar("T")

TOO_FEW: Final = client_error(b"invalid parameters")
BAD_DATA: Final = client_error(b"bad data chunk")
TOO_LARGE: Final = server_error(b"object too large for cache")
VERSION: Final = f"VERSION {ORIGINAL}\r\n".encode()
READ_ONLY: Final = b"server is read-only"
NOREPLY: Final = b"noreply"


class Storing(NamedTuple):
    """A command with data.

    Attributes:
        answer: does it.
        least: so many words it has at least.
    """

    answer: Callable[[Memcached, Sequence[bytes], bytes], Answer]
    least: int = 5


STORING: Final = {
    b"set": Storing(commands.store),
    b"add": Storing(commands.add),
    b"replace": Storing(commands.replace),
    b"append": Storing(commands.append),
    b"prepend": Storing(commands.prepend),
    b"cas": Storing(commands.cas, 6),
}


class Plain(NamedTuple):
    """A command without data.

    Attributes:
        answer: does it.
        least: so many words it has at least.
        counts: what the server's report counts it as.
        rights: what it needs.
        slow: it may take long.
    """

    answer: Callable[[Memcached, Sequence[bytes]], Answer]
    least: int
    counts: str
    rights: Rights = Rights.WRITE
    slow: bool = False


PLAIN: Final = {
    b"delete": Plain(commands.delete, 2, "remove"),
    b"incr": Plain(commands.incr, 3, "set"),
    b"decr": Plain(commands.decr, 3, "set"),
    b"touch": Plain(commands.touch, 3, "set"),
    b"flush_all": Plain(commands.flush_all, 1, "misc", slow=True),
    b"stats": Plain(commands.stats, 1, "misc", Rights.READ),
}

COUNTED_AS: Final = {b"flush_all": "flush"}
"""Names in ``stats``, where they are not those of the commands."""


def attempt(work: Callable[[], T]) -> T | Answer:
    """What `work` returns, or the answer that says why it has failed."""
    try:
        return work()
    except EngineError as error:
        why = str(error).encode("utf-8", "surrogateescape")
        return Answer((server_error(why),), misses=1, failure=why)


class MemcachedSession(Answering, ReadingSession):
    """See the module's docstring."""

    takes_away = False
    """Whether ``get`` removes what it answers."""

    def __init__(self, shared: Memcached) -> None:
        super().__init__(shared.service)
        self.shared = shared
        shared.connections += 1

    def step(self, data: bytes | bytearray, pos: int) -> int:
        if self.half_read is not None:
            return self.read_now(*self.half_read, data, pos)
        return self.read_now(read_words, self._serve_line, data, pos)

    def lost(self) -> Callable[[], object] | None:
        self.shared.connections -= 1
        return super().lost()

    def misread(self) -> None:
        self.write(client_error(b"line too long"))
        self.close()

    def failed(self) -> None:
        self.write(server_error(b"logic error"))

    # What a line says

    def _serve_line(self, words: list[bytes]) -> None:
        self.began = perf_counter()
        name = words[0] if words else b""
        if name in STORING:
            self._begin_storing(words, STORING[name])
        elif name in (b"get", b"gets"):
            needed = Rights.READ | Rights.WRITE if self.takes_away else Rights.READ
            self.command = name.decode()
            if self._may(needed, quiet=False):
                self.get(words)
        elif name in PLAIN:
            self._serve_plain(words, PLAIN[name])
        elif name == b"version":
            self.write(VERSION)
        elif name == b"quit":
            self.close()
        else:
            self.write(ERROR)

    def _may(self, needed: Rights, *, quiet: bool) -> bool:
        """Whether the client may do that now; it is told if not."""
        refused = refusal(needed, self.rights)
        if refused is not None:
            reply = client_error(refused)
        elif needed & Rights.WRITE and self.shared.options.read_only:
            reply = server_error(READ_ONLY)
        elif self.service.shut:
            reply = server_error(self.service.shut.encode())
        else:
            return True
        self.reply(Answer((reply,)), quiet=quiet)
        return False

    def _begin_storing(self, words: list[bytes], storing: Storing) -> None:
        if len(words) < storing.least:
            self.write(TOO_FEW)
            return
        size = integer(words[4])
        if not 0 <= size <= SIZE_MAX:
            self.write(BAD_DATA if size < 0 else TOO_LARGE)
            self.close()
            return
        self.read(partial(read_data_leniently, size), partial(self._have_data, words, storing))

    def _have_data(self, words: list[bytes], storing: Storing, data: bytes | None) -> None:
        self.command = words[0].decode()
        quiet = NOREPLY in words[storing.least :]
        if data is None:
            self.write(BAD_DATA)
            self.close()
        elif self._may(Rights.WRITE, quiet=quiet):
            self.run(
                partial(self.storing(storing), self.shared, words, data),
                lambda answer: self._stored(words, answer, quiet=quiet),
                slow=len(data) > LARGE_VALUE,
            )

    def storing(self, storing: Storing) -> Callable[[Memcached, Sequence[bytes], bytes], Answer]:
        """What does a command with data."""
        return storing.answer

    def _stored(self, words: list[bytes], answer: Answer, *, quiet: bool) -> None:
        if answer.hits:
            self.stored(words)
        self.finish("set", "set", answer, quiet=quiet)

    def stored(self, words: list[bytes]) -> None:
        """Something has been stored."""

    def _serve_plain(self, words: list[bytes], plain: Plain) -> None:
        if len(words) < plain.least:
            self.write(TOO_FEW)
            return
        self.command = words[0].decode()
        quiet = NOREPLY in words[plain.least :]
        if self._may(plain.rights, quiet=quiet):
            self.serve_plain(words, plain, quiet=quiet)

    def serve_plain(self, words: list[bytes], plain: Plain, *, quiet: bool) -> None:
        """Do a command without data."""
        name = COUNTED_AS.get(words[0], self.command)
        finish = partial(self.finish, name, plain.counts, quiet=quiet)
        self.run(partial(plain.answer, self.shared, words), finish, slow=plain.slow)

    def get(self, words: list[bytes]) -> None:
        """Answer ``get`` or ``gets``."""
        self.run(
            partial(commands.get, self.shared, words, LARGE_VALUE),
            partial(self.finish, "get", "get"),
            later=partial(commands.get, self.shared, words, commands.NO_LIMIT),
        )

    # How it is done

    def run(
        self,
        work: Callable[[], T],
        then: Callable[[Any], None],
        *,
        later: Callable[[], T] | None = None,
        slow: bool = False,
    ) -> None:
        """Call `then` with what `work` returns, or with the `Answer` that says why it failed.

        Args:
            work: calls the engine.
            then: likewise.
            later: what is done instead in a worker thread; None for the same.
            slow: it may take long.
        """
        with self.service.turn:
            result = None if slow or self.service.engine_may_block else _at_once(work)
        if result is None:
            self.in_thread(partial(attempt, later or work), then)
        else:
            then(result[0])

    def finish(self, name: str, counts: str, answer: Answer, *, quiet: bool = False) -> None:
        """Count and reply.

        Args:
            name: what it counts as in ``stats``.
            counts: what it counts as in the server's report.
            answer: what came of it.
            quiet: the client wants no reply.
        """
        service = self.service
        self.shared.count(name, answer.hits, answer.misses)
        service.counts[counts] += answer.hits + answer.misses
        if f"{counts}_misses" in service.counts:
            service.counts[f"{counts}_misses"] += answer.misses
        if answer.failure:
            service.failed(self.command.encode(), answer.failure)
        self.reply(answer, quiet=quiet)

    def reply(self, answer: Answer, *, quiet: bool) -> None:
        """Answer, and log it where requests are logged."""
        service = self.service
        for piece in () if quiet else answer.reply:
            self.write(piece)
        service.answered(f"memcached_{self.command}", perf_counter() - self.began)
        if service.log.info_wanted:
            self.log_request(f"memcached {self.command}", not answer.failure)


def _at_once(work: Callable[[], T]) -> tuple[T | Answer] | None:
    """What `attempt` returns; None if it is for a worker thread."""
    try:
        return (attempt(work),)
    except LargeValue:
        return None
