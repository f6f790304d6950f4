"""CASKET.durable: what is known of a file that a server with ``-durable`` keeps.

kt-tycoon has it for each file, kt-tyrant with ``device`` only.

The file may lack changes that the server's update log has. Whoever else is to open it (another
server, `kt.open`, a script) looks here first, so nobody reads or writes what is not all there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kt.device import synchronize_names
from kt.errors import ImproperlyConfigured
from kt.server.log_place import LogPlace, why_another

if TYPE_CHECKING:
    from kt.server.engines.log._log import Durable
    from kt.server.history import History
    from kt.server.session import Journal

State = Literal["open", "closed", "restoring"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is known of a file.

    Attributes:
        index: the number that the database has in the update log.
        stamp: it has all changes of the update log up to this one.
        state: ``closed`` if it has all there are; ``restoring`` if it has nothing to rely on.
        boot: of the machine, when it was opened.
        durable: what the server had been told to keep.
        log: where the update log ended before: the number of its newest file, and bytes of that.
        inode: of its directory; 0 if that is not known.
        place: where it ended before, as a `LogPlace`; empty if that is not known.
    """

    index: int
    stamp: int
    state: State
    boot: str
    durable: Durable
    log: Sequence[int] = (0, 0)
    inode: int = 0
    place: Sequence[int] = ()


def checkpoint_path(path: str) -> str:
    """Where the checkpoint of a database file is."""
    return path.rstrip("/") + ".durable"


def read_checkpoint(path: str) -> Checkpoint | None:
    """The checkpoint of a database file; None if it has none.

    Raises:
        ImproperlyConfigured: it cannot be read.
    """
    name = checkpoint_path(path)
    try:
        return Checkpoint(**json.loads(Path(name).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{name} cannot be read: {error}. Without it nobody knows what the update log has "
            "beyond the file; remove it to start with what the file has"
        ) from None


def write_checkpoint(path: str, checkpoint: Checkpoint) -> None:
    """Put it in the place of the one that is there.

    Raises:
        OSError: that failed; the old one is as it was.
    """
    name = checkpoint_path(path)
    with open(name + ".tmp", "wb") as file:
        file.write(json.dumps(asdict(checkpoint)).encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(name + ".tmp", name)
    synchronize_names(name)


def base_path(path: str, stamp: int | str) -> str:
    """Where kt-tyrant has a file as it was at a stamp; see `kt.server.tyrant.base`."""
    return f"{path}.base-{stamp}"


def bases(path: str) -> list[str]:
    """All that there are, and what belongs to them."""
    return glob(escape(path) + ".base-*")


def set_aside(path: str) -> str:
    """Give a file that may be torn another name, which is returned, and its undo log, too."""
    names = (path + ".torn", *(f"{path}.torn.{number}" for number in range(1, 1000)))
    aside = next(name for name in names if not os.path.lexists(name))
    os.rename(path, aside)
    with suppress(FileNotFoundError):
        os.rename(path + ".wal", aside + ".wal")
    return aside


def check_complete(path: str) -> None:
    """Before a file is opened by somebody who does not keep it so.

    Raises:
        ImproperlyConfigured: the update log has more than the file, or may have.
    """
    for place in _places(path):
        checkpoint = read_checkpoint(place)
        if checkpoint is not None and checkpoint.state != "closed":
            raise ImproperlyConfigured(
                f"{path} was not closed by the server with -durable that keeps it: either that "
                "one runs, or it was killed and its update log has changes that the file may lack. "
                "Start it with the same -ulog and -durable, and stop it with SIGTERM; or remove "
                f"{checkpoint_path(place)} to go on without these changes"
            )


def leave_alone(path: str, log: Journal | None = None) -> None:
    """When a file is opened to be changed by somebody who does not keep it so.

    The update log will not have these changes, so it must not be applied to the file later.

    Raises:
        ImproperlyConfigured: the update log has more than the file, or may have.
    """
    check_complete(path)
    for place in _places(path):
        name = checkpoint_path(place)
        if os.path.lexists(name):
            os.remove(name)
            for base in bases(place):
                os.remove(base)
            if log is not None:
                log.system(f"the update log is not applied to {path} any more: {name} is removed")


def present_boot() -> str:
    """Changes whenever the machine starts; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def check_log(path: str, checkpoint: Checkpoint, history: History, forget: str) -> None:
    """Before the update log is applied to a file that was not closed: whether it is that file's.

    After a loss of power the log may be shorter, if it is not kept on the device.

    Args:
        path: of the file.
        checkpoint: what is known of it.
        history: the update log.
        forget: what to do to go on without its changes.

    Raises:
        ImproperlyConfigured: it ends before what the file has of it, or is another one.
    """
    place = LogPlace(*checkpoint.place)
    refuse_another(path, place, history, forget, all_there=checkpoint.durable == "device")
    if place.first:
        return
    end = history.log.position()
    moved = checkpoint.inode not in (0, history.inode)
    missing = end < tuple(checkpoint.log) or (moved and end == tuple(checkpoint.log))
    if missing and checkpoint.boot == present_boot():
        raise ImproperlyConfigured(_not_the_one(path, history, "", forget))


def refuse_another(
    path: str, place: LogPlace, history: History, forget: str, *, all_there: bool
) -> None:
    """Likewise, where it is known in which place the log had ended; see `why_another`.

    Raises:
        ImproperlyConfigured: it is another one.
    """
    if why := why_another(place, history.log, all_there=all_there):
        raise ImproperlyConfigured(_not_the_one(path, history, why, forget))


def _not_the_one(path: str, history: History, why: str, forget: str) -> str:
    because = f" ({why})" if why else ""
    return (
        f"{path} was not closed, and the update log in {history.directory} is not the one that has "
        f"its changes{because}: start with the same -ulog, or with a copy of all of its files; or "
        f"{forget} to go on without them"
    )


def _places(path: str) -> Sequence[str]:
    """A file's path, and the one that it is a link to."""
    real = os.path.realpath(path)
    return [path] if real == os.path.abspath(path) else [path, real]
