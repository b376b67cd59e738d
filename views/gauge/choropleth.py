"""Areas coloured by an indicator, drawn as the hexagons that lie in them.

Two ways to look: the value, drawn towards the whole as far as few reports do not carry it,
in classes of equal numbers of areas; or what differs from the whole beyond chance. Every
class is told by colour, mark and words. Caveat: a hexagon belongs to the area that holds
its middle, so edges are drawn to about the hexagon's size.
"""

from __future__ import annotations

import math
from typing import Any

import geopandas as gpd
import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit_folium import st_folium

from data.analyses.indicators import MEANINGS, Dimension, Indicator, IndicatorResult, Reading, Row
from data.areas import current_areas
from data.query import ReportQuery
from data.settings import settings
from geo.cells import cells_covering
from layers import hexmap
from layers.cellmap import CellClass, CellLayer
from layers.cellmap import Reading as Hover
from layers.palettes import NEUTRAL, Shade, sequential
from views import answers, beside
from views.access import connection
from views.gauge import telling
from views.words import Words

CELLS = 12_000  # at most, of all areas together
CLASSES = 5
#: Worse is warm and points up, better is cool and points down, whichever way is better.
DIFFERENT = {
    "worse": Shade("#dc6408", "#d66a09", "up"),
    "better": Shade("#248fcc", "#2e97ca", "down"),
    "inside": Shade("#d8d9d2", "#3a4144", "dot"),
    "no_value": NEUTRAL,
}
WAYS = ("value", "chance")
#: Colours by which way is better, so that dark green is not taken for a warning.
PALETTES = {1: "palm", -1: "ember", 0: "gulf"}
LEVELS = {Dimension.MUNICIPALITY: "municipality", Dimension.DISTRICT: "district"}


def palette(indicator: Indicator) -> str:
    """The map's colours for an indicator, a key of ``layers.palettes.PALETTES``."""
    return PALETTES[MEANINGS[indicator].better]


def drawable(result: IndicatorResult) -> bool:
    """Whether the rows are areas."""
    return result.query.by in LEVELS and any(isinstance(row.key, int) for row in result.rows)


def draw(
    words: Words,
    version: int,
    territory: str,
    result: IndicatorResult,
    indicator: Indicator,
    way: str,
    palette: str,
) -> int | None:
    """The map; returns the id of the area that was clicked last, if any."""
    query = ReportQuery(result.query.territory_id)
    ids, cells = _cells(version, query.territory_id, LEVELS[result.query.by])
    found = layer(words, result, indicator, way, palette, ids, cells)
    under = answers.ground(version, query, query, words)
    tiles = settings().tile_url
    payload = hexmap.payload(
        **under.drawn,
        cell_layer=found,
        fit=territory,
        words=answers.layer_words(words, illustrative=under.illustrative),
        language=words.language,
        palette=palette,
        over_tiles=bool(tiles),
    )
    out = st_folium(
        hexmap.base_map(tiles, settings().tile_attribution),
        key="gauge_map",
        height=520,
        use_container_width=True,
        feature_group_to_add=hexmap.feature_group(payload),
        returned_objects=["last_active_drawing"],
    )
    return _area_at((out or {}).get("last_active_drawing"), ids, cells)


def layer(
    words: Words,
    result: IndicatorResult,
    indicator: Indicator,
    way: str,
    palette: str,
    ids: NDArray[np.int64],
    cells: NDArray[np.int64],
) -> CellLayer:
    """The hexagons of all areas with the class of their area.

    Parameters
    ----------
    ids, cells : (n,) area of each hexagon, and the hexagon.
    """
    rows = {row.key: row for row in result.rows}
    shown = np.unique(ids)
    readings = [_reading(rows.get(int(i)), indicator) for i in shown]
    each = _chance(indicator, readings) if way == "chance" else _value(indicator, readings)
    at = np.searchsorted(shown, ids)
    classes = np.array(each, dtype=np.uint8)[at]
    legend = _legend(words, indicator, way, readings, palette)
    held = np.bincount(classes, minlength=len(legend))
    values = np.array([_number(indicator, reading) for reading in readings], dtype=np.float64)[at]
    return CellLayer(
        words(f"indicator.{indicator}"),
        _resolution(cells),
        cells,
        classes,
        tuple(
            CellClass(code, label, *shade, count=int(n))
            for (code, label, shade), n in zip(legend, held, strict=True)
        ),
        (Hover(_unit(words, indicator), values, _digits(indicator)),),
    )


def _reading(row: Row | None, indicator: Indicator) -> Reading | None:
    return None if row is None else row.reading(indicator)


def _shown_value(reading: Reading | None) -> float | None:
    """What is classed: the shrunken value where there is one."""
    if reading is None:
        return None
    return reading.value if reading.shrunken is None else reading.shrunken


def _number(indicator: Indicator, reading: Reading | None) -> float:
    value = _shown_value(reading)
    if value is None:
        return math.nan
    return 100 * value if MEANINGS[indicator].kind == "share" else value


def _digits(indicator: Indicator) -> int:
    return {"count": 0, "share": 1, "rate": 2, "days": 1}[MEANINGS[indicator].kind]


def _unit(words: Words, indicator: Indicator) -> str:
    kind = MEANINGS[indicator].kind
    unit = {
        "share": "%",
        "count": "",
        "rate": words("gauge.vpi_unit", n=""),
        "days": words("gauge.days", n=""),
    }[kind]
    return f"{words(f'indicator.{indicator}')} {unit.strip()}".strip()


def _limits(indicator: Indicator, readings: list[Reading | None]) -> list[float]:
    """Upper limits of the classes: equal numbers of areas, each limit once."""
    values = np.array([_number(indicator, reading) for reading in readings])
    values = values[np.isfinite(values)]
    if not len(values):
        return []
    cuts = np.quantile(values, np.linspace(0, 1, CLASSES + 1)[1:], method="inverted_cdf")
    digits = _digits(indicator)
    return sorted({float(np.ceil(cut * 10**digits) / 10**digits) for cut in cuts})


def _value(indicator: Indicator, readings: list[Reading | None]) -> list[int]:
    """Class of each area by its value; the last class is for those without one."""
    limits = _limits(indicator, readings)
    values = [_number(indicator, reading) for reading in readings]
    return [
        min(int(np.searchsorted(limits, value)), len(limits) - 1) if math.isfinite(value) else len(limits)
        for value in values
    ]


def _chance(indicator: Indicator, readings: list[Reading | None]) -> list[int]:
    """Class of each area by its side of the funnel."""
    order = list(DIFFERENT)
    return [order.index(differs(indicator, reading)) for reading in readings]


def differs(indicator: Indicator, reading: Reading | None) -> str:
    """``worse``, ``better``, ``inside`` or ``no_value``: which side of the funnel it lies on."""
    if reading is None or reading.value is None or reading.position is None:
        return "no_value"
    if reading.position == "inside":
        return "inside"
    good = "high" if MEANINGS[indicator].better > 0 else "low"
    return "better" if reading.position == good else "worse"


def _legend(
    words: Words, indicator: Indicator, way: str, readings: list[Reading | None], palette: str
) -> list[tuple[str, str, Shade]]:
    if way == "chance":
        return [(code, words(f"gauge.{code}"), shade) for code, shade in DIFFERENT.items()]
    limits = _limits(indicator, readings)
    shades = sequential(len(limits), palette) if limits else ()
    scale = 100 if MEANINGS[indicator].kind == "share" else 1
    classes = [
        (f"c{k}", words("gauge.up_to", value=telling.amount(words, indicator, limit / scale)), shade)
        for k, (limit, shade) in enumerate(zip(limits, shades, strict=True))
    ]
    return [*classes, ("none", words("gauge.no_value"), NEUTRAL)]


# ---- the hexagons ----


@st.cache_data(max_entries=8, show_spinner=False)
def _cells(version: int, territory_id: int, level: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Area of each hexagon and the hexagon, as fine as ``CELLS`` allows."""
    with connection() as conn:
        frame = current_areas(conn, territory_id, level)
    return areas_in_cells(frame)


def areas_in_cells(frame: gpd.GeoDataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As ``_cells``, for areas with columns ``id`` and ``geometry``."""
    ids: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    cells: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    for resolution in range(4, 11):
        found = [cells_covering(geometry, resolution) for geometry in frame.geometry]
        if cells.size and sum(map(len, found)) > CELLS:
            break
        pairs = [np.full(len(one), area) for one, area in zip(found, frame["id"].astype(int), strict=True)]
        ids, cells = (np.concatenate(pairs), np.concatenate(found)) if found else (ids, cells)
        if cells.size:
            # Areas that overlap hold a hexagon twice: it is drawn once.
            cells, first = np.unique(cells, return_index=True)
            ids = ids[first]
    return ids.astype(np.int64), cells


def _resolution(cells: NDArray[np.int64]) -> int:
    return int((cells[0] >> 52) & 15) if len(cells) else 4


def _area_at(feature: dict[str, Any] | None, ids: NDArray[np.int64], cells: NDArray[np.int64]) -> int | None:
    """The area of a clicked hexagon or outline."""
    pick = beside.read_pick(feature)
    if not pick:
        return None
    area = beside.numbered(pick, "a")
    if area is not None:
        return area
    cell = beside.cell_of(pick)
    if cell is None or not len(cells):
        return None
    at = int(np.searchsorted(cells, cell))
    return int(ids[at]) if at < len(cells) and cells[at] == cell else None
