"""What the map of the Report page shows behind the pin: boundaries, names, roads.

Remembered by the territory's version. Main roads are drawn everywhere, small streets only
around the pin, so that a phone does not load a province.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
import streamlit as st
from shapely import STRtree

from data import areas, roads
from data.access import Place
from data.query import ReportQuery
from data.vocabulary import LEVELS
from geo.roads import MAIN
from layers import outlines, pickmap
from views import answers
from views.access import connection
from views.filing.draft import Bounds

Lines = list[list[list[float]]]
_CORNERS = 5_000  # of all boundaries together
_SIMPLER = 0.0002  # degrees, about 20 m: main roads across a province
_STREETS = 0.006  # degrees around the pin, about 600 m
_NAMED = ("municipality", "district")  # levels whose names are on the map


@dataclass(frozen=True, slots=True)
class Named:
    """An area to go to: id, level, names, and its west, south, east and north."""

    id: int
    level: str
    name_ar: str
    name_en: str
    lon: float
    lat: float
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Ground:
    """Boundaries of the coarsest level that divides the territory well, and named areas."""

    outlines: Lines
    named: tuple[Named, ...]


@st.cache_data(max_entries=16, show_spinner=False)
def ground(version: int, territory_id: int) -> Ground:
    """Boundaries and names of a territory."""
    with connection() as conn:
        found = areas.current_areas(conn, territory_id)
    if not len(found):
        return Ground([], ())
    drawn = next(level for level in ("municipality", *reversed(LEVELS)) if (found["level"] == level).any())
    shapes = found[found["level"] == drawn].geometry.to_numpy()
    rows = found[found["level"].isin(_NAMED)]
    middles = outlines.label_points(rows.geometry.to_numpy()) if len(rows) else np.empty((0, 2))
    boxes = shapely.bounds(rows.geometry.to_numpy())
    named = tuple(
        Named(int(id_), str(level), ar, en, float(lon), float(lat), tuple(box.tolist()))
        for id_, level, ar, en, (lat, lon), box in zip(
            rows["id"], rows["level"], rows["name_ar"], rows["name_en"], middles, boxes, strict=True
        )
    )
    return Ground(pickmap.rings(outlines.simplify(shapes, _CORNERS)), named)


@st.cache_data(max_entries=64, show_spinner=False)
def first_bounds(version: int, territory_id: int, places: tuple[Place, ...], whole: bool) -> Bounds | None:
    """What the map shows at first: the user's own areas, else where most reports are.

    Parameters
    ----------
    places : of the user in this territory. whole : whether every report of it is open to them.
    """
    with connection() as conn:
        found = areas.current_areas(conn, territory_id)
    own = np.zeros(len(found), dtype=bool)
    for place in places:
        names = found[["code", "name_ar", "name_en"]].eq(place.area).any(axis=1)
        own |= ((found["level"] == place.level) & names).to_numpy(dtype=bool)
    if own.any():
        west, south, east, north = found[own].total_bounds.tolist()
        return west, south, east, north
    if not whole:
        return None
    box, _ = answers.first_view(answers.cells(version, ReportQuery(territory_id)), found)
    if box is None:
        return None
    (south, west), (north, east) = box
    return west, south, east, north


@st.cache_resource(max_entries=4, show_spinner=False)
def _roads(version: int, territory_id: int) -> tuple[Lines, np.ndarray, STRtree]:
    """Main roads ready to draw; the small streets and a tree of them."""
    with connection() as conn:
        found = roads.of_territory(conn, territory_id)
    if found is None:
        return [], np.empty(0, dtype=object), STRtree([])
    main = np.isin(found.road_class, MAIN)
    large = shapely.simplify(found.lines[main], _SIMPLER)
    small = found.lines[~main]
    return pickmap.rings(large), small, STRtree(small)


def main_roads(version: int, territory_id: int) -> Lines:
    """Main roads of a territory."""
    return _roads(version, territory_id)[0]


def streets(version: int, territory_id: int, lon: float, lat: float) -> Lines:
    """Small streets around a place, clipped to what is near."""
    _, lines, tree = _roads(version, territory_id)
    box = shapely.box(lon - _STREETS, lat - _STREETS, lon + _STREETS, lat + _STREETS)
    near = lines[np.sort(tree.query(box))]
    return pickmap.rings(shapely.clip_by_rect(near, *box.bounds)) if len(near) else []
