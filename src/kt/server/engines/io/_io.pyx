# distutils: language = c++
"""Threads that serve connections without Python: io_thread.h with a Python face. See the stub file."""

from libc.stdint cimport uint64_t
from libcpp cimport bool as boolean
from cython.operator cimport dereference, preincrement
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_FromStringAndSize
from libcpp.list cimport list as cpp_list
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.vector cimport vector


cdef extern from "io/io_thread.h" namespace "kt" nogil:
    cppclass Returned "kt::IoThread::Returned":
        uint64_t number
        int state
        string input
        Buffer output
        size_t sent

    cppclass Trace "kt::IoThread::Trace":
        uint64_t number
        double time
        string traced

    cppclass News "kt::IoThread::News":
        vector[Trace] traces
        cpp_list[Returned] returned

    cppclass NativeIoThread "kt::IoThread":
        NativeIoThread(int) except +
        void add(uint64_t, int, Servant *) except +
        int descriptor()
        News take() except +
        void hold() except +
        void release()
        void sweep() except +
        void stop() except +

    int NOTHING_ "kt::IoThread::NOTHING"
    int FAILED_ "kt::IoThread::FAILED"
    boolean supported_ "kt::IoThread::supported"()


NOTHING = NOTHING_
FAILED = FAILED_
SUPPORTED = supported_()


cdef size_t LARGE_REPLY = 1 << 20

cdef class Servable:
    pass


cdef extern from *:
    """
    static thread_local const kt::Caller *served_here = nullptr;
    """
    const NativeCaller *served_here


cdef const NativeCaller *served_caller() noexcept nogil:
    return served_here


cdef class Caller:
    def run(self, function):
        global served_here
        served_here = &self.native
        try:
            return function()
        finally:
            served_here = NULL

    def ended(self):
        self.native.become(CALLER_ENDED)

    def gone(self):
        self.native.become(CALLER_GONE)


cdef class Reply:
    def __len__(self):
        return self.buffer.size() - self.begin

    def __getbuffer__(self, Py_buffer *view, int flags):
        begin = <char *>self.buffer.data() + self.begin
        PyBuffer_FillInfo(view, self, begin, self.buffer.size() - self.begin, True, flags)

    def give_back(self, size_t length):
        with nogil:
            self.buffer.give_back(self.begin + length)


cdef object reply_of(Buffer *buffer, size_t begin):
    cdef size_t size = buffer.size() - begin
    cdef Reply reply
    if size < LARGE_REPLY:
        return PyBytes_FromStringAndSize(buffer.data() + begin, size)
    reply = Reply()
    reply.buffer.swap(buffer[0])
    reply.begin = begin
    return reply


cdef class IoThread:
    cdef unique_ptr[NativeIoThread] _native
    cdef dict _served
    cdef uint64_t _last

    def __init__(self, int spin_microseconds):
        self._served = {}
        self._native.reset(new NativeIoThread(spin_microseconds))

    def __dealloc__(self):
        with nogil:
            self._native.reset()

    def __len__(self):
        return len(self._served)

    def add(self, int socket, Servable servable not None, owner):
        self._last += 1
        self._served[self._last] = owner, servable
        self._native.get().add(self._last, socket, servable.servant)

    def fileno(self):
        return self._native.get().descriptor()

    def take(self):
        cdef News news = self._native.get().take()
        traces = [
            (self._served[trace.number][0], trace.time, <bytes>trace.traced)
            for trace in news.traces
        ]
        returned = []
        cdef cpp_list[Returned].iterator at = news.returned.begin()
        while at != news.returned.end():
            owner = self._served.pop(dereference(at).number)[0]
            output = reply_of(&dereference(at).output, dereference(at).sent)
            returned.append((owner, dereference(at).state, <bytes>dereference(at).input, output))
            preincrement(at)
        return traces, returned

    def hold(self):
        with nogil:
            self._native.get().hold()

    def release(self):
        self._native.get().release()

    def sweep(self):
        self._native.get().sweep()

    def stop(self):
        with nogil:
            self._native.get().stop()
