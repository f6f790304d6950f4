"""Where the servers of a service are, as etcd says; agents (`kt.failover`) keep that up to date.

::

    kt/SERVICE/master           {"host": ..., "port": ..., ...}    as long as there is a master
    kt/SERVICE/members/NAME     the same                           as long as that agent lives
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from kt.errors import KTError, ServerConnectionError
from kt.net.etcd import Entry, Etcd, Place

MASTER: Final = "master"
MEMBERS: Final = "members/"


def prefix_of(service: str) -> str:
    """How the keys of a service begin."""
    return f"kt/{service}/"


class Directory:
    """Tells where the servers of a service are, the master first. Any thread may call it.

    Args:
        etcd: knows it.
        service: its name.
    """

    def __init__(self, etcd: Etcd, service: str) -> None:
        self._etcd = etcd
        self._service = service
        self._known: list[Place] = []

    def __call__(self, seconds: float | None) -> list[Place]:
        """Ask etcd; those that were known if it does not answer.

        Args:
            seconds: that it may take; None for etcd's patience.

        Raises:
            ServerConnectionError: there are none, or etcd does not answer, and none are known.
        """
        share = None if seconds is None else seconds / 2  # the rest is for the servers
        try:
            found = places(self._etcd.read(prefix_of(self._service), share))
        except KTError as error:
            if not self._known:
                raise ServerConnectionError(str(error), sent=False) from error
            return self._known
        if not found and not self._known:
            raise ServerConnectionError(
                f"etcd knows no server of the service {self._service!r}", sent=False
            )
        self._known = found or self._known
        return self._known


def places(entries: Mapping[str, Entry]) -> list[Place]:
    """Those that the keys of a service name, the master first."""
    members = sorted(name for name in entries if name.startswith(MEMBERS))
    return list(dict.fromkeys(_read(entries, [*([MASTER] if MASTER in entries else []), *members])))


def _read(entries: Mapping[str, Entry], names: Iterable[str]) -> Iterable[Place]:
    for name in names:
        fields = json.loads(entries[name].value)
        yield fields["host"], fields["port"]
