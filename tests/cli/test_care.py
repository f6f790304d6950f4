"""top, doctor, bench and convert."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from kt.cli.care import doctor
from kt.cli.care.times import Times, times_of
from kt.cli.care.top import Sample, as_table, bytes_text, one_line, sample, seconds_text
from kt.cli.target import open_target
from tests.conftest import StartTycoon, StartTyrant

from .conftest import Kt


def test_top(kt: Kt, tycoon_url: str) -> None:
    kt("set", "k", "v")
    ran = kt("top", "-n", "2", "-i", "0.01", "--json")
    assert [each["records"] for each in ran.json] == [1, 1]
    assert {"set", "misc"} <= set(ran.json[0]["rates"])
    assert "1 records" in kt("top", "-n", "1", "-i", "0.01").lines[0]
    assert kt("top", "-i", "0").status == 2
    assert kt("top", "--slow", "-1").status == 2


def test_top_shows_slow_requests(kt: Kt, tycoon_url: str) -> None:
    (shown,) = kt("top", "-n", "1", "-i", "0.01", "--slow", "0", "--json").json
    if "serv_times" in kt("report", "--json").json[0]:
        assert shown["slow"] > 0, "the report before this one is a request, too"
    else:
        assert shown["slow"] is None, "the original does not tell"


def test_times() -> None:
    text = "count=4 seconds=0.5 1us=1 2us=0 4us=2 more=1"
    later = "count=104 seconds=1.5 1us=2 2us=98 4us=2 more=2"
    first, second = times_of({"serv_times": text}), times_of({"times": later})
    assert first is not None
    assert second is not None
    assert first == Times((1e-6, 2e-6, 4e-6, inf), (1, 0, 2, 1), 0.5)
    assert second.since(first) == Times(first.limits, (1, 98, 0, 1), 1.0)
    assert second.since(first).below(0.5) == 2e-6
    assert first.below(0.99) == inf
    assert first.since(first).below(0.5) is None
    assert times_of({"cnt_get": 1}) is None
    now = sample({"serv_times": text}, {"serv_times": later, "cnt_get": 1}, 1.0)
    assert (now.half, now.most) == (2e-6, 2e-6)
    assert one_line(now).endswith("half below 2 µs, 99 % below 2 µs")
    assert [first.above(seconds) for seconds in (0, 1e-6, 1.5e-6, 4e-6, 1)] == [4, 3, 3, 1, 0]
    assert now.slow == 0.0
    slow = sample({"serv_times": text}, {"serv_times": later, "cnt_get": 1}, 2.0, 1e-6)
    assert slow.slow == 49.5
    assert one_line(slow).endswith("99 % below 2 µs, slow 49.5/s")
    assert [seconds_text(each) for each in (4e-6, 0.25, 8.4, inf)] == [
        "4 µs",
        "250.0 ms",
        "8.4 s",
        "8.4 s and more",
    ]


def test_top_of_a_tyrant(kt: Kt, tyrant_url: str) -> None:
    kt("set", "k", "v")
    (found,) = kt("top", "-n", "1", "-i", "0.01", "--json").json
    assert found["records"] == 1
    assert found["connections"] is None


def test_rates() -> None:
    before = {"cnt_get": 10, "cnt_get_misses": 0, "cnt_set": 5, "cnt_misc": 0}
    after = {"cnt_get": 30, "cnt_get_misses": 4, "cnt_set": 5, "cnt_misc": 0}
    totals = {"db_total_count": 7, "db_total_size": 2048, "sys_mem_rss": 10**6}
    now = sample(before, after | totals | {"serv_conn_count": 3}, 2.0)
    assert now == Sample({"get": 10.0, "set": 0.0}, {"get": 2.0}, 7, 2048, 10**6, 3)
    assert one_line(now) == (
        "get 10/s, set 0/s, get misses 2/s, 7 records, 2.0 KiB, memory 976.6 KiB, 3 connections"
    )
    assert as_table("kt://x", now).row_count == 2
    assert [bytes_text(size) for size in (5, 5 << 20, 5 << 30, 5 << 40)] == [
        "5 B",
        "5.0 MiB",
        "5.0 GiB",
        "5.0 TiB",
    ]


def benched(kt: Kt, url: str) -> None:
    ran = kt(url, "bench", "-n", "50", "-c", "2", "-b", "20", "--json")
    kinds = [each["kind"] for each in ran.json]
    assert kinds == ["set", "get", "incr", "set_bulk", "get_bulk", "remove"]
    assert all(each["rate"] > 0 and each["operations"] == 50 for each in ran.json)
    assert kt(url, "ls").out == b""
    assert len(kt(url, "bench", "-n", "5", "-k", "get").lines) == 1
    assert kt(url, "bench", "-k", "bogus").status == 2
    assert kt(url, "bench", "-n", "0").status == 2


def test_bench(kt: Kt, tycoon_url: str) -> None:
    benched(kt, tycoon_url)


def test_bench_of_a_tyrant(kt: Kt, tyrant_url: str) -> None:
    benched(kt, tyrant_url)


@pytest.mark.parametrize("name", ["a.kct", "a.tcb"])
def test_bench_of_a_file(kt: Kt, tmp_path: Path, name: str) -> None:
    open_target(str(tmp_path / name), create=True).close()
    benched(kt, str(tmp_path / name))


def test_doctor_of_a_file(kt: Kt, tmp_path: Path) -> None:
    for name in ("a.kch", "a.kct", "a.tch", "a.tcb"):
        path = str(tmp_path / name)
        open_target(path, create=True).close()
        assert kt(path, "doctor").out == b"nothing found\n"
    for name in ("b.kch", "b.tch"):
        path = str(tmp_path / name)
        target = open_target(f"{path}#bnum=100", create=True)
        target.client.set_bulk({b"%d" % n: b"" for n in range(doctor.FEW + 1)})
        target.close()
        (found,) = kt(path, "doctor", "--json").json
        assert "buckets" in found["text"]
        assert found["cure"].startswith(f"kt convert {path} 'NEW.")


def test_doctor_of_a_server(kt: Kt, start_tycoon: StartTycoon, tycoon_kind: str) -> None:
    if tycoon_kind == "local":
        pytest.skip("files are tested above")
    server = start_tycoon("a.kch", "*")
    ran = kt(f"kt://127.0.0.1:{server.port}", "doctor")
    assert ran.status == 1
    assert ran.lines[1].strip() == "start it with -oat (or -oas), or keep a -ulog"
    server = start_tycoon("b.kch", "*#ktopts=p", args=["-oat"])
    ran = kt(f"kt://127.0.0.1:{server.port}", "doctor")
    assert ran.status == 0
    assert ran.lines[0] == "- *: records keep no expiry there, and stay"


def test_doctor_of_a_tyrant_with_a_file(
    kt: Kt, start_tyrant: StartTyrant, tyrant_kind: str, tmp_path: Path
) -> None:
    if tyrant_kind == "local":
        pytest.skip("files are tested above")
    server = start_tyrant("a.tch")
    ran = kt(f"tt://127.0.0.1:{server.port}", "doctor")
    assert ran.status == 1
    assert ran.lines[1].strip() == "keep a -ulog; kt-tyrant also has -durable"
    server = start_tyrant("b.tch", args=["-ulog", str(tmp_path), "-sid", "1"])
    assert kt(f"tt://127.0.0.1:{server.port}", "doctor").status == 0


def test_doctor_of_a_tyrant(kt: Kt, tyrant_url: str) -> None:
    assert kt("doctor").status == 0


def test_what_the_doctor_finds() -> None:
    status: dict[str, int | float | str]
    status = {"type": doctor.FILE_HASH, "count": 50_000, "bnum": 10**6, "path": "/d/a.kch"}
    status |= {"frgcnt": 40_000, "size": 10**9, "msiz": 1 << 26, "recovered": 1}
    found = list(doctor.kyoto_database("database 0", "kt://x", 0, status))
    assert [each.text.split()[1] for each in found] == ["gaps", "MiB", "file"]
    assert [each.grave for each in found] == [False, False, True]
    status = {
        "type": doctor.FILE_TREE,
        "count": 5,
        "size": 10**9,
        "pccap": 1 << 26,
        "path": "a.kct",
    }
    (tree,) = doctor.kyoto_database("database 0", "kt://x", 0, status)
    assert tree.cure == "start it as 'a.kct#pccap=250000000'"
    report = {"cnt_get": 50_000, "cnt_get_misses": 49_000, "sys_mem_rss": 9, "sys_mem_total": 10}
    assert [each.grave for each in doctor._server(report)] == [False, True]


@pytest.mark.parametrize(("first", "second"), [("a.kch", "b.kct#psiz=4096"), ("a.tch", "b.kcd")])
def test_convert(kt: Kt, tmp_path: Path, first: str, second: str) -> None:
    source, made = str(tmp_path / first), str(tmp_path / second)
    target = open_target(source, create=True)
    target.client.set_bulk({b"%d" % n: b"v%d" % n for n in range(1000)})
    target.close()
    assert kt("convert", source, made).status == 0
    assert kt("diff", source, made, "-q").status == 0
    assert kt("convert", source, made).status == 2  # it is there
    assert kt("convert", source, "kt://127.0.0.1").status == 2


@pytest.mark.parametrize(("first", "second"), [("a.kct", "b.tct"), ("a.tct", "b.kcd")])
def test_a_conversion_that_fails_leaves_nothing(
    kt: Kt, tmp_path: Path, first: str, second: str
) -> None:
    source, made = str(tmp_path / first), tmp_path / second
    open_target(source, create=True).close()
    assert kt("convert", source, made).status == 2
    assert not made.exists()
