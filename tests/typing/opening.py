"""What a type checker knows about databases in this process. Checked, never run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, assert_type

import kt


def tycoon(path: Path, flag: bool) -> None:
    with kt.open("*", "%") as db:
        assert_type(db, kt.KyotoTycoon[str, str])
        assert_type(db.get("k"), str | None)
    assert_type(kt.open(path, "%", default_db=1, scripts=path), kt.KyotoTycoon[str, str])
    assert_type(kt.open("*", server="tycoon", read_only=True), kt.KyotoTycoon[str, str])
    assert_type(kt.open("*", serializer=kt.KT_NONE), kt.KyotoTycoon[str, bytes])
    assert_type(kt.open("*", serializer=kt.KT_JSON), kt.KyotoTycoon[str, Any])
    assert_type(kt.open("*", decode_keys=False), kt.KyotoTycoon[bytes, str])
    assert_type(kt.open("*", decode_keys=flag), kt.KyotoTycoon[Any, str])
    keys_and_values = kt.open("*", serializer=kt.KT_NONE, decode_keys=False)
    assert_type(keys_and_values, kt.KyotoTycoon[bytes, bytes])


def tyrant(path: Path, flag: bool) -> None:
    with kt.open("casket.tch", server="tyrant") as db:
        assert_type(db, kt.TokyoTyrant[str, str])
        assert_type(db.get("k"), str | None)
    assert_type(kt.open(path, server="tyrant", scripts=path), kt.TokyoTyrant[str, str])
    assert_type(kt.open("+", server="tyrant", serializer=kt.KT_NONE), kt.TokyoTyrant[str, bytes])
    assert_type(kt.open("+", server="tyrant", decode_keys=False), kt.TokyoTyrant[bytes, str])
    assert_type(kt.open("+", server="tyrant", decode_keys=flag), kt.TokyoTyrant[Any, str])


def promises() -> None:
    kt.open("casket.kch", synchronize="commit")
    kt.open("casket.kch", synchronize=kt.Synchronize.DEVICE)
    kt.open("casket.tch", synchronize="device", server="tyrant")
    kt.open_async("casket.tch", synchronize="commit", server="tyrant")
    kt.open("casket.kch", synchronize="often")  # type: ignore[call-overload]
    kt.open("casket.kch", server="redis")  # type: ignore[call-overload]


async def asynchronous(path: Path, names: Sequence[str], flag: bool) -> None:
    async with kt.open_async("*") as db:
        assert_type(db, kt.AsyncKyotoTycoon[str, str])
        assert_type(await db.get("k"), str | None)
    assert_type(kt.open_async(*names, scripts=path), kt.AsyncKyotoTycoon[str, str])
    assert_type(kt.open_async("*", serializer=kt.KT_NONE), kt.AsyncKyotoTycoon[str, bytes])
    assert_type(kt.open_async("*", decode_keys=False), kt.AsyncKyotoTycoon[bytes, str])
    assert_type(kt.open_async("*", decode_keys=flag), kt.AsyncKyotoTycoon[Any, str])
    assert_type(kt.open_async("*", server="tyrant"), kt.AsyncTokyoTyrant[str, str])
    assert_type(
        kt.open_async("+", server="tyrant", serializer=kt.KT_NONE), kt.AsyncTokyoTyrant[str, bytes]
    )
