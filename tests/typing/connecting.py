"""What a type checker knows about clients of URLs. Checked, never run."""

from typing import Any, assert_type

import kt


def tycoon(flag: bool) -> None:
    with kt.connect("valkey://h:6379/0?layout=flat", "valkey://h:6379/1?layout=tree") as db:
        assert_type(db, kt.KyotoTycoon[str, str])
        assert_type(db.get("k"), str | None)
    assert_type(kt.connect("kt://h", server="tycoon", default_db=1), kt.KyotoTycoon[str, str])
    assert_type(kt.connect("kt://h", serializer=kt.KT_NONE), kt.KyotoTycoon[str, bytes])
    assert_type(kt.connect("kt://h", serializer=kt.KT_JSON), kt.KyotoTycoon[str, Any])
    assert_type(kt.connect("kt://h", decode_keys=False), kt.KyotoTycoon[bytes, str])
    assert_type(kt.connect("kt://h", decode_keys=flag), kt.KyotoTycoon[Any, str])


def tyrant(flag: bool) -> None:
    assert_type(kt.connect("tt://h", server="tyrant"), kt.TokyoTyrant[str, str])
    bytes_only = kt.connect("tt://h", server="tyrant", serializer=kt.KT_NONE, decode_keys=False)
    assert_type(bytes_only, kt.TokyoTyrant[bytes, bytes])
    assert_type(kt.connect("tt://h", server="tyrant", decode_keys=flag), kt.TokyoTyrant[Any, str])
    kt.connect("tt://h", server="tyrant", default_db=1)  # type: ignore[call-overload]
    kt.connect("tt://h", server="redis")  # type: ignore[call-overload]


async def asynchronous(flag: bool) -> None:
    async with kt.connect_async("valkey://h:6379/0?layout=flat") as db:
        assert_type(db, kt.AsyncKyotoTycoon[str, str])
        assert_type(await db.get("k"), str | None)
    assert_type(kt.connect_async("kt://h", serializer=kt.KT_NONE), kt.AsyncKyotoTycoon[str, bytes])
    assert_type(kt.connect_async("kt://h", decode_keys=flag), kt.AsyncKyotoTycoon[Any, str])
    assert_type(kt.connect_async("tt://h", server="tyrant"), kt.AsyncTokyoTyrant[str, str])
