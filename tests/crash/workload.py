"""What a writer does, the same for the same seed; and what a database may hold after a kill.

::

    steps(seed)  -->  writer (a process, killed)  -->  numbers of the steps that were acknowledged
         |                                                        |
         +----------------------->  Account  <--------------------+
                                       |
    what is found in the database -----+-->  complaints

The writer and the judge make the same steps from the same seed, so all that the writer has to tell
is how far it came.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import kt

KEYS = 2_000
"""Keys are the decimal numbers from 1 to this."""

VERBS = ("change", "bulk", "atomic", "synchronize", "tidy")
WEIGHTS = (1000, 60, 60, 5, 3)
TABLE_COLUMN = "c"
VALUE = re.compile(rb"(\d+):(\d+):(x*):\1:\2")


class Step(NamedTuple):
    """One call.

    Attributes:
        verb: ``change`` one record, ``bulk``, ``atomic`` bulk, ``synchronize``, ``tidy``.
        records: what is to be there afterwards; None where a record is removed.
    """

    verb: str
    records: Mapping[str, bytes | None]


def steps(seed: int, *, wide: int) -> Iterator[Step]:
    """Steps without end.

    Args:
        seed: of all that is random.
        wide: the longest value, bytes.
    """
    chance = random.Random(seed)
    for number in itertools.count():
        verb = chance.choices(VERBS, WEIGHTS)[0]
        count = {"synchronize": 0, "tidy": 0, "change": 1}.get(verb, chance.randint(2, 40))
        keys = {str(chance.randint(1, KEYS)): None for _ in range(count)}
        if verb == "change" and chance.random() < 0.2:
            yield Step(verb, keys)
        else:
            yield Step(verb, {key: value_of(key, number, chance, wide) for key in keys})


def value_of(key: str, number: int, chance: random.Random, wide: int) -> bytes:
    """It names its key and its step at both ends, so that half of one is none."""
    padding = "x" * int((wide - 32) * chance.random() ** 2)
    return f"{key}:{number}:{padding}:{key}:{number}".encode()


def carry_out(db: Any, step: Step, suffix: str) -> None:
    """Do it in a database whose client has no serializer; `suffix` is that of its file."""
    tyrant = suffix.startswith(".t")
    there = {key: value for key, value in step.records.items() if value is not None}
    if step.verb == "synchronize":
        # For a directory, the engine would bring all files of the machine to the device.
        db.synchronize() if tyrant else db.synchronize(hard=suffix in (".kch", ".kct"))
    elif step.verb == "tidy":
        db.optimize() if tyrant else db.vacuum()
    elif suffix == ".tct":
        _change_table(db.using(serializer=kt.TT_TABLE), step)
    elif step.verb == "change" and there:
        [(key, value)] = there.items()
        db.set(key, value)
    elif step.verb == "change":
        db.remove(next(iter(step.records)))
    elif step.verb == "atomic" and not tyrant:
        db.set_bulk(there, atomic=True)
    else:
        db.set_bulk(there)


def _change_table(db: Any, step: Step) -> None:
    for key, value in step.records.items():
        if value is None:
            db.remove(key)
        else:
            db.set(key, {TABLE_COLUMN: value.decode()})


def contents(db: Any, suffix: str) -> tuple[dict[str, bytes], list[str]]:
    """All records, each fetched by its key, and what contradicts them: keys, count, scan."""
    complaints: list[str] = []
    if suffix == ".tct":
        db = db.using(serializer=kt.TT_TABLE)
    keys = list(db.keys())
    if len(set(keys)) != len(keys):
        complaints.append("a scan shows a key twice")
    if db.count() != len(keys):
        complaints.append(f"the count is {db.count()}, a scan shows {len(keys)}")
    found: dict[str, bytes] = {}
    for key in keys:
        value = db.get(key)
        if value is None:
            complaints.append(f"a scan shows {key}, which cannot be got")
        else:
            found[key] = value[TABLE_COLUMN].encode() if suffix == ".tct" else value
    # What is there but in no scan.
    for number in range(1, KEYS + 1):
        if str(number) not in found and db.get(str(number)) is not None:
            complaints.append(f"a scan does not show {number}, which can be got")
    if suffix == ".tct":
        indexed = db.query().filter(kt.Column(TABLE_COLUMN).startswith("")).keys()
        if sorted(indexed) != sorted(keys):
            complaints.append(f"the index has {len(indexed)} of {len(keys)} records")
    return found, complaints


class Account:
    """What each key may have, given how far the writer came.

    Args:
        before: what was there when it began, which was closed properly.
        acknowledged: how many steps were; the next one may have been begun.
        promise: ``none``, ``commit`` or ``device``.
    """

    def __init__(
        self, before: Mapping[str, bytes], steps: Iterable[Step], acknowledged: int, promise: str
    ) -> None:
        self._before = before
        self._versions: dict[str, list[bytes | None]] = {}  # the oldest that is allowed, and later
        for number, step in enumerate(steps):
            for key, value in step.records.items():
                self._versions.setdefault(key, [before.get(key)]).append(value)
            self._last = step
            if number == acknowledged:
                break
            settled: Iterable[str] = step.records if promise != "none" else ()
            for key in self._versions if step.verb == "synchronize" else settled:
                del self._versions[key][:-1]

    def complaints(
        self, found: Mapping[str, bytes], *, whole_bulks: bool, in_place: bool
    ) -> list[str]:
        """What is wrong with what was found.

        Args:
            whole_bulks: whether an atomic bulk is there as a whole, or not at all.
            in_place: whether a record that is being written may be gone, or new in part.
        """
        complaints = []
        for number in range(1, KEYS + 1):
            key = str(number)
            value = found.get(key)
            allowed = self._versions.get(key, [self._before.get(key)])
            if value in allowed or (in_place and key in self._last.records):
                continue
            kind = "lost" if value is None else "wrong" if _is_whole(key, value) else "torn"
            complaints.append(f"{kind}: {key} is {_short(value)}, not {[*map(_short, allowed)]}")
        records = self._last.records
        new = sum(found.get(key) == value for key, value in records.items())
        if whole_bulks and self._last.verb == "atomic" and 0 < new < len(records):
            complaints.append(f"{new} of {len(records)} records of an atomic bulk")
        return complaints


def _is_whole(key: str, value: bytes) -> bool:
    match = VALUE.fullmatch(value)
    return match is not None and match[1] == key.encode()


def _short(value: bytes | None) -> str:
    return "absent" if value is None else value[:20].decode("latin-1") + f"... ({len(value)} bytes)"
