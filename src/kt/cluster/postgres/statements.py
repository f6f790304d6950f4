"""What is asked of PostgreSQL, as values: text and parameters; the reply is a list of rows.

Records lie in one table::

    k bytea PRIMARY KEY    the key; bytea has the order of bytes
    v bytea NOT NULL       the value
    xt bigint NOT NULL     the last second in which the record is there; 2^40 - 1 for always

An operation on a record is one statement, and so atomic. What has expired is passed over by
every statement (``xt >= now``) and removed by `SWEEP`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from kt.cluster.layout import XT_MAX
from kt.cluster.walks import Bounds


class Statement(NamedTuple):
    """A statement.

    Attributes:
        text: with $1 and so on for the parameters.
        parameters: these; a number is a bigint.
        reads: whether it changes nothing, so that it does no harm to carry it out twice.
        long: whether it may take its time, because it is about many records.
    """

    text: str
    parameters: tuple[Any, ...] = ()
    reads: bool = False
    long: bool = False


COLUMNS: Final = [("k", "bytea"), ("v", "bytea"), ("xt", "bigint")]

FIND_TABLE: Final = (
    "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute "
    "WHERE attrelid = to_regclass('{table}') AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
MAKE_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS {table} "
    "(k bytea PRIMARY KEY, v bytea NOT NULL, xt bigint NOT NULL)",
    f"CREATE INDEX IF NOT EXISTS {{index}} ON {{table}} (xt) WHERE xt < {XT_MAX}",
)

GET: Final = "SELECT v, xt FROM {table} WHERE k = $1 AND xt >= $2"
GET_MANY: Final = "SELECT k, v, xt FROM {table} WHERE k = ANY($1::bytea[]) AND xt >= $2"
CHECK: Final = "SELECT octet_length(v), xt FROM {table} WHERE k = $1 AND xt >= $2"
LOOK: Final = "SELECT 1 FROM {table} WHERE k = $1 AND xt >= $2"

_PUT: Final = "INSERT INTO {table} AS t (k, v, xt) VALUES ($1, $2, $3) ON CONFLICT (k) DO UPDATE "
_BOTH: Final = "SET v = excluded.v, xt = excluded.xt"

SET: Final = f"{_PUT} {_BOTH} RETURNING 1"
SET_MANY: Final = (
    "INSERT INTO {table} (k, v, xt) "
    "SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[]) AS r (k, v, xt) ORDER BY k "
    f"ON CONFLICT (k) DO UPDATE {_BOTH}"
)
ADD: Final = f"{_PUT} {_BOTH} WHERE t.xt < $4 RETURNING 1"
REPLACE: Final = "UPDATE {table} SET v = $2, xt = $3 WHERE k = $1 AND xt >= $4 RETURNING 1"
APPEND: Final = (
    f"{_PUT} SET v = CASE WHEN t.xt < $4 THEN excluded.v ELSE t.v || excluded.v END, "
    "xt = excluded.xt RETURNING 1"
)
REMOVE: Final = "DELETE FROM {table} WHERE k = $1 AND xt >= $2 RETURNING 1"
REMOVE_MANY: Final = (
    "WITH gone AS (DELETE FROM {table} WHERE k = ANY($1::bytea[]) AND xt >= $2 RETURNING 1) "
    "SELECT count(*) FROM gone"
)
SEIZE: Final = "DELETE FROM {table} WHERE k = $1 AND xt >= $2 RETURNING v, xt"
CAS: Final = (
    "UPDATE {table} SET v = $2, xt = $3 WHERE k = $1 AND xt >= $4 AND v = $5::bytea RETURNING 1"
)
REMOVE_IF: Final = "DELETE FROM {table} WHERE k = $1 AND xt >= $2 AND v = $3::bytea RETURNING 1"

# A sum of 64 bits that wraps round: a bigint would refuse to.
_SUM: Final = (
    "int8send((mod(('x' || encode(t.v, 'hex'))::bit(64)::bigint::numeric + $5::bigint "
    "+ 27670116110564327424, 18446744073709551616) - 9223372036854775808)::bigint)"
)
_KEEPS: Final = "xt = CASE WHEN t.xt >= $4 AND $5::bigint = 0 THEN t.xt ELSE $3 END"
_EIGHT: Final = "octet_length(t.v) = 8"
INCREMENT: Final = (
    f"{_PUT} SET v = CASE WHEN t.xt < $4 THEN excluded.v ELSE {_SUM} END, "
    f"{_KEEPS} WHERE t.xt < $4 OR {_EIGHT} RETURNING v"
)
# $2 is the same in all statements that write, and is of no use in this one.
INCREMENT_ONLY: Final = (
    f"UPDATE {{table}} AS t SET v = {_SUM}, {_KEEPS} "
    f"WHERE k = $1 AND t.xt >= $4 AND $2::bytea IS NOT NULL AND {_EIGHT} RETURNING v"
)
INCREMENT_ANEW: Final = f"{_PUT} {_BOTH} WHERE t.xt < $4 OR {_EIGHT} RETURNING v"

# The same with 32 bits and the last byte first.
_FOUR: Final = " + ".join(f"(get_byte(t.v, {at})::bigint << {8 * at})" for at in range(4))
_SUM_4: Final = f"(({_FOUR} + $5::bigint) & 4294967295)"
_BYTES_4: Final = " || ".join(
    f"substring(int4send(((s.n >> {8 * at}) & 255)::integer) FROM 4)" for at in range(4)
)
ADD_INT: Final = (
    f"{_PUT} SET v = CASE WHEN t.xt < $4 THEN excluded.v "
    f"ELSE (SELECT {_BYTES_4} FROM (SELECT {_SUM_4} AS n) AS s) END, xt = excluded.xt "
    "WHERE t.xt < $4 OR octet_length(t.v) = 4 RETURNING v"
)

COUNT: Final = "SELECT count(*) FROM {table} WHERE xt >= $1"
ESTIMATE: Final = (
    "SELECT greatest(reltuples, 0)::bigint FROM pg_catalog.pg_class "
    "WHERE oid = to_regclass('{table}')"
)
SIZE: Final = "SELECT pg_total_relation_size('{table}')"
CLEAR: Final = "TRUNCATE {table}"
SWEEP: Final = (
    "DELETE FROM {table} WHERE k IN (SELECT k FROM {table} "
    f"WHERE xt < $1 AND xt < {XT_MAX} ORDER BY xt LIMIT $2 FOR UPDATE SKIP LOCKED) "
    "AND xt < $1 RETURNING 1"
)


def within(bounds: Bounds, now: int) -> tuple[str, tuple[Any, ...], str]:
    """The condition of a range of records, its parameters, and how they are ordered."""
    words, parameters = "xt >= $1", (now,)
    given: tuple[Any, ...] = parameters
    for bound, signs in ((bounds.begin, {b"[": ">=", b"(": ">"}), (bounds.end, _ENDS)):
        if bound not in (b"-", b"+"):
            given = (*given, bound[1:])
            words += f" AND k {signs[bound[:1]]} ${len(given)}::bytea"
    return words, given, "k DESC" if bounds.backward else "k"


_ENDS: Final = {b"[": "<=", b"(": "<"}


def page(columns: str, bounds: Bounds, now: int, limit: int, size: int | None = None) -> Statement:
    """Some records of a range, the first ones.

    Args:
        columns: which of k, v and xt; unless all are wanted, there is no `size`.
        bounds: the range.
        now: Unix time.
        limit: so many at most.
        size: no more once they have so many bytes.
    """
    words, given, order = within(bounds, now)
    given = (*given, limit)
    text = f"SELECT {columns} FROM {{table}} WHERE {words} ORDER BY {order} LIMIT ${len(given)}"
    if size is not None:
        given = (*given, size)
        own = "octet_length(k) + octet_length(v)"
        text = (
            f"SELECT {columns} FROM (SELECT {columns}, sum({own}) OVER (ORDER BY {order}) - ({own})"
            f" AS before FROM ({text}) AS page) AS summed"
            f" WHERE before < ${len(given)} ORDER BY {order}"
        )
    return Statement(text, given, reads=True)
