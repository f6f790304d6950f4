# The binary protocol, and that of replication; a part of _engine.pyx.


@cython.no_gc_clear  # the native stream uses the core until it is gone
cdef class Stream(Servable):
    cdef NativeStream *_native
    cdef BinaryCore _core

    def __init__(self, BinaryCore core not None):
        self._core = core
        self._native = new NativeStream(core._native)
        self.servant = self._native

    def restrict(self, bint reads, bint writes):
        self._native.restrict(reads, writes)

    def __dealloc__(self):
        del self._native

    def feed(self, data, Py_ssize_t start=0):
        cdef NativeStream *native = self._native
        cdef Py_buffer buffer
        cdef size_t consumed = 0
        cdef NativeState state
        cdef string_view left
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        try:
            if not 0 <= start <= buffer.len:
                raise IndexError("start is outside of the data")
            left = string_view(<const char *>buffer.buf + start, buffer.len - start)
            self.brevity.begin()
            if self._core._native.keeps_lock and self.brevity.expects(left.size()):
                state = native.feed(left.data(), left.size(), &consumed)
                self.brevity.end()
            else:
                with nogil:
                    state = native.feed(left.data(), left.size(), &consumed)
                    self.brevity.end()
        finally:
            PyBuffer_Release(&buffer)
        if state == NativeState.AGAIN:
            self.brevity.doubt()
        return <int>state, consumed, self._take_reply()

    def finish(self):
        self._native.finish()
        return self._take_reply()

    cdef object _take_reply(self):
        cdef string_view reply = self._native.reply()
        cdef Buffer large
        if reply.size() > LARGE:
            self._native.take_reply(&large)
            return reply_of(&large, 0)
        small = PyBytes_FromStringAndSize(reply.data(), reply.size())
        self._native.drop_reply()
        return small

    def take_trace(self):
        cdef string *traced = self._native.traced()
        noted = PyBytes_FromStringAndSize(traced.data(), traced.size())
        traced.clear()
        return noted

    @property
    def pending(self):
        return self._native.pending()


@cython.no_gc_clear  # the native core uses the native databases until it is gone
cdef class BinaryCore:
    cdef NativeCore _native
    cdef list _databases

    def __init__(self, databases, *, size_t reply_limit=1 << 30, bint trace=False):
        cdef Database database
        self._databases = list(databases)
        self._native.reply_limit = reply_limit
        self._native.trace = trace
        for database in self._databases:
            self._native.databases.push_back(database.native())

    def set_stamp(self, bytes lines not None):
        self._native.set_stamp(view(lines))

    def stream(self):
        return Stream(self)

    def counts(self):
        counts = self._native.present_counts()
        return {
            "set": counts.set,
            "set_misses": counts.set_misses,
            "remove": counts.remove,
            "remove_misses": counts.remove_misses,
            "get": counts.get,
            "get_misses": counts.get_misses,
        }

    def commands(self):
        counts = self._native.present_counts()
        return {
            (<bytes>COMMAND_NAMES[number]).decode("ascii"): counts.commands[number]
            for number in range(<int>COMMANDS)
        }

    def settle_together(self):
        self._native.owes = True

    def leave_writes(self):
        self._native.leaves_writes = True

    def hold(self):
        self._native.keeps_lock = False

    def release(self):
        self._native.keeps_lock = True

    @property
    def timed(self):
        return self._native.timed

    @timed.setter
    def timed(self, boolean timed):
        self._native.timed = timed

    def took(self, double seconds):
        if self._native.timed:
            self._native.times.add_nanoseconds(<uint64_t>(max(seconds, 0.0) * 1e9), 1)

    def times(self):
        cdef Times *times = &self._native.times
        return [times.count(place) for place in range(TIMES_PLACES)], times.nanoseconds() / 1e9


@cython.no_gc_clear  # the native one uses the native databases until it is gone
cdef class Replay:
    cdef NativeReplay *_native
    cdef list _databases

    def __init__(self, databases, int server, own=None):
        cdef vector[NativeDatabase *] natives
        cdef NativeOwn wanted
        cdef Database database
        self._databases = list(databases)
        if own is not None:
            wanted.master, wanted.until, wanted.whole = own
        for database in self._databases:
            natives.push_back(database.native())
        self._native = new NativeReplay(natives, server & 0xFFFF, wanted)

    def __dealloc__(self):
        del self._native

    def apply(self, data):
        cdef NativeReplay *native = self._native
        cdef Py_buffer buffer
        cdef size_t consumed = 0
        cdef NativeReplayState state
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        try:
            with nogil:
                state = native.apply(<const char *>buffer.buf, buffer.len, &consumed)
        finally:
            PyBuffer_Release(&buffer)
        return <int>state, consumed

    @property
    def stamp(self):
        return self._native.stamp()

    @property
    def read(self):
        return self._native.read()

    @property
    def applied(self):
        return self._native.applied()

    @property
    def unknown(self):
        return set(self._native.unknown())

    @property
    def behind(self):
        cdef NativeBehind behind = self._native.behind()
        return (behind.bytes, behind.changes) if behind.told else None

    @property
    def trouble(self):
        cdef bytes text = self._native.trouble()
        return text.decode("utf-8", "replace")
