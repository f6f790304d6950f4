"""The wire layer on both implementations of its kernels, side by side in one process."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import NamedTuple

import kt.wire

# The modules that are bound to the kernels when they are imported.
BOUND = ("codec", "tycoon", "tycoon_rpc")


class Wire(NamedTuple):
    """The modules of the wire layer, bound to one implementation."""

    codec: ModuleType
    tycoon: ModuleType
    tycoon_rpc: ModuleType


def load_wire(implementation: str) -> Wire:
    """A copy of the wire layer of its own. Raises `ImproperlyConfigured` if there is none."""
    names = [f"kt.wire.{name}" for name in BOUND]
    hidden = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    wanted = os.environ.get("KT_IMPL")
    os.environ["KT_IMPL"] = implementation
    try:
        return Wire._make(importlib.import_module(name) for name in names)
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)
        for name in BOUND:
            if f"kt.wire.{name}" in hidden:
                setattr(kt.wire, name, hidden[f"kt.wire.{name}"])
        if wanted is None:
            del os.environ["KT_IMPL"]
        else:
            os.environ["KT_IMPL"] = wanted
