"""Changes, files and damage as text and as JSON, for `python -m kt.log`."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

from kt.log.files import Damage, LogFile
from kt.types import Change
from kt.wire.log import snapshots, tycoon

Json = dict[str, Any]


def dumped(record: Json) -> str:
    """Return a line of JSON."""
    return json.dumps(record, ensure_ascii=False)


def change_json(change: Change[bytes, bytes]) -> Json:
    """Return what a change has; what does not belong to it is left out."""
    record: Json = {
        "stamp": change.stamp,
        "time": moment(change.time),
        "sid": change.sid,
        "db": change.db,
        "what": change.what.value,
        "key": None if change.key is None else _value(change.key),
        "value": None if change.value is None else _value(change.value),
        "expiry": change.expiry,
        "number": change.number,
        "name": None if change.name is None else _value(change.name),
        "items": [_value(item) for item in change.items] or None,
        "mid": change.mid or None,
        "failed": change.failed or None,
    }
    return {name: value for name, value in record.items() if value is not None}


def change_line(change: Change[bytes, bytes]) -> str:
    """Return a change as columns: time, id, database, what, key and what else there is."""
    source = f"{change.sid}:{change.mid}" if change.mid else str(change.sid)
    columns = [moment(change.time), source, str(change.db), change.what.value]
    blobs = (change.name, change.key, change.value, *change.items)
    columns += [escaped(blob) for blob in blobs if blob is not None]
    if change.number is not None:
        columns.append(str(change.number))
    if change.expires is not None:
        columns.append(f"expires {moment(change.expires)}")
    if change.failed:
        columns.append("failed")
    return "\t".join(columns)


def damage_json(damage: Damage) -> Json:
    """Return where what is wrong."""
    path, offset, size, reason = damage
    return {"file": path, "damaged": True, "offset": offset, "size": size, "reason": reason}


def file_json(file: LogFile) -> Json:
    """Return what a file is, without its records."""
    record: Json = {"file": file.path, "kind": file.kind.value, "size": file.size}
    if isinstance(file.header, tycoon.Header):
        record["newest"] = file.header.newest
        if file.size > file.end:
            record["unfinished"] = file.size - file.end
    elif isinstance(file.header, snapshots.Header):
        record |= {
            "db": file.number,
            "compressor": file.header.compressor.name.lower(),
            "stamp": file.header.stamp,
            "records": file.header.records,
            "database_size": file.header.size,
        }
    return record


def line(record: Json) -> str:
    """Return a record of JSON as text."""
    name, *rest = record.items()
    return "\t".join([str(name[1]), *(f"{key}={value}" for key, value in rest)])


def moment(time: datetime) -> str:
    """Return a time as text."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def escaped(blob: bytes) -> str:
    """Return bytes as text in which tabs, ends of lines and what is no text are escapes."""
    text = blob.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _value(blob: bytes) -> Any:
    try:
        return blob.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(blob).decode()}
