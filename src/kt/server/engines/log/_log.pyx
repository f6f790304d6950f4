# distutils: language = c++
"""update_log.h and log_reader.h with a Python face. See the stub file."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libcpp cimport bool as boolean
from libcpp.map cimport map as cpp_map
from libcpp.string cimport string

from os import fsdecode, fsencode


cdef extern from *:
    """
    static inline void append_to(kt::ChangeLog &log, uint16_t server, uint16_t master,
                                 const char *data, size_t size) {
      log.append({server, master}, {std::string_view(data, size)});
    }
    """
    void append_to(ChangeLog &, uint16_t, uint16_t, const char *, size_t) except + nogil


cdef extern from "log/change_log.h" namespace "kt" nogil:
    cppclass CPlace "kt::LogPlace":
        uint64_t number, size, first, tail, boot


cdef extern from "log/update_log.h" namespace "kt" nogil:
    enum class CFormat "kt::Format":
        TYCOON
        TYRANT

    enum class CDurability "kt::Durability":
        NONE
        PROCESS
        DEVICE

    cppclass Position "kt::UpdateLog::Position":
        uint64_t number, size

    cppclass NativeLog "kt::UpdateLog"(ChangeLog):
        NativeLog(CFormat, const string &, uint64_t, uint16_t, boolean, CDurability) except +IOError
        boolean write() except +
        uint64_t stamp() except +
        string trouble() except +
        boolean synchronize() except +
        const string &findings()
        cpp_map[uint64_t, string] files() except +IOError
        Position position()
        CPlace place() except +
        CPlace place_at(uint64_t, uint64_t) except +
        int descriptor()
        void await_more() except +
        void heard()


cdef extern from "log/log_reader.h" namespace "kt" nogil:
    cppclass Interest:
        uint64_t since
        uint32_t server
        boolean only
        boolean all

    enum class CState "kt::LogReader::State":
        MORE_ "kt::LogReader::State::MORE"
        WAITING_ "kt::LogReader::State::WAITING"
        BROKEN_ "kt::LogReader::State::BROKEN"

    cppclass NativeReader "kt::LogReader":
        NativeReader(NativeLog &, const Interest &) except +
        CState read(size_t, string *) except +
        uint64_t stamp() except +
        Position position()
        boolean close_behind() except +
        boolean incomplete()
        const string &trouble()


DURABILITIES = {
    "none": <int>CDurability.NONE,
    "process": <int>CDurability.PROCESS,
    "device": <int>CDurability.DEVICE,
}

MORE = 0
WAITING = 1
BROKEN = 2


cdef class Loggable:
    pass


cdef class UpdateLog(Loggable):
    cdef NativeLog *_native
    cdef readonly int server

    def __init__(self, str directory not None, *, str kind not None, int server,
                 uint64_t limit=0, bint keeps_files=False, str durable="none"):
        cdef string path = fsencode(directory)
        cdef CFormat format = CFormat.TYCOON if kind == "tycoon" else CFormat.TYRANT
        cdef uint16_t number = server & 0xFFFF
        cdef CDurability durability = <CDurability><int>DURABILITIES[durable]
        with nogil:
            self._native = new NativeLog(format, path, limit, number, keeps_files, durability)
        self.log = self._native
        self.server = number

    def __dealloc__(self):
        with nogil:
            del self._native

    def append(self, uint16_t server, uint16_t master, bytes message not None):
        append_to(self._native[0], server, master, message, len(message))

    def flush(self):
        cdef boolean done
        with nogil:
            done = self._native.write()
        return done

    def stamp(self):
        return self._native.stamp()

    def synchronize(self):
        cdef boolean done
        with nogil:
            done = self._native.synchronize()
        return done

    def trouble(self):
        cdef bytes text = self._native.trouble()
        return text.decode("utf-8", "replace")

    @property
    def findings(self):
        cdef bytes text = self._native.findings()
        return text.decode("utf-8", "replace")

    def position(self):
        cdef Position position = self._native.position()
        return position.number, position.size

    def place(self):
        cdef CPlace place = self._native.place()
        return place.number, place.size, place.first, place.tail, place.boot

    def place_at(self, uint64_t number, uint64_t size):
        cdef CPlace place = self._native.place_at(number, size)
        return place.number, place.size, place.first, place.tail, place.boot

    def files(self):
        return {number: fsdecode(<bytes>path) for number, path in self._native.files()}

    def fileno(self):
        return self._native.descriptor()

    def await_more(self):
        self._native.await_more()

    def heard(self):
        self._native.heard()

    def reader(self, uint64_t since, uint32_t server, bint only=False, bint everything=False):
        return LogReader(self, since, server, only, everything)


cdef class LogReader:
    cdef NativeReader *_native
    cdef UpdateLog _log

    def __init__(self, UpdateLog log not None, uint64_t since, uint32_t server, bint only, bint everything):
        cdef Interest interest
        interest.since = since
        interest.server = server
        interest.only = only
        interest.all = everything
        self._log = log
        self._native = new NativeReader(log._native[0], interest)

    def __dealloc__(self):
        del self._native

    def read(self, size_t limit):
        cdef string frames
        cdef CState state
        with nogil:
            state = self._native.read(limit, &frames)
        return <int>state, <bytes>frames

    def stamp(self):
        return self._native.stamp()

    def position(self):
        cdef Position position = self._native.position()
        return position.number, position.size

    @property
    def close_behind(self):
        return self._native.close_behind()

    @property
    def incomplete(self):
        return self._native.incomplete()

    @property
    def trouble(self):
        cdef bytes text = self._native.trouble()
        return text.decode("utf-8", "replace")
