# Cursors; a part of _engine.pyx.


cdef dict columns_of(const vector[string] &keys, const vector[string] &contents):
    """Records as columns. These are sorted in replies, so the place of each goes before its key."""
    cdef dict columns = {}
    cdef bytes name
    cdef char *begin
    cdef size_t i
    for i in range(keys.size()):
        name = PyBytes_FromStringAndSize(NULL, 4 + keys[i].size())
        begin = PyBytes_AS_STRING(name)
        begin[0] = b"_"
        begin[1] = <char>(48 + i // 100)
        begin[2] = <char>(48 + i // 10 % 10)
        begin[3] = <char>(48 + i % 10)
        memcpy(begin + 4, keys[i].data(), keys[i].size())
        columns[name] = PyBytes_FromStringAndSize(contents[i].data(), contents[i].size())
    return columns


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
        cdef vector[string] keys
        cdef vector[string] contents
        cdef string key
        cdef string value
        cdef string *content = &value if values else NULL
        cdef int64_t done = 0
        cdef Error error
        with nogil:
            while <int64_t>keys.size() < records and done < size:
                error = native.get(&key, content, NULL, True)
                if error.code() != 0:
                    break
                done += key.size() + value.size()
                keys.push_back(move(key))
                contents.push_back(move(value))
        if keys.empty():
            check_error(error)
        return columns_of(keys, contents)

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
