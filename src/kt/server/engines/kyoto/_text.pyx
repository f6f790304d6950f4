# distutils: language = c++
"""The text utilities of Kyoto Cabinet, for kt-tycoon's scripts. See the stub file.

What the library takes as a C string ends at its first zero byte, as in the original server.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as boolean
from libcpp.string cimport string
from libcpp.vector cimport vector

cdef extern from "kcutil.h" namespace "kyotocabinet" nogil:
    int64_t c_atoi "kyotocabinet::atoi"(const char *)
    int64_t c_atoix "kyotocabinet::atoix"(const char *)
    double c_atof "kyotocabinet::atof"(const char *)
    uint64_t hashmurmur(const void *, size_t)
    uint64_t hashfnv(const void *, size_t)
    void strutftoucs(const string &, vector[uint32_t] *) except +
    char *urlencode(const void *, size_t) except +
    char *urldecode(const char *, size_t *) except +
    char *baseencode(const void *, size_t) except +
    char *basedecode(const char *, size_t *) except +
    char *quoteencode(const void *, size_t) except +
    char *quotedecode(const char *, size_t *) except +
    char *hexencode(const void *, size_t) except +
    char *hexdecode(const char *, size_t *) except +

cdef extern from "kccompress.h" namespace "kyotocabinet" nogil:
    enum ZlibMode "kyotocabinet::ZLIB::Mode":
        RAW "kyotocabinet::ZLIB::RAW"
        DEFLATE "kyotocabinet::ZLIB::DEFLATE"
        GZIP "kyotocabinet::ZLIB::GZIP"
    char *compress "kyotocabinet::ZLIB::compress"(const void *, size_t, size_t *, ZlibMode) except +
    char *decompress "kyotocabinet::ZLIB::decompress"(
        const void *, size_t, size_t *, ZlibMode) except +

cdef extern from * nogil:
    """
    #include "io/distance.h"
    #include "io/matcher.h"
    #include "io/replacer.h"

    // A pattern that is refused is one that does not compile.
    static inline bool match_bytes(const std::string& text, const std::string& pattern) {
      kt::Matcher matcher(pattern);
      return matcher.valid() && matcher.matches(text);
    }
    static inline std::string replace_bytes(const std::string& text, const std::string& pattern,
                                            const std::string& replacement) {
      if (pattern.empty() || !match_bytes(text, pattern)) return text;
      const auto parts = kt::Replacement::with_dollars(replacement);
      return kt::Replacer(pattern, false).replace(text, parts);
    }
    template <typename Text>
    static inline size_t distance_between(const Text& one, const Text& other) {
      kt::Effort effort;
      return kt::distance_of(one, other, kt::FAR, &effort);
    }
    """
    size_t distance_between[Text](const Text &, const Text &) except +
    boolean c_match "match_bytes"(const string &, const string &) except +
    string c_replace "replace_bytes"(const string &, const string &, const string &) except +

cdef extern from * nogil:
    """
    static inline void delete_text(const char* text) { delete[] text; }
    """
    void delete_text(const char *)

ctypedef char *(*Encoder)(const void *, size_t) except + nogil
ctypedef char *(*Decoder)(const char *, size_t *) except + nogil


def atoi(const char *text):
    return c_atoi(text)


def atoix(const char *text):
    return c_atoix(text)


def atof(const char *text):
    return c_atof(text)


def hash_murmur(bytes data):
    return hashmurmur(<const char *>data, len(data))


def hash_fnv(bytes data):
    return hashfnv(<const char *>data, len(data))


def distance(bytes a, bytes b, bint utf8):
    cdef const char *a_text = a
    cdef const char *b_text = b
    cdef size_t a_size = len(a), b_size = len(b), result
    cdef vector[uint32_t] a_points, b_points
    with nogil:
        if utf8:
            strutftoucs(string(a_text, a_size), &a_points)
            strutftoucs(string(b_text, b_size), &b_points)
            result = distance_between(a_points, b_points)
        else:
            result = distance_between(string(a_text, a_size), string(b_text, b_size))
    return result


def regex_match(const char *text, const char *pattern):
    cdef boolean found
    with nogil:
        found = c_match(string(text), string(pattern))
    return bool(found)


def regex_replace(const char *text, const char *pattern, const char *replacement):
    cdef string result
    with nogil:
        result = c_replace(string(text), string(pattern), string(replacement))
    return result


cdef taken(char *text, size_t size):
    """The bytes of what the library allocated; None for what it refused."""
    if text is NULL:
        return None
    try:
        return text[:size]
    finally:
        delete_text(text)


cdef encoded(Encoder encoder, bytes data):
    cdef const char *text = data
    cdef size_t size = len(data)
    cdef char *result
    with nogil:
        result = encoder(text, size)
    if result is NULL:
        return None
    try:
        return <bytes>result
    finally:
        delete_text(result)


cdef decoded(Decoder decoder, const char *text):
    cdef size_t size = 0
    cdef char *result
    with nogil:
        result = decoder(text, &size)
    return taken(result, size)


cdef zipped(bytes data, ZlibMode mode, bint back):
    cdef const char *text = data
    cdef size_t size = len(data), result_size = 0
    cdef char *result
    with nogil:
        if back:
            result = decompress(text, size, &result_size, mode)
        else:
            result = compress(text, size, &result_size, mode)
    return taken(result, result_size)


cdef encode(bytes mode, bytes data):
    if mode == b"url":
        return encoded(<Encoder>urlencode, data)
    if mode == b"base":
        return encoded(<Encoder>baseencode, data)
    if mode == b"quote":
        return encoded(<Encoder>quoteencode, data)
    if mode == b"hex":
        return encoded(<Encoder>hexencode, data)
    if mode == b"zlib":
        return zipped(data, RAW, False)
    if mode == b"deflate":
        return zipped(data, DEFLATE, False)
    if mode == b"gzip":
        return zipped(data, GZIP, False)
    return None


cdef decode(bytes mode, bytes data):
    if mode == b"url":
        return decoded(<Decoder>urldecode, data)
    if mode == b"base":
        return decoded(<Decoder>basedecode, data)
    if mode == b"quote":
        return decoded(<Decoder>quotedecode, data)
    if mode == b"hex":
        return decoded(<Decoder>hexdecode, data)
    if mode == b"zlib":
        return zipped(data, RAW, True)
    if mode == b"deflate":
        return zipped(data, DEFLATE, True)
    if mode == b"gzip":
        return zipped(data, GZIP, True)
    return None


def codec(bytes mode, bytes data):
    mode = mode.lower()
    return decode(mode[1:], data) if mode.startswith(b"~") else encode(mode, data)
