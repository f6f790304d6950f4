"""Chooses the kernels: `_compiled`, or `_pure`, which has the same names in Python.

The environment variable KT_IMPL forces one of them (``compiled`` or ``python``); otherwise the
compiled one is used where it could be built. `IMPLEMENTATION` says which one it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from kt.errors import ImproperlyConfigured
from kt.wire.values import *  # noqa: F403  # what the kernels' arguments are


def _choose() -> str:
    """Name of the implementation to use; raises `ImproperlyConfigured` if it cannot be."""
    wanted = os.environ.get("KT_IMPL", "")
    if wanted not in ("", "compiled", "python"):
        raise ImproperlyConfigured(f"KT_IMPL is {wanted!r}; it may be 'compiled' or 'python'")
    if wanted == "python":
        return "python"
    try:
        import kt.wire.kernels._compiled  # noqa: F401
    except ImportError as error:
        if wanted == "compiled":
            raise ImproperlyConfigured(
                "KT_IMPL asks for the compiled codec, which was not built here"
            ) from error
        return "python"
    return "compiled"


IMPLEMENTATION: Final = _choose()

# Each implementation lists its kernels in __all__; a test compares both lists and signatures.
if TYPE_CHECKING or IMPLEMENTATION == "python":
    from kt.wire.kernels._pure import *  # noqa: F403
else:
    from kt.wire.kernels._compiled import *  # noqa: F403
