"""Territories: the cities and regions of a store, and which of them a file belongs to.

A territory's study area is the union of its current areas; a file is matched to a
territory by the share of its points inside, or within the margin of, that study area.
``Territory.reports`` adds up what the batches accepted as new (reports are never deleted),
so that listing territories needs no scan; ``data/status.py`` counts the rows themselves.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import numpy.typing as npt
import shapely
from sqlalchemy import Connection, text

from data.query import parent_sql
from geo.cells import cells_of
from geo.errors import InputError

#: Share of a file's points that must lie in or near a study area for the file to belong there.
ENOUGH = 0.10
_GROUND = 6  # resolution at which a territory without boundaries is known by its reports
_GROUND_CELL = parent_sql(_GROUND)
_SUFFIXES = re.compile(
    r"\.(gz|bz2|zst|zip|csv|tsv|txt|xlsx?|json|geojson|geojsonl|xml|gpkg|shp|fgb|kml|kmz|gml|(geo)?parquet)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Territory:
    """A city or region.

    Attributes
    ----------
    data_version : grows with every change that a screen could show.
    bounds : west, south, east, north of the study area in degrees; None while no areas are loaded.
    newest_report : opening time of the newest report (UTC); None without reports.
    reports : rows accepted by its batches so far.
    areas : current areas by level.
    """

    id: int
    code: str
    name_ar: str
    name_en: str
    timezone: str
    simulated: bool
    data_version: int
    bounds: tuple[float, float, float, float] | None = None
    newest_report: dt.datetime | None = None
    reports: int = 0
    areas: dict[str, int] = field(default_factory=dict)


# max() is one probe of ix_report_opened for each territory, sums read the small tables
# batch and area (ix_batch_territory_id, ix_area_current).
_SELECT = """
SELECT t.id, t.code, t.name_ar, t.name_en, t.timezone, t.simulated, t.data_version,
       ST_XMin(t.study_area) AS west, ST_YMin(t.study_area) AS south,
       ST_XMax(t.study_area) AS east, ST_YMax(t.study_area) AS north,
       (SELECT max(r.opened_at) FROM report r WHERE r.territory_id = t.id) AS newest_report,
       (SELECT coalesce(sum(b.accepted), 0) FROM batch b
          WHERE b.territory_id = t.id AND b.profile <> 'visits') AS reports,
       (SELECT coalesce(jsonb_object_agg(a.level, a.n), '{}'::jsonb)
          FROM (SELECT level, count(*) AS n FROM area
                WHERE territory_id = t.id AND valid_to IS NULL GROUP BY level) a) AS areas
FROM territory t
"""


def _territory(row: Any) -> Territory:
    box = (row.west, row.south, row.east, row.north)
    return Territory(
        id=row.id,
        code=row.code,
        name_ar=row.name_ar,
        name_en=row.name_en,
        timezone=row.timezone,
        simulated=row.simulated,
        data_version=row.data_version,
        bounds=None if None in box else box,
        newest_report=row.newest_report,
        reports=int(row.reports),
        areas=dict(row.areas),
    )


def all_territories(conn: Connection) -> list[Territory]:
    """All territories: those with the newest reports first, those without reports last."""
    rows = conn.execute(text(f"{_SELECT} ORDER BY newest_report DESC NULLS LAST, t.id"))
    return [_territory(row) for row in rows]


def find(conn: Connection, code: str) -> Territory | None:
    """The territory with this code, or None."""
    row = conn.execute(text(f"{_SELECT} WHERE t.code = :code"), {"code": code}).one_or_none()
    return None if row is None else _territory(row)


def newest(conn: Connection) -> Territory | None:
    """The territory with the newest reports (without any: the one made last), or None."""
    row = conn.execute(
        text(f"{_SELECT} ORDER BY newest_report DESC NULLS LAST, t.id DESC LIMIT 1")
    ).one_or_none()
    return None if row is None else _territory(row)


def create(
    conn: Connection, code: str, name_ar: str, name_en: str, timezone: str, simulated: bool
) -> Territory:
    """Make a territory.

    Raises
    ------
    InputError : the code is taken or no code, or the time zone does not exist.
    """
    if not re.fullmatch(r"[\w-]{1,80}", code):
        raise InputError(
            f"'{code}' cannot be a territory's code; use letters, digits and '-' only, e.g. '{slug(code)}'."
        )
    require_timezone(timezone)
    made = conn.execute(
        text(
            """INSERT INTO territory (code, name_ar, name_en, timezone, simulated)
               VALUES (:code, :name_ar, :name_en, :timezone, :simulated)
               ON CONFLICT (code) DO NOTHING RETURNING id"""
        ),
        {
            "code": code,
            "name_ar": name_ar,
            "name_en": name_en,
            "timezone": timezone,
            "simulated": simulated,
        },
    ).scalar_one_or_none()
    territory = find(conn, code)
    if made is None or territory is None:
        raise InputError(f"There is a territory '{code}' already; choose another code with --territory.")
    return territory


def require_timezone(timezone: str) -> None:
    """Raise InputError unless this is the name of a time zone."""
    if timezone not in available_timezones():
        raise InputError(
            f"Time zone '{timezone}' does not exist; use a name of the IANA list such as Asia/Riyadh."
        )


def adopt_timezone(conn: Connection, territory_id: int, timezone: str) -> bool:
    """Give a territory without reports this time zone; False (and no change) once it has some.

    Days and months of loaded reports are counted in the territory's zone, so it is not
    changed under them.
    """
    require_timezone(timezone)
    # The probe is served by ix_report_opened.
    changed = conn.execute(
        text(
            """UPDATE territory SET timezone = :timezone WHERE id = :id
               AND NOT EXISTS (SELECT FROM report r WHERE r.territory_id = :id)"""
        ),
        {"timezone": timezone, "id": territory_id},
    )
    return changed.rowcount == 1


def study_area(conn: Connection, territory_id: int) -> shapely.Geometry | None:
    """The study area (multipolygon, EPSG:4326); None while no areas are loaded."""
    found = conn.execute(
        text("SELECT ST_AsBinary(study_area) FROM territory WHERE id = :id"), {"id": territory_id}
    ).scalar_one_or_none()
    return None if found is None else shapely.from_wkb(bytes(found))


def choose(
    conn: Connection, lon: npt.ArrayLike, lat: npt.ArrayLike, simulated: bool, margin_m: float = 2000.0
) -> Territory | None:
    """The territory that a file's points belong to, or None.

    Parameters
    ----------
    lon, lat : (n,) decimal degrees, EPSG:4326, a sample of the file; nan is ignored
    simulated : only territories of this kind are looked at
    margin_m : metres around the study area that still count

    The best is the one that holds the largest share, at least ``ENOUGH``. Where several
    hold about as much (within 2 %), the smallest study area wins: a city over its country.
    """
    # Here and not above: it brings pandas, which every command would wait for.
    from geo.locate import OUTSIDE, StudyArea

    x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    usable = np.isfinite(x) & np.isfinite(y)
    x, y = x[usable], y[usable]
    if not len(x):
        return None
    # A store holds few territories: no index needed.
    rows = conn.execute(
        text(
            """SELECT code, ST_AsBinary(study_area) AS shape, ST_Area(study_area) AS extent FROM territory
               WHERE simulated = :simulated AND study_area IS NOT NULL ORDER BY id"""
        ),
        {"simulated": simulated},
    ).all()
    shares: list[tuple[float, float, str]] = []
    for row in rows:
        where = StudyArea(shapely.from_wkb(bytes(row.shape))).classify(x, y, margin_m)
        shares.append((float(np.mean(where != OUTSIDE)), row.extent, row.code))
    shares.extend(_shares_by_cells(conn, x, y, simulated))
    best = max((share for share, _, _ in shares), default=0.0)
    if best < ENOUGH:
        return None
    close = [(extent, -share, code) for share, extent, code in shares if share >= best - 0.02]
    return find(conn, min(close)[2])


def _shares_by_cells(
    conn: Connection, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64], simulated: bool
) -> list[tuple[float, float, str]]:
    """For territories without boundaries: the share of points in cells (about 36 km²) of their reports."""
    own = cells_of(lon, lat, _GROUND)
    found: list[tuple[float, float, str]] = []
    rows = conn.execute(
        text(
            f"""SELECT t.code, array_agg(DISTINCT {_GROUND_CELL}) AS cells
                FROM territory t JOIN report r ON r.territory_id = t.id
                WHERE t.simulated = :simulated AND t.study_area IS NULL AND r.cell IS NOT NULL
                GROUP BY t.code ORDER BY t.code"""
        ),
        {"simulated": simulated},
    )
    for row in rows:
        share = float(np.isin(own, np.array(row.cells, dtype=np.int64)).mean())
        # The extent, in square degrees, only serves to prefer a city to its country.
        found.append((share, len(row.cells) * 0.003, row.code))
    return found


def bump_version(conn: Connection, territory_id: int, *, incidents_hold: bool = False) -> int:
    """Count up the territory's data version, the key of all caches; returns the new one.

    ``incidents_hold`` says that nothing changed on which incidents depend (places, times,
    kinds and closings of reports), so that they stay current.
    """
    version = int(
        conn.execute(
            text(
                "UPDATE territory SET data_version = data_version + 1 WHERE id = :id RETURNING data_version"
            ),
            {"id": territory_id},
        ).scalar_one()
    )
    if incidents_hold:
        # Served by pk_incident_run.
        conn.execute(
            text(
                "UPDATE incident_run SET data_version = :version"
                " WHERE territory_id = :id AND data_version = :version - 1"
            ),
            {"id": territory_id, "version": version},
        )
    return version


def lock_territory(conn: Connection, territory_id: int) -> None:
    """Wait until no other transaction changes this territory's reports or areas.

    Held until the caller's transaction ends.
    """
    conn.execute(text("SELECT pg_advisory_xact_lock(hashtext('rasd.territory'), :id)"), {"id": territory_id})


def await_writers(conn: Connection, territory_id: int) -> None:
    """Wait until no load is writing to this territory, without keeping later ones from it."""
    params = {"id": territory_id}
    conn.execute(text("SELECT pg_advisory_lock(hashtext('rasd.territory'), :id)"), params)
    conn.execute(text("SELECT pg_advisory_unlock(hashtext('rasd.territory'), :id)"), params)


def slug(name: str | Path) -> str:
    """A territory's code from a file's name or a title: 'Baltimore City.geojson' → 'baltimore-city'."""
    stem = name.name if isinstance(name, Path) else str(name)
    while (shorter := _SUFFIXES.sub("", stem)) != stem:
        stem = shorter
    return re.sub(r"[\W_]+", "-", stem.casefold()).strip("-")[:80] or "territory"


def wants_demo(conn: Connection) -> bool:
    """Whether the store holds nothing, or only a demo whose load did not come to its reports."""
    row = conn.execute(
        text(
            """SELECT count(*) FILTER (WHERE NOT simulated) AS real,
                      (SELECT count(*) FROM batch) AS batches FROM territory"""
        )
    ).one()
    return row.real == 0 and row.batches == 0
