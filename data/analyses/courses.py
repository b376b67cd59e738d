"""The course of each incident: opened, reported further, closed. On columns, not on tables.

What ``returning`` and ``reporting`` start from: a million reports take about half a
second. Caveat: times are to the minute; what happened after the end of the period asked
for is not known here, even where the store knows it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from data import columns
from data.copying import raw_cursor
from data.incident_rows import NO_REMEDY
from data.query import ReportQuery, require_incidents
from data.vocabulary import Channel
from geo.cells import to_text
from geo.incidents import lives

_MINUTES = 1440.0  # of a day
_NAMES = frozenset(
    {"cell", "municipality", "district", "day", "element", "type", "channel", "minutes", "opened"}
    | {"incident", "place"}
)


@dataclass(frozen=True, slots=True)
class Courses:
    """All incidents of a territory that opened by the end of the period; arrays (m,) unless said.

    Times are days since 2000-01-01 UTC.

    Attributes
    ----------
    found : the columns, RUN_COLUMNS' cell, municipality and district among them.
    rows : position of the first report in the columns; ``runs``: of its run.
    fits : the first report fits the query (filters and period).
    ids, place : of the incident and of its place.
    element, kind : element id (0 for none); one number for each element or source type.
    channel : of the first report.
    opened, closed : nan in ``closed`` while it is open, or was at the end of the period.
    until : the end of the data, or of the period where that is earlier.
    later : (f,) incident (position) of each further report; ``later_opened`` and
        ``later_channel`` : when and by which channel it came.
    """

    found: columns.Columns
    rows: NDArray[np.int64]
    runs: NDArray[np.int64]
    fits: NDArray[np.bool_]
    ids: NDArray[np.int64]
    place: NDArray[np.int64]
    element: NDArray[np.int64]
    kind: NDArray[np.int64]
    channel: NDArray[np.int64]
    opened: NDArray[np.float64]
    closed: NDArray[np.float64]
    until: float
    later: NDArray[np.int64]
    later_opened: NDArray[np.float64]
    later_channel: NDArray[np.int64]


def courses(conn: Connection, query: ReportQuery) -> Courses:
    """The incidents of the query's territory, with the mark of those that fit the query.

    Raises
    ------
    StoreError : the incidents are not current.
    """
    found, chosen = columns.select(conn, query, _NAMES)
    if query.as_of is None:
        require_incidents(conn, found.facts)
    report = found.reports
    opened = report["opened"] / _MINUTES
    until = _until(opened, query.end, found.facts.timezone)
    known = (report["incident"] != 0) & (opened <= until)
    leads = (report["state"] & columns.LEADS) != 0
    rows, further = np.flatnonzero(known & leads), np.flatnonzero(known & ~leads)
    ids = report["incident"][rows]
    order = np.argsort(ids)
    at = np.searchsorted(ids, report["incident"][further], sorter=order)
    # Not one is missing: a further report opens after the first one, so both are known.
    later = order[at]
    both = np.concatenate([rows, further])
    # Without an end of the period every closing on record is known, also one after the newest report.
    known_until = np.inf if query.end is None else until
    closed = _closed(report["state"][both], report["minutes"][both], opened[both], known_until)
    course = lives(np.concatenate([np.arange(len(rows)), later]), opened[both], closed)
    ends = np.cumsum(found.runs["length"], dtype=np.int64)
    element = report["element"][rows].astype(np.int64)
    return Courses(
        found=found,
        rows=rows,
        runs=np.searchsorted(ends, rows, side="right"),
        fits=chosen[rows],
        ids=ids,
        place=report["place"][rows],
        element=element,
        kind=np.where(element > 0, element, -report["type"][rows].astype(np.int64)),
        channel=report["channel"][rows].astype(np.int64),
        opened=course.opened,
        closed=course.closed,
        until=until,
        later=later,
        later_opened=opened[further],
        later_channel=report["channel"][further].astype(np.int64),
    )


def _until(opened: NDArray[np.float64], end: dt.date | None, zone: str) -> float:
    """The end of the data in days since 2000 (UTC): the newest report, or the period's last day."""
    newest = float(opened.max(initial=0.0))
    if end is None or end == dt.date.max:
        return newest
    midnight = dt.datetime.combine(end + dt.timedelta(days=1), dt.time(), ZoneInfo(zone))
    since = midnight - dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    return min(newest, since.total_seconds() / 86_400)


def _closed(
    state: NDArray, minutes: NDArray, opened: NDArray[np.float64], until: float
) -> NDArray[np.float64]:
    """When a report's thing was declared remedied; nan for not, or not yet at ``until``."""
    barred = np.zeros(columns.STATUS_BITS + 1, dtype=bool)
    barred[[int(status) for status in NO_REMEDY]] = True
    closed = opened + minutes / _MINUTES
    known = (minutes >= 0) & ~barred[state & columns.STATUS_BITS] & (closed <= until)
    return np.where(known, closed, np.nan)


def incidents_frame(conn: Connection, query: ReportQuery) -> gpd.GeoDataFrame:
    """The incidents that fit, one row each, points in EPSG:4326, the oldest first.

    Columns: ``incident`` (id), ``place`` (id of the first incident there), ``cell`` (H3 of
    its first report, resolution 10, as text), ``element`` (code, "" for a source type),
    ``name_ar``, ``name_en``, ``first_at``, ``last_at``, ``closed_at`` (UTC to the minute,
    NaT while open), ``reports``, ``channel`` (of the first), ``lon``, ``lat``.

    Raises
    ------
    StoreError : the incidents are not current.
    """
    course = courses(conn, replace(query, incidents=True))
    last = course.opened.copy()
    np.maximum.at(last, course.later, course.later_opened)
    reports = np.bincount(course.later, minlength=len(last)) + 1
    keep = np.flatnonzero(course.fits)
    keep = keep[np.lexsort((course.ids[keep], course.opened[keep]))]
    lon, lat = points_of(conn, course.ids[keep])
    codes, name_ar, name_en = names_of(conn, course.kind[keep])
    channels = np.array([channel.name.lower() for channel in Channel], dtype=object)
    return gpd.GeoDataFrame(
        {
            "incident": course.ids[keep],
            "place": course.place[keep],
            "cell": to_text(course.found.runs["cell"][course.runs[keep]]),
            "element": codes,
            "name_ar": name_ar,
            "name_en": name_en,
            "first_at": _minutes(course.opened[keep]),
            "last_at": _minutes(last[keep]),
            "closed_at": _minutes(course.closed[keep]),
            "reports": reports[keep],
            "channel": channels[course.channel[keep]],
            "lon": lon,
            "lat": lat,
        },
        geometry=shapely.points(lon, lat),
        crs="EPSG:4326",
    )


def _minutes(days: NDArray[np.float64]) -> pd.DatetimeIndex:
    return pd.to_datetime(days, unit="D", origin="2000-01-01", utc=True).round("min")


def local_days(days: NDArray[np.float64], zone: str) -> tuple[dt.date, ...]:
    """Local days (n,) of times in days since 2000 (UTC)."""
    at = pd.to_datetime(np.asarray(days), unit="D", origin="2000-01-01", utc=True)
    return tuple(at.tz_convert(zone).date)


def points_of(conn: Connection, ids: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude of incidents by id, (p,) each: those of their first reports."""
    with raw_cursor(conn) as cursor:
        # Served by pk_report, since incidents of a past moment are not in `incident`; all
        # aggregates see the rows in the same order.
        cursor.execute(
            """SELECT string_agg(int8send(id), ''::bytea), string_agg(float8send(ST_X(geom)), ''::bytea),
                 string_agg(float8send(ST_Y(geom)), ''::bytea) FROM report WHERE id = ANY(%s)""",
            (ids.tolist(),),
            binary=True,
        )
        row = cursor.fetchone() or (None, None, None)
    known, lon, lat = (
        np.frombuffer(data or b"", dtype=kind) for data, kind in zip(row, (">i8", ">f8", ">f8"), strict=True)
    )
    order = np.argsort(known)
    at = order[np.searchsorted(known, ids, sorter=order)] if len(ids) else order
    return lon[at].astype(np.float64), lat[at].astype(np.float64)


def names_of(
    conn: Connection, kinds: NDArray[np.int64]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Code and names of elements (positive) and source types (negative), (p,) each."""
    distinct = np.unique(kinds).tolist()
    # Served by pk_element and pk_source_type.
    rows = conn.execute(
        text(
            """SELECT id, code, name_ar, name_en FROM element WHERE id = ANY(:elements)
               UNION ALL SELECT -id, '', name, name FROM source_type WHERE id = ANY(:types)"""
        ),
        {"elements": [k for k in distinct if k > 0], "types": [-k for k in distinct if k < 0]},
    )
    names = {row.id: (row.code, row.name_ar, row.name_en) for row in rows}
    found = [names[kind] for kind in kinds.tolist()]
    return tuple(f[0] for f in found), tuple(f[1] for f in found), tuple(f[2] for f in found)
