"""An etcd for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .services import RunningEtcd, running_etcd


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[RunningEtcd]:
    """An etcd that has nothing yet."""
    with running_etcd(tmp_path) as etcd:
        yield etcd
