# Columns of a reply as lines, made without an object for each; a part of _engine.pyx.

cdef enum:
    WORD = 8

cdef const char *BASE64_DIGITS = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)


cdef bint word_has_control(uint64_t word) noexcept nogil:
    """Whether any of eight bytes is below 0x20, or 0x7F."""
    cdef uint64_t deleted = word ^ 0x7F7F7F7F7F7F7F7FULL
    cdef uint64_t below = (word - 0x2020202020202020ULL) & ~word
    return ((below | ((deleted - 0x0101010101010101ULL) & ~deleted)) & 0x8080808080808080ULL) != 0


cdef bint has_control(const string &text) noexcept nogil:
    """Whether it has a byte that a field must not have as it is."""
    cdef const char *data = text.data()
    cdef size_t size = text.size()
    cdef uint64_t word
    while size >= WORD:
        memcpy(&word, data, WORD)
        if word_has_control(word):
            return True
        data += WORD
        size -= WORD
    word = 0x2020202020202020ULL
    memcpy(&word, data, size)
    return word_has_control(word)


cdef void add_base64(string &lines, const char *data, size_t size) noexcept nogil:
    cdef const unsigned char *at = <const unsigned char *>data
    cdef uint64_t bits
    cdef char digits[4]
    while size > 0:
        bits = <uint64_t>at[0] << 16 | (<uint64_t>at[1] << 8 if size > 1 else 0)
        bits |= at[2] if size > 2 else 0
        digits[0] = BASE64_DIGITS[bits >> 18]
        digits[1] = BASE64_DIGITS[bits >> 12 & 63]
        digits[2] = BASE64_DIGITS[bits >> 6 & 63] if size > 1 else c"="
        digits[3] = BASE64_DIGITS[bits & 63] if size > 2 else c"="
        lines.append(digits, 4)
        at += 3
        size = size - 3 if size > 3 else 0


cdef cppclass Lines:
    """Lines of a name and a value, and where these end; in base64 if they have to be."""
    string text
    vector[size_t] ends
    bint plain

    __init__() nogil:
        this.plain = True

    void add(const string &first, const string &name, const string &value) noexcept nogil:
        """Add a line whose name has two parts."""
        this.plain = this.plain and not (has_control(name) or has_control(value))
        this.text.append(first)
        this.text.append(name)
        this.ends.push_back(this.text.size())
        this.text.push_back(c"\t")
        this.text.append(value)
        this.ends.push_back(this.text.size())
        this.text.push_back(c"\n")

    void encode() noexcept nogil:
        cdef string lines
        cdef size_t begin = 0
        cdef size_t i
        lines.reserve(this.text.size() * 4 // 3 + 4 * this.ends.size())
        for i in range(this.ends.size()):
            add_base64(lines, this.text.data() + begin, this.ends[i] - begin)
            lines.push_back(c"\n" if i & 1 else c"\t")
            begin = this.ends[i] + 1
        this.text.swap(lines)

    void finish() noexcept nogil:
        if not this.plain:
            this.encode()


cdef tuple packed(Lines &lines):
    """The encoding, and the lines."""
    return "" if lines.plain else "B", PyBytes_FromStringAndSize(
        lines.text.data(), lines.text.size()
    )


cdef void set_place(string &first, size_t place) noexcept nogil:
    """Put the place of a record among several before its key."""
    first.resize(4)
    first[0] = c"_"
    first[1] = <char>(48 + place // 100)
    first[2] = <char>(48 + place // 10 % 10)
    first[3] = <char>(48 + place % 10)


cdef tuple ranked(vector[string] &keys, size_t longest):
    """Keys that were found, each with its rank; those that are long make all be encoded."""
    cdef Lines lines
    cdef string first = b"_"
    cdef size_t i
    with nogil:
        for i in range(keys.size()):
            lines.plain = lines.plain and keys[i].size() < longest
            lines.add(first, keys[i], to_string(i))
        lines.finish()
    return packed(lines)
