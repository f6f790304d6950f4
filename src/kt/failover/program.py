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
from kt.failover.forcing import force
from kt.failover.server import Server
from kt.net.etcd import PORT, Etcd, login_from_file
from kt.net.tls import context_from_files

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
    add_etcd(made)
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
    made.add_argument(
        "--force",
        action="store_true",
        help="let NAME be the master although too few others are left to choose it, and end: what"
        " was acknowledged may be lost",
    )
    return made


def add_etcd(made: argparse.ArgumentParser) -> None:
    """Add what says where etcd is, and how it is spoken with."""
    made.add_argument(
        "--etcd",
        metavar="HOST:PORT,...",
        default=f"127.0.0.1:{PORT}",
        help="servers of etcd, or some of them (%(default)s)",
    )
    made.add_argument(
        "--etcd-auth-file", metavar="FILE", help="with USER:PASSWORD, if etcd asks for that"
    )
    made.add_argument(
        "--etcd-ca", metavar="FILE", help="speak TLS with etcd; who has signed its certificates"
    )
    made.add_argument(
        "--etcd-cert",
        metavar="FILE",
        help="certificate to be shown to etcd, if it wants to see one",
    )
    made.add_argument("--etcd-key", metavar="FILE", help="its key, if that is not in the same file")


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


def etcd_of(options: argparse.Namespace) -> Etcd:
    """What speaks with etcd; raises ValueError or ArgumentError."""
    files = (options.etcd_ca, options.etcd_cert, options.etcd_key)
    if any(files) and options.etcd_ca is None:
        raise ArgumentError("--etcd-cert and --etcd-key are for TLS, with --etcd-ca")
    tls = context_from_files(*files, name="etcd") if any(files) else None
    login = login_from_file(options.etcd_auth_file) if options.etcd_auth_file else None
    places = [address(one, PORT) for one in options.etcd.split(",")]
    return Etcd(places, options.ttl / PART, login=login, tls=tls)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it until a signal comes, or force a master; its exit status."""
    made = parser()
    options = made.parse_args(arguments)
    if options.ttl < TTL_LEAST:
        made.error(f"--ttl is {TTL_LEAST} seconds or more")
    if not options.service or "/" in options.service + options.name or not options.name:
        made.error("names are not empty, and have no '/' in them")
    try:
        etcd = etcd_of(options)
        if options.force:
            return forced(etcd, options)
        server = Server(options.server, options.ttl / PART)
        place = server.place if options.address is None else address(options.address, 0)
    except (ValueError, ArgumentError) as error:
        made.error(str(error))
    agent = Agent(
        *(etcd, options.service, options.name, server, place),
        ttl=options.ttl,
        first=options.first,
        overwrite=options.overwrite,
        say=say,
    )
    run(agent)
    server.close()
    return 0


def run(agent: Agent) -> None:
    """Run it until a signal comes."""
    ended = Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    agent.run(ended)
    with suppress(KTError):
        agent.stop()


def forced(etcd: Etcd, options: argparse.Namespace) -> int:
    """Force a master; the exit status."""
    try:
        force(etcd, options.service, options.name, options.ttl, say)
    except KTError as error:
        say(str(error))
        return 1
    return 0
