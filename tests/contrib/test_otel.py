"""Calls of clients as OpenTelemetry sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from kt import AsyncKyotoTycoon, EmbeddedServer, KyotoTycoon, ServerError
from kt.contrib.otel import traced


class Backend:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        tracer_provider = TracerProvider()
        tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = tracer_provider.get_tracer("test")
        self.providers: dict[str, Any] = {
            "tracer_provider": tracer_provider,
            "meter_provider": MeterProvider([self._metrics]),
        }

    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    def points(self) -> Iterator[HistogramDataPoint]:
        data = self._metrics.get_metrics_data()
        assert data is not None
        (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
        assert (metric.name, metric.unit) == ("db.client.operation.duration", "s")
        for point in metric.data.data_points:
            assert isinstance(point, HistogramDataPoint)
            yield point


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


def test_spans_and_durations(server: EmbeddedServer) -> None:
    backend = Backend()
    plain = KyotoTycoon(server.host, server.port, timeout=30)
    with traced(plain, **backend.providers) as db:
        with backend.tracer.start_as_current_span("handler") as parent:
            db.set("k", "v")
            with pytest.raises(ServerError):
                db.incr("k")
        plain.get("k")  # not traced
    first, second, outer = backend.spans()
    assert (first.name, second.name, outer.name) == ("set", "incr", "handler")
    assert first.kind is SpanKind.CLIENT
    assert first.parent is not None
    assert first.parent.span_id == parent.get_span_context().span_id
    assert first.attributes == {
        "db.system.name": "kyoto_tycoon",
        "db.operation.name": "set",
        "server.address": server.host,
        "server.port": server.port,
    }
    assert first.start_time is not None
    assert first.end_time is not None
    assert first.start_time < first.end_time
    assert first.status.status_code is StatusCode.UNSET
    assert second.status.status_code is StatusCode.ERROR
    assert second.attributes is not None
    assert second.attributes["error.type"] == "kt.errors.ServerError"
    assert second.attributes["db.response.status_code"] == "450"
    assert [point.count for point in backend.points()] == [1, 1]


def test_of_asyncio_and_a_hook_of_ones_own(server: EmbeddedServer) -> None:
    backend = Backend()
    told: list[str] = []

    async def main() -> None:
        own = AsyncKyotoTycoon(server.host, server.port, on_call=lambda name, *_: told.append(name))
        async with traced(own, **backend.providers) as db, db.pipeline() as pipe:
            pipe.get("k")
            pipe.get("l")

    asyncio.run(main())
    assert told == ["pipeline"]
    assert [span.name for span in backend.spans()] == ["pipeline"]
