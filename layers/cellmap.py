"""What a method puts on the map: classed cells, an image, numbered outlines, two maps side by side.

A ``CellLayer`` holds one class a cell and up to four readings that are shown on hover; its
legend says every class in words, with colour, mark and number of cells. Packed as in
``layers/hexpack.py`` and deflated (zlib), so 60,000 cells with two readings stay near
300 kB. Caveat: a reading reaches the screen rounded to its digits; tables and downloads
hold the full number.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import geopandas as gpd
import h3.api.numpy_int as h3
import numpy as np
import shapely
from numpy.typing import NDArray

from geo.cells import resolutions
from layers.hexpack import Level, number, pack_level, varints, zigzag
from layers.outlines import Outlines, pack_outlines
from layers.palettes import Mark, Shade

MARKS: tuple[str, ...] = get_args(Mark)
MAX_CLASSES = 64
MAX_READINGS = 4
MAX_DIGITS = 6
MAX_PACKED = 80_000  # above it, cells of classes that are not drawn stay behind
OUTLINE_CORNERS = 20_000  # of all numbered outlines together
_EXACT = 2**53  # larger whole numbers are not exact in the browser

Box = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class CellClass:
    """One line of the legend.

    Attributes
    ----------
    code : short name that belongs to no language, such as ``hot99``.
    label : in the reader's language.
    light, dark : colours ``#rrggbb`` (or ``#rrggbbaa``, a tint) on a light and a dark
        screen; both "" means that the class is not drawn, though it can be read and clicked.
    mark : drawn in cells of about 7 px and more, and always in the legend.
    count : number of cells.
    """

    code: str
    label: str
    light: str
    dark: str
    mark: Mark
    count: int

    def __post_init__(self) -> None:
        if self.mark not in MARKS:
            raise ValueError(f"class {self.code}: mark {self.mark!r} is unknown; use one of {MARKS}")
        if bool(self.light) != bool(self.dark):
            raise ValueError(
                f"class {self.code}: give both colours, or neither for a class that is not drawn"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A number of every cell, shown on hover.

    Attributes
    ----------
    label : in the reader's language, with the unit.
    values : (n,) float64; nan is not shown.
    digits : after the decimal point, 0 to 6.
    """

    label: str
    values: NDArray[np.float64]
    digits: int


@dataclass(frozen=True, slots=True, eq=False)
class CellLayer:
    """Cells of one resolution with a class each.

    Attributes
    ----------
    title : of the legend, in the reader's language.
    resolution : of the cells.
    cells : (n,) int64, H3 indexes, each once, in any order.
    classes : (n,) uint8, position in ``legend``.
    legend : classes in the order of the legend, at most 64.
    readings : at most four.
    """

    title: str
    resolution: int
    cells: NDArray[np.int64]
    classes: NDArray[np.uint8]
    legend: tuple[CellClass, ...]
    readings: tuple[Reading, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.cells)
        lengths = [len(self.classes), *(len(r.values) for r in self.readings)]
        if any(length != n for length in lengths):
            raise ValueError(f"layer {self.title!r}: {n} cells, but classes and readings of {lengths}")
        if not len(self.legend) <= MAX_CLASSES or len(self.readings) > MAX_READINGS:
            raise ValueError(f"at most {MAX_CLASSES} classes and {MAX_READINGS} readings can be shown")
        if n and (resolutions(self.cells) != self.resolution).any():
            raise ValueError(f"layer {self.title!r}: not every cell is of resolution {self.resolution}")
        held = np.bincount(self.classes, minlength=len(self.legend))
        if len(held) > len(self.legend):
            raise ValueError(f"class {len(held) - 1} is not in the legend of {len(self.legend)}")
        wrong = [c.code for c, k in zip(self.legend, held, strict=True) if c.count != k]
        if wrong:
            raise ValueError(f"the legend's counts of {wrong} are not those of the cells")


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """A raster under the outlines, such as a density.

    Attributes
    ----------
    title : of the legend, with the unit.
    png : rows from north to south, evenly spaced in latitude, columns in longitude
        (EPSG:4326). A greyscale PNG holds classes, 0 for nothing and k for ``legend[k - 1]``,
        and is coloured for the screen; any other is drawn as it is. See ``image``.
    bounds : ((south, west), (north, east)) of the image's outer edges, decimal degrees.
    legend : (label, light, dark) from low to high, drawn as one ramp; a label stands at its
        colour's lower end and may be "".
    """

    title: str
    png: bytes
    bounds: Box
    legend: tuple[tuple[str, str, str], ...]

    @property
    def grey(self) -> bool:
        """Whether the image holds classes: PNG's colour type, the tenth byte of its header, is 0."""
        return len(self.png) > 25 and self.png[25] == 0


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A numbered set of cells, drawn as one bold line around them; a click names it.

    Attributes
    ----------
    number : shown on the map, at least 1, each once.
    label : in the reader's language, shown on hover.
    cells : (k,) int64 of one resolution, at least one.
    """

    number: int
    label: str
    cells: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pane:
    """One of two maps side by side: its heading, and what it shows instead of the other's.

    Attributes
    ----------
    heading : such as the period or the element, in the reader's language.
    cells : answer of ``hexpack.pack``; "" when a layer or an image is shown.
    layer, image, outlines : as for a single map.
    """

    heading: str
    cells: str = ""
    layer: CellLayer | None = None
    image: ImageLayer | None = None
    outlines: tuple[Outline, ...] = ()


def classed(
    title: str,
    resolution: int,
    cells: NDArray[np.int64],
    classes: NDArray[np.integer],
    legend: Sequence[tuple[str, str, Shade]],
    readings: Sequence[Reading] = (),
) -> CellLayer:
    """A layer whose legend counts its own cells.

    Parameters
    ----------
    classes : (n,) position in ``legend``.
    legend : (code, label in the reader's language, shade) of each class.
    """
    held = np.bincount(np.asarray(classes, dtype=np.int64), minlength=len(legend)).tolist()
    if len(held) > len(legend):
        raise ValueError(f"class {len(held) - 1} is not in the legend of {len(legend)}")
    return CellLayer(
        title,
        resolution,
        np.asarray(cells, dtype=np.int64),
        np.asarray(classes).astype(np.uint8),
        tuple(
            CellClass(code, label, shade.light, shade.dark, shade.mark, held[k])
            for k, (code, label, shade) in enumerate(legend)
        ),
        tuple(readings),
    )


def _column(reading: Reading, order: NDArray[np.int64]) -> bytes:
    """Digits, then one number a cell: 0 for nan, else the rounded value, zigzag, plus 1."""
    if not 0 <= reading.digits <= MAX_DIGITS:
        raise ValueError(f"reading {reading.label!r}: {reading.digits} digits; use 0 to {MAX_DIGITS}")
    values = np.asarray(reading.values, dtype=np.float64)[order] * 10.0**reading.digits
    there = ~np.isnan(values)
    if (np.abs(values[there]) >= _EXACT / 4).any():
        raise ValueError(f"reading {reading.label!r} has a value that is too large to be shown")
    steps = np.zeros(len(values), dtype=np.int64)
    steps[there] = zigzag(np.rint(values[there]).astype(np.int64)) + 1
    return number(reading.digits) + varints(steps)


def pack_layer(layer: CellLayer) -> str:
    """A layer's cells, classes and readings as base64 of a zlib stream.

    Of a layer with more than 80,000 cells, those that are not drawn stay behind: the legend
    counts them, but they cannot be read or clicked.
    """
    order = np.argsort(layer.cells)
    if len(order) > MAX_PACKED:
        drawn = np.array([bool(c.light) for c in layer.legend])
        order = order[drawn[layer.classes[order]]]
    nowhere = np.zeros(len(order), dtype=np.int64)  # the browser finds a cell's area by its place
    level = Level(layer.cells[order], layer.classes[order].astype(np.int64), nowhere)
    body = b"".join(
        [
            pack_level(layer.resolution, level),
            number(len(layer.readings)),
            *(_column(reading, order) for reading in layer.readings),
        ]
    )
    return base64.b64encode(zlib.compress(body, 6)).decode("ascii")


def dissolve(cells: NDArray[np.int64]) -> shapely.Geometry:
    """The outline of a set of cells of one resolution: (multi)polygon with holes, EPSG:4326.

    Raises
    ------
    ValueError : no cell, or cells of several resolutions.
    """
    unique = np.unique(np.asarray(cells, dtype=np.int64))
    if not len(unique) or len(np.unique(resolutions(unique))) != 1:
        raise ValueError("an outline needs cells of one resolution, at least one")
    return shapely.geometry.shape(h3.cells_to_h3shape(unique.view(np.uint64)).__geo_interface__)


def pack_numbered(outlines: Sequence[Outline]) -> Outlines:
    """Numbered outlines packed like areas; ``ids`` are the numbers."""
    numbers = [outline.number for outline in outlines]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"a number stands for two outlines: {numbers}")
    shapes = [dissolve(outline.cells) for outline in outlines]
    frame = gpd.GeoDataFrame({"id": numbers}, geometry=shapes, crs="EPSG:4326")
    return pack_outlines(frame, OUTLINE_CORNERS)


def grey_png(levels: NDArray[np.uint8]) -> bytes:
    """An 8-bit greyscale PNG of (height, width) levels, first row on top (W3C PNG, 3rd ed.)."""
    if levels.ndim != 2 or 0 in levels.shape:
        raise ValueError(f"an image needs rows and columns, not the shape {levels.shape}")
    height, width = levels.shape
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = levels

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(rows.tobytes(), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def image(
    title: str, levels: NDArray[np.uint8], bounds: Box, legend: Sequence[tuple[str, str, str]]
) -> ImageLayer:
    """An image of classes that has its own colours on a light and on a dark screen.

    Parameters
    ----------
    levels : (height, width), first row in the north; 0 for nothing, k for ``legend[k - 1]``.
    bounds, legend : see ``ImageLayer``.
    """
    if levels.size and int(levels.max()) > len(legend):
        raise ValueError(f"level {int(levels.max())} is not in the legend of {len(legend)}")
    return ImageLayer(title, grey_png(np.asarray(levels, dtype=np.uint8)), bounds, tuple(legend))
