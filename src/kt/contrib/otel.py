"""OpenTelemetry: the calls of a client as spans and as a metric.

::

    from kt.contrib.otel import traced

    db = traced(KyotoTycoon("localhost"))

Names and attributes follow OpenTelemetry's semantic conventions for clients of databases: a span
of kind CLIENT for each call, named after the method, and the histogram
``db.client.operation.duration`` in seconds. A pipeline is one call.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from kt.errors import ServerError
from kt.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from kt.client.base import Client
    from kt.client.base_async import AsyncClient

    C = TypeVar("C", bound=Client[Any, Any] | AsyncClient[Any, Any])

# Seconds, as the conventions advise.
BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]


class Telemetry:
    """Tells OpenTelemetry of a client's calls.

    Args:
        system: name of the kind of database.
        host, port: of the server; port 0 for a Unix socket.
        tracer_provider, meter_provider: where to; None for the global ones.
    """

    def __init__(
        self,
        system: str,
        host: str,
        port: int,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._attributes: dict[str, str | int] = {"db.system.name": system, "server.address": host}
        if port:
            self._attributes["server.port"] = port
        self._tracer = trace.get_tracer("kt", VERSION, tracer_provider)
        self._duration = metrics.get_meter("kt", VERSION, meter_provider).create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )

    def __call__(self, name: str, seconds: float, error: BaseException | None) -> None:
        end = time_ns()
        attributes = {**self._attributes, "db.operation.name": name}
        if error is not None:
            attributes["error.type"] = f"{type(error).__module__}.{type(error).__qualname__}"
            if isinstance(error, ServerError) and error.code is not None:
                attributes["db.response.status_code"] = str(error.code)
        span = self._tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes=attributes, start_time=end - int(seconds * 1e9)
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, str(error)))
        span.end(end)
        self._duration.record(seconds, attributes)


def traced(
    client: C,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> C:
    """Return a client with the same connections whose calls are told to OpenTelemetry.

    Args:
        client: of either kind of server, blocking or for asyncio. Its own `on_call` goes on.
        tracer_provider, meter_provider: where to; None for the global ones.
    """
    telemetry = Telemetry(client._system, client.host, client.port, tracer_provider, meter_provider)
    return cast("C", client._observed_by(telemetry))
