"""H3 cells as int64 arrays: index, parents, children, areas, centres, outlines.

Indexing and outlines come from ``h3ronpy`` (H3 4, vectorised); parents, child ranges and
roll-ups are bit arithmetic on the index (H3 core library, "H3Index representations").
The parent of a cell at resolution r, the same in numpy and in SQL, is
``(cell & ~(15 << 52)) | (r << 52) | ((1 << 3 * (15 - r)) - 1)``.
Caveat: H3 cells nest only approximately. The parent of a point's cell is not always the
coarse cell that holds the point, so counts rolled up differ slightly at cell edges.
"""

from __future__ import annotations

from typing import Literal

import h3ronpy
import numpy as np
import numpy.typing as npt
import shapely
from h3ronpy import ContainmentMode
from h3ronpy import vector as h3_vector

from geo.errors import InputError

Cells = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FINEST = 15
_RESOLUTION_SHIFT = 52
_RESOLUTION_BITS = 15 << _RESOLUTION_SHIFT

# WGS84, and the authalic radius with which H3 computes its spherical areas (kilometres).
_A = 6378.137
_E2 = 6.69437999014e-3
_H3_RADIUS = 6371.007180918475


def _checked(resolution: int) -> int:
    if not 0 <= resolution <= FINEST:
        raise InputError(f"H3 resolution {resolution} does not exist; use 0 to {FINEST}.")
    return int(resolution)


def _unsigned(cells: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(np.asarray(cells, dtype=np.int64)).view(np.uint64)


def cells_of(lon: npt.ArrayLike, lat: npt.ArrayLike, resolution: int = 12) -> Cells:
    """Cell of each point.

    Parameters
    ----------
    lon, lat : (n,) decimal degrees, EPSG:4326
    resolution : H3 resolution, 0 to 15

    Returns
    -------
    (n,) int64; 0 where a coordinate is nan, infinite or no longitude/latitude.
    """
    x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    cells = np.zeros(len(x), dtype=np.int64)
    # H3 wraps a latitude of 91 silently to somewhere else on the globe: such points get no cell.
    inside = (np.abs(x) <= 180) & (np.abs(y) <= 90)
    usable = slice(None) if inside.all() else inside
    found = h3_vector.coordinates_to_cells(
        np.ascontiguousarray(y[usable]), np.ascontiguousarray(x[usable]), _checked(resolution)
    )
    cells[usable] = np.asarray(found).view(np.int64)
    return cells


def resolutions(cells: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Resolution of each cell, (n,) int64; -1 for 0 (no cell)."""
    array = np.asarray(cells, dtype=np.int64)
    return np.where(array == 0, -1, (array & _RESOLUTION_BITS) >> _RESOLUTION_SHIFT)


def parents(cells: npt.ArrayLike, resolution: int) -> Cells:
    """Ancestor of each cell at a coarser (or the same) resolution, (n,) int64; 0 stays 0."""
    array = np.asarray(cells, dtype=np.int64)
    r = _checked(resolution)
    finer = resolutions(array)
    if np.any((finer < r) & (array != 0)):
        raise InputError(
            f"Cells of resolution {int(finer[array != 0].min())} have no parent at resolution {r}; "
            "ask for a coarser one."
        )
    up = (array & ~np.int64(_RESOLUTION_BITS)) | np.int64(r << _RESOLUTION_SHIFT)
    up |= np.int64((1 << 3 * (FINEST - r)) - 1)
    return np.where(array == 0, np.int64(0), up)


def child_range(cell: int, resolution: int) -> tuple[int, int]:
    """Smallest and largest index (both inclusive) of a cell's descendants at ``resolution``.

    Every cell of that resolution inside the range is a descendant and the other way
    round, so ``BETWEEN low AND high`` on an indexed column is the whole test.
    """
    r = _checked(resolution)
    own = int(resolutions(np.array([cell]))[0])
    if own < 0 or r < own:
        raise InputError(f"Cell {cell:x} (resolution {own}) has no children at resolution {r}.")
    low = (int(cell) & ~_RESOLUTION_BITS) | (r << _RESOLUTION_SHIFT)
    high = low
    for level in range(own + 1, r + 1):
        shift = 3 * (FINEST - level)
        low &= ~(7 << shift)
        high = (high & ~(7 << shift)) | (6 << shift)
    return low, high


def rollup(cells: npt.ArrayLike, counts: npt.ArrayLike, resolution: int) -> tuple[Cells, npt.NDArray]:
    """Sum counts by parent cell.

    Parameters
    ----------
    cells : (n,) int64, at ``resolution`` or finer; 0 (no cell) is left out
    counts : (n,) or (n, k) numbers
    resolution : of the result

    Returns
    -------
    cells : (m,) int64, sorted and unique
    counts : (m,) or (m, k), of the dtype of the counts given
    """
    up, values = parents(cells, resolution), np.asarray(counts)
    order = np.argsort(up, kind="stable")
    order = order[np.searchsorted(up[order], 1) :]
    if not len(order):
        return np.zeros(0, dtype=np.int64), values[:0]
    up = up[order]
    starts = np.flatnonzero(np.r_[True, up[1:] != up[:-1]])
    return up[starts], np.add.reduceat(values[order], starts, axis=0)


def areas_km2(cells: npt.ArrayLike) -> Floats:
    """Area of each cell on the WGS84 ellipsoid, (n,) km²; nan for 0.

    H3 reads geodetic latitude as latitude on a sphere. The spherical area is corrected
    by M(lat)·N(lat)/R², the ratio of the ellipsoid's area element to the sphere's: at
    resolution 5 and finer this agrees with the geodesic polygon area to 1 in 10,000.
    """
    array = np.asarray(cells, dtype=np.int64)
    areas = np.full(len(array), np.nan)
    real = array != 0
    if real.any():
        _, lat = centres(array[real])
        curvature = 1 - _E2 * np.sin(np.radians(lat)) ** 2
        ratio = _A**2 * (1 - _E2) / curvature**2 / _H3_RADIUS**2
        areas[real] = np.asarray(h3ronpy.cells_area_km2(_unsigned(array[real]))) * ratio
    return areas


def centres(cells: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Longitude and latitude of the cells' centres, each (n,) decimal degrees; nan for 0."""
    array = np.asarray(cells, dtype=np.int64)
    lon, lat = np.full(len(array), np.nan), np.full(len(array), np.nan)
    real = array != 0
    if real.any():
        found = h3_vector.cells_to_coordinates(_unsigned(array[real]))
        lon[real], lat[real] = np.asarray(found["lng"]), np.asarray(found["lat"])
    return lon, lat


def to_text(cells: npt.ArrayLike) -> list[str]:
    """Cells in H3's usual notation (15 hexadecimal digits); '' for 0."""
    return [f"{cell:x}" if cell else "" for cell in np.asarray(cells, dtype=np.int64).tolist()]


def from_text(texts: list[str]) -> Cells:
    """Cells from H3's usual notation, (n,) int64; raises InputError on anything else."""
    parsed = np.zeros(len(texts), dtype=np.int64)
    for i, text in enumerate(texts):
        try:
            parsed[i] = int(text, 16) if text else 0
        except (ValueError, OverflowError):
            raise InputError(f"'{text}' is no H3 cell; it should be 15 hexadecimal digits.") from None
    real = parsed != 0
    if real.any():
        valid = np.asarray(h3ronpy.cells_valid(_unsigned(parsed[real]), booleanarray=True))
        if not valid.all():
            wrong = np.array(texts, dtype=object)[real][~valid][0]
            raise InputError(f"'{wrong}' is no H3 cell; it should be 15 hexadecimal digits.")
    return parsed


def boundaries(cells: npt.ArrayLike) -> npt.NDArray:
    """Outline of each cell, (n,) shapely polygons in EPSG:4326.

    Edges are straight in degrees; a cell that crosses the antimeridian comes out as a
    polygon that spans the globe, as H3 gives it.
    """
    array = np.asarray(cells, dtype=np.int64)
    if not len(array):
        return np.array([], dtype=object)
    if (array == 0).any():
        raise InputError("Cell 0 stands for 'no cell' and has no outline; leave it out.")
    wkb = h3_vector.cells_to_wkb_polygons(_unsigned(array))
    return shapely.from_wkb(np.asarray(wkb))


def cells_covering(
    polygon: shapely.Geometry, resolution: int, mode: Literal["centre", "touch"] = "centre"
) -> Cells:
    """Cells of a polygon, sorted int64.

    Parameters
    ----------
    polygon : shapely (multi)polygon, EPSG:4326
    mode : 'centre' gives cells whose centre lies inside (they partition neighbouring
        polygons: no cell twice); 'touch' gives every cell that shares any point
    """
    if mode not in ("centre", "touch"):
        raise InputError(f"Mode '{mode}' is unknown; use 'centre' or 'touch'.")
    if polygon.is_empty:
        return np.zeros(0, dtype=np.int64)
    containment = ContainmentMode.ContainsCentroid if mode == "centre" else ContainmentMode.Covers
    found = h3_vector.geometry_to_cells(polygon, _checked(resolution), containment)
    return np.unique(np.asarray(found).view(np.int64))
