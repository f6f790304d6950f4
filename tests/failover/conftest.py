"""An etcd for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .services import RunningEtcd, running_etcd, running_guarded_etcd


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[RunningEtcd]:
    """An etcd that has nothing yet."""
    with running_etcd(tmp_path) as etcd:
        yield etcd


@pytest.fixture
def guarded_etcd(tmp_path: Path) -> Iterator[RunningEtcd]:
    """The same with TLS and passwords."""
    with running_guarded_etcd(tmp_path) as etcd:
        yield etcd
