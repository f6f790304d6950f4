# Views of keys and values, growing output, and the buffers that readers get.

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Check, PyByteArray_GET_SIZE
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_CheckExact,
    PyBytes_Check,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy

from kt.wire import faults
from kt.wire.kernels import _pure_values
from kt.wire.reading import Incomplete
from kt.wire.magic import SIZE_MAX as _SIZE_MAX
from kt.wire.values import TEXT as _TEXT
from kt.wire.values import ValueFailure

cdef extern from "Python.h":
    bint PyUnicode_Check(object)
    bint PyUnicode_IS_COMPACT_ASCII(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)
    void* PyUnicode_DATA(object)
    str PyUnicode_New(Py_ssize_t, Py_UCS4)
    str PyUnicode_DecodeUTF8(const char*, Py_ssize_t, const char*)
    bytes PyUnicode_AsUTF8String(object)

cdef object TEXT = _TEXT
cdef Py_ssize_t SIZE_MAX = _SIZE_MAX


cdef struct View:
    # Bytes that belong to some object, which must outlive the view.
    const char* data
    Py_ssize_t size


cdef inline bint is_ascii(object text) noexcept:
    return PyUnicode_Check(text) and PyUnicode_IS_COMPACT_ASCII(text)


cdef inline object view(object owner, View* seen):
    # A view of a bytes object or of an ASCII string, and the object itself.
    if PyBytes_Check(owner):
        seen.data = PyBytes_AS_STRING(owner)
        seen.size = PyBytes_GET_SIZE(owner)
    else:
        seen.data = <const char*> PyUnicode_DATA(owner)
        seen.size = PyUnicode_GET_LENGTH(owner)
    return owner


cdef inline object view_key(object key, View* seen):
    # A view of a key's bytes, and the object that they belong to.
    cdef object owner = key
    if not (PyBytes_CheckExact(key) or is_ascii(key)):
        owner = _pure_values.encode_key(key)
    view(owner, seen)
    if seen.size > SIZE_MAX:
        raise faults.too_long("key", seen.size)
    return owner


cdef inline object view_value(object value, object dumps, object key, View* seen):
    # A view of a value's bytes, and the object that they belong to.
    cdef object owner = value
    if dumps is TEXT:
        if not is_ascii(value):
            owner = dump_value(value, dumps, key)
    elif dumps is not None or not PyBytes_CheckExact(value):
        owner = dump_value(value, dumps, key)
    view(owner, seen)
    if seen.size > SIZE_MAX:
        raise faults.too_long("value", seen.size)
    return owner


cdef inline bint is_ascii_data(const char* data, Py_ssize_t size) noexcept:
    # Eight bytes at a time: the last eight overlap those before them.
    cdef uint64_t word, seen = 0
    cdef Py_ssize_t at
    if size < 8:
        return False  # not worth the while
    for at in range(0, size - 7, 8):
        memcpy(&word, data + at, 8)
        seen |= word
    memcpy(&word, data + size - 8, 8)
    return not (seen | word) & 0x8080808080808080ULL


cdef inline str text_of(const char* data, Py_ssize_t size, const char* errors):
    # What PyUnicode_DecodeUTF8 does, quicker for short ASCII.
    cdef str text
    if not is_ascii_data(data, size):
        return PyUnicode_DecodeUTF8(data, size, errors)
    text = PyUnicode_New(size, 127)
    memcpy(PyUnicode_DATA(text), data, size)
    return text


cdef inline object load_key(const char* data, Py_ssize_t size, bint decode_keys):
    if decode_keys:
        return text_of(data, size, "surrogateescape")
    return PyBytes_FromStringAndSize(data, size)


cdef inline object load(const char* data, Py_ssize_t size, object loads, object key):
    if loads is None:
        return PyBytes_FromStringAndSize(data, size)
    if loads is TEXT and is_ascii_data(data, size):
        return text_of(data, size, NULL)
    return load_any(data, size, loads, key)


cdef object load_any(const char* data, Py_ssize_t size, object loads, object key):
    # Out of line: an exception's handler costs something even if there is none.
    try:
        if loads is TEXT:
            return PyUnicode_DecodeUTF8(data, size, NULL)
        return loads(PyBytes_FromStringAndSize(data, size))
    except Exception as error:
        raise ValueFailure(key) from error


@cython.final
cdef class Output:
    # Bytes that are written one piece after the other.
    cdef char* begin
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity

    def __cinit__(self, Py_ssize_t capacity):
        self.begin = <char*> malloc(capacity)
        if self.begin is NULL:
            raise MemoryError
        self.size = 0
        self.capacity = capacity

    def __dealloc__(self):
        free(self.begin)

    cdef inline char* extend(self, Py_ssize_t more) except NULL:
        # Room for `more` bytes, which the caller fills.
        cdef Py_ssize_t at = self.size
        if self.capacity - at < more:
            self.grow(more)
        self.size = at + more
        return self.begin + at

    cdef int grow(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t capacity = 2 * self.capacity + more
        cdef char* begin = <char*> realloc(self.begin, capacity)
        if begin is NULL:
            raise MemoryError
        self.begin = begin
        self.capacity = capacity
        return 0

    cdef inline bytes finish(self):
        return bytes_of(self.begin, self.size)


# Above this many bytes something is copied, encoded or decoded without the GIL.
cdef enum:
    LARGE = 1 << 20


cdef bytes bytes_of(const char* begin, Py_ssize_t size):
    cdef char* to
    if size <= LARGE:
        return PyBytes_FromStringAndSize(begin, size)
    copy = PyBytes_FromStringAndSize(NULL, size)
    to = PyBytes_AS_STRING(copy)
    with nogil:
        memcpy(to, begin, size)
    return copy


cdef const uint8_t* buffer_at(object data, Py_ssize_t pos, Py_ssize_t* size) except NULL:
    # The first of the `size` bytes that a reader was given from `pos` on.
    cdef const char* begin
    if PyBytes_Check(data):
        begin = PyBytes_AS_STRING(data)
        size[0] = PyBytes_GET_SIZE(data)
    elif PyByteArray_Check(data):
        begin = PyByteArray_AS_STRING(data)
        size[0] = PyByteArray_GET_SIZE(data)
    else:
        raise TypeError(f"a buffer is bytes or bytearray, not {type(data).__name__}")
    if pos < 0 or pos > size[0]:
        raise IndexError(f"offset {pos} is not in a buffer of {size[0]} bytes")
    size[0] -= pos
    return <const uint8_t*> begin + pos


cdef inline char* put_u16(char* at, uint16_t number) noexcept:
    at[0] = <char> (number >> 8)
    at[1] = <char> number
    return at + 2


cdef inline char* put_u32(char* at, uint32_t number) noexcept:
    at[0] = <char> (number >> 24)
    at[1] = <char> (number >> 16)
    at[2] = <char> (number >> 8)
    at[3] = <char> number
    return at + 4


cdef inline char* put_u64(char* at, uint64_t number) noexcept:
    put_u32(at, <uint32_t> (number >> 32))
    put_u32(at + 4, <uint32_t> number)
    return at + 8


cdef inline char* put_view(char* at, View* seen) noexcept:
    memcpy(at, seen.data, seen.size)
    return at + seen.size


cdef inline uint16_t get_u16(const uint8_t* at) noexcept:
    return <uint16_t> (at[0] << 8 | at[1])


cdef inline uint32_t get_u32(const uint8_t* at) noexcept:
    return <uint32_t> at[0] << 24 | <uint32_t> at[1] << 16 | <uint32_t> at[2] << 8 | at[3]


cdef inline int64_t get_i64(const uint8_t* at) noexcept:
    return <int64_t> (<uint64_t> get_u32(at) << 32 | get_u32(at + 4))


def cut(data, Py_ssize_t start, Py_ssize_t end):
    if PyBytes_CheckExact(data):
        return data[start:end]
    return bytes(memoryview(data)[start:end])


def encode_key(key):
    cdef View seen
    owner = view_key(key, &seen)
    return owner if PyBytes_CheckExact(owner) else PyBytes_FromStringAndSize(seen.data, seen.size)


def decode_key(key, bint decode_keys):
    return key.decode("utf-8", "surrogateescape") if decode_keys else key


def dump_value(value, dumps, key):
    if dumps is TEXT:
        if PyUnicode_Check(value):
            try:
                return PyUnicode_AsUTF8String(value)
            except UnicodeEncodeError as error:
                raise ValueFailure(key) from error
    elif dumps is not None:
        return dump_with(value, dumps, key)
    elif PyBytes_CheckExact(value) and PyBytes_GET_SIZE(value) <= SIZE_MAX:
        return value
    return _pure_values.dump_value(value, dumps, key)


cdef object dump_with(object value, object dumps, object key):
    cdef object data
    try:
        data = dumps(value)
    except Exception as error:
        raise ValueFailure(key) from error
    return data if PyBytes_CheckExact(data) else _pure_values.dump_value(data, None, key)


def load_value(data, loads, key):
    if loads is None:
        return data
    if PyBytes_CheckExact(data):
        return load(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), loads, key)
    return _pure_values.load_value(data, loads, key)
