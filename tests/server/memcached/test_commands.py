"""memcached's clients of kt-tycoon (``-plsv ktplugservmemc.so``): commands, options, refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError

from kt import KT_NONE, KyotoTycoon
from kt.errors import ImproperlyConfigured
from kt.server.process.options import Front as Place
from kt.server.tycoon.memcached.options import MemcachedOptions, memcached_options
from kt.server.tycoon.options import tycoon_options
from tests.certificates import Authority

from ..processes import HOST, SECONDS, ServerProcess, refused
from ..tycoon.pairs import following, wait_until
from ..update_logs import changes
from .front import PLUGIN, Front, Peer

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "memcached.json").read_text()
)
"""What the original's plug-in has answered, and logged."""

OURS = ("gets", "append", "prepend", "cas", "touch")
"""Commands that it answers otherwise, or not at all."""

MANY = 5 << 20
"""Bytes of a value that a worker thread stores and sends."""


@pytest.fixture
def front(tmp_path: Path) -> Any:
    with Front(tmp_path) as server:
        yield server


def tycoon(server: ServerProcess) -> KyotoTycoon:
    return KyotoTycoon(HOST, server.port, serializer=KT_NONE, decode_keys=False, timeout=SECONDS)


# As the original


def expected(sent: str, reply: str) -> bytes:
    if sent.startswith("set wrong"):
        return b"CLIENT_ERROR bad data chunk\r\n"  # the original says nothing before the end
    if "read-only" in reply:
        return reply.removesuffix("ERROR\r\n").encode()  # which it says of the data
    return reply.encode()


@pytest.mark.parametrize("name", list(RECORDED))
def test_what_the_original_answers(name: str, tmp_path: Path) -> None:
    recorded = RECORDED[name]
    log = ("-sid", "1", "-ulog", "log")
    server = Front(tmp_path, *log, more=recorded["options"], databases=[recorded["database"]])
    with server:
        with Peer(server) as peer:
            for sent, reply in recorded["exchange"]:
                if sent.split(" ")[0] in OURS:
                    continue
                if reply == "(closed)":
                    peer.socket.sendall(sent.encode())
                    assert peer.ended() == expected(sent, "")
                    break
                peer.ask(sent.encode(), expected(sent, reply))
        assert server.stop() == 0
    logged = [
        (each.what, without_time(each.key.decode()), each.value.decode("latin-1"))
        for each in changes(tmp_path / "log")
    ]
    assert logged == [(what, without_time(key), value) for what, key, value in recorded["log"]]


def without_time(key: str) -> str:
    """The key of an element of a queue but for the time."""
    words = key.split(" ")
    return " ".join([words[0], *words[2:]])


def test_times_of_expiry(front: Front) -> None:
    """Below 1 never, up to 2^24 from now, else since the epoch."""
    now = time.time()
    with front.client() as mc, tycoon(front) as kt:
        for expire in (-1, 0, 100, 1 << 24, 2_000_000_000):
            assert mc.set(str(expire), b"v", expire=expire)
        found = {
            int(each.key): each.expires
            for each in kt.get_bulk_details([(0, key) for key in kt.match_prefix(b"")])
        }
    assert found[-1] is found[0] is None
    for relative in (100, 1 << 24):
        assert -1 <= found[relative].timestamp() - now - relative <= SECONDS
    assert found[2_000_000_000].timestamp() == 2_000_000_000


def test_statistics(front: Front) -> None:
    with front.client() as mc:
        mc.set("a", b"1")
        mc.add("a", b"2")
        mc.get_many(["a", "b", "c"])
        mc.delete("b")
        mc.incr("a", 1)
        mc.flush_all()
        stats = mc.stats()
        assert mc.stats("items").keys() == stats.keys()
    counts = {name.decode(): value for name, value in stats.items()}
    wanted = {
        "set_hits": 1,
        "set_misses": 1,
        "cmd_set": 2,
        "get_hits": 1,
        "get_misses": 2,
        "cmd_get": 3,
        "delete_hits": 0,
        "delete_misses": 1,
        "cmd_delete": 1,
        "incr_hits": 1,
        "incr_misses": 0,
        "cmd_flush": 1,
        "curr_connections": 1,
        "threads": 16,
        "pid": front.process.pid,
    }
    assert {name: int(counts[name]) for name in wanted} == wanted
    assert counts["version"] == b"KyotoTycoon/0.9.56b"
    assert counts["db_path"] == b"*"
    with tycoon(front) as kt:
        report = kt.report()
    assert (report["cnt_set"], report["cnt_set_misses"], report["cnt_get"]) == (3, 1, 3)
    assert report["cmd_memcached_set"] == 1


# Beyond it


@pytest.mark.parametrize("more", ["", "#opts=f"])
def test_what_is_changed_keeps_flags_and_expiry(more: str, tmp_path: Path) -> None:
    with Front(tmp_path, more=more) as server, Peer(server) as peer, tycoon(server) as kt:
        flags = b"7" if more else b"0"
        peer.ask(b"set a 7 2000000000 1\r\nb\r\n", b"STORED\r\n")
        peer.ask(b"append a 9 0 1\r\nc\r\n", b"STORED\r\n")
        peer.ask(b"prepend a 9 0 1\r\na\r\n", b"STORED\r\n")
        peer.ask(b"get a\r\n", b"VALUE a %b 3\r\nabc\r\nEND\r\n" % flags)
        peer.ask(b"incr a 5\r\n", b"5\r\n")
        peer.ask(b"get a\r\n", b"VALUE a %b 1\r\n5\r\nEND\r\n" % flags)
        for record in kt.get_bulk_details([(0, b"a")]):
            assert record.expires.timestamp() == 2_000_000_000
        peer.ask(b"append n 0 0 1\r\nc\r\n", b"NOT_STORED\r\n")
        peer.ask(b"prepend n 0 0 1\r\nc\r\n", b"NOT_STORED\r\n")
        peer.ask(b"touch a 0\r\n", b"TOUCHED\r\n")
        peer.ask(b"touch n 0\r\n", b"NOT_FOUND\r\n")
        for record in kt.get_bulk_details([(0, b"a")]):
            assert record.expires is None


def test_comparing_and_storing(front: Front) -> None:
    with front.client() as mc, front.client() as other:
        assert mc.cas("a", b"1", b"1") is None
        assert mc.set("a", b"1")
        value, unique = mc.gets("a")
        assert (value, mc.gets_many(["a", "n"])) == (b"1", {"a": (b"1", unique)})
        assert other.append("a", b"2")
        assert mc.cas("a", b"3", unique) is False
        assert mc.cas("a", b"3", mc.gets("a")[1])
        assert mc.get("a") == b"3"


def test_no_reply(front: Front) -> None:
    """Whatever a command comes to."""
    with Peer(front) as peer:
        for command in (b"set", b"add", b"append", b"prepend", b"replace"):
            peer.socket.sendall(command + b" a 0 0 1 noreply\r\nx\r\n")
        peer.socket.sendall(b"cas a 0 0 1 5 noreply\r\ny\r\n")
        for line in (b"touch a 0", b"touch n 0", b"delete n", b"incr n 1"):
            peer.socket.sendall(line + b" noreply\r\n")
        peer.ask(b"get a\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n")


def test_counters_wrap_around(front: Front) -> None:
    with Peer(front) as peer:
        peer.ask(b"set n 0 0 19\r\n9223372036854775807\r\n", b"STORED\r\n")
        peer.ask(b"incr n 1\r\n", b"0\r\n")


def test_counters_do_not_lose_updates(front: Front) -> None:
    with front.client() as mc:
        mc.set("n", b"0")
    peers = [Peer(front) for _ in range(8)]
    for peer in peers:
        peer.socket.sendall(b"incr n 1 noreply\r\n" * 100 + b"quit\r\n")
    for peer in peers:
        with peer:
            assert peer.ended() == b""
    with front.client() as mc:
        assert mc.get("n") == b"800"


def test_large_values(front: Front) -> None:
    """They go through worker threads, whole and in order."""
    value = bytes(range(256)) * (MANY // 256)
    with front.client() as mc:
        assert mc.set_many({"a": value, "b": value}) == []
        assert mc.get_many(["a", "n", "b"]) == {"a": value, "b": value}
        assert mc.append("a", b"more")
        assert mc.get("a") == value + b"more"


def test_byte_by_byte(front: Front) -> None:
    with Peer(front) as peer:
        for byte in b"set a 0 0 3\r\na\n\r\r\nget a\n":
            peer.socket.sendall(bytes([byte]))
        peer.gets(b"STORED\r\nVALUE a 0 3\r\na\n\r\r\nEND\r\n")


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (b"set a 0 0 -1\r\n", b"CLIENT_ERROR bad data chunk\r\n"),
        (b"set a 0 0 268435457\r\n", b"SERVER_ERROR object too large for cache\r\n"),
        (b"set a 0 0 2\r\nabc\r\n", b"CLIENT_ERROR bad data chunk\r\n"),
        (b"x" * ((1 << 24) + 1), b"CLIENT_ERROR line too long\r\n"),
    ],
)
def test_what_ends_the_connection(request_: bytes, reply: bytes, front: Front) -> None:
    with Peer(front) as peer:
        peer.socket.sendall(request_)
        assert peer.ended() == reply
    with front.client() as mc:
        assert mc.get("a") is None


def test_bytes_of_other_protocols(front: Front) -> None:
    with Peer(front) as peer:
        peer.ask(b"GET /a HTTP/1.1\r\n\r\n", b"ERROR\r\nERROR\r\n")
        peer.ask(b"\x80\x00\r\n", b"ERROR\r\n")  # memcached's binary protocol
        peer.ask(b"version\r\n", b"VERSION KyotoTycoon/0.9.56b\r\n")


# With what the server has besides


def test_who_may_not(tmp_path: Path) -> None:
    with Front(tmp_path, "-allow", HOST, "read") as server, server.client() as mc:
        assert mc.get("a") is None
        with pytest.raises(MemcacheClientError, match="this client may not write"):
            mc.set("a", b"flush_all\r\nquit")
        for call in (mc.flush_all, lambda: mc.incr("a", 1), lambda: mc.delete("a")):
            with pytest.raises(MemcacheClientError, match="may not write"):
                call()
        assert mc.stats()


def test_tls(tmp_path: Path) -> None:
    """The second port speaks it, too, and rules for certificates count there."""
    authority = Authority(tmp_path)
    server = Front(
        tmp_path,
        *("-tls-cert", authority.server, "-tls-ca", authority.ca),
        *("-allow", "cert:alice", "all"),
    )
    with server:
        for name, may in (("alice", True), ("bob", False)):
            context = authority.showing(authority.issue(name, f"{name}.org", common_name=name))
            with server.client(tls_context=context) as mc:
                if may:
                    assert mc.set("a", b"1")
                else:
                    with pytest.raises(MemcacheClientError, match="may not read"):
                        mc.get("a")


def test_a_slave_and_its_slave(tmp_path: Path) -> None:
    """What memcached's clients do is replicated; a slave that takes no writes says so."""
    master = Front(tmp_path / "master", "-sid", "1", "-ulog", "log")
    with master:
        slave = Front(tmp_path / "slave", "-sid", "2", *following(master), "-ro-slave")
        with slave, master.client() as mc, slave.client() as reader:
            mc.set("a", b"1")
            wait_until(lambda: reader.get("a") == b"1", "the slave has it")
            with pytest.raises(MemcacheServerError, match="write to its master"):
                reader.set("a", b"2")
            with pytest.raises(MemcacheServerError, match="write to its master"):
                reader.incr("a", 1)
            assert reader.get("a") == b"1"


def test_unconfirmed(tmp_path: Path) -> None:
    ack = ("-sid", "1", "-ulog", "log", "-ack", "1", "-ack-timeout", "0.1")
    with Front(tmp_path, *ack) as server, server.client() as mc, tycoon(server) as kt:
        with pytest.raises(MemcacheServerError, match="not confirmed"):
            mc.set("a", b"1")
        mc.set("a", b"2", noreply=True)
        assert mc.get("a") == b"2"  # on the same connection
        with pytest.raises(MemcacheServerError, match="not confirmed"):
            mc.delete("a")
        assert kt.count() == 0


def test_confirmed(tmp_path: Path) -> None:
    ack = ("-sid", "1", "-ulog", "log", "-ack", "1", "-ack-timeout", str(SECONDS))
    with Front(tmp_path / "master", *ack) as master:
        slave = Front(tmp_path / "slave", "-sid", "2", *following(master))
        with slave, master.client() as mc, slave.client() as reader:
            for number in range(20):
                assert mc.set(str(number), b"1")
                assert reader.get(str(number)) == b"1"


@pytest.mark.parametrize("durable", ["process", "device"])
def test_what_is_acknowledged_outlives_a_kill(durable: str, tmp_path: Path) -> None:
    log = ("-sid", "1", "-ulog", "log", "-durable", durable, "-bgs", "snapshots")
    server = Front(tmp_path, *log, databases=["a.kct"])
    with server:
        with server.client() as mc:
            for number in range(100):
                assert mc.set(str(number), b"1")
        server.kill()
        server.start()
        with server.client() as mc:
            assert len(mc.get_many([str(number) for number in range(100)])) == 100


def test_the_end_waits_for_requests(front: Front) -> None:
    with Peer(front) as peer:
        peer.ask(b"set a 0 0 1\r\nx\r\n", b"STORED\r\n")
        assert front.stop() == 0
        assert peer.ended() == b""


# Options


def test_options() -> None:
    assert memcached_options("") == MemcachedOptions()
    assert memcached_options("host=::1#port=1#tout=2.5#th=3#opts=fq#qtout=4") == MemcachedOptions(
        host="::1", port=1, timeout=2.5, threads=3, flags=True, queues=True, queue_timeout=4.0
    )
    options = tycoon_options("p", ["-host", "127.0.0.2", "-plsv", PLUGIN, "-th", "4"])
    assert options.front == Place("127.0.0.2", 11211, 30.0)
    assert options.threads == 16
    assert tycoon_options("p", ["-plex", "nonsense"]).front is None
    plain = tycoon_options("p", ["-port", "0", "-host", "/s", "-plsv", "ktplugservmemc.so"])
    assert plain.front == Place(None, 11211, 30.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-plsv other.so", "no such plug-in server here, only ktplugservmemc.so"),
        (f"-plsv {PLUGIN} -plex port=0", "port=0: a port is a number from 1 to 65535"),
        (f"-plsv {PLUGIN} -plex bind=1", "bind=1: there are host, port, tout, th, opts and qtout"),
        (f"-plsv {PLUGIN} -plex opts=fx", "opts=fx: x: the options are f, q, r"),
        (f"-plsv {PLUGIN} -plex opts=qr", "cannot be read-only"),
        (f"-plsv {PLUGIN} -plex tout=soon", "tout=soon: this is not a number of seconds"),
    ],
)
def test_wrong_options(words: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        tycoon_options("kt-tycoon", words.split())


def test_a_port_that_is_taken(front: Front, tmp_path: Path) -> None:
    other = Front(tmp_path / "other")
    other.command[other.command.index("-plex") + 1] = f"port={front.front}"
    assert f"cannot listen on {HOST}:{front.front}" in refused(other)


def test_a_time_out_of_its_own(tmp_path: Path) -> None:
    with Front(tmp_path, more="#tout=1") as server, Peer(server) as peer, Peer(server) as idle:
        peer.socket.sendall(b"set a 0 0 5\r\n")
        assert peer.ended() == b""
        idle.ask(b"get a\r\n", b"END\r\n")  # waiting for a next request is no offence


# Tools of libmemcached


def test_tools_of_libmemcached(front: Front, tmp_path: Path) -> None:
    missing = [name for name in ("memccp", "memccat", "memcrm") if not shutil.which(name)]
    if missing:
        pytest.skip(f"libmemcached's tools are not there: {', '.join(missing)}")

    def run(name: str, *args: str) -> str:
        command = [name, f"--servers={HOST}:{front.front}", *args]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path
        ).stdout

    (tmp_path / "record").write_text("some text\n")
    run("memccp", "record")
    assert run("memccat", "record") == "some text\n\n"
    run("memcrm", "record")
    with front.client() as mc:
        assert mc.get("record") is None
