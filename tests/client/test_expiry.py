"""When records expire: what callers say, and what is on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from kt.client.expiry import pack_expiry, unpack_expiry
from kt.errors import ArgumentError
from kt.wire.tycoon import NEVER

EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("expire_time", "xt"),
    [
        (None, NEVER),
        (0, 0),
        (60, 60),
        (60.0, 60),
        (0.2, 1),
        (-4102444800, -4102444800),
        (timedelta(minutes=1), 60),
        (timedelta(0), 0),
        (timedelta(microseconds=1), 1),
        (timedelta(seconds=-1), -1),
        (timedelta(days=-100), -1),
        (datetime(2100, 1, 1, tzinfo=UTC), -4102444800),
        (datetime(2100, 1, 1, 5, 30, tzinfo=EAST), -4102444800),
        (datetime(2100, 1, 1, 0, 0, 0, 1, tzinfo=UTC), -4102444801),
        (datetime(1970, 1, 1, tzinfo=UTC), -1),
        (datetime(1900, 1, 1, tzinfo=UTC), -1),
    ],
)
def test_what_is_sent(expire_time: Any, xt: int) -> None:
    assert pack_expiry(expire_time) == xt


@pytest.mark.parametrize(
    "expire_time",
    ["60", b"60", True, [60], float("nan"), float("inf"), datetime(2100, 1, 1), datetime.max],
)
def test_what_is_refused(expire_time: Any) -> None:
    with pytest.raises(ArgumentError):
        pack_expiry(expire_time)


@pytest.mark.parametrize(
    ("xt", "expires"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (4102444800, datetime(2100, 1, 1, tzinfo=UTC)),
        (2**40 - 1, None),
        (NEVER, None),
        (2**40 - 2, datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_what_comes_back(xt: int, expires: datetime | None) -> None:
    assert unpack_expiry(xt) == expires
