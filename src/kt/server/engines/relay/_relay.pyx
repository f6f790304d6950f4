# distutils: language = c++
"""Threads that serve a gateway's clients without Python: relay_thread.h. See the stub file."""

from collections import namedtuple

from libc.stdint cimport int16_t, uint16_t, uint64_t
from libcpp cimport bool as boolean
from cython.operator cimport dereference, preincrement
from libcpp.list cimport list as cpp_list
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.vector cimport vector

from kt.server.engines.io._io cimport Buffer, Servable
from kt.server.engines.io._io import NOTHING


cdef extern from *:
    """
    #include <chrono>
    #include "relay/relay_thread.h"

    namespace {
    kt::relay::Database make_database(std::vector<std::string> heads, bool flat, bool reads,
                                      bool writes) {
      return {kt::relay::Places(std::move(heads), flat), reads, writes};
    }

    kt::relay::Link make_link(std::string greeting, int greetings, double seconds, int replicas,
                              std::string wait) {
      const std::chrono::milliseconds patience(static_cast<int64_t>(seconds * 1000));
      return {std::move(greeting), greetings, patience, replicas, std::move(wait)};
    }
    }
    """
    cppclass Database "kt::relay::Database":
        pass
    cppclass Link "kt::relay::Link":
        pass
    Database make_database(vector[string], boolean, boolean, boolean) except +
    Link make_link(string, int, double, int, string) except +


cdef extern from "relay/relay_thread.h" namespace "kt::relay" nogil:
    cppclass Request:
        size_t count

    cppclass Outcome:
        int state
        size_t begin
        size_t size

    cppclass Batch:
        string input
        vector[Request] requests
        vector[Outcome] outcomes
        Buffer values
        string trouble

    cppclass Trouble:
        int kind
        uint16_t database
        string address

    cppclass Returned "kt::relay::RelayThread::Returned":
        uint64_t number
        Batch batch
        Buffer output
        size_t sent

    cppclass Trace "kt::relay::RelayThread::Trace":
        uint64_t number
        double when
        string requests

    cppclass News "kt::relay::RelayThread::News":
        vector[Trace] traces
        cpp_list[Returned] returned
        vector[Trouble] troubles

    cppclass NativeRelayThread "kt::relay::RelayThread":
        NativeRelayThread(int, vector[Database], vector[Link], boolean) except +
        void add(uint64_t, int) except +
        int descriptor()
        News take() except +
        uint64_t take_count()
        void set_stamp(string) except +
        void set_owners(size_t, vector[string], vector[int16_t]) except +
        void trust(size_t, string) except +
        void cut_off(size_t, string, string) except +
        void sweep() except +
        void stop() except +

    boolean supported_ "kt::relay::RelayThread::supported"()
    int NO_RECORD "kt::relay::Outcome::NOTHING"
    int VALUE "kt::relay::Outcome::VALUE"
    int STORED "kt::relay::Outcome::STORED"
    int NUMBER "kt::relay::Outcome::NUMBER"
    int UNKNOWN "kt::relay::Outcome::UNKNOWN"
    int LOST_ "kt::relay::Trouble::LOST"
    int SILENT_ "kt::relay::Trouble::SILENT"
    int DOUBTED_ "kt::relay::Trouble::DOUBTED"


SUPPORTED = supported_()
LOST = LOST_
SILENT = SILENT_
DOUBTED = DOUBTED_


Shape = namedtuple("Shape", "heads flat reads writes greeting greetings patience replicas wait")


class Left:
    pass


class Unknown:
    def __init__(self, reason):
        self.reason = reason


LEFT = Left()


class Relayed(Servable):
    def __init__(self):
        self.known = []


cdef object known_of(Batch *batch, Outcome outcome):
    if outcome.state == NO_RECORD:
        return None
    if outcome.state == VALUE:
        return (batch.values.data() + outcome.begin)[: outcome.size]
    if outcome.state == STORED:
        return b"OK"
    if outcome.state == NUMBER:
        return outcome.size
    if outcome.state == UNKNOWN:
        return Unknown(batch.trouble.decode("utf-8", "replace"))
    return LEFT


cdef list all_known(Batch *batch):
    cdef size_t at = 0, i, j
    known = []
    for i in range(batch.requests.size()):
        of_request = []
        for j in range(batch.requests[i].count):
            of_request.append(known_of(batch, batch.outcomes[at]))
            at += 1
        known.append(of_request)
    return known


cdef class RelayThread:
    cdef unique_ptr[NativeRelayThread] _native
    cdef dict _served
    cdef list _troubles
    cdef uint64_t _last

    def __init__(self, int spin_microseconds, databases, *, bint traces=False):
        cdef vector[Database] shapes
        cdef vector[Link] links
        self._served = {}
        self._troubles = []
        for one in databases:
            shapes.push_back(make_database(one.heads, one.flat, one.reads, one.writes))
            links.push_back(
                make_link(one.greeting, one.greetings, one.patience, one.replicas, one.wait)
            )
        self._native.reset(new NativeRelayThread(spin_microseconds, shapes, links, traces))

    def __dealloc__(self):
        with nogil:
            self._native.reset()

    def __len__(self):
        return len(self._served)

    def add(self, int socket, servable not None, owner):
        self._last += 1
        self._served[self._last] = owner, servable
        self._native.get().add(self._last, socket)

    def fileno(self):
        return self._native.get().descriptor()

    def take(self):
        cdef News news = self._native.get().take()
        cdef Trouble trouble
        for trouble in news.troubles:
            address = trouble.address.decode("utf-8", "replace")
            self._troubles.append((trouble.kind, trouble.database, address))
        cdef Trace trace
        traces = []
        for trace in news.traces:
            traces.append((self._served[trace.number][0], trace.when, <bytes>trace.requests))
        returned = []
        cdef cpp_list[Returned].iterator at = news.returned.begin()
        cdef Returned *back
        while at != news.returned.end():
            back = &dereference(at)
            owner, servable = self._served.pop(back.number)
            servable.known = all_known(&back.batch)
            output = (back.output.data() + back.sent)[: back.output.size() - back.sent]
            returned.append((owner, NOTHING, <bytes>back.batch.input, output))
            preincrement(at)
        return traces, returned

    def take_troubles(self):
        troubles, self._troubles = self._troubles, []
        return troubles

    def take_count(self):
        return self._native.get().take_count()

    def set_stamp(self, bytes lines):
        self._native.get().set_stamp(lines)

    def set_owners(self, size_t database, list nodes, list owners):
        cdef vector[string] addresses = [node.encode() for node in nodes]
        self._native.get().set_owners(database, addresses, owners)

    def trust(self, size_t database, str address):
        self._native.get().trust(database, address.encode())

    def cut_off(self, size_t database, str address, str reason):
        self._native.get().cut_off(database, address.encode(), reason.encode())

    def hold(self):
        pass

    def release(self):
        pass

    def sweep(self):
        self._native.get().sweep()

    def stop(self):
        with nogil:
            self._native.get().stop()
