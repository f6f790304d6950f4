"""Who may do what (-allow), and where a server listens that is not told."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kt import KyotoTycoon, TokyoTyrant
from kt.errors import ImproperlyConfigured, KTError, ServerError
from kt.serializers import KT_NONE
from kt.server.engines.tokyo._engine import Database
from kt.server.process.access import Access
from kt.server.process.delegation import PLAIN_REQUESTS
from kt.server.session import Rights
from kt.server.tycoon.procedures import (
    CURSOR_PROCEDURES,
    DATABASE_PROCEDURES,
    SERVER_PROCEDURES,
)
from kt.server.tycoon.rights import NEEDED
from kt.server.tyrant.options import COMMANDS_OF, Command, tyrant_options

from ...certificates import Authority
from ..processes import HOST, SECONDS, ServerProcess

Start = Callable[..., ServerProcess]
OTHER = "127.0.0.2"
"""Another address of this machine."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[ServerProcess] = []

    def run(program: str, *args: str, **options: Any) -> ServerProcess:
        server = ServerProcess(program, *args, databases=["*"], directory=tmp_path, **options)
        started.append(server)
        server.start()
        return server

    yield run
    for server in started:
        server.kill()


@pytest.fixture(params=["kt-tycoon", "kt-tyrant"])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client(server: ServerProcess, **options: Any) -> Any:
    kind: Any = KyotoTycoon if "tycoon" in server.command else TokyoTyrant
    return kind(server.host, server.port, KT_NONE, timeout=SECONDS, **options)


def reply_of(server: ServerProcess, request: bytes, size: int) -> bytes:
    """The reply to a request, or what there is of it when the connection ends."""
    with socket.create_connection((HOST, server.port), SECONDS) as sock:
        sock.sendall(request)
        sock.settimeout(SECONDS)
        reply = b""
        while len(reply) < size and (data := sock.recv(size)):
            reply += data
    return reply


# Rules


def access(*words: str) -> Access:
    return Access(tyrant_options("kt-tyrant", [w for word in words for w in word.split()]))


class Transport:
    """What is asked of asyncio's, for addresses that a test cannot come from."""

    def __init__(self, peername: Any, names: dict[str, Any] | None = None) -> None:
        self._extra = {"peername": peername, "peercert": names}

    def get_extra_info(self, name: str) -> Any:
        return self._extra[name]


def test_the_first_rule_that_fits_counts() -> None:
    rules = access(
        "-allow 10.0.0.7 none",
        "-allow 10.0.0.0/8 read,write",
        "-allow 2001:db8::/32 all",
        "-allow 192.0.2.1 admin",
    )
    for address, rights in {
        "10.0.0.7": Rights.NONE,
        "10.1.2.3": Rights.READ | Rights.WRITE,
        "2001:db8::1": Rights.ALL,
        "::ffff:192.0.2.1": Rights.ADMIN,
        "fe80::1%eth0": Rights.NONE,
        "192.0.2.2": Rights.NONE,
    }.items():
        assert rules.rights(Transport((address, 5))) == rights, address  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-allow * look", "'look' is no right: they are none, read, write, admin, scripts, all"),
        ("-allow 10.0.0.1/8 all", "has host bits set"),
        ("-allow example.org all", "an address, a network, or cert:NAME"),
        ("-allow cert:alice all", "with -tls-ca only"),
        ("-allow unix all", "this server listens at a TCP port"),
        ("-port 0 -host s -allow 10.0.0.1 all", "this server listens at a Unix socket"),
    ],
)
def test_what_is_no_rule(words: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        access(words)


def test_every_procedure_and_command_needs_something() -> None:
    procedures = {*DATABASE_PROCEDURES, *CURSOR_PROCEDURES, *SERVER_PROCEDURES}
    assert set(NEEDED) == procedures | {b"synchronize", b"play_script", b"cur_delete"}
    commands = [command for group in COMMANDS_OF.values() for command in group]
    groups = {each for each in Command if each.name.startswith("ALL")}
    assert sorted([*commands, *groups, Command.MISC, Command.SLAVE]) == sorted(Command)


# Kyoto Tycoon


@pytest.mark.parametrize("words", ["read", "write", "admin", "scripts", "none", "read,write"])
def test_procedures(words: str, start: Start) -> None:
    server = start("kt-tycoon", "-allow", "*", words)
    may = Rights.NONE
    for word in words.split(","):
        may |= Rights[word.upper()]
    caller = http.client.HTTPConnection(HOST, server.port, timeout=SECONDS)
    for name, needed in NEEDED.items():
        caller.request("POST", f"/rpc/{name.decode()}", body="key\tk\n")
        reply = caller.getresponse()
        said = reply.read()
        assert (reply.status == 403) == bool(needed & ~may), (name, reply.status, said)
        assert reply.status != 403 or b"ERROR\tnot allowed: this client may not " in said
    caller.close()


def test_rest(start: Start) -> None:
    server = start("kt-tycoon", "-allow", OTHER, "all", "-allow", "*", "read")
    statuses = {}
    for source in (OTHER, HOST):
        caller = http.client.HTTPConnection(
            HOST, server.port, timeout=SECONDS, source_address=(source, 0)
        )
        for method in ("PUT", "GET", "HEAD", "DELETE"):
            caller.request(method, "/k", body=b"v" if method == "PUT" else None)
            reply = caller.getresponse()
            reply.read()
            statuses[source, method] = reply.status
            if source == OTHER and method == "DELETE":
                caller.request("PUT", "/k", body=b"v")
                caller.getresponse().read()
        caller.close()
    assert list(statuses.values()) == [201, 200, 200, 204, 403, 200, 200, 403]


def test_binary_of_tycoon(start: Start) -> None:
    def record(magic: int, key: bytes, value: bytes | None = None) -> bytes:
        head = struct.pack(">BIIHI", magic, 0, 1, 0, len(key))
        if value is None:
            return head + key
        return head + struct.pack(">Iq", len(value), 2**40 - 1) + key + value

    get, put, remove = record(0xBA, b"k"), record(0xB8, b"k", b"v"), record(0xB9, b"k")
    nothing = b"\xba" + bytes(8)
    script = b"\xb4" + struct.pack(">III", 0, 1, 0) + b"f"
    follow = b"\xb1" + bytes(4) + bytes(8) + b"\0\7"
    reader = start("kt-tycoon", "-allow", "*", "read")
    for request in (put, remove):
        assert reply_of(reader, request + get, 100) == b"\xbf"
    assert reply_of(reader, script + get, 6) == b"\xbf\xba\0\0\0\0"
    assert reply_of(reader, get, 5) == b"\xba\0\0\0\0"
    quiet = b"\xb8\0\0\0\1" + put[5:]
    assert reply_of(reader, quiet, 100) == b""
    assert reply_of(reader, get, 5) == b"\xba\0\0\0\0"
    reader.wait_for_output("not allowed: this client may not call scripts")
    reader.stop()
    writer = start("kt-tycoon", "-allow", "*", "write")
    assert reply_of(writer, put, 5) == b"\xb8\0\0\0\1"
    assert reply_of(writer, nothing, 5) == b"\xba\0\0\0\0"
    assert reply_of(writer, get, 100) == b"\xbf"
    assert reply_of(writer, follow, 100) == b"\xbf"
    writer.wait_for_output("not allowed: this client may not read")


# Tokyo Tyrant


def test_commands(start: Start) -> None:
    server = start("kt-tyrant", "-allow", "*", "read")
    with client(server) as db:
        assert db.get("k") is None
        assert db.get_bulk(["k"]) == {}
        assert list(db) == []
        assert db.count() == 0
        assert db.match_prefix("k") == []
        assert db.status()["type"] == "on-memory hash"
        for call in (
            lambda: db.set("k", b"v"),
            lambda: db.append("k", b"v"),
            lambda: db.addshl("k", b"v", 5),
            lambda: db.incr("k"),
            lambda: db.clear(),
            lambda: db.synchronize(),
            lambda: db.optimize(),
            lambda: db.copy("/nowhere"),
            lambda: db.restore("/nowhere", 0),
            lambda: db.set_master(HOST, 1),
            lambda: db.script("f", "k"),
            lambda: db.set_bulk({"k": b"v"}),
        ):
            with pytest.raises(ServerError):
                call()
        assert db.remove("k") == 0
        assert db.count() == 0


MISC = {
    Rights.READ: "get getlist getpart iterinit iternext regex range error search metasearch",
    Rights.WRITE: "put putkeep putcat putdup putdupback out putlist outlist vanish genuid",
    Rights.ADMIN: "sync optimize defrag cacheclear setindex",
    Rights.READ | Rights.WRITE: "@out %putcat @@out",
    Rights.READ | Rights.WRITE | Rights.ADMIN: "other",  # a plug-in may have it
}


def test_what_misc_needs() -> None:
    for rights, names in MISC.items():
        for name in names.split():
            assert Database.rights_for(name.encode()) == rights, name
    for word in (b"out", b"remove"):
        assert Database.rights_for(b"search", [word + b"\0"]) == Rights.READ | Rights.WRITE


def misc(name: bytes, *items: bytes) -> bytes:
    head = struct.pack(">BBIII", 0xC8, 0x90, len(name), 0, len(items))
    return head + name + b"".join(struct.pack(">I", len(item)) + item for item in items)


def test_misc(start: Start) -> None:
    """Natively, and in worker threads where it may take long; by the other protocol, too."""
    server = start("kt-tyrant", "-allow", OTHER, "all", "-allow", "*", "read", "-ld")
    with socket.create_connection((HOST, server.port), SECONDS, source_address=(OTHER, 0)) as all_:
        for request in (misc(b"put", b"k", b"v"), misc(b"sync"), misc(b"regex", b"k")):
            all_.sendall(request)
            assert all_.recv(100)[:1] == b"\0"
    for rights in (Rights.WRITE, Rights.ADMIN, Rights.READ | Rights.WRITE):
        for name in MISC[rights].split():
            reply = reply_of(server, misc(name.encode(), b"k", b"v"), 5)
            assert reply == b"\1\0\0\0\0", name
    found = reply_of(server, misc(b"get", b"k"), 10)
    assert found == b"\0\0\0\0\1\0\0\0\1v"
    assert reply_of(server, misc(b"getlist", b"k"), 15)[:5] == b"\0\0\0\0\2"
    assert reply_of(server, misc(b"regex", b"k"), 15)[:5] == b"\0\0\0\0\2"
    caller = http.client.HTTPConnection(HOST, server.port, timeout=SECONDS)
    statuses = []
    for name in ("out", "sync", "get"):
        caller.request("POST", "/", body="a=k", headers={"X-TT-MNAME": name})
        got = caller.getresponse()
        got.read()
        statuses.append(got.status)
    caller.request("PUT", "/k", body=b"w")
    put = caller.getresponse()
    put.read()
    caller.close()
    assert [*statuses, put.status] == [403, 403, 200, 403]
    stored = reply_of(server, b"set k 0 0 1\r\nw\r\nget k\r\n", 45)
    assert stored == b"CLIENT_ERROR forbidden\r\nVALUE k 0 1\r\nv\r\nEND\r\n"
    server.wait_for_output("do_misc: forbidden")


def test_following_needs_to_read(start: Start) -> None:
    server = start("kt-tyrant", "-sid", "1", "-allow", "*", "write")
    assert reply_of(server, b"\xc8\xa0" + struct.pack(">QI", 1, 2), 4) == b""


# Both


def test_nothing_at_all(program: str, start: Start) -> None:
    server = start(program, "-allow", "10.0.0.0/8", "all")
    with client(server) as db:
        for call in (lambda: db.set("k", b"v"), lambda: db.set("k", b"v")):
            with pytest.raises(KTError):
                call()
        if program == "kt-tyrant":
            assert db.get("k") is None
        else:
            with pytest.raises(ServerError, match="not allowed: this client may not read"):
                db.status()


def test_those_that_native_threads_serve(program: str, start: Start) -> None:
    server = start(program, "-allow", OTHER, "all", "-allow", "*", "read")
    with client(server) as db:
        for _ in range(3 * PLAIN_REQUESTS):
            assert db.get("k") is None
        with pytest.raises(ServerError):
            db.set("k", b"v")
        for _ in range(3 * PLAIN_REQUESTS):
            assert db.get("k") is None


def test_certificates(program: str, start: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certificates")
    bob = authority.issue("bob.pem", "bob.example.org")
    server = start(
        program,
        *("-tls-cert", authority.server, "-tls-ca", authority.ca),
        *("-allow", "cert:alice", "all", "-allow", "cert:bob.example.org", "none"),
        *("-allow", "cert:*", "read"),
    )
    other = authority.issue("other.pem", "other.example.org")
    with client(server, ssl=authority.showing(authority.client)) as db:
        assert db.set("k", b"v")
        assert db.get("k") == b"v"
    with client(server, ssl=authority.showing(other)) as db:
        assert db.get("k") == b"v"
        with pytest.raises(ServerError):
            db.set("k", b"w")
    with client(server, ssl=authority.showing(bob)) as db:
        found = None
        with suppress(ServerError):
            found = db.get("k")
        assert found is None


def test_unix_sockets(program: str, start: Start, socket_path: str) -> None:
    server = start(program, "-allow", "unix", "read", unix=socket_path)
    with client(server) as db:
        assert db.get("k") is None
        with pytest.raises(ServerError):
            db.set("k", b"v")


# Where it listens


def reaches(server: ServerProcess, address: str) -> bool:
    try:
        socket.create_connection((address, server.port), SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_server_that_is_not_told_listens_on_this_machine_only(
    program: str, tmp_path: Path
) -> None:
    server = ServerProcess(program, databases=["*"], directory=tmp_path)
    at = server.command.index("-host")
    del server.command[at : at + 2]
    with server:
        server.wait_for_output("listening on 127.0.0.1 only: -host names another address")
        assert reaches(server, HOST)
        assert not reaches(server, OTHER)


def test_a_server_that_everybody_reaches_warns(program: str, start: Start) -> None:
    server = start(program, "-host", "0.0.0.0")
    server.wait_for_output(f"WARNING: who reaches port {server.port} of this machine may read")
    assert reaches(server, OTHER)
    server.stop()
    limited = start(program, "-host", "0.0.0.0", "-allow", "127.0.0.0/8", "all")
    assert limited.stop() == 0
    assert limited.printed().count("WARNING") == 1
