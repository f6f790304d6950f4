"""`kt.open` and `kt.open_async`: a client whose database is in this process.

The client is that of a server, `KyotoTycoon` or `TokyoTyrant`, with every method; what carries its
requests is `kt.net.local`. Signals are for the threads of this process. What only makes sense over
a network, such as replication, says so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from kt.errors import ArgumentError, ImproperlyConfigured
from kt.options import Synchronize
from kt.serializers import KT_BINARY, Serializer
from kt.types import V

if TYPE_CHECKING:
    from kt.client.tycoon.client import KyotoTycoon
    from kt.client.tycoon.client_async import AsyncKyotoTycoon
    from kt.client.tyrant.client import TokyoTyrant
    from kt.client.tyrant.client_async import AsyncTokyoTyrant
    from kt.local.lines import Wanted
    from kt.net.local import Database

Name = str | os.PathLike[str]
Kind = Literal["tycoon", "tyrant"]
Level = Synchronize | Literal["none", "commit", "device"]

KYOTO = (".kch", ".kct", ".kcd", ".kcf", ".kcx")
TOKYO = (".tch", ".tcb", ".tcf", ".tct")


@overload
def open_database(
    *databases: Name,
    default_db: int = ...,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tycoon"] | None = ...,
) -> KyotoTycoon[str, str]: ...
@overload
def open_database(
    *databases: Name,
    serializer: Serializer[V],
    decode_keys: Literal[True] = ...,
    default_db: int = ...,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tycoon"] | None = ...,
) -> KyotoTycoon[str, V]: ...
@overload
def open_database(
    *databases: Name,
    serializer: Serializer[V] = ...,
    decode_keys: Literal[False],
    default_db: int = ...,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tycoon"] | None = ...,
) -> KyotoTycoon[bytes, V]: ...
@overload
def open_database(
    *databases: Name,
    serializer: Serializer[V] = ...,
    decode_keys: bool,
    default_db: int = ...,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tycoon"] | None = ...,
) -> KyotoTycoon[Any, V]: ...
@overload
def open_database(
    *databases: Name,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tyrant"],
) -> TokyoTyrant[str, str]: ...
@overload
def open_database(
    *databases: Name,
    serializer: Serializer[V],
    decode_keys: Literal[True] = ...,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tyrant"],
) -> TokyoTyrant[str, V]: ...
@overload
def open_database(
    *databases: Name,
    serializer: Serializer[V] = ...,
    decode_keys: Literal[False],
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tyrant"],
) -> TokyoTyrant[bytes, V]: ...
@overload
def open_database(
    *databases: Name,
    serializer: Serializer[V] = ...,
    decode_keys: bool,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tyrant"],
) -> TokyoTyrant[Any, V]: ...
def open_database(
    *databases: Name,
    serializer: Serializer[Any] = KT_BINARY,
    decode_keys: bool = True,
    default_db: int = 0,
    scripts: Name | None = None,
    read_only: bool = False,
    synchronize: Level = Synchronize.NONE,
    server: Kind | None = None,
) -> Any:
    """Open databases in this process; `kt.open` is its public name.

    Args:
        databases: names, as on the command line of a server: files by their suffix, or one of
            ``* % + - :`` in memory; any ``#name=value`` may follow. ``*`` if there are none.
        serializer: how values become bytes and back, as for the clients.
        decode_keys: keys come back as str, otherwise as bytes.
        default_db: index of the database that is used where a call names none.
        scripts: file of Lua functions, for `script` and ``lua``; every thread loads it by itself.
        read_only: write nothing; others may read the files at the same time.
        synchronize: what a write survives. Tokyo Cabinet's fixed-length files, and what it has in
            memory, have ``none`` only.
        server: whose client to return. The names tell, except for ``*`` and ``+``, which are
            Kyoto Cabinet's unless this says otherwise. (A type checker needs it for Tokyo Cabinet's
            files, too.)

    Returns:
        a `KyotoTycoon`, or a `TokyoTyrant` for a file of Tokyo Cabinet. Any number of threads may
        use it. `close` closes the databases; so does leaving a ``with`` block, and the end of the
        interpreter. After a fork, the child must open its databases anew.

    Raises:
        ArgumentError: a name or an option makes no sense.
        ImproperlyConfigured: a database cannot be opened: another process has it open, it is no
            database, or the library for it is not there.
    """
    from kt.net.local import Pool

    wanted, kind = _wanted(databases, scripts, read_only, synchronize, server)
    client: Any
    if kind == "tycoon":
        from kt.client.tycoon.client import KyotoTycoon

        client = KyotoTycoon(wanted.name, 0, serializer, decode_keys, default_db=default_db)
    else:
        from kt.client.tyrant.client import TokyoTyrant

        client = TokyoTyrant(wanted.name, 0, serializer, decode_keys)
    return client._carried_by(Pool(client._pool.endpoint, _opened(wanted, kind)))


@overload
def open_database_async(
    *databases: Name,
    default_db: int = ...,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tycoon"] | None = ...,
) -> AsyncKyotoTycoon[str, str]: ...
@overload
def open_database_async(
    *databases: Name,
    serializer: Serializer[V],
    decode_keys: Literal[True] = ...,
    default_db: int = ...,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tycoon"] | None = ...,
) -> AsyncKyotoTycoon[str, V]: ...
@overload
def open_database_async(
    *databases: Name,
    serializer: Serializer[V] = ...,
    decode_keys: Literal[False],
    default_db: int = ...,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tycoon"] | None = ...,
) -> AsyncKyotoTycoon[bytes, V]: ...
@overload
def open_database_async(
    *databases: Name,
    serializer: Serializer[V] = ...,
    decode_keys: bool,
    default_db: int = ...,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tycoon"] | None = ...,
) -> AsyncKyotoTycoon[Any, V]: ...
@overload
def open_database_async(
    *databases: Name,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tyrant"],
) -> AsyncTokyoTyrant[str, str]: ...
@overload
def open_database_async(
    *databases: Name,
    serializer: Serializer[V],
    decode_keys: Literal[True] = ...,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tyrant"],
) -> AsyncTokyoTyrant[str, V]: ...
@overload
def open_database_async(
    *databases: Name,
    serializer: Serializer[V] = ...,
    decode_keys: Literal[False],
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tyrant"],
) -> AsyncTokyoTyrant[bytes, V]: ...
@overload
def open_database_async(
    *databases: Name,
    serializer: Serializer[V] = ...,
    decode_keys: bool,
    scripts: Name | None = ...,
    read_only: bool = ...,
    synchronize: Level = ...,
    server: Literal["tyrant"],
) -> AsyncTokyoTyrant[Any, V]: ...
def open_database_async(
    *databases: Name,
    serializer: Serializer[Any] = KT_BINARY,
    decode_keys: bool = True,
    default_db: int = 0,
    scripts: Name | None = None,
    read_only: bool = False,
    synchronize: Level = Synchronize.NONE,
    server: Kind | None = None,
) -> Any:
    """As `open_database`, with the client for asyncio; `kt.open_async` is its public name.

    What takes microseconds is done at once, on the event loop; what may take longer, in a thread.
    """
    from kt.net.local_aio import Pool

    wanted, kind = _wanted(databases, scripts, read_only, synchronize, server)
    client: Any
    if kind == "tycoon":
        from kt.client.tycoon.client_async import AsyncKyotoTycoon

        client = AsyncKyotoTycoon(wanted.name, 0, serializer, decode_keys, default_db=default_db)
    else:
        from kt.client.tyrant.client_async import AsyncTokyoTyrant

        client = AsyncTokyoTyrant(wanted.name, 0, serializer, decode_keys)
    return client._carried_by(Pool(client._pool.endpoint, _opened(wanted, kind)))


def _wanted(
    databases: Sequence[Name],
    scripts: Name | None,
    read_only: bool,
    synchronize: Level,
    server: Kind | None,
) -> tuple[Wanted, Kind]:
    """What is to be opened, and by which library; raises ArgumentError."""
    from kt.local.lines import Wanted

    specs = [os.fspath(name) for name in databases] or ["*"]
    for spec in specs:
        if not isinstance(spec, str) or not spec:
            raise ArgumentError(f"a database is named by a str, not by {spec!r}")
    kind = _kind(specs, server)
    try:
        level = Synchronize(synchronize)
    except ValueError:
        levels = ", ".join(level.value for level in Synchronize)
        raise ArgumentError(f"synchronize is one of {levels}, not {synchronize!r}") from None
    path = None if scripts is None else os.fspath(scripts)
    return Wanted(specs, path, bool(read_only), level), kind


def _kind(specs: list[str], server: Kind | None) -> Kind:
    """Whose client it is; raises ArgumentError."""
    if server not in (None, "tycoon", "tyrant"):
        raise ArgumentError(f"server is 'tycoon' or 'tyrant', not {server!r}")
    kinds: set[Kind] = set()
    for spec in specs:
        name = spec.partition("#")[0]
        if name.endswith(TOKYO):
            kinds.add("tyrant")
        elif name.endswith(KYOTO) or name in ("%", "-", ":") or "#type=" in spec:
            kinds.add("tycoon")
        elif name not in ("*", "+") and server is None:
            known = " ".join((*KYOTO, *TOKYO))
            raise ArgumentError(
                f"{name!r} has none of the suffixes {known}: which type is it? "
                "Say so by #type=… (Kyoto Cabinet's parameter), or whose it is by server="
            )
    if server is not None:
        kinds.add(server)
    if len(kinds) > 1:
        raise ArgumentError(f"these are not of one library: {', '.join(specs)}, server={server!r}")
    return kinds.pop() if kinds else "tycoon"


def _opened(wanted: Wanted, kind: Kind) -> Database:
    from kt.local import lines

    try:
        return lines.open_tycoon(wanted) if kind == "tycoon" else lines.open_tyrant(wanted)
    except ImportError as error:
        library = "Kyoto Cabinet" if kind == "tycoon" else "Tokyo Cabinet"
        raise ImproperlyConfigured(
            f"kt was installed without {library}'s engine ({error}): see README.md"
        ) from None
