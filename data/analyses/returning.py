"""Where does it keep coming back? Chronic spots, and closings that did not hold.

A place holds the incidents of one kind within that kind's reach of the first one; a return
is an incident that opens there after the one before was closed (``geo/chronic.py``). The
query says which returns count; what was there before it, of whatever channel or status, is
always looked at. Caveat: a place with many incidents has returns by chance alone, and a
closing is a date in a record, not a look at the place.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from sqlalchemy import Connection

from data.analyses.courses import Courses, courses, local_days, names_of, points_of
from data.analyses.study import best_resolution, study_cells
from data.incidents import reach_of, reaches
from data.query import ReportQuery
from geo.cells import boundaries, parents, to_text
from geo.chronic import Returns, Tally, median_gaps, returns, tally
from geo.errors import InputError
from geo.remarks import Remark, caution, decided

Tick = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class ReturningSettings:
    """What makes a spot chronic.

    Parameters
    ----------
    resolution : H3, None for the one that suits the reports.
    least : returns from which on a place is a chronic spot; default 2.
    suspicious_days : a return so soon after a closing makes it suspicious; None takes the
        days of each element from ``data/reference/incident_settings.csv`` (assumed).

    Raises
    ------
    InputError : a value is out of its range.
    """

    resolution: int | None = None
    least: int = 2
    suspicious_days: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.least <= 1000:
            raise InputError(f"A chronic spot has from 1 to 1,000 returns, not {self.least}.")
        if self.suspicious_days is not None and not 0 <= self.suspicious_days <= 365:
            raise InputError(f"Suspicious days are from 0 to 365, not {self.suspicious_days:g}.")


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """Chronic spots, (p,) each, those with most returns first.

    Attributes
    ----------
    place : id of the place's first incident; ``cell`` : H3 at the result's resolution.
    lon, lat : of the first report there, decimal degrees.
    element, name_ar, name_en : code ("" for a source type) and names of what returns.
    incidents, recurrences, suspicious, judged : see ``geo.chronic.Tally``.
    median_gap : days until half of what was closed came back (Kaplan and Meier); nan while
        fewer did.
    last_closed, last_opened : local days of the last closing that was followed by a return,
        and of that return.
    open : the last incident there is not closed yet.
    """

    place: NDArray[np.int64]
    cell: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    element: tuple[str, ...]
    name_ar: tuple[str, ...]
    name_en: tuple[str, ...]
    incidents: NDArray[np.int64]
    recurrences: NDArray[np.int64]
    suspicious: NDArray[np.int64]
    judged: NDArray[np.int64]
    median_gap: NDArray[np.float64]
    last_closed: tuple[dt.date, ...]
    last_opened: tuple[dt.date, ...]
    open: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.place)


@dataclass(frozen=True, slots=True, eq=False)
class Returning:
    """Answer of ``returning``. Arrays (n,), in order of ``cells``.

    Attributes
    ----------
    cells : int64, ascending, the cells of the study area.
    incidents, recurrences : incidents in the cell, and how many of them are returns.
    suspicious, judged : returns within the suspicious days, and the closings of which it is
        known whether one followed.
    chronic : chronic spots in the cell; ``chronic_returns``: returns at them, and
        ``chronic_suspicious``: of these, within the suspicious days.
    median_gap : at these spots, days until half of what was closed came back; else nan.
    outside : incidents that fit and lie in no cell of the study area.
    """

    query: ReportQuery
    settings: ReturningSettings
    resolution: int
    cells: NDArray[np.int64]
    incidents: NDArray[np.int64]
    recurrences: NDArray[np.int64]
    suspicious: NDArray[np.int64]
    judged: NDArray[np.int64]
    median_gap: NDArray[np.float64]
    chronic: NDArray[np.int64]
    chronic_returns: NDArray[np.int64]
    chronic_suspicious: NDArray[np.int64]
    spots: Spots
    outside: int
    remarks: tuple[Remark, ...]

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """One row a cell, zeros included, EPSG:4326.

        Columns: ``cell`` (H3 as text), ``incidents``, ``recurrences``, ``suspicious``,
        ``judged``, ``suspicious_share`` (of the judged), ``median_gap_days``,
        ``chronic_spots``, ``chronic_returns``, ``chronic_suspicious``.
        """
        return gpd.GeoDataFrame(
            {
                "cell": to_text(self.cells),
                "incidents": self.incidents,
                "recurrences": self.recurrences,
                "suspicious": self.suspicious,
                "judged": self.judged,
                "suspicious_share": share(self.suspicious, self.judged),
                "median_gap_days": self.median_gap,
                "chronic_spots": self.chronic,
                "chronic_returns": self.chronic_returns,
                "chronic_suspicious": self.chronic_suspicious,
            },
            geometry=boundaries(self.cells),
            crs="EPSG:4326",
        )

    def spots_frame(self) -> gpd.GeoDataFrame:
        """One row a chronic spot, points in EPSG:4326.

        Columns: ``place`` (id of its first incident), ``cell``, ``element``, ``name_ar``,
        ``name_en``, ``incidents``, ``recurrences``, ``suspicious``, ``judged``,
        ``median_gap_days``, ``last_closed``, ``last_opened``, ``open``, ``lon``, ``lat``.
        """
        s = self.spots
        return gpd.GeoDataFrame(
            {
                "place": s.place,
                "cell": to_text(s.cell),
                "element": list(s.element),
                "name_ar": list(s.name_ar),
                "name_en": list(s.name_en),
                "incidents": s.incidents,
                "recurrences": s.recurrences,
                "suspicious": s.suspicious,
                "judged": s.judged,
                "median_gap_days": s.median_gap,
                "last_closed": [day.isoformat() for day in s.last_closed],
                "last_opened": [day.isoformat() for day in s.last_opened],
                "open": s.open,
                "lon": s.lon,
                "lat": s.lat,
            },
            geometry=shapely.points(s.lon, s.lat),
            crs="EPSG:4326",
        )

    def summary(self) -> dict[str, Any]:
        """Totals and the first ten spots, JSON-ready."""
        top = self.spots_frame().head(10).drop(columns="geometry")
        return {
            "resolution": self.resolution,
            "cells": len(self.cells),
            "incidents": int(self.incidents.sum()),
            "recurrences": int(self.recurrences.sum()),
            "suspicious": int(self.suspicious.sum()),
            "judged": int(self.judged.sum()),
            "chronic_spots": len(self.spots),
            "outside": self.outside,
            "spots": [
                {name: None if value != value else value for name, value in row.items()}
                for row in top.to_dict("records")
            ],
        }


def returning(
    conn: Connection,
    query: ReportQuery,
    settings: ReturningSettings | None = None,
    *,
    tick: Tick | None = None,
) -> Returning:
    """Chronic spots among the incidents that fit the query.

    Raises
    ------
    StoreError : the incidents are not current (``data/incidents.py`` finds them).
    InputError : the resolution is out of range.
    """
    settings = settings or ReturningSettings()
    query = replace(query, incidents=True)
    told = tick or (lambda done: None)
    choice: tuple[Remark, ...] = ()
    resolution = settings.resolution
    if resolution is None:
        found = best_resolution(conn, query)
        resolution, choice = found.resolution, found.remarks
    cells, _ = study_cells(conn, query, resolution)
    told(0.2)
    course = courses(conn, query)
    told(0.5)
    _, _, soon = reach_of(conn, course.element)
    if settings.suspicious_days is not None:
        soon = np.full(len(soon), settings.suspicious_days)
    back = returns(course.place, course.opened, course.closed, course.until)
    by_place = tally(back, course.place, soon, course.fits)
    told(0.8)
    up = parents(course.found.runs["cell"][course.runs], resolution)
    at = np.searchsorted(cells, up).clip(max=max(len(cells) - 1, 0))
    inside = cells[at] == up if len(cells) else np.zeros(len(up), dtype=bool)
    by_cell = tally(back, at, soon, course.fits & inside)
    spots, chronic = _spots(conn, course, back, by_place, up, settings.least)
    place = np.searchsorted(cells, spots.cell).clip(max=max(len(cells) - 1, 0))
    within = cells[place] == spots.cell if len(cells) else np.zeros(len(spots), dtype=bool)
    total = _onto(by_cell, len(cells))

    def at_spots(values: NDArray[np.int64]) -> NDArray[np.int64]:
        weights = values[within].astype(np.float64)  # exact: far below 2^53
        return np.bincount(place[within], weights=weights, minlength=len(cells)).astype(np.int64)

    told(1.0)
    return Returning(
        query=query,
        settings=settings,
        resolution=resolution,
        cells=cells,
        incidents=total["incidents"],
        recurrences=total["recurrences"],
        suspicious=total["suspicious"],
        judged=total["judged"],
        median_gap=median_gaps(back, at, len(cells), chronic & inside),
        chronic=np.bincount(place[within], minlength=len(cells)),
        chronic_returns=at_spots(spots.recurrences),
        chronic_suspicious=at_spots(spots.suspicious),
        spots=spots,
        outside=int(np.count_nonzero(course.fits & ~inside)),
        remarks=(*_remarks(course, settings, by_place), *choice),
    )


def share(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    """Part of the whole, (n,); nan where the whole is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _onto(found: Tally, n: int) -> dict[str, NDArray[np.int64]]:
    names = ("incidents", "recurrences", "suspicious", "judged")
    totals = {name: np.zeros(n, dtype=np.int64) for name in names}
    for name in names:
        totals[name][found.group] = getattr(found, name)
    return totals


def _spots(
    conn: Connection, course: Courses, back: Returns, by_place: Tally, cell: NDArray[np.int64], least: int
) -> tuple[Spots, NDArray[np.bool_]]:
    """The places with at least so many returns, worst first, and which incidents count there, (m,)."""
    chosen = np.flatnonzero(by_place.recurrences >= least)
    # Most returns first, then most suspicious ones; the older place on a tie.
    keys = (by_place.group[chosen], -by_place.suspicious[chosen], -by_place.recurrences[chosen])
    chosen = chosen[np.lexsort(keys)]
    place = by_place.group[chosen]
    # The returns that count, in order of place and time: the last of each place is its last.
    counted = np.flatnonzero(back.returned & course.fits[back.order])
    last = counted[np.searchsorted(back.place[counted], place, side="right") - 1]
    final = np.searchsorted(back.place, place, side="right") - 1
    incident = back.order[np.searchsorted(back.place, place, side="left")]
    lon, lat = points_of(conn, course.ids[incident])
    codes, name_ar, name_en = names_of(conn, course.kind[incident])
    zone = course.found.facts.timezone
    by_id = np.argsort(place)
    at = np.searchsorted(place, course.place, sorter=by_id).clip(max=max(len(place) - 1, 0))
    number = by_id[at] if len(place) else at  # of the spot that an incident lies at, if at any
    here = course.fits & (place[number] == course.place if len(place) else False)
    spots = Spots(
        place=place,
        cell=cell[incident],
        lon=lon,
        lat=lat,
        element=codes,
        name_ar=name_ar,
        name_en=name_en,
        incidents=by_place.incidents[chosen],
        recurrences=by_place.recurrences[chosen],
        suspicious=by_place.suspicious[chosen],
        judged=by_place.judged[chosen],
        median_gap=median_gaps(back, number, len(place), here),
        last_closed=local_days(back.closed_before[last], zone),
        last_opened=local_days(course.opened[back.order[last]], zone),
        open=np.isnan(back.quiet[final]),
    )
    return spots, here


def _remarks(course: Courses, settings: ReturningSettings, by_place: Tally) -> tuple[Remark, ...]:
    usual = reaches()["*"]
    remarks = []
    if not course.fits.any():
        remarks.append(caution("returning_none"))
    elif not (~np.isnan(course.closed[course.fits])).any():
        remarks.append(caution("returning_no_closings", incidents=int(course.fits.sum())))
    remarks.append(decided("returning_reach", metres=usual.metres, days=usual.days, own=len(reaches()) - 1))
    if settings.suspicious_days is None:
        remarks.append(decided("returning_suspicious", days=usual.suspicious_days))
    judged, total = int(by_place.judged.sum()), int(by_place.incidents.sum())
    remarks.append(decided("returning_judged", judged=judged, incidents=total))
    return tuple(remarks)
