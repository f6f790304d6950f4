"""The kernels of `kt.wire.codec`: `_compiled`, in Cython, and `_pure`, in Python."""
