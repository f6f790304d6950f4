"""A copy in SQLite that follows a server: ``python examples/mirror.py URL FILE``.

    kt-tycoon -host 127.0.0.1 -ulog ulog -sid 1 casket.kch
    python examples/mirror.py kt://127.0.0.1 mirror.sqlite
    sqlite3 mirror.sqlite 'SELECT count(*) FROM records WHERE key LIKE "user:%"'

For what a key-value server cannot answer: joins, sums, reports. The position in the server's log is
stored together with each change, in one transaction, so this program may be killed at any time and
goes on exactly where it was.
"""

from __future__ import annotations

import sqlite3
import sys

import kt

TABLES = """
CREATE TABLE IF NOT EXISTS records (
    db INTEGER, key BLOB, value BLOB, expires REAL, PRIMARY KEY (db, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (only INTEGER PRIMARY KEY CHECK (only = 1), text TEXT);
"""


class Mirror:
    """Records in SQLite, and up to which change they are those of the server."""

    def __init__(self, path: str) -> None:
        self.sql = sqlite3.connect(path)
        self.sql.execute("PRAGMA journal_mode = WAL")
        self.sql.execute("PRAGMA synchronous = NORMAL")  # a lost change would come again
        self.sql.executescript(TABLES)

    def position(self) -> str | None:
        row = self.sql.execute("SELECT text FROM position").fetchone()
        return row and str(row[0])

    def apply(self, change: kt.Change[str, str], position: str | None) -> None:
        with self.sql:
            where = (change.db, change.key)
            if change.what is kt.What.SET:
                record = (*where, change.value, change.expiry)
                self.sql.execute("REPLACE INTO records VALUES (?, ?, ?, ?)", record)
            elif change.what is kt.What.REMOVE:
                self.sql.execute("DELETE FROM records WHERE db = ? AND key = ?", where)
            elif change.what is kt.What.CLEAR:
                self.sql.execute("DELETE FROM records WHERE db = ?", (change.db,))
            self.sql.execute("REPLACE INTO position VALUES (1, ?)", (position,))

    def close(self) -> None:
        self.sql.close()


def follow(db: kt.KyotoTycoon[str, str], mirror: Mirror) -> None:
    """Apply changes for ever."""
    with db.changes(since=mirror.position() or kt.Since.OLDEST) as feed:
        for change in feed:
            mirror.apply(change, feed.position)


def main(url: str, path: str) -> None:
    mirror = Mirror(path)
    try:
        with kt.KyotoTycoon.from_url(url) as db:
            follow(db, mirror)
    except KeyboardInterrupt:
        print("Interrupted; the next start goes on from here.")
    finally:
        mirror.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
