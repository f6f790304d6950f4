"""`kt tcrmgr http`: fetches a URL, as tcrmgr does for servers that speak HTTP."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from kt.cli.commands import Call, flag, option, verb, word
from kt.cli.faults import Usage
from kt.errors import ServerConnectionError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

PORT: Final = 80
PIECE: Final = 64 * 1024


@verb(
    word("resource", shown="URL"),
    option("ah", "-ah", nargs=2, multiple=True, help="A header to send: its name and its value."),
    flag("ih", "-ih", help="Write the status and the headers of the reply, too."),
    kind="tyrant",
)
def do_http(call: Call, resource: str, ah: tuple[tuple[str, str], ...], ih: bool) -> None:
    """Fetch what is at a URL of HTTP and write it, whatever its status is."""
    place = _place(resource)
    connection = HTTPConnection(place.hostname or "", place.port or PORT, timeout=call.timeout)
    try:
        path = (place.path or "/") + (f"?{place.query}" if place.query else "")
        connection.request("GET", path, headers=dict(ah))
        _show(call, connection.getresponse(), ih)
    except (OSError, HTTPException) as error:
        raise ServerConnectionError(f"cannot fetch {resource}: {error}", sent=True) from error
    except ValueError as error:  # headers, or a path, that cannot be sent
        raise Usage(str(error)) from None
    finally:
        connection.close()


def _place(url: str) -> SplitResult:
    place = urlsplit(url)
    try:
        if place.scheme == "http" and place.hostname and place.port != 0:
            return place
    except ValueError:  # the port is no number
        pass
    raise Usage(f"a URL is http://HOST:PORT/PATH, not {url!r}")


def _show(call: Call, reply: HTTPResponse, headers: bool) -> None:
    if headers:
        version = f"HTTP/{reply.version // 10}.{reply.version % 10}"
        lines = [f"{version} {reply.status} {reply.reason}".rstrip()]
        lines += [f"{name.title()}: {value}" for name, value in reply.headers.items()]
        call.out.raw("".join(f"{line}\n" for line in [*lines, ""]).encode("latin-1", "replace"))
    while piece := reply.read(PIECE):
        call.out.raw(piece)
