"""The ground that VPI and coverage reckon with: km² of a territory and of its areas.

VPI is indicator units per covered km². The province is mostly desert, and desert is not
covered; so the ground is the H3 cells that have people, buildings or roads, where such an
exposure is loaded, and else the whole of the boundaries. Caveat: a cell belongs to the area
that its centre lies in, and counts as a whole however few live in it.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely
from sqlalchemy import Connection, text

from data import exposures
from data.query import TerritoryFacts, parent_sql
from geo.boundaries import areas_km2 as geometry_km2
from geo.cells import Cells, areas_km2, centres, parents
from geo.locate import AreaIndex
from geo.remarks import Remark, caution, decided

Ints = npt.NDArray[np.int64]
_KINDS = ("population", "buildings", "road_km")
_REMEMBERED = 12
_held: OrderedDict[tuple[object, ...], Ground] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Cells (c,) of the ground, ascending, with their area ids; none of them where ``kind`` is ``area``.

    Attributes
    ----------
    kind : ``served`` or ``area``.
    cells, km2 : H3 of ``resolution``, and their size.
    areas : level to (c,) ``area.id``, 0 for none.
    whole : km² of the territory's boundaries. remarks : what was decided.
    """

    kind: Literal["served", "area"]
    resolution: int
    cells: Cells
    km2: npt.NDArray[np.float64]
    areas: dict[str, Ints]
    whole: float
    remarks: tuple[Remark, ...]

    def within(self, municipalities: tuple[int, ...], districts: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """Which cells lie in the areas of a question, (c,)."""
        keep = np.ones(len(self.cells), dtype=bool)
        for level, ids in (("municipality", municipalities), ("district", districts)):
            if ids:
                keep &= np.isin(self.areas[level], ids)
        return keep

    def positions(self, cells: Cells) -> Ints:
        """Position of the ground's cell around each finer cell (k,); -1 where there is none."""
        if not len(self.cells) or not len(cells):
            return np.full(len(cells), -1, dtype=np.int64)
        up = np.zeros(len(cells), dtype=np.int64)
        there = cells != 0
        up[there] = parents(cells[there], self.resolution)
        at = np.searchsorted(self.cells, up).clip(max=len(self.cells) - 1)
        return np.where(self.cells[at] == up, at, -1)


def ground(
    conn: Connection, facts: TerritoryFacts, kind: Literal["served", "area"], resolution: int
) -> Ground:
    """The ground of a territory, remembered while nothing of it changes."""
    # Served by ix_exposure_set_current and ix_area_current. Not by data version: loads of
    # reports move no ground.
    made_of = conn.execute(
        text(
            """SELECT (SELECT array_agg(id ORDER BY id) FROM exposure_set
                       WHERE territory_id = :territory AND valid_to IS NULL) AS sets,
                 (SELECT array_agg(DISTINCT area_set_id) FROM area
                  WHERE territory_id = :territory AND valid_to IS NULL) AS areas"""
        ),
        {"territory": facts.id},
    ).one()
    key = (conn.engine.url.render_as_string(), facts.id, facts.code, kind, resolution, repr(made_of))
    with _lock:
        if key in _held:
            _held.move_to_end(key)
            return _held[key]
    made = _made(conn, facts, kind, resolution)
    with _lock:
        _held[key] = made
        while len(_held) > _REMEMBERED:
            _held.popitem(last=False)
    return made


def visited(
    conn: Connection,
    facts: TerritoryFacts,
    on: Ground,
    start: dt.datetime,
    end: dt.datetime,
    known: dt.datetime | None,
) -> Ints:
    """Positions of the ground's cells in which a team was between two moments, ascending."""
    # Contractors have no right to visits: what they cover is what was reported to them.
    if not conn.scalar(text("SELECT has_table_privilege('visit', 'SELECT')")):
        return np.zeros(0, dtype=np.int64)
    # Served by ix_visit_when.
    rows = conn.execute(
        text(
            f"""SELECT DISTINCT {parent_sql(on.resolution, "v.cell")} FROM visit v
                WHERE v.territory_id = :territory AND v.visited_at >= :start AND v.visited_at < :end
                  AND (CAST(:known AS timestamptz) IS NULL OR v.created_at <= :known) AND v.cell IS NOT NULL"""
        ),
        {"territory": facts.id, "start": start, "end": end, "known": known},
    ).scalars()
    found = on.positions(np.array(sorted(rows), dtype=np.int64))
    return found[found >= 0]


def _made(
    conn: Connection, facts: TerritoryFacts, kind: Literal["served", "area"], resolution: int
) -> Ground:
    # Served by ix_area_current.
    rows = conn.execute(
        text(
            """SELECT id, level, area_km2, ST_AsBinary(geom) AS shape FROM area
               WHERE territory_id = :territory AND valid_to IS NULL"""
        ),
        {"territory": facts.id},
    ).all()
    shapes: dict[str, list[tuple[int, shapely.Geometry]]] = {}
    for row in rows:
        shapes.setdefault(row.level, []).append((row.id, shapely.from_wkb(bytes(row.shape))))
    outline = shapely.union_all([shape for parts in shapes.values() for _, shape in parts])
    whole = float(geometry_km2([outline])[0]) if rows else float("nan")
    loaded = [kind_ for kind_ in _KINDS if exposures.current(conn, facts.id, kind_) is not None]
    if kind == "area" or not loaded:
        said = () if kind == "area" else (caution("ground_unknown"),)
        nothing = np.zeros(0, dtype=np.int64)
        return Ground(
            "area",
            resolution,
            nothing,
            np.zeros(0),
            {"municipality": nothing, "district": nothing},
            whole,
            said,
        )
    cells, coarsest = _served(conn, facts, loaded, resolution)
    lon, lat = centres(cells)
    if rows:
        inside = shapely.contains_xy(outline, lon, lat)
        cells, lon, lat = cells[inside], lon[inside], lat[inside]
    areas = {}
    for level in ("municipality", "district"):
        parts = shapes.get(level, [])
        areas[level] = (
            AreaIndex([one for one, _ in parts], [shape for _, shape in parts]).locate(lon, lat)
            if parts
            else np.zeros(len(cells), dtype=np.int64)
        )
    size = areas_km2(cells)
    said = (decided("ground_served", km2=round(float(size.sum()), 1), cells=len(cells), resolution=coarsest),)
    return Ground("served", coarsest, cells, size, areas, whole, said)


def _served(conn: Connection, facts: TerritoryFacts, loaded: list[str], resolution: int) -> tuple[Cells, int]:
    """Cells with anything loaded, at the resolution asked for or the coarsest that is stored."""
    stored = [exposures.current(conn, facts.id, kind) for kind in loaded]
    level = min([resolution, *(one.resolution for one in stored if one is not None)])
    found = [exposures.cells_with(conn, facts.id, kind) for kind in loaded]
    return np.unique(np.concatenate([parents(cells, level) for cells in found])), level
