"""What has to be settled about a whole column before its first row can be read.

Day before month or month before day is decided per column by evidence, from the first
rows, and from the whole file when those do not settle it. Which columns hold the
coordinates, and in which reference system, follows the profile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl

from ingest.coordinates import CoordinateSpec, StudyBox, settle_points
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
    places: str = ""  # how the coordinates are read, in a sentence

    def describe(self, mapping: dict[str, str]) -> list[str]:
        """What was decided, one sentence a column that could be read in more than one way."""
        said = [
            f"{mapping[name]}: {order.describe()}"
            for name, order in self.orders.items()
            if order.counts.dmy or order.counts.mdy or order.counts.ambiguous
        ]
        return [*said, self.places] if self.places else said


def coordinate_columns(mapping: dict[str, str]) -> tuple[str | None, str | None, str | None]:
    """(longitude or x, latitude or y, single location column) as the file calls them."""
    # Beside longitude and latitude a "location" is often an address: it would be no fault.
    for lon, lat in (("longitude", "latitude"), ("x", "y")):
        if lon in mapping and lat in mapping and (lon == "longitude" or "location" not in mapping):
            return mapping[lon], mapping[lat], None
    return None, None, mapping.get("location")


def coordinate_series(
    mapping: dict[str, str], frame: pl.DataFrame
) -> tuple[pl.Series | None, pl.Series | None, pl.Series | None]:
    """The columns of ``coordinate_columns`` in a chunk."""
    lon, lat, location = (frame[name] if name else None for name in coordinate_columns(mapping))
    return lon, lat, location


def coordinate_spec(profile: Profile, mapping: dict[str, str]) -> CoordinateSpec:
    """How a profile says that coordinates are to be read."""
    from_xy = coordinate_columns(mapping)[0] == mapping.get("x", "")
    return CoordinateSpec(crs=profile.crs, xy_headers=from_xy)


def hints_for(profile: Profile, timezone: str) -> DateHints:
    """Date hints of a profile, in the territory's time zone."""
    calendar = profile.dates.calendar
    return DateHints(
        order=profile.dates.order,
        calendar=None if calendar == "auto" else calendar,
        timezone=timezone,
        formats=tuple(profile.dates.formats),
    )


def decide(
    profile: Profile,
    mapping: dict[str, str],
    timezone: str,
    first: pl.DataFrame,
    rest: Iterable[Chunk],
    box: StudyBox | None,
) -> Decisions:
    """Settle the columns. ``rest`` is read only when the first rows leave a date order open."""
    hints = hints_for(profile, timezone)
    evidence = {name: DateEvidence() for name in DATE_FIELDS if name in mapping}
    for name, seen in evidence.items():
        seen.update(first[mapping[name]])
    orders = _orders(evidence, hints)
    if any(order.ambiguous for order in orders.values()):
        for chunk in rest:
            for name, seen in evidence.items():
                seen.update(chunk.frame[mapping[name]])
            if not any(order.ambiguous for order in _orders(evidence, hints).values()):
                break
        orders = _orders(evidence, hints)
    # The profile's order counts only where the column, and its neighbours, say nothing.
    orders = {
        name: evidence[name].settle(hints) if order.ambiguous and hints.order else order
        for name, order in orders.items()
    }
    spec, places = coordinate_spec(profile, mapping), ""
    columns = coordinate_series(mapping, first)
    if any(column is not None for column in columns):
        spec, places = settle_points(*columns, spec, box)
    return Decisions(orders, hints, spec, places)


def _orders(evidence: dict[str, DateEvidence], hints: DateHints) -> dict[str, DateOrder]:
    """What the values themselves say, each column with the others as its siblings."""
    blind = replace(hints, order=None)
    return {
        name: seen.settle(blind, [other for key, other in evidence.items() if key != name])
        for name, seen in evidence.items()
    }
