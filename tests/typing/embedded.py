"""What a type checker knows about embedded servers. Checked, never run."""

from typing import Any, assert_type

from kt import (
    KT_JSON,
    EmbeddedServer,
    EmbeddedTokyoTyrantServer,
    KyotoTycoon,
    TokyoTyrant,
)


def tycoon() -> None:
    with EmbeddedServer(database=["*", "%"], server_args=("-th", "2")) as server:
        assert_type(server, EmbeddedServer)
        assert_type(server.client, KyotoTycoon[str, str])
        assert_type(server.client.get("k"), str | None)
        assert_type(server.connect(serializer=KT_JSON), KyotoTycoon[Any, Any])
        assert_type(server.run(), bool)
        assert_type(server.stop(), bool)
        assert_type(server.port, int)
        assert_type(KyotoTycoon(port=server.port), KyotoTycoon[str, str])
        assert_type(server.pid, int | None)


def tyrant() -> None:
    with EmbeddedTokyoTyrantServer(database="casket.tcb") as server:
        assert_type(server, EmbeddedTokyoTyrantServer)
        assert_type(server.client, TokyoTyrant[str, str])
        assert_type(server.client.get("k"), str | None)
