"""The operators of a table of a model, which only the blocking client has."""

from __future__ import annotations

import asyncio

import pytest

from kt.client.tyrant.client import TokyoTyrant
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.client.tyrant.table_model import Model
from kt.errors import ArgumentError

table = pytest.mark.parametrize("tyrant_database", ["casket.tct"], indirect=True)


class City(Model):
    name: str


@table
def test_operators(tyrant: TokyoTyrant) -> None:
    cities = tyrant.table(City)
    cities["bern"] = City(name="Bern")
    cities["bern"] = City(key="bern", name="Berne")
    assert cities["bern"] == City(key="bern", name="Berne")
    assert "bern" in cities
    assert "bonn" not in cities
    assert (len(cities), list(cities)) == (1, ["bern"])
    with pytest.raises(ArgumentError, match="is not 'bonn'"):
        cities["bonn"] = cities["bern"]
    with pytest.raises(ArgumentError, match="not a City"):
        cities["bonn"] = "Bonn"  # type: ignore[assignment]
    del cities["bern"]
    with pytest.raises(KeyError, match="bern"):
        del cities["bern"]
    with pytest.raises(KeyError, match="bern"):
        cities["bern"]
    assert (len(cities), dict(cities.items())) == (0, {})


def test_asyncio_says_what_to_write_instead() -> None:
    async def refused() -> None:
        cities = AsyncTokyoTyrant().table(City)
        with pytest.raises(TypeError, match=r"await x\.exists"):
            "bern" in cities  # type: ignore[operator]  # noqa: B015
        with pytest.raises(TypeError, match="async for"):
            list(cities)  # type: ignore[call-overload]

    asyncio.run(refused())
