"""The airports of the package airportsdata, some 28,000, as rows of a table."""

from __future__ import annotations

import airportsdata

from kt import IndexKind, Model, column


class Airport(Model):
    """An airport; its key is its ICAO code. The elevation is in feet, the position in degrees."""

    name: str = column(index=IndexKind.QGRAM)
    city: str
    country: str = column(index=IndexKind.LEXICAL)
    zone: str
    iata: str | None = None
    elevation: float = column(index=IndexKind.DECIMAL)
    latitude: float
    longitude: float


def airports() -> list[Airport]:
    """All airports that have a country and a time zone."""
    return [
        Airport(
            key=code,
            name=row["name"],
            city=row["city"],
            country=row["country"],
            zone=row["tz"],
            iata=row["iata"] or None,
            elevation=row["elevation"],
            latitude=row["lat"],
            longitude=row["lon"],
        )
        for code, row in airportsdata.load().items()
        if row["country"] and row["tz"]
    ]
