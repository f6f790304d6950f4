"""The C++ side of _engine.pyx: what the headers database/, upkeep/ and protocol/ declare. They say what it means."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libcpp cimport bool as boolean
from libcpp.map cimport map as cpp_map
from libcpp.optional cimport optional
from libcpp.set cimport set as cpp_set
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector

from kt.server.engines.io._io cimport Buffer, Servant, Times
from kt.server.engines.log._log cimport ChangeLog


cdef extern from "kcutil.h" namespace "kyotocabinet" nogil:
    const char *VERSION
    const int LIBVER
    const int LIBREV
    const char *FEATURES


cdef extern from "log/change_log.h" namespace "kt" nogil:
    uint64_t written "kt::Written::take"()
    const uint64_t WRITTEN_HELD "kt::Written::HELD"


cdef extern from "kyoto/database/callbacks.h" namespace "kt" nogil:
    cppclass Error:
        int code()
        const char *name()
        const char *message()

    cppclass Change:
        @staticmethod
        Change keep()
        @staticmethod
        Change remove()
        @staticmethod
        Change store(string_view, int64_t)

    boolean callback_running "kt::Callback::running"(const void *)

    cppclass RecordVisitor:
        pass

    cppclass CallbackVisitor(RecordVisitor):
        CallbackVisitor(Change (*)(void *, const string_view &, const string_view *, int64_t) noexcept,
                        void *, const void *, boolean)

    cppclass FileProcessor "kyotocabinet::BasicDB::FileProcessor":
        pass

    cppclass CallbackProcessor(FileProcessor):
        CallbackProcessor(boolean (*)(void *, const string &, int64_t, int64_t) noexcept, void *,
                          const void *)

    cppclass EngineLogger "kyotocabinet::BasicDB::Logger":
        pass

    cppclass CallbackLogger(EngineLogger):
        CallbackLogger(void (*)(void *, const char *, const char *) noexcept, void *)


cdef extern from "kyoto/database/record.h" namespace "kt" nogil:
    const size_t LARGE
    boolean hurries
    const char *TOO_LARGE


cdef extern from "kyoto/database/database.h" namespace "kt" nogil:
    cppclass OpenOptions:
        boolean read_only, auto_transaction, auto_synchronize, no_lock, try_lock, no_repair

    cppclass NativeDatabase "kt::Database":
        NativeDatabase(const string &, const OpenOptions &, EngineLogger *) except +
        Error open() except +
        Error close() except +
        void stop_matching()
        const string &path()
        Error count(int64_t *) except +
        Error size(int64_t *) except +
        Error status(cpp_map[string, string] *) except +
        Error accept(string_view, RecordVisitor &, boolean) except +
        Error accept_bulk(const vector[string] &, RecordVisitor &, boolean) except +
        Error begin_transaction(boolean, double) except +
        Error end_transaction(boolean) except +
        boolean in_transaction()
        void connect "journal().connect"(ChangeLog *, uint16_t)
        void refuse "journal().refuse"(const string&) except +
        void refuse_from "journal().refuse_from"(int64_t, const string&) except +
        boolean in_memory "kind().in_memory"


cdef extern from "kyoto/protocol/operations.h" namespace "kt" nogil:
    enum class Store:
        SET
        ADD
        REPLACE
        APPEND

    Error op_fetch "kt::fetch"(NativeDatabase &, string_view, string *, int64_t *, boolean) except +
    Error op_get_into "kt::get_into"(
        NativeDatabase &, string_view, char *, size_t, size_t *, int64_t *, boolean) except +
    Error op_check "kt::check"(NativeDatabase &, string_view, int64_t *, int64_t *) except +
    Error op_remove "kt::remove"(NativeDatabase &, string_view) except +
    Error op_store "kt::store"(NativeDatabase &, Store, string_view, string_view, int64_t) except +
    Error op_increment "kt::increment"(
        NativeDatabase &, string_view, int64_t *, int64_t, int64_t) except +
    Error op_increment_double "kt::increment_double"(
        NativeDatabase &, string_view, double *, double, int64_t) except +
    Error op_compare_and_swap "kt::compare_and_swap"(
        NativeDatabase &, string_view, const optional[string_view] &,
        const optional[string_view] &, int64_t) except +
    Error op_set_bulk "kt::set_bulk"(
        NativeDatabase &, const vector[string] &, const vector[string_view] &, int64_t, boolean,
        int64_t *) except +
    Error op_remove_bulk "kt::remove_bulk"(
        NativeDatabase &, const vector[string] &, boolean, int64_t *) except +
    Error op_get_bulk "kt::get_bulk"(
        NativeDatabase &, const vector[string] &, boolean, cpp_map[string, string] *,
        vector[string] *) except +


cdef extern from "kyoto/database/scan.h" namespace "kt" nogil:
    Error scan_prefix "kt::match_prefix"(
        NativeDatabase &, const string &, int64_t, vector[string] *) except +
    Error scan_regex "kt::match_regex"(
        NativeDatabase &, const string &, int64_t, vector[string] *) except +
    Error scan_similar "kt::match_similar"(
        NativeDatabase &, const string &, size_t, boolean, int64_t, vector[string] *) except +


cdef extern from "kyoto/upkeep/maintenance.h" namespace "kt" nogil:
    Error do_clear "kt::clear"(NativeDatabase &) except +
    Error do_synchronize "kt::synchronize"(NativeDatabase &, boolean, FileProcessor *) except +
    Error do_vacuum "kt::vacuum"(NativeDatabase &, int64_t) except +
    boolean do_tick "kt::tick"(NativeDatabase &) except +


cdef extern from "kyoto/database/snapshot.h" namespace "kt" nogil:
    Error do_dump_snapshot "kt::dump_snapshot"(NativeDatabase &, const string &) except +
    Error do_load_snapshot "kt::load_snapshot"(NativeDatabase &, const string &) except +
    Error do_copy "kt::copy"(NativeDatabase &, const string &) except +
    Error do_iterate "kt::iterate"(NativeDatabase &, RecordVisitor &, boolean) except +


cdef extern from "kyoto/database/cursor.h" namespace "kt" nogil:
    cppclass NativeCursor "kt::Cursor":
        NativeCursor(NativeDatabase &) except +
        Error jump(const optional[string_view] &) except +
        Error jump_back(const optional[string_view] &) except +
        Error step() except +
        Error step_back() except +
        Error accept(RecordVisitor &, boolean, boolean) except +
        Error get(string *, string *, int64_t *, boolean) except +
        Error set_value(string_view, int64_t, boolean) except +
        Error remove() except +
        Error seize(string *, string *, int64_t *) except +


cdef extern from "kyoto/protocol/core.h" namespace "kt" nogil:
    const size_t COMMANDS
    const char *COMMAND_NAMES[]

    cppclass Counts:
        uint64_t set, set_misses, remove, remove_misses, get, get_misses
        vector[uint64_t] commands  # an array, which is indexed alike

    cppclass NativeCore "kt::Core":
        vector[NativeDatabase *] databases
        size_t reply_limit
        boolean trace
        boolean timed
        boolean owes
        boolean leaves_writes
        boolean keeps_lock
        Times times
        Counts present_counts()
        void set_stamp(string_view) except +

    enum class NativeState "kt::State":
        AGAIN

    cppclass NativeStream "kt::Stream"(Servant):
        NativeStream(NativeCore &) except +
        void restrict(bint, bint)
        NativeState feed(const char *, size_t, size_t *) except +
        void finish() except +
        boolean pending()
        string_view reply()
        void drop_reply()
        void take_reply(Buffer *) except +
        string *traced()


cdef extern from "kyoto/recovery/snapshot_taking.h" namespace "kt" nogil:
    cppclass NativeHeader "kt::SnapshotHeader":
        uint32_t check
        uint64_t stamp
        int64_t records, size

    NativeHeader do_take_snapshot "kt::take_snapshot"(
        NativeDatabase &, const string &, const string &, boolean) except +IOError


cdef extern from "kyoto/recovery/snapshot_frames.h" namespace "kt" nogil:
    cppclass NativePlace "kt::SnapshotReader::Place":
        uint64_t offset
        int64_t records

    cppclass NativeFrames "kt::SnapshotFrames":
        NativeFrames(const string &, uint16_t, uint16_t) except +IOError
        NativeFrames(const NativeFrames &, NativePlace) except +IOError
        const NativeHeader &header()
        string read(size_t) except +IOError
        NativePlace place()


cdef extern from "kyoto/recovery/checkpoint.h" namespace "kt" nogil:
    uint64_t do_checkpoint "kt::checkpoint"(NativeDatabase &) except +IOError


cdef extern from "kyoto/recovery/restoring.h" namespace "kt" nogil:
    int64_t NO_ROOM_LEFT
    cppclass NativeLoader "kt::SnapshotLoader":
        NativeLoader(NativeDatabase &, const string &) except +IOError
        const NativeHeader &header()
        int64_t load(int64_t) except +IOError

    cppclass Restored:
        NativeDatabase *database
        uint64_t since

    int64_t do_restore_changes "kt::restore_changes"(
        const vector[Restored] &, string_view) except +IOError


cdef extern from "kyoto/protocol/replay.h" namespace "kt" nogil:
    enum class NativeReplayState "kt::Replay::State":
        pass

    cppclass NativeOwn "kt::Own":
        uint16_t master
        uint64_t until
        vector[boolean] whole

    cppclass NativeBehind "kt::Behind":
        boolean told
        uint64_t bytes, changes

    cppclass NativeReplay "kt::Replay":
        NativeReplay(const vector[NativeDatabase *] &, uint16_t, NativeOwn) except +
        NativeReplayState apply(const char *, size_t, size_t *) except +
        uint64_t stamp()
        uint64_t read()
        uint64_t applied()
        const cpp_set[uint16_t] &unknown()
        const NativeBehind &behind()
        const string &trouble()
