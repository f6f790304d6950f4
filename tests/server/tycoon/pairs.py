"""Servers of Kyoto Tycoon that follow each other, ours or the originals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from kt import KT_NONE, KTError, KyotoTycoon

from ..processes import HOST, SECONDS, ServerProcess
from ..update_logs import Change, changes, original

DATABASES = ("*", "%", "a.kct", "b.kch", "%#ktopts=p")
BUNDLED = "kt-tycoon"
Contents = dict[bytes, tuple[bytes, object]]


def program(name: str) -> str:
    """What to run for the name of a program; skips the test where it is not there."""
    return name if name == BUNDLED else original(name)


def server(
    name: str,
    number: int,
    directory: Path,
    *args: str,
    databases: Sequence[str] = DATABASES,
    port: int | None = None,
    logged: bool = True,
) -> ServerProcess:
    """A server with an update log, unless it is to do without, in a directory of its own."""
    directory.mkdir(exist_ok=True)
    log = ("-ls", "-sid", str(number), *(("-ulog", "log") if logged else ()))
    return ServerProcess(
        program(name), *log, *args, databases=databases, directory=directory, port=port
    )


def following(master: ServerProcess) -> tuple[str, ...]:
    """The arguments by which a server follows this one."""
    return ("-mhost", HOST, "-mport", str(master.port), "-rts", "rts")


def client(process: ServerProcess) -> KyotoTycoon:
    return KyotoTycoon(HOST, process.port, serializer=KT_NONE, decode_keys=False)


def contents(kt: KyotoTycoon, databases: int = len(DATABASES)) -> list[Contents]:
    """Every record with its expiry, for each database."""
    found: list[Contents] = []
    for number in range(databases):
        keys = kt.match_prefix(b"", db=number)
        records = kt.get_bulk_details([(number, key) for key in keys])
        found.append({record.key: (record.value, record.expires) for record in records})
    return found


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so; `what` it is."""
    deadline = monotonic() + SECONDS
    while not condition():
        assert monotonic() < deadline, f"it does not come to pass: {what}"
        sleep(0.01)


def wait_until_equal(one: ServerProcess, other: ServerProcess, databases: int = 5) -> None:
    """Wait until a slave, or its slave, has come as far as the master, and has the same contents.

    A slave that goes on behind an older stamp may have them for a moment before, by chance.
    """
    with client(one) as first, client(other) as second:

        def is_equal() -> bool:
            newest = first.ulog_list()[-1].timestamp
            follows = int(facts(other).get("repl_timestamp", 0)) >= newest
            return follows and contents(first, databases) == contents(second, databases)

        wait_until(is_equal, "equal contents")


def log_of(process: ServerProcess) -> list[Change]:
    """All that is in the update log of a server."""
    return changes(process.directory / "log")


def facts(process: ServerProcess) -> dict[str, int | float | str]:
    """What its report says of the replication."""
    with client(process) as kt:
        return {name: fact for name, fact in kt.report().items() if name.startswith("repl_")}


@contextmanager
def acknowledging_nothing(master: ServerProcess) -> Iterator[None]:
    """It stands still meanwhile; what it has been told to write then fails when it goes on."""
    with client(master) as kt:
        kt.get(b"1")  # connected
        answers: list[object] = []

        def write() -> None:
            try:
                answers.append(kt.set(b"late", b"1"))
            except KTError:
                answers.append(None)

        late = threading.Thread(target=write)
        with master.standing_still():
            late.start()
            yield
        late.join()
        assert answers == [None]


def wait_for_trouble(process: ServerProcess, words: str) -> None:
    """Wait until the report and the log say this of the replication."""
    wait_until(lambda: words in str(facts(process).get("repl_error")), words)
    process.wait_for_output(words)
