"""The server beside an agent, by its RPC."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ProtocolError

_SLAVE: Final = re.compile(r"slave_\d+")
SECOND: Final = 10**9


class Look(NamedTuple):
    """What the server says of itself, in `lease`.

    Attributes:
        clock: its clock, in nanoseconds.
        run: of this run of it, and no other one.
        durable: a kill takes nothing of what it has acknowledged.
        ts: up to this stamp of the last master's log it has everything.
        ts_log: what its own log had then; 0: not known.
        log: what its own log has.
    """

    clock: int
    run: str
    durable: bool
    ts: int
    ts_log: int
    log: int


class Facts(NamedTuple):
    """What the report says.

    Attributes:
        sid: its number.
        epoch: the latest one that it knows.
        ack: of ``-ack``; 0 without.
        acked: up to this stamp of its log writes may have been acknowledged.
        master: whom it follows; None: nobody.
        follows: it does so at the moment, and applies no copy.
        ts: up to where, in that master's log.
        error: why it does not.
        slaves: by the numbers of those who follow it: what each has confirmed to have.
        records: in all of its databases.
    """

    sid: int
    epoch: int
    ack: int
    acked: int
    master: tuple[str, int] | None
    follows: bool
    ts: int
    error: str
    slaves: Mapping[int, int]
    records: int


class Server:
    """Speaks with the server; every method may raise any KTError.

    Args:
        url: of the server.
        seconds: that it has for each answer.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._client = KyotoTycoon.from_url(url, timeout=seconds)
        self.place = self._client.host, self._client.port

    def look(self) -> Look:
        """Ask where it is."""
        return self._lease({})

    def take_writes(self, until: int, count: Mapping[str, int]) -> Look:
        """Let it take writes until a time of its clock; these slaves count for its ``-ack``."""
        numbers = ",".join(map(str, sorted(count.values())))
        return self._lease({"count": numbers, "end": str(until)})

    def take_no_writes(self) -> Look:
        """Let it take none from now on."""
        return self._lease({"end": "0"})

    def _lease(self, columns: dict[str, str]) -> Look:
        found = self._client.rpc("lease", columns)
        try:
            return Look(
                int(found["clock"]),
                found["run"].decode(),
                found["durable"] != b"none",
                int(found["ts"]),
                int(found["ts_log"]),
                int(found["log"]),
            )
        except KeyError as error:
            raise ProtocolError(
                f"the server does not say {error}: it needs -lease, -ulog, -sid and -rts"
            ) from None

    def facts(self) -> Facts:
        """Ask for its report."""
        report = self._client.report()
        host = str(report.get("repl_master_host", ""))
        return Facts(
            int(report.get("serv_sid", 0)),
            int(report.get("repl_epoch", 0)),
            int(report.get("ack", 0)),
            int(report.get("ack_stamp", 0)),
            (host, int(report.get("repl_master_port", 0))) if host else None,
            report.get("repl_state") == "following",
            int(report.get("repl_timestamp", 0)),
            str(report.get("repl_error", "")),
            dict(_slaves(report)),
            int(report["db_total_count"]),
        )

    def follow(self, master: tuple[str, int], ts: int | None) -> None:
        """Follow this one, behind a stamp of its log; None: where it is."""
        self._client.tune_replication(*master, ts=ts, read_only=True)

    def copy(self, master: tuple[str, int]) -> None:
        """Begin with a full copy, whatever there is."""
        columns = {"host": master[0], "port": str(master[1]), "ro": "1", "copy": "1"}
        self._client.rpc("tune_replication", columns)

    def follow_nobody(self) -> None:
        """Stay where it is."""
        self._client.tune_replication()

    def promote(self, epoch: int) -> None:
        """Be the master of this epoch."""
        self._client.rpc("promote", {"epoch": str(epoch)})

    def close(self) -> None:
        """End the connection."""
        self._client.close()


def _slaves(report: Mapping[str, int | float | str]) -> list[tuple[int, int]]:
    """Number and confirmed stamp of those who follow it, the latter ones last."""
    found = []
    for name, text in report.items():
        words = dict(word.partition("=")[::2] for word in str(text).split())
        if _SLAVE.fullmatch(name) and words.get("state") == "following":
            found.append((int(words["sid"]), int(words["ts"])))
    return sorted(found)
