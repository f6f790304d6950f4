"""The agent beside a server: looks at etcd and at the server, several times a second, and acts.

::

    there is a master, us        renew the server's lease, for less long than etcd's lasts; say
                                 which slaves count for its -ack, to etcd first
    there is one, another        let the server follow it: go on where it is, or with a copy
    there is none                let the server follow nobody, and say how much it has (`Ballot`);
                                 who has most takes the master's key, is promoted, and tells the
                                 others where to go on; so does who is `forced`

An agent has one lease in etcd, with its key as a member and, if it is that, the master's. It keeps
the lease only while its server answers. So when the master's key is gone, the lease that its server
had is over: nothing is acknowledged any more by it, and what was is at its slaves (`rules`).

Whatever goes wrong here (etcd away, the agent killed or stopped) ends a lease and nothing else.
What the agent remembers of its server (`_sure`) is of one run of both; after that, etcd says up to
which epoch the server had everything, or it gets a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event
from time import monotonic
from typing import Final

from kt.errors import KTError
from kt.failover.rules import Copy, counted, may_leave, way_on, winner, with_place
from kt.failover.server import SECOND, Facts, Look, Server
from kt.failover.service import (
    STATE,
    WHOLE,
    Ballot,
    Forced,
    Member,
    State,
    View,
    decode,
    master_text,
    member_text,
)
from kt.net.etcd import Etcd
from kt.net.group.directory import MASTER, MEMBERS, prefix_of

TICKS: Final = 8
"""So many times it looks while a lease lasts."""
HASTE: Final = 4
"""So many times as often while clients wait."""
SAFE: Final = 0.75
"""Part of etcd's lease that the server's lasts: clocks may run differently."""


Followed = tuple[int, tuple[str, int], str]
"""Epoch and address of a master, and the run of the server."""


class Refusal(KTError):
    """Something that somebody has to decide."""


class Agent:
    """See the module's docstring. For one thread.

    Args:
        etcd: where the service is known.
        service: its name.
        name: our own in it.
        server: the one beside us.
        address: where others reach it.
        ttl: seconds that leases of etcd last.
        first: if nobody has ever been the master, be it.
        overwrite: a new member gets a copy, whatever records its server has.
        say: tells the log.
    """

    def __init__(
        self,
        etcd: Etcd,
        service: str,
        name: str,
        server: Server,
        address: tuple[str, int],
        *,
        ttl: int,
        first: bool,
        overwrite: bool,
        say: Callable[[str], None],
    ) -> None:
        self._etcd, self._prefix, self._name = etcd, prefix_of(service), name
        self._server, self._address = server, address
        self._ttl, self._first, self._overwrite = ttl, first, overwrite
        self._say = say
        self._said = ""
        self._lease = 0
        self._run = ""  # of the server
        self._intact = True  # the server has not lost what it has acknowledged
        self._sure: int | None = None  # epoch of the master of which this run of it had everything
        self._places: tuple[tuple[int, int], ...] = ()
        self._vacant = 0.0  # since when there is no master; 0: there is one
        self._seen: dict[str, float] = {}  # when each slave was seen to follow
        self._counted: dict[str, int] | None = None  # the slaves that count, as the server knows
        self._followed: Followed | None = None  # whom the server was told to follow
        self._ack = 0  # so many slaves have to count, if we are the master
        self._is_member = False  # our key ends with our lease

    # What is done again and again

    def tick(self) -> None:
        """Look, and act.

        Raises:
            KTError: something does not answer. What is not done now is done by one of the next.
            ValueError, TypeError, KeyError: etcd has keys of somebody else there.
        """
        look = self._server.look()
        self._notice_run(look)
        if not self._lease or not self._etcd.keep(self._lease):
            self._lease = self._etcd.grant(self._ttl)
            self._is_member = False
        view = decode(self._etcd.read(self._prefix))
        facts = self._server.facts()
        if view.master is None:
            self._vacant = self._vacant or monotonic()
            self._without_master(view, look, facts)
            return
        self._vacant = 0.0
        self._be_member(view, facts, None)
        if view.master == self._name:
            self._reign(view, look, facts)
        else:
            self._obey(view, look, facts)

    def run(self, ended: Event) -> None:
        """Do it until `ended` is set."""
        while not ended.wait(self._ttl / TICKS / (HASTE if self._hurried else 1)):
            try:
                self.tick()
            except KTError as error:
                self._tell(str(error))
            except (ValueError, TypeError, KeyError) as error:
                self._tell(f"etcd has something else under {self._prefix}: {error!r}")

    @property
    def _hurried(self) -> bool:
        """Whether clients wait for a master."""
        return bool(self._vacant) or (self._counted is not None and len(self._counted) < self._ack)

    def stop(self) -> None:
        """End: if ours is the master, another one can be at once."""
        self._server.take_no_writes()
        if self._lease:
            self._etcd.revoke(self._lease)

    def _notice_run(self, look: Look) -> None:
        if look.run != self._run:
            self._intact = look.durable or not self._run
            self._run, self._sure, self._places, self._counted = look.run, None, (), None

    def _tell(self, text: str) -> None:
        """Say it, if it is something new."""
        if text != self._said:
            self._say(text)
        self._said = text

    def _write(self, view: View, seen: tuple[str, ...], puts: dict[str, tuple[str, int]]) -> bool:
        """Put keys, if others are as they were in the view."""
        return self._etcd.write(
            {self._prefix + name: view.revision(name) for name in seen},
            {self._prefix + name: put for name, put in puts.items()},
        )

    def _be_member(self, view: View, facts: Facts, ballot: Ballot | None) -> Member:
        member = Member(*self._address, facts.sid, ballot)
        if view.members.get(self._name) != member or not self._is_member:
            self._write(view, (), {MEMBERS + self._name: (member_text(member), self._lease)})
            self._is_member = True
        return member

    # There is no master

    def _without_master(self, view: View, look: Look, facts: Facts) -> None:
        if facts.master is not None:
            self._server.follow_nobody()
        look = self._server.take_no_writes()  # also says where it has stopped
        state = view.state
        if state is None:
            self._be_member(view, facts, None)
            self._found(view, look, facts)
            return
        is_last = state.master == self._name
        voted = view.members[self._name].ballot if self._name in view.members else None
        ballot = Ballot(view.revision(STATE), look.ts, self._sure == state.epoch)
        member = self._be_member(view, facts, None if is_last else ballot)
        if view.forced == Forced(self._name, view.revision(STATE)):
            # Who knows what the others have: no places, so each of them gets a copy.
            epoch = max(state.epoch, facts.epoch) + 1
            self._become(view, State(epoch, self._name, facts.ack, floor=look.log), member)
            return
        if not is_last:
            if voted == ballot and winner(view) == self._name:
                self._take(view, member, look, facts)
            return
        if monotonic() - self._vacant > self._ttl and self._may_go_on(view, state):
            self._become(view, state, member)  # nobody else can

    def _may_go_on(self, view: View, state: State) -> bool:
        """Whether what was the master may be it again."""
        return self._intact or not any(
            name != self._name and view.whole.get(name) == state.epoch for name in view.members
        )

    def _found(self, view: View, look: Look, facts: Facts) -> None:
        """Begin a service."""
        if not self._first:
            self._tell("there has never been a master: start the agent of one with --first")
            return
        state = State(max(facts.epoch, 0) + 1, self._name, facts.ack, floor=look.log)
        self._become(view, state, Member(*self._address, facts.sid))

    def _take(self, view: View, member: Member, look: Look, facts: Facts) -> None:
        """We have most: be the next master."""
        assert view.state is not None
        places = self._places
        if look.ts_log:
            places = with_place(places, look.ts, look.ts_log)
        epoch = max(view.state.epoch, facts.epoch) + 1
        self._become(
            view,
            State(epoch, self._name, facts.ack, {}, look.ts, places, look.log),
            member,
        )

    def _become(self, view: View, state: State, member: Member) -> None:
        puts = {
            MASTER: (master_text(self._name, member, state.epoch), self._lease),
            STATE: (state.text(), 0),
            WHOLE + self._name: (str(state.epoch), 0),
        }
        if self._write(view, (MASTER, STATE), puts):
            if view.state is None or state.epoch > view.state.epoch:
                self._intact = True  # what it has is what the master has
            self._say(f"the server is the master of epoch {state.epoch} from now on")
            self._seen.clear()
            self.tick()

    # We are the master

    def _reign(self, view: View, look: Look, facts: Facts) -> None:
        state = view.state
        assert state is not None
        if view.lease != self._lease:  # of an agent before us
            member = Member(*self._address, facts.sid)
            text = master_text(self._name, member, state.epoch)
            self._write(view, (MASTER, STATE), {MASTER: (text, self._lease)})
            return
        if not self._may_go_on(view, state):
            self._say(
                "the server was started anew, without -durable: another one is to be the master"
            )
            self._server.take_no_writes()
            self._etcd.revoke(self._lease)
            return
        if facts.epoch < state.epoch or facts.master is not None:
            self._server.promote(max(state.epoch, facts.epoch + (facts.master is not None)))
        self._sure = None
        self._ack = state.ack
        count = self._look_at_slaves(view, state, facts) if state.ack else {}
        until = look.clock + int(self._ttl * SAFE * SECOND)
        self._server.take_writes(until, count)
        self._counted = count
        self._tell("the server is the master")

    def _look_at_slaves(self, view: View, state: State, facts: Facts) -> dict[str, int]:
        """Which slaves count; etcd hears of a further one before, and of one less afterwards."""
        now = monotonic()
        for name, sid in state.sync.items():
            if (sid in facts.slaves and name in view.members) or name not in self._seen:
                self._seen[name] = now
        lost = [name for name in state.sync if now - self._seen[name] > self._ttl]
        count = counted(state, lost)
        more = {
            name: member.sid
            for name, member in view.members.items()
            if name not in (*state.sync, self._name)
            and view.whole.get(name) == state.epoch
            and facts.slaves.get(member.sid, 0) >= state.floor
        }
        if more:
            changed = replace(state, sync={**state.sync, **more})
        elif count != state.sync and may_leave(state, count, facts.slaves, facts.acked):
            # The report is of later than when we have let only these count: see `tick`.
            changed = replace(state, sync=count) if self._counted == count else state
        else:
            changed = state
        if changed is not state and self._write(
            view, (MASTER, STATE), {STATE: (changed.text(), 0)}
        ):
            self._say(f"slaves that have what is acknowledged: {', '.join(changed.sync) or 'none'}")
            count = counted(changed, lost)
        return count

    # There is another master

    def _obey(self, view: View, look: Look, facts: Facts) -> None:
        state = view.state
        assert state is not None
        self._ack = 0
        wanted = state.epoch, view.address, self._run
        if self._followed is None and facts.epoch == state.epoch:
            self._followed = wanted  # if it follows that one, an agent before us has said so
        if facts.master == view.address and self._followed == wanted:
            self._watch(view, state, look, facts)
            return
        if facts.master is not None:
            self._server.follow_nobody()
        look = self._server.take_no_writes()
        way = way_on(state, view.whole.get(self._name), self._sure, look.ts)
        if isinstance(way, Copy):
            self._allow_copy(view, facts)
            self._say(f"the server gets a copy of {view.master}, the master of epoch {state.epoch}")
            self._server.copy(view.address)
        else:
            self._say(f"the server follows {view.master}, the master of epoch {state.epoch}")
            self._server.follow(view.address, way.ts)
        self._places = ()
        self._sure = self._sure if self._sure == state.epoch else None
        self._followed = wanted

    def _allow_copy(self, view: View, facts: Facts) -> None:
        """See to it that no records are replaced that nobody knows of.

        Raises:
            Refusal: there are such.
        """
        if self._name in view.whole:
            return
        if facts.records and not self._overwrite:
            raise Refusal(
                "the server is new here and has records, which a copy of the master's would"
                " replace: start the agent with --overwrite, or the server with an empty database"
            )
        self._write(view, (), {WHOLE + self._name: ("0", 0)})

    def _watch(self, view: View, state: State, look: Look, facts: Facts) -> None:
        """It follows the master."""
        if not facts.follows or facts.ts < state.floor:
            self._tell(f"the server does not follow yet: {facts.error}" if facts.error else "")
            return
        self._sure, self._intact = state.epoch, True
        if view.whole.get(self._name) != state.epoch:
            self._write(view, (), {WHOLE + self._name: (str(state.epoch), 0)})
        if look.ts_log and (not self._places or look.ts > self._places[0][0]):
            self._places = with_place(self._places, look.ts, look.ts_log)
        self._tell(f"the server has what {view.master} has")
