"""`kt.connect` takes the URLs of servers, too, and says whose client it is asked for."""

from __future__ import annotations

import pytest

import kt
from kt.errors import ArgumentError


@pytest.mark.parametrize("url", ["kt://h", "kts://h:1/1", "kt+unix:///path", "valkey://h:1/0"])
def test_clients_of_kyoto_tycoon(url: str) -> None:
    assert isinstance(kt.connect(url, server="tycoon"), kt.KyotoTycoon)
    assert isinstance(kt.connect_async(url), kt.AsyncKyotoTycoon)


@pytest.mark.parametrize("url", ["tt://h", "tts://h:1", "tt+unix:///path"])
def test_clients_of_tokyo_tyrant(url: str) -> None:
    assert isinstance(kt.connect(url, server="tyrant"), kt.TokyoTyrant)
    assert isinstance(kt.connect_async(url, server="tyrant"), kt.AsyncTokyoTyrant)


@pytest.mark.parametrize(
    ("url", "server"), [("kt://h", "tyrant"), ("valkey://h:1/0", "tyrant"), ("tt://h", "tycoon")]
)
def test_another_server_is_refused(url: str, server: str) -> None:
    for connect in (kt.connect, kt.connect_async):
        with pytest.raises(ArgumentError, match=f"no URL for the client of server='{server}'"):
            connect(url, server=server)  # type: ignore[call-overload]
