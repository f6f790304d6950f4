"""The server, or the file, that a verb works on.

========================  ==========================================================================
kt://HOST:PORT/DB         a Kyoto Tycoon server, and a database of it
tt://HOST:PORT            a Tokyo Tyrant server
kts://, tts://            the same with TLS; ``?tls_ca=FILE`` says whom to trust
kt://A:PORT,B:PORT        several of which one is the master, which is found; also tt, kts, tts
kt+etcd://HOST:PORT/NAME  a service that etcd knows, whose master is found; also kts+etcd, and
                          kt+etcds, kts+etcds with TLS to etcd
kt+unix:///PATH           the same on a Unix socket; also tt+unix
valkey://HOST:PORT/DB     a database on a cluster of Valkey or Redis; also valkeys, redis, rediss;
                          ``?layout=tree`` and so on, as in `kt.cluster.settings`
postgres://HOST/DBNAME    a table of PostgreSQL: ``?table=NAME``, as in
                          `kt.cluster.postgres.settings`; also postgresql
HOST, HOST:PORT           a Kyoto Tycoon server
casket.kch, casket.tct    a file, opened in this process: any suffix of the Cabinet libraries, also
                          with ``#bnum=...`` after it; it must exist, unless a verb makes it
========================  ==========================================================================
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from kt.cli.faults import Usage
from kt.client.url import ETCD as SERVICES
from kt.net.endpoint import without_login

if TYPE_CHECKING:
    from kt.client.tycoon.client import KyotoTycoon
    from kt.client.tyrant.client import TokyoTyrant

    Tycoon: TypeAlias = KyotoTycoon[bytes, bytes]
    Tyrant: TypeAlias = TokyoTyrant[bytes, bytes]

ETCD: Final = tuple(f"{scheme}://" for scheme in SERVICES)
CLUSTERS: Final = (
    *("valkey://", "valkeys://", "redis://", "rediss://"),
    *("postgres://", "postgresql://"),
)
"""As `kt.cluster.engines` has them, which takes longer to import than most verbs need."""
SCHEMES: Final = (
    *("kt://", "tt://", "kts://", "tts://", "kt+unix://", "tt+unix://"),
    *(*ETCD, *CLUSTERS),
)
KYOTO: Final = (".kch", ".kct", ".kcd", ".kcf", ".kcx")
TOKYO: Final = (".tch", ".tcb", ".tcf", ".tct")
DEFAULT: Final = "kt://127.0.0.1:1978"
LIMIT: Final = 60.0
"""Seconds that a call may take, unless the verb or the user says otherwise."""

Kind: TypeAlias = Literal["tycoon", "tyrant"]


def is_file(text: str) -> bool:
    """Tell whether this names a file of the Cabinet libraries."""
    return text.partition("#")[0].endswith((*KYOTO, *TOKYO)) and "://" not in text


def is_url(text: str) -> bool:
    """Tell whether this can only be a server."""
    return text.startswith(SCHEMES)


def server_url(kind: Kind, host: str | None, port: int | None) -> str:
    """Return the URL of a server that is given by host and port."""
    name = host or "127.0.0.1"
    name = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return f"{'kt' if kind == 'tycoon' else 'tt'}://{name}:{1978 if port is None else port}"


class Target(NamedTuple):
    """What a verb works on: one of both clients.

    Attributes:
        url: of it, as others may see it.
        kind: of it.
        client: speaks with it.
    """

    url: str
    kind: Kind
    client: Tycoon | Tyrant

    @property
    def tycoon(self) -> Tycoon:
        """The client for Kyoto Tycoon; raises `Usage` if it is the other one."""
        from kt.client.tycoon.client import KyotoTycoon

        if not isinstance(self.client, KyotoTycoon):
            raise Usage(f"{self.url} is of Tokyo Tyrant, which cannot do this")
        return self.client

    @property
    def tyrant(self) -> Tyrant:
        """The client for Tokyo Tyrant; raises `Usage` if it is the other one."""
        from kt.client.tyrant.client import TokyoTyrant

        if not isinstance(self.client, TokyoTyrant):
            raise Usage(f"{self.url} is of Kyoto Tycoon, which cannot do this")
        return self.client

    def close(self) -> None:
        """End the connections, or close the file."""
        self.client.close()


def open_target(
    url: str,
    timeout: float | None = LIMIT,
    db: str | None = None,
    *,
    read_only: bool = False,
    create: bool = False,
) -> Target:
    """Return what `url` names; a server is not asked anything yet, unless `db` is a name.

    Args:
        url: see above.
        timeout: seconds that a call may take.
        db: index or name of a database of Kyoto Tycoon.
        read_only: of a file: write nothing.
        create: a file need not be there.
    """
    if is_file(url):
        target = _open_file(url, read_only, create)
    elif url.startswith("tt"):
        target = Target(without_login(url), "tyrant", _tyrant(url, timeout))
    else:
        target = Target(without_login(url), "tycoon", _tycoon(url, timeout))
    if db is not None:
        target.tycoon.set_database(_index(target.tycoon, db))
    return target


def _tycoon(url: str, timeout: float | None) -> Tycoon:
    from kt.client.tycoon.client import KyotoTycoon
    from kt.serializers import KT_NONE

    if url.startswith(CLUSTERS):
        from kt.cluster.opening import connect

        return connect(url, serializer=KT_NONE, decode_keys=False, timeout=timeout, server="tycoon")
    if url.startswith("kt+unix://"):
        path = url.removeprefix("kt+unix://")
        return KyotoTycoon(path, 0, KT_NONE, decode_keys=False, timeout=timeout)
    if "://" not in url:
        url = f"kt://{url}"
    return KyotoTycoon.from_url(url, serializer=KT_NONE, decode_keys=False, timeout=timeout)


def _tyrant(url: str, timeout: float | None) -> Tyrant:
    from kt.client.tyrant.client import TokyoTyrant
    from kt.serializers import KT_NONE

    if url.startswith("tt+unix://"):
        path = url.removeprefix("tt+unix://")
        return TokyoTyrant(path, 0, KT_NONE, decode_keys=False, timeout=timeout)
    return TokyoTyrant.from_url(url, serializer=KT_NONE, decode_keys=False, timeout=timeout)


def _open_file(url: str, read_only: bool, create: bool) -> Target:
    from kt.local.opening import open_database
    from kt.serializers import KT_NONE

    path = url.partition("#")[0]
    if not create and not os.path.exists(path):
        raise Usage(f"there is no file {path}")
    if path.endswith(TOKYO):
        tyrant = open_database(
            url, serializer=KT_NONE, decode_keys=False, read_only=read_only, server="tyrant"
        )
        return Target(url, "tyrant", tyrant)
    tycoon = open_database(
        url, serializer=KT_NONE, decode_keys=False, read_only=read_only, server="tycoon"
    )
    return Target(url, "tycoon", tycoon)


def _index(client: Tycoon, db: str) -> int:
    """The index of a database that is given by index or by name."""
    if db.isdecimal():
        return int(db)
    for name, value in client.report().items():
        number = name.removeprefix("db_")
        if number.isdecimal() and f"path={db}" in str(value).split():
            return int(number)
    raise Usage(f"the server has no database {db!r}")
