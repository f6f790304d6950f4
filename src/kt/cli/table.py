"""Verbs on table databases of Tokyo Tyrant.

A condition is one word: the column, a sign, and what to compare with.

===========  =======================================  ===========  ================================
sign         holds if                                 sign         holds if
===========  =======================================  ===========  ================================
``=``        the text is equal                        ``!=``       it is not
``^=``       the text begins so                       ``$=``       it ends so
``*=``       the text contains it                     ``~=``       a regular expression is found
``> >=``     the number is greater (or equal)         ``< <=``     it is less (or equal)
``==``       the number is equal                      ``:=``       it has one of these words
===========  =======================================  ===========  ================================
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from kt.cli.commands import Call, data, flag, option, verb, word
from kt.cli.faults import No, Usage

if TYPE_CHECKING:
    from kt.client.tyrant.table_query import Column, Filter, Order
    from kt.client.tyrant.table_rows import Row

CONDITION: Final = re.compile(r"(.*?)(!=|\^=|\$=|\*=|~=|:=|>=|<=|==|=|>|<)(.*)", re.DOTALL)


def condition(text: str) -> Filter:
    """Return the filter that a word means."""
    from kt.client.tyrant.table_query import Column

    found = CONDITION.fullmatch(text)
    if found is None:
        raise Usage(f"{text!r} is no condition, such as age>=18 or name=Ann")
    name, sign, operand = found.groups()
    column = Column(name)
    if sign in (">", ">=", "<", "<=", "=="):
        return _numeric(column, sign, operand)
    ways = {
        "=": lambda: column == operand,
        "!=": lambda: column != operand,
        "^=": lambda: column.startswith(operand),
        "$=": lambda: column.endswith(operand),
        "*=": lambda: column.contains(operand),
        "~=": lambda: column.matches(operand),
        ":=": lambda: column.has_any(*operand.split()),
    }
    return ways[sign]()


def _numeric(column: Column, sign: str, operand: str) -> Filter:
    from kt.wire.table import Operator

    try:
        float(operand)
    except ValueError:
        raise Usage(f"{operand!r} is no number") from None
    operators = {
        ">": Operator.NUMGT,
        ">=": Operator.NUMGE,
        "<": Operator.NUMLT,
        "<=": Operator.NUMLE,
        "==": Operator.NUMEQ,
    }
    return column.match(operators[sign], operand)


def show_rows(call: Call, rows: Iterable[tuple[str, Mapping[str, str]]]) -> None:
    """Write rows: as a table in the shell, as JSON, or key and columns with tabs between."""
    if call.out.as_json:
        for key, columns in rows:
            call.out.object({"key": key, "columns": dict(columns)})
    elif call.session.interactive:
        _show_table(list(rows))
    else:
        for key, columns in rows:
            cells = [f"{name}={value}" for name, value in columns.items()]
            call.out.line(key, *cells)


def _show_table(rows: list[tuple[str, Mapping[str, str]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    names = list(dict.fromkeys(name for _, columns in rows for name in columns))
    shown = Table("key", *names, header_style="bold")
    for key, columns in rows:
        shown.add_row(key, *(columns.get(name, "") for name in names))
    Console().print(shown)


def _row(key: bytes, columns: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    return key.decode("utf-8", "backslashreplace"), columns


@verb(data("key"), kind="tyrant")
def do_get(call: Call, key: bytes) -> None:
    """Show a row."""
    from kt.client.tyrant.table_rows import TT_TABLE

    row = call.target.tyrant.using(serializer=TT_TABLE).get(key)
    if row is None:
        raise No("there is no such row")
    show_rows(call, [_row(key, row)])


@verb(
    data("key"),
    word("columns", many=True, shown="COLUMN=VALUE..."),
    flag("keep", "--add", help="Only if there is no row."),
    kind="tyrant",
)
def do_put(call: Call, key: bytes, columns: tuple[str, ...], keep: bool) -> None:
    """Store a row, whatever there was before."""
    from kt.client.tyrant.table_rows import TT_TABLE

    pairs = [column.partition("=") for column in columns]
    if not all(name and equals for name, equals, _ in pairs):
        raise Usage("columns are given as NAME=VALUE")
    row = {name: os.fsencode(value) for name, _, value in pairs}
    db = call.target.tyrant.using(serializer=TT_TABLE)
    if not (db.add(key, row) if keep else db.set(key, row)):
        raise No("there is such a row")


@verb(
    word("conditions", many=True, required=False, shown="[CONDITION]..."),
    option("order", "--order", help="COLUMN, -COLUMN (descending); +COLUMN, by number."),
    option("limit", "--limit", type=int, help="At most so many rows."),
    option("offset", "--offset", type=int, default=0, help="Leave out so many rows first."),
    option("select", "--select", help="Only these columns: a,b,c."),
    flag("count", "--count", help="Only the number of rows."),
    flag("delete", "--delete", help="Remove the rows, and show how many they were."),
    flag("explain", "--explain", help="Show how the server searches."),
    kind="tyrant",
    patient=True,
)
def do_query(
    call: Call,
    conditions: tuple[str, ...],
    order: str | None,
    limit: int | None,
    offset: int,
    select: str | None,
    count: bool,
    delete: bool,
    explain: bool,
) -> None:
    """Find rows that satisfy all conditions.

    A condition is a column, a sign and a value: name=Ann age>=18 name^=A name$=n name*=n name~=^A
    name!=Ann age==31 words:="one two".
    """
    query = call.target.tyrant.query().filter(*map(condition, conditions))
    query = query.limit(limit).offset(offset)
    if order is not None:
        query = query.order_by(_order(order))
    if select is not None:
        query = query.select(*select.split(","))
    if count or delete:
        call.out.number(query.delete() if delete else query.count())
    elif explain:
        call.out.raw(query.explain().encode())
    else:
        show_rows(call, (_pair(row) for row in query.all()))


def _pair(row: Row) -> tuple[str, Mapping[str, str]]:
    key = row.key
    return _row(key if isinstance(key, bytes) else key.encode(), row)


def _order(text: str) -> Order:
    from kt.client.tyrant.table_query import Column

    name = text.lstrip("+-")
    numeric = "+" in text[: len(text) - len(name)]
    descending = "-" in text[: len(text) - len(name)]
    column = Column(name)
    return column.desc(numeric=numeric) if descending else column.asc(numeric=numeric)


@verb(
    word("column"),
    word("index", required=False, shown="[lexical|decimal|token|qgram]"),
    flag("delete", "--delete", help="Remove the index."),
    flag("optimize", "--optimize", help="Rebuild its storage."),
    kind="tyrant",
    patient=True,
)
def do_index(call: Call, column: str, index: str | None, delete: bool, optimize: bool) -> None:
    """Make an index of a column, remove it, or rebuild its storage."""
    from kt.wire.table import IndexKind

    db = call.target.tyrant
    if delete or optimize:
        if not (db.delete_index(column) if delete else db.optimize_index(column)):
            raise No("there is no such index")
        return
    try:
        kind = IndexKind[(index or "lexical").upper()]
    except KeyError:
        raise Usage(f"{index!r} is no kind of index") from None
    db.set_index(column, kind)
