"""See ``_engine.pyi`` for what this module offers, and the C++ headers beside it for how it works."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.limits cimport INT_MAX, INT_MIN
from libc.math cimport isnan
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.utility cimport move
from libcpp.vector cimport vector

from enum import IntEnum
from os import fsdecode, fsencode

from kt.errors import ImproperlyConfigured
from kt.server.engines import FileLocked, LargeValue
from kt.server.engines.io._io cimport (
    TIMES_PLACES, Buffer, Servable, Servant, Times, find_caller, reply_of, served_caller
)
from kt.server.engines.log._log cimport ChangeLog, Loggable

cdef extern from "<string_view>" namespace "std" nogil:
    cdef cppclass string_view:
        string_view()
        string_view(const char *, size_t)
        const char *data()
        size_t size()

cdef extern from "tcutil.h":
    const char *tcversion

cdef extern from "io/buffer.h" namespace "kt" nogil:
    void fetch_memory(char *, size_t)

cdef extern from "tokyo/database/list.h" namespace "kt::tokyo" nogil:
    cdef cppclass List:
        string_view frame()
        void reply(Buffer *)

cdef extern from "log/change_log.h" namespace "kt" nogil:
    cdef cppclass CPlace "kt::LogPlace":
        uint64_t number, size, first, tail, boot

cdef extern from "tokyo/database/store.h" namespace "kt::tokyo" nogil:
    const char *LOCKED
    const size_t LARGE
    cdef enum class CKeeping "kt::tokyo::Keeping":
        NONE
        DURABLE
        FORGET
        COMMIT
        DEVICE
    cbool hurries
    cdef cppclass Block:
        cbool operator bool()
        string_view bytes()

cdef extern from "tokyo/database/database.h" namespace "kt::tokyo" nogil:
    cdef enum class CHold "kt::tokyo::Database::Hold":
        NONE
    cdef cppclass CDatabase "kt::tokyo::Database":
        CDatabase(const string &, int, CKeeping) except +
        CDatabase(const string &, const string &) except +
        uint64_t since()
        CPlace log_then()
        uint64_t point()
        cbool connect(ChangeLog *) except +
        cbool close() except +
        void stop_matching()
        void abandon()
        cbool put "writing()->put"(string_view, string_view) except +
        cbool putkeep "writing()->putkeep"(string_view, string_view) except +
        cbool putcat "writing()->putcat"(string_view, string_view) except +
        cbool putshl "writing()->putshl"(string_view, string_view, int) except +
        cbool out "writing()->out"(string_view) except +
        Block get "reading()->get"(string_view) except +
        int get_into "reading()->get_into"(string_view, char *, size_t) except +
        cbool leaves "reading()->leaves"(string_view) except +
        cbool has_large()
        cbool is_table()
        Block fetch_row(string_view) except +
        int vsiz "reading()->vsiz"(string_view) except +
        int addint "writing()->addint"(string_view, int) except +
        double adddouble "writing()->adddouble"(string_view, double) except +
        cbool iterinit "writing()->iterinit"() except +
        Block iternext "writing()->iternext"() except +
        uint64_t count "reading()->count"() except +
        uint64_t size "reading()->size"() except +
        CHold hold_of(string_view, const vector[string_view] &)
        @staticmethod
        uint8_t rights_for(string_view, const vector[string_view] &)
        cbool long_misc(const string &, const vector[string_view] &, List *, cbool) except +
        void long_fwmkeys(string_view, int, List *) except +
        cbool sync() except +
        cbool optimize(const string &) except +
        cbool vanish() except +
        cbool copy(const string &) except +
        uint64_t copy_point(const string &) except +IOError
        const char *type_name()
        string path()
        string error_text()
        cbool error_is_harmless()
        cbool fatal()
        cbool in_memory()
        cbool rebuilt()
        vector[string] kept()
        cbool settled(cbool) except +
        void log_every_change "journal.log_every_change"()

cdef extern from *:
    """
    static inline void act_for(uint16_t server, uint16_t master) {
      kt::tokyo::Journal::act_for({server, master});
    }
    """
    void act_for(uint16_t, uint16_t) nogil

cdef extern from "tokyo/protocol/stream.h" namespace "kt::tokyo" nogil:
    cdef int COUNTS
    cdef enum CCommand "kt::tokyo::Command":
        pass
    cdef enum class CEvent "kt::tokyo::Event":
        DOING
    cdef enum class CState "kt::tokyo::State":
        AGAIN
    cdef cppclass CCore "kt::tokyo::Core":
        CCore(CDatabase *, uint64_t, cbool)
        void add(int, uint64_t)
        uint64_t count(int)
        cbool timed
        cbool owes
        cbool keeps_lock
        Times times
        vector[pair[CCommand, CEvent]] take_events()
    cdef cppclass Progress:
        CState state
        size_t consumed
        size_t need
    cdef cppclass CStream "kt::tokyo::Stream"(Servant):
        CStream(CCore *)
        void restrict(uint64_t, uint8_t)
        Progress feed(string_view, Buffer *, cbool) except +
        cbool in_list()

cdef extern from "tokyo/protocol/replay.h" namespace "kt::tokyo" nogil:
    cdef cppclass Place:
        Place()
        uint64_t stamp
        uint32_t commands
    cdef enum class CNext "kt::tokyo::Replay::Next":
        MORE
    cdef enum class CEnd "kt::tokyo::Replay::End":
        DONE
    cdef cppclass CReplay "kt::tokyo::Replay":
        CReplay(CDatabase *, uint32_t, int)
        CNext plan(string_view, Place) except +
        size_t consumed()
        size_t commands()
        Place until()
        string marks()
        CEnd carry_out(uint16_t, cbool) except +
        Place done()
        size_t differences()
        uint64_t difference()
        @staticmethod
        string mark(CDatabase *, uint8_t, string_view) except +


find_caller = served_caller


def hurry(cbool hurried):
    global hurries
    hurries = hurried


def hurried():
    return bool(hurries)


LIBRARY_VERSION = tcversion.decode("ascii")


class Hold(IntEnum):
    NONE = 0
    WRITERS = 1
    ALL = 2


class Event(IntEnum):
    DOING = 0
    FORBIDDEN = 1
    INVALID = 2
    FAILED = 3
    UNKNOWN = 4


class State(IntEnum):
    MORE = 0
    AGAIN = 1
    TEXT = 2
    COMMAND = 3
    BUSY = 4
    BROKEN = 5
    CLOSE = 6


cdef inline string_view view(bytes data) noexcept:
    return string_view(<const char *>data, <size_t>len(data))


cdef bytes copied(string_view data):
    cdef char *to
    cdef size_t size = data.size()
    if size <= LARGE:
        return data.data()[:size]
    copy = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
    to = PyBytes_AS_STRING(copy)
    with nogil:  # the event loop goes on meanwhile
        memcpy(to, data.data(), size)
    return copy


cdef class Database:
    cdef unique_ptr[CDatabase] database
    cdef readonly str name
    cdef Loggable update_log

    def __init__(self, str name, *, int stores=0, cbool durable=False, cbool forget=False,
                 cbool commit=False, cbool device=False, str plugin=None):
        cdef CKeeping keeping = CKeeping.DURABLE if durable else CKeeping.NONE
        if forget:
            keeping = CKeeping.FORGET
        if commit or device:
            keeping = CKeeping.DEVICE if device else CKeeping.COMMIT
        self.name = name
        try:
            if plugin is not None:
                self.database.reset(
                    new CDatabase(<string>fsencode(name), <string>fsencode(plugin)))
            else:
                self.database.reset(new CDatabase(fsencode(name), stores, keeping))
        except RuntimeError as error:
            if str(error).encode() == LOCKED:
                raise FileLocked(f"{name}: {error}") from None
            by = f" by {plugin}" if plugin is not None else ""
            raise ImproperlyConfigured(f"cannot open the database {name}{by}: {error}") from None

    def set_update_log(self, Loggable log not None, *, cbool every_change=False):
        cdef cbool done
        self.update_log = log
        if every_change:
            self.database.get().log_every_change()
        with nogil:
            done = self.database.get().connect(log.log)
        if not done:
            raise ImproperlyConfigured(f"cannot make {self.name} safe: {self.error_text}")

    def abandon(self):
        self.database.release().abandon()

    def stop_matching(self):
        self.database.get().stop_matching()

    def close(self):
        cdef cbool done
        with nogil:
            done = self.database.get().close()
        return done

    def put(self, bytes key not None, bytes value not None):
        cdef string_view k = view(key), v = view(value)
        cdef cbool done
        with nogil:
            done = self.database.get().put(k, v)
            done = self.database.get().settled(done)
        return done

    def putkeep(self, bytes key not None, bytes value not None):
        cdef string_view k = view(key), v = view(value)
        cdef cbool done
        with nogil:
            done = self.database.get().putkeep(k, v)
            done = self.database.get().settled(done)
        return done

    def putcat(self, bytes key not None, bytes value not None):
        cdef string_view k = view(key), v = view(value)
        cdef cbool done
        with nogil:
            done = self.database.get().putcat(k, v)
            done = self.database.get().settled(done)
        return done

    def putshl(self, bytes key not None, bytes value not None, int width):
        cdef string_view k = view(key), v = view(value)
        cdef cbool done
        with nogil:
            done = self.database.get().putshl(k, v, width)
            done = self.database.get().settled(done)
        return done

    def out(self, bytes key not None):
        cdef string_view k = view(key)
        cdef cbool done
        with nogil:
            done = self.database.get().out(k)
            done = self.database.get().settled(done)
        return done

    def get(self, bytes key not None):
        cdef string_view k = view(key)
        cdef Block value
        if self.database.get().has_large():
            return self._get_perhaps_large(k)
        with nogil:
            value = move(self.database.get().get(k))
        return copied(value.bytes()) if <cbool>value else None

    cdef object _get_perhaps_large(self, string_view key):
        """A large value is copied once, without the GIL, to where it stays."""
        cdef int size, room
        cdef char *to
        cdef Block row
        with nogil:
            size = self.database.get().vsiz(key)
        if hurries and size > <int>LARGE:
            raise LargeValue("the value is too large for a thread in a hurry")
        if size > <int>LARGE and self.database.get().is_table():
            with nogil:
                row = move(self.database.get().fetch_row(key))
            if <cbool>row:
                value = PyBytes_FromStringAndSize(NULL, row.bytes().size())
                to = PyBytes_AS_STRING(value)
                with nogil:
                    memcpy(to, row.bytes().data(), row.bytes().size())
                return value
        while size >= 0:
            value = PyBytes_FromStringAndSize(NULL, size)
            to = PyBytes_AS_STRING(value)
            room = size
            with nogil:
                if <size_t>room > LARGE:
                    fetch_memory(to, room)
                size = self.database.get().get_into(key, to, room)
            if size == room:
                return value
        return None

    def vsiz(self, bytes key not None):
        cdef string_view k = view(key)
        cdef int size
        with nogil:
            size = self.database.get().vsiz(k)
        return size if size >= 0 else None

    def addint(self, bytes key not None, int number):
        cdef string_view k = view(key)
        cdef int total
        with nogil:
            total = self.database.get().addint(k, number)
            if not self.database.get().settled(True):
                total = INT_MIN
        return total if total != INT_MIN else None

    def adddouble(self, bytes key not None, double number):
        cdef string_view k = view(key)
        cdef double total
        cdef cbool done
        with nogil:
            total = self.database.get().adddouble(k, number)
            done = self.database.get().settled(True)
        return None if isnan(total) or not done else total

    def iterinit(self):
        cdef cbool done
        with nogil:
            done = self.database.get().iterinit()
        return done

    def iternext(self):
        cdef Block key
        with nogil:
            key = move(self.database.get().iternext())
        return copied(key.bytes()) if <cbool>key else None

    def count(self):
        cdef uint64_t count
        with nogil:
            count = self.database.get().count()
        return count

    def size(self):
        cdef uint64_t size
        with nogil:
            size = self.database.get().size()
        return size

    def fwmkeys(self, bytes prefix not None, int limit=-1):
        cdef string_view p = view(prefix)
        cdef List keys
        with nogil:
            self.database.get().long_fwmkeys(p, limit, &keys)
        return copied(keys.frame())

    def answer_fwmkeys(self, bytes prefix not None, int limit=-1):
        cdef string_view p = view(prefix)
        cdef List keys
        cdef Buffer reply
        with nogil:
            self.database.get().long_fwmkeys(p, limit, &keys)
            keys.reply(&reply)
        return reply_of(&reply, 0)

    def misc(self, bytes name not None, arguments=(), *, cbool logged=True):
        cdef List result
        done = self._misc(name, list(arguments), logged, &result)
        return copied(result.frame()) if done else None

    def answer_misc(self, bytes name not None, arguments=(), *, cbool logged=True):
        cdef List result
        cdef Buffer reply
        if not self._misc(name, list(arguments), logged, &result):
            return None
        result.reply(&reply)
        return reply_of(&reply, 0)

    cdef cbool _misc(self, bytes name, list arguments, cbool logged, List *result) except *:
        cdef string function = name
        cdef vector[string_view] views
        cdef cbool done
        for argument in arguments:
            views.push_back(view(<bytes?>argument))
        with nogil:
            done = self.database.get().long_misc(function, views, result, logged)
            done = self.database.get().settled(done)
        return done

    def hold_of(self, bytes name not None, arguments=()):
        cdef vector[string_view] views
        kept = list(arguments)
        for argument in kept:
            views.push_back(view(<bytes?>argument))
        return Hold(<int>self.database.get().hold_of(view(name), views))

    @staticmethod
    def rights_for(bytes name not None, arguments=()):
        cdef vector[string_view] views
        kept = list(arguments)
        for argument in kept:
            views.push_back(view(<bytes?>argument))
        return CDatabase.rights_for(view(name), views)

    def sync(self):
        cdef cbool done
        with nogil:
            done = self.database.get().sync()
            done = self.database.get().settled(done)
        return done

    def optimize(self, bytes parameters not None=b""):
        cdef string text = parameters
        cdef cbool done
        with nogil:
            done = self.database.get().optimize(text)
            done = self.database.get().settled(done)
        return done

    def vanish(self):
        cdef cbool done
        with nogil:
            done = self.database.get().vanish()
            done = self.database.get().settled(done)
        return done

    def copy(self, bytes path not None):
        cdef string text = path
        cdef cbool done
        with nogil:
            done = self.database.get().copy(text)
        return done

    def copy_point(self, str path not None):
        cdef string to = fsencode(path)
        cdef uint64_t stamp
        with nogil:
            stamp = self.database.get().copy_point(to)
        return stamp

    @property
    def type_name(self):
        return self.database.get().type_name().decode("ascii")

    @property
    def path(self):
        return fsdecode(<bytes>self.database.get().path()) or None

    @property
    def in_memory(self):
        return self.database.get().in_memory()

    @property
    def rebuilt(self):
        return self.database.get().rebuilt()

    @property
    def since(self):
        return self.database.get().since()

    @property
    def log_then(self):
        cdef CPlace place = self.database.get().log_then()
        return place.number, place.size, place.first, place.tail, place.boot

    @property
    def point(self):
        return self.database.get().point()

    @property
    def kept_files(self):
        return [fsdecode(<bytes>path) for path in self.database.get().kept()]

    @property
    def fatal_error(self):
        if not self.database.get().fatal():
            return None
        return self.error_text

    @property
    def error_text(self):
        return (<bytes>self.database.get().error_text()).decode("ascii", "replace")

    @property
    def error_is_harmless(self):
        return self.database.get().error_is_harmless()


def come_from(uint16_t server, uint16_t master):
    act_for(server, master)


cdef class BinaryCore:
    cdef readonly Database database
    cdef unique_ptr[CCore] core

    def __init__(self, Database database not None, *, uint64_t mask=0, cbool trace=False):
        self.database = database
        self.core.reset(new CCore(database.database.get(), mask, trace))

    def stream(self):
        return Stream(self)

    def count(self, int number, int more=1):
        if not 0 <= number < COUNTS:
            raise IndexError("there is no such count")
        self.core.get().add(number, more)

    def counts(self):
        return [self.core.get().count(number) for number in range(COUNTS)]

    @property
    def timed(self):
        return self.core.get().timed

    @timed.setter
    def timed(self, cbool timed):
        self.core.get().timed = timed

    def settle_together(self):
        self.core.get().owes = True

    def hold(self):
        self.core.get().keeps_lock = False

    def release(self):
        self.core.get().keeps_lock = True

    def took(self, double seconds):
        if self.core.get().timed:
            self.core.get().times.add_nanoseconds(<uint64_t>(max(seconds, 0.0) * 1e9), 1)

    def times(self):
        cdef Times *times = &self.core.get().times
        return [times.count(place) for place in range(TIMES_PLACES)], times.nanoseconds() / 1e9

    def take_events(self):
        cdef vector[pair[CCommand, CEvent]] events = self.core.get().take_events()
        return [(<int>event.first, Event(<int>event.second)) for event in events]


cdef class Stream(Servable):
    cdef BinaryCore core
    cdef unique_ptr[CStream] stream

    def __init__(self, BinaryCore core not None):
        self.core = core
        self.stream.reset(new CStream(core.core.get()))
        self.servant = self.stream.get()

    def restrict(self, uint64_t mask, uint8_t rights):
        self.stream.get().restrict(mask, rights)

    def feed(self, const unsigned char[::1] data not None, Py_ssize_t start=0, cbool wait=False):
        if not 0 <= start <= data.shape[0]:
            raise IndexError("start is outside the data")
        if start == data.shape[0]:
            return 0, 0, 1, b""
        cdef string_view left = string_view(<const char *>&data[start], data.shape[0] - start)
        cdef Buffer out
        cdef Progress progress
        self.brevity.begin()
        if self.core.core.get().keeps_lock and not wait and self.brevity.expects(left.size()):
            progress = self.stream.get().feed(left, &out, wait)
            self.brevity.end()
        else:
            with nogil:
                progress = self.stream.get().feed(left, &out, wait)
                self.brevity.end()
        if progress.state == CState.AGAIN:
            self.brevity.doubt()
        reply = reply_of(&out, 0) if out.size() else b""
        return <int>progress.state, progress.consumed, progress.need, reply

    @property
    def in_list(self):
        return self.stream.get().in_list()


MARK = 8


class Next(IntEnum):
    MORE = 0
    BEAT = 1
    OTHER = 2
    BATCH = 3


class End(IntEnum):
    DONE = 0
    DIFFERENT = 1
    REFUSED = 2
    UNLOGGED = 3


cdef class Replay:
    cdef readonly Database database
    cdef unique_ptr[CReplay] replay
    cdef bytes input

    def __init__(self, Database database not None, uint32_t server, *, int milliseconds=1):
        self.database = database
        self.replay.reset(new CReplay(database.database.get(), server, milliseconds))

    def plan(self, bytes data not None, Py_ssize_t start, done):
        if not 0 <= start <= len(data):
            raise IndexError("start is outside the data")
        cdef Place place
        place.stamp, place.commands = done
        cdef string_view left = string_view(PyBytes_AS_STRING(data) + start, len(data) - start)
        cdef CNext next
        self.input = data
        with nogil:
            next = self.replay.get().plan(left, place)
        until = self.replay.get().until()
        marks = <bytes>self.replay.get().marks()
        return (<int>next, self.replay.get().consumed(), self.replay.get().commands(),
                (until.stamp, until.commands), marks)

    def carry_out(self, uint16_t master, cbool consistent):
        cdef CEnd end
        with nogil:
            end = self.replay.get().carry_out(master, consistent)
        done = self.replay.get().done()
        return (<int>end, (done.stamp, done.commands), self.replay.get().differences(),
                self.replay.get().difference())

    @staticmethod
    def mark(Database database not None, uint8_t code, bytes key not None):
        cdef string mark
        cdef string_view k = view(key)
        with nogil:
            mark = CReplay.mark(database.database.get(), code, k)
        return mark
