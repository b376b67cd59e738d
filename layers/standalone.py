"""A map in one piece: folium with Leaflet written into the page, so that it needs no network.

For notebooks and files, where the app does not serve Leaflet: scripts and styles stand in
the page as data, there are no background tiles and no public addresses. Every shape is
drawn as GeoJSON, so keep it to some thousands of cells; the page's own map packs many more.
"""

from __future__ import annotations

import base64
import functools
import html
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import branca.element
import folium
import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from layers.legend import classes_of, value_limits
from layers.palettes import DEFAULT, Shade, sequential

MOST_SHAPES = 30_000
_HEIGHT = 460  # px


def standalone_map(
    frame: gpd.GeoDataFrame,
    by: str,
    *,
    shades: Mapping[str, Shade] | None = None,
    labels: Mapping[str, str] | None = None,
    show: Sequence[str] = (),
    title: str = "",
    digits: int = 0,
    palette: str = DEFAULT,
) -> folium.Map:
    """A map of shapes coloured by one column.

    Parameters
    ----------
    frame : EPSG:4326 polygons or points; at most ``MOST_SHAPES`` of a class are drawn.
    by : a number (classes as on the page; rows of 0 or less and without a value are not drawn) or,
        with ``shades``, a code (rows whose code has no shade are not drawn).
    shades : code → colour, in the order of the legend.
    labels : code → words of the legend; the code itself where there are none.
    show : columns that are told when the pointer is on a shape; ``by`` is always told.
    title : above the legend.
    digits : decimals of a number's classes.

    Returns
    -------
    folium.Map : shows itself as the last value of a notebook's cell; ``save(path)`` writes a file.
    """
    codes, legend = _classed(frame[by], shades, labels or {}, digits, palette)
    figure = branca.element.Figure(height=f"{_HEIGHT}px")
    made = folium.Map(tiles=None, prefer_canvas=True, control_scale=True, attribution_control=False)
    made.add_to(figure)
    made.default_js = [("leaflet", _data("leaflet.js"))]
    made.default_css = [("leaflet_css", _data("leaflet.css"))]
    told = list(dict.fromkeys([by, *show]))
    # A layer a class: folium writes the style of a layer once, but that of a shape for each shape.
    for code, (_, shade) in enumerate(legend):
        shapes = _shapes(frame[codes == code].head(MOST_SHAPES), told)
        if len(shapes):
            folium.GeoJson(
                shapes.to_json(drop_id=True),
                style_function=functools.partial(_style, shade.light),
                marker=folium.CircleMarker(radius=4, weight=1),
                tooltip=folium.GeoJsonTooltip(
                    fields=[f"c{i}" for i in range(len(told))], aliases=[html.escape(name) for name in told]
                ),
            ).add_to(made)
    drawn = frame[codes >= 0]
    if len(drawn):
        west, south, east, north = drawn.total_bounds
        made.fit_bounds([[south, west], [north, east]])
    counts = np.bincount(codes[codes >= 0], minlength=len(legend)).tolist()
    rows = [(label, shade.light, count) for (label, shade), count in zip(legend, counts, strict=True)]
    figure.html.add_child(branca.element.Element(_legend(title or by, rows)))
    return made


def _shapes(frame: gpd.GeoDataFrame, told: Sequence[str]) -> gpd.GeoDataFrame:
    """The rows as texts that are safe in a page, with shapes to a metre: a file half as large."""
    texts = {f"c{i}": [html.escape(_text(value)) for value in frame[name]] for i, name in enumerate(told)}
    rounded = shapely.transform(frame.geometry.to_numpy(), lambda xy: np.round(xy, 5))
    return gpd.GeoDataFrame(texts, geometry=rounded, crs=frame.crs)


def _style(colour: str, _: dict[str, Any]) -> dict[str, Any]:
    return {"fillColor": colour, "color": colour, "weight": 0.5, "fillOpacity": 0.85}


def _classed(
    values: pd.Series,
    shades: Mapping[str, Shade] | None,
    labels: Mapping[str, str],
    digits: int,
    palette: str,
) -> tuple[NDArray[np.int64], list[tuple[str, Shade]]]:
    """Position in the legend of each row (-1: not drawn), (n,), and the legend."""
    if shades is not None:
        order = {code: place for place, code in enumerate(shades)}
        codes = np.array([order.get(str(value), -1) for value in values], dtype=np.int64)
        legend = [(labels.get(code, code), shade) for code, shade in shades.items()]
        return codes, legend
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    limits = value_limits(numbers, digits)
    lower = [0.0, *limits[:-1]]
    texts = [f"> {low:,.{digits}f} … {high:,.{digits}f}" for low, high in zip(lower, limits, strict=False)]
    steps = sequential(len(limits), palette) if limits else ()
    return classes_of(numbers, limits), list(zip(texts, steps, strict=True))


def _text(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "–" if np.isnan(value) else f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int | np.integer) else str(value)


def _legend(title: str, rows: Sequence[tuple[str, str, int]]) -> str:
    lines = "".join(
        f'<tr><td style="background:{colour};width:14px"></td>'
        f"<td>{html.escape(label)}</td><td>{count:,}</td></tr>"
        for label, colour, count in rows
    )
    return (
        '<div dir="auto" style="position:absolute;z-index:9999;top:10px;right:10px;padding:6px 8px;'
        'font:12px sans-serif;background:#ffffffe6;border:1px solid #bbb;border-radius:4px">'
        f"<b>{html.escape(title)}</b><table>{lines}</table></div>"
    )


def _data(name: str) -> str:
    """A file of Leaflet as an address that holds its whole content."""
    from xstatic.pkg import leaflet

    kind = mimetypes.guess_type(name)[0] or "text/plain"
    body = base64.b64encode((Path(leaflet.BASE_DIR) / name).read_bytes()).decode("ascii")
    return f"data:{kind};base64,{body}"
