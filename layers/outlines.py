"""Packs area boundaries into a short text for the browser, simplified to a budget.

Shared borders stay shared where the areas form a clean coverage (Visvalingam-Whyatt on
the whole coverage); otherwise each ring is simplified alone (Douglas-Peucker). The
tolerance doubles until the corners fit the budget. Caveat: drawn lines may lie some
hundred metres beside the true ones in a large territory; counts by area always come from
the true boundaries, in the store.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from layers.hexpack import DEGREE, deltas, varints

if TYPE_CHECKING:
    import geopandas as gpd

FIRST_TOLERANCE = 0.00005  # degrees, about 5 m


@dataclass(frozen=True, slots=True)
class Outlines:
    """Boundaries ready for the browser.

    Attributes
    ----------
    ids : area ids, in the order of the packed rings.
    rings : base64; per area its rings, each as differences of 1e-5 degree.
    labels : (n, 2) latitude and longitude of a point well inside each area.
    corners : number of corners that were packed.
    """

    ids: tuple[int, ...]
    rings: str
    labels: NDArray[np.float64]
    corners: int


def simplify(geometries: NDArray[np.object_], budget: int) -> NDArray[np.object_]:
    """Boundaries (n,) in decimal degrees with at most about ``budget`` corners in all.

    No area is lost: one that would vanish keeps its unsimplified outline.
    """
    tolerance = FIRST_TOLERANCE
    clean = bool(shapely.coverage_is_valid(geometries))
    out = geometries
    while shapely.get_num_coordinates(out).sum() > budget and tolerance < 1:
        if clean:
            out = shapely.coverage_simplify(geometries, tolerance)
        else:
            out = shapely.simplify(geometries, tolerance, preserve_topology=True)
        tolerance *= 2
    return np.where(shapely.is_empty(out), geometries, out)


def label_points(geometries: NDArray[np.object_]) -> NDArray[np.float64]:
    """Latitude and longitude (n, 2) of the middle of the largest circle inside each area."""
    points = np.empty((len(geometries), 2))
    for i, geometry in enumerate(geometries):
        parts = shapely.get_parts(geometry)
        largest = parts[int(np.argmax(shapely.area(parts)))]
        west, south, east, north = shapely.bounds(largest)
        circle = shapely.maximum_inscribed_circle(largest, max(east - west, north - south) / 50)
        points[i] = shapely.get_coordinates(circle)[0][::-1]
    return points


def pack_outlines(areas: gpd.GeoDataFrame, budget: int = 15_000) -> Outlines:
    """Pack the boundaries of ``areas`` (columns ``id`` and ``geometry``, EPSG:4326).

    Raises
    ------
    ValueError : the CRS is not EPSG:4326.
    """
    if areas.crs is None or areas.crs.to_epsg() != 4326:
        raise ValueError(f"outlines must be in EPSG:4326, not {areas.crs}")
    ids = tuple(int(i) for i in areas["id"])
    geometries = np.asarray(areas.geometry.array, dtype=object)
    if not ids:
        return Outlines((), "", np.empty((0, 2)), 0)
    simple = simplify(geometries, budget)
    parts, owner = shapely.get_parts(simple, return_index=True)
    rings, part_of = shapely.get_rings(parts, return_index=True)
    ring_owner = owner[part_of]
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    # The closing corner repeats the first: the browser closes rings itself.
    last = np.flatnonzero(np.diff(ring_of, append=-1))
    keep = np.ones(len(xy), dtype=bool)
    keep[last] = False
    xy, ring_of = xy[keep], ring_of[keep]
    steps = np.rint(xy * DEGREE).astype(np.int64)
    body = b"".join(
        [
            varints(np.array([len(ids), len(rings)], dtype=np.int64)),
            varints(np.bincount(ring_owner, minlength=len(ids)).astype(np.int64)),
            varints(np.bincount(ring_of, minlength=len(rings)).astype(np.int64)),
            deltas(steps[:, 0]),
            deltas(steps[:, 1]),
        ]
    )
    return Outlines(ids, base64.b64encode(body).decode("ascii"), label_points(simple), len(xy))
