"""The ground of a campaign: cells, whose they are, how far from a team's base, what came lately.

Everything by cell of the study area at one resolution. A cell belongs to the municipality
and district that hold its centre. Where no base is given a team starts in the middle of its
municipality's reports: the place of reports nearest to their median longitude and latitude.
Caveat: ways are straight lines times an assumed detour, at the same pace as between sites.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from sqlalchemy import Connection

from data import areas, columns
from data.analyses.kinds import Kinds
from data.analyses.study import places, study_cells
from data.plan import Base, CampaignTerms, Name
from data.query import ReportQuery, TerritoryFacts
from geo.cells import Cells, areas_km2, centres
from geo.roads import DETOUR

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

YEAR = 365
QUARTER = 90
_EARTH_KM = 6371.009


@dataclass(frozen=True, slots=True, eq=False)
class Terrain:
    """Cells of the study area, (n,) each.

    Attributes
    ----------
    lon, lat : of the centres, decimal degrees. km2 : of the cells.
    municipality, district : ``area.id`` that holds the centre, 0 for none.
    names : of these areas.
    base : position in ``bases`` of the base that serves a cell; ``way_hours`` to its centre.
    mix : (n, k) reports of the last year by kind; ``now``, ``before`` : of the last 90 days and
        of the 90 before. day : the last that is known.
    """

    facts: TerritoryFacts
    resolution: int
    cells: Cells
    lon: Floats
    lat: Floats
    km2: Floats
    bounded: bool
    municipality: Ints
    district: Ints
    names: dict[int, Name]
    bases: tuple[Base, ...]
    bases_assumed: bool
    base: Ints
    way_hours: Floats
    mix: npt.NDArray[np.int32]
    now: Ints
    before: Ints
    day: int
    first_day: int

    @property
    def today(self) -> dt.date:
        """The day after the last that is known."""
        return columns.as_date(self.day + 1)


def terrain(
    conn: Connection, query: ReportQuery, terms: CampaignTerms, resolution: int, known: Kinds
) -> Terrain | None:
    """The ground of a question; None when the territory has no report by the end of its period.

    Raises
    ------
    InputError : the territory does not exist, or the study area has too many cells.
    """
    found, chosen = columns.select(conn, query, {"cell", "day", "element", "type", "municipality"})
    day = found.reports["day"].astype(np.int64)
    usable = day[(found.reports["state"] & columns.ON_DEFAULT_POINT) == 0]
    if query.end is not None:
        usable = usable[usable <= int((np.datetime64(query.end, "D") - columns.DAY_ZERO).astype(np.int64))]
    if not len(usable):
        return None
    cells, bounded = study_cells(conn, query, resolution)
    last = int(usable.max())
    where = found.spread(places(cells, found.runs["cell"], resolution))
    kept = chosen & (where >= 0)
    mix = _mix(found, known, kept & (day > last - YEAR) & (day <= last), where, len(cells))

    def count(low: int, high: int) -> Ints:
        return np.bincount(where[kept & (day > low) & (day <= high)], minlength=len(cells))

    lon, lat = centres(cells)
    municipality, municipal = areas_of(conn, found.facts.id, "municipality", lon, lat)
    district, names = areas_of(conn, found.facts.id, "district", lon, lat)
    bases, base = _bases(terms, found, chosen, lon, lat, municipality, municipal)
    way = np.zeros(len(cells))
    if len(cells):
        at = np.array([(one.lon, one.lat) for one in bases])[base]
        way = distance_km(lon, lat, at[:, 0], at[:, 1]) * DETOUR * terms.minutes_km / 60
    return Terrain(
        facts=found.facts, resolution=resolution, cells=cells, lon=lon, lat=lat, km2=areas_km2(cells),
        bounded=bounded, municipality=municipality, district=district, names=municipal | names,
        bases=bases, bases_assumed=not terms.bases, base=base, way_hours=way, mix=mix,
        now=count(last - QUARTER, last), before=count(last - 2 * QUARTER, last - QUARTER),
        day=last, first_day=columns.first_day(usable),
    )  # fmt: skip


def distance_km(
    lon: npt.ArrayLike, lat: npt.ArrayLike, to_lon: npt.ArrayLike, to_lat: npt.ArrayLike
) -> Floats:
    """Great-circle distance of points, (n,) km; within 0.6 % of the geodesic."""
    x, y, u, v = (np.radians(np.asarray(a, dtype=np.float64)) for a in (lon, lat, to_lon, to_lat))
    half = np.sin((v - y) / 2) ** 2 + np.cos(y) * np.cos(v) * np.sin((u - x) / 2) ** 2
    return 2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1)))


def _mix(
    found: columns.Columns, known: Kinds, kept: npt.NDArray[np.bool_], where: Ints, n: int
) -> npt.NDArray[np.int32]:
    """Reports by cell and kind, (n, k)."""
    element = found.reports["element"][kept].astype(np.int64)
    kind = known.at(np.where(element > 0, element, -found.reports["type"][kept].astype(np.int64)))
    flat = where[kept].astype(np.int64) * len(known) + kind
    return np.bincount(flat, minlength=n * len(known)).reshape(n, len(known)).astype(np.int32)


def areas_of(
    conn: Connection, territory_id: int, level: str, lon: Floats, lat: Floats
) -> tuple[Ints, dict[int, Name]]:
    """Current area of a level that holds each point (n,), 0 for none, and the names of all."""
    frame = areas.current_areas(conn, territory_id, level)
    held = np.zeros(len(lon), dtype=np.int64)
    if len(frame) and len(lon):
        ids = frame["id"].to_numpy()
        point, area = shapely.STRtree(frame.geometry.values).query(shapely.points(lon, lat), "intersects")
        # Of overlapping areas the smallest, as reports are assigned; by id where they are equal.
        order = np.lexsort((-ids[area], -frame["area_km2"].to_numpy()[area]))
        held[point[order]] = ids[area[order]]
    named = {int(row.id): Name(row.name_ar, row.name_en) for row in frame.itertuples()}
    return held, named


def _bases(
    terms: CampaignTerms,
    found: columns.Columns,
    chosen: npt.NDArray[np.bool_],
    lon: Floats,
    lat: Floats,
    municipality: Ints,
    names: dict[int, Name],
) -> tuple[tuple[Base, ...], Ints]:
    """The bases, and which one serves each cell (n,): its municipality's, else the nearest."""
    if terms.bases:
        return terms.bases, _nearest(lon, lat, terms.bases)
    counts = found.per_run(chosen)
    use = (counts > 0) & (found.runs["cell"] != 0)
    cell, weight, of = found.runs["cell"][use], counts[use], found.runs["municipality"][use]
    x, y = centres(cell)
    bases: list[Base] = []
    held = np.full(len(lon), -1, dtype=np.int64)
    for area, name in names.items():
        here = of == area
        if here.any():
            held[municipality == area] = len(bases)
            bases.append(_middle(x[here], y[here], weight[here], name))
    if not bases:
        facts = found.facts
        name = Name(facts.name_ar, facts.name_en)
        bases.append(_middle(x, y, weight, name) if len(x) else _middle(lon, lat, np.ones(len(lon)), name))
    return tuple(bases), np.where(held >= 0, held, _nearest(lon, lat, tuple(bases)))


def _middle(lon: Floats, lat: Floats, weight: npt.NDArray, name: Name) -> Base:
    """The place of reports nearest to their median longitude and latitude."""

    def median(values: Floats) -> float:
        order = np.argsort(values, kind="stable")
        total = np.cumsum(weight[order])
        return float(values[order][np.searchsorted(total, total[-1] / 2)])

    at = int(np.argmin(distance_km(lon, lat, median(lon), median(lat))))
    both = dict.fromkeys(one for one in (name.ar, name.en) if one)
    return Base(" · ".join(both), round(float(lon[at]), 6), round(float(lat[at]), 6))


def _nearest(lon: Floats, lat: Floats, bases: tuple[Base, ...]) -> Ints:
    ways = np.stack([distance_km(lon, lat, base.lon, base.lat) for base in bases])
    return np.argmin(ways, axis=0).astype(np.int64)
