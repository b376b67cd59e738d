"""Styles as QGIS keeps them (QML), so that a layer opens drawn as the page draws it.

Written: the symbology part of QML of QGIS 3 (a ``renderer-v2`` with its classes and one
symbol for each). Source: the element and attribute names that QGIS 3.x writes itself.
Caveat: classes are fixed numbers, made from the data of the day; they do not move with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

VERSION = "3.28"
DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
_MOST = 1e12  # QGIS draws nothing of a class without an end
Kind = Literal["fill", "marker"]


@dataclass(frozen=True, slots=True)
class Look:
    """How one class is drawn.

    Attributes
    ----------
    colour : of the fill, as #rrggbb. shape : of a marker, a name that QGIS knows.
    size : of a marker, mm. opacity : 0 to 1.
    """

    colour: str
    shape: str = "circle"
    size: float = 2.0
    opacity: float = 1.0


def graduated(column: str, limits: Sequence[float], looks: Sequence[Look], kind: Kind) -> str:
    """A style by classes of a number.

    Parameters
    ----------
    limits : (k + 1,) ascending; class i runs from ``limits[i]`` to ``limits[i + 1]``, which may
        be infinite for the last.
    looks : (k,) one for each class.
    """
    if len(limits) != len(looks) + 1 or list(limits) != sorted(set(limits)):
        raise ValueError(f"{len(looks)} classes need {len(looks) + 1} ascending limits, not {list(limits)}")
    root, renderer = _document("graduatedSymbol", column)
    renderer.set("graduatedMethod", "GraduatedColor")
    ranges = ElementTree.SubElement(renderer, "ranges")
    for number in range(len(looks)):
        low, high = limits[number], limits[number + 1]
        ElementTree.SubElement(
            ranges,
            "range",
            symbol=str(number),
            lower=f"{low:.15f}",
            upper=f"{min(high, _MOST):.15f}",
            label=f"{low:,.6g} – {high:,.6g}" if math.isfinite(high) else f"> {low:,.6g}",
            render="true",
        )
    return _finished(root, renderer, looks, kind)


def categorized(column: str, categories: Sequence[tuple[str, str, Look]], kind: Kind) -> str:
    """A style by values: (value, label, look) of each; "" is drawn for all others."""
    root, renderer = _document("categorizedSymbol", column)
    listed = ElementTree.SubElement(renderer, "categories")
    for number, (value, label, _) in enumerate(categories):
        ElementTree.SubElement(
            listed, "category", symbol=str(number), value=value, label=label, render="true", type="string"
        )
    return _finished(root, renderer, [look for *_, look in categories], kind)


def single(look: Look, kind: Kind) -> str:
    """A style that draws everything alike."""
    root, renderer = _document("singleSymbol", None)
    return _finished(root, renderer, [look], kind)


def _document(renderer: str, column: str | None) -> tuple[ElementTree.Element, ElementTree.Element]:
    root = ElementTree.Element("qgis", version=VERSION, styleCategories="Symbology")
    found = ElementTree.SubElement(
        root, "renderer-v2", type=renderer, forceraster="0", symbollevels="0", enableorderby="0"
    )
    if column is not None:
        found.set("attr", column)
    return root, found


def _finished(
    root: ElementTree.Element, renderer: ElementTree.Element, looks: Sequence[Look], kind: Kind
) -> str:
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, look in enumerate(looks):
        _symbol(symbols, str(number), look, kind)
    ElementTree.SubElement(root, "blendMode").text = "0"
    ElementTree.SubElement(root, "featureBlendMode").text = "0"
    ElementTree.SubElement(root, "layerGeometryType").text = {"marker": "0", "fill": "2"}[kind]
    ElementTree.indent(root)
    return f"{DOCTYPE}\n{ElementTree.tostring(root, encoding='unicode')}\n"


def _symbol(symbols: ElementTree.Element, name: str, look: Look, kind: Kind) -> None:
    symbol = ElementTree.SubElement(
        symbols, "symbol", type=kind, name=name, alpha=f"{look.opacity:g}", clip_to_extent="1", force_rhr="0"
    )
    drawn = "SimpleMarker" if kind == "marker" else "SimpleFill"
    layer = ElementTree.SubElement(
        symbol, "layer", {"class": drawn, "enabled": "1", "locked": "0", "pass": "0"}
    )
    options = ElementTree.SubElement(layer, "Option", type="Map")
    values = {
        "color": _rgba(look.colour),
        "outline_color": "255,255,255,255" if kind == "marker" else "70,70,70,120",
        "outline_style": "solid",
        "outline_width": "0.2" if kind == "marker" else "0.1",
        "outline_width_unit": "MM",
    }
    if kind == "marker":
        values |= {
            "name": look.shape,
            "size": f"{look.size:g}",
            "size_unit": "MM",
            "scale_method": "diameter",
        }
    else:
        values |= {"style": "solid", "joinstyle": "bevel"}
    for key in sorted(values):
        ElementTree.SubElement(options, "Option", type="QString", name=key, value=values[key])


def _rgba(colour: str) -> str:
    """QGIS's spelling of a colour: red, green, blue, opacity from 0 to 255."""
    return ",".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5)) + ",255"
