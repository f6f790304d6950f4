"""`wire` runs a test on each implementation of the kernels, whatever KT_IMPL says."""

from __future__ import annotations

import pytest

from kt.errors import ImproperlyConfigured

from .implementations import Wire, load_wire

IMPLEMENTATIONS = ("compiled", "python")


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def wire(request: pytest.FixtureRequest) -> Wire:
    try:
        return load_wire(request.param)
    except ImproperlyConfigured as error:
        pytest.skip(str(error))
