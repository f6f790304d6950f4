"""Clients, servers and embedded servers for Kyoto Tycoon and Tokyo Tyrant.

Importing `kt` loads the errors and the serializers; a client or an embedded server is loaded when
it is first asked for, so that a program pays only for what it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kt.errors import (
    ArgumentError,
    ImproperlyConfigured,
    IncompleteReplyError,
    KTError,
    KyotoTycoonError,
    ProtocolError,
    SerializationError,
    ServerConnectionError,
    ServerError,
    ServerStartError,
    ServerTimeoutError,
)
from kt.serializers import KT_BINARY, KT_JSON, KT_MSGPACK, KT_NONE, KT_PICKLE
from kt.version import VERSION as __version__  # noqa: N811 - the name that Python has for it

if TYPE_CHECKING:
    from kt.client.tycoon import KyotoTycoon
    from kt.client.tyrant import TokyoTyrant
    from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer

__all__ = [
    "KyotoTycoon",
    "TokyoTyrant",
    "EmbeddedServer",
    "EmbeddedTokyoTyrantServer",
    "KT_BINARY",
    "KT_JSON",
    "KT_MSGPACK",
    "KT_NONE",
    "KT_PICKLE",
    "KTError",
    "KyotoTycoonError",
    "ArgumentError",
    "SerializationError",
    "ImproperlyConfigured",
    "ServerStartError",
    "ServerConnectionError",
    "ServerTimeoutError",
    "ProtocolError",
    "IncompleteReplyError",
    "ServerError",
    "__version__",
]

_HOME = {
    "KyotoTycoon": "kt.client.tycoon",
    "TokyoTyrant": "kt.client.tyrant",
    "EmbeddedServer": "kt.embedded",
    "EmbeddedTokyoTyrantServer": "kt.embedded",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # the next access is an ordinary one
    return value


def __dir__() -> list[str]:
    return __all__
