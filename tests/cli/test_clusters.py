"""What `kt top` and `kt exporter` make of a gateway's report."""

from __future__ import annotations

from kt.cli.care.clusters import ClusterSample, clusters_of
from kt.cli.care.metrics import Sample, samples
from kt.cli.care.top import one_line, sample

BEFORE = {
    "cluster_0": "nodes=7 masters=3 complete=1 retries=5 retries_MOVED=5"
    " replicas=3 slots=16384 acks=10 ack_seconds=1.000000",
    "cnt_requests": 10,
}
AFTER = {
    "cluster_0": "nodes=7 masters=3 complete=1 retries=9 retries_LOST=3 retries_MOVED=6"
    " replicas=2 slots=10923 acks=14 ack_seconds=1.010000",
    "cnt_requests": 30,
}


def test_what_was_between_two_reports() -> None:
    [found] = clusters_of(BEFORE, AFTER, 2.0)
    assert found.ack is not None
    assert found._replace(ack=round(found.ack, 6)) == ClusterSample(
        7, 3, 2, 10923, {"LOST": 1.5, "MOVED": 0.5}, 0.0025
    )


def test_a_line_for_people() -> None:
    line = one_line(sample(BEFORE, AFTER, 2.0))
    assert line.endswith(
        "cluster 0: 3 masters, 2 replicas, 10923 of 16384 slots served, LOST 1.5/s, MOVED 0.5/s,"
        " confirmed after 2.5 ms"
    )
    assert one_line(sample(AFTER, AFTER, 2.0)).endswith("10923 of 16384 slots served")


def test_other_servers_have_no_cluster() -> None:
    assert sample({"cnt_get": 1}, {"cnt_get": 2}, 1.0).clusters == ()


def test_metrics() -> None:
    report = AFTER | {"conf_kt_version": "1", "cluster_2": "nodes=1 slots=0"}
    assert [each for each in samples(report) if each.name.startswith("kt_cluster_")] == [
        Sample("kt_cluster_nodes", ("0",), 7),
        Sample("kt_cluster_masters", ("0",), 3),
        Sample("kt_cluster_retries", ("0", "LOST"), 3),
        Sample("kt_cluster_retries", ("0", "MOVED"), 6),
        Sample("kt_cluster_replicas", ("0",), 2),
        Sample("kt_cluster_slots", ("0",), 10923),
        Sample("kt_cluster_acks", ("0",), 14),
        Sample("kt_cluster_ack_seconds", ("0",), 1.01),
        Sample("kt_cluster_nodes", ("2",), 1),
        Sample("kt_cluster_slots", ("2",), 0),
    ]
