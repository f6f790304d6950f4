# Kyoto Tycoon's binary protocol.

from kt.wire import magic as _magic

cdef extern from "Python.h":
    object PyNumber_Index(object)

cdef extern from *:
    # Cython's own name for a dict with room for so many items.
    dict dict_with_room "__Pyx_PyDict_NewPresized"(Py_ssize_t)

cdef uint8_t ERROR = _magic.ERROR
cdef uint8_t SET_BULK = _magic.SET_BULK
cdef uint8_t REMOVE_BULK = _magic.REMOVE_BULK
cdef uint8_t GET_BULK = _magic.GET_BULK

cdef enum:
    COUNT_SIZE = 5  # magic, u32
    BULK_HEAD = 9  # magic, flags, count
    KEY_HEAD = 6
    PAIR_HEAD = 8
    RECORD_HEAD = 18


cdef struct Numbers:
    uint16_t db
    int64_t xt
    uint32_t flags


cdef int take_numbers(object db, object xt, object flags, Numbers* numbers) except -1:
    if isinstance(db, bool):  # an option that went astray
        raise faults.bad_number(db)
    try:
        numbers.db = PyNumber_Index(db)
        numbers.xt = PyNumber_Index(xt)
        numbers.flags = PyNumber_Index(flags)
    except (OverflowError, TypeError) as error:
        raise faults.bad_number(db, xt, flags) from error
    return 0


cdef inline char* put_bulk_head(char* at, uint8_t magic, uint32_t flags) noexcept:
    # The head of a request for one record.
    at[0] = <char> magic
    return put_u32(put_u32(at + 1, flags), 1)


cdef inline char* put_key(char* at, uint16_t db, View* key) noexcept:
    return put_view(put_u32(put_u16(at, db), <uint32_t> key.size), key)


cdef inline char* put_record(
    char* at, uint16_t db, View* key, View* value, int64_t xt
) noexcept:
    at = put_u32(put_u32(put_u16(at, db), <uint32_t> key.size), <uint32_t> value.size)
    return put_view(put_view(put_u64(at, <uint64_t> xt), key), value)


# ----------------------------------------------------------------------------------- one record


cdef bytes pack_one_key(uint8_t magic, object key, object db, object flags):
    cdef View name
    cdef Numbers numbers
    owner = view_key(key, &name)
    take_numbers(db, 0, flags, &numbers)
    packed = PyBytes_FromStringAndSize(NULL, BULK_HEAD + KEY_HEAD + name.size)
    put_key(
        put_bulk_head(PyBytes_AS_STRING(packed), magic, numbers.flags), numbers.db, &name
    )
    return packed


def pack_get(key, db):
    return pack_one_key(GET_BULK, key, db, 0)


def pack_remove(key, db, flags=0):
    return pack_one_key(REMOVE_BULK, key, db, flags)


def pack_set(key, value, db, xt, flags=0):
    cdef View name, data
    cdef Numbers numbers
    name_owner = view_key(key, &name)
    data_owner = view_value(value, None, key, &data)
    take_numbers(db, xt, flags, &numbers)
    packed = PyBytes_FromStringAndSize(NULL, BULK_HEAD + RECORD_HEAD + name.size + data.size)
    put_record(
        put_bulk_head(PyBytes_AS_STRING(packed), SET_BULK, numbers.flags),
        numbers.db,
        &name,
        &data,
        numbers.xt,
    )
    return packed


cdef object read_count(object data, Py_ssize_t pos, uint8_t magic, object resume):
    # The first byte of a reply and the u32 that follows it.
    cdef Py_ssize_t size
    cdef const uint8_t* at = buffer_at(data, pos, &size)
    if size == 0:
        return Incomplete(1, resume)
    if at[0] == ERROR:
        return faults.request_failed(), pos + 1
    if at[0] != magic:
        raise faults.wrong_magic(at[0], magic)
    if size < COUNT_SIZE:
        return Incomplete(COUNT_SIZE, resume)
    return get_u32(at + 1), pos + COUNT_SIZE


def read_set_bulk_reply(data, Py_ssize_t pos):
    return read_count(data, pos, SET_BULK, read_set_bulk_reply)


def read_remove_bulk_reply(data, Py_ssize_t pos):
    return read_count(data, pos, REMOVE_BULK, read_remove_bulk_reply)


def read_get_reply(data, Py_ssize_t pos):
    cdef Py_ssize_t size, ksiz, vsiz, begin
    cdef const uint8_t* at = buffer_at(data, pos, &size)
    if size < COUNT_SIZE or at[0] != GET_BULK or get_u32(at + 1) != 1:
        return read_no_record(data, pos)
    if size < COUNT_SIZE + RECORD_HEAD:
        return Incomplete(COUNT_SIZE + RECORD_HEAD, read_get_reply)
    ksiz = get_u32(at + COUNT_SIZE + 2)
    vsiz = get_u32(at + COUNT_SIZE + 6)
    if ksiz > SIZE_MAX or vsiz > SIZE_MAX:
        raise faults.impossible_sizes(ksiz, vsiz)
    begin = COUNT_SIZE + RECORD_HEAD + ksiz
    if size < begin + vsiz:
        return Incomplete(begin + vsiz, read_get_reply)
    value = PyBytes_FromStringAndSize(<const char*> at + begin, vsiz)
    return value, pos + begin + vsiz


cdef object read_no_record(object data, Py_ssize_t pos):
    # A reply to pack_get that has no record, as far as it has come.
    found = read_count(data, pos, GET_BULK, read_get_reply)
    if type(found) is not tuple or type(found[0]) is not int:
        return found
    if found[0] > 0:
        raise faults.too_many_records(found[0])
    return None, found[1]


# --------------------------------------------------------------------------------- many records


cdef Output begin_output(bytes head):
    # `head`, and room for the number of records.
    cdef View seen
    cdef Output output = Output(4096)
    view(head, &seen)
    put_view(output.extend(seen.size + 4), &seen)
    return output


cdef bytes finish_output(Output output, bytes head, Py_ssize_t count):
    if count > 0xFFFFFFFF:
        raise faults.bad_number(0)
    put_u32(output.begin + PyBytes_GET_SIZE(head), <uint32_t> count)
    return output.finish()


def pack_records(bytes head, records, db, xt, dumps):
    cdef View name, data
    cdef Numbers numbers
    cdef Py_ssize_t count = 0
    cdef Output output = begin_output(head)
    take_numbers(db, xt, 0, &numbers)
    for key, value in records.items():
        name_owner = view_key(key, &name)
        data_owner = view_value(value, dumps, key, &data)
        put_record(
            output.extend(RECORD_HEAD + name.size + data.size),
            numbers.db,
            &name,
            &data,
            numbers.xt,
        )
        count += 1
    return finish_output(output, head, count)


def pack_details(bytes head, records, dumps):
    cdef View name, data
    cdef Numbers numbers
    cdef Py_ssize_t count = 0
    cdef Output output = begin_output(head)
    for db, key, value, xt in records:
        take_numbers(db, xt, 0, &numbers)
        name_owner = view_key(key, &name)
        data_owner = view_value(value, dumps, key, &data)
        put_record(
            output.extend(RECORD_HEAD + name.size + data.size),
            numbers.db,
            &name,
            &data,
            numbers.xt,
        )
        count += 1
    return finish_output(output, head, count)


def pack_keys(bytes head, keys, db):
    cdef View name
    cdef Numbers numbers
    cdef Py_ssize_t count = 0
    cdef Output output = begin_output(head)
    take_numbers(db, 0, 0, &numbers)
    for key in keys:
        owner = view_key(key, &name)
        put_key(output.extend(KEY_HEAD + name.size), numbers.db, &name)
        count += 1
    return finish_output(output, head, count)


def pack_key_details(bytes head, keys):
    cdef View name
    cdef Numbers numbers
    cdef Py_ssize_t count = 0
    cdef Output output = begin_output(head)
    for db, key in keys:
        take_numbers(db, 0, 0, &numbers)
        owner = view_key(key, &name)
        put_key(output.extend(KEY_HEAD + name.size), numbers.db, &name)
        count += 1
    return finish_output(output, head, count)


def pack_pairs(records, dumps):
    cdef View name, data
    cdef char* at
    cdef Py_ssize_t count = 0
    cdef Output output = Output(4096)
    for key, value in records.items():
        name_owner = view_key(key, &name)
        data_owner = view_value(value, dumps, key, &data)
        at = output.extend(PAIR_HEAD + name.size + data.size)
        at = put_u32(put_u32(at, <uint32_t> name.size), <uint32_t> data.size)
        put_view(put_view(at, &name), &data)
        count += 1
    return count, output.finish()


cdef struct Sizes:
    # Where the sizes stand in the head of a record; 0 for a key, which has only one.
    Py_ssize_t head
    Py_ssize_t key
    Py_ssize_t value


cdef Sizes sizes_of(Py_ssize_t layout) noexcept:
    if layout == RECORD_HEAD:
        return Sizes(RECORD_HEAD, 2, 6)
    if layout == PAIR_HEAD:
        return Sizes(PAIR_HEAD, 0, 4)
    return Sizes(KEY_HEAD, 2, 0)


def skip_records(data, Py_ssize_t at, Py_ssize_t count, Py_ssize_t layout):
    cdef Py_ssize_t size, ksiz, vsiz, end
    cdef Py_ssize_t offset = 0
    cdef const uint8_t* begin = buffer_at(data, at, &size)
    cdef Sizes sizes = sizes_of(layout)
    while count > 0:
        end = offset + sizes.head
        if size < end:
            return at + offset, count, sizes.head
        ksiz = get_u32(begin + offset + sizes.key)
        vsiz = get_u32(begin + offset + sizes.value) if sizes.value else 0
        if ksiz > SIZE_MAX or vsiz > SIZE_MAX:
            raise faults.impossible_sizes(ksiz, vsiz)
        end += ksiz + vsiz
        if size < end:
            return at + offset, count, end - offset
        offset = end
        count -= 1
    return at + offset, 0, 0


cdef struct Record:
    uint16_t db
    int64_t xt
    View key
    View value


cdef int next_record(const uint8_t** at, const uint8_t* end, Record* record) except -1:
    # The record at `at`, which is moved behind it.
    cdef const uint8_t* begin = at[0]
    if end - begin < RECORD_HEAD:
        raise faults.cut_frame()
    record.db = get_u16(begin)
    record.key.size = get_u32(begin + 2)
    record.value.size = get_u32(begin + 6)
    record.xt = get_i64(begin + 10)
    record.key.data = <const char*> begin + RECORD_HEAD
    record.value.data = record.key.data + record.key.size
    if end - begin - RECORD_HEAD < record.key.size + record.value.size:
        raise faults.cut_frame()
    at[0] = <const uint8_t*> record.value.data + record.value.size
    return 0


def decode_records(bytes data, Py_ssize_t at, Py_ssize_t count, bint decode_keys, loads):
    cdef Record record
    cdef Py_ssize_t size
    cdef const uint8_t* here = buffer_at(data, at, &size)
    cdef const uint8_t* end = here + size
    cdef dict found = dict_with_room(min(count, size // RECORD_HEAD))
    for _ in range(count):
        next_record(&here, end, &record)
        key = load_key(record.key.data, record.key.size, decode_keys)
        found[key] = load(record.value.data, record.value.size, loads, key)
    return found


def decode_details(bytes data, Py_ssize_t at, Py_ssize_t count, bint decode_keys, loads):
    cdef Record record
    cdef Py_ssize_t size
    cdef const uint8_t* here = buffer_at(data, at, &size)
    cdef const uint8_t* end = here + size
    cdef list found = []
    for _ in range(count):
        next_record(&here, end, &record)
        key = load_key(record.key.data, record.key.size, decode_keys)
        value = load(record.value.data, record.value.size, loads, key)
        found.append((record.db, key, value, record.xt))
    return found


def decode_pairs(bytes data, Py_ssize_t at, Py_ssize_t count, bint decode_keys, loads):
    cdef View name, value
    cdef Py_ssize_t size
    cdef const uint8_t* here = buffer_at(data, at, &size)
    cdef const uint8_t* end = here + size
    cdef dict found = {}
    for _ in range(count):
        if end - here < PAIR_HEAD:
            raise faults.cut_frame()
        name = View(<const char*> here + PAIR_HEAD, get_u32(here))
        value = View(name.data + name.size, get_u32(here + 4))
        if end - here - PAIR_HEAD < name.size + value.size:
            raise faults.cut_frame()
        here = <const uint8_t*> value.data + value.size
        key = load_key(name.data, name.size, decode_keys)
        found[key] = load(value.data, value.size, loads, key)
    return found
