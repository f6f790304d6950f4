"""Kyoto Tycoon's procedures on kt-tycoon, as far as recorded traffic does not show them."""

from __future__ import annotations

import pytest

from kt.server.tycoon.large import pack_large_rpc_reply
from kt.wire.columns import column_encoding
from kt.wire.tycoon_rpc import decode_columns, pack_rpc_reply

from ..conftest import StartServer
from ..http_client import Caller
from ..processes import ServerProcess

NO_RECORD = "DB: 7: no record: no record"


# Waiting and signals


def wait_until_waiting(call: Caller, count: int) -> None:
    """Wait until so many connections wait for something."""
    while call("report")[1]["serv_task_count"] != str(count):
        pass


def test_a_signal_wakes_who_waits_longest(server: ServerProcess, call: Caller) -> None:
    with Caller(server) as first, Caller(server) as second:
        for number, waiting in enumerate((first, second)):
            waiting.send("echo", WAIT="c", WAITTIME=60, number=number)
            wait_until_waiting(call, number + 1)
        assert call("void", SIGNAL="c") == (200, {"SIGNALED": "2"})
        assert first.receive()[1]["number"] == "0"
        wait_until_waiting(call, 1)
        assert call("void", SIGNAL="c") == (200, {"SIGNALED": "1"})
        assert second.receive()[1]["number"] == "1"


def test_a_broadcast_wakes_all(server: ServerProcess, call: Caller) -> None:
    waiting = [Caller(server) for _ in range(20)]  # more than there are threads
    for caller in waiting:
        caller.send("void", WAIT="c", WAITTIME=60)
    wait_until_waiting(call, 20)
    assert call("set", key="k", value="v", SIGNAL="c", SIGNALBROAD="") == (200, {"SIGNALED": "20"})
    assert [caller.receive() for caller in waiting] == [(200, {})] * 20
    for caller in waiting:
        caller.socket.close()


def test_woken_calls_may_signal_the_next(server: ServerProcess, call: Caller) -> None:
    chain = [Caller(server) for _ in range(50)]
    for number, caller in enumerate(chain):
        caller.send("void", WAIT=number, WAITTIME=60, SIGNAL=number + 1)
    wait_until_waiting(call, 50)
    call("void", SIGNAL=0)
    replies = [caller.receive() for caller in chain]
    assert replies == [(200, {"SIGNALED": "1"})] * 49 + [(200, {"SIGNALED": "0"})]
    for caller in chain:
        caller.socket.close()


def test_who_has_gone_takes_no_signal(server: ServerProcess, call: Caller) -> None:
    with Caller(server) as gone, Caller(server) as waiting:
        gone.send("void", WAIT="c", WAITTIME=60)
        wait_until_waiting(call, 1)
        waiting.send("void", WAIT="c", WAITTIME=60)
        wait_until_waiting(call, 2)
        gone.socket.close()
        wait_until_waiting(call, 1)
        assert call("void", SIGNAL="c") == (200, {"SIGNALED": "1"})
        assert waiting.receive() == (200, {})


def test_requests_behind_a_waiting_one_wait_too(server: ServerProcess, call: Caller) -> None:
    with Caller(server) as waiting:
        waiting.send("void", WAIT="c", WAITTIME=60)
        waiting.send("echo", after="it")
        wait_until_waiting(call, 1)
        call("void", SIGNAL="c")
        assert waiting.receive() == (200, {})
        assert waiting.receive() == (200, {"after": "it"})


# Cursors


def test_cursors_belong_to_their_connection(server: ServerProcess, call: Caller) -> None:
    for key in "abc":
        call("set", DB=1, key=key, value=key.upper())
    with Caller(server) as other:
        assert call("cur_jump", DB=1, CUR=7) == (200, {})
        assert other("cur_jump", DB=1, CUR=7, key="c") == (200, {})
        assert call("cur_get", CUR=7, step="") == (200, {"key": "a", "value": "A"})
        assert other("cur_seize", CUR=7) == (200, {"key": "c", "value": "C"})
        assert call("cur_get_key", CUR=7) == (200, {"key": "b"})
        assert other("cur_get_value", CUR=7) == (450, {"ERROR": NO_RECORD})
        assert other("cur_get", CUR=8)[0] == 450
        assert other("cur_get", CUR="x") == (400, {"ERROR": "no such cursor"})


def test_many_records_of_a_cursor(call: Caller) -> None:
    for key in "abcde":
        call("set", DB=1, key=key, value=key.upper())
    call("set", DB=1, key="cc", value="gone", xt=-1)
    call("cur_jump", DB=1, CUR=7)
    assert call("cur_get", CUR=7, step="", max=2) == (200, {"_000a": "A", "_001b": "B"})
    assert call("cur_get", CUR=7, max=3) == (200, {"key": "c", "value": "C"})
    assert call("cur_get", CUR=7, step="", max=2) == (200, {"_000c": "C", "_001d": "D"})
    assert call("cur_get", CUR=7, step="", max=-1) == (200, {"_000e": "E"})
    assert call("cur_get", CUR=7, step="", max=2) == (450, {"ERROR": NO_RECORD})


@pytest.mark.parametrize("procedure", ["cur_get_key", "cur_get"])
def test_many_records_come_in_the_order_of_a_hash_table(call: Caller, procedure: str) -> None:
    for number in range(100):
        call("set", key=f"{number:03}", value="v")
    call("cur_jump", CUR=7)
    singly = [call("cur_get_key", CUR=7, step="")[1]["key"] for _ in range(100)]
    assert singly != sorted(singly)
    call("cur_jump", CUR=7)
    found = [name for _ in range(4) for name in call(procedure, CUR=7, step="", max=25)[1]]
    assert [name[4:] for name in found] == singly
    assert [name[:4] for name in found] == [f"_{place:03}" for place in range(25)] * 4


def test_records_of_a_cursor_that_are_too_large_for_one_reply(call: Caller) -> None:
    sizes = {"a": 10, "b": 5 << 20, "c": 10, "d": 200 << 10, "e": 200 << 10, "f": 10}
    for key, size in sizes.items():
        call("set", DB=1, key=key, value=key * size)
    call("cur_jump", DB=1, CUR=7)
    pages = []
    while (page := call("cur_get", CUR=7, step="", max=100))[0] == 200:
        pages.append({key: len(value) for key, value in page[1].items()})
    assert page == (450, {"ERROR": NO_RECORD})
    assert pages[0] == {"_000a": 10}  # the next value is for a worker thread
    assert pages[1] == {"_000b": 5 << 20}
    assert pages[2:] == [{"_000c": 10, "_001d": 200 << 10, "_002e": 200 << 10}, {"_000f": 10}]


def test_many_keys_of_a_cursor(call: Caller) -> None:
    for key in "abcde":
        call("set", DB=1, key=key, value=key)
    call("cur_jump", DB=1, CUR=7)
    assert call("cur_get_key", CUR=7, step="", max=3) == (
        200,
        {"_000a": "", "_001b": "", "_002c": ""},
    )
    assert call("cur_get_key", CUR=7, max=3) == (200, {"key": "d"})
    assert call("cur_get_key", CUR=7, step="", max=-1) == (200, {"_000d": ""})
    assert call("cur_get_key", CUR=7, step="", max=3) == (200, {"_000e": ""})
    assert call("cur_get_key", CUR=7, step="", max=3) == (450, {"ERROR": NO_RECORD})


def test_deleting_a_cursor(call: Caller) -> None:
    assert call("cur_delete", CUR=1) == (501, {"ERROR": "not implemented: cur_delete"})
    assert call("cur_delete", CUR=1) == (200, {})


# Counts


def test_report_counts_operations_of_both_protocols(start: StartServer) -> None:
    with Caller(start("*", "%")) as call:
        call("set", key="a", value="1")
        call("add", key="a", value="1")
        call("set_bulk", DB=1, _a="1", _b="2")
        call("get_bulk", DB=1, _a="", _c="", other="")
        call("remove_bulk", DB=1, _a="", _c="")
        call("seize", key="nothing")
        call("get")
        call.http(b"GET", b"/a")
        call.http(b"DELETE", b"/b")
        call.socket.sendall(bytes.fromhex("ba00000000000000010000000000016100"[:32]))
        assert call.take(5)[0] == 0xBA
        call.take(18 + 2)
        counts = {name: int(n) for name, n in call("report")[1].items() if name[:4] == "cnt_"}
    assert counts == {
        "cnt_set": 4,
        "cnt_set_misses": 1,
        "cnt_get": 5,
        "cnt_get_misses": 2,
        "cnt_remove": 4,
        "cnt_remove_misses": 3,
        "cnt_script": 0,
        "cnt_misc": 0,
    }


def test_report_counts_commands_and_their_times(start: StartServer) -> None:
    with Caller(start("*", "%")) as call:
        call("set", key="a", value="1")  # by the engine's stream
        call("set", key="a", value="%3D", DB="none")
        call("set_bulk", DB=1, _a="1", _b="2")
        call("nothing_such")
        call("void", WAIT="signal", WAITTIME="0.5")
        call.http(b"GET", b"/a")
        call.http(b"HEAD", b"/a")
        call.http(b"BREW", b"/a")
        call.socket.sendall(bytes.fromhex("ba000000000000000100000000000161"))
        call.take(5 + 18 + 2)
        columns = call("report")[1]
        again = call("report")[1]
    commands = {name: int(n) for name, n in columns.items() if name[:4] == "cmd_"}
    assert commands == {
        "cmd_binary_get_bulk": 1,
        "cmd_rest_get": 1,
        "cmd_rest_head": 1,
        "cmd_rest_unknown": 1,
        "cmd_rpc_set": 2,
        "cmd_rpc_set_bulk": 1,
        "cmd_rpc_unknown": 1,
        "cmd_rpc_void": 1,
    }
    assert again["cmd_rpc_report"] == "1"
    times = dict(part.split("=") for part in columns["serv_times"].split())
    assert int(times["count"]) == sum(commands.values())
    places = [int(count) for name, count in times.items() if name not in ("count", "seconds")]
    assert (len(places), sum(places)) == (25, int(times["count"]))
    assert float(times["seconds"]) > 0


def test_report_tells_of_the_databases(call: Caller) -> None:
    call("set", DB=1, key="k", value="v")
    columns = call("report")[1]
    assert columns["db_0"].startswith("count=0 size=")
    assert columns["db_1"].startswith("count=1 size=")
    assert columns["db_1"].endswith(" path=%")
    assert columns["db_total_count"] == "1"


# Large bodies and replies go through worker threads


def test_large_bulk_calls(call: Caller) -> None:
    records = {f"_key{number}": f"value {number}" for number in range(20_000)}
    assert call("set_bulk", **records) == (200, {"num": "20000"})
    assert call("get_bulk", **dict.fromkeys(records, "")) == (200, {**records, "num": "20000"})
    status, columns = call("match_prefix", prefix="key1", max=5_000)
    assert (status, len(columns), columns["num"]) == (200, 5_001, "5000")
    assert call("remove_bulk", atomic="", **dict.fromkeys(records, "")) == (200, {"num": "20000"})


def test_large_values(call: Caller) -> None:
    value = "v" * 5_000_000
    assert call("set", key="k", value=value) == (200, {})
    assert call("get", key="k") == (200, {"value": value})
    assert call.http(b"PUT", b"/l", (), value.encode()).status == 201
    assert call.http(b"GET", b"/l").body == value.encode()
    assert call.http(b"HEAD", b"/l").headers[b"content-length"] == b"5000000"


@pytest.mark.parametrize("atomic", [{}, {"atomic": ""}], ids=["each", "atomic"])
def test_large_values_in_bulk(call: Caller, atomic: dict[str, str]) -> None:
    """Some are so large that they are fetched one by one."""
    records = {f"_{number}": f"{number}" * (number << 20) for number in (1, 3, 5, 6)}
    assert call("set_bulk", **atomic, **records) == (200, {"num": "4"})
    asked = dict.fromkeys([*records, "_nothing"], "")
    assert call("get_bulk", **atomic, **asked) == (200, {**records, "num": "4"})


@pytest.mark.parametrize(
    "part", [b"text ", bytes(range(256)), b"\xff"], ids=["text", "all", "high"]
)
@pytest.mark.parametrize("more", range(4))
def test_a_large_value_is_encoded_in_slices(part: bytes, more: int) -> None:
    """As in one go: base64 takes three bytes at a time."""
    value = (part * (1 << 21))[: (1 << 21) + more]
    columns = {b"a": b"1", b"b": value, b"c": b"x" * 300, b"d": b"\0" + value, b"num": b"4"}
    expected = pack_rpc_reply(
        200, columns.items(), keep_alive=True, stamp=b"Date: x\r\n", bodiless=False
    )
    pieces = pack_large_rpc_reply(
        200, dict(columns), keep_alive=True, stamp=b"Date: x\r\n", bodiless=False
    )
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    assert int(head.partition(b"Content-Length: ")[2].partition(b"\r")[0]) == len(body)
    encoding = column_encoding(
        b"text/tab-separated-values; colenc=" + head.partition(b"colenc=")[2]
    )
    assert encoding is not None
    assert decode_columns(body, encoding) == columns
    if f"colenc={encoding}".encode() in expected.partition(b"\r\n\r\n")[0]:
        assert body == expected.partition(b"\r\n\r\n")[2]
    assert max(map(len, pieces)) < 4 << 20


def test_a_call_by_head_has_no_body(call: Caller) -> None:
    reply = call.http(b"HEAD", b"/rpc/echo?a=b")
    assert reply.status == 200
    assert b"content-length" not in reply.headers
    assert call("void") == (200, {})
