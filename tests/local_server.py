"""Databases in this process behind the face of an embedded server, for tests of clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Self

import pytest

import kt
from kt.net import local, local_aio


class Shared(local.Database):
    """Stays open when a client is closed, as a server does."""

    def close(self) -> None:
        pass


class LocalServer:
    """What tests use of `EmbeddedServer`; what needs a network skips the test.

    Args:
        kind: ``tycoon`` or ``tyrant``.
        database: as on the command line.
        scripts: file of Lua functions.
    """

    def __init__(
        self, kind: str, database: Sequence[str] | str = ("*",), scripts: str | None = None
    ) -> None:
        self._kind = kind
        self._names = [database] if isinstance(database, str) else list(database)
        self._scripts = scripts
        self._client: Any = None

    def run(self) -> bool:
        self._client = kt.open(*self._names, scripts=self._scripts, server=self._kind)  # type: ignore[call-overload]
        return True

    def stop(self) -> bool:
        if self._client is not None:
            self._client.close()
        return True

    def restart(self) -> bool:
        return self.stop() and self.run()

    def __enter__(self) -> Self:
        self.run()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def client(self) -> Any:
        return self._client

    def connect(self, **options: Any) -> Any:
        """A client whose end does not close the databases."""
        made: Any = kt.KyotoTycoon if self._kind == "tycoon" else kt.TokyoTyrant
        return self._carried(made, local.Pool, options)

    def connect_async(self, **options: Any) -> Any:
        """The same for asyncio."""
        made: Any = kt.AsyncKyotoTycoon if self._kind == "tycoon" else kt.AsyncTokyoTyrant
        return self._carried(made, local_aio.Pool, options)

    def _carried(self, make: Any, pool: Any, options: dict[str, Any]) -> Any:
        lines, endpoint = self._client._pool._database, self._client._pool.endpoint
        shared = Shared(lambda: lines.line(endpoint), lambda: None, lambda: None)
        return make(endpoint.host, 0, **options)._carried_by(pool(endpoint, shared))

    @property
    def host(self) -> NoReturn:
        pytest.skip("it needs a network")

    port = pid = host
