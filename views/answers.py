"""The page's questions to the store, remembered until the territory's data changes.

Every answer is keyed by the query (with its territory) and the territory's data version,
which grows with each ingest, so a new batch shows at the next run of the page; the
number of remembered answers is bounded. Nothing is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
import streamlit as st

from data import areas, maps, summaries
from data.database import connection
from data.maps import CellCounts, CellDetail, Part
from data.query import ReportQuery
from data.summaries import AreaRank, Choices, Headline, MonthCount
from geo.cells import areas_km2, centres
from layers import hexmap, hexpack, legend, outlines
from views import cards
from views.words import Words, short

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    import geopandas as gpd

# The level that is drawn, named and ranked: the first of these that has areas.
MAIN_LEVELS = ("municipality", "governorate", "district", "amana", "region")
RANKED_CELLS = 12
RANK_RESOLUTION = 8  # about 0.7 km², a few streets: where a crew would go
WIDE_DEGREES = 2.0
MINOR_LIMIT = 4_000  # more thin outlines than this are not sent
MAP_CELLS = 40_000  # cells of the finest level; all levels together are about 1.2 times that


@dataclass(frozen=True, slots=True)
class Level:
    """The drawn level and its areas, most reports first."""

    name: str | None
    rows: tuple[AreaRank, ...]

    @property
    def illustrative(self) -> bool:
        return any(row.illustrative for row in self.rows)


@st.cache_data(max_entries=32, show_spinner=False)
def choices(version: int, territory_id: int) -> Choices:
    with connection() as conn:
        return summaries.choices(conn, territory_id)


@st.cache_data(max_entries=128, show_spinner=False)
def headline(version: int, query: ReportQuery) -> Headline:
    with connection() as conn:
        return summaries.headline(conn, query)


@st.cache_data(max_entries=128, show_spinner=False)
def monthly(version: int, query: ReportQuery) -> list[MonthCount]:
    with connection() as conn:
        return summaries.monthly(conn, query)


@st.cache_data(max_entries=128, show_spinner=False)
def level(version: int, query: ReportQuery) -> Level:
    """The drawn level of the query's territory, ranked."""
    with connection() as conn:
        for name in MAIN_LEVELS:
            rows = summaries.ranked_areas(conn, query, name)
            if rows:
                return Level(name, tuple(rows))
    return Level(None, ())


@st.cache_data(max_entries=32, show_spinner=False)
def cells(version: int, query: ReportQuery) -> CellCounts:
    with connection() as conn:
        return maps.cell_counts(conn, query, max_cells=MAP_CELLS)


@st.cache_data(max_entries=256, show_spinner=False)
def cell(version: int, query: ReportQuery, index: int) -> CellDetail:
    with connection() as conn:
        return maps.cell_detail(conn, query, index)


@st.cache_data(max_entries=128, show_spinner=False)
def kinds(version: int, query: ReportQuery) -> tuple[Part, ...]:
    """Reports that fit the query by element group, or by type where none has an element."""
    with connection() as conn:
        found = summaries.parts(conn, query)
    return found.by_group if any(part.key is not None for part in found.by_group) else found.by_type


@st.cache_data(max_entries=32, show_spinner=False)
def _areas(version: int, territory_id: int, name: str) -> gpd.GeoDataFrame:
    with connection() as conn:
        return areas.current_areas(conn, territory_id, name)


@st.cache_data(max_entries=16, show_spinner=False)
def _outlines(version: int, territory_id: int, name: str, budget: int) -> outlines.Outlines:
    return outlines.pack_outlines(_areas(version, territory_id, name), budget)


@st.cache_data(max_entries=64, show_spinner=False)
def ranked_cells(version: int, query: ReportQuery, language: str) -> tuple[float, list[cards.RankedCell]]:
    """Mean size (km²) and the cells with most reports, at about the size of a few streets.

    A cell is called after the district that holds its centre, else after its municipality.
    """
    words = Words(language)
    levels = cells(version, query).levels
    if not levels:
        return 0.0, []
    resolution = min(levels, key=lambda r: abs(r - RANK_RESOLUTION))
    found = levels[resolution]
    # Ties go to the lower cell, so the list is the same on every run.
    top = np.lexsort((found.cells, -found.counts))[:RANKED_CELLS]
    lng, lat = centres(found.cells[top])
    rates = found.counts[top] / areas_km2(found.cells[top])
    large = _names_at(version, query.territory_id, "municipality", lng, lat, words)
    small = _names_at(version, query.territory_id, "district", lng, lat, words)
    rows = []
    for k, i in enumerate(top):
        rate = words("units.rate", rate=short(float(rates[k])))
        rows.append(
            cards.RankedCell(
                lat=float(lat[k]),
                lng=float(lng[k]),
                resolution=resolution,
                name=small[k] or large[k] or words("map.no_area"),
                beside=f"{large[k]} · {rate}" if small[k] and large[k] else rate,
                count=int(found.counts[i]),
            )
        )
    return found.km2, rows


def _names_at(
    version: int, territory_id: int, name: str, lng: Floats, lat: Floats, words: Words
) -> list[str]:
    """Names of the areas that hold the points (n,), decimal degrees; "" for none."""
    frame = _areas(version, territory_id, name)
    names = [""] * len(lng)
    if len(frame):
        at, which = frame.sindex.query(shapely.points(lng, lat), predicate="intersects")
        for point, row in zip(at.tolist(), which.tolist(), strict=True):
            names[point] = words.pick(frame["name_ar"].iloc[row], frame["name_en"].iloc[row])
    return names


Box = list[list[float]]


def first_view(counts: CellCounts, frame: gpd.GeoDataFrame | None) -> tuple[Box | None, Box | None]:
    """What the map shows at first, and everything: ((south, west), (north, east)) in degrees.

    Everything is the box of the areas and of 99 % of the reports, for single points far
    out would shrink the rest. Where the reports are scattered over a wide country, the
    first view is the box of the middle 88 % in each direction instead.
    """
    boxes = []
    if frame is not None and len(frame):
        boxes.append(frame.total_bounds)
    found = counts.levels.get(min(7, max(counts.levels, default=0)))
    if found is None or not len(found.cells):
        return (None, None) if not boxes else (_box(*boxes[0]), _box(*boxes[0]))
    lng, lat = centres(found.cells)
    reach = np.sqrt(found.km2) / 111  # the cell's own width, in degrees of latitude

    def around(share: float) -> tuple[float, float, float, float]:
        west, east = _weighted(lng, found.counts, share)
        south, north = _weighted(lat, found.counts, share)
        return west - reach, south - reach, east + reach, north + reach

    core, most = around(0.75), around(0.99)
    boxes.append(np.array(most))
    each = np.array(boxes)
    extent = (*each[:, :2].min(axis=0), *each[:, 2:].max(axis=0))
    wide = max(most[2] - most[0], most[3] - most[1]) > WIDE_DEGREES
    scattered = (most[2] - most[0]) * (most[3] - most[1]) > 4 * (core[2] - core[0]) * (core[3] - core[1])
    return _box(*(core if wide and scattered else extent)), _box(*extent)


def _box(west: float, south: float, east: float, north: float) -> Box:
    return [[round(float(south), 4), round(float(west), 4)], [round(float(north), 4), round(float(east), 4)]]


def _weighted(values: Floats, weights: NDArray[np.int64], share: float) -> tuple[float, float]:
    """The ends of the middle ``share`` of (n,) weighted values."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    ends = np.searchsorted(total, [total[-1] * (1 - share) / 2, total[-1] * (1 + share) / 2])
    return float(values[order][ends[0]]), float(values[order][min(ends[1], len(values) - 1)])


@st.cache_data(max_entries=16, show_spinner=False)
def map_payload(
    version: int,
    query: ReportQuery,
    whole: ReportQuery,
    language: str,
    palette: str,
    fit: str,
    pick: tuple[tuple[str, float], ...],
    tiles: bool,
) -> str:
    """Everything that the map's layer shows, as JSON.

    Parameters
    ----------
    whole : the same territory without filters: the map is fitted to it.
    fit : changes when the map should be fitted again.
    pick : place of the cell (lat, lng, res) or id of the area that is picked at first.
    """
    words = Words(language)
    counts = cells(version, query)
    ranked = level(version, whole)
    frame = _areas(version, query.territory_id, ranked.name) if ranked.name else None
    if ranked.name:
        main = _outlines(version, query.territory_id, ranked.name, 15_000)
    else:
        main = outlines.Outlines((), "", np.empty((0, 2)), 0)
    now = {row.id: row for row in level(version, query).rows}
    known = {row.id: row for row in ranked.rows}
    labels = [
        hexmap.AreaLabel(
            words.pick(known[i].name_ar, known[i].name_en), now[i].count if i in now else 0, known[i].area_km2
        )
        for i in main.ids
    ]
    minor, names = None, []
    if ranked.name in ("municipality", "governorate"):
        small = _areas(version, query.territory_id, "district")
        if 0 < len(small) <= MINOR_LIMIT:
            minor = _outlines(version, query.territory_id, "district", 25_000)
            names = [words.pick(a, e) for a, e in zip(small["name_ar"], small["name_en"], strict=True)]
    bounds, extent = first_view(cells(version, whole), frame)
    packed = hexpack.pack(
        {
            r: hexpack.Level(v.cells, v.counts, hexpack.positions(v.area_ids, main.ids))
            for r, v in counts.levels.items()
        }
    )
    return hexmap.payload(
        cells=packed,
        limits={r: legend.class_limits(v.counts) for r, v in counts.levels.items()},
        cell_km2={r: round(v.km2, 6) for r, v in counts.levels.items() if len(v.cells)},
        outlines=main,
        labels=labels,
        minor=minor,
        minor_names=names,
        bounds=bounds,
        extent=extent,
        fit=fit,
        words=layer_words(words, illustrative=ranked.illustrative),
        language=language,
        palette=palette,
        pick=dict(pick) or None,
        over_tiles=tiles,
    )


def layer_words(words: Words, *, illustrative: bool) -> dict[str, object]:
    """What the map itself says."""
    return {
        "label": words("page.map_label"),
        "legend": words("map.legend"),
        "cell_size": words("map.cell_size"),
        "zoom_in": words("map.zoom_in"),
        "zoom_out": words("map.zoom_out"),
        "all": words("map.all"),
        "no_area": words("map.no_area"),
        "area": words("map.area"),
        "nothing": words("map.nothing"),
        "rate": words("units.rate"),
        "reports": words.forms("units.reports"),
        "note": words("illustrative.note") if illustrative else "",
    }
