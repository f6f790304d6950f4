"""Regular expressions of clients, in both engines: they see bytes, and harm nobody."""

from __future__ import annotations

import ctypes
import platform
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given, settings, strategies

from kt.server.engines.kyoto import _text as kyoto_text
from kt.server.engines.kyoto._engine import EngineError
from kt.server.engines.tokyo import _text as tokyo_text
from kt.server.engines.tokyo._engine import BinaryCore, State

from ..processes import SECONDS
from .kyoto import opened as kyoto_opened
from .tokyo import items, misc_request, opened

HARMFUL = {
    "back-reference": rb"(a*)(a*)(a*)(a*)\4\3\2\1c",
    "repetitions": b"((a{1,255}){1,255}){1,255}",
    "open": b"(((a{100}){100}){100}",
    "nesting": b"(" * 100_000 + b"a" + b")" * 100_000,
    "length": b"a" * 100_000,
}
HARMLESS = [rb"^[\]1-9]*$", rb"a{2,255}|(b{2}){3}", rb"([[:alpha:]]+)\(\)", b"{", b"[", rb"\\1"]


@pytest.mark.parametrize("pattern", HARMFUL.values(), ids=HARMFUL.keys())
def test_harmful_ones_are_refused(tmp_path: Path, pattern: bytes) -> None:
    with opened("casket.tct", tmp_path) as table:
        assert table.put(b"a" * 9000 + b"!", b"c\0" + b"a" * 9000)
        assert table.misc(b"regex", [pattern]) is None
        assert table.misc(b"search", [b"addcond\0c\0STRRX\0" + pattern]) is None
        assert table.misc(b"search", [b"addcond\0c\0~+7\0" + pattern]) is None
        assert table.get(b"1") is None
    with (
        kyoto_opened("*", tmp_path) as database,
        pytest.raises(EngineError, match="regular expression"),
    ):
        database.match_regex(pattern)
    for text in (kyoto_text, tokyo_text):
        assert not text.regex_match(b"a" * 9000 + b"!", pattern)
        assert text.regex_replace(b"aaa", pattern, b"b") == b"aaa"


@pytest.mark.parametrize("pattern", HARMLESS)
def test_harmless_ones_are_not(tmp_path: Path, pattern: bytes) -> None:
    """Whether they are valid is for the C library to say; both engines have the same."""
    with kyoto_opened("*", tmp_path) as database, opened("*", tmp_path) as other:
        accepted = other.misc(b"regex", [pattern]) is not None
        if accepted:
            assert database.match_regex(pattern) == []
        else:
            with pytest.raises(EngineError, match="compilation failed"):
                database.match_regex(pattern)


def test_matching_is_no_work_for_the_event_loop(tmp_path: Path) -> None:
    with opened("casket.tct", tmp_path) as table:
        stream = BinaryCore(table).stream()
        assert stream.feed(misc_request(b"regex", [b"."]))[0] == State.COMMAND
        condition = b"addcond\0c\0%b\0."
        assert stream.feed(misc_request(b"search", [condition % b"STRRX"]))[0] == State.COMMAND
        assert stream.feed(misc_request(b"search", [condition % b"STREQ"]))[0] == State.MORE


def test_limits_and_values(tmp_path: Path) -> None:
    with opened("*", tmp_path) as database:
        large = b"v" * 400_000
        for number in range(10):
            assert database.put(b"key%d" % number, large)
        found = items(database.misc(b"regex", [b"^key[2-9]$"]))
        assert sorted(found[::2]) == [b"key%d" % number for number in range(2, 10)]
        assert set(found[1::2]) == {large}
        assert len(items(database.misc(b"regex", [b"*^KEY", b"3"]))) == 6


ATOMS = [
    *(b"a b . _ ^ $ ( ) * + ? | , [ { - ]".split()),
    *(rb"\w \W \s \S \b \B \< \> \` \' \a \. \}".split()),
    *(rb"{2} {0} {,2} {1,} {1\,2} [ab] [^a] []a] [^]-] [-a] [a-] [Z-a] [--a] [\]".split()),
    *(b"[[:alpha:]] [[:upper:]_] [[.a.]-c] [[=b=]] [[:digit:]-z] [[:no:]]".split()),
    b"\xff",
]
NOSUB, EXTENDED, ICASE, NOTBOL = 8, 1, 2, 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="compares with the GNU C library")
@given(
    pattern=strategies.lists(strategies.sampled_from(ATOMS), min_size=1, max_size=8).map(b"".join),
    texts=strategies.lists(
        strategies.text("aabAB_ -.\n", max_size=6).map(str.encode), min_size=8, max_size=8
    ),
    folds_case=strategies.booleans(),
)
def test_they_mean_what_they_mean_to_the_library(
    pattern: bytes, texts: list[bytes], folds_case: bool
) -> None:
    assume(not pattern.startswith(b"*"))  # asks for ICASE
    # The library sees borders of words where there are none when it counts them.
    assume(b"{" not in pattern or not any(place in pattern for place in (rb"\b", rb"\B")))
    library = ctypes.CDLL(None)
    compiled = ctypes.create_string_buffer(1024)
    options = EXTENDED | NOSUB | (ICASE if folds_case else 0)
    valid = library.regcomp(compiled, pattern, options) == 0
    for text in texts:
        expected = valid and library.regexec(compiled, text, 0, None, 0) == 0
        assert tokyo_text.regex_match(text, b"*" * folds_case + pattern) == expected
        if not folds_case:
            assert kyoto_text.regex_match(text, pattern) == expected
    if valid:
        library.regfree(compiled)


def replaced_by_the_library(text: bytes, pattern: bytes, groups: list[int], case: int) -> bytes:
    """What the original's loop makes of it, where each match becomes `<group,group,>`."""
    library = ctypes.CDLL(None)
    compiled = ctypes.create_string_buffer(1024)
    places = (ctypes.c_int * 20)()
    assume(library.regcomp(compiled, pattern, EXTENDED | case) == 0)
    result, at = b"", 0
    while at < len(text) and not library.regexec(
        compiled, text[at:], 10, places, NOTBOL if at else 0
    ):
        found = [text[at:][max(places[2 * n], 0) : max(places[2 * n + 1], 0)] for n in groups]
        result += text[at : at + places[0]] + b"<" + b"".join(part + b"," for part in found) + b">"
        at += places[1]
        if places[1] < 1:
            break
    library.regfree(compiled)
    return result + text[at:]


def grouped(inner: strategies.SearchStrategy[bytes]) -> strategies.SearchStrategy[bytes]:
    """Groups, repetitions and choices of smaller patterns."""
    repeated = strategies.tuples(inner, strategies.sampled_from([b"*", b"+", b"?"]))
    return strategies.one_of(
        inner.map(lambda part: b"(" + part + b")"),
        strategies.lists(inner, min_size=2, max_size=3).map(b"".join),
        strategies.lists(inner, min_size=2, max_size=3).map(
            lambda parts: b"(" + b"|".join(parts) + b")"
        ),
        repeated.map(lambda pair: b"(" + pair[0] + b")" + pair[1]),
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="compares with the GNU C library")
@settings(max_examples=500)
@given(
    pattern=strategies.recursive(
        strategies.sampled_from(rb"a b ab . [ab] [^a] ^ $ \< \> \w \W".split()),
        grouped,
        max_leaves=8,
    ),
    text=strategies.text("aabAB_ -.\n", max_size=12).map(str.encode),
    groups=strategies.lists(strategies.integers(0, 4), max_size=3),
    folds_case=strategies.booleans(),
)
def test_what_is_replaced_is_what_the_library_finds(
    pattern: bytes, text: bytes, groups: list[int], folds_case: bool
) -> None:
    bare = pattern.replace(b"[^", b"[")
    # The library does not come to an end with b"(((\\\\<|b))?)*" and b"bBB_B".
    if any(place in bare for place in (b"^", b"$", rb"\<", rb"\>")):
        assume(not any(repeated in pattern for repeated in (b")*", b")+", b")?")))
    # It takes a line's end for the text's in some places.
    assume(b"\n" not in text or not (b"^" in bare or b"$" in bare))
    expected = replaced_by_the_library(text, pattern, groups, ICASE if folds_case else 0)
    with_backslashes = b"<" + b"".join(rb"\%d," % group for group in groups) + b">"
    assert tokyo_text.regex_replace(text, b"*" * folds_case + pattern, with_backslashes) == expected
    if not folds_case:
        with_dollars = b"<" + b"".join(b"$%d," % group for group in groups) + b">"
        assert kyoto_text.regex_replace(text, pattern, with_dollars) == expected


def test_a_line_is_no_text() -> None:
    for text in (kyoto_text, tokyo_text):
        for pattern in (b"($.)", b"$(.)", b"(.)^", b"a$", b"^b"):
            assert text.regex_replace(b"a\nb\n", pattern, b"x") == b"a\nb\n"
        assert text.regex_replace(b"a\nb", b"^a|b$", b"x") == b"x\nx"


def test_replacements() -> None:
    for text, escape in ((kyoto_text, b"$"), (tokyo_text, b"\\")):
        for replacement, result in (
            (b"[@0]", b"x[ab]-[aab]"),
            (b"@2@1@9", b"xba-baa"),
            (b"@@@x@", (escape + b"x").join([b"x", b"-", b""])),
        ):
            replacement = replacement.replace(b"@", escape)
            assert text.regex_replace(b"xab-aab", b"(a+)(b)", replacement) == result
    assert kyoto_text.regex_replace(b"xab", b"ab", b"[&$&]") == b"x[&ab]"
    assert tokyo_text.regex_replace(b"xab", b"ab", rb"[&\&]") == b"x[ab&]"


def test_replacing_has_limits() -> None:
    """With the C library these took hours, or all memory."""
    for text, escape in ((kyoto_text, b"$"), (tokyo_text, b"\\")):
        group = escape + b"1"
        assert text.regex_replace(b"a" * 100_000 + b"b", b"(a*)b", group) == b"a" * 100_000
        assert len(text.regex_replace(b"a" * 100_000, b"(a|b)", group + b"-")) == 200_000
        for pattern, replacement in (
            (b"a|a.*c", b"x"),
            (b"((a|b){900})*", group),
            (b"a", b"x" * 10_000),
        ):
            with pytest.raises(RuntimeError, match="too long"):
                text.regex_replace(b"a" * 900_000, pattern, replacement)


@pytest.mark.parametrize("pattern", [b"a*b", b"(a+)+$b", b"(a|b)*a(a|b){1000}c", b"(a?){9000}b"])
def test_long_keys_take_one_pass(tmp_path: Path, pattern: bytes) -> None:
    """By the square of the length, each of these would take hours."""
    key = b"a" * (4 << 20)
    for text in (kyoto_text, tokyo_text):
        assert not text.regex_match(key, pattern)
        assert text.regex_replace(key, pattern, b"") == key
    with kyoto_opened("*", tmp_path) as database, opened("*", tmp_path) as other:
        database.set(key, b"v")
        assert other.put(key, b"v")
        assert database.match_regex(pattern) == []
        assert items(other.misc(b"regex", [pattern])) == []


def test_what_takes_too_long_is_given_up(tmp_path: Path) -> None:
    pattern = b"(a|b)*a(a|b){4000}c"
    key = random.Random(1).choices([b"a", b"b"], k=1_000_000)
    with kyoto_opened("*", tmp_path) as database, opened("*", tmp_path) as other:
        database.set(b"".join(key), b"v")
        assert other.put(b"".join(key), b"v")
        with pytest.raises(EngineError, match="takes too long"):
            database.match_regex(pattern)
        assert other.misc(b"regex", [pattern]) is None
        assert database.match_regex(b"^a") + database.match_regex(b"^b") == [b"".join(key)]


BYTES = """
import locale
locale.setlocale(locale.LC_ALL, "C.UTF-8")
from kt.server.engines.kyoto import _text as kyoto_text
from kt.server.engines.kyoto._engine import Database as Kyoto
from kt.server.engines.tokyo import _text as tokyo_text
from kt.server.engines.tokyo._engine import Database as Tokyo
from kt.wire.tyrant import decode_misc

kyoto, tokyo, table = Kyoto("*"), Tokyo("*"), Tokyo("casket.tct")
keys = [b"k\\xff\\xfe", b"k1", b"\\xc3\\xa9"]
for key in keys:
    kyoto.set(key, b"v")
    tokyo.put(key, b"v")
    table.put(key, b"c\\0" + key)
for pattern, right in ((b"^k.+$", keys[:2]), (b"^..$", keys[1:]), (b"^.$", [])):
    assert sorted(kyoto.match_regex(pattern)) == sorted(right), pattern
    found = decode_misc(b"\\0" + tokyo.misc(b"regex", [pattern]), False)
    assert sorted(found[::2]) == sorted(right)
    found = table.misc(b"search", [b"addcond\\0c\\0STRRX\\0" + pattern])
    assert sorted(decode_misc(b"\\0" + found, False)) == sorted(right)
    for text in (kyoto_text, tokyo_text):
        assert [key for key in keys if text.regex_match(key, pattern)] == right
        assert text.regex_replace(b"\\xff", b".", b"x") == b"x"
"""


def test_they_match_bytes_in_any_locale(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", BYTES], cwd=tmp_path, timeout=SECONDS, check=True)
