# Snapshots, and what brings databases back; a part of _engine.pyx.


class SnapshotHeader(NamedTuple):
    stamp: int
    records: int
    size: int


cdef object header_of(const NativeHeader &header):
    return SnapshotHeader(header.stamp, header.records, header.size)


cdef int64_t check_room(int64_t count) except -1:
    if count == NO_ROOM_LEFT:
        raise OSError(ENOSPC, "no room for a record")
    return count


cdef class SnapshotLoader:
    cdef NativeLoader *_native
    cdef Database _database
    cdef readonly object header

    def __init__(self, Database database not None, str path not None):
        cdef NativeDatabase *native = database.native()
        cdef string name = os.fsencode(path)
        self._database = database
        self._native = new NativeLoader(native[0], name)
        self.header = header_of(self._native.header())

    def __dealloc__(self):
        del self._native

    def load(self, int64_t limit):
        cdef int64_t count
        with nogil:
            count = self._native.load(limit)
        return check_room(count)


cdef class SnapshotFrames:
    cdef NativeFrames *_native
    cdef readonly object header

    def __init__(self, str path not None, int server, int database):
        cdef string name = os.fsencode(path)
        self._native = new NativeFrames(name, server & 0xFFFF, database & 0xFFFF)
        self.header = header_of(self._native.header())

    def __dealloc__(self):
        del self._native

    @property
    def place(self):
        cdef NativePlace place = self._native.place()
        return place.offset, place.records

    def from_place(self, place not None):
        cdef SnapshotFrames frames = SnapshotFrames.__new__(SnapshotFrames)
        cdef NativePlace native
        native.offset, native.records = place
        frames._native = new NativeFrames(self._native[0], native)
        frames.header = self.header
        return frames

    def read(self, size_t size):
        cdef string frames
        with nogil:
            frames = self._native.read(size)
        return taken(frames)


def restore_changes(stamps, bytes frames not None):
    cdef vector[Restored] databases
    cdef Restored restored
    cdef Database database
    cdef string_view given = view(frames)
    cdef int64_t count
    for database, stamp in stamps:
        restored.database = NULL
        restored.since = 0
        if stamp is not None:
            restored.database = database.native()
            restored.since = stamp
        databases.push_back(restored)
    with nogil:
        count = do_restore_changes(databases, given)
    return check_room(count)
