# RESP2, the protocol of Valkey and Redis.

from functools import partial

from kt.wire.magic import RESP_DEPTH_MAX as _RESP_DEPTH_MAX
from kt.wire.magic import RESP_LINE_MAX as _RESP_LINE_MAX
from kt.wire.magic import RESP_SIZE_MAX as _RESP_SIZE_MAX
from kt.wire.resp_error import RespError

cdef Py_ssize_t RESP_DEPTH_MAX = _RESP_DEPTH_MAX
cdef Py_ssize_t RESP_LINE_MAX = _RESP_LINE_MAX
cdef Py_ssize_t RESP_SIZE_MAX = _RESP_SIZE_MAX

cdef enum:
    LEAST = 3  # bytes of the shortest reply: a sign, CR, LF
    DIGITS_MAX = 19
    WORD_HEAD = 24  # of a string in a command: $, a number, CR, LF

cdef struct Reading:
    const uint8_t* data  # where the reply begins
    Py_ssize_t size  # so many bytes are there
    Py_ssize_t at  # where to go on
    Py_ssize_t need  # more than `size` if something is missing


# ------------------------------------------------------------------------------------- commands


cdef inline char* put_head(char* at, char sign, Py_ssize_t number) noexcept:
    cdef char digits[20]
    cdef int count = 0
    at[0] = sign
    at += 1
    while number > 9:
        digits[count] = <char> (48 + number % 10)
        number //= 10
        count += 1
    digits[count] = <char> (48 + number)
    while count >= 0:
        at[0] = digits[count]
        at += 1
        count -= 1
    at[0] = 13
    at[1] = 10
    return at + 2


def pack_command(words):
    cdef Output output = Output(256)
    cdef char* at
    cdef char* begin
    cdef Py_ssize_t size
    begin = output.extend(WORD_HEAD)
    output.size = put_head(begin, b"*", len(words)) - output.begin
    for word in words:
        if not PyBytes_Check(word):
            raise TypeError(f"a word is bytes, not {type(word).__name__}")
        size = PyBytes_GET_SIZE(word)
        begin = output.extend(WORD_HEAD + size + 2)
        at = put_head(begin, b"$", size)
        memcpy(at, PyBytes_AS_STRING(word), size)
        at[size] = 13
        at[size + 1] = 10
        output.size = at + size + 2 - output.begin
    return output.finish()


# -------------------------------------------------------------------------------------- replies


cdef object not_resp(Reading* reading, Py_ssize_t at):
    cdef Py_ssize_t size = min(reading.size - at, 20)
    return faults.not_resp(PyBytes_FromStringAndSize(<const char*> reading.data + at, size))


cdef Py_ssize_t line_end(Reading* reading) except -2:
    # Where the line at `at` ends; -1 if its end is not there.
    cdef Py_ssize_t at = reading.at
    cdef Py_ssize_t until = min(reading.size, at + RESP_LINE_MAX)
    while at + 1 < until:
        if reading.data[at] == 13 and reading.data[at + 1] == 10:
            return at
        at += 1
    if reading.size - reading.at >= RESP_LINE_MAX:
        raise not_resp(reading, reading.at)
    reading.need = max(reading.size + 1, reading.at + LEAST)
    return -1


cdef int read_number(Reading* reading, int64_t* number) except -1:
    # Whether there is one; `at` is behind it then.
    cdef Py_ssize_t end = line_end(reading)
    cdef Py_ssize_t at = reading.at + 1
    cdef Py_ssize_t digits
    cdef uint64_t value = 0
    cdef bint negative
    if end < 0:
        return 0
    negative = at < end and reading.data[at] == 45
    at += negative
    digits = end - at
    if digits < 1 or digits > DIGITS_MAX or (digits == DIGITS_MAX and reading.data[at] == 48):
        raise not_resp(reading, reading.at)
    while at < end:
        if reading.data[at] < 48 or reading.data[at] > 57:
            raise not_resp(reading, reading.at)
        value = value * 10 + (reading.data[at] - 48)
        at += 1
    number[0] = <int64_t> (0 - value) if negative else <int64_t> value
    reading.at = end + 2
    return 1


cdef object read_string(Reading* reading):
    cdef Py_ssize_t begin = reading.at, end
    cdef int64_t size
    if not read_number(reading, &size) or size < 0:
        return None
    if size > RESP_SIZE_MAX:
        raise faults.impossible_size(size)
    end = reading.at + size
    if reading.size < end + 2:
        reading.need = end + 2
        return None
    if reading.data[end] != 13 or reading.data[end + 1] != 10:
        raise not_resp(reading, begin)
    text = bytes_of(<const char*> reading.data + reading.at, size)
    reading.at = end + 2
    return text


cdef object read_array(Reading* reading, Py_ssize_t depth):
    cdef int64_t count
    if depth >= RESP_DEPTH_MAX:
        raise not_resp(reading, reading.at)
    if not read_number(reading, &count) or count < 0:
        return None
    if count > RESP_SIZE_MAX:
        raise faults.impossible_size(count)
    items = []
    while count:
        item = read_value(reading, depth + 1)
        if reading.need > reading.size:
            return None
        items.append(item)
        count -= 1
    return items


cdef object read_line(Reading* reading):
    cdef Py_ssize_t begin = reading.at + 1, end = line_end(reading)
    if end < 0:
        return None
    reading.at = end + 2
    return PyBytes_FromStringAndSize(<const char*> reading.data + begin, end - begin)


cdef object read_value(Reading* reading, Py_ssize_t depth):
    # What is at `at`; nothing if `need` says that something is missing.
    cdef int64_t number = 0
    cdef uint8_t kind
    if reading.at >= reading.size:
        reading.need = reading.at + LEAST
        return None
    kind = reading.data[reading.at]
    if kind == 36:
        return read_string(reading)
    if kind == 42:
        return read_array(reading, depth)
    if kind == 58:
        return number if read_number(reading, &number) else None
    if kind != 43 and kind != 45:
        raise not_resp(reading, reading.at)
    line = read_line(reading)
    return RespError(line) if kind == 45 and line is not None else line


def read_resp_reply(data, Py_ssize_t pos):
    cdef Reading reading = Reading(NULL, 0, 0, 0)
    cdef int64_t count
    reading.data = buffer_at(data, pos, &reading.size)
    if reading.size == 0 or reading.data[0] != 42:
        value = read_value(&reading, 0)
        if reading.need > reading.size:
            return Incomplete(reading.need, read_resp_reply)
        return value, pos + reading.at
    if not read_number(&reading, &count):
        return Incomplete(reading.need, read_resp_reply)
    if count < 0:
        return None, pos + reading.at
    if count > RESP_SIZE_MAX:
        raise faults.impossible_size(count)
    return read_items([], count, reading.at, data, pos)


def read_items(list items, Py_ssize_t left, Py_ssize_t offset, data, Py_ssize_t pos):
    cdef Reading reading = Reading(NULL, 0, offset, 0)
    cdef Py_ssize_t begin
    reading.data = buffer_at(data, pos, &reading.size)
    while left:
        begin = reading.at
        item = read_value(&reading, 1)
        if reading.need > reading.size:
            resume = partial(read_items, items, left, begin)
            return Incomplete(reading.need + (left - 1) * LEAST, resume)
        items.append(item)
        left -= 1
    return items, pos + reading.at
