# Columns: names and values in lines, encoded and decoded.

from libc.stdlib cimport qsort

from kt.wire import columns as _columns

cdef extern from "Python.h":
    bint PyLong_Check(object)
    bint PyLong_CheckExact(object)

cdef Py_ssize_t ANY_LENGTH = _columns.ANY_LENGTH
cdef Py_ssize_t ESTIMATED = _columns.ESTIMATED
cdef Py_ssize_t PLACE_WIDTH = _columns.PLACE_WIDTH
cdef Py_ssize_t RANK_DIGITS = _columns.RANK_DIGITS

cdef enum:
    # What a byte is, as bits of KIND.
    CONTROL = 1
    UNRESERVED = 2  # may stand in a URL
    COUNTED_PLAIN = 4  # counts as one byte when the length of URL encoding is estimated
    TOKEN = 8  # may stand in the name of a header or procedure

cdef uint8_t[256] KIND
cdef int8_t[256] HEX_DIGIT
cdef int8_t[256] BASE64_DIGIT
cdef const char* HEX_LOWER = b"0123456789abcdef"
cdef const char* HEX_UPPER = b"0123456789ABCDEF"
cdef const char* BASE64_ALPHABET = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)


cdef void fill_tables() noexcept:
    cdef int byte, digit
    for byte in range(256):
        KIND[byte] = CONTROL if byte < 0x20 or byte == 0x7F else 0
        HEX_DIGIT[byte] = BASE64_DIGIT[byte] = -1
    for byte in range(10):
        HEX_DIGIT[c'0' + byte] = byte
    for byte in range(6):
        HEX_DIGIT[c'a' + byte] = HEX_DIGIT[c'A' + byte] = 10 + byte
    for digit in range(64):
        byte = BASE64_ALPHABET[digit]
        BASE64_DIGIT[byte] = digit
        if byte != c'+' and byte != c'/':
            KIND[byte] = UNRESERVED | COUNTED_PLAIN | TOKEN
    for byte in b"-_":
        KIND[byte] = UNRESERVED | COUNTED_PLAIN | TOKEN
    for byte in b".~":
        KIND[byte] = UNRESERVED | COUNTED_PLAIN
    for byte in b"!*'()":
        KIND[byte] = COUNTED_PLAIN


fill_tables()


# ------------------------------------------------------------------------------------- encoding


@cython.final
cdef class Fields:
    # Views of names and values in turn, and the objects that they belong to.
    cdef View* views
    cdef Py_ssize_t count
    cdef Py_ssize_t capacity
    cdef list owners

    def __cinit__(self, columns):
        self.capacity = 16
        self.views = <View*> malloc(self.capacity * sizeof(View))
        if self.views is NULL:
            raise MemoryError
        self.owners = []
        for name, value in columns:
            self.add(name)
            if PyLong_Check(value):
                value = str(value) if PyLong_CheckExact(value) else b"%d" % value
            self.add(value)

    def __dealloc__(self):
        free(self.views)

    cdef int add(self, object field) except -1:
        cdef View* views
        if self.count == self.capacity:
            views = <View*> realloc(self.views, 2 * self.capacity * sizeof(View))
            if views is NULL:
                raise MemoryError
            self.views = views
            self.capacity *= 2
        self.owners.append(view_key(field, &self.views[self.count]))
        self.count += 1
        return 0

    cdef bint can_be_plain(self, Py_ssize_t longest) noexcept:
        cdef uint8_t kinds = 0
        cdef Py_ssize_t i, j
        for i in range(self.count):
            if self.views[i].size > longest:
                return False
            for j in range(self.views[i].size):
                kinds |= KIND[<uint8_t> self.views[i].data[j]]
            if kinds & CONTROL:
                return False
        return True

    cdef char choose_encoding(self, Py_ssize_t longest) noexcept:
        # The letter of the encoding; 0 for plain.
        cdef Py_ssize_t i, j, size
        cdef Py_ssize_t base64_size = 0
        cdef Py_ssize_t url_size = 0
        if self.can_be_plain(longest):
            return 0
        for i in range(self.count):
            size = min(self.views[i].size, ESTIMATED)
            base64_size += size * 6 // 4 + 3
            url_size += 3 * size
            for j in range(size):
                if KIND[<uint8_t> self.views[i].data[j]] & COUNTED_PLAIN:
                    url_size -= 2
        return c'B' if base64_size < url_size else c'U'

    cdef Output encode(self, char letter):
        cdef Output output = Output(512)
        cdef Py_ssize_t i
        for i in range(self.count):
            if self.views[i].size > LARGE:
                put_large(output, &self.views[i], letter)
            elif letter == 0:
                put_view(output.extend(self.views[i].size), &self.views[i])
            elif letter == c'B':
                put_base64(output, &self.views[i])
            else:
                put_escaped(output, &self.views[i], letter)
            output.extend(1)[0] = c'\n' if i & 1 else c'\t'
        return output


cdef int put_large(Output output, View* field, char letter) except -1:
    # As the functions below, without the GIL.
    cdef Py_ssize_t room = 3 * field.size if letter else field.size
    cdef char* begin = output.extend((field.size + 2) // 3 * 4 if letter == c'B' else room)
    cdef char* end
    with nogil:
        if letter == 0:
            memcpy(begin, field.data, field.size)
            end = begin + field.size
        elif letter == c'B':
            end = write_base64(begin, field)
        else:
            end = write_escaped(begin, field, letter)
    output.size = end - output.begin
    return 0


cdef int put_base64(Output output, View* field) except -1:
    write_base64(output.extend((field.size + 2) // 3 * 4), field)
    return 0


cdef char* write_base64(char* to, View* field) noexcept nogil:
    cdef const uint8_t* at = <const uint8_t*> field.data
    cdef Py_ssize_t left = field.size
    cdef uint32_t bits
    while left > 0:
        bits = <uint32_t> at[0] << 16
        if left > 1:
            bits |= <uint32_t> at[1] << 8
        if left > 2:
            bits |= at[2]
        to[0] = BASE64_ALPHABET[bits >> 18]
        to[1] = BASE64_ALPHABET[bits >> 12 & 63]
        to[2] = BASE64_ALPHABET[bits >> 6 & 63] if left > 1 else c'='
        to[3] = BASE64_ALPHABET[bits & 63] if left > 2 else c'='
        at += 3
        to += 4
        left -= 3
    return to


cdef int put_escaped(Output output, View* field, char letter) except -1:
    cdef char* begin = output.extend(3 * field.size)
    output.size -= 3 * field.size - (write_escaped(begin, field, letter) - begin)
    return 0


cdef char* write_escaped(char* to, View* field, char letter) noexcept nogil:
    # URL encoding, or quoted-printable.
    cdef bint url = letter == c'U'
    cdef char mark = c'%' if url else c'='
    cdef const char* digits = HEX_LOWER if url else HEX_UPPER
    cdef Py_ssize_t i
    cdef uint8_t byte
    cdef bint plain
    for i in range(field.size):
        byte = <uint8_t> field.data[i]
        if url:
            plain = KIND[byte] & UNRESERVED != 0
        else:
            plain = 0x20 <= byte < 0x7F and byte != c'='
        if plain:
            to[0] = <char> byte
            to += 1
        else:
            to[0] = mark
            to[1] = digits[byte >> 4]
            to[2] = digits[byte & 15]
            to += 3
    return to


cdef object encoding_of(char letter):
    if letter == 0:
        return ""
    return "B" if letter == c'B' else "Q" if letter == c'Q' else "U"


cdef char letter_of(object encoding) except? -1:
    if encoding is None:
        raise faults.not_columns()
    return <char> ord(encoding) if encoding else 0


def encode_columns(columns, Py_ssize_t longest=ANY_LENGTH):
    cdef Fields fields = Fields(columns)
    cdef char letter = fields.choose_encoding(longest)
    return encoding_of(letter), fields.encode(letter).finish()


def encode_columns_as(columns, encoding):
    cdef Fields fields = Fields(columns)
    return fields.encode(letter_of(encoding)).finish()


# ------------------------------------------------------------------------------------- decoding


cdef bint decode_url(View* field, char* to) noexcept nogil:
    # Writes to `to`, and lets the view show what it wrote; False if the field is malformed.
    cdef const uint8_t* at = <const uint8_t*> field.data
    cdef const uint8_t* end = at + field.size
    field.data = to
    while at < end:
        if at[0] == c'%':
            if end - at < 3 or HEX_DIGIT[at[1]] < 0 or HEX_DIGIT[at[2]] < 0:
                return False
            to[0] = <char> (HEX_DIGIT[at[1]] << 4 | HEX_DIGIT[at[2]])
            at += 3
        elif at[0] <= 0x20 or at[0] >= 0x7F:
            return False
        else:
            to[0] = c' ' if at[0] == c'+' else <char> at[0]
            at += 1
        to += 1
    field.size = to - field.data
    return True


cdef bint decode_quoted(View* field, char* to) noexcept nogil:
    cdef const uint8_t* at = <const uint8_t*> field.data
    cdef const uint8_t* end = at + field.size
    field.data = to
    while at < end:
        if at[0] == c'=':
            if end - at < 3 or HEX_DIGIT[at[1]] < 0 or HEX_DIGIT[at[2]] < 0:
                return False
            to[0] = <char> (HEX_DIGIT[at[1]] << 4 | HEX_DIGIT[at[2]])
            at += 3
        elif at[0] < 0x20 or at[0] >= 0x7F:
            return False
        else:
            to[0] = <char> at[0]
            at += 1
        to += 1
    field.size = to - field.data
    return True


cdef bint decode_base64(View* field, char* to) noexcept nogil:
    cdef const uint8_t* at = <const uint8_t*> field.data
    cdef Py_ssize_t i, j
    cdef Py_ssize_t size = field.size
    cdef Py_ssize_t padding = 0
    cdef uint32_t bits
    field.data = to
    if size % 4:
        return False
    while padding < 2 and padding < size and at[size - 1 - padding] == c'=':
        padding += 1
    for i in range(0, size, 4):
        bits = 0
        for j in range(i, i + 4):
            bits <<= 6
            if j < size - padding:
                if BASE64_DIGIT[at[j]] < 0:
                    return False
                bits |= <uint32_t> BASE64_DIGIT[at[j]]
        to[0] = <char> (bits >> 16)
        to[1] = <char> (bits >> 8)
        to[2] = <char> bits
        to += 3
    field.size = size // 4 * 3 - padding
    return True


cdef const char* find(const char* begin, const char* end, char byte) noexcept:
    # Where the byte is first; NULL if it is not there.
    cdef const char* found = <const char*> memchr(begin, byte, min(end - begin, LARGE))
    if found is NULL and end - begin > LARGE:
        with nogil:
            found = <const char*> memchr(begin + LARGE, byte, end - begin - LARGE)
    return found


@cython.final
cdef class Columns:
    # The columns of a body, one after the other: `name` and `value` show the present one.
    cdef View name
    cdef View value
    cdef const char* at
    cdef const char* end
    cdef char letter
    cdef char* decoded
    cdef object encoding

    def __cinit__(self, bytes body, encoding):
        self.encoding = encoding
        self.letter = letter_of(encoding)
        self.at = PyBytes_AS_STRING(body)
        self.end = self.at + PyBytes_GET_SIZE(body)
        if self.letter:
            self.decoded = <char*> malloc(self.end - self.at + 1)
            if self.decoded is NULL:
                raise MemoryError

    def __dealloc__(self):
        free(self.decoded)

    cdef bint next(self) except -1:
        # Go to the next column; False if there is none.
        cdef const char* begin
        cdef const char* end
        cdef const char* tab
        while True:
            begin = self.at
            if begin >= self.end:
                return False
            end = find(begin, self.end, c'\n')
            if end is NULL:
                end = self.end
            self.at = end + 1
            if end > begin and (end - 1)[0] == c'\r':
                end -= 1
            if end > begin:
                break
        tab = find(begin, end, c'\t')
        if tab is NULL:
            raise faults.bad_columns(self.encoding)
        self.name = View(begin, tab - begin)
        self.value = View(tab + 1, end - tab - 1)
        if self.letter and not (
            self.decode_large() if end - begin > LARGE else self.decode()
        ):
            raise faults.bad_columns(self.encoding)
        return True

    cdef bint decode_large(self) noexcept:
        cdef bint good
        with nogil:
            good = self.decode()
        return good

    cdef bint decode(self) noexcept nogil:
        # No field is longer decoded than encoded, so both fit where their line would.
        cdef char* value = self.decoded + self.name.size
        if self.letter == c'U':
            return decode_url(&self.name, self.decoded) and decode_url(&self.value, value)
        if self.letter == c'B':
            return decode_base64(&self.name, self.decoded) and decode_base64(&self.value, value)
        return decode_quoted(&self.name, self.decoded) and decode_quoted(&self.value, value)

    cdef bint is_record(self) noexcept:
        return self.name.size > 0 and self.name.data[0] == c'_'

    cdef inline object key(self, bint decode_keys):
        return load_key(self.name.data + 1, self.name.size - 1, decode_keys)


def decode_columns(bytes body, encoding):
    cdef Columns columns = Columns(body, encoding)
    cdef dict found = {}
    while columns.next():
        name = PyBytes_FromStringAndSize(columns.name.data, columns.name.size)
        found[name] = bytes_of(columns.value.data, columns.value.size)
    return found


def decode_bulk(bytes body, encoding, bint decode_keys, loads):
    cdef Columns columns = Columns(body, encoding)
    cdef dict found = {}
    while columns.next():
        if columns.is_record():
            key = columns.key(decode_keys)
            found[key] = load(columns.value.data, columns.value.size, loads, key)
    return found


def decode_places(bytes body, encoding, bint decode_keys, loads):
    cdef Columns columns = Columns(body, encoding)
    cdef list found = []
    while columns.next():
        if columns.is_record() and columns.name.size >= PLACE_WIDTH:
            key = load_key(
                columns.name.data + PLACE_WIDTH, columns.name.size - PLACE_WIDTH, decode_keys
            )
            found.append((key, load(columns.value.data, columns.value.size, loads, key)))
    return found


cdef struct Rank:
    long rank
    Py_ssize_t index


cdef int compare_ranks(const void* left, const void* right) noexcept nogil:
    cdef long a = (<const Rank*> left).rank
    cdef long b = (<const Rank*> right).rank
    return (a > b) - (a < b)


cdef long rank_of(View* value, object encoding) except -1:
    cdef long rank = 0
    cdef Py_ssize_t i
    cdef bint good = 0 < value.size <= RANK_DIGITS
    for i in range(value.size if good else 0):
        good = good and c'0' <= value.data[i] <= c'9'
        rank = 10 * rank + (value.data[i] - c'0')
    if not good:
        raise faults.bad_columns(encoding)
    return rank


cdef list order_by_rank(list keys, Output output, object encoding):
    cdef Rank* ranks = <Rank*> output.begin
    cdef Py_ssize_t count = len(keys)
    cdef Py_ssize_t i
    cdef bint ordered = True
    for i in range(1, count):
        ordered = ordered and ranks[i - 1].rank < ranks[i].rank
    if ordered:
        return keys
    qsort(ranks, count, sizeof(Rank), compare_ranks)
    for i in range(1, count):
        if ranks[i - 1].rank == ranks[i].rank:
            raise faults.bad_columns(encoding)
    return [keys[ranks[i].index] for i in range(count)]


def decode_keys(bytes body, encoding, bint decode_keys):
    cdef Columns columns = Columns(body, encoding)
    cdef Output ranks = Output(64 * sizeof(Rank))
    cdef list keys = []
    while columns.next():
        if columns.is_record():
            (<Rank*> ranks.extend(sizeof(Rank)))[0] = Rank(
                rank_of(&columns.value, encoding), len(keys)
            )
            keys.append(columns.key(decode_keys))
    return order_by_rank(keys, ranks, encoding)


# ----------------------------------------------------------------------------- lenient decoding


cdef inline char decode_digits(const uint8_t* digits) noexcept:
    # Two hex digits; what is none is skipped.
    cdef int number = 0
    cdef Py_ssize_t i
    for i in range(2):
        if HEX_DIGIT[digits[i]] >= 0:
            number = number << 4 | HEX_DIGIT[digits[i]]
    return <char> number


cdef char* decode_url_leniently(const uint8_t* at, const uint8_t* end, char* to) noexcept:
    while at < end:
        if at[0] == c'%':
            if end - at < 3:
                break
            to[0] = decode_digits(at + 1)
            to += 1
            at += 3
            continue
        if 0x20 < at[0] < 0x7F:
            to[0] = c' ' if at[0] == c'+' else <char> at[0]
            to += 1
        at += 1
    return to


cdef char* decode_quoted_leniently(const uint8_t* at, const uint8_t* end, char* to) noexcept:
    while at < end:
        if at[0] == c'=' and end - at > 1 and (at[1] == c'\r' or at[1] == c'\n'):
            at += 3 if at[1] == c'\r' and end - at > 2 and at[2] == c'\n' else 2
        elif at[0] == c'=':
            if end - at < 3:
                break
            to[0] = decode_digits(at + 1)
            to += 1
            at += 3
        else:
            if 0x20 <= at[0] < 0x7F:
                to[0] = <char> at[0]
                to += 1
            at += 1
    return to


cdef char* decode_base64_leniently(const uint8_t* at, const uint8_t* end, char* to) noexcept:
    cdef uint32_t bits = 0
    cdef int digits = 0
    cdef int padding = 0
    while at < end and not (padding and digits == 0):
        if at[0] == c'=' or BASE64_DIGIT[at[0]] >= 0:
            padding += at[0] == c'='
            bits = bits << 6 | <uint32_t> max(BASE64_DIGIT[at[0]], 0)
            digits = (digits + 1) % 4
            if digits == 0:
                to = put_group(to, bits, padding)
                bits = 0
        at += 1
    return put_group(to, bits, padding) if digits else to


cdef inline char* put_group(char* to, uint32_t bits, int padding) noexcept:
    cdef int i
    for i in range(3 - padding):
        to[i] = <char> (bits >> (16 - 8 * i))
    return to + max(3 - padding, 0)


def decode_field(bytes field, encoding):
    cdef char letter = letter_of(encoding)
    cdef Output output = Output(PyBytes_GET_SIZE(field) + 3)
    cdef const uint8_t* begin = <const uint8_t*> PyBytes_AS_STRING(field)
    cdef const uint8_t* end = begin + PyBytes_GET_SIZE(field)
    cdef const uint8_t* zero = <const uint8_t*> memchr(begin, 0, end - begin)
    if zero is not NULL:
        end = zero
    if letter == c'B':
        output.size = decode_base64_leniently(begin, end, output.begin) - output.begin
    elif letter == c'U':
        output.size = decode_url_leniently(begin, end, output.begin) - output.begin
    else:
        output.size = decode_quoted_leniently(begin, end, output.begin) - output.begin
    return output.finish()
