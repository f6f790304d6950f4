"""Databases for the tests of back ends: a server's, the original's, and one in this process.

===========  =====================================================================================
place        what to give to a back end: a URL, or a client; the database is empty
===========  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.embedded import EmbeddedServer
from tests.conftest import LOCAL, tycoon_of


@pytest.fixture(scope="session")
def contrib_server(tycoon_way: str) -> Iterator[EmbeddedServer]:
    with tycoon_of(tycoon_way, ["*", "*"]) as server:
        yield server


@pytest.fixture
def place(contrib_server: EmbeddedServer, tycoon_way: str) -> str | KyotoTycoon[Any, Any]:
    """What to give to a back end: the URL of a server's second database, or a client."""
    client: KyotoTycoon[Any, Any] = contrib_server.connect(default_db=1)
    client.clear()
    if tycoon_way == LOCAL:
        return client
    client.close()
    return f"kt://{contrib_server.host}:{contrib_server.port}/1"
