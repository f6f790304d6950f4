"""The compiled kernels have the names and types of the pure ones; a test compares them."""

from kt.wire.kernels._pure import *  # noqa: F403
from kt.wire.kernels._pure import __all__ as __all__
