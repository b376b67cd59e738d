"""Kernel density of points in reports per km², on a raster in metres.

Kernel: Gaussian cut at four bandwidths (standard deviations), as a convolution of binned
points by FFT. Edge correction: the kernel is balanced on the study area, d(x) K(x, y) d(y),
so that even ground stays even up to its edge (symmetric scaling of Knight, Ruiz & Uçar
2014), and each report is divided by its share inside, so that the total mass is the number
of reports. Without balancing that is the correction of Jones (1993), which is a third too
low along an edge; Diggle's (1985), dividing where the density is read, loses the total.
Bandwidth: ``geo/bandwidths.py``. Caveat: a density of counts shows where reports come
from, not where risk is high.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import scipy.fft
import shapely
from pyproj import CRS

from geo.bandwidths import likelihood_bandwidth, scott_bandwidth
from geo.errors import InputError
from geo.plane import Frame, frame_around, nearest_inside
from geo.remarks import Remark, caution, decided

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Tick = Callable[[float], None]

CUT = 4.0  # the kernel ends at this many bandwidths; 0.01 % of a Gaussian lies beyond
LONGEST = 1024  # pixels along the longer side
PIXELS_A_BANDWIDTH = 6.0
BALANCINGS = 3  # rounds of the edge correction: after three, even ground is even to 4 % at a corner
LEAST_PIXELS = 2.0  # a narrower kernel would be sampled too coarsely
FLOOR_M = 150.0  # automatic bandwidths: below it single addresses show, not places
_TRIAL_LONGEST = 512  # the raster on which bandwidths are compared
_FEWEST = 30  # reports in each half, below which nothing can be compared


@dataclass(frozen=True, slots=True)
class Density:
    """Reports per km² on a raster of the local UTM zone.

    Attributes
    ----------
    values : (rows, columns) float64, row 0 in the north; 0 outside the study area.
    inside : (rows, columns) bool, the study area.
    frame : place and size of the pixels.
    bandwidth_m : standard deviation of the kernel, metres.
    reports : total mass: ``values.sum() * frame.pixel_km2``.
    outside : reports that lie outside the study area and are not in the total.
    bounded : False when no study area was given; then no edge is corrected.
    """

    values: Floats
    inside: Flags
    frame: Frame
    bandwidth_m: float
    reports: float
    outside: float
    bounded: bool
    remarks: tuple[Remark, ...]

    @property
    def crs(self) -> CRS:
        """The UTM zone of the raster."""
        return self.frame.plane.crs

    @property
    def cell_m(self) -> float:
        """Side of a pixel, metres."""
        return self.frame.cell_m

    def at(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Floats:
        """Density at points (n,), between pixel centres by weights; nan outside the study area."""
        from scipy.ndimage import map_coordinates

        east, north = self.frame.plane.metres(lon, lat)
        place = [
            (self.frame.north - north) / self.cell_m - 0.5,
            (east - self.frame.west) / self.cell_m - 0.5,
        ]
        # Pixels outside have no value, which is not 0: they take no part in the weights.
        share = map_coordinates(self.inside.astype(np.float32), place, order=1, mode="nearest")
        found = map_coordinates(self.values, place, order=1, mode="nearest")
        rows, columns = self.frame.shape
        there = (share >= 0.5) & (np.abs(place[0] - (rows - 1) / 2) <= rows / 2)
        there &= np.abs(place[1] - (columns - 1) / 2) <= columns / 2
        return np.where(there, found / np.where(there, share, 1.0), np.nan)


def density(
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    area: shapely.Geometry | None = None,
    without: shapely.Geometry | None = None,
    bandwidth_m: float | None = None,
    first: npt.ArrayLike | None = None,
    reach_m: float = 0.0,
    floor_m: float = FLOOR_M,
    longest: int = LONGEST,
    tick: Tick | None = None,
) -> Density:
    """Kernel density of points.

    Parameters
    ----------
    lon, lat : (n,) decimal degrees, EPSG:4326; nan is outside.
    weights : (n,) reports at each point, at least 0; 1 each when left out.
    area : study area, (multi)polygon in EPSG:4326; without one no edge is corrected.
    without : ground of ``area`` where no report can be, such as water; a pixel that holds
        reports all the same stays.
    bandwidth_m : standard deviation of the kernel; automatic when left out.
    first : (n,) the part of ``weights`` that belongs to the first half of the time blocks;
        without it the automatic bandwidth is Scott's (1992) rule.
    reach_m : points this far outside the area are counted at its nearest pixel (the
        uncertainty of their position).
    floor_m : smallest automatic bandwidth.
    longest : pixels along the longer side, at most.
    tick : called with the share done; may raise to stop.

    Raises
    ------
    InputError : nothing to draw, a negative weight, or a bandwidth that is not positive.
    """
    lons, lats = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    mass = None if weights is None else np.asarray(weights, dtype=np.float64)
    if mass is not None and (not np.isfinite(mass).all() or (mass < 0).any()):
        raise InputError("Weights of a density must be numbers of at least 0.")
    if bandwidth_m is not None and not (np.isfinite(bandwidth_m) and bandwidth_m > 0):
        raise InputError(f"A bandwidth of {bandwidth_m} m draws nothing; give a positive number of metres.")
    if area is not None and area.is_empty:
        raise InputError("The study area is empty; choose other areas.")
    box = _box(lons, lats, area)
    say = tick or (lambda share: None)
    say(0.05)
    remarks: list[Remark] = []
    wanted = bandwidth_m
    if wanted is None:
        halves = None if first is None else np.asarray(first, dtype=np.float64)
        wanted, remark = _automatic(lons, lats, mass, halves, box, floor_m, longest, say)
        remarks.append(remark)
    say(0.5)
    width = wanted
    while True:
        frame = frame_around(
            box,
            margin_m=reach_m if area is not None else CUT * width,
            cell_m=wanted / PIXELS_A_BANDWIDTH,
            longest=longest,
        )
        if width >= LEAST_PIXELS * frame.cell_m:
            break
        # A wider kernel needs a wider frame around the points, and that has larger pixels.
        width = LEAST_PIXELS * frame.cell_m * 1.001
    if width > wanted and bandwidth_m is not None:
        remarks.append(caution("density_raised", asked=round(wanted), metres=round(width)))
    elif bandwidth_m is None and width <= 1.05 * LEAST_PIXELS * frame.cell_m and width > floor_m:
        # Not the reports decided but the size of the image: the reason given before is none.
        remarks[0] = caution("density_wide", metres=round(width))
    say(0.55)
    counts, inside, outside = _binned(frame, lons, lats, mass, area, without, reach_m)
    say(0.8)
    values = smoothed(counts, width / frame.cell_m, inside if area is not None else None)
    values /= frame.pixel_km2
    say(1.0)
    if outside:
        remarks.append(caution("density_outside", reports=round(outside)))
    if area is None:
        remarks.append(caution("density_unbounded"))
    return Density(
        values=values,
        inside=inside,
        frame=frame,
        bandwidth_m=float(width),
        reports=float(counts.sum()),
        outside=float(outside),
        bounded=area is not None,
        remarks=tuple(remarks),
    )


def smoothed(counts: Floats, bandwidth: float, inside: Flags | None = None) -> Floats:
    """Counts by pixel spread by the kernel, (rows, columns); their sum stays the same.

    Parameters
    ----------
    counts : (rows, columns), 0 outside ``inside``.
    bandwidth : in pixels.
    inside : the study area; None corrects no edge, and then what the kernel carries over
        the rim of the raster is lost.
    """
    if inside is None:
        # The transform leaves rounding errors of either sign where nothing is.
        return np.maximum(_Kernel(bandwidth, counts.shape)(counts), 0.0)
    kernel = _Kernel(bandwidth, counts.shape)
    weight = _balanced(inside, bandwidth)
    # Whatever the weights are, dividing by their own smoothed sum keeps each report's mass at 1.
    share = np.where(counts > 0, kernel(weight), 1.0)
    return np.where(inside, np.maximum(kernel(counts / share), 0.0) * weight, 0.0)


class _Kernel:
    """The cut Gaussian as a convolution by FFT, of rasters of one shape and float type."""

    def __init__(self, bandwidth: float, shape: tuple[int, ...], kind: type = np.float64) -> None:
        reach = max(1, int(np.floor(CUT * bandwidth)))
        self._shape = shape
        # Padded by the kernel's reach, so that nothing comes round from the other side.
        self._size = tuple(scipy.fft.next_fast_len(side + reach, real=True) for side in shape)
        rows = _line(bandwidth, reach, self._size[0], False)
        columns = _line(bandwidth, reach, self._size[1], True)
        self._kind = kind
        self._wave = np.outer(rows, columns).astype(np.complex64 if kind is np.float32 else np.complex128)

    def __call__(self, values: npt.NDArray) -> npt.NDArray:
        moved = scipy.fft.rfft2(values.astype(self._kind, copy=False), s=self._size, workers=2)
        moved *= self._wave
        spread = scipy.fft.irfft2(moved, s=self._size, workers=2, overwrite_x=True)
        return np.asarray(spread)[: self._shape[0], : self._shape[1]]


def _balanced(inside: Flags, bandwidth: float) -> Floats:
    """Weights d of pixels with which d(x) K(x, y) d(y) sums to nearly 1 over the area, from any pixel."""
    # Single precision will do: what the weights miss is a little bias at the edge, never mass.
    kernel = _Kernel(bandwidth, inside.shape, np.float32)
    weight = inside.astype(np.float32)
    for _ in range(BALANCINGS):
        share = np.where(inside, kernel(weight), np.float32(1))
        weight = np.sqrt(weight / share)
    return weight.astype(np.float64)


def class_levels(found: Density, classes: int = 7) -> list[float]:
    """Rising limits of density classes in reports per km², each two digits, at most ``classes`` + 1.

    The lowest limit leaves at most 5 % of the reports below it (not drawn); the others rise
    by equal factors to the density that 0.5 % of the drawn ground exceeds. The last is the
    greatest density.
    """
    values = np.sort(found.values[found.values > 0])[::-1]
    if not len(values):
        return []
    mass = np.cumsum(values)
    lowest = float(values[min(int(np.searchsorted(mass, 0.95 * mass[-1])), len(values) - 1)])
    drawn = values[values >= lowest]
    high = float(drawn[int(0.005 * len(drawn))])
    steps = np.geomspace(lowest, max(high, lowest), classes) if high > lowest else np.array([lowest])
    rounded = sorted({_two_digits(step) for step in steps})
    top = float(values[0])
    return [*(step for step in rounded if step < top), top]


def bands(found: Density, levels: list[float]) -> gpd.GeoDataFrame:
    """Ground between neighbouring levels as polygons along pixel borders, EPSG:4326.

    Columns: ``low``, ``high`` (reports per km²), ``km2``, ``reports`` (mass of the band),
    geometry. Bands without ground are left out.
    """
    from rasterio.features import shapes
    from rasterio.transform import Affine

    number = np.digitize(found.values, levels[:-1]).astype(np.int16)
    number[~found.inside] = 0
    outlines: dict[int, list[shapely.Geometry]] = {}
    for shape, value in shapes(number, number > 0, transform=Affine(*found.frame.transform)):
        outlines.setdefault(int(value), []).append(shapely.geometry.shape(shape))
    rows = []
    for band in sorted(outlines):
        own = number == band
        rows.append(
            {
                "low": levels[band - 1],
                "high": levels[band],
                "km2": float(own.sum()) * found.frame.pixel_km2,
                "reports": float(found.values[own].sum()) * found.frame.pixel_km2,
                "geometry": shapely.MultiPolygon(outlines[band]),
            }
        )
    frame = gpd.GeoDataFrame(rows, columns=["low", "high", "km2", "reports", "geometry"], crs=found.crs)
    return frame.to_crs("EPSG:4326")


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def _line(bandwidth: float, reach: int, size: int, half: bool) -> npt.NDArray[np.complex128]:
    """Spectrum of the kernel along one axis: cut, even, of sum 1, centred on index 0."""
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (steps / bandwidth) ** 2)
    weights /= weights.sum()
    line = np.zeros(size)
    np.add.at(line, steps % size, weights)
    return scipy.fft.rfft(line) if half else scipy.fft.fft(line)


def _box(lon: Floats, lat: Floats, area: shapely.Geometry | None) -> tuple[float, float, float, float]:
    if area is not None:
        west, south, east, north = area.bounds
        return west, south, east, north
    usable = np.isfinite(lon) & np.isfinite(lat)
    if not usable.any():
        raise InputError("There is no report with a point to draw a density of; choose other filters.")
    x, y = lon[usable], lat[usable]
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _binned(
    frame: Frame,
    lon: Floats,
    lat: Floats,
    weights: Floats | None,
    area: shapely.Geometry | None,
    without: shapely.Geometry | None,
    reach_m: float,
) -> tuple[Floats, Flags, float]:
    """Reports by pixel, the study area's pixels, and the reports that are in none of them."""
    pixel = frame.pixels(lon, lat)
    found = pixel >= 0
    lost = float((~found).sum() if weights is None else weights[~found].sum())
    kept = pixel if found.all() else pixel[found]
    mass = None if weights is None else weights[found]
    counts = _raster(kept, mass, frame.shape)
    if area is None:
        return counts, np.ones(frame.shape, dtype=bool), lost
    inside = frame.covered(area)
    if without is not None:
        inside &= ~frame.covered(without)
    # A pixel with reports that the area only touches belongs to it: none is lost at a rim.
    inside |= frame.covered(area, touched=True) & (counts > 0)
    rows, columns = np.nonzero((counts > 0) & ~inside)
    if len(rows):
        strayed = counts[rows, columns]
        counts[rows, columns] = 0.0
        # Between pixel centres: the points themselves are up to a pixel and a half nearer.
        within = reach_m / frame.cell_m + 1.5 if reach_m > 0 else 0.0
        target = nearest_inside(rows, columns, inside, within)
        back = target >= 0
        np.add.at(counts.reshape(-1), target[back], strayed[back])
        lost += float(strayed[~back].sum())
    return counts, inside, lost


def _raster(pixel: npt.NDArray[np.int64], mass: Floats | None, shape: tuple[int, int]) -> Floats:
    counts = np.bincount(pixel, mass, minlength=shape[0] * shape[1])
    return np.asarray(counts, dtype=np.float64).reshape(shape)


def _automatic(
    lon: Floats,
    lat: Floats,
    weights: Floats | None,
    first: Floats | None,
    box: tuple[float, float, float, float],
    floor_m: float,
    longest: int,
    say: Tick,
) -> tuple[float, Remark]:
    trial = frame_around(box, longest=min(longest, _TRIAL_LONGEST))
    extent = max(trial.shape) * trial.cell_m
    pixel = trial.pixels(lon, lat)
    use = pixel >= 0
    mass = np.ones(len(lon)) if weights is None else weights
    total = float(mass[use].sum())
    if not total > 0:
        raise InputError("There is no report with a point to draw a density of; choose other filters.")
    least, most = max(floor_m, trial.cell_m), max(extent / 6, floor_m)
    if first is not None and min(first[use].sum(), total - first[use].sum()) >= _FEWEST:
        one = _raster(pixel[use], first[use], trial.shape)
        both = _raster(pixel[use], mass[use], trial.shape)
        say(0.2)
        width = likelihood_bandwidth(one, np.maximum(both - one, 0), trial.cell_m, least, most)
        if width <= least:
            return least, decided("density_floor", metres=round(least), reports=round(total))
        return width, decided("density_likelihood", metres=round(width), reports=round(total))
    east, north = trial.plane.metres(lon[use], lat[use])
    width = scott_bandwidth(east, north, mass[use])
    width = float(np.clip(width, least, most)) if np.isfinite(width) else least
    return width, decided("density_scott", metres=round(width), reports=round(total))
