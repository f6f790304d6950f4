"""Lines of `kt`, run in this process, and what they print."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from kt.cli.program import main
from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer


class Ran(NamedTuple):
    """What a line printed, and how it ended."""

    status: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()

    @property
    def json(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Kt = Callable[..., Ran]


@pytest.fixture
def kt(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Kt:
    """Run a line; its words may be anything, and `stdin` is what it can read."""

    def run(*words: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main([str(word) for word in words])
        out, err = capsysbinary.readouterr()
        assert b"Traceback" not in err
        return Ran(status, out, err.decode())

    return run


@pytest.fixture
def tycoon_url(
    tycoon_server: EmbeddedServer, tycoon: object, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The URL of an empty server, which is in the environment, too."""
    url = f"kt://127.0.0.1:{tycoon_server.port}"
    monkeypatch.setenv("KT_URL", url)
    return url


@pytest.fixture
def tyrant_url(
    tyrant_server: EmbeddedTokyoTyrantServer, tyrant: object, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The same for Tokyo Tyrant."""
    url = f"tt://127.0.0.1:{tyrant_server.port}"
    monkeypatch.setenv("KT_URL", url)
    return url
