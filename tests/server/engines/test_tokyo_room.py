"""Files of Tokyo Cabinet that cannot grow: a change is refused for which there is no room, what was
acknowledged is read, synchronized, closed with and found again, and all is well once there is room.

A limit on the size of files stands for the full disk; on a real one, servers are tested
(`process/test_environment.py`). It is the process's, so the database is opened in one of its own,
which says what happened.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .tokyo import items, opened

CODE = """
import json, os, random, resource, sys
from kt.server.engines.tokyo._engine import Database

path, seed, limit = sys.argv[1:]
random.seed(int(seed))
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
database = Database(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), unlimited[1]))
known, refused, wrong = {}, 0, []

def text():
    size = random.choice([10, 100, 900]) if random.random() < 0.998 else 40_000
    return b"c\\0" + os.urandom(size // 2).hex().encode()

def is_full():
    return b"14: write error" in database.misc(b"error")

def change(key, before):
    value, kind = text(), random.random()
    if kind < 0.1:
        return database.out(key) or before is None, None
    if kind < 0.2:
        return database.misc(b"putlist", [key, value]) is not None, "listed"
    if kind < 0.3 and before is not None and database.type_name != "fixed-length":
        return database.putcat(key, value), "appended"
    if kind < 0.4:
        return database.misc(b"put", [key, *value.split(b"\\0")] if "tct" in path
                             else [key, value]) is not None, value
    return database.put(key, value), value

number = 0
while refused < 200:
    number = min(number + 1, 100_000)
    key = b"%d" % (number if random.random() < 0.7 else random.randrange(1, number + 1))
    before = known.get(key)
    done, after = change(key, before)
    if not done:
        refused += 1
        if not is_full():
            wrong.append((key.decode(), "another error"))
    if done and (database.type_name in ("fixed-length", "B+ tree") or isinstance(after, str)):
        after = database.get(key)  # cut off; or the first of several
    if done and after is None:
        known.pop(key, None)
    elif done:
        known[key] = after
    if database.get(key) != known.get(key):
        wrong.append((key.decode(), "another value"))
report = {
    "known": {key.decode(): value.decode() for key, value in known.items()},
    "readable": all(database.get(key) == value for key, value in known.items()),
    "wrong": wrong[:5], "sync": database.sync(), "optimize": database.optimize(),
}
report["readable again"] = all(database.get(key) == value for key, value in known.items())
report["fatal"] = b"fatal" in database.misc(b"error")
report["close"] = database.close()
print(json.dumps(report))
"""

PLACES = [
    ("casket.tch", 3 << 20),
    ("casket.tch#xmsiz=0#dfunit=4", 3 << 20),
    ("casket.tch#opts=ld", 3 << 20),
    ("casket.tcb", 2 << 20),
    ("casket.tcb#lmemb=8#nmemb=8#lcnum=64#ncnum=64", 2 << 20),
    ("casket.tcb#opts=ld#lcnum=64", 2 << 20),
    ("casket.tcb#xmsiz=64m#dfunit=4", 2 << 20),
    ("casket.tcf#width=200", 1 << 20),
    ("casket.tct", 3 << 20),
    ("casket.tct#idx=c:lex", 6 << 20),
    ("casket.tct#idx=c:qgr", 12 << 20),
]


def fill(path: Path, name: str, limit: int, seed: int = 1) -> dict[str, Any]:
    """Run `CODE` with the database in `path`; its report."""
    command = [sys.executable, "-c", CODE, str(path / name), str(seed), str(limit)]
    ended = subprocess.run(command, capture_output=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "limit"), PLACES)
def test_nothing_acknowledged_is_lost(tmp_path: Path, name: str, limit: int) -> None:
    report = fill(tmp_path, name, limit)
    assert report["wrong"] == []
    assert report["readable"]
    assert report["readable again"]
    assert report["sync"]
    assert report["close"]
    assert not report["fatal"]
    known = {key.encode(): value.encode() for key, value in report["known"].items()}
    assert len(known) > 100
    with opened(name, tmp_path) as database:
        assert not database.rebuilt
        assert {one: database.get(one) for one in known} == known
        assert database.count() == len(known) or database.type_name == "B+ tree"
        if "idx" in name:
            found = database.misc(b"search", [b"addcond\0c\0STRINC\0", b"count"])
            assert items(found) == [b"%d" % len(known)]
            for one in list(known)[:: len(known) // 50]:
                condition = b"addcond\0c\0STREQ\0" + known[one].split(b"\0")[1]
                assert one in items(database.misc(b"search", [condition]))
        for number in range(2000):
            assert database.put(b"%d" % (number + 1), b"c\0again")
        assert database.optimize()
        assert database.get(b"2000") == b"c\0again"
