"""The page's questions to the store, remembered until the territory's data changes.

Every answer is keyed by the query (with its territory) and the territory's data version,
which grows with each ingest, so a new batch shows at the next run of the page; the
number of remembered answers is bounded. Nothing is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import streamlit as st

from data import areas, listing, maps, summaries
from data.analyses.comparison import Comparison, comparison
from data.analyses.recording import recording_warnings
from data.listing import ReportPage
from data.maps import CellCounts, CellDetail, Part
from data.query import ReportQuery
from data.summaries import AreaRank, Choices, Headline, MonthCount
from geo.cells import centres, resolutions
from geo.remarks import Remark
from layers import hexmap, hexpack, legend, outlines
from layers.cellmap import CellLayer, Pane
from views import cards, methods
from views.access import connection
from views.method import MAP_CELLS, Table
from views.results import Shown
from views.words import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    import geopandas as gpd

# The level that is drawn, named and ranked: the first of these that has areas.
MAIN_LEVELS = ("municipality", "governorate", "district", "amana", "region")
COARSEST_SIZE = 6  # about 36 km²: larger hexagons are no answer for a city
WIDE_DEGREES = 2.0
MINOR_LIMIT = 4_000  # more thin outlines than this are not sent


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


@st.cache_data(max_entries=256, show_spinner=False)
def behind(version: int, query: ReportQuery, found: tuple[int, ...], skip: int, lines: int) -> ReportPage:
    with connection() as conn:
        return listing.reports_behind(conn, query, found, skip=skip, lines=lines)


@st.cache_data(max_entries=64, show_spinner=False)
def difference(version: int, first: ReportQuery, second: ReportQuery) -> Comparison:
    with connection() as conn:
        return comparison(conn, first, second)


@st.cache_data(max_entries=64, show_spinner=False)
def warnings(version: int, query: ReportQuery) -> tuple[Remark, ...]:
    """What changed in the recording or floods it, and what was looked at."""
    with connection() as conn:
        return recording_warnings(conn, query)


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


def sizes(version: int, whole: ReportQuery) -> tuple[tuple[int, float], ...]:
    """(resolution, mean km² of a cell) of the levels that the map of all reports has."""
    levels = cells(version, whole).levels
    return tuple((r, v.km2) for r, v in levels.items() if len(v.cells) and r >= COARSEST_SIZE)


def places(version: int, territory_id: int, found: NDArray[np.int64], words: Words) -> list[tuple[str, str]]:
    """(name, name around it) of cells: the district that holds the centre, else the municipality."""
    lng, lat = centres(found)
    large = _names_at(version, territory_id, "municipality", lng, lat, words)
    small = _names_at(version, territory_id, "district", lng, lat, words)
    return [
        (near or far or words("map.no_area"), far if near else "")
        for near, far in zip(small, large, strict=True)
    ]


def ranked_cells(
    version: int, territory_id: int, words: Words, table: Table, most: int
) -> list[cards.RankedCell]:
    """The first rows of a method's table as lines of a list; its second column stands below."""
    top = table.order[:most]
    found = table.cells[top]
    lng, lat = centres(found)
    lead, size = table.column(table.lead), resolutions(found)
    beside = next((column for column in table.columns if column.key != table.lead), None)
    rows = []
    for k, (name, around) in enumerate(places(version, territory_id, found, words)):
        at = int(top[k])
        more = f"{beside.label}: {beside.text(at)}" if beside else ""
        value = lead.values[at]
        rows.append(
            cards.RankedCell(
                lat=float(lat[k]),
                lng=float(lng[k]),
                resolution=int(size[k]),
                name=name,
                beside=" · ".join(part for part in (around, more) if part),
                value=lead.text(at),
                weight=float(value) if lead.digits is not None else 0.0,
                number=None if table.numbers is None else int(table.numbers[at]),
            )
        )
    return rows


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
    code: str,
    settings: Any,
    other: ReportQuery | None,
    _shown: tuple[Shown, ...],
) -> str:
    """Everything that the map's layer shows, as JSON.

    Parameters
    ----------
    whole : the same territory without filters: the map is fitted to it.
    fit : changes when the map should be fitted again.
    pick : place of the cell (lat, lng, res) or id of the area that is picked at first.
    code, settings : the method whose layer is shown; "" for the counts.
    other : the query of the second map, if two are shown.
    _shown : what each map shows; not in the key, for the queries, ``code`` and ``settings``
        say the same.
    """
    words = Words(language)
    under = ground(version, query, whole, words)
    held = [cells(version, shown.scene.query) for shown in _shown]
    drawn = (
        _single(words, code, _shown[0], held[0], under.main)
        if other is None
        else _double(code, _shown, held, under.main)
    )
    return hexmap.payload(
        **drawn,
        **under.drawn,
        fit=fit,
        words=layer_words(words, illustrative=under.illustrative, incidents=query.incidents),
        language=language,
        palette=palette,
        pick=dict(pick) or None,
        over_tiles=tiles,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What lies under every map of a territory: ``drawn`` are arguments of ``hexmap.payload``."""

    main: outlines.Outlines
    illustrative: bool
    drawn: dict[str, Any]


def ground(version: int, query: ReportQuery, whole: ReportQuery, words: Words) -> Ground:
    """Areas with their names and counts, thin ones within them, and what to fit at first."""
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
    return Ground(
        main,
        ranked.illustrative,
        {
            "outlines": main,
            "labels": labels,
            "minor": minor,
            "minor_names": names,
            "bounds": bounds,
            "extent": extent,
        },
    )


def counted(counts: CellCounts, under: Ground) -> dict[str, Any]:
    """The counts at every resolution as arguments of ``hexmap.payload``."""
    sizes = sorted(counts.levels)
    return _limits([counts], sizes) | {"cells": _packed(counts, sizes, under.main)}


def _single(
    words: Words, code: str, shown: Shown, counts: CellCounts, main: outlines.Outlines
) -> dict[str, Any]:
    """What one map shows, as the map's arguments."""
    method = methods.get(code) if code else None
    layer = method.layer(shown.scene, shown.result) if method else None
    drawn: dict[str, Any] = {"numbered": method.outlines(words, shown.result) if method else ()}
    if isinstance(layer, CellLayer):
        return drawn | {"cell_layer": layer}
    # Under an image the counts are not drawn, but can be read and clicked.
    sizes = sorted(counts.levels)
    return drawn | _limits([counts], sizes) | {"image": layer, "cells": _packed(counts, sizes, main)}


def _double(
    code: str, shown: tuple[Shown, ...], counts: list[CellCounts], main: outlines.Outlines
) -> dict[str, Any]:
    """Two maps on which a colour means the same."""
    method, panes, sizes = methods.get(code), [], sorted(set(counts[0].levels) & set(counts[1].levels))
    for k in (0, 1):
        layer = method.layer(shown[k].scene, shown[k].result, shown[1 - k].result)
        if isinstance(layer, CellLayer):
            panes.append(Pane(shown[k].name, layer=layer))
        else:
            panes.append(Pane(shown[k].name, cells=_packed(counts[k], sizes, main), image=layer))
    plain = all(pane.layer is None for pane in panes)
    return {"panes": tuple(panes)} | (_limits(counts, sizes) if plain else {})


def _packed(counts: CellCounts, sizes: list[int], main: outlines.Outlines) -> str:
    """The counts at some resolutions as the map takes them."""
    found = {r: counts.levels[r] for r in sizes}
    return hexpack.pack(
        {
            r: hexpack.Level(v.cells, v.counts, hexpack.positions(v.area_ids, main.ids))
            for r, v in found.items()
        }
    )


def _limits(counts: list[CellCounts], sizes: list[int]) -> dict[str, Any]:
    """Class limits of all counts together, and the size of their cells."""
    levels = {r: [each.levels[r] for each in counts] for r in sizes}
    return {
        "limits": {
            r: legend.class_limits(np.concatenate([v.counts for v in found])) for r, found in levels.items()
        },
        "cell_km2": {r: round(v.km2, 6) for r, found in levels.items() for v in found if len(v.cells)},
    }


def layer_words(words: Words, *, illustrative: bool, incidents: bool = False) -> dict[str, object]:
    """What the map itself says."""
    return {
        "label": words("page.map_label"),
        "legend": words("map.legend_incidents") if incidents else words("map.legend"),
        "cell_size": words("map.cell_size"),
        "layer_size": words("layer.cell_size"),
        "classes": words("layer.classes"),
        "cells": words("layer.cells"),
        "not_drawn": words("layer.not_drawn"),
        "far": words("layer.far"),
        "numbered": words("layer.numbered"),
        "zoom_in": words("map.zoom_in"),
        "zoom_out": words("map.zoom_out"),
        "all": words("map.all"),
        "no_area": words("map.no_area"),
        "area": words("map.area"),
        "nothing": words("map.nothing"),
        "rate": words("units.rate"),
        "reports": words.forms("units.incidents" if incidents else "units.reports"),
        "note": words("illustrative.note") if illustrative else "",
    }
