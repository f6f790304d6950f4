"""Which engine a URL names, and what belongs to it."""

from __future__ import annotations

from typing import Any

from kt.cluster.contract import Database, Engine, Settings
from kt.cluster.database import Database as ValkeyDatabase
from kt.cluster.engine import Engine as ValkeyEngine
from kt.cluster.postgres.database import Database as PostgresDatabase
from kt.cluster.postgres.engine import Engine as PostgresEngine
from kt.cluster.postgres.settings import SCHEMES as POSTGRES
from kt.cluster.postgres.settings import Settings as PostgresSettings
from kt.cluster.postgres.settings import parse_postgres_url
from kt.cluster.settings import SCHEMES as VALKEY
from kt.cluster.settings import parse_valkey_url


def is_cluster_url(text: str) -> bool:
    """Tell whether it names a database on an engine of these."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and (scheme in VALKEY or scheme in POSTGRES)


def parse_cluster_url(url: str) -> Settings:
    """Read a URL.

    Raises:
        ArgumentError: it is none, or has parts that mean nothing.
        ImproperlyConfigured: the file with the password cannot be read.
    """
    if url.partition("://")[0] in POSTGRES:
        return parse_postgres_url(url)
    return parse_valkey_url(url)


def database_of(settings: Any) -> Database:
    """The database that they say."""
    if isinstance(settings, PostgresSettings):
        return PostgresDatabase(settings)
    return ValkeyDatabase(settings)


def engine_of(settings: Any) -> Engine:
    """What carries out its operations, in the running event loop.

    Raises:
        ImproperlyConfigured: a package that it needs is missing.
    """
    if isinstance(settings, PostgresSettings):
        return PostgresEngine(settings)
    return ValkeyEngine(settings)
