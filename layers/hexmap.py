"""The map: a constant folium Map with an empty canvas layer, and the data that fills it.

streamlit-folium makes a new frame (and loses place and zoom) when the Map's own script
changes, so the Map holds nothing that can differ between two runs; cells, boundaries,
words and colours travel in a feature group, which changes in place. Its answer holds only
``last_active_drawing``, so moving the map never runs the page again. Two maps side by side
are two panes of the one frame. Scripts and styles come from ``static/``: nothing is fetched
from elsewhere.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import folium
import numpy as np
from branca.element import MacroElement
from folium.elements import JSCSSMixin
from jinja2 import Template

from geo.cells import areas_km2
from layers.assets import frame_url
from layers.cellmap import CellLayer, ImageLayer, Outline, Pane, pack_layer, pack_numbered
from layers.linemap import StopLayer, TrackLayer, pack_stops, pack_tracks
from layers.outlines import Outlines
from layers.palettes import PALETTES

MAX_ZOOM = 18
SIZED = 500  # cells of a layer that its mean size is taken from
# Drawn cells are wholly opaque without a background, so the legend's colours are exact.
OPACITY_OVER_TILES = 0.78
SCRIPTS = (
    "hexdata",
    "hexlegend",
    "hexpair",
    "hexgrid",
    "hexlayers",
    "hexlines",
)  # in the order in which they build on each other


class HexGrid(JSCSSMixin, MacroElement):
    """The empty layer. It belongs to the Map, so its script is the same on every run."""

    _template = Template(
        """{% macro script(this, kwargs) %}
        window.rasd = new L.RasdGrid({}).addTo({{ this._parent.get_name() }});
    {% endmacro %}"""
    )

    def __init__(self) -> None:
        super().__init__()
        self._name = "HexGrid"
        self.default_js = [(f"rasd_{name}", frame_url(f"rasd/{name}.js")) for name in SCRIPTS]
        self.default_css = [("rasd_hexgrid_css", frame_url("rasd/hexgrid.css"))]


class HexData(MacroElement):
    """What the layer shows; goes into the feature group given as ``feature_group_to_add``."""

    _template = Template(
        """{% macro script(this, kwargs) %}
        window.rasd.setData({{ this.payload }});
    {% endmacro %}"""
    )

    def __init__(self, payload: str) -> None:
        super().__init__()
        self._name = "HexData"
        self.payload = payload


@dataclass(frozen=True, slots=True)
class AreaLabel:
    """What the map says about one area, in the reader's language."""

    name: str
    count: int
    km2: float


def base_map(tile_url: str | None = None, tile_attribution: str | None = None) -> folium.Map:
    """A new Map, the same on every call; with a background only when a tile server is set.

    Build it anew on every run: streamlit-folium adds the feature group to the object.
    """
    frame = folium.Map(
        location=[0, 0],
        zoom_start=2,
        tiles=None,
        zoom_control=False,
        attribution_control=bool(tile_url),
        max_zoom=MAX_ZOOM,
        zoomSnap=0.25,
        worldCopyJump=False,
    )
    # On the object, not on the class: folium's own default addresses are never asked for.
    frame.default_js = [("leaflet", frame_url("leaflet/leaflet.js"))]
    frame.default_css = [("leaflet_css", frame_url("leaflet/leaflet.css"))]
    if tile_url:
        folium.TileLayer(tiles=tile_url, attr=tile_attribution or "", max_zoom=MAX_ZOOM).add_to(frame)
    HexGrid().add_to(frame)
    return frame


def script_json(value: Any) -> str:
    """JSON that is safe inside a script: no tag or comment, no template code, ASCII alone.

    branca compiles every rendered script once more as a Jinja template, so a name with
    ``{{`` or ``{%`` in it would stop the page, or run where the figure is rendered. JSON's
    own braces never make such a pair: these stand in texts only, where an escape is equal.
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    for second in "{%#":
        text = text.replace("{" + second, f"{{\\u{ord(second):04x}")
    return text


def payload(
    *,
    outlines: Outlines,
    labels: Sequence[AreaLabel],
    minor: Outlines | None,
    minor_names: Sequence[str],
    bounds: Sequence[Sequence[float]] | None,
    extent: Sequence[Sequence[float]] | None,
    fit: str,
    words: Mapping[str, Any],
    language: str,
    palette: str,
    cells: str = "",
    limits: Mapping[int, Sequence[int]] | None = None,
    cell_km2: Mapping[int, float] | None = None,
    cell_layer: CellLayer | None = None,
    image: ImageLayer | None = None,
    numbered: Sequence[Outline] = (),
    tracks: TrackLayer | None = None,
    stops: StopLayer | None = None,
    panes: tuple[Pane, Pane] | None = None,
    pick: Mapping[str, float] | None = None,
    over_tiles: bool = False,
) -> str:
    """Everything the layer needs, as one line of JSON.

    What is shown: the counts in ``cells`` at the resolution that suits the zoom; or the
    classes of ``cell_layer``; or ``image``, below which counts can still be read and
    clicked; or two ``panes``. ``numbered`` outlines lie above any of them; ``tracks`` and
    ``stops`` above those of a single map.

    Parameters
    ----------
    outlines, labels : areas with name, count and area, in one order.
    minor, minor_names : thinner outlines that appear when zoomed in, if any.
    bounds, extent : ((south, west), (north, east)) in decimal degrees: what to fit at
        first, and everything there is.
    fit : the map fits ``bounds`` again when this text changes.
    words : the layer's words in the reader's language.
    language : ``ar`` or ``en``; ``ar`` is drawn right to left, digits stay Latin.
    palette : a key of ``PALETTES``, for counts.
    cells : answer of ``hexpack.pack``; "" for none.
        ``area``'s id, the number of an ``outline`` or the id of a ``line``.
        together when there are two.
    cell_km2 : mean area of a cell by resolution, km².
    panes : two maps with equal limits, classes, place and zoom.
    pick : what is picked when the map opens: a cell's ``lat``, ``lng`` and ``res``, an
        ``area``'s id, or the number of an ``outline``.

    Raises
    ------
    ValueError : two panes whose layers or images have different classes, or panes together
        with something to be shown on a single map.
    """
    if panes is None:
        shown = [Pane("", cells, cell_layer, image, tuple(numbered))]
    else:
        if cells or cell_layer or image or numbered or tracks or stops:
            raise ValueError("two panes bring their own cells, layers, images and outlines, and no lines")
        _comparable(*panes)
        shown = list(panes)
    return script_json(
        {
            "panes": [
                {
                    **_pane(pane),
                    "tracks": None if tracks is None else pack_tracks(tracks),
                    "stops": None if stops is None else pack_stops(stops),
                }
                for pane in shown
            ],
            "limits": {str(r): list(v) for r, v in (limits or {}).items()},
            "km2": {str(r): v for r, v in (cell_km2 or {}).items()},
            "areas": {
                "rings": outlines.rings,
                "ids": outlines.ids,
                "at": outlines.labels.round(5).tolist(),
                "names": [label.name for label in labels],
                "counts": [label.count for label in labels],
                "km2": [round(label.km2, 4) for label in labels],
            },
            "minor": None
            if minor is None
            else {"rings": minor.rings, "at": minor.labels.round(5).tolist(), "names": list(minor_names)},
            "bounds": bounds,
            "extent": extent,
            "fit": fit,
            "words": words,
            "language": language,
            "rtl": language == "ar",
            "colours": PALETTES[palette],
            "pick": pick,
            "opacity": OPACITY_OVER_TILES if over_tiles else 1,
            "tiles": over_tiles,
        }
    )


def _comparable(first: Pane, second: Pane) -> None:
    """Two maps are compared by colour, so a colour must mean the same on both."""
    classes = [
        None if pane.layer is None else [(c.code, c.light, c.dark, c.mark) for c in pane.layer.legend]
        for pane in (first, second)
    ]
    if classes[0] != classes[1]:
        raise ValueError("two maps side by side need the same classes in the same order")
    ramps = [None if pane.image is None else pane.image.legend for pane in (first, second)]
    if ramps[0] != ramps[1]:
        raise ValueError("two images side by side need the same legend")


def _pane(pane: Pane) -> dict[str, Any]:
    """What one map shows, ready for JSON."""
    packed = pack_numbered(pane.outlines) if pane.outlines else None
    return {
        "heading": pane.heading,
        "cells": pane.cells,
        "layer": None if pane.layer is None else _layer(pane.layer),
        "image": None if pane.image is None else _image(pane.image),
        "numbered": packed
        and {
            "rings": packed.rings,
            "at": packed.labels.round(5).tolist(),
            "ids": packed.ids,
            "names": [outline.label for outline in pane.outlines],
        },
    }


def _layer(layer: CellLayer) -> dict[str, Any]:
    some = np.sort(layer.cells)[:: max(1, len(layer.cells) // SIZED)]
    return {
        "title": layer.title,
        "cells": pack_layer(layer),
        "km2": round(float(areas_km2(some).mean()), 6) if len(some) else 0,
        "legend": [[c.label, c.light, c.dark, c.mark, c.count] for c in layer.legend],
        "readings": [reading.label for reading in layer.readings],
    }


def _image(image: ImageLayer) -> dict[str, Any]:
    return {
        "title": image.title,
        "png": base64.b64encode(image.png).decode("ascii"),
        "bounds": image.bounds,
        "legend": image.legend,
        "grey": image.grey,
    }


def feature_group(data: str) -> folium.FeatureGroup:
    """The payload as a feature group, for ``st_folium(feature_group_to_add=…)``."""
    group = folium.FeatureGroup(name="rasd")
    HexData(data).add_to(group)
    return group
