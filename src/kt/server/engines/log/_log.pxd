# What the engines write to.

from libcpp cimport bool as boolean
from libc.stdint cimport uint16_t


cdef extern from "log/change_log.h" namespace "kt" nogil:
    cppclass ChangeLog:
        boolean flush() except +
        uint16_t server()


cdef class Loggable:
    cdef ChangeLog *log  # belongs to the subclass
