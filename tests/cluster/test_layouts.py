"""What a layout cannot do."""

from __future__ import annotations

import pytest

import kt
from kt.errors import ServerError

from .nodes import LocalCluster


def test_a_flat_database_has_no_order(cluster: LocalCluster) -> None:
    cluster.empty()
    with kt.connect(cluster.url(layout="flat")) as db:
        db.set("a", "1")
        with pytest.raises(ServerError):
            db.get_range("a")
        assert db.get("a") == "1"
