"""The verb `exporter`: metrics of servers for Prometheus, over HTTP or printed once."""

from __future__ import annotations

import sys
from typing import Final

from kt.cli.commands import Call, flag, option, verb, word
from kt.cli.faults import Usage
from kt.cli.target import is_file

LISTEN: Final = "127.0.0.1:9978"
TIMEOUT: Final = 5.0
"""Seconds that a server may take; Prometheus itself waits for ten."""


def address(text: str) -> tuple[str, int]:
    """Read HOST:PORT, [HOST]:PORT or :PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise Usage(f"--listen takes HOST:PORT, not {text!r}")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104


@verb(
    word("servers", many=True, required=False, shown="[URL]..."),
    option("listen", "--listen", default=LISTEN, help=f"HOST:PORT; {LISTEN} unless given."),
    flag("once", "--once", help="Print the metrics once, and end."),
)
def do_exporter(call: Call, servers: tuple[str, ...], listen: str, once: bool) -> None:
    """Give metrics of one or many servers to Prometheus, at http://127.0.0.1:9978/metrics.

    Servers are asked when Prometheus asks, all at once, each for 5 seconds at most (--timeout); one
    that does not answer is kt_up 0. With --once, for the text files of node_exporter.
    """
    urls = list(dict.fromkeys((*((call.url,) if call.is_told or not servers else ()), *servers)))
    if files := [url for url in urls if is_file(url)]:
        raise Usage(f"{files[0]} is a file; metrics are had of servers")
    host, port = address(listen)
    try:
        from kt.cli.care.metrics import ServerCollector
    except ModuleNotFoundError as error:
        raise Usage(f"{error}: pip install 'kyototycoon[exporter]' brings it") from None
    from prometheus_client import CollectorRegistry, generate_latest, start_http_server

    registry = CollectorRegistry()
    registry.register(ServerCollector(urls, call.given_timeout or TIMEOUT))
    if once:
        call.out.raw(generate_latest(registry))
        return
    server, thread = start_http_server(port, host, registry)
    try:
        print(f"metrics: http://{host}:{server.server_port}/metrics", file=sys.stderr, flush=True)
        thread.join()
    finally:
        server.shutdown()
        server.server_close()
