"""Notes that are found by their words:

    python examples/notes.py add "Tomatoes want sun" --tag garden
    python examples/notes.py find sun
    python examples/notes.py list --tag garden
    python examples/notes.py remove 1

They are rows of a table, in the file notes.tct of this process: no server is needed, and
``kt-tyrant notes.tct`` would serve the same file to others.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

import kt
from kt import C, IndexKind, Model, column


class Note(Model):
    """A note; its key is a number that the database gives."""

    text: str = column(index=IndexKind.QGRAM)  # serves searches for words and parts of them
    tags: list[str] = column(default_factory=list, index=IndexKind.TOKEN)
    made: datetime = column(index=IndexKind.DECIMAL)


def add(notes: kt.Table[Note], text: str, tags: list[str]) -> Note:
    return notes.create(text=text, tags=tags, made=datetime.now(UTC))


def find(notes: kt.Table[Note], words: list[str], tags: list[str]) -> list[Note]:
    """Notes that have all of these words and tags, the latest first."""
    query = notes.query().order_by(C.made.desc())
    if words:
        query = query.filter(C.text.search_all(*words))
    if tags:
        query = query.filter(C.tags.has_all(*tags))
    return query.all()


def show(note: Note) -> str:
    marks = "".join(f" #{tag}" for tag in note.tags)
    return f"{note.key}  {note.text}{marks}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Notes that are found by their words.")
    parser.add_argument("--file", default="notes.tct", help="where the notes are (%(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("add", help="write a note down")
    verb.add_argument("text")
    verb.add_argument("--tag", action="append", default=[])
    verb = verbs.add_parser("find", help="notes with all of these words")
    verb.add_argument("words", nargs="+")
    verb.add_argument("--tag", action="append", default=[])
    verb = verbs.add_parser("list", help="all notes")
    verb.add_argument("--tag", action="append", default=[])
    verb = verbs.add_parser("remove", help="throw a note away")
    verb.add_argument("key")
    return parser.parse_args()


def main() -> None:
    given = parse()
    with kt.open(given.file, server="tyrant") as db:
        notes = db.table(Note)
        notes.create_indexes()
        if given.verb == "add":
            print(show(add(notes, given.text, given.tag)))
        elif given.verb == "remove":
            if not notes.delete(given.key):
                raise SystemExit(f"There is no note {given.key}.")
        else:
            for note in find(notes, getattr(given, "words", []), given.tag):
                print(show(note))


if __name__ == "__main__":
    main()
