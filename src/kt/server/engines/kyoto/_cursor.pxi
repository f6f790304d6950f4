# Cursors; a part of _engine.pyx.


@cython.no_gc_clear  # the native cursor uses the native database until it is gone
cdef class Cursor:
    cdef NativeCursor *_native
    cdef readonly Database database

    def __init__(self, Database database not None):
        cdef NativeDatabase *native = database.native()
        self.database = database
        with nogil:
            self._native = new NativeCursor(native[0])

    def __dealloc__(self):
        with nogil:
            del self._native

    cdef NativeCursor *native(self) except NULL:
        self.database.native()
        if self._native == NULL:
            raise EngineError(Code.INVALID, "invalid operation", "cursor is closed")
        return self._native

    def close(self):
        cdef NativeCursor *native = self._native
        self._native = NULL
        with nogil:
            del native

    def jump(self, bytes key=None):
        cdef NativeCursor *native = self.native()
        cdef optional[string_view] name = optional_view(key)
        cdef Error error
        with nogil:
            error = native.jump(name)
        check_error(error)

    def jump_back(self, bytes key=None):
        cdef NativeCursor *native = self.native()
        cdef optional[string_view] name = optional_view(key)
        cdef Error error
        with nogil:
            error = native.jump_back(name)
        check_error(error)

    def step(self):
        cdef NativeCursor *native = self.native()
        cdef Error error
        with nogil:
            error = native.step()
        check_error(error)

    def step_back(self):
        cdef NativeCursor *native = self.native()
        cdef Error error
        with nogil:
            error = native.step_back()
        check_error(error)

    def get(self, bint step=False):
        cdef NativeCursor *native = self.native()
        cdef string key
        cdef string value
        cdef int64_t xt = 0
        cdef Error error
        with nogil:
            error = native.get(&key, &value, &xt, step)
        check_error(error)
        return <bytes>key, taken(value), xt

    def get_key(self, bint step=False):
        cdef NativeCursor *native = self.native()
        cdef string key
        cdef Error error
        with nogil:
            error = native.get(&key, NULL, NULL, step)
        check_error(error)
        return <bytes>key

    def get_value(self, bint step=False):
        cdef NativeCursor *native = self.native()
        cdef string value
        cdef Error error
        with nogil:
            error = native.get(NULL, &value, NULL, step)
        check_error(error)
        return taken(value)

    def take_ahead(self, int64_t records, int64_t size, bint values):
        cdef NativeCursor *native = self.native()
        cdef Lines lines
        cdef string place
        cdef string key
        cdef string value
        cdef string *content = &value if values else NULL
        cdef int64_t taken = 0
        cdef int64_t done = 0
        cdef Error error
        with nogil:
            while taken < records and done < size:
                error = native.get(&key, content, NULL, True)
                if error.code() != 0:
                    break
                set_place(place, taken)
                lines.add(place, key, value)
                taken += 1
                done += key.size() + value.size()
            lines.finish()
        if taken == 0:
            check_error(error)
        return packed(lines)

    def set_value(self, bytes value not None, int64_t xt=NEVER, bint step=False):
        cdef NativeCursor *native = self.native()
        cdef string_view content = view(value)
        cdef Error error
        with nogil:
            error = native.set_value(content, xt, step)
        check_error(error)

    def remove(self):
        cdef NativeCursor *native = self.native()
        cdef Error error
        with nogil:
            error = native.remove()
        check_error(error)

    def seize(self):
        cdef NativeCursor *native = self.native()
        cdef string key
        cdef string value
        cdef int64_t xt = 0
        cdef Error error
        with nogil:
            error = native.seize(&key, &value, &xt)
        check_error(error)
        return <bytes>key, taken(value), xt

    def accept(self, visitor, bint writable=True, bint step=False):
        cdef NativeCursor *native = self.native()
        cdef Conversation talk = Conversation(visitor, self.database, True)
        cdef Error error
        with nogil:
            error = native.accept(talk.visitor[0], writable, step)
        talk.check()
        check_error(error)

    def records(self):
        while True:
            try:
                record = self.get(True)
            except EngineError as error:
                if error.code == Code.NOREC:
                    return
                raise
            yield record
