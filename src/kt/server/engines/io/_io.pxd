# What streams must be to be served by an I/O thread.

cdef extern from "io/io_thread.h" namespace "kt" nogil:
    cppclass Servant:
        pass


cdef class Servable:
    cdef Servant *servant  # belongs to the subclass
