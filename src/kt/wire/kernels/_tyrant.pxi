# Tokyo Tyrant's binary protocol.

cdef uint8_t TYRANT_MAGIC = _magic.TYRANT_MAGIC

cdef enum:
    COMMAND_SIZE = 2  # magic, command
    ITEM_HEAD = 4
    BLOB_HEAD = 5  # code, u32


cdef inline char* put_command(char* at, uint8_t command) noexcept:
    at[0] = <char> TYRANT_MAGIC
    at[1] = <char> command
    return at + COMMAND_SIZE


cdef inline char* put_record_command(
    char* at, uint8_t command, View* key, View* value
) noexcept:
    at = put_u32(put_command(at, command), <uint32_t> key.size)
    return put_view(put_view(put_u32(at, <uint32_t> value.size), key), value)


# ----------------------------------------------------------------------------------- one record


def pack_key_command(uint8_t command, key):
    cdef View name
    cdef char* at
    owner = view_key(key, &name)
    packed = PyBytes_FromStringAndSize(NULL, COMMAND_SIZE + 4 + name.size)
    at = put_u32(put_command(PyBytes_AS_STRING(packed), command), <uint32_t> name.size)
    put_view(at, &name)
    return packed


def pack_record_command(uint8_t command, key, value):
    cdef View name, data
    name_owner = view_key(key, &name)
    data_owner = view_value(value, None, key, &data)
    packed = PyBytes_FromStringAndSize(NULL, COMMAND_SIZE + 8 + name.size + data.size)
    put_record_command(PyBytes_AS_STRING(packed), command, &name, &data)
    return packed


def read_blob_reply(data, Py_ssize_t pos):
    cdef Py_ssize_t size, length
    cdef const uint8_t* at = buffer_at(data, pos, &size)
    if size == 0:
        return Incomplete(1, read_blob_reply)
    if at[0] == 1:
        return None, pos + 1
    if at[0] != 0:
        raise faults.bad_code(at[0])
    if size < BLOB_HEAD:
        return Incomplete(BLOB_HEAD, read_blob_reply)
    length = get_u32(at + 1)
    if length > SIZE_MAX:
        raise faults.impossible_size(length)
    if size < BLOB_HEAD + length:
        return Incomplete(BLOB_HEAD + length, read_blob_reply)
    blob = PyBytes_FromStringAndSize(<const char*> at + BLOB_HEAD, length)
    return blob, pos + BLOB_HEAD + length


# --------------------------------------------------------------------------------- many records


cdef Output begin_items(bytes head, bytes name):
    # `head`, room for the number of items, and `name`.
    cdef View first, second
    cdef Output output = Output(4096)
    view(head, &first)
    view(name, &second)
    put_view(put_view(output.extend(first.size + 4 + second.size), &first) + 4, &second)
    return output


cdef bytes finish_items(Output output, bytes head, Py_ssize_t count):
    if count > 0xFFFFFFFF:
        raise faults.too_many_to_send(count)
    put_u32(output.begin + PyBytes_GET_SIZE(head), <uint32_t> count)
    return output.finish()


cdef inline int put_item(Output output, View* item) except -1:
    put_view(put_u32(output.extend(ITEM_HEAD + item.size), <uint32_t> item.size), item)
    return 0


def pack_items(bytes head, bytes name, items):
    cdef View item
    cdef Py_ssize_t count = 0
    cdef Output output = begin_items(head, name)
    for each in items:
        owner = view_key(each, &item)
        put_item(output, &item)
        count += 1
    return finish_items(output, head, count)


def pack_item_pairs(bytes head, bytes name, records, dumps):
    cdef View item, data
    cdef Py_ssize_t count = 0
    cdef Output output = begin_items(head, name)
    for key, value in records.items():
        item_owner = view_key(key, &item)
        data_owner = view_value(value, dumps, key, &data)
        put_item(output, &item)
        put_item(output, &data)
        count += 2
    return finish_items(output, head, count)


def pack_record_commands(uint8_t command, records, dumps):
    cdef View name, data
    cdef Output output = Output(4096)
    for key, value in records.items():
        name_owner = view_key(key, &name)
        data_owner = view_value(value, dumps, key, &data)
        put_record_command(
            output.extend(COMMAND_SIZE + 8 + name.size + data.size), command, &name, &data
        )
    return output.finish()


def skip_items(data, Py_ssize_t at, Py_ssize_t count):
    cdef Py_ssize_t size, length
    cdef Py_ssize_t offset = 0
    cdef const uint8_t* begin = buffer_at(data, at, &size)
    while count > 0:
        if size < offset + ITEM_HEAD:
            return at + offset, count, ITEM_HEAD
        length = get_u32(begin + offset)
        if length > SIZE_MAX:
            raise faults.impossible_size(length)
        if size < offset + ITEM_HEAD + length:
            return at + offset, count, ITEM_HEAD + length
        offset += ITEM_HEAD + length
        count -= 1
    return at + offset, 0, 0


cdef inline int next_item(const uint8_t** at, const uint8_t* end, View* item) except -1:
    # The item at `at`, which is moved behind it.
    if end - at[0] < ITEM_HEAD:
        raise faults.cut_frame()
    item.data = <const char*> at[0] + ITEM_HEAD
    item.size = get_u32(at[0])
    if end - at[0] - ITEM_HEAD < item.size:
        raise faults.cut_frame()
    at[0] = <const uint8_t*> item.data + item.size
    return 0


def decode_items(bytes data, Py_ssize_t at, Py_ssize_t count, bint decode_keys):
    cdef View item
    cdef Py_ssize_t size
    cdef const uint8_t* here = buffer_at(data, at, &size)
    cdef const uint8_t* end = here + size
    cdef list found = []
    for _ in range(count):
        next_item(&here, end, &item)
        found.append(load_key(item.data, item.size, decode_keys))
    return found


def decode_item_pairs(
    bytes data, Py_ssize_t at, Py_ssize_t count, bint decode_keys, loads
):
    cdef View name, value
    cdef Py_ssize_t size
    cdef const uint8_t* here = buffer_at(data, at, &size)
    cdef const uint8_t* end = here + size
    cdef list found = []
    for _ in range(0, count, 2):
        next_item(&here, end, &name)
        next_item(&here, end, &value)
        key = load_key(name.data, name.size, decode_keys)
        found.append((key, load(value.data, value.size, loads, key)))
    return found
