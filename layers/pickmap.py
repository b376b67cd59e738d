"""The map on which a place is chosen: boundaries, roads, a pin, and reports nearby.

Like ``layers/hexmap.py``, the Map itself never changes; all that can differ travels in a
feature group, so a click keeps place and zoom. streamlit-folium hands the click on as
``last_clicked``; moving the map never runs the page. Enter on the keyboard chooses the middle
of the map. Without a tile server its background is what the store knows: outlines, names,
main roads, and small streets around the pin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import folium
import numpy as np
import shapely
from branca.element import MacroElement
from folium.elements import JSCSSMixin
from jinja2 import Template
from numpy.typing import NDArray

from layers.assets import frame_url
from layers.hexmap import MAX_ZOOM, script_json

_DIGITS = 5  # of a degree: about 1 m

Path = tuple[tuple[float, float], ...]


class PickLayer(JSCSSMixin, MacroElement):
    """The empty layer. It belongs to the Map, so its script is the same on every run."""

    _template = Template(
        """{% macro script(this, kwargs) %}
        window.rasdPick = new RasdPick({{ this._parent.get_name() }});
    {% endmacro %}"""
    )

    def __init__(self) -> None:
        super().__init__()
        self._name = "PickLayer"
        self.default_js = [("rasd_pickmap", frame_url("rasd/pickmap.js"))]
        self.default_css = [
            ("rasd_hexgrid_css", frame_url("rasd/hexgrid.css")),
            ("rasd_pickmap_css", frame_url("rasd/pickmap.css")),
        ]


class PickData(MacroElement):
    """What the layer shows; goes into the feature group."""

    _template = Template(
        """{% macro script(this, kwargs) %}
        window.rasdPick.setData({{ this.payload }});
    {% endmacro %}"""
    )

    def __init__(self, payload: str) -> None:
        super().__init__()
        self._name = "PickData"
        self.payload = payload


@dataclass(frozen=True, slots=True)
class Place:
    """A name at a point, decimal degrees; ``minor`` ones appear when zoomed in."""

    name: str
    lon: float
    lat: float
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Pin:
    """The chosen place, decimal degrees; ``metres`` of doubt around it, 0 for none."""

    lon: float
    lat: float
    metres: float = 0.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A report nearby: decimal degrees, words on hover, and whether it is suggested."""

    lon: float
    lat: float
    label: str
    suggested: bool


def base_map(tile_url: str | None = None, tile_attribution: str | None = None) -> folium.Map:
    """A new Map, the same on every call; with a background only when a tile server is set."""
    frame = folium.Map(
        location=[0, 0],
        zoom_start=2,
        tiles=None,
        zoom_control=False,
        attribution_control=bool(tile_url),
        max_zoom=MAX_ZOOM + 1,
        zoomSnap=0.5,
        worldCopyJump=False,
        prefer_canvas=True,
    )
    # On the object, not on the class: folium's own default addresses are never asked for.
    frame.default_js = [("leaflet", frame_url("leaflet/leaflet.js"))]
    frame.default_css = [("leaflet_css", frame_url("leaflet/leaflet.css"))]
    if tile_url:
        folium.TileLayer(tiles=tile_url, attr=tile_attribution or "", max_zoom=MAX_ZOOM + 1).add_to(frame)
    PickLayer().add_to(frame)
    return frame


def rings(geometries: Sequence[shapely.Geometry] | NDArray[np.object_]) -> list[list[list[float]]]:
    """Rings or lines of (k,) geometries as [lat, lon, lat, lon, …], decimal degrees."""
    parts = shapely.get_parts(np.asarray(geometries, dtype=object))
    kinds = shapely.get_type_id(parts)
    polygons = parts[kinds == shapely.GeometryType.POLYGON]
    lines = parts[kinds == shapely.GeometryType.LINESTRING]
    drawn = [*shapely.get_rings(polygons), *lines]
    return [
        np.round(shapely.get_coordinates(line)[:, ::-1], _DIGITS).tolist()
        for line in drawn
        if not line.is_empty
    ]


def payload(
    *,
    outlines: list[list[list[float]]],
    roads: list[list[list[float]]],
    streets: list[list[list[float]]],
    places: Sequence[Place],
    pin: Pin | None,
    dots: Sequence[Dot],
    bounds: tuple[float, float, float, float] | None,
    fit: str,
    words: Mapping[str, str],
    language: str,
    over_tiles: bool = False,
) -> str:
    """Everything the layer needs, as one line of JSON.

    Parameters
    ----------
    outlines, roads, streets : answers of ``rings``: boundaries, main roads, small streets.
    bounds : west, south, east, north to fit at first, and whenever ``fit`` changes.
    fit : any text; another one makes the map fit ``bounds`` again.
    words : "label" (what the map is for), "home", "pin" in the reader's language.
    language : ``ar`` is drawn right to left.
    """
    value: dict[str, Any] = {
        "outlines": outlines,
        "roads": roads,
        "streets": streets,
        "places": [[p.name, round(p.lat, _DIGITS), round(p.lon, _DIGITS), int(p.minor)] for p in places],
        "pin": None if pin is None else [pin.lat, pin.lon, pin.metres],
        "dots": [[d.lat, d.lon, d.label, int(d.suggested)] for d in dots],
        "bounds": bounds and [[bounds[1], bounds[0]], [bounds[3], bounds[2]]],
        "fit": fit,
        "words": dict(words),
        "language": language,
        "rtl": language == "ar",
        "tiles": over_tiles,
    }
    return script_json(value)


def feature_group(data: str) -> folium.FeatureGroup:
    """The payload as a feature group, for ``st_folium(feature_group_to_add=…)``."""
    group = folium.FeatureGroup(name="rasd_pick")
    PickData(data).add_to(group)
    return group
