"""The mapping without sockets: which commands go out, and what the replies mean."""

from __future__ import annotations

from binascii import crc_hqx
from typing import Any

import pytest

from kt.cluster.answers import Session, read_request, refusal
from kt.cluster.commands import EVERY, Command, Failure, Steps
from kt.cluster.contract import edit_distance
from kt.cluster.database import Database
from kt.cluster.layout import FOREVER, SLOTS, Flat, Tree, slot_of, tags, unpack_value
from kt.cluster.numbers import added, double, fixed_point
from kt.cluster.settings import parse_valkey_url
from kt.cluster.walks import with_prefix
from kt.errors import ArgumentError, ImproperlyConfigured, ReplyLostError
from kt.wire.reading import Incomplete
from kt.wire.resp import RespError
from kt.wire.tycoon import NEVER, pack_get, pack_get_bulk_details, pack_play_script, pack_set
from kt.wire.tycoon_rpc import pack_http_request, pack_rpc, read_rpc_reply

NOW = 1000
FLAT = "valkey://h:1/0?layout=flat"
TREE = "valkey://h:1/0?layout=tree&buckets=4"


def database(url: str) -> Database:
    return Database(parse_valkey_url(url), lambda: NOW + 0.5)


def drive(steps: Steps[Any], *replies: list[Any]) -> tuple[list[list[Command]], Any]:
    """The rounds of commands that an operation asks for, and its result."""
    rounds = []
    try:
        commands = next(steps)
        for reply in replies:
            rounds.append(commands)
            assert len(reply) == len(commands)
            commands = steps.send(reply)
    except StopIteration as stop:
        return rounds, stop.value
    raise AssertionError("it asks for more")


def one(steps: Steps[Any], reply: Any) -> tuple[Command, Any]:
    """The only command of an operation, and its result."""
    [[command]], result = drive(steps, [reply])
    return command, result


# ------------------------------------------------------------------------------------------- layout


def test_a_flat_name_is_hashed_whole() -> None:
    for key in (b"a", b"{x}a", b"}{", b""):
        [name], slot = Flat(b"k").place(key)
        assert name == b"k{}" + key
        assert slot == slot_of(name) == crc_hqx(name, 0) % SLOTS


def test_a_tag_decides_on_the_slot() -> None:
    assert slot_of(b"a{tag}b") == slot_of(b"tag") == slot_of(b"{tag}")
    assert slot_of(b"a{tag") == crc_hqx(b"a{tag", 0) % SLOTS


@pytest.mark.parametrize("buckets", [1, 2, 256, 1024])
def test_buckets_are_spread_evenly(buckets: int) -> None:
    assert [slot_of(tag) for tag in tags(buckets)] == [
        bucket * SLOTS // buckets for bucket in range(buckets)
    ]
    tree = Tree(b"k", buckets)
    found = {tree.bucket(b"%d" % number).index for number in range(20 * buckets)}
    assert len(found) == buckets


def test_the_names_of_a_tree_have_one_slot() -> None:
    names, slot = Tree(b"k", 4).place(b"key")
    assert {slot_of(name) for name in names} == {slot}


def test_an_expired_value_is_none() -> None:
    raw = (NOW).to_bytes(5, "big") + b"v"
    assert unpack_value(raw, NOW) == (b"v", NOW)
    assert unpack_value(raw, NOW + 1) is None
    assert unpack_value(None, NOW) is None


# --------------------------------------------------------------------------------------------- URLs


def test_a_url_says_everything() -> None:
    settings = parse_valkey_url(
        "valkeys://me:s%20cret@h1,h2:7000,[::1]:7001/3?layout=tree&buckets=64&prefix=a-b&ack=2"
        "&ack-timeout=0.5&timeout=3&scan-limit=9"
    )
    assert settings.addresses == (("h1", 6379), ("h2", 7000), ("::1", 7001))
    assert (settings.number, settings.ordered, settings.buckets) == (3, True, 64)
    assert (settings.prefix, settings.ack, settings.ack_timeout) == (b"a-b", 2, 0.5)
    assert (settings.timeout, settings.scan_limit, settings.tls) == (3, 9, True)
    assert (settings.user, settings.password) == ("me", "s cret")
    assert "cret" not in str(settings) + repr(settings)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("valkey:///0", "no host"),
        ("valkey://h:x", "node"),
        ("valkey://[::1", "node"),
        ("valkey://h,x[::1]:7001", "node"),
        ("valkey://h/one", "number"),
        ("valkey://h?layout=list", "flat or tree"),
        ("valkey://h?layout=tree&buckets=3", "power of 2"),
        ("valkey://h?prefix={", "prefix"),
        ("valkey://h?acks=1", "option 'acks'"),
        ("http://h", "valkey://"),
    ],
)
def test_a_bad_url_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        parse_valkey_url(url)


def test_a_password_may_be_in_a_file(tmp_path: Any) -> None:
    path = tmp_path / "auth"
    path.write_text("me:secret\n")
    settings = parse_valkey_url(f"valkey://h?auth-file={path}")
    assert (settings.user, settings.password) == ("me", "secret")
    with pytest.raises(ImproperlyConfigured, match="cannot be read"):
        parse_valkey_url(f"valkey://h?auth-file={path}.not")


# ------------------------------------------------------------------------------------------ records


def test_flat_uses_plain_commands() -> None:
    db = database(FLAT)
    assert one(db.get(b"a"), FOREVER + b"v") == (
        Command([b"GET", b"k{}a"], slot_of(b"k{}a"), True),
        (b"v", 2**40 - 1),
    )
    assert one(db.set(b"a", b"v", NEVER), b"OK")[0].words == [b"SET", b"k{}a", FOREVER + b"v"]
    stamp = (NOW + 5).to_bytes(5, "big")
    words = one(db.add(b"a", b"v", 5), b"OK")[0].words
    assert words == [b"SET", b"k{}a", stamp + b"v", b"EXAT", b"%d" % (NOW + 6), b"NX"]
    assert one(db.seize(b"a"), FOREVER + b"v")[0].words == [b"GETDEL", b"k{}a"]
    assert one(db.remove(b"a"), 1)[0].words == [b"DEL", b"k{}a"]


def test_a_tree_changes_record_and_index_in_one_script() -> None:
    db = database(TREE)
    for steps in (db.set(b"a", b"v", NEVER), db.add(b"a", b"v", 1), db.remove(b"a")):
        command, _ = one(steps, 1)
        assert command.words[0] == b"EVALSHA"
        assert command.words[2] == b"3"
        assert not command.reads
        assert command.script is not None


@pytest.mark.parametrize("url", [FLAT, TREE])
def test_only_what_changes_nothing_may_be_sent_again(url: str) -> None:
    db = database(url)
    assert one(db.get(b"a"), FOREVER)[0].reads
    assert one(db.check(b"a"), [FOREVER, 0])[0].reads
    for steps in (db.set(b"a", b"", 1), db.append(b"a", b"", 1), db.cas(b"a", b"", None, 1)):
        assert not one(steps, 1)[0].reads
    assert not one(db.increment(b"a", 1, 0, 1), bytes(8))[0].reads


@pytest.mark.parametrize("url", [FLAT, TREE])
def test_failures_are_worded_as_elsewhere(url: str) -> None:
    db = database(url)
    for steps, reply, text in (
        (db.get(b"a"), None, "DB: 7: no record: no record"),
        (db.check(b"a"), None, "DB: 7: no record: no record"),
        (db.seize(b"a"), None, "DB: 7: no record: no record"),
        (db.remove(b"a"), 0, "DB: 7: no record: no record"),
        (db.add(b"a", b"", 1), None if url == FLAT else 0, "DB: 6: record duplication"),
        (db.cas(b"a", None, b"", 1), 0, "DB: 8: logical inconsistency: status conflict"),
        (db.increment(b"a", 1, 0, 1), 0, "DB: 8: logical inconsistency"),
        (db.set(b"a", b"", 1), RespError(b"OOM full"), "DB: 9: system error: OOM full"),
    ):
        with pytest.raises(Failure, match=text):
            one(steps, reply)


def test_a_double_is_swapped_until_nobody_disturbs() -> None:
    db = database(FLAT)
    old = FOREVER + (1).to_bytes(8, "big") + (5 * 10**14).to_bytes(8, "big")
    rounds, total = drive(db.increment_double(b"a", 0.75, 0, NEVER), [None], [0], [old], [1])
    assert total == 2.25
    assert rounds[3][0].words[-2] == old


@pytest.mark.parametrize("number", [0.0, 1.5, -2.25, 1e18, float("inf"), float("-inf")])
def test_fixed_point_is_exact(number: float) -> None:
    assert double(*fixed_point(number)) == number


def test_a_number_that_is_none_is_not_added_to() -> None:
    assert added(b"short", 1, 0)[0] != added(b"short", 1, 0)[0]  # nan
    assert added(None, 1, float("-inf"))[1] is None


# -------------------------------------------------------------------------------------------- walks


def test_a_prefix_ends_before_its_successor() -> None:
    assert with_prefix(b"ab")[:2] == (b"[ab", b"(ac")
    assert with_prefix(b"a\xff")[:2] == (b"[a\xff", b"(b")
    assert with_prefix(b"\xff")[:2] == (b"[\xff", b"+")
    assert with_prefix(b"")[:2] == (b"-", b"+")


class Index:
    """The buckets of a tree, and what the engine would say of them."""

    def __init__(self, db: Database, keys: list[bytes]) -> None:
        self.parts: dict[bytes, list[bytes]] = {}
        for key in sorted(keys):
            names, _ = db.layout.place(key)
            self.parts.setdefault(names[1], []).append(key)

    def reply(self, command: Command) -> list[bytes]:
        verb, index, begin, end, _, _, count = command.words
        backward = verb == b"ZREVRANGEBYLEX"
        low, high = (end, begin) if backward else (begin, end)
        keys = [key for key in self.parts.get(index, []) if self.within(key, low, high)]
        return (keys[::-1] if backward else keys)[: int(count)]

    @staticmethod
    def within(key: bytes, low: bytes, high: bytes) -> bool:
        above = low == b"-" or (key >= low[1:] if low[:1] == b"[" else key > low[1:])
        return above and (high == b"+" or (key <= high[1:] if high[:1] == b"[" else key < high[1:]))


@pytest.mark.parametrize("wanted", [1, 7, 1000])
@pytest.mark.parametrize("backward", [False, True])
def test_a_walk_is_in_order_and_complete(wanted: int, backward: bool) -> None:
    from kt.cluster.walks import Bounds

    db = database(TREE)
    keys = sorted(b"%x" % (number * 7919) for number in range(200))
    index = Index(db, keys)
    walk = db.walk(Bounds(backward=backward))
    found: list[bytes] = []
    while True:
        steps = walk.more(wanted)
        try:
            commands = next(steps)
            while True:
                commands = steps.send([index.reply(command) for command in commands])
        except StopIteration as stop:
            if not stop.value:
                break
            found += stop.value
    assert found == (keys[::-1] if backward else keys)


def test_a_search_in_flat_looks_at_every_master() -> None:
    db = database(FLAT)
    line = b"%b %b@1 myself,master - 0 0 1 connected %b\n"
    of_themselves = [
        ("n1", line % (b"one", b"n1", b"0-99")),
        ("n2", line % (b"two", b"n2", b"100-16383")),
    ]
    rounds, keys = drive(
        db.match_prefix(b"a*", -1),
        [of_themselves, [("n1", [b"7", [b"k{}a*1"]]), ("n2", [b"0", [b"k{}a*2", b"k{}a*2"]])]],
        [[b"0", [b"k{}a*3"]]],
        [of_themselves],
    )
    assert sorted(keys) == [b"a*1", b"a*2", b"a*3"]
    assert rounds[0][0].slot == rounds[0][1].slot == EVERY
    assert rounds[0][1].words[3] == b"k{}a\\**"
    assert rounds[1][0].node == "n1"


def test_edit_distance() -> None:
    assert [edit_distance(b"kitten", other) for other in (b"kitten", b"sitting", b"")] == [0, 3, 6]


# ------------------------------------------------------------------------------------------ answers


def ask(session: Session, request: bytes, *replies: list[Any]) -> bytes:
    found = read_request(request, 0)
    assert not isinstance(found, Incomplete)
    assert found[1] == len(request)
    reply: bytes = drive(session.answer(found[0]), *replies)[1]
    return reply


def test_binary_requests_are_answered() -> None:
    session = Session([database(FLAT)])
    assert ask(session, pack_set(b"a", b"v", 0, NEVER, 0), [b"OK"])[:1] == b"\xb8"
    assert ask(session, pack_get(b"a", 0), [FOREVER + b"v"])[-2:] == b"av"
    assert ask(session, pack_set(b"a", b"v", 0, NEVER, 1), [b"OK"]) == b""


def nothing_sent(session: Session, request: bytes) -> bytes:
    found = read_request(request, 0)
    assert not isinstance(found, Incomplete)
    with pytest.raises(StopIteration) as stop:
        next(session.answer(found[0]))
    reply: bytes = stop.value.value
    return reply


def test_what_there_is_not_is_refused_by_name() -> None:
    session = Session([database(FLAT)])
    assert nothing_sent(session, pack_get(b"a", 1)) == b"\xba" + bytes(4)
    assert nothing_sent(session, pack_set(b"a", b"v", 1, NEVER, 0)) == b"\xb8" + bytes(4)
    assert nothing_sent(session, pack_play_script("f", {}, None)) == b"\xbf"
    for name, columns, word in (
        ("set_bulk", [("atomic", "")], b"atomic"),
        ("play_script", [("name", "f")], b"scripts"),
        ("ulog_list", [], b"update logs"),
        ("tune_replication", [], b"replication"),
        ("void", [("WAIT", "x")], b"signals"),
        ("cur_jump", [("CUR", 1), ("key", "a")], b"a cursor"),
        ("nothing", [], b"nothing"),
    ):
        reply = read_rpc_reply(nothing_sent(session, pack_rpc(name, columns)), 0)  # type: ignore[arg-type]
        assert not isinstance(reply, Incomplete)
        assert reply[0].status == 501
        assert word in reply[0].body


def test_commands_of_further_databases_say_so() -> None:
    session = Session([database(FLAT), database("valkey://h:1/1")])
    request = pack_get_bulk_details([(1, b"a"), (0, b"b"), (1, b"c")])
    found = read_request(request, 0)
    assert not isinstance(found, Incomplete)
    rounds, reply = drive(
        session.answer(found[0]), [FOREVER + b"1", FOREVER + b"3"], [FOREVER + b"2"]
    )
    assert [getattr(commands, "home", 0) for commands in rounds] == [1, 0]
    assert reply.index(b"a1") < reply.index(b"b2") < reply.index(b"c3")


def test_an_unknown_outcome_is_said_to_be_one() -> None:
    error = ReplyLostError("outcome unknown: it hung up")
    for request, begin in (
        (pack_set(b"a", b"v", 0, NEVER, 0), b"\xbf"),
        (pack_rpc("set", [("key", "a"), ("value", "v")]), b"HTTP/1.1 503"),
        (pack_http_request(b"PUT", b"/a", (), b"v"), b"HTTP/1.1 503"),
    ):
        found = read_request(request, 0)
        assert not isinstance(found, Incomplete)
        reply = refusal(found[0], error)
        assert reply.startswith(begin)
        assert begin == b"\xbf" or b"outcome unknown" in reply
