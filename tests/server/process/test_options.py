"""Command lines of the servers, by the table of kt-tycoon."""

from __future__ import annotations

import pytest

from kt.errors import ImproperlyConfigured
from kt.server.process.log import Level
from kt.server.process.options import durable, integer, seconds, usage
from kt.server.tycoon.memcached.options import plugin_server
from kt.server.tycoon.options import (
    ARGUMENTS,
    FLAGS,
    PURPOSE,
    TycoonOptions,
    compressor,
    plugin_database,
    tycoon_options,
)


def test_defaults_are_those_of_the_original() -> None:
    options = tycoon_options("kt-tycoon", [])
    assert options == TycoonOptions(
        program="kt-tycoon",
        host=None,
        port=1978,
        timeout=30.0,
        threads=16,
        log_level=Level.DEBUG,
        databases=[":"],
        command_directory=".",
    )


def test_every_flag_sets_its_field() -> None:
    words = {
        str: "x",
        seconds: "2.5",
        compressor: "zlib",
        durable: "process",
        plugin_server: "ktplugservmemc.so",
        plugin_database: "ktplugdbvoid.so",
    }
    for flag in FLAGS:
        given = [words.get(flag.convert, "7")] * len(flag.word.split())  # type: ignore[arg-type]
        options = tycoon_options("p", [flag.name, *given, "*"])
        expected = flag.value if flag.convert is None else flag.convert(*given)
        if flag.combine is not None:
            expected = flag.combine(None, expected)
        assert getattr(options, flag.field) == expected


def test_options_end_at_the_first_argument() -> None:
    options = tycoon_options("p", ["-oat", "*", "-ord", "%"])
    assert options.auto_transaction
    assert not options.read_only
    assert options.databases == ["*", "-ord", "%"]


def test_two_dashes_end_the_options() -> None:
    assert tycoon_options("p", ["-th", "2", "--", "-", "--"]).databases == ["-", "--"]


def test_the_last_of_equal_flags_counts() -> None:
    assert tycoon_options("p", ["-ls", "-th", "2", "-le", "-th", "3"]).threads == 3
    assert tycoon_options("p", ["-ls", "-le"]).log_level == Level.ERROR


@pytest.mark.parametrize(
    ("word", "number"), [("0", 0), ("12", 12), ("-1", -1), ("64k", 1 << 16), ("1M", 1 << 20)]
)
def test_integer(word: str, number: int) -> None:
    assert integer(word) == number


@pytest.mark.parametrize("word", ["", "k", "1x", "1.5"])
def test_integer_refuses_what_is_none(word: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        integer(word)


def test_errors_name_the_flag() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^-asi x: this is not a number"):
        tycoon_options("p", ["-asi", "x"])


def test_usage_has_a_line_for_every_flag() -> None:
    text = usage("kt-tycoon", PURPOSE, FLAGS, ARGUMENTS)
    assert text.splitlines()[0] == "usage: kt-tycoon [OPTION ...] [DATABASE ...]"
    for flag in FLAGS:
        assert sum(line.split()[:1] == [flag.name] for line in text.splitlines()) == 1
        assert flag.help in text
