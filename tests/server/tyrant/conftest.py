"""A master that sends what it is told, for tests of slaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .slaves import ScriptedMaster


@pytest.fixture
def scripted() -> Iterator[ScriptedMaster]:
    with ScriptedMaster() as master:
        yield master
