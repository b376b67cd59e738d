"""What has to be settled about a whole column before its first row can be read.

Day before month or month before day is decided per column by evidence, from the first
rows, and from the whole file when those do not settle it. Which columns hold the
coordinates, and in which reference system, follows the profile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from ingest.coordinates import CoordinateSpec
from ingest.dates import DateEvidence, DateHints, DateOrder
from ingest.profile import Profile
from ingest.readers import Chunk

DATE_FIELDS = ("opened_at", "closed_at", "due_at", "updated_at")


@dataclass(frozen=True)
class Decisions:
    """Settled readings of a file's columns."""

    orders: dict[str, DateOrder]
    hints: DateHints
    coordinates: CoordinateSpec

    def coordinate_columns(self, mapping: dict[str, str]) -> tuple[str | None, str | None, str | None]:
        """(longitude or x, latitude or y, single location column) as the file calls them."""
        if "longitude" in mapping and "latitude" in mapping:
            return mapping["longitude"], mapping["latitude"], None
        if "location" in mapping:
            return None, None, mapping["location"]
        if "x" in mapping and "y" in mapping:
            return mapping["x"], mapping["y"], None
        return None, None, None

    def describe(self, mapping: dict[str, str]) -> list[str]:
        """One sentence for each date column whose order the evidence or a default decided."""
        return [
            f"{mapping[name]}: {order.describe()}" for name, order in self.orders.items() if name in mapping
        ]


def hints_for(profile: Profile, timezone: str) -> DateHints:
    """Date hints of a profile, in the territory's time zone."""
    calendar = profile.dates.calendar
    return DateHints(
        order=profile.dates.order,
        calendar=None if calendar in (None, "auto") else calendar,
        timezone=timezone,
        formats=tuple(profile.dates.formats),
    )


def decide(
    profile: Profile,
    mapping: dict[str, str],
    timezone: str,
    first: pl.DataFrame,
    rest: Iterable[Chunk],
) -> Decisions:
    """Settle the columns. ``rest`` is read only when the first rows leave a date order open."""
    hints = hints_for(profile, timezone)
    # The profile's order is a fallback for a column that does not settle itself, so the
    # evidence is gathered without it first.
    evidence = {name: DateEvidence() for name in DATE_FIELDS if name in mapping}
    for name, seen in evidence.items():
        seen.update(first[mapping[name]])
    orders = {name: seen.settle(hints) for name, seen in evidence.items()}
    open_ones = {name for name, order in orders.items() if order.ambiguous}
    if open_ones:
        for chunk in rest:
            for name in open_ones:
                evidence[name].update(chunk.frame[mapping[name]])
            open_ones = {name for name in open_ones if evidence[name].settle(hints).ambiguous}
            if not open_ones:
                break
        orders = {name: seen.settle(hints) for name, seen in evidence.items()}
    return Decisions(orders, hints, CoordinateSpec(crs=profile.crs))
