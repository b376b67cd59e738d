"""Which area is a point in, for millions of points; and is it in the study area at all.

``AreaIndex`` marks the H3 cells through or near which a boundary passes (boundary sampled
densely, plus one ring of cells). Every other cell lies wholly on one side of every
boundary, so its centre answers for all points in it; points in marked cells get the exact
test, a tree of points queried with prepared polygons.
Polygons are planar in degrees, as GEOS and PostGIS read them in EPSG:4326. Caveat: where
areas overlap, one answer is given (the smallest area), not all.
"""

from __future__ import annotations

import h3
import h3ronpy
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import CRS, Geod, Transformer

from geo import cells as h3_cells
from geo.errors import InputError

Ids = npt.NDArray[np.int64]

OUTSIDE, JUST_OUTSIDE, INSIDE = 0, 1, 2
NEAR_METRES = 2_000.0  # a point this far outside the study area is kept, with a flag

_METRES_PER_DEGREE = 111_320.0
_GEOD = Geod(ellps="WGS84")
_COARSEST, _FINEST = 4, 12
# At most this many boundary samples for one resolution: about 0.3 s.
_SAMPLES = 400_000
# A finer resolution is not worth it once only this share of the ground needs the exact test.
_EDGE_SHARE = 0.06
# Near the poles and the antimeridian a cell is no small shape in degrees: exact test there.
_SAFE_LAT, _SAFE_LON = 85.0, 179.0


class AreaIndex:
    """Point in area, equal to an exact spatial join, at array speed.

    A point on the border of several areas, or where areas overlap, belongs to the one
    with the smallest area (an enclave wins over what surrounds it), and to the smallest
    id if areas are equally large. A point on an outer border belongs to the area.

    Parameters
    ----------
    ids : (k,) int64, positive and unique
    polygons : (k,) shapely polygons or multipolygons, valid, EPSG:4326
    """

    def __init__(self, ids: npt.ArrayLike, polygons: npt.ArrayLike) -> None:
        given_ids = np.asarray(ids, dtype=np.int64)
        given = np.asarray(polygons, dtype=object)
        if given_ids.shape != given.shape:
            raise InputError(f"{len(given_ids)} ids were given for {len(given)} polygons; give one each.")
        if (given_ids <= 0).any() or len(np.unique(given_ids)) != len(given_ids):
            raise InputError("Area ids must be positive and unique (0 stands for 'no area').")
        kept = ~(shapely.is_missing(given) | shapely.is_empty(given))
        given_ids, given = given_ids[kept], given[kept]
        # Largest first, so that the smallest is written last and stays.
        order = np.lexsort((-given_ids, -shapely.area(given)))
        self.ids: Ids = given_ids[order]
        self.polygons = given[order]
        self._boxes = shapely.bounds(self.polygons)
        self._levels: list[tuple[int, Ids]] = []
        if len(self.ids):
            shapely.prepare(self.polygons)
            self._levels = _edge_cells(self.polygons)

    def __len__(self) -> int:
        return len(self.ids)

    def locate(self, lon: npt.ArrayLike, lat: npt.ArrayLike, cells12: npt.ArrayLike | None = None) -> Ids:
        """Id of the area that holds each point.

        Parameters
        ----------
        lon, lat : (n,) decimal degrees, EPSG:4326; nan where there is no point
        cells12 : (n,) int64, the points' H3 cells at resolution 12 where they are known
            already (saves a third of the time)

        Returns
        -------
        (n,) int64; 0 where no area holds the point.
        """
        x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
        answer = np.zeros(len(x), dtype=np.int64)
        if not len(self.ids) or not len(x):
            return answer
        # Far from all areas nothing needs a lookup.
        west, south, east, north = shapely.total_bounds(self.polygons)
        rest = np.flatnonzero((x >= west) & (x <= east) & (y >= south) & (y <= north))
        risky = (np.abs(x[rest]) > _SAFE_LON) | (np.abs(y[rest]) > _SAFE_LAT)
        exact, rest = rest[risky], rest[~risky]
        finest = self._levels[-1][0]
        cells = (
            h3_cells.cells_of(x[rest], y[rest], finest)
            if cells12 is None
            else np.asarray(cells12, dtype=np.int64)[rest]
        )
        # Coarse cells first: they answer for most points with few lookups.
        for resolution, edges in self._levels:
            codes, unique = pd.factorize(h3_cells.parents(cells, resolution))
            known = ~_among(unique, edges)
            by_cell = np.zeros(len(unique), dtype=np.int64)
            by_cell[known] = self._exact(*h3_cells.centres(unique[known]))
            settled = known[codes]
            answer[rest[settled]] = by_cell[codes[settled]]
            rest, cells = rest[~settled], cells[~settled]
        exact = np.concatenate([exact, rest])
        answer[exact] = self._exact(x[exact], y[exact])
        return answer

    def _exact(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Ids:
        """Test each polygon against the points in its box; no point objects are made."""
        answer = np.zeros(len(x), dtype=np.int64)
        if not len(x):
            return answer
        order = np.argsort(x)
        x, y = x[order], y[order]
        first = np.searchsorted(x, self._boxes[:, 0], side="left")
        last = np.searchsorted(x, self._boxes[:, 2], side="right")
        # The last write to a position stays, and the smallest area comes last.
        for i in np.flatnonzero(last > first):
            column = slice(first[i], last[i])
            inside = np.flatnonzero((y[column] >= self._boxes[i, 1]) & (y[column] <= self._boxes[i, 3]))
            if len(inside):
                inside += first[i]
                inside = inside[shapely.intersects_xy(self.polygons[i], x[inside], y[inside])]
                answer[order[inside]] = self.ids[i]
        return answer


def _among(values: Ids, sorted_values: Ids) -> npt.NDArray[np.bool_]:
    if not len(sorted_values):
        return np.zeros(len(values), dtype=bool)
    at = np.searchsorted(sorted_values, values)
    return sorted_values[np.minimum(at, len(sorted_values) - 1)] == values


def _near_boundary(lines: npt.NDArray, resolution: int, rings: int) -> Ids:
    """Cells within ``rings`` steps of a cell that a boundary passes through: sorted int64."""
    spacing = h3.average_hexagon_edge_length(resolution, unit="m") / 2
    # Degrees of longitude are shorter than degrees of latitude: this is at least as dense.
    sampled = shapely.get_coordinates(shapely.segmentize(lines, spacing / _METRES_PER_DEGREE))
    touched = np.unique(h3_cells.cells_of(sampled[:, 0], sampled[:, 1], resolution))
    disk = h3ronpy.grid_disk(touched[touched != 0].view(np.uint64), rings, flatten=True)
    return np.unique(np.asarray(disk).view(np.int64))


def _edge_cells(polygons: npt.NDArray) -> list[tuple[int, Ids]]:
    """Cells that a boundary may cut, by resolution from coarse to fine: sorted int64.

    A descendant of a cell lies within 1.06 circumradii of the cell's centre (sum of the
    offsets of all finer generations), so a boundary between a point and the centre has
    a point that near too; with samples half an edge apart one is within 1.5 radii, and
    the cell and its neighbours reach 2 radii. The margin absorbs H3's distortion.
    """
    lines = shapely.boundary(polygons)
    metres = float(np.sum(shapely.length(lines))) * _METRES_PER_DEGREE
    vertices = int(shapely.get_num_coordinates(lines).sum())
    south, north = shapely.bounds(polygons).T[[1, 3]]
    squeeze = np.cos(np.radians(np.clip((south + north) / 2, -89, 89)))
    extent_km2 = float(np.sum(shapely.area(polygons) * squeeze)) * (_METRES_PER_DEGREE / 1e3) ** 2
    levels: list[tuple[int, Ids]] = []
    for resolution in range(_COARSEST, _FINEST + 1, 2):
        spacing = h3.average_hexagon_edge_length(resolution, unit="m") / 2
        # A ring of seven cells around each piece of boundary: not worth it while that is everything.
        touched_km2 = 3 * spacing * metres / 1e6
        finer_fits = vertices + 7 * metres / spacing <= _SAMPLES
        if touched_km2 > 0.7 * extent_km2 and finer_fits and resolution + 2 <= _FINEST:
            continue
        if levels and vertices + metres / spacing > _SAMPLES:
            break
        edges = _near_boundary(lines, resolution, 1)
        levels.append((resolution, edges))
        if len(edges) * h3.average_hexagon_area(resolution, unit="km^2") <= _EDGE_SHARE * extent_km2:
            break
    return levels


class StudyArea:
    """Inside, just outside or far outside of a study area.

    Parameters
    ----------
    polygon : shapely (multi)polygon, valid, EPSG:4326

    Distances are geodesic, from the point to the nearest place on the boundary, which is
    sought in an azimuthal equidistant projection around the study area's middle. That
    choice of place is exact enough for areas up to about 3,000 km across.
    """

    def __init__(self, polygon: shapely.Geometry) -> None:
        if polygon is None or polygon.is_empty:
            raise InputError("A study area without any area cannot hold reports; load its boundaries first.")
        self.polygon = polygon
        self._index = AreaIndex([1], np.array([polygon], dtype=object))
        west, south, east, north = polygon.bounds
        local = CRS.from_proj4(f"+proj=aeqd +lat_0={(south + north) / 2} +lon_0={(west + east) / 2} +units=m")
        self._there = Transformer.from_crs("EPSG:4326", local, always_xy=True)
        self._tree: shapely.STRtree | None = None
        self._belts: dict[int, Ids] = {}

    def classify(
        self,
        lon: npt.ArrayLike,
        lat: npt.ArrayLike,
        margin_m: float = NEAR_METRES,
        cells12: npt.ArrayLike | None = None,
    ) -> npt.NDArray[np.uint8]:
        """2 inside (or on the border), 1 outside by at most ``margin_m`` metres, 0 farther or no point.

        Parameters
        ----------
        lon, lat : (n,) decimal degrees, EPSG:4326; nan where there is no point
        margin_m : metres, geodesic
        cells12 : (n,) int64, the points' H3 cells at resolution 12 where they are known
        """
        x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
        result = np.where(self._index.locate(x, y, cells12) > 0, INSIDE, OUTSIDE).astype(np.uint8)
        if margin_m > 0:
            rows = np.flatnonzero((result == OUTSIDE) & self._near_box(x, y, margin_m))
            rows = rows[self._near_cells(x[rows], y[rows], margin_m)]
            if len(rows):
                distance = self._distances(x[rows], y[rows], margin_m)
                result[rows[distance <= margin_m]] = JUST_OUTSIDE
        return result

    def _near_box(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], margin_m: float
    ) -> npt.NDArray[np.bool_]:
        west, south, east, north = self.polygon.bounds
        # A degree of latitude has at least 110.5 km anywhere.
        high = margin_m / 110_500
        widest = min(max(abs(south), abs(north)) + high, 89.9)
        wide = high / np.cos(np.radians(widest))
        return (x >= west - wide) & (x <= east + wide) & (y >= south - high) & (y <= north + high)

    def _near_cells(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], margin_m: float
    ) -> npt.NDArray[np.bool_]:
        """False only for points that are certainly beyond the margin.

        Three rings around a boundary cell reach 5 radii, the centre of a point's cell and
        the sample next to the boundary take 1.3 of them; 2.5 are granted to the margin
        and the rest absorbs H3's distortion.
        """
        fitting = [r for r in range(13) if 2.5 * h3.average_hexagon_edge_length(r, unit="m") >= margin_m]
        if not fitting or not len(x):
            return np.ones(len(x), dtype=bool)
        resolution = fitting[-1]
        if resolution not in self._belts:
            lines = np.array([shapely.boundary(self.polygon)], dtype=object)
            self._belts[resolution] = _near_boundary(lines, resolution, 3)
        near = _among(h3_cells.cells_of(x, y, resolution), self._belts[resolution])
        return near | (np.abs(x) > _SAFE_LON) | (np.abs(y) > _SAFE_LAT)

    def _distances(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], margin_m: float
    ) -> npt.NDArray[np.float64]:
        """Metres to the boundary; infinite where it is clearly beyond the margin."""
        if self._tree is None:
            self._tree = shapely.STRtree(self._segments())
        points = shapely.points(*self._there.transform(x, y))
        # The projection stretches by up to 2 % at the far ends: look a little farther, then measure.
        point, segment = self._tree.query_nearest(points, max_distance=margin_m * 1.05 + 1, all_matches=False)
        line = shapely.shortest_line(points[point], self._tree.geometries[segment])
        ends = shapely.get_coordinates(line)[1::2]
        near_x, near_y = self._there.transform(ends[:, 0], ends[:, 1], direction="INVERSE")
        distance = np.full(len(x), np.inf)
        distance[point] = _GEOD.inv(x[point], y[point], near_x, near_y)[2]
        return distance

    def _segments(self) -> npt.NDArray:
        """The boundary, cut into single segments, in the local projection."""
        # A border straight in degrees is curved in metres: 0.05 degrees keep it within a metre.
        lines = shapely.get_parts(shapely.segmentize(shapely.boundary(self.polygon), 0.05))
        coordinates, line = shapely.get_coordinates(lines, return_index=True)
        projected = np.column_stack(self._there.transform(coordinates[:, 0], coordinates[:, 1]))
        start = np.flatnonzero(line[:-1] == line[1:])
        return shapely.linestrings(np.stack([projected[start], projected[start + 1]], axis=1))
