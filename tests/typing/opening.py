"""What a type checker knows about databases in this process. Checked, never run."""

from typing import assert_type

import kt


def tycoon() -> None:
    with kt.open("*", "%") as db:
        assert_type(db, kt.KyotoTycoon[str, str])
    assert_type(kt.open("*", serializer=kt.KT_NONE), kt.KyotoTycoon[str, bytes])


def tyrant() -> None:
    assert_type(kt.open("casket.tch", server="tyrant"), kt.TokyoTyrant[str, str])


async def asynchronous() -> None:
    assert_type(kt.open_async("*"), kt.AsyncKyotoTycoon[str, str])
    assert_type(kt.open_async("*", server="tyrant"), kt.AsyncTokyoTyrant[str, str])
