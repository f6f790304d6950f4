# distutils: language = c++
"""Kyoto Cabinet for Python: the C++ classes of database/, upkeep/ and protocol/ with a Python face. See the stub file.

Here values are converted, the GIL is let go of, and failures become exceptions; nothing else.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cython.operator cimport dereference, preincrement
from libc.errno cimport EACCES, EAGAIN, ENOSPC, errno
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy
from libcpp cimport bool as boolean
from libcpp.map cimport map as cpp_map
from libcpp.optional cimport optional
from libcpp.string cimport string, to_string
from libcpp.string_view cimport string_view
from libcpp.utility cimport move
from libcpp.vector cimport vector
from posix.unistd cimport usleep

import enum
import os
from typing import NamedTuple

from kt.server.engines import EngineError, FileLocked, LargeValue
from kt.server.engines.io._io cimport (
    TIMES_PLACES, Buffer, Servable, Times, find_caller, reply_of, served_caller
)
from kt.server.engines.log._log cimport Loggable


NEVER = 9223372036854775807
XT_MAX = 1099511627775
HELD = WRITTEN_HELD
LIBRARY_VERSION = f"{VERSION.decode()} ({LIBVER}.{LIBREV})"
LIBRARY_FEATURES = FEATURES.decode()


class Code(enum.IntEnum):
    SUCCESS = 0
    NOIMPL = 1
    INVALID = 2
    NOREPOS = 3
    NOPERM = 4
    BROKEN = 5
    DUPREC = 6
    NOREC = 7
    LOGIC = 8
    SYSTEM = 9
    MISC = 15


class State(enum.IntEnum):
    MORE = 0
    AGAIN = 1
    HTTP = 2
    COMMAND = 3
    CLOSE = 4
    LARGE = 5


class ReplayState(enum.IntEnum):
    MORE = 0
    AGAIN = 1
    BEAT = 2
    BUSY = 3
    BROKEN = 4
    REFUSED = 5


class Verdict:
    __slots__ = ("_name",)

    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return self._name


KEEP = Verdict("KEEP")
REMOVE = Verdict("REMOVE")


cdef int check_error(const Error &error) except -1:
    if error.code() != 0:
        if error.message() == TOO_LARGE:
            raise LargeValue(error.message().decode())
        raise EngineError(
            error.code(),
            error.name().decode("utf-8", "replace"),
            error.message().decode("utf-8", "replace"),
        )
    return 0


def take_written():
    return written()


find_caller = served_caller


def hurry(bint hurried):
    global hurries
    hurries = hurried


cdef bytes taken(string &value):
    """Taken out as bytes; a large value without the GIL."""
    cdef size_t size = value.size()
    if size <= LARGE:
        return PyBytes_FromStringAndSize(value.data(), size)
    result = PyBytes_FromStringAndSize(NULL, size)
    cdef char *to = PyBytes_AS_STRING(result)
    with nogil:
        memcpy(to, value.data(), size)
        value.clear()
        value.shrink_to_fit()
    return result


cdef dict taken_records(cpp_map[string, string] &records):
    cdef dict result = {}
    cdef cpp_map[string, string].iterator at = records.begin()
    while at != records.end():
        key = PyBytes_FromStringAndSize(dereference(at).first.data(), dereference(at).first.size())
        result[key] = taken(dereference(at).second)
        preincrement(at)
    return result


cdef inline string_view view(bytes data):
    return string_view(<const char *>data, len(data))


cdef optional[string_view] optional_view(bytes data):
    if data is None:
        return optional[string_view]()
    return optional[string_view](view(data))


cdef list byte_strings(vector[string] &contents):
    """Taken out as a list of bytes. There may be millions: others get the GIL now and then.

    Who waits for the GIL needs a moment to wake up and take it.
    """
    cdef list result = []
    cdef size_t i
    for i in range(contents.size()):
        result.append(PyBytes_FromStringAndSize(contents[i].data(), contents[i].size()))
        if i % 4096 == 4095:
            with nogil:
                usleep(50)
    with nogil:
        contents.clear()
    return result


cdef vector[string] strings(keys) except *:
    cdef vector[string] result
    cdef bytes key
    for key in keys:
        result.push_back(string(<const char *>key, len(key)))
    return result


@cython.no_gc
cdef class Conversation:
    """A visitor or processor while the engine calls it: what it said last, and how it failed."""

    cdef object party
    cdef object said
    cdef object failure
    cdef CallbackVisitor *visitor
    cdef CallbackProcessor *processor

    def __cinit__(self, party, Database database not None, bint skips_expired=False):
        cdef const void *engine = database._native
        self.party = party
        self.visitor = new CallbackVisitor(ask_visitor, <void *>self, engine, skips_expired)
        self.processor = new CallbackProcessor(ask_processor, <void *>self, engine)

    def __dealloc__(self):
        del self.visitor
        del self.processor

    cdef int check(self) except -1:
        if self.failure is not None:
            raise self.failure
        return 0


cdef Change ask_visitor(void *context, const string_view &key, const string_view *value,
                        int64_t xt) noexcept with gil:
    cdef Conversation talk = <Conversation>context
    cdef bytes stored
    if talk.failure is not None:
        return Change.keep()
    try:
        name = PyBytes_FromStringAndSize(key.data(), key.size())
        if value == NULL:
            said = talk.party.visit_empty(name)
        else:
            said = talk.party.visit_full(
                name, PyBytes_FromStringAndSize(value.data(), value.size()), xt)
        if said is KEEP:
            return Change.keep()
        if said is REMOVE:
            return Change.remove()
        stored, xt = said if isinstance(said, tuple) else (said, NEVER)
        talk.said = stored
        return Change.store(view(stored), xt)
    except BaseException as failure:
        talk.failure = failure
        return Change.keep()


cdef boolean ask_processor(void *context, const string &path, int64_t count,
                           int64_t size) noexcept with gil:
    cdef Conversation talk = <Conversation>context
    try:
        return bool(talk.party(os.fsdecode(path), count, size))
    except BaseException as failure:
        talk.failure = failure
        return False


cdef void tell_logger(void *context, const char *kind, const char *message) noexcept with gil:
    (<object>context)(kind.decode(), message.decode("utf-8", "replace"))


@cython.no_gc_clear  # the engine uses the logger until it is closed
cdef class Database:
    cdef NativeDatabase *_native
    cdef CallbackLogger *_log
    cdef object _logger
    cdef Loggable _update_log
    cdef readonly str spec
    cdef readonly str path

    def __init__(self, str spec, *, bint read_only=False, bint auto_transaction=False,
                 bint auto_synchronize=False, bint no_lock=False, bint try_lock=False,
                 bint no_repair=False, logger=None):
        cdef OpenOptions options
        options.read_only = read_only
        options.auto_transaction = auto_transaction
        options.auto_synchronize = auto_synchronize
        options.no_lock = no_lock
        options.try_lock = try_lock
        options.no_repair = no_repair
        self.spec = spec
        self._logger = logger
        if logger is not None:
            self._log = new CallbackLogger(tell_logger, <void *>logger)
        cdef string name = os.fsencode(spec)
        cdef Error error
        self._native = new NativeDatabase(name, options, self._log)
        cdef bint locked
        with nogil:
            error = self._native.open()
            locked = errno == EAGAIN or errno == EACCES
        if locked and error.code() == Code.SYSTEM and error.message() == b"fcntl failed":
            raise FileLocked(f"{spec}: another process has locked the file")
        check_error(error)
        self.path = os.fsdecode(self._native.path())

    def __dealloc__(self):
        with nogil:
            del self._native
            del self._log

    cdef NativeDatabase *native(self) except NULL:
        if self._native is NULL:
            raise EngineError(Code.INVALID, "invalid operation", "another process opened it")
        if callback_running(self._native):
            raise EngineError(Code.LOGIC, "logical inconsistency", "operation inside of a visitor")
        return self._native

    def abandon(self):
        self._native = NULL

    def stop_matching(self):
        self.native().stop_matching()

    def close(self):
        cdef NativeDatabase *native = self.native()
        cdef Error error
        with nogil:
            error = native.close()
        check_error(error)

    def set_update_log(self, Loggable log not None, int index):
        self._update_log = log
        self.native().connect(log.log, index)

    def refuse_writes(self, str why not None):
        self.native().refuse(why.encode("utf-8", "surrogateescape"))

    def refuse_writes_from(self, int64_t time, str why not None):
        self.native().refuse_from(time, why.encode("utf-8", "surrogateescape"))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close()

    def count(self):
        cdef NativeDatabase *native = self.native()
        cdef int64_t count = 0
        cdef Error error
        with nogil:
            error = native.count(&count)
        check_error(error)
        return count

    def size(self):
        cdef NativeDatabase *native = self.native()
        cdef int64_t size = 0
        cdef Error error
        with nogil:
            error = native.size(&size)
        check_error(error)
        return size

    def status(self):
        cdef NativeDatabase *native = self.native()
        cdef cpp_map[string, string] status
        cdef Error error
        with nogil:
            error = native.status(&status)
        check_error(error)
        return dict(status)

    @property
    def in_memory(self):
        return self._native.in_memory

    cdef tuple _fetch(self, bytes key, bint removes):
        cdef NativeDatabase *native = self.native()
        cdef string_view name = view(key)
        cdef string value
        cdef int64_t xt = 0
        cdef Error error
        with nogil:
            error = op_fetch(native[0], name, &value, &xt, removes)
        if error.message() == TOO_LARGE and not hurries:
            return self._fetch_large(name, removes)
        check_error(error)
        return <bytes>value, xt

    cdef tuple _fetch_large(self, string_view name, bint removes):
        """Copied once, to where it stays."""
        cdef NativeDatabase *native = self.native()
        cdef size_t room = 0
        cdef size_t size = 0
        cdef int64_t xt = 0
        cdef bytes value = b""
        cdef char *to
        cdef Error error
        while True:
            to = PyBytes_AS_STRING(value)
            with nogil:
                error = op_get_into(native[0], name, to, room, &size, &xt, removes and room > 0)
            check_error(error)
            if size == room:
                return value, xt
            value = PyBytes_FromStringAndSize(NULL, size)
            room = size

    def get(self, bytes key not None):
        return self._fetch(key, False)

    def seize(self, bytes key not None):
        return self._fetch(key, True)

    def check(self, bytes key not None):
        cdef NativeDatabase *native = self.native()
        cdef string_view name = view(key)
        cdef int64_t size = 0
        cdef int64_t xt = 0
        cdef Error error
        with nogil:
            error = op_check(native[0], name, &size, &xt)
        check_error(error)
        return size, xt

    cdef int _store(self, Store how, bytes key, bytes value, int64_t xt) except -1:
        cdef NativeDatabase *native = self.native()
        cdef string_view name = view(key)
        cdef string_view content = view(value)
        cdef Error error
        with nogil:
            error = op_store(native[0], how, name, content, xt)
        return check_error(error)

    def set(self, bytes key not None, bytes value not None, int64_t xt=NEVER):
        self._store(Store.SET, key, value, xt)

    def add(self, bytes key not None, bytes value not None, int64_t xt=NEVER):
        self._store(Store.ADD, key, value, xt)

    def replace(self, bytes key not None, bytes value not None, int64_t xt=NEVER):
        self._store(Store.REPLACE, key, value, xt)

    def append(self, bytes key not None, bytes value not None, int64_t xt=NEVER):
        self._store(Store.APPEND, key, value, xt)

    def remove(self, bytes key not None):
        cdef NativeDatabase *native = self.native()
        cdef string_view name = view(key)
        cdef Error error
        with nogil:
            error = op_remove(native[0], name)
        check_error(error)

    def increment(self, bytes key not None, int64_t num, int64_t orig=0, int64_t xt=NEVER):
        cdef NativeDatabase *native = self.native()
        cdef string_view name = view(key)
        cdef Error error
        with nogil:
            error = op_increment(native[0], name, &num, orig, xt)
        check_error(error)
        return num

    def increment_double(self, bytes key not None, double num, double orig=0.0, int64_t xt=NEVER):
        cdef NativeDatabase *native = self.native()
        cdef string_view name = view(key)
        cdef Error error
        with nogil:
            error = op_increment_double(native[0], name, &num, orig, xt)
        check_error(error)
        return num

    def cas(self, bytes key not None, bytes old, bytes new, int64_t xt=NEVER):
        cdef NativeDatabase *native = self.native()
        cdef string_view name = view(key)
        cdef optional[string_view] before = optional_view(old)
        cdef optional[string_view] after = optional_view(new)
        cdef Error error
        with nogil:
            error = op_compare_and_swap(native[0], name, before, after, xt)
        check_error(error)

    def accept(self, bytes key not None, visitor, bint writable=True):
        cdef NativeDatabase *native = self.native()
        cdef string_view name = view(key)
        cdef Conversation talk = Conversation(visitor, self)
        cdef Error error
        with nogil:
            error = native.accept(name, talk.visitor[0], writable)
        talk.check()
        check_error(error)

    def set_bulk(self, records, int64_t xt=NEVER, bint atomic=False):
        cdef NativeDatabase *native = self.native()
        cdef list contents = list(records.values())
        cdef vector[string] keys = strings(records)
        cdef vector[string_view] values
        cdef bytes value
        cdef int64_t count = 0
        cdef Error error
        for value in contents:
            values.push_back(view(value))
        with nogil:
            error = op_set_bulk(native[0], keys, values, xt, atomic, &count)
        check_error(error)
        return count

    def remove_bulk(self, keys, bint atomic=False):
        cdef NativeDatabase *native = self.native()
        cdef vector[string] names = strings(keys)
        cdef int64_t count = 0
        cdef Error error
        with nogil:
            error = op_remove_bulk(native[0], names, atomic, &count)
        check_error(error)
        return count

    def get_bulk(self, keys, bint atomic=False):
        cdef NativeDatabase *native = self.native()
        cdef vector[string] names = strings(keys)
        cdef cpp_map[string, string] records
        cdef vector[string] large
        cdef Error error
        with nogil:
            error = op_get_bulk(native[0], names, atomic, &records, &large)
        check_error(error)
        found = taken_records(records)
        for key in byte_strings(large):
            try:
                found[key] = self._fetch(key, False)[0]
            except EngineError as error_now:
                if error_now.code != Code.NOREC:  # it has been removed meanwhile
                    raise
        return found

    def accept_bulk(self, keys, visitor, bint writable=True):
        cdef NativeDatabase *native = self.native()
        cdef vector[string] names = strings(keys)
        cdef Conversation talk = Conversation(visitor, self)
        cdef Error error
        with nogil:
            error = native.accept_bulk(names, talk.visitor[0], writable)
        talk.check()
        check_error(error)

    cdef vector[string] _prefixed(self, bytes prefix, int64_t limit) except *:
        cdef NativeDatabase *native = self.native()
        cdef string begin = prefix
        cdef vector[string] keys
        cdef Error error
        with nogil:
            error = scan_prefix(native[0], begin, limit, &keys)
        check_error(error)
        return move(keys)

    def match_prefix(self, bytes prefix not None, int64_t limit=-1):
        return byte_strings(self._prefixed(prefix, limit))

    def match_prefix_packed(self, bytes prefix not None, int64_t limit, size_t many,
                            size_t longest):
        cdef vector[string] keys = self._prefixed(prefix, limit)
        if keys.size() <= many:
            return byte_strings(keys)
        return keys.size(), ranked(keys, longest)

    def match_regex(self, bytes regex not None, int64_t limit=-1):
        cdef NativeDatabase *native = self.native()
        cdef string pattern = regex
        cdef vector[string] keys
        cdef Error error
        with nogil:
            error = scan_regex(native[0], pattern, limit, &keys)
        check_error(error)
        return byte_strings(keys)

    def match_similar(self, bytes origin not None, size_t distance=1, bint utf8=False,
                      int64_t limit=-1):
        cdef NativeDatabase *native = self.native()
        cdef string text = origin
        cdef vector[string] keys
        cdef Error error
        with nogil:
            error = scan_similar(native[0], text, distance, utf8, limit, &keys)
        check_error(error)
        return byte_strings(keys)

    def iterate(self, visitor, bint writable=True):
        cdef NativeDatabase *native = self.native()
        cdef Conversation talk = Conversation(RecordsOnly(visitor), self)
        cdef Error error
        with nogil:
            error = do_iterate(native[0], talk.visitor[0], writable)
        talk.check()
        check_error(error)

    def clear(self):
        cdef NativeDatabase *native = self.native()
        cdef Error error
        with nogil:
            error = do_clear(native[0])
        check_error(error)

    def synchronize(self, bint hard=False, processor=None):
        cdef NativeDatabase *native = self.native()
        cdef Conversation talk = Conversation(processor, self)
        cdef CallbackProcessor *callback = talk.processor
        cdef Error error
        if processor is None:
            callback = NULL
        with nogil:
            error = do_synchronize(native[0], hard, callback)
        talk.check()
        check_error(error)

    def vacuum(self, int64_t step=0):
        cdef NativeDatabase *native = self.native()
        cdef Error error
        with nogil:
            error = do_vacuum(native[0], step)
        check_error(error)

    def copy(self, destination):
        cdef NativeDatabase *native = self.native()
        cdef string path = os.fsencode(destination)
        cdef Error error
        with nogil:
            error = do_copy(native[0], path)
        check_error(error)

    def dump_snapshot(self, destination):
        cdef NativeDatabase *native = self.native()
        cdef string path = os.fsencode(destination)
        cdef Error error
        with nogil:
            error = do_dump_snapshot(native[0], path)
        check_error(error)

    def checkpoint(self):
        cdef NativeDatabase *native = self.native()
        cdef uint64_t stamp
        with nogil:
            stamp = do_checkpoint(native[0])
        return stamp

    def take_snapshot(self, str path not None, str compressor not None, bint calm=False):
        cdef NativeDatabase *native = self.native()
        cdef string name = os.fsencode(path)
        cdef string how = compressor.encode()
        cdef NativeHeader header
        with nogil:
            header = do_take_snapshot(native[0], name, how, calm)
        return header_of(header)

    def load_snapshot(self, source):
        cdef NativeDatabase *native = self.native()
        cdef string path = os.fsencode(source)
        cdef Error error
        with nogil:
            error = do_load_snapshot(native[0], path)
        check_error(error)

    def tick(self):
        cdef NativeDatabase *native = self.native()
        cdef boolean more
        with nogil:
            more = do_tick(native[0])
        return more

    def begin_transaction(self, bint hard=False, double timeout=-1):
        cdef NativeDatabase *native = self.native()
        cdef Error error
        with nogil:
            error = native.begin_transaction(hard, timeout)
        check_error(error)

    def end_transaction(self, bint commit=True):
        cdef NativeDatabase *native = self.native()
        cdef Error error
        with nogil:
            error = native.end_transaction(commit)
        check_error(error)

    @property
    def in_transaction(self):
        return self.native().in_transaction()

    def cursor(self):
        return Cursor(self)


class RecordsOnly:
    """A visitor of `iterate`, for which a record that has vanished meanwhile is nothing."""

    def __init__(self, visitor):
        self.visit_full = visitor.visit_full

    def visit_empty(self, key):
        return KEEP


include "_lines.pxi"
include "_cursor.pxi"
include "_core.pxi"
include "_recovery.pxi"
