"""Stretches of road that a question is about, and its reports on each of them.

Stretches lie in a municipality by their midpoint; a report lies on a stretch by the nearest
road. Counts are by kind, by the work that would mend them (``works.py``) and by half of the
period, which lies within the days that the territory has reports of: days outside are not
known to be quiet. Caveat: a report without a point is on no stretch, and is not looked at.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from data import columns
from data.analyses.kinds import Kinds
from data.analyses.terrain import areas_of
from data.analyses.works import works
from data.plan import Name
from data.query import ReportQuery, where
from geo.axes import Axes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_YEAR = 365.25 * 86_400.0  # seconds


@dataclass(frozen=True, slots=True, eq=False)
class StretchLines:
    """Stretches that are looked at (k,): those of the query's municipalities and districts.

    Attributes
    ----------
    row : position among all stretches. place : (all + 1,) position here of each of all
        stretches, and last of -1; -1 for none.
    municipality : ``area.id``, 0 for none. names : of all municipalities.
    """

    row: Ints
    place: Ints
    km: Floats
    municipality: Ints
    names: dict[int, Name]


@dataclass(frozen=True, slots=True, eq=False)
class PointReports:
    """Reports with a point, arrays (n,).

    Attributes
    ----------
    kind : as ``Kinds.ids``. at : seconds since 1970.
    first : of the period, likewise. years : its length.
    """

    lon: Floats
    lat: Floats
    kind: Ints
    at: Floats
    first: float
    years: float


@dataclass(frozen=True, slots=True, eq=False)
class StretchCounts:
    """Reports by stretch, (k,) each.

    Attributes
    ----------
    weight : sum of severity weights. by_kind : (k, kinds). by_work : (k, works), weights.
    earlier, later : of the two halves of the period.
    """

    reports: Ints
    weight: Floats
    by_kind: Ints
    by_work: Floats
    earlier: Ints
    later: Ints
    known: Kinds


def stretch_lines(conn: Connection, territory_id: int, cut: Axes, query: ReportQuery) -> StretchLines:
    """The stretches of a cut that the query is about."""
    middle = np.array([_middle(line) for line in cut.lines]).reshape(-1, 2)
    municipality, names = areas_of(conn, territory_id, "municipality", middle[:, 0], middle[:, 1])
    kept = np.ones(len(cut), dtype=bool)
    if query.municipalities:
        kept &= np.isin(municipality, query.municipalities)
    if query.districts:
        district, _ = areas_of(conn, territory_id, "district", middle[:, 0], middle[:, 1])
        kept &= np.isin(district, query.districts)
    row = np.flatnonzero(kept)
    place = np.full(len(cut) + 1, -1, dtype=np.int64)
    place[row] = np.arange(len(row))
    return StretchLines(row, place, cut.length_m[row] / 1000, municipality[row], names)


def _middle(line: Floats) -> Floats:
    """The point half-way along a line (v, 2); degrees will do for a line of some km."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    passed = np.r_[0.0, np.cumsum(steps)]
    return np.array([np.interp(passed[-1] / 2, passed, line[:, axis]) for axis in (0, 1)])


def point_reports(conn: Connection, query: ReportQuery) -> PointReports:
    """The reports that fit and have a point, of that part of the query's period that is on record."""
    first, last = _period(conn, query)
    condition, params = where(conn, query)
    # A scan of the territory's reports; packed, so that no row becomes a Python object.
    row = conn.execute(
        text(
            f"""SELECT string_agg(float8send(ST_X(r.geom)), ''::bytea) AS lon,
                       string_agg(float8send(ST_Y(r.geom)), ''::bytea) AS lat,
                       string_agg(int8send(coalesce(r.element_id, -r.type_id, 0)::bigint), ''::bytea) AS kind,
                       string_agg(float8send(extract(epoch FROM r.opened_at)::float8), ''::bytea) AS at
                FROM report r WHERE {condition} AND r.geom IS NOT NULL"""
        ),
        params,
    ).one()
    lon, lat, at = (
        np.frombuffer(bytes(side or b""), dtype=">f8").astype(np.float64)
        for side in (row.lon, row.lat, row.at)
    )
    kind = np.frombuffer(bytes(row.kind or b""), dtype=">i8").astype(np.int64)
    # A few stray reports of long before the record begins would be many a year of nothing.
    on_record = (at >= first) & (at < last)
    years = max(last - first, 86_400.0) / _YEAR
    return PointReports(lon[on_record], lat[on_record], kind[on_record], at[on_record], first, years)


def _period(conn: Connection, query: ReportQuery) -> tuple[float, float]:
    """From when to when the reports of the query are on record, seconds since 1970."""
    found = columns.load(conn, query.territory_id, {"day", "state"})
    usable = found.reports["day"][(found.reports["state"] & columns.ON_DEFAULT_POINT) == 0]
    if not len(usable):
        return 0.0, 0.0
    first = columns.as_date(columns.first_day(usable))
    last = columns.as_date(int(usable.max()))
    first, last = max(first, query.start or first), min(last, query.end or last)
    zone = ZoneInfo(found.facts.timezone)
    begins, ends = (
        dt.datetime.combine(day, dt.time(), zone).timestamp() for day in (first, last + dt.timedelta(days=1))
    )
    return begins, ends


def counted(reports: PointReports, at: Ints, stretches: int, known: Kinds) -> StretchCounts:
    """Count reports (n,) on the stretches that they lie on, ``at`` (n,), -1 for none."""
    on = at >= 0
    where_, kind = at[on], known.at(reports.kind[on])
    severity = known.numbers("weight")
    by_kind = np.bincount(where_ * len(known) + kind, minlength=stretches * len(known))
    by_kind = by_kind.reshape(stretches, len(known))
    work = np.array([_work_of(code) for code in known.code])
    by_work = np.zeros((stretches, len(works())))
    np.add.at(by_work.T, work, (by_kind * severity).T)
    early = reports.at[on] < reports.first + reports.years * _YEAR / 2
    return StretchCounts(
        reports=by_kind.sum(axis=1),
        weight=by_kind @ severity,
        by_kind=by_kind,
        by_work=by_work,
        earlier=np.bincount(where_[early], minlength=stretches),
        later=np.bincount(where_[~early], minlength=stretches),
        known=known,
    )


def _work_of(code: str) -> int:
    """The work that mends an element: the first that names it, else the one for everything."""
    found = (nth for nth, work in enumerate(works()) if code in work.elements)
    return next(found, len(works()) - 1)
