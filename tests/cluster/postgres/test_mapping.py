"""The mapping to PostgreSQL without sockets: which statements go out, and what rows mean."""

from __future__ import annotations

from typing import Any

import pytest

from kt.cluster.commands import Failure, Steps
from kt.cluster.layout import XT_MAX
from kt.cluster.postgres import statements as sql
from kt.cluster.postgres.database import SWEEP, Database
from kt.cluster.postgres.settings import parse_postgres_url
from kt.cluster.postgres.statements import Statement, page
from kt.cluster.walks import Bounds
from kt.errors import ArgumentError, ImproperlyConfigured
from kt.wire.magic import NEVER
from tests.cluster.test_mapping import drive, one

NOW = 1000


def database(options: str = "") -> Database:
    return Database(parse_postgres_url(f"postgres://h/d?table=t{options}"), lambda: NOW + 0.5)


def text(template: str) -> str:
    return template.format(table='"t"', index='"t_xt"')


def test_a_url_says_everything() -> None:
    settings = parse_postgres_url(
        "postgresql://me:s%20cret@h1,h2:7000,[::1]:7001,%2Ftmp/d%20b?table=a.b&layout=tree"
        "&timeout=3&scan-limit=9&connections=2&count=estimate&sslmode=require"
    )
    assert settings.addresses == (("h1", 5432), ("h2", 7000), ("::1", 7001), ("/tmp", 5432))
    assert (settings.dbname, settings.relation) == ("d b", '"a"."b"')
    assert (settings.timeout, settings.scan_limit, settings.connections) == (3, 9, 2)
    assert (settings.exact, settings.tls) == (False, (("sslmode", "require"),))
    assert (settings.user, settings.password) == ("me", "s cret")
    assert "cret" not in str(settings) + repr(settings)
    assert parse_postgres_url(str(settings)).addresses == settings.addresses
    assert parse_postgres_url("postgres:///d").addresses == ()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgres://h:x/d", "server"),
        ("postgres://[::1/d", "server"),
        ("postgres://h,x[::1]/d", "server"),
        ("postgres://h:0/d", "server"),
        ("postgres://h/d?table=a;b", "table"),
        ("postgres://h/d?table=a.b.c", "table"),
        ("postgres://h/d?layout=flat", "layout is tree"),
        ("postgres://h/d?count=all", "exact or estimate"),
        ("postgres://h/d?acks=1", "option 'acks'"),
        ("http://h", "postgres://"),
    ],
)
def test_a_bad_url_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        parse_postgres_url(url)


def test_an_operation_is_one_statement() -> None:
    db = database()
    assert one(db.get(b"a"), [(b"v", 5000)]) == (
        Statement(text(sql.GET), (b"a", NOW), reads=True),
        (b"v", 5000),
    )
    assert one(db.set(b"a", b"v", NEVER), [(1,)])[0].parameters == (b"a", b"v", XT_MAX)
    assert one(db.add(b"a", b"v", NEVER), [(1,)])[0].text == text(sql.ADD)
    assert one(db.seize(b"a"), [(b"v", 1)])[1] == (b"v", 1)
    assert one(db.cas(b"a", b"o", b"n", NEVER), [(1,)])[0].parameters[-1] == b"o"
    assert one(db.cas(b"a", b"o", None, NEVER), [(1,)])[0].text == text(sql.REMOVE_IF)
    assert one(db.cas(b"a", None, b"n", NEVER), [(1,)])[0].text == text(sql.ADD)
    assert one(db.cas(b"a", None, None, NEVER), [])[0].reads
    assert one(db.remove_many([b"a", b"b"]), [(2,)])[1] == 2
    assert one(db.increment(b"a", 2, 3, NEVER), [(bytes(7) + b"\5",)])[1] == 5


def test_a_bulk_is_one_statement_and_names_each_key_once() -> None:
    db = database()
    statement, number = one(db.set_many([(b"b", b"1", 5), (b"a", b"2", 0), (b"b", b"3", 7)]), [])
    assert number == 3
    assert statement.parameters == ([b"b", b"a"], [b"3", b"2"], [NOW + 7, NOW])
    found = one(db.get_many([b"a", b"x", b"a"]), [(b"a", b"v", 1)])[1]
    assert found == [(b"v", 1), None, (b"v", 1)]


def test_failures_are_worded_as_elsewhere() -> None:
    db = database()
    no_record = "DB: 7: no record: no record"
    cases: tuple[tuple[Steps[Any], str], ...] = (
        (db.get(b"a"), no_record),
        (db.check(b"a"), no_record),
        (db.seize(b"a"), no_record),
        (db.remove(b"a"), no_record),
        (db.replace(b"a", b"", NEVER), no_record),
        (db.add(b"a", b"", NEVER), "DB: 6: record duplication"),
        (db.cas(b"a", None, b"", NEVER), "DB: 8: logical inconsistency: status conflict"),
        (db.increment(b"a", 1, 0, NEVER), "DB: 8: logical inconsistency"),
        (db.add_int(b"a", 1), "DB: 8: logical inconsistency"),
    )
    for steps, words in cases:
        with pytest.raises(Failure, match=words):
            one(steps, [])


def test_who_writes_what_expires_sweeps_once_a_second() -> None:
    db = database()
    rounds, _ = drive(db.set(b"a", b"v", 5), [[(1,)], []])
    assert [statement.text for statement in rounds[0]] == [text(sql.SET), text(sql.SWEEP)]
    assert one(db.set(b"a", b"v", 5), [(1,)])[0].parameters == (b"a", b"v", NOW + 5)
    full = [[(1,)] * SWEEP]
    rounds, _ = drive(database().vacuum(), full, [[]])
    assert len(rounds) == 2
    rounds, _ = drive(db.sweep())
    assert rounds == []


def test_a_walk_asks_for_what_comes_after_the_last_key() -> None:
    walk = database().walk(prefix=b"a")
    statement, keys = one(walk.more(2), [(b"a1",), (b"a2",)])
    assert keys == [b"a1", b"a2"]
    assert statement.parameters == (NOW, b"a", b"b", 2)
    statement, keys = one(walk.more(2), [(b"a3",)])
    assert statement.parameters == (NOW, b"a2", b"b", 2)
    assert "k > $2" in statement.text
    assert drive(walk.more(2)) == ([], [])
    back = page("k, v", Bounds(end=b"(x", backward=True), NOW, 3, 100)
    assert back.parameters == (NOW, b"x", 3, 100)
    assert back.text.count("k DESC") == 3


def test_a_table_of_somebody_else_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="it has id integer"):
        one(database().claim(), [("id", "integer")])
    rounds, _ = drive(database().claim(), [[]], [[]], [[]], [sql.COLUMNS])
    assert [statements[0].text.split()[0] for statements in rounds[1:3]] == ["CREATE"] * 2


def test_counting_exactly_or_not() -> None:
    assert one(database().count(), [(7,)])[0].long
    statement, number = one(database("&count=estimate").count(), [(7,)])
    assert number == 7
    assert "reltuples" in statement.text
