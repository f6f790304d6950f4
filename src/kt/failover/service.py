"""What etcd has of a service: keys and their values, which are JSON.

::

    kt/SERVICE/master          Member and its epoch; ends with the lease of the master's agent
    kt/SERVICE/members/NAME    Member; ends with the lease of its agent
    kt/SERVICE/whole/NAME      the epoch up to which that server has had everything, at some time
    kt/SERVICE/state           State; stays
    kt/SERVICE/forced          Forced; for a moment, when somebody decides who is to be the master

Everything is read at one moment (`View`), and written on condition that what it depends on is still
as it was read. Only who has the key of the master, or takes it, writes the state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from kt.net.etcd import Entry
from kt.net.group.directory import MASTER, MEMBERS

STATE: Final = "state"
WHOLE: Final = "whole/"
FORCED: Final = "forced"


@dataclass(frozen=True)
class Ballot:
    """What an agent says of its server while there is no master.

    Attributes:
        state: the revision of the state that it has seen: it is of no use with any other one.
        ts: up to this stamp of the last master's log its server has everything, and follows nobody.
        sure: that is so since this run of the server has followed; else it may have more.
    """

    state: int
    ts: int
    sure: bool


@dataclass(frozen=True)
class Member:
    """A server that is looked after.

    Attributes:
        host, port: where clients and other servers reach it.
        sid: its number.
        ballot: what it says while there is no master.
    """

    host: str
    port: int
    sid: int
    ballot: Ballot | None = None


@dataclass(frozen=True)
class State:
    """What has to be known of the last master, whether it lives or not.

    Attributes:
        epoch: of the master.
        master: name of its agent.
        ack: so many slaves have what it has acknowledged (``-ack``); 0: it does not ask them.
        sync: which slaves may be among these, and their numbers.
        upto: up to this stamp of the former master's log it had everything when it was promoted.
        places: pairs of stamps, the newest ones first: of the former master's log, and of its own.
            What came later there has come later here. Who has all that the first one says goes on
            here behind the second one.
        floor: a stamp of its own log: what it has written as the master is newer.
    """

    epoch: int
    master: str
    ack: int
    sync: dict[str, int] = field(default_factory=dict)
    upto: int = 0
    places: tuple[tuple[int, int], ...] = ()
    floor: int = 0

    def text(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Forced:
    """Who is to be the master because somebody says so.

    Attributes:
        name: of the agent.
        state: the revision of the state that was seen then: it means nothing with any other one.
    """

    name: str
    state: int


@dataclass(frozen=True)
class View:
    """All of it, at one moment.

    Attributes:
        revisions: of the last change of each key.
        master: name of the master's agent; None: there is none.
        lease: of the master's key.
        address: host and port of the master.
        members: by the names of their agents.
        whole: see the module's docstring.
        state: None: nobody has ever been the master.
        forced: None: nobody has decided anything.
    """

    revisions: Mapping[str, int]
    master: str | None
    lease: int
    address: tuple[str, int]
    members: Mapping[str, Member]
    whole: Mapping[str, int]
    state: State | None
    forced: Forced | None = None

    def revision(self, key: str) -> int:
        """Of the last change of a key; 0: it is not there."""
        return self.revisions.get(key, 0)


def decode(entries: Mapping[str, Entry]) -> View:
    """What the keys of a service say.

    Raises:
        ValueError, TypeError, KeyError: something else has been written there.
    """
    fields: dict[str, Any] = {name: json.loads(entry.value) for name, entry in entries.items()}
    master = fields.get(MASTER)
    state, forced = fields.get(STATE), fields.get(FORCED)
    if state is not None:
        state["places"] = tuple(map(tuple, state["places"]))
    return View(
        {name: entry.revision for name, entry in entries.items()},
        None if master is None else master["name"],
        0 if master is None else entries[MASTER].lease,
        ("", 0) if master is None else (master["host"], master["port"]),
        {
            name.removeprefix(MEMBERS): _member(one)
            for name, one in fields.items()
            if name.startswith(MEMBERS)
        },
        {name.removeprefix(WHOLE): one for name, one in fields.items() if name.startswith(WHOLE)},
        None if state is None else State(**state),
        None if forced is None else Forced(**forced),
    )


def _member(fields: dict[str, Any]) -> Member:
    ballot = fields.pop("ballot")
    return Member(**fields, ballot=None if ballot is None else Ballot(**ballot))


def member_text(member: Member) -> str:
    """As it is stored."""
    return json.dumps(asdict(member))


def master_text(name: str, member: Member, epoch: int) -> str:
    """As it is stored."""
    fields = {"name": name, "host": member.host, "port": member.port, "epoch": epoch}
    return json.dumps(fields)


def forced_text(forced: Forced) -> str:
    """As it is stored."""
    return json.dumps(asdict(forced))
