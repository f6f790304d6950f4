"""The programs of examples/ do what they say, each run as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

import kt

from .cluster.conftest import must_be_here
from .cluster.nodes import LocalCluster
from .conftest import StartTycoon

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs/examples.md"
EXCERPT = re.compile(r"\[examples/(\w+\.py)\](?:(?!\n## ).)*?\n```python\n(.+?)```", re.DOTALL)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs keep their files in the current directory."""
    monkeypatch.chdir(tmp_path)


def run(name: str, *args: str) -> list[str]:
    """Run an example to its end and return the lines it prints."""
    command = [sys.executable, EXAMPLES / name, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def running(name: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run an example that goes on until it is ended."""
    command = [sys.executable, EXAMPLES / name, *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(address: str, method: str, path: str, body: str = "") -> tuple[int, str, str]:
    """Status, Location and text of an answer."""
    with closing(HTTPConnection(address.removeprefix("http://"))) as connection:
        connection.request(method, path, body)
        response = connection.getresponse()
        text = response.read().decode().rstrip("\n")
        return response.status, response.headers.get("Location", ""), text


def use_links(address: str) -> None:
    long = "https://example.org/a/long/one"
    status, short, _ = ask(address, "POST", "/", long)
    assert (status, short.startswith(f"{address}/")) == (201, True)
    code = short.removeprefix(address)
    assert ask(address, "GET", f"{code}+")[2] == "0"
    assert [ask(address, "GET", code)[:2] for _ in range(3)] == [(302, long)] * 3
    assert ask(address, "GET", f"{code}+")[2] == "3"
    assert ask(address, "GET", "/nothing")[0] == 404
    assert ask(address, "PUT", code)[0] == 405
    for wrong in (
        "",
        "javascript:alert()",
        "https://example.org/\r\nX: y",
        "http://é",
        "http:" * 900,
    ):
        assert ask(address, "POST", "/", wrong)[0] == 400, wrong


def test_links_in_this_process() -> None:
    with running("links.py", "", "0") as process:
        assert process.stdout
        use_links(process.stdout.readline().strip())
    with kt.open("links.kch") as db:
        assert len(db.match_prefix("link:")) == 1
        assert db.ttl(db.match_prefix("link:")[0]) > 300 * 86400


@pytest.mark.usefixtures("tycoon_program")
def test_links_with_a_server(start_tycoon: StartTycoon) -> None:
    server = start_tycoon("*")
    url = f"kt://{server.host}:{server.port}"
    with running("links.py", url, "0") as one, running("links.py", url, "0") as other:
        assert one.stdout
        assert other.stdout
        first, second = one.stdout.readline().strip(), other.stdout.readline().strip()
        use_links(first)
        _, short, _ = ask(first, "POST", "/", "http://example.org/")
        assert ask(second, "GET", short.removeprefix(first))[1] == "http://example.org/"


def test_duplicates() -> None:
    Path("a/b").mkdir(parents=True)
    for number, name in enumerate(["a/one", "a/b/two", "a/b/with \n line", "a/\udcff"]):
        Path(os.fsencode(name).decode(errors="surrogateescape")).write_bytes(b"equal" * 99)
        Path(f"a/other{number}").write_text(f"another {number}")  # of one size, each different
    Path("a/empty").touch()
    Path("a/b/empty").touch()
    Path("a/b/link").symlink_to("two")
    Path("a/x").write_bytes(b"pair")
    Path("a/y").write_bytes(b"pair")
    command = [sys.executable, EXAMPLES / "duplicates.py", "a"]
    done = subprocess.run(
        command,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:surrogateescape"},
    )
    groups = [os.fsencode(name) for name in ["a/b/two", "a/b/with \n line", "a/one", "a/\udcff"]]
    assert done.stdout == b"\n".join(groups) + b"\n\na/x\na/y\n\n"


def test_notes() -> None:
    assert run("notes.py", "add", "Tomatoes want sun", "--tag", "garden") == [
        "1  Tomatoes want sun #garden"
    ]
    assert run("notes.py", "add", "Sunday: call Ada", "--tag", "family", "--tag", "calls") == [
        "2  Sunday: call Ada #family #calls"
    ]
    assert run("notes.py", "find", "SUN") == [
        "2  Sunday: call Ada #family #calls",
        "1  Tomatoes want sun #garden",
    ]
    assert run("notes.py", "find", "sun", "want") == ["1  Tomatoes want sun #garden"]
    assert run("notes.py", "list", "--tag", "calls") == ["2  Sunday: call Ada #family #calls"]
    assert run("notes.py", "remove", "1") == []
    assert len(run("notes.py", "list")) == 1
    command = [sys.executable, EXAMPLES / "notes.py", "remove", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "There is no note 1.\n")


def rows() -> dict[str, str]:
    with closing(sqlite3.connect("mirror.sqlite", timeout=60)) as sql:
        return dict(sql.execute("SELECT key, value FROM records WHERE db = 0"))


def wait_for(expected: dict[str, str]) -> None:
    """Wait until the mirror has just these records; pytest's timeout is the limit."""
    while True:
        try:
            if rows() == expected:
                return
        except sqlite3.OperationalError:  # its tables are not made yet
            pass
        time.sleep(0.01)


@pytest.mark.usefixtures("tycoon_program")
def test_mirror_goes_on_where_it_was_killed(start_tycoon: StartTycoon) -> None:
    server = start_tycoon("*", args=["-ulog", "ulog", "-sid", "1"])
    url = f"kt://{server.host}:{server.port}"
    with kt.KyotoTycoon(server.host, server.port) as db:
        db.set_bulk({"a": "1", "b": "2", "c": "3"})
        db.remove("b")
        with running("mirror.py", url, "mirror.sqlite") as process:
            wait_for({"a": "1", "c": "3"})
            db.set("d", "4")
            wait_for({"a": "1", "c": "3", "d": "4"})
            process.send_signal(signal.SIGKILL)
        db.clear()
        expected = {f"key{number}": str(number) for number in range(300)}
        db.set_bulk(expected)
        with running("mirror.py", url, "mirror.sqlite"):
            wait_for(expected)


class Web(BaseHTTPRequestHandler):
    """A web server that counts how often it is asked for each page."""

    asked: dict[str, int]

    def do_GET(self) -> None:
        self.asked[self.path] = self.asked.get(self.path, 0) + 1
        self.send_response(404 if self.path == "/missing" else 200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def web() -> Iterator[ThreadingHTTPServer]:
    Web.asked = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_fetch(web: ThreadingHTTPServer) -> None:
    site = f"http://127.0.0.1:{web.server_port}"
    twice = [f"{site}/page{number}" for number in (1, 2, 3)] * 2
    assert run("fetch.py", *twice, f"{site}/missing", "ftp://nowhere") == [
        *[f"{6:10,} bytes  {url}" for url in twice],
        f"{'failed':>16}  {site}/missing: HTTP Error 404: Not Found",
        f"{'failed':>16}  ftp://nowhere: ftp://nowhere is no http URL",
        "3 of 8 from the web",
    ]
    assert run("fetch.py", *twice)[-1] == "0 of 6 from the web"
    assert Web.asked == {"/page1": 1, "/page2": 1, "/page3": 1, "/missing": 1}


def test_the_page_shows_what_is_in_the_programs() -> None:
    excerpts = EXCERPT.findall(PAGE.read_text(encoding="utf-8"))
    assert {name for name, _ in excerpts} == {
        "links.py",
        "duplicates.py",
        "notes.py",
        "mirror.py",
        "fetch.py",
        "outgrow.py",
    }
    for name, excerpt in excerpts:
        assert excerpt in (EXAMPLES / name).read_text(encoding="utf-8"), name


def test_outgrow_reads_on_while_a_master_dies(start_tycoon: StartTycoon, tmp_path: Path) -> None:
    must_be_here("valkey")
    server = start_tycoon("*")
    with kt.KyotoTycoon(server.host, server.port) as db:
        db.set_bulk({f"key{number}": str(number) for number in range(1000)})
    url = f"kt://{server.host}:{server.port}"
    with (
        LocalCluster(tmp_path / "nodes") as cluster,
        running("outgrow.py", url, cluster.url(layout="flat", timeout=60)) as process,
    ):
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("the cluster has the same records" in line for line in lines)
        assert next(lines).endswith(" ms\n")
        cluster.nodes[0].kill()
        replica = cluster.nodes[cluster.masters]
        while b"master" not in replica.ask("ROLE")[0]:
            assert " reads, the slowest in " in next(lines)
        for _ in range(3):
            assert " reads, the slowest in " in next(lines)
        assert process.poll() is None
