"""Packs counts by H3 cell, at several resolutions, into a short text for the browser.

Per level: the cells' centres as integers of 1e-5 degree (about 1 m), in H3 order as
zigzag differences in varints; counts; runs of the cells' areas (municipalities); and one
outline of six corners per coarse parent, which all cells below it share. 60,000 cells
are about 400 kB of base64. Column by column, so that numpy packs and gzip finds patterns.
Caveat: a shared outline differs from the true one by less than a pixel; pentagons (twelve
on earth, all but one at sea) are drawn as hexagons.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h3
import numpy as np
from numpy.typing import NDArray

from geo.cells import areas_km2, centres, parents

DEGREE = 100_000  # steps a degree, of centres
SHAPE_DEGREE = 1_000_000  # steps a degree, of corners around a centre
FINEST_SHAPE_PARENT = 5  # outlines and sizes are shared below parents about 18 km across
SIZED = 16  # cells of a shared outline whose size is looked up
MAX_SHAPES = 300  # of a level; a larger territory shares them more widely


@dataclass(frozen=True, slots=True)
class Level:
    """Counts at one resolution.

    Attributes
    ----------
    cells : (k,) int64, H3 indexes of one resolution, in any order.
    counts : (k,) int64, at least 0.
    areas : (k,) int64, position in the list of areas plus 1; 0 for none.
    """

    cells: NDArray[np.int64]
    counts: NDArray[np.int64]
    areas: NDArray[np.int64]


def varints(values: NDArray[np.int64]) -> bytes:
    """Unsigned integers (n,) as LEB128: seven bits a byte, the low ones first."""
    rest = np.ascontiguousarray(values, dtype=np.uint64)
    if rest.size == 0:
        return b""
    sizes = np.ones(rest.size, dtype=np.int64)
    top = int(rest.max())
    shift = 7
    while top >> shift:
        sizes += rest >= np.uint64(1 << shift)
        shift += 7
    starts = np.concatenate(([0], np.cumsum(sizes)))
    out = np.zeros(int(starts[-1]), dtype=np.uint8)
    live = np.arange(rest.size)
    for place in range(int(sizes.max())):
        live = live[sizes[live] > place]
        more = (sizes[live] > place + 1).astype(np.uint8) << 7
        out[starts[live] + place] = (rest[live] & np.uint64(127)).astype(np.uint8) | more
        rest[live] >>= np.uint64(7)
    return out.tobytes()


def zigzag(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Signed (n,) to unsigned (n,): 0, -1, 1, -2 … become 0, 1, 2, 3 …"""
    values = np.asarray(values, dtype=np.int64)
    return (values << 1) ^ (values >> 63)


def deltas(values: NDArray[np.int64]) -> bytes:
    """Differences between neighbours of (n,), zigzag and varint."""
    return varints(zigzag(np.diff(values, prepend=np.int64(0))))


def runs(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Run lengths of (n,): the values of the runs and how long each is."""
    if values.size == 0:
        return values, values
    edges = np.flatnonzero(np.diff(values)) + 1
    bounds = np.concatenate(([0], edges, [values.size]))
    return values[bounds[:-1]], np.diff(bounds)


def number(*values: int) -> bytes:
    """Single unsigned integers as varints."""
    return varints(np.array(values, dtype=np.int64))


def cell_at(lat: float, lng: float, resolution: int) -> int:
    """H3 cell as an integer at a point (decimal degrees): the way back from a click."""
    return h3.str_to_int(h3.latlng_to_cell(lat, lng, resolution))


def is_cell(index: int) -> bool:
    """Whether an integer is an H3 cell; any integer may be asked about."""
    return 0 < index < 1 << 63 and h3.is_valid_cell(h3.int_to_str(index))


def cell_point(cell: int) -> tuple[float, float, int]:
    """Latitude, longitude (decimal degrees) and resolution of a cell."""
    name = h3.int_to_str(cell)
    lat, lng = h3.cell_to_latlng(name)
    return lat, lng, h3.get_resolution(name)


def _shape(coarse: int, resolution: int) -> list[int]:
    """Corners around the centre, 12 integers (x and y in turn), of a cell below ``coarse``."""
    child = h3.cell_to_center_child(h3.int_to_str(coarse), resolution)
    lat, lng = h3.cell_to_latlng(child)
    corners = h3.cell_to_boundary(child)
    if len(corners) != 6:  # crosses an edge of the icosahedron, or a pentagon
        corners = tuple(corners[round(i * len(corners) / 6) % len(corners)] for i in range(6))
    return [round(v * SHAPE_DEGREE) for y, x in corners for v in (x - lng, y - lat)]


def pack_level(resolution: int, level: Level) -> bytes:
    """One level in order of cell, before base64; see the module's first lines."""
    order = np.argsort(level.cells)
    cells = level.cells[order]
    lng, lat = centres(cells)
    for step in range(min(resolution, FINEST_SHAPE_PARENT), -1, -1):
        coarse, lengths = runs(parents(cells, step))
        if len(coarse) <= MAX_SHAPES:
            break
    shapes = np.array([_shape(int(c), resolution) for c in coarse], dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    # Below one parent the cells' areas differ by less than 1 %, so some of them stand for all.
    some = starts[:, None] + np.arange(SIZED) * lengths[:, None] // SIZED
    sizes = areas_km2(cells[some.ravel()]).reshape(some.shape).mean(axis=1) * 1e6
    area_values, area_lengths = runs(level.areas[order])
    return b"".join(
        [
            number(resolution, len(cells), len(coarse), len(area_values)),
            varints(zigzag(shapes.ravel())),
            varints(np.rint(sizes).astype(np.int64)),
            varints(lengths),
            deltas(np.rint(lng * DEGREE).astype(np.int64)),
            deltas(np.rint(lat * DEGREE).astype(np.int64)),
            varints(level.counts[order]),
            varints(area_values),
            varints(area_lengths),
        ]
    )


def pack(levels: Mapping[int, Level]) -> str:
    """All levels, coarse to fine, as base64 (the plain alphabet, never the URL-safe one).

    Parameters
    ----------
    levels : by H3 resolution.

    Raises
    ------
    ValueError : the arrays of a level differ in length.
    """
    for resolution, level in levels.items():
        if not len(level.cells) == len(level.counts) == len(level.areas):
            raise ValueError(f"resolution {resolution}: cells, counts and areas differ in length")
    body = [number(len(levels)), *(pack_level(r, levels[r]) for r in sorted(levels))]
    return base64.b64encode(b"".join(body)).decode("ascii")


def positions(ids: NDArray[np.int64], listed: Sequence[int]) -> NDArray[np.int64]:
    """For each id (k,) its position in ``listed`` plus 1, or 0 when it is not there."""
    known = np.asarray(listed, dtype=np.int64)
    if known.size == 0:
        return np.zeros(len(ids), dtype=np.int64)
    order = np.argsort(known)
    at = np.searchsorted(known[order], ids).clip(0, known.size - 1)
    return np.where(known[order][at] == ids, order[at] + 1, 0).astype(np.int64)
