"""What reports are measured against, by H3 cell: people, buildings, kilometres of road, water.

Polygons with a count are spread evenly over their ground (areal weighting, Goodchild & Lam
1980) by ``tobler.area_weighted.area_interpolate``, with an area table of our own: tobler's
is in single precision and cuts every pair, ours is in double precision in an equal-area
projection and cuts only pairs across an edge. Lines are cut at the cells' borders and
measured on the ellipsoid (Karney 2013). Totals are kept: what lies in no cell is returned
as such. Caveat: areal weighting assumes that people live evenly all over their census
block, its parks and water included.
"""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import shapely
from pyproj import CRS, Geod, Transformer

from geo.cells import (
    Cells,
    areas_km2,
    boundaries,
    cells_covering,
    cells_of,
    parents,
    resolutions,
    rollup,
)

Floats = npt.NDArray[np.float64]
Shapes = npt.NDArray[np.object_]

FINEST = 10  # the finest resolution at which reports are kept for questions
MOST_CELLS = 250_000
NEAR_M = 2000.0  # as far outside the study area exposure is kept: coarse cells reach over its edge
_EQUAL_AREA = CRS.from_epsg(6933)  # cylindrical equal-area on WGS84
_PIECE = 256  # vertices from which a polygon is cut into pieces before it meets many cells
_MEAN_KM2 = {r: 4_357_449.416 / 7**r for r in range(16)}  # H3's mean hexagon areas
_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True)
class Spread:
    """A quantity by cell.

    Attributes
    ----------
    cells : (n,) int64, ascending, of one resolution.
    values : (n,) float64, above 0.
    read : total of what was handed in.
    lost : of it, what lies in none of the cells looked at; values.sum() + lost = read.
    """

    cells: Cells
    values: Floats
    read: float
    lost: float


def resolution_for(km2: float, source_km2: float | None = None) -> int:
    """The finest resolution, at most 10, with at most 250,000 cells on ``km2`` of ground.

    10 because reports are kept to that resolution for questions, so nothing finer is ever
    asked for. ``source_km2`` is the ground of one value of the source (a pixel): cells
    are not made smaller than that.
    """
    fits = [r for r in range(FINEST + 1) if km2 / _MEAN_KM2[r] <= MOST_CELLS]
    if source_km2 is not None:
        fits = [r for r in fits if _MEAN_KM2[r] >= source_km2] or [0]
    return max(fits, default=0)


def nearby(area: shapely.Geometry, resolution: int) -> Cells:
    """Cells that share ground with a study area (EPSG:4326) or lie within 2 km of it, ascending."""
    metric = gpd.GeoSeries([area], crs="EPSG:4326")
    flat = metric.to_crs(metric.estimate_utm_crs())
    wide = flat.simplify(50).buffer(NEAR_M + 50, quad_segs=4).to_crs("EPSG:4326").iloc[0]
    return np.unique(
        np.concatenate([cells_covering(wide, resolution, "touch"), cells_covering(area, resolution, "touch")])
    )


def of_points(
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    values: npt.ArrayLike | None,
    resolution: int,
    within: Cells | None,
) -> Spread:
    """Sum of values (1 each when left out) by the cell of each point (n,), EPSG:4326."""
    cells = cells_of(lon, lat, resolution)
    amounts = np.ones(len(cells)) if values is None else np.asarray(values, dtype=np.float64)
    return of_cells(cells, amounts, resolution, within)


def of_cells(cells: npt.ArrayLike, values: npt.ArrayLike, resolution: int, within: Cells | None) -> Spread:
    """Sum of values (n,) by cell at ``resolution``; the cells given are of that one or finer."""
    amounts = np.asarray(values, dtype=np.float64)
    up, sums = rollup(cells, amounts, resolution)
    return _kept(up, sums, float(amounts.sum()), within)


def of_polygons(polygons: npt.ArrayLike, values: npt.ArrayLike, within: Cells) -> Spread:
    """Counts of polygons spread over the cells by share of ground (extensive).

    Parameters
    ----------
    polygons : (n,) valid shapely (multi)polygons, EPSG:4326.
    values : (n,) at least 0.
    within : (m,) cells to spread to, ascending, one resolution; what a polygon has outside
        them is ``lost``.
    """
    from tobler.area_weighted import area_interpolate  # 2 s to import

    amounts = np.asarray(values, dtype=np.float64)
    total = float(amounts.sum())
    sources = _flat(np.asarray(polygons, dtype=object))
    targets = _flat(boundaries(within))
    if not len(sources) or not len(targets):
        return Spread(np.zeros(0, dtype=np.int64), np.zeros(0), total, total)
    estimates = area_interpolate(
        gpd.GeoDataFrame({"value": amounts}, geometry=sources, crs=_EQUAL_AREA),
        gpd.GeoDataFrame(geometry=targets, crs=_EQUAL_AREA),
        extensive_variables=["value"],
        # A polygon that reaches beyond the cells leaves that part of its count outside.
        allocate_total=False,
        table=overlaps_m2(sources, targets),
    )
    return _kept(within, np.asarray(estimates["value"], dtype=np.float64), total, None)


def overlaps_m2(sources: Shapes, targets: Shapes) -> sp.csr_matrix:
    """Common ground of each pair, (n, m) sparse, in the unit of the (equal-area) coordinates."""
    pieces, owner = _pieces(sources)
    piece, target = shapely.STRtree(targets).query(pieces, predicate="intersects")
    shapely.prepare(pieces)
    shapely.prepare(targets)
    swallowed = shapely.covers(pieces[piece], targets[target])
    within = ~swallowed & shapely.covers(targets[target], pieces[piece])
    common = np.empty(len(piece))
    common[swallowed] = shapely.area(targets[target[swallowed]])
    common[within] = shapely.area(pieces[piece[within]])
    cut = ~swallowed & ~within
    common[cut] = shapely.area(shapely.intersection(pieces[piece[cut]], targets[target[cut]]))
    # A matrix, not an array: tobler's sums rely on it. Pieces of one source are added up.
    return sp.coo_matrix((common, (owner[piece], target)), shape=(len(sources), len(targets))).tocsr()


def of_water(polygons: npt.ArrayLike, within: Cells) -> Spread:
    """km² of each cell that is covered by (multi)polygons, overlaps counted once. EPSG:4326, valid."""
    shapes = np.asarray(polygons, dtype=object)
    near = shapes[_meets(shapes, within)]
    water = _flat(np.array([shapely.union_all(near)], dtype=object)) if len(near) else near
    whole = float(shapely.area(_flat(np.array([shapely.union_all(shapes)], dtype=object))).sum()) / 1e6
    if not len(water) or not len(within):
        return Spread(np.zeros(0, dtype=np.int64), np.zeros(0), whole, whole)
    covered = np.asarray(overlaps_m2(water, _flat(boundaries(within))).sum(axis=0)).ravel() / 1e6
    return _kept(within, covered, whole, None)


def of_lines(lines: npt.ArrayLike, resolution: int, within: Cells | None) -> Spread:
    """Kilometres of lines in each cell.

    Parameters
    ----------
    lines : (n,) shapely (multi)linestrings, EPSG:4326; other types have no length here.
    within : (m,) cells of ``resolution``, ascending; None keeps every cell.
    """
    starts, ends = _segments(np.asarray(lines, dtype=object))
    km = _GEOD.inv(starts[:, 0], starts[:, 1], ends[:, 0], ends[:, 1])[2] / 1000
    total = float(km.sum())
    if not len(km):
        return Spread(np.zeros(0, dtype=np.int64), np.zeros(0), total, total)
    first = cells_of(starts[:, 0], starts[:, 1], resolution)
    # Cells are convex: a segment with both ends in one cell lies in it.
    whole = first == cells_of(ends[:, 0], ends[:, 1], resolution)
    cells, amounts = [first[whole]], [km[whole]]
    crossing = np.flatnonzero(~whole)
    if len(crossing):
        pieces = shapely.linestrings(np.stack([starts[crossing], ends[crossing]], axis=1))
        candidates = _along(starts[crossing], ends[crossing], resolution)
        outlines = boundaries(candidates)
        segment, cell = shapely.STRtree(outlines).query(pieces, predicate="intersects")
        share = shapely.length(shapely.intersection(pieces[segment], outlines[cell]))
        # Shares of the segment's own pieces: along a common border both cells get half.
        parts = np.bincount(segment, share, minlength=len(crossing))
        cells.append(candidates[cell])
        amounts.append(km[crossing[segment]] * share / parts[segment])
    summed, values = rollup(np.concatenate(cells), np.concatenate(amounts), resolution)
    return _kept(summed, values, total, within)


def at_resolution(stored: Cells, values: Floats, cells: npt.ArrayLike, resolution: int) -> Floats:
    """Values of stored cells (m,) for other cells (n,) of ``resolution``; 0 where nothing is stored.

    Coarser cells get the sum of what is stored in them; finer ones an even share of their
    ancestor's (a seventh per step).
    """
    wanted = np.asarray(cells, dtype=np.int64)
    if not len(stored) or not len(wanted):
        return np.zeros(len(wanted))
    own = int(resolutions(stored[:1])[0])
    if resolution <= own:
        up, sums = rollup(stored, values, resolution)
        return _found(up, sums, wanted)
    return _found(stored, values, parents(wanted, own)) / 7.0 ** (resolution - own)


def subpixels(width_km2: float, resolution: int, sixteenth: float = 16.0) -> int:
    """Into how many rows (and columns) a pixel is cut, so that a part is a sixteenth of a cell or less."""
    return int(np.clip(np.ceil(np.sqrt(width_km2 * sixteenth / _MEAN_KM2[resolution])), 1, 64))


def lattice(lon: Floats, lat: Floats) -> tuple[float, float] | None:
    """Spacing (degrees east, north) of points (n,) on a regular grid; None when they are on none."""
    if len(lon) < 9:
        return None
    spacing = []
    for axis in (lon, lat):
        places = np.unique(np.round(axis, 7))
        gaps = np.diff(places)
        if not len(gaps):
            return None
        step = float(np.median(gaps))
        offset = (places - places[0]) / step
        # Files round their coordinates: a twentieth of a step is forgiven.
        if np.mean(np.abs(offset - np.round(offset)) < 0.05) < 0.99:
            return None
        spacing.append(((places[-1] - places[0]) / max(round(offset[-1]), 1), round(offset[-1]) + 1))
    (east, columns), (north, rows) = spacing
    # Points at random places are on no grid, even if their coordinates have few digits.
    return (east, north) if len(lon) >= 0.02 * columns * rows else None


def _found(stored: Cells, values: Floats, wanted: Cells) -> Floats:
    at = np.minimum(np.searchsorted(stored, wanted), len(stored) - 1)
    return np.where(stored[at] == wanted, values[at], 0.0)


def _kept(cells: Cells, values: Floats, total: float, within: Cells | None) -> Spread:
    keep = values > 0
    if within is not None:
        at = np.minimum(np.searchsorted(within, cells), max(len(within) - 1, 0))
        keep &= within[at] == cells if len(within) else np.zeros(len(cells), dtype=bool)
    kept = values[keep]
    lost = total - float(kept.sum())
    # Sums of many parts differ by rounding: a billionth of the total is nothing lost.
    return Spread(cells[keep], kept, total, lost if lost > 1e-9 * max(total, 1e-300) else 0.0)


def _flat(shapes: Shapes) -> Shapes:
    """Shapes of EPSG:4326 in the equal-area projection, metres."""
    project = Transformer.from_crs("EPSG:4326", _EQUAL_AREA, always_xy=True)
    return np.asarray(
        shapely.transform(
            shapes, lambda points: np.column_stack(project.transform(points[:, 0], points[:, 1]))
        )
    )


def _meets(shapes: Shapes, cells: Cells) -> npt.NDArray[np.bool_]:
    """Which shapes reach into the box of the cells; the others cannot matter."""
    if not len(cells):
        return np.zeros(len(shapes), dtype=bool)
    box = shapely.box(*shapely.total_bounds(boundaries(cells)))
    return np.asarray(shapely.intersects(shapes, box), dtype=bool)


def _pieces(shapes: Shapes) -> tuple[Shapes, npt.NDArray[np.int64]]:
    """Shapes with many vertices cut into halves, again and again; and whose piece each is."""
    owner = np.arange(len(shapes))
    done: list[Shapes] = []
    owners: list[npt.NDArray[np.int64]] = []
    current = shapes
    for _ in range(24):
        large = shapely.get_num_coordinates(current) > _PIECE
        done.append(current[~large])
        owners.append(owner[~large])
        current, owner = current[large], owner[large]
        if not len(current):
            break
        west, south, east, north = shapely.bounds(current).T
        wide = (east - west) >= (north - south)
        middle_x, middle_y = (west + east) / 2, (south + north) / 2
        low = shapely.box(west, south, np.where(wide, middle_x, east), np.where(wide, north, middle_y))
        high = shapely.box(np.where(wide, middle_x, west), np.where(wide, south, middle_y), east, north)
        halves = np.concatenate([shapely.intersection(current, low), shapely.intersection(current, high)])
        owner = np.concatenate([owner, owner])
        # Cut along an edge, a half may also hold lines and points, which have no ground.
        solid = shapely.area(halves) > 0
        current, owner = halves[solid], owner[solid]
    done.append(current)
    owners.append(owner)
    return np.concatenate(done), np.concatenate(owners)


def _segments(lines: Shapes) -> tuple[Floats, Floats]:
    """Start and end of every straight part of the lines, (s, 2) each, decimal degrees."""
    parts = shapely.get_parts(shapely.force_2d(lines[~shapely.is_missing(lines)]))
    parts = parts[np.isin(shapely.get_type_id(parts), (1, 2))]
    points, line = shapely.get_coordinates(parts, return_index=True)
    same = line[1:] == line[:-1] if len(line) else np.zeros(0, dtype=bool)
    return points[:-1][same], points[1:][same]


def _along(starts: Floats, ends: Floats, resolution: int) -> Cells:
    """Cells that segments can touch: those of points along them, and the ring around each."""
    import h3ronpy
    import pyarrow as pa

    # A third of a cell's edge between two points: no cell is crossed without a point in a ring of it.
    step_km = np.sqrt(_MEAN_KM2[resolution] / 2.598) / 3
    gap = np.hypot((ends - starts)[:, 0] * np.cos(np.radians(starts[:, 1])), (ends - starts)[:, 1]) * 111.2
    number = np.maximum(np.ceil(gap / step_km).astype(np.int64), 1) + 1
    segment = np.repeat(np.arange(len(starts)), number)
    place = np.arange(len(segment)) - np.repeat(np.cumsum(number) - number, number)
    share = (place / (number - 1)[segment])[:, None]
    points = starts[segment] + (ends - starts)[segment] * share
    own = np.unique(cells_of(points[:, 0], points[:, 1], resolution))
    around = pa.array(h3ronpy.grid_disk(own[own > 0].view(np.uint64), 1, flatten=True))
    return np.unique(around.to_numpy().view(np.int64))


def shares(covered_km2: Floats, cells: npt.ArrayLike) -> Floats:
    """Share of each cell's ground (n,) that is covered, 0 to 1."""
    return np.clip(covered_km2 / areas_km2(cells), 0.0, 1.0)
