"""A flat raster in metres over a part of the earth: pixels, study area, points onto pixels.

The raster is in the local UTM zone, row 0 in the north. Points are projected by a
polynomial fitted to PROJ's own answer at Chebyshev nodes, because PROJ needs 0.4 s a
million points; the fit is checked against PROJ and must agree to 5 cm, else PROJ itself
is used. Caveat: UTM is true to scale within 0.1 % as far as about 3 degrees from the
zone's middle; a raster wider than that stretches at its sides.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from scipy.spatial import cKDTree

from geo.boundaries import local_utm
from geo.errors import InputError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

TOLERANCE_M = 0.05
_CHUNK = 1 << 15  # points projected at a time: the work arrays stay in the processor's cache
_DEGREES = (3, 4, 5, 6, 8)
_MAX_SPAN = 12.0  # degrees beyond which no polynomial is tried
_EDGE_DEGREES = 0.05  # a border straight in degrees is no straight line in metres


class Plane:
    """Longitude and latitude to metres of a CRS, fast inside a box of degrees.

    Parameters
    ----------
    crs : projected, metres.
    box : west, south, east, north in decimal degrees; outside it PROJ is used.
    """

    def __init__(self, crs: CRS, box: tuple[float, float, float, float]) -> None:
        self.crs = crs
        self._exact = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        west, south, east, north = box
        # A hair wider than asked for, so that points on the rim are inside.
        self._middle = ((west + east) / 2, (south + north) / 2)
        self._half = (max(east - west, 1e-3) * 0.51, max(north - south, 1e-3) * 0.51)
        self._terms: list[list[Floats]] | None = None
        if max(east - west, north - south) <= _MAX_SPAN:
            self._terms = self._fitted()

    def metres(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Easting and northing of points (n,) in decimal degrees; nan where a coordinate is nan."""
        lons = np.ascontiguousarray(lon, dtype=np.float64)
        lats = np.ascontiguousarray(lat, dtype=np.float64)
        if self._terms is None:
            return self._project(lons, lats)
        east, north = np.empty(len(lons)), np.empty(len(lons))
        strayed: list[npt.NDArray[np.int64]] = []
        for begin in range(0, len(lons), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            u = (lons[part] - self._middle[0]) / self._half[0]
            v = (lats[part] - self._middle[1]) / self._half[1]
            for terms, out in zip(self._terms, (east, north), strict=True):
                _polynomial(terms, u, v, out[part])
            if max(u.max(initial=0), v.max(initial=0), -u.min(initial=0), -v.min(initial=0)) > 1:
                strayed.append(begin + np.flatnonzero((np.abs(u) > 1) | (np.abs(v) > 1)))
        if strayed:
            rows = np.concatenate(strayed)
            east[rows], north[rows] = self._project(lons[rows], lats[rows])
        return east, north

    def degrees(self, east: npt.ArrayLike, north: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Longitude and latitude of points (n,) in metres."""
        lon, lat = self._exact.transform(east, north, direction="INVERSE")
        return np.asarray(lon), np.asarray(lat)

    def flat(self, shape: shapely.Geometry) -> shapely.Geometry:
        """A shape in EPSG:4326 as one in metres."""
        fine = shapely.segmentize(shape, _EDGE_DEGREES)

        def project(points: Floats) -> Floats:
            return np.column_stack(self._project(points[:, 0], points[:, 1]))

        return shapely.transform(fine, project)

    def _project(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        east, north = self._exact.transform(lon, lat)
        return np.asarray(east, dtype=np.float64), np.asarray(north, dtype=np.float64)

    def _fitted(self) -> list[list[Floats]] | None:
        """Coefficients by power of u, then of v, for easting and northing; None when none is good enough."""
        side = 24
        nodes = np.cos(np.pi * (np.arange(side) + 0.5) / side)
        u, v = (grid.ravel() for grid in np.meshgrid(nodes, nodes))
        known = self._project(self._middle[0] + u * self._half[0], self._middle[1] + v * self._half[1])
        test = np.linspace(-1, 1, 29)
        tu, tv = (grid.ravel() for grid in np.meshgrid(test, test))
        truth = self._project(self._middle[0] + tu * self._half[0], self._middle[1] + tv * self._half[1])
        if not (np.isfinite(known).all() and np.isfinite(truth).all()):
            return None
        for degree in _DEGREES:
            powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
            design = np.column_stack([u**i * v**j for i, j in powers])
            terms: list[list[Floats]] = []
            worst = 0.0
            for values, expected in zip(known, truth, strict=True):
                solved = np.linalg.lstsq(design, values, rcond=None)[0]
                own = [
                    np.array([c for (k, _), c in zip(powers, solved, strict=True) if k == i])
                    for i in range(degree + 1)
                ]
                terms.append(own)
                answer = np.empty(len(tu))
                _polynomial(own, tu, tv, answer)
                worst = max(worst, float(np.abs(answer - expected).max()))
            if worst < TOLERANCE_M:
                return terms
        return None


def _polynomial(terms: list[Floats], u: Floats, v: Floats, out: Floats) -> None:
    """Horner's rule in u over polynomials in v, into ``out``."""
    inner = np.empty_like(out)
    out[:] = terms[-1][-1]
    for coefficients in terms[-2::-1]:
        inner[:] = coefficients[-1]
        for coefficient in coefficients[-2::-1]:
            inner *= v
            inner += coefficient
        out *= u
        out += inner


@dataclass(frozen=True, slots=True)
class Frame:
    """Square pixels in metres; row 0 is the northernmost.

    Attributes
    ----------
    plane : the projection.
    west, north : of the upper left corner, metres.
    cell_m : side of a pixel, metres.
    shape : rows, columns.
    """

    plane: Plane
    west: float
    north: float
    cell_m: float
    shape: tuple[int, int]

    @property
    def pixel_km2(self) -> float:
        """Ground of a pixel, km²."""
        return self.cell_m**2 / 1e6

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """Affine coefficients a to f (x = a·column + b·row + c; y = d·column + e·row + f)."""
        return (self.cell_m, 0.0, self.west, 0.0, -self.cell_m, self.north)

    def pixels(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Flat pixel number (row · columns + column) of each point, (n,); -1 outside the frame."""
        lons, lats = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
        rows, columns = self.shape
        flat = np.empty(len(lons), dtype=np.int64)

        def number(begin: int) -> None:
            part = slice(begin, begin + _CHUNK)
            east, north = self.plane.metres(lons[part], lats[part])
            column = (east - self.west) / self.cell_m
            row = (self.north - north) / self.cell_m
            # nan compares as false, so a point without coordinates is outside.
            inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
            if not inside.all():
                column[~inside] = row[~inside] = 0
            at = row.astype(np.int32)
            at *= columns
            at += column.astype(np.int32)
            flat[part] = np.where(inside, at, -1)

        chunks = range(0, len(lons), _CHUNK)
        if len(chunks) < 4:
            for begin in chunks:
                number(begin)
        else:
            # numpy and PROJ let go of the interpreter: two threads are nearly twice as fast.
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(number, chunks))
        return flat

    def covered(self, shape: shapely.Geometry, touched: bool = False) -> Flags:
        """Pixels whose centre (or, ``touched``, any point) lies in a shape of EPSG:4326, (rows, columns)."""
        from rasterio.features import geometry_mask  # 0.2 s to import, wanted by few commands
        from rasterio.transform import Affine

        flat = self.plane.flat(shape)
        if flat.is_empty:
            return np.zeros(self.shape, dtype=bool)
        return np.asarray(
            geometry_mask([flat], self.shape, Affine(*self.transform), all_touched=touched, invert=True)
        )


def frame_around(
    box: tuple[float, float, float, float],
    *,
    crs: CRS | None = None,
    margin_m: float = 0.0,
    cell_m: float | None = None,
    longest: int = 1024,
) -> Frame:
    """A frame over a box of degrees.

    Parameters
    ----------
    box : west, south, east, north, decimal degrees.
    crs : projected CRS; the local UTM zone when left out.
    margin_m : added on every side.
    cell_m : side of a pixel; never smaller than ``longest`` pixels along the longer side allow.

    Raises
    ------
    InputError : the box is empty or no longitude and latitude.
    """
    west, south, east, north = box
    if not np.isfinite(box).all() or east < west or north < south or abs(south) > 85 or abs(north) > 85:
        raise InputError(f"({west}, {south}) to ({east}, {north}) is no box of degrees that a map can show.")
    plane = Plane(crs or local_utm([shapely.box(west, south, east, north)]), box)
    # The sides of the box are bent in metres: the corners alone do not reach as far.
    along = np.linspace(0, 1, 17)
    lons = np.concatenate([west + (east - west) * along] * 2 + [np.full(17, west), np.full(17, east)])
    lats = np.concatenate([np.full(17, south), np.full(17, north)] + [south + (north - south) * along] * 2)
    x, y = plane.metres(lons, lats)
    margin = max(margin_m, 1.0)  # so that no point of the box falls on the rim
    left, right = float(x.min()) - margin, float(x.max()) + margin
    bottom, top = float(y.min()) - margin, float(y.max()) + margin
    extent = max(right - left, top - bottom, 1.0)
    side = max(extent / longest, cell_m or 0.0)
    shape = (
        max(1, int(np.ceil((top - bottom) / side - 1e-9))),
        max(1, int(np.ceil((right - left) / side - 1e-9))),
    )
    return Frame(plane, left, top, side, shape)


def nearest_inside(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], inside: Flags, within: float
) -> npt.NDArray[np.int64]:
    """Flat number of the pixel of ``inside`` nearest to each pixel (n,); -1 when none is within reach.

    ``within`` is in pixels. Only the rim of ``inside`` is searched: from outside, the
    nearest pixel is always there.
    """
    if not inside.any() or not len(rows):
        return np.full(len(rows), -1, dtype=np.int64)
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rim_rows, rim_columns = np.nonzero(inside & ~core)
    tree = cKDTree(np.column_stack([rim_rows, rim_columns]))
    _, found = tree.query(np.column_stack([rows, columns]), distance_upper_bound=within + 1e-9)
    reached = found < len(rim_rows)
    flat = np.full(len(rows), -1, dtype=np.int64)
    flat[reached] = rim_rows[found[reached]] * inside.shape[1] + rim_columns[found[reached]]
    return flat
