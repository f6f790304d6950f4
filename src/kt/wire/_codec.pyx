# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""The kernels in C: the regular case of what `_pure` does, without an object per record.

The names, arguments, results and errors are those of `_pure`, and a test compares them. What is
rare (odd types of arguments, HTTP heads that are not in the servers' own order, chunked bodies...)
is left to the pure functions, so that it is decided in one place.

One translation unit, by topic:

=====================  ==================================================================
_codec_values.pxi      views of keys and values, growing output, buffers
_codec_tycoon.pxi      Kyoto Tycoon, binary
_codec_rpc.pxi         columns and HTTP
_codec_tyrant.pxi      Tokyo Tyrant
=====================  ==================================================================
"""

from kt.wire._pure import *
from kt.wire._pure import __all__

include "_codec_values.pxi"
include "_codec_tycoon.pxi"
include "_codec_tyrant.pxi"
