"""The text utilities of Tokyo Cabinet, for kt-tyrant's scripts. See the stub file.

What the library takes as a C string ends at its first zero byte, as in the original server. Its
functions take sizes as int; `checked_size` refuses what does not fit.
"""

from libc.limits cimport INT_MAX
from libc.stdint cimport uint16_t
from libc.stdlib cimport free, malloc
from libcpp.string cimport string

cdef extern from "tcutil.h" nogil:
    char *tcurlencode(const char *, int)
    char *tcurldecode(const char *, int *)
    char *tcbaseencode(const char *, int)
    char *tcbasedecode(const char *, int *)
    char *tcquoteencode(const char *, int)
    char *tcquotedecode(const char *, int *)
    char *tchexencode(const char *, int)
    char *tchexdecode(const char *, int *)
    char *tcpackencode(const char *, int, int *)
    char *tcpackdecode(const char *, int, int *)
    char *tcbsencode(const char *, int, int *)
    char *tcbsdecode(const char *, int, int *)
    char *tcdeflate(const char *, int, int *)
    char *tcinflate(const char *, int, int *)
    char *tcgzipencode(const char *, int, int *)
    char *tcgzipdecode(const char *, int, int *)
    char *tcbzipencode(const char *, int, int *)
    char *tcbzipdecode(const char *, int, int *)
    char *tcxmlescape(const char *)
    char *tcxmlunescape(const char *)
    void tcstrutftoucs(const char *, uint16_t *, int *)
    int tcstrucstoutf(const uint16_t *, int, char *)
    int tcstrdist(const char *, const char *)
    int tcstrdistutf(const char *, const char *)
    unsigned int tcgetcrc(const char *, int)

cdef extern from * nogil:
    """
    #include "io/matcher.h"
    #include "io/replacer.h"

    // A pattern that is refused is one that does not compile. One that begins with `*` does not
    // distinguish upper and lower case.
    static inline bool match_bytes(const std::string& text, const std::string& pattern) {
      const bool folds_case = pattern[0] == '*';
      kt::Matcher matcher(pattern.c_str() + folds_case, folds_case);
      return matcher.valid() && matcher.matches(text);
    }
    static inline std::string replace_bytes(const std::string& text, const std::string& pattern,
                                            const std::string& replacement) {
      const bool folds_case = pattern[0] == '*';
      if (pattern.size() == folds_case || !match_bytes(text, pattern)) return text;
      const auto parts = kt::Replacement::with_backslashes(replacement);
      return kt::Replacer(pattern.c_str() + folds_case, folds_case).replace(text, parts);
    }
    """
    bint match_bytes(const string &, const string &) except +
    string replace_bytes(const string &, const string &, const string &) except +

ctypedef char *(*TextEncoder)(const char *, int) noexcept nogil
ctypedef char *(*TextDecoder)(const char *, int *) noexcept nogil
ctypedef char *(*BinaryCoder)(const char *, int, int *) noexcept nogil
ctypedef char *(*Escaper)(const char *) noexcept nogil


cdef int checked_size(bytes data) except -1:
    if len(data) > INT_MAX // 4:
        raise MemoryError("more text than the library takes")
    return <int>len(data)


cdef taken(char *text, int size):
    """The bytes of what the library allocated; None for what it refused. A size of -1: a C string."""
    if text is NULL:
        return None
    try:
        return <bytes>text if size < 0 else text[:size]
    finally:
        free(text)


cdef text_encoded(TextEncoder encoder, bytes data):
    cdef const char *text = data
    cdef int size = checked_size(data)
    cdef char *result
    with nogil:
        result = encoder(text, size)
    return taken(result, -1)


cdef text_decoded(TextDecoder decoder, bytes data):
    cdef const char *text = data
    cdef int size = checked_size(data)
    cdef char *result
    with nogil:
        result = decoder(text, &size)
    return taken(result, size)


cdef binary_coded(BinaryCoder coder, bytes data):
    cdef const char *text = data
    cdef int size = checked_size(data), result_size = 0
    cdef char *result
    with nogil:
        result = coder(text, size, &result_size)
    return taken(result, result_size)


cdef escaped(Escaper escaper, bytes data):
    cdef const char *text = data
    cdef char *result
    checked_size(data)
    with nogil:
        result = escaper(text)
    return taken(result, -1)


cdef encode(bytes mode, bytes data):
    if mode == b"url":
        return text_encoded(tcurlencode, data)
    if mode == b"base":
        return text_encoded(tcbaseencode, data)
    if mode == b"quote":
        return text_encoded(tcquoteencode, data)
    if mode == b"hex":
        return text_encoded(tchexencode, data)
    if mode == b"pack":
        return binary_coded(tcpackencode, data)
    if mode == b"tcbs":
        return binary_coded(tcbsencode, data)
    if mode == b"deflate":
        return binary_coded(tcdeflate, data)
    if mode == b"gzip":
        return binary_coded(tcgzipencode, data)
    if mode == b"bzip":
        return binary_coded(tcbzipencode, data)
    if mode == b"xml":
        return escaped(tcxmlescape, data)
    return None


cdef decode(bytes mode, bytes data):
    if mode == b"url":
        return text_decoded(tcurldecode, data)
    if mode == b"base":
        return text_decoded(tcbasedecode, data)
    if mode == b"quote":
        return text_decoded(tcquotedecode, data)
    if mode == b"hex":
        return text_decoded(tchexdecode, data)
    if mode == b"pack":
        return binary_coded(tcpackdecode, data)
    if mode == b"tcbs":
        return binary_coded(tcbsdecode, data)
    if mode == b"deflate":
        return binary_coded(tcinflate, data)
    if mode == b"gzip":
        return binary_coded(tcgzipdecode, data)
    if mode == b"bzip":
        return binary_coded(tcbzipdecode, data)
    if mode == b"xml":
        return escaped(tcxmlunescape, data)
    return None


def codec(bytes mode, bytes data):
    mode = mode.lower()
    return decode(mode[1:], data) if mode.startswith(b"~") else encode(mode, data)


def regex_match(const char *text, const char *pattern):
    cdef bint found
    with nogil:
        found = match_bytes(string(text), string(pattern))
    return bool(found)


def regex_replace(const char *text, const char *pattern, const char *replacement):
    cdef string result
    with nogil:
        result = replace_bytes(string(text), string(pattern), string(replacement))
    return result


def distance(const char *a, const char *b, bint utf8):
    cdef int result
    with nogil:
        result = tcstrdistutf(a, b) if utf8 else tcstrdist(a, b)
    return result


def crc32(bytes data):
    return tcgetcrc(data, checked_size(data))


def to_ucs2(bytes text):
    cdef int size = checked_size(text), count = 0
    cdef const char *begin = text
    cdef uint16_t *codes = <uint16_t *>malloc((size + 1) * sizeof(uint16_t))
    if codes is NULL:
        raise MemoryError
    try:
        tcstrutftoucs(begin, codes, &count)
        return [codes[i] for i in range(count)]
    finally:
        free(codes)


def from_ucs2(list codes):
    cdef Py_ssize_t count = len(codes), i
    cdef uint16_t *units = <uint16_t *>malloc((count + 1) * sizeof(uint16_t))
    cdef char *text = <char *>malloc(count * 3 + 1)
    try:
        if units is NULL or text is NULL or count > INT_MAX // 4:
            raise MemoryError
        for i in range(count):
            units[i] = <int>codes[i] & 0xFFFF
        tcstrucstoutf(units, <int>count, text)
        return <bytes>text
    finally:
        free(units)
        free(text)
