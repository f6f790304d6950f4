# What streams must be to be served by an I/O thread, and how their replies become Python's.

from libc.stdint cimport uint64_t

cdef extern from "io/io_thread.h" namespace "kt" nogil:
    cppclass Servant:
        pass

cdef extern from "io/buffer.h" namespace "kt" nogil:
    cppclass Buffer:
        const char *data()
        size_t size()
        void swap(Buffer &)
        void give_back(size_t)

cdef extern from "io/brevity.h" namespace "kt" nogil:
    cppclass Brevity:
        bint expects(size_t)
        void begin()
        void end()
        void doubt()

cdef extern from "io/effort.h" namespace "kt" nogil:
    cppclass NativeCaller "kt::Caller":
        void become(CallerState)

    enum CallerState "kt::Caller::State":
        CALLER_ENDED "kt::Caller::ENDED"
        CALLER_GONE "kt::Caller::GONE"

    const NativeCaller *(*find_caller "kt::Caller::served")() noexcept

cdef extern from "io/times.h" namespace "kt" nogil:
    cppclass Times:
        void add_nanoseconds(uint64_t, uint64_t)
        uint64_t count(int)
        uint64_t nanoseconds()

    const int TIMES_PLACES "kt::Times::PLACES"


cdef class Servable:
    cdef Servant *servant  # belongs to the subclass
    cdef Brevity brevity   # of its calls


cdef class Caller:
    cdef NativeCaller native


# The one whom this thread works for.
cdef const NativeCaller *served_caller() noexcept nogil


cdef class Reply:
    cdef Buffer buffer
    cdef size_t begin


# What is in the buffer from `begin` on; a large one is emptied.
cdef object reply_of(Buffer *buffer, size_t begin)
