"""Clients, servers and embedded servers for Kyoto Tycoon and Tokyo Tyrant.

Importing `kt` loads nothing but the errors: everything else is loaded when it is first asked for,
so that a program pays only for what it uses (no asyncio for a blocking client, no JSON for text).
"""

from __future__ import annotations

from kt.errors import (
    ArgumentError,
    BrokenReplyError,
    ConversionError,
    ImproperlyConfigured,
    IncompleteReplyError,
    KTError,
    KyotoTycoonError,
    LogDamageError,
    LogGapError,
    OutcomeUnknown,
    ProtocolError,
    ReplyLostError,
    ReplyTimeoutError,
    SerializationError,
    ServerConnectionError,
    ServerError,
    ServerStartError,
    ServerTimeoutError,
    UnconfirmedError,
)
from kt.version import VERSION as __version__  # noqa: N811 - the name that Python has for it

TYPE_CHECKING = (
    False  # type checkers know the name; importing typing would take longer than all else
)
if TYPE_CHECKING:
    from typing import Any

    from kt.client.deferred import PipelineResult
    from kt.client.slow import slow_calls
    from kt.client.tycoon.changes import TycoonChanges
    from kt.client.tycoon.changes_async import AsyncTycoonChanges
    from kt.client.tycoon.client import KyotoTycoon
    from kt.client.tycoon.client_async import AsyncKyotoTycoon
    from kt.client.tycoon.cursor import Cursor, Scan
    from kt.client.tycoon.cursor_async import AsyncCursor, AsyncScan
    from kt.client.tycoon.pipeline import TycoonPipeline
    from kt.client.tycoon.pipeline_async import AsyncTycoonPipeline
    from kt.client.tyrant.changes import TyrantChanges
    from kt.client.tyrant.changes_async import AsyncTyrantChanges
    from kt.client.tyrant.client import TokyoTyrant
    from kt.client.tyrant.client_async import AsyncTokyoTyrant
    from kt.client.tyrant.collection import Table
    from kt.client.tyrant.collection_async import AsyncTable
    from kt.client.tyrant.pipeline import TyrantPipeline
    from kt.client.tyrant.pipeline_async import AsyncTyrantPipeline
    from kt.client.tyrant.table import Combination, Query
    from kt.client.tyrant.table_async import AsyncCombination, AsyncQuery
    from kt.client.tyrant.table_model import Model, column
    from kt.client.tyrant.table_query import KEY, C, Column, Filter, Order
    from kt.client.tyrant.table_rows import TT_TABLE, Row
    from kt.cluster.opening import connect, connect_async
    from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
    from kt.local.opening import open_database
    from kt.local.opening import open_database_async as open_async
    from kt.log.reading import LogChanges, read_changes, read_snapshot
    from kt.options import Moment, Origin, Retry, ScriptLock, Signal, Since, Synchronize, Wait
    from kt.serializers import KT_BINARY, KT_JSON, KT_MSGPACK, KT_NONE, KT_PICKLE, Serializer
    from kt.types import Change, Check, ExpireTime, Key, Record, UpdateLogFile, What
    from kt.wire.table import IndexKind, Operator

    open = open_database  # noqa: A001 - so that type checkers let others use kt.open

__all__ = [
    "KyotoTycoon",
    "AsyncKyotoTycoon",
    "Cursor",
    "AsyncCursor",
    "Scan",
    "AsyncScan",
    "TokyoTyrant",
    "AsyncTokyoTyrant",
    "TycoonPipeline",
    "AsyncTycoonPipeline",
    "TyrantPipeline",
    "AsyncTyrantPipeline",
    "PipelineResult",
    "slow_calls",
    "connect",
    "connect_async",
    "open_async",  # `kt.open` is not here: with a star it would take the place of Python's own
    "EmbeddedServer",
    "EmbeddedTokyoTyrantServer",
    "KT_BINARY",
    "KT_JSON",
    "KT_MSGPACK",
    "KT_NONE",
    "KT_PICKLE",
    "TT_TABLE",
    "Serializer",
    "Key",
    "ExpireTime",
    "Record",
    "Check",
    "UpdateLogFile",
    "Change",
    "What",
    "Since",
    "TycoonChanges",
    "AsyncTycoonChanges",
    "TyrantChanges",
    "AsyncTyrantChanges",
    "LogChanges",
    "read_changes",
    "read_snapshot",
    "Origin",
    "Moment",
    "Wait",
    "Signal",
    "Retry",
    "ScriptLock",
    "Synchronize",
    "C",
    "KEY",
    "Column",
    "Filter",
    "Order",
    "Operator",
    "IndexKind",
    "Row",
    "Query",
    "AsyncQuery",
    "Combination",
    "AsyncCombination",
    "Model",
    "column",
    "Table",
    "AsyncTable",
    "KTError",
    "KyotoTycoonError",
    "ArgumentError",
    "SerializationError",
    "ConversionError",
    "ImproperlyConfigured",
    "ServerStartError",
    "ServerConnectionError",
    "ServerTimeoutError",
    "OutcomeUnknown",
    "ReplyLostError",
    "ReplyTimeoutError",
    "BrokenReplyError",
    "UnconfirmedError",
    "LogGapError",
    "LogDamageError",
    "ProtocolError",
    "IncompleteReplyError",
    "ServerError",
    "__version__",
]

_HOME = {
    name: module
    for module, names in {
        "kt.client.tycoon.changes": "TycoonChanges",
        "kt.client.tycoon.changes_async": "AsyncTycoonChanges",
        "kt.client.tyrant.changes": "TyrantChanges",
        "kt.client.tyrant.changes_async": "AsyncTyrantChanges",
        "kt.client.tycoon.client": "KyotoTycoon",
        "kt.client.tycoon.client_async": "AsyncKyotoTycoon",
        "kt.client.tycoon.cursor": "Cursor Scan",
        "kt.client.tycoon.cursor_async": "AsyncCursor AsyncScan",
        "kt.client.slow": "slow_calls",
        "kt.client.deferred": "PipelineResult",
        "kt.client.tycoon.pipeline": "TycoonPipeline",
        "kt.client.tycoon.pipeline_async": "AsyncTycoonPipeline",
        "kt.client.tyrant.client": "TokyoTyrant",
        "kt.client.tyrant.client_async": "AsyncTokyoTyrant",
        "kt.client.tyrant.collection": "Table",
        "kt.client.tyrant.collection_async": "AsyncTable",
        "kt.client.tyrant.pipeline": "TyrantPipeline",
        "kt.client.tyrant.pipeline_async": "AsyncTyrantPipeline",
        "kt.client.tyrant.table": "Combination Query",
        "kt.client.tyrant.table_async": "AsyncCombination AsyncQuery",
        "kt.client.tyrant.table_model": "Model column",
        "kt.client.tyrant.table_query": "C KEY Column Filter Order",
        "kt.client.tyrant.table_rows": "Row TT_TABLE",
        "kt.cluster.opening": "connect connect_async",
        "kt.embedded": "EmbeddedServer EmbeddedTokyoTyrantServer",
        "kt.local.opening": "open open_async",
        "kt.log.reading": "LogChanges read_changes read_snapshot",
        "kt.options": "Moment Origin Retry ScriptLock Signal Since Synchronize Wait",
        "kt.serializers": "KT_BINARY KT_JSON KT_MSGPACK KT_NONE KT_PICKLE Serializer",
        "kt.types": "Change Check ExpireTime Key Record UpdateLogFile What",
        "kt.wire.table": "IndexKind Operator",
    }.items()
    for name in names.split()
}


_CALLED = {"open": "open_database", "open_async": "open_database_async"}
"""What some names are at home."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _CALLED.get(name, name)
    value = getattr(__import__(_HOME[name], fromlist=[home]), home)
    globals()[name] = value  # the next access is an ordinary one
    return value


def __dir__() -> list[str]:
    return __all__
