"""Points as portals write them, read into longitude and latitude (WGS 84, decimal degrees).

Numbers are parsed over whole columns; only what plain parsing leaves goes through the
grammar of degrees, minutes and seconds and of one-field locations
(``ingest/point_texts.py``). Reference system and order of axes are decided for a column by
evidence: how many of its points fall into the study area under each reading. A single row
that fits only with its axes exchanged is repaired and flagged. Caveat: a point that fits
both ways (a study area near the diagonal lon = lat) is left as it is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from geo.errors import InputError
from ingest.point_texts import parse_angles, parse_numbers, parse_pairs

__all__ = ["CoordinateSpec", "ParsedPoints", "StudyBox", "parse_numbers", "parse_points", "settle_points"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Axes = Literal["lonlat", "latlon"]

FAULTS = ("unreadable_coordinates", "out_of_range_coordinates")
_UNREADABLE, _OUT_OF_RANGE = 0, 1
_DEGREES = "EPSG:4326"
_MERCATOR = "EPSG:3857"
_MERCATOR_EDGE = 20_037_508.35
# Below this distance from 0, 0 (about 10 cm) nobody means the Gulf of Guinea.
_ZERO = 1e-6


@dataclass(frozen=True)
class StudyBox:
    """Bounding box of the study area, decimal degrees WGS 84, and how far outside still counts."""

    west: float
    south: float
    east: float
    north: float
    margin_degrees: float

    def holds(self, lon: Floats, lat: Floats) -> Flags:
        """Which points (n,) lie in the box with its margin; nan is outside."""
        m = self.margin_degrees
        return (
            (lon >= self.west - m)
            & (lon <= self.east + m)
            & (lat >= self.south - m)
            & (lat <= self.north + m)
        )


@dataclass(frozen=True)
class CoordinateSpec:
    """How the coordinates of a file are to be read.

    crs : authority code such as 'EPSG:32639' of *all* its points; None: degrees and metres
        are told apart by their range, and the zone of metres by the study area.
    axes : order in the two columns, or in the single location field where nothing names
        them; None lets the evidence decide. 'lonlat' also means easting before northing.
    xy_headers : the columns are only called x and y: both orders are usual, so a column
        that is exchanged as a whole is no fault and not flagged.
    """

    crs: str | None = None
    axes: Axes | None = None
    xy_headers: bool = False
    # Set by `settle_points`: the system of the rows that are not degrees.
    metres_crs: str | None = None

    def __post_init__(self) -> None:
        for code in (self.crs, self.metres_crs):
            if code is not None:
                _crs(code)
        if self.axes not in (None, "lonlat", "latlon"):
            raise InputError(f"Axis order '{self.axes}' is unknown: write lonlat or latlon.")


@dataclass(frozen=True)
class ParsedPoints:
    """(n,) each; degrees WGS 84."""

    lon: Floats  # nan where there is no point
    lat: Floats
    fault: pl.Series  # String: one of FAULTS, or null
    swapped: Flags  # axes were exchanged and the row was repaired
    zero: Flags  # 0, 0 was given, which means "no point"
    detected: str  # what was decided, for the person who brought the file


@dataclass
class _Pairs:
    """Two numbers a row, in written order; `named` rows came with their axes named."""

    first: Floats
    second: Floats
    given: Flags  # something was written
    named: Flags  # first is a longitude, second a latitude, in words: no guessing
    degrees: Flags  # written with degree signs or hemisphere letters


@lru_cache(maxsize=64)
def _crs(code: str) -> CRS:
    try:
        return CRS.from_user_input(code)
    except CRSError as error:
        raise InputError(
            f"Reference system '{code}' is unknown: write an authority code such as EPSG:32639."
        ) from error


@lru_cache(maxsize=64)
def _transformer(code: str) -> Transformer:
    return Transformer.from_crs(_crs(code), _DEGREES, always_xy=True)


def _to_degrees(code: str, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Longitude and latitude (n,) of coordinates in `code`; nan where there is none."""
    if _crs(code).is_geographic and _crs(code) == _crs(_DEGREES):
        return x, y
    lon, lat = _transformer(code).transform(x, y)
    good = np.isfinite(lon) & np.isfinite(lat)
    return np.where(good, lon, np.nan), np.where(good, lat, np.nan)


def parse_points(
    lon: pl.Series | None,
    lat: pl.Series | None,
    location: pl.Series | None,
    spec: CoordinateSpec,
    study: StudyBox | None,
) -> ParsedPoints:
    """Read points from two columns, from one location field, or from both.

    Parameters
    ----------
    lon, lat : (n,) text or numbers: longitude or x, latitude or y, as the headers say.
    location : (n,) text; used where the two columns give nothing readable.
    spec : what is known; pass what ``settle_points`` returned so that all chunks of a file
        are read alike.
    study : box of the study area; without it swaps are seen only where a latitude exceeds
        90°, and metres cannot be given a UTM zone.

    Returns
    -------
    ParsedPoints. A row with nothing written has neither point nor fault. Half a point and
    text that is no number are unreadable; numbers that no reading makes a place on Earth are
    out of range. Points outside the study area are returned: the caller judges them.
    """
    pairs = _pairs(lon, lat, location)
    spec, detected = _settle(pairs, spec, study, whole_column=lon is not None)
    n = len(pairs.first)
    complete = np.isfinite(pairs.first) & np.isfinite(pairs.second)
    zero = complete & (np.abs(pairs.first) < _ZERO) & (np.abs(pairs.second) < _ZERO)
    exchange = ~pairs.named & (spec.axes == "latlon")
    x = np.where(exchange, pairs.second, pairs.first)
    y = np.where(exchange, pairs.first, pairs.second)
    out_lon, out_lat = _placed(x, y, pairs.degrees, spec)
    held = np.isfinite(out_lon) if study is None else study.holds(out_lon, out_lat)
    swapped = np.zeros(n, bool)
    tried = np.flatnonzero(complete & ~zero & ~held)
    if len(tried):
        other_lon, other_lat = _placed(y[tried], x[tried], pairs.degrees[tried], spec)
        fits = np.isfinite(other_lon) if study is None else study.holds(other_lon, other_lat)
        mended = tried[fits]
        out_lon[mended], out_lat[mended], swapped[mended] = other_lon[fits], other_lat[fits], True
    if lon is not None and not spec.xy_headers and spec.axes == "latlon" and location is None:
        # The headers promised the other order: every row that follows the column is a repair.
        swapped = ~swapped & complete & ~zero & np.isfinite(out_lon)
    shown = complete & ~zero & np.isfinite(out_lon)
    fault = np.full(n, -1, np.int64)
    fault[pairs.given & ~complete] = _UNREADABLE
    fault[complete & ~zero & ~shown] = _OUT_OF_RANGE
    index = pl.Series(fault)
    return ParsedPoints(
        np.where(shown, out_lon, np.nan),
        np.where(shown, out_lat, np.nan),
        pl.Series("fault", list(FAULTS), dtype=pl.String).gather(index.set(index < 0, None)),
        swapped,
        zero,
        detected,
    )


def settle_points(
    lon: pl.Series | None,
    lat: pl.Series | None,
    location: pl.Series | None,
    spec: CoordinateSpec,
    study: StudyBox | None,
) -> tuple[CoordinateSpec, str]:
    """Decide reference system and axes of a column from some of its rows.

    Returns the spec to read the whole file with, and a sentence that says what was decided.
    """
    return _settle(_pairs(lon, lat, location), spec, study, whole_column=lon is not None)


def _pairs(lon: pl.Series | None, lat: pl.Series | None, location: pl.Series | None) -> _Pairs:
    if (lon is None) != (lat is None):
        raise InputError(
            "A point needs two columns: name the one for longitude (x) and the one for latitude (y)."
        )
    if lon is not None and lat is not None:
        x, y = parse_angles(lon), parse_angles(lat)
        first, second = x.value.copy(), y.value.copy()
        # A latitude with its hemisphere in the longitude's column, and the reverse.
        crossed = (x.axis == 2) & (y.axis == 1)
        first[crossed], second[crossed] = y.value[crossed], x.value[crossed]
        # Letters that contradict each other (two latitudes) are no point.
        wrong = (x.axis != 0) & (x.axis == y.axis)
        first[wrong] = np.nan
        pairs = _Pairs(
            first,
            second,
            x.given | y.given,
            ((x.axis == 1) & (y.axis == 2)) | crossed,
            x.degrees | y.degrees,
        )
        if location is None:
            return pairs
        missing = ~(np.isfinite(first) & np.isfinite(second))
        rows = np.flatnonzero(missing & location.is_not_null().to_numpy())
        if not len(rows):
            return pairs
        inner = parse_pairs(location.gather(pl.Series(rows)))
        found = np.isfinite(inner.first) & np.isfinite(inner.second)
        # A location nobody named the axes of is (lat, lon), the usual way: turned to x, y.
        turn = ~inner.named
        at = rows[found]
        pairs.first[at] = np.where(turn, inner.second, inner.first)[found]
        pairs.second[at] = np.where(turn, inner.first, inner.second)[found]
        pairs.named[at] = inner.named[found]
        pairs.degrees[at] = inner.degrees[found]
        pairs.given[rows] |= inner.given
        return pairs
    if location is None:
        raise InputError("No column for coordinates was named: name longitude and latitude, or a location.")
    inner = parse_pairs(location)
    return _Pairs(inner.first, inner.second, inner.given, inner.named, inner.degrees)


def _degree_like(x: Floats, y: Floats) -> Flags:
    return (np.abs(x) <= 180) & (np.abs(y) <= 180)


def _placed(x: Floats, y: Floats, degrees: Flags, spec: CoordinateSpec) -> tuple[Floats, Floats]:
    """Longitude and latitude of easting x and northing y; nan where that is no place."""
    lon, lat = np.full(len(x), np.nan), np.full(len(x), np.nan)
    code = spec.crs or _DEGREES
    if spec.crs is None:
        plain = _degree_like(x, y)
    else:
        plain = degrees.copy() if not _crs(code).is_geographic else np.ones(len(x), bool)
    rest = np.isfinite(x) & np.isfinite(y) & ~plain
    metres = spec.crs or spec.metres_crs
    if plain.any():
        source = code if spec.crs and _crs(code).is_geographic else _DEGREES
        ok = plain & (np.abs(x) <= 180) & (np.abs(y) <= 90)
        lon[ok], lat[ok] = _to_degrees(source, x[ok], y[ok])
    if rest.any() and metres:
        inside = rest & _in_domain(metres, x, y)
        lon[inside], lat[inside] = _to_degrees(metres, x[inside], y[inside])
    return lon, lat


def _in_domain(code: str, x: Floats, y: Floats) -> Flags:
    """Where a UTM zone or Web Mercator makes sense; other systems judge for themselves."""
    if code == _MERCATOR:
        return (np.abs(x) <= _MERCATOR_EDGE) & (np.abs(y) <= _MERCATOR_EDGE)
    if _crs(code).utm_zone:
        return (x >= 100_000) & (x <= 900_000) & (y >= 0) & (y <= 10_000_000)
    return np.isfinite(x) & np.isfinite(y)


def _metre_systems(study: StudyBox) -> list[str]:
    """Web Mercator, and the UTM zones that the study area and its neighbours lie in."""
    zones = range(int((study.west + 180) // 6), int((study.east + 180) // 6) + 3)
    near = [(zone - 1) % 60 + 1 for zone in zones]
    base = 32700 if study.north < 0 else 32600
    return [_MERCATOR] + [f"EPSG:{base + zone}" for zone in near]


def _settle(
    pairs: _Pairs, spec: CoordinateSpec, study: StudyBox | None, whole_column: bool
) -> tuple[CoordinateSpec, str]:
    complete = np.isfinite(pairs.first) & np.isfinite(pairs.second)
    used = complete & ((np.abs(pairs.first) >= _ZERO) | (np.abs(pairs.second) >= _ZERO))
    # Ten thousand points tell as much as a million.
    rows = np.flatnonzero(used)
    rows = rows[:: max(1, len(rows) // 10_000)]
    a, b = pairs.first[rows], pairs.second[rows]
    named, degrees = pairs.named[rows], pairs.degrees[rows]
    usual: Axes = "lonlat" if whole_column else "latlon"
    if not len(rows):
        return replace(spec, axes=spec.axes or usual), "no coordinates"

    said = [] if spec.crs is None else [f"{_title(spec.crs)}, as the profile says"]
    far = ~_degree_like(a, b)
    if spec.crs is None and spec.metres_crs is None and far.any():
        best = _best_system(a[far], b[far], study)
        if best:
            spec = replace(spec, metres_crs=best)
    if spec.crs is None:
        if not far.all():
            said.append("decimal degrees (EPSG:4326), by range")
        if spec.metres_crs:
            by = "by range and study area" if study else "by range"
            said.append(f"{_title(spec.metres_crs)}, {by}")
        elif far.any():
            said.append(
                "numbers beyond 180 that fit no UTM zone of the study area and no Web Mercator: "
                "give the reference system in the profile"
            )
    if spec.axes is None:
        loose = ~named
        fits = {}
        for axes, x, y in (("lonlat", a, b), ("latlon", b, a)):
            lon, lat = _placed(x[loose], y[loose], degrees[loose], spec)
            fits[axes] = np.isfinite(lon) if study is None else study.holds(lon, lat)
        other: Axes = "latlon" if usual == "lonlat" else "lonlat"
        only_other = int(np.count_nonzero(fits[other] & ~fits[usual]))
        only_usual = int(np.count_nonzero(fits[usual] & ~fits[other]))
        # Most points have to say so; without a study area nearly any pair fits both ways.
        held = only_other if study is None else int(np.count_nonzero(fits[other]))
        chosen = other if only_other > only_usual and held * 2 > int(loose.sum()) else usual
        spec = replace(spec, axes=chosen)
        if chosen != usual:
            said.append(
                "the columns are exchanged: the first holds latitudes or northings"
                if whole_column
                else "longitude before latitude"
            )
    return spec, "; ".join(said)


def _best_system(a: Floats, b: Floats, study: StudyBox | None) -> str | None:
    """The metre system that brings most points into the study area, in either order of axes."""
    if study is None:
        # UTM eastings repeat in every zone; Web Mercator beyond them is unmistakable.
        merc = _in_domain(_MERCATOR, a, b) & (np.maximum(np.abs(a), np.abs(b)) > 10_000)
        utm = ((a >= 100_000) & (a <= 900_000)) | ((b >= 100_000) & (b <= 900_000))
        return _MERCATOR if np.count_nonzero(merc & ~utm) * 2 > len(a) else None
    best, most = None, 0
    for code in _metre_systems(study):
        votes = 0
        for x, y in ((a, b), (b, a)):
            ok = _in_domain(code, x, y)
            votes += int(np.count_nonzero(study.holds(*_to_degrees(code, x[ok], y[ok]))))
        if votes > most:
            best, most = code, votes
    return best


def _title(code: str) -> str:
    crs = _crs(code)
    if crs.utm_zone:
        return f"UTM zone {crs.utm_zone} ({code})"
    if code == _MERCATOR:
        return f"Web Mercator ({code})"
    return f"{crs.name} ({code})"
