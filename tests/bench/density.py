"""Kernel density of 5 million points on a raster of about 1024², edges corrected.

Counted: from longitude and latitude to reports per km² in the local UTM zone (projection,
binning, study area, smoothing, edge correction). Peer: ``sklearn.neighbors.KernelDensity``
(k-d tree, Gaussian kernel, relative tolerance 1e-3), given the same points already
projected: fitted on all of them, asked at a sample of pixels, and that part scaled to all
pixels, because the whole would take hours. The peer corrects no edge. Its answers must
agree with ours, uncorrected, at the sampled pixels.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import shapely
from sklearn.neighbors import KernelDensity

from geo.density import density

DESCRIPTION = "Kernel density of 5,000,000 points on about 1024 x 1024 pixels, against scikit-learn"
SEED = 11
BANDWIDTH_M = 300.0
BOX = (46.5, 24.5, 47.0, 24.95)  # about 50 km on a side


def run(rows: int | None = None, pixels: int = 300, rounds: int = 5) -> dict[str, Any]:
    """Seconds (median of ``rounds``) for ``rows`` points; the peer at ``pixels`` pixels."""
    number = rows or 5_000_000
    lon, lat = city(int(1.1 * number) + 100)
    area = shapely.box(*BOX).intersection(shapely.Point(46.75, 24.72).buffer(0.27))
    inside = shapely.contains_xy(area, lon, lat)
    lon, lat = lon[inside][:number], lat[inside][:number]
    area = area.buffer(1e-9)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        found = density(lon, lat, area=area, bandwidth_m=BANDWIDTH_M)
        seconds.append(time.perf_counter() - began)
    mass = found.values.sum() * found.frame.pixel_km2
    if abs(mass / len(lon) - 1) > 1e-9 or found.outside:
        raise AssertionError(f"The mass is {mass}, the points are {len(lon)}, {found.outside} are outside.")
    plain = density(lon, lat, bandwidth_m=BANDWIDTH_M)
    peer_seconds, worst = peer(plain, lon, lat, pixels)
    if worst > 0.05:
        raise AssertionError(f"scikit-learn differs by {worst:.1%} of the greatest density.")
    taken = statistics.median(seconds)
    return {
        "seconds": taken,
        "seconds_max": max(seconds),
        "points": len(lon),
        "rows": found.values.shape[0],
        "columns": found.values.shape[1],
        "cell_m": found.cell_m,
        "bandwidth_m": found.bandwidth_m,
        "mass_error": abs(mass / len(lon) - 1),
        "peer": "sklearn.neighbors.KernelDensity, kd_tree, rtol 1e-3, scaled from a sample of pixels",
        "peer_pixels_asked": pixels,
        "peer_seconds": peer_seconds,
        "ratio_to_peer": peer_seconds / taken,
        "worst_difference": worst,
    }


def city(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Points in heaps of several widths and on even ground, inside the box."""
    rng = np.random.default_rng(SEED)
    west, south, east, north = BOX
    heaps = rng.uniform(0.05, 0.95, (300, 2))
    which = rng.integers(0, 300, number)
    width = rng.choice([0.004, 0.012, 0.03], 300)[which]
    place = heaps[which] + rng.normal(0, 1, (number, 2)) * width[:, None]
    even = rng.random(number) < 0.1
    place[even] = rng.random((int(even.sum()), 2))
    place = np.clip(place, 0.001, 0.999)
    return west + (east - west) * place[:, 0], south + (north - south) * place[:, 1]


def peer(plain: Any, lon: np.ndarray, lat: np.ndarray, pixels: int) -> tuple[float, float]:
    """Seconds of the peer for the whole raster, and its greatest difference from ours."""
    east, north = plain.frame.plane.metres(lon, lat)
    rng = np.random.default_rng(SEED)
    rows, columns = plain.values.shape
    at = rng.integers(0, rows * columns, pixels)
    x = plain.frame.west + (at % columns + 0.5) * plain.cell_m
    y = plain.frame.north - (at // columns + 0.5) * plain.cell_m
    began = time.perf_counter()
    fitted = KernelDensity(bandwidth=BANDWIDTH_M, algorithm="kd_tree", rtol=1e-3)
    fitted.fit(np.column_stack([east, north]))
    fit_seconds = time.perf_counter() - began
    began = time.perf_counter()
    theirs = np.exp(fitted.score_samples(np.column_stack([x, y]))) * len(lon) * 1e6
    asked = time.perf_counter() - began
    worst = float(np.abs(plain.values.reshape(-1)[at] - theirs).max() / theirs.max())
    return fit_seconds + asked * rows * columns / pixels, worst
