"""``python -m kt.failover --force``: somebody decides who the master is, where the rules cannot.

With ``-ack`` there is no next master as long as those that are left may lack what was acknowledged
(`kt.failover.rules`). Who says that one of them is to be it nevertheless writes that to etcd, for
that one's agent, which does it if there is still no master. So also then there are never two; but
what only others have is lost: they get a full copy of this one.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

from kt.errors import KTError
from kt.failover.agent import Refusal
from kt.failover.rules import undecided, winner
from kt.failover.service import FORCED, STATE, Forced, View, decode, forced_text
from kt.net.etcd import Etcd
from kt.net.group.directory import MASTER, MEMBERS, prefix_of

LASTS: Final = 2
"""The agent has as many times the seconds of a lease."""
LOOKS: Final = 0.1
"""Seconds between two looks whether it has done it."""


def force(etcd: Etcd, service: str, name: str, ttl: int, say: Callable[[str], None]) -> None:
    """Let one be the master, and wait until it is.

    Args:
        etcd: where the service is known.
        service: its name.
        name: who is to be the master.
        ttl: seconds that leases last.
        say: is told how it goes.

    Raises:
        Refusal: there is another way, or this one is none.
        KTError: something does not answer.
    """
    prefix = prefix_of(service)
    view = decode(etcd.read(prefix))
    refuse_needless(view, name)
    seen = {prefix + key: view.revision(key) for key in (STATE, MASTER, MEMBERS + name)}
    text = forced_text(Forced(name, view.revision(STATE)))
    if not etcd.write(seen, {prefix + FORCED: (text, etcd.grant(LASTS * ttl))}):
        raise Refusal("something has changed meanwhile: try again")
    say(f"{name} is told to be the master")
    end = monotonic() + LASTS * ttl
    while (view := decode(etcd.read(prefix))).master is None:
        if monotonic() > end:
            raise KTError(f"{name} has not become the master: its agent says why")
        sleep(LOOKS)
    if view.master != name:
        raise KTError(f"{view.master} has become the master")
    say(f"{name} is the master; who else comes back gets a full copy of it")


def refuse_needless(view: View, name: str) -> None:
    """Raise Refusal unless this one can be the master, and nobody can without being forced."""
    state = view.state
    if state is None:
        raise Refusal("there has never been a master: start the agent of one with --first")
    if view.master is not None:
        raise Refusal(f"{view.master} is the master")
    if name not in view.members:
        raise Refusal(f"no agent of {name} is there")
    if name != state.master and view.whole.get(name) != state.epoch:
        raise Refusal(f"{name} does not have what the last master, {state.master}, had")
    if waits := undecided(view):
        raise Refusal(f"not known yet how much these have: {', '.join(waits)}; try again")
    if chosen := winner(view):
        raise Refusal(f"{chosen} becomes the master just now")
