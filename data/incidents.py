"""The incidents of a territory: found, kept, and current or not.

``refresh_incidents`` reads the reports with a point, groups them (``geo/incidents.py``) by
element, or by source type where there is no element, and writes what changed, all in one
transaction under the territory's lock: a crash leaves the old answer, a re-run completes.
Reports on a default point, without a point or without any kind have no row: each counts
as itself. Caveat: reach and times are assumptions (``data/reference/incident_settings.csv``).
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pyproj import Transformer
from shapely import Point
from sqlalchemy import Connection, Engine, text

from data import columns, reference, schema, territories
from data.copying import loading_engine
from data.incident_rows import NO_TIME, PlacedReports, incident_rows, placed_reports, write
from data.query import territory_facts
from geo.boundaries import local_utm
from geo.errors import StoreError
from geo.incidents import SMALLEST_METRES, first_reports, lives, places

Tick = Callable[[float], None]
_FILE = "incident_settings.csv"
_DEFAULT = "*"
_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Reach:
    """How far and how long reports of one kind speak of the same thing.

    Attributes
    ----------
    metres, days : from the first report of an incident.
    suspicious_days : a thing that is reported again so soon after its closing was hardly remedied.
    """

    metres: float
    days: float
    suspicious_days: float


@dataclass(frozen=True, slots=True)
class IncidentRun:
    """When the incidents of a territory were found, and in what.

    Attributes
    ----------
    reports : reports that were grouped; ``incidents`` : of how many things they speak.
    changed : rows of the store that this run changed (0 when all was current).
    """

    territory_id: int
    data_version: int
    reports: int
    incidents: int
    changed: int
    seconds: float
    finished_at: dt.datetime


@functools.cache
def reaches() -> dict[str, Reach]:
    """Reach by element code, as the reference file has it; the key ``*`` is for all others.

    Raises
    ------
    StoreError : the file lacks the default or holds a value that cannot be one.
    """
    found: dict[str, Reach] = {}
    for row in reference.read(_FILE):
        try:
            reach = Reach(float(row["metres"]), float(row["days"]), float(row["suspicious_days"]))
        except ValueError:
            raise StoreError(f"data/reference/{_FILE}: the row of {row['code']} has no numbers.") from None
        if reach.metres < SMALLEST_METRES or reach.days <= 0 or reach.suspicious_days < 0:
            raise StoreError(
                f"data/reference/{_FILE}: {row['code']} needs at least {SMALLEST_METRES:g} m, more than 0 "
                "days, and no negative days of suspicion."
            )
        found[row["code"]] = reach
    if _DEFAULT not in found:
        raise StoreError(f"data/reference/{_FILE} has no row {_DEFAULT!r}, the default of all kinds.")
    return found


def reach_of(conn: Connection, element_ids: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Metres, days and suspicious days, (n,) each, of element ids (n,); 0 takes the default."""
    known = reaches()
    # Served by a scan of `element`: a few dozen rows.
    codes = {row.id: row.code for row in conn.execute(text("SELECT id, code FROM element"))}
    distinct, place = np.unique(element_ids, return_inverse=True)
    rows = [known.get(codes.get(int(one), _DEFAULT), known[_DEFAULT]) for one in distinct]
    table = np.array([(r.metres, r.days, r.suspicious_days) for r in rows], dtype=np.float64)
    found = table.reshape(-1, 3)[place]
    return found[:, 0], found[:, 1], found[:, 2]


def last_run(conn: Connection, territory_id: int) -> IncidentRun | None:
    """The run whose incidents the store holds, current or not; None when there was none."""
    # Served by pk_incident_run.
    row = conn.execute(
        text(
            """SELECT territory_id, data_version, reports, incidents, 0 AS changed, seconds, finished_at
               FROM incident_run WHERE territory_id = :territory"""
        ),
        {"territory": territory_id},
    ).one_or_none()
    return None if row is None else IncidentRun(*row)


def is_current(conn: Connection, territory_id: int) -> bool:
    """Whether the incidents kept are those of the reports and of the settings as they are now.

    Raises
    ------
    InputError : the territory does not exist.
    """
    version = territory_facts(conn, territory_id).data_version
    # Served by pk_incident_run.
    row = conn.execute(
        text("SELECT data_version, settings FROM incident_run WHERE territory_id = :territory"),
        {"territory": territory_id},
    ).one_or_none()
    return row is not None and row.data_version == version and row.settings == _settings()


def refresh_incidents(engine: Engine, territory_id: int, *, tick: Tick | None = None) -> IncidentRun:
    """Find the incidents of a territory anew, unless they are current, and keep them.

    Counts up the data version and writes the columns anew when any report changed its
    incident. About 12 s a million reports on two cores.

    Parameters
    ----------
    tick : called with the share done; what it raises (Cancelled) undoes everything.

    Raises
    ------
    InputError : the territory does not exist.
    """
    began = time.monotonic()
    with loading_engine(engine).connect() as conn:
        schema.require_current(conn)
        territories.lock_territory(conn, territory_id)
        if is_current(conn, territory_id) and (kept := last_run(conn, territory_id)) is not None:
            return kept
        reports = placed_reports(conn, territory_id, _part(tick, 0.0, 0.2))
        incident, place, rows = grouped(conn, reports, tick)
        changed = write(conn, territory_id, reports, incident, place, rows)
        _part(tick, 0.0, 0.85)(1.0)
        version = territory_facts(conn, territory_id).data_version
        if changed:
            version = territories.bump_version(conn, territory_id)
            columns.refresh(conn, territory_id)
        finished_at = conn.execute(
            text(
                """INSERT INTO incident_run (territory_id, data_version, settings, reports, incidents, seconds)
                   VALUES (:territory, :version, CAST(:settings AS jsonb), :reports, :incidents, :seconds)
                   ON CONFLICT (territory_id) DO UPDATE SET data_version = excluded.data_version,
                     settings = excluded.settings, reports = excluded.reports,
                     incidents = excluded.incidents, seconds = excluded.seconds, finished_at = now()
                   RETURNING finished_at"""
            ),
            {
                "territory": territory_id,
                "version": version,
                "settings": json.dumps(_settings()),
                "reports": int(np.count_nonzero(incident)),
                "incidents": rows.height,
                "seconds": time.monotonic() - began,
            },
        ).scalar_one()
        _part(tick, 0.0, 1.0)(1.0)  # the last chance to stop: what is committed stays
        conn.commit()
    return IncidentRun(
        territory_id,
        version,
        int(np.count_nonzero(incident)),
        rows.height,
        changed,
        time.monotonic() - began,
        finished_at,
    )


def _part(tick: Tick | None, low: float, high: float) -> Tick:
    """A tick for one part of the whole."""
    return lambda done: None if tick is None else tick(low + (high - low) * done)


def _settings() -> dict[str, Any]:
    """What the answer depends on besides the reports, as JSON gives it back; count up the
    method's number when ``geo/incidents.py`` answers otherwise."""
    reach = {code: [r.metres, r.days] for code, r in reaches().items()}
    return {"method": 2, "reach": reach}


def grouped(
    conn: Connection, reports: PlacedReports, tick: Tick | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], pl.DataFrame]:
    """Incident and place of each report (n,), 0 for none, and the rows of ``incident``."""
    incident, place = (np.zeros(len(reports.ids), dtype=np.int64) for _ in range(2))
    use = np.flatnonzero(reports.usable)
    ids, element, opened = reports.ids[use], reports.element[use], reports.opened[use]
    x, y = metres_of(reports.lon[use], reports.lat[use])
    metres, days, _ = reach_of(conn, element)
    kind = _kinds(conn, element, reports.type[use])
    t = opened / _DAY
    closed = np.where(reports.closed[use] == NO_TIME, np.nan, reports.closed[use] / _DAY)
    leads = first_reports(
        x, y, t, kind, ids, metres=metres, days=days, closed=closed, tick=_part(tick, 0.2, 0.5)
    )
    course = lives(leads, t, closed, ids)
    first = course.first
    sites = places(
        x[first], y[first], t[first], kind[first], ids[first],
        metres=metres[first], tick=_part(tick, 0.5, 0.65),
    )  # fmt: skip
    number = np.zeros(len(use), dtype=np.int64)
    number[first] = np.arange(len(first))
    number = number[leads]
    last = opened[first].copy()
    np.maximum.at(last, number, opened)
    ended = np.where(np.isnan(course.closed), NO_TIME, np.rint(np.nan_to_num(course.closed) * _DAY))
    incident[use], place[use] = ids[leads], ids[first[sites]][number]
    at = use[first]
    rows = incident_rows(
        ids[first],
        reports.cell[at],
        opened[first],
        last,
        ended.astype(np.int64),
        element[first],
        reports.type[at],
        course.reports,
        reports.lon[at],
        reports.lat[at],
    )
    return incident, place, rows


def metres_of(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Places in the UTM zone of the reports' median, which no stray point can move."""
    if not len(lon):
        return lon, lat
    middle = Point(float(np.median(lon)), float(np.median(lat)))
    x, y = Transformer.from_crs(4326, local_utm([middle]), always_xy=True).transform(lon, lat)
    return np.asarray(x), np.asarray(y)


def _kinds(conn: Connection, element: NDArray, source_type: NDArray) -> NDArray[np.int64]:
    """One number for each element (in whichever version of the taxonomy), else each type."""
    # Served by a scan of `element`: a few dozen rows.
    rows = conn.execute(text("SELECT id, min(id) OVER (PARTITION BY code) AS first FROM element")).all()
    one = np.zeros(max((row.id for row in rows), default=0) + 1, dtype=np.int64)
    for row in rows:
        one[row.id] = row.first
    return np.where(element > 0, one[element], -source_type)
