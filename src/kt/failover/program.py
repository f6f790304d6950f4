"""``python -m kt.failover``: the agent, as a program."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Event
from types import FrameType
from typing import Final

from kt.errors import ArgumentError, KTError
from kt.failover.agent import Agent
from kt.failover.server import Server
from kt.net.etcd import PORT, Etcd

TTL: Final = 6
TTL_LEAST: Final = 2
PART: Final = 5
"""What answers has a part of this size of the lease to do so."""

DESCRIPTION: Final = """\
The agent beside a kt-tycoon that is one of several, of which one is the master. It looks after
that by a lease in etcd: when the master is lost, the slave that has most becomes the master, and
the others follow it. Clients find it by kt+etcd://HOST:2379/SERVICE. The server runs with -lease,
-ulog, -sid and -rts, and without -mhost. See docs/replication.md.
"""


def parser() -> argparse.ArgumentParser:
    """What the program takes."""
    made = argparse.ArgumentParser(
        "python -m kt.failover",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("service", help="name of all of them together")
    made.add_argument("name", help="name of this one")
    made.add_argument(
        "--etcd",
        metavar="HOST:PORT,...",
        default=f"127.0.0.1:{PORT}",
        help="servers of etcd, or some of them (%(default)s)",
    )
    made.add_argument(
        "--server", metavar="URL", default="kt://127.0.0.1:1978", help="this one (%(default)s)"
    )
    made.add_argument(
        "--address", metavar="HOST:PORT", help="where others reach it (as the URL says)"
    )
    made.add_argument(
        "--ttl",
        metavar="SECONDS",
        type=int,
        default=TTL,
        help="after which a lost master may be replaced, the same for all (%(default)s)",
    )
    made.add_argument(
        "--first", action="store_true", help="be the master if there has never been one"
    )
    made.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the records of a server that is new in the service",
    )
    return made


def address(text: str, port: int) -> tuple[str, int]:
    """Host and port as somebody writes them, IPv6 in brackets.

    Args:
        text: what he writes.
        port: if he names none; 0: he must.

    Raises:
        ValueError: it is none.
    """
    host, colon, number = text.rpartition(":")
    if not colon or number.endswith("]"):
        host, number = text, str(port or "")
    if not host or not number.isdecimal() or not 0 < int(number) < 1 << 16:
        raise ValueError(f"{text!r} is no HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(number)


def say(text: str) -> None:
    """Tell the log."""
    if text:
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%S')}: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it until a signal comes; its exit status."""
    made = parser()
    options = made.parse_args(arguments)
    if options.ttl < TTL_LEAST:
        made.error(f"--ttl is {TTL_LEAST} seconds or more")
    if not options.service or "/" in options.service + options.name or not options.name:
        made.error("names are not empty, and have no '/' in them")
    patience = options.ttl / PART
    try:
        etcd = Etcd([address(one, PORT) for one in options.etcd.split(",")], patience)
        server = Server(options.server, patience)
        place = server.place if options.address is None else address(options.address, 0)
    except (ValueError, ArgumentError) as error:
        made.error(str(error))
    ended = Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    agent = Agent(
        *(etcd, options.service, options.name, server, place),
        ttl=options.ttl,
        first=options.first,
        overwrite=options.overwrite,
        say=say,
    )
    agent.run(ended)
    with suppress(KTError):
        agent.stop()
    server.close()
    return 0
