"""A link shortener: ``python examples/links.py [URL]``, then

    curl --data https://example.org/a/long/one http://127.0.0.1:8000
    curl --location http://127.0.0.1:8000/CODE

The links are in a server of Kyoto Tycoon, any number of these programs with it, or without a URL in
the file links.kch of this process. A link lives for a year after it was last used.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIServer, make_server

import kt

YEAR = 365 * 86400
MOST = 2000  # bytes of a URL

Response = tuple[HTTPStatus, list[tuple[str, str]], str]


class Links:
    """Short codes of URLs. Threads and processes may use one database at a time."""

    def __init__(self, db: kt.KyotoTycoon[str, str]) -> None:
        self.db = db

    def shorten(self, url: str) -> str:
        """A code of its own: `add` stores nothing where somebody else has the same."""
        while True:
            code = secrets.token_urlsafe(5)
            if self.db.add(f"link:{code}", url, expire_time=YEAR):
                return code

    def find(self, code: str) -> str | None:
        """The URL of a code, which is counted, and lives on; None if there is none."""
        url = self.db.get(f"link:{code}")
        if url is not None:
            self.db.touch(f"link:{code}", YEAR)
            self.db.incr(f"hits:{code}", expire_time=YEAR)
        return url

    def hits(self, code: str) -> int:
        return self.db.get_int(f"hits:{code}") or 0


class Application:
    """The same for browsers, as WSGI: POST / with a URL, GET /CODE, GET /CODE+ for its count."""

    def __init__(self, links: Links) -> None:
        self.links = links

    def __call__(
        self, request: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        status, headers, text = self.answer(request)
        headers.append(("Content-Type", "text/plain; charset=utf-8"))
        start_response(f"{status.value} {status.phrase}", headers)
        return [text.encode() + b"\n"]

    def answer(self, request: dict[str, Any]) -> Response:
        method, code = request["REQUEST_METHOD"], request["PATH_INFO"].removeprefix("/")
        if method == "POST" and not code:
            return self.make(request)
        if method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, [("Allow", "GET, POST")], "GET or POST"
        if code.endswith("+"):
            return HTTPStatus.OK, [], str(self.links.hits(code[:-1]))
        url = self.links.find(code)
        if url is None:
            return HTTPStatus.NOT_FOUND, [], "There is no such link."
        return HTTPStatus.FOUND, [("Location", url)], url

    def make(self, request: dict[str, Any]) -> Response:
        length = int(request.get("CONTENT_LENGTH") or 0)
        body = request["wsgi.input"].read(length) if length <= MOST else b""
        url = body.decode("ascii", "replace").strip()
        if (
            not url.isprintable()
            or not url.isascii()
            or urlsplit(url).scheme not in {"http", "https"}
        ):
            return HTTPStatus.BAD_REQUEST, [], f"Send an http URL of at most {MOST} bytes."
        short = f"http://{request['HTTP_HOST']}/{self.links.shorten(url)}"
        return HTTPStatus.CREATED, [("Location", short)], short


class ThreadingServer(ThreadingMixIn, WSGIServer):
    """A thread for each connection."""

    daemon_threads = True


def main(url: str = "", port: str = "8000") -> None:
    with kt.KyotoTycoon.from_url(url) if url else kt.open("links.kch") as db:
        application = Application(Links(db))
        server = make_server("127.0.0.1", int(port), application, ThreadingServer)
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
