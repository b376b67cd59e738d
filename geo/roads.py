"""Road lines, and the road that each point lies on.

Points are put on the nearest line within a distance, in metres of the local UTM zone: the
lines' short pieces are sorted into squares, and a point is measured against the pieces of
its own square only, all points at once. Classes follow OpenStreetMap's ``highway`` tag
(https://wiki.openstreetmap.org/wiki/Key:highway). Caveat: nearest is not always right; a
report at a corner may belong to the other street, and one under a bridge to the road above.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Geod

from geo.boundaries import local_utm
from geo.errors import InputError
from geo.plane import Plane

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]
Lines = npt.NDArray[np.object_]

#: From the road that carries most to the one that carries least.
CLASSES = (
    "motorway",
    "trunk",
    "primary",
    "secondary",
    "tertiary",
    "local",
    "service",
    "track",
    "path",
    "other",
)
#: Roads that make a movement axis, unless others are asked for.
MAIN = CLASSES[:5]
#: Roads where people on foot are not safe.
FAST = ("motorway", "trunk")
#: Roads that no vehicle of a team takes.
ON_FOOT = ("path",)
#: Road distance ÷ distance as the crow flies, where no road is known: the mean of cities is
#: 1.2 to 1.4 (Ballou, Rahardja & Sakai 2002, Transportation Research A 36).
DETOUR = 1.3

_GEOD = Geod(ellps="WGS84")
_CHUNK = 20_000  # points measured at a time: the work arrays stay in the processor's cache
_MOST_SQUARES = 1e10  # squares are numbered, not kept: only those with a piece take memory


@dataclass(frozen=True, slots=True, eq=False)
class Roads:
    """Lines of a territory, arrays (n,).

    Attributes
    ----------
    ids : of the store, ascending.
    lines : shapely linestrings, EPSG:4326.
    road_class : codes of ``CLASSES``.
    name_ar, name_en, ref : texts, empty where there is none.
    direction : 0 both ways, 1 along the line only, -1 against it only.
    length_m : geodesic.
    """

    ids: Ints
    lines: Lines
    road_class: Texts
    name_ar: Texts
    name_en: Texts
    ref: Texts
    direction: npt.NDArray[np.int8]
    length_m: Floats

    def __post_init__(self) -> None:
        fields = (self.lines, self.road_class, self.name_ar, self.name_en, self.ref, self.direction)
        if any(len(each) != len(self.ids) for each in (*fields, self.length_m)):
            raise InputError("Roads cannot be used: their columns differ in length.")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: npt.NDArray[np.generic]) -> Roads:
        """The roads at positions, or where a flag is set."""
        return Roads(
            self.ids[chosen],
            self.lines[chosen],
            self.road_class[chosen],
            self.name_ar[chosen],
            self.name_en[chosen],
            self.ref[chosen],
            self.direction[chosen],
            self.length_m[chosen],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Snapped:
    """Where points lie on roads, arrays (n,).

    Attributes
    ----------
    road : position of the road; -1 where none is within reach.
    distance_m : to it; inf where none is within reach.
    along_m : from the line's start to the nearest place on it; nan where none is within reach.
    """

    road: Ints
    distance_m: Floats
    along_m: Floats


def lengths_m(lines: npt.ArrayLike) -> Floats:
    """Geodesic length of each line (n,), metres."""
    shapes = np.asarray(lines, dtype=object)
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    if len(points) < 2:
        return np.zeros(len(shapes))
    same = owner[1:] == owner[:-1]
    first, second = points[:-1][same], points[1:][same]
    _, _, metres = _GEOD.inv(first[:, 0], first[:, 1], second[:, 0], second[:, 1])
    return np.bincount(owner[1:][same], np.asarray(metres), minlength=len(shapes)).astype(np.float64)


class RoadPlane:
    """The lines of roads in metres, and points put on them.

    Parameters
    ----------
    lines : (n,) shapely linestrings, EPSG:4326, at least one.

    Raises
    ------
    InputError : there are no lines.
    """

    def __init__(self, lines: Lines) -> None:
        if not len(lines):
            raise InputError("Points cannot be put on roads: there are no roads.")
        west, south, east, north = shapely.total_bounds(lines)
        box = (west - 0.1, south - 0.1, east + 0.1, north + 0.1)
        self.plane = Plane(local_utm([shapely.box(*box)]), box)
        degrees, self.owner = shapely.get_coordinates(lines, return_index=True)
        self.degrees = degrees
        self.x, self.y = self.plane.metres(degrees[:, 0], degrees[:, 1])
        same = self.owner[1:] == self.owner[:-1]
        self.starts = np.flatnonzero(same)  # first vertex of each piece between two vertices
        step = np.hypot(np.diff(self.x), np.diff(self.y))
        total = np.concatenate(([0.0], np.cumsum(np.where(same, step, 0.0))))
        first = np.flatnonzero(np.r_[True, ~same])
        self.along = total - total[first][self.owner]  # (v,) metres from the line's start
        self._squares: dict[float, _Squares] = {}

    @cached_property
    def tree(self) -> shapely.STRtree:
        """The pieces between two vertices, for points however far away."""
        ends = np.stack([self.starts, self.starts + 1], axis=1)
        return shapely.STRtree(shapely.linestrings(np.stack([self.x[ends], self.y[ends]], axis=-1)))

    def snap(self, lon: npt.ArrayLike, lat: npt.ArrayLike, within_m: float) -> Snapped:
        """The nearest road of each point (n,), decimal degrees; of equally near ones the first."""
        if not 0 < within_m <= 10_000:
            raise InputError(f"Roads are looked for within 0 to 10,000 m, not {within_m:g}.")
        px, py = self.plane.metres(lon, lat)
        piece = np.full(len(px), -1, dtype=np.int64)
        far = np.full(len(px), np.inf)
        # Made once a distance: nearly all questions have the same one.
        squares = self._squares.get(within_m) or self._squares.setdefault(within_m, _Squares(self, within_m))
        for begin in range(0, len(px), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            piece[part], far[part] = squares.nearest(px[part], py[part])
        return self._placed(px, py, piece, far)

    def nearest(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Snapped:
        """As ``snap`` at any distance, for some hundred points."""
        px, py = self.plane.metres(lon, lat)
        piece = np.full(len(px), -1, dtype=np.int64)
        known = np.isfinite(px) & np.isfinite(py)
        where, found = self.tree.query_nearest(shapely.points(px[known], py[known]), all_matches=True)
        # Of several the first, whatever order the tree gives them in.
        best = np.full(int(known.sum()), len(self.starts), dtype=np.int64)
        np.minimum.at(best, where, found)
        piece[known] = best
        at = np.maximum(piece, 0)
        far = np.where(piece >= 0, np.sqrt(self._square(px, py, at)[0]), np.inf)
        return self._placed(px, py, piece, far)

    def _placed(self, px: Floats, py: Floats, piece: Ints, far: Floats) -> Snapped:
        hit = piece >= 0
        road = np.full(len(px), -1, dtype=np.int64)
        along = np.full(len(px), np.nan)
        at = piece[hit]
        first = self.starts[at]
        _, share = self._square(px[hit], py[hit], at)
        road[hit] = self.owner[first]
        along[hit] = self.along[first] + share * (self.along[first + 1] - self.along[first])
        return Snapped(road, far, along)

    def _square(self, px: Floats, py: Floats, piece: Ints) -> tuple[Floats, Floats]:
        """Squared distance of points to pieces (m,), and the share of the piece before the nearest place."""
        first = self.starts[piece]
        ax, ay = self.x[first], self.y[first]
        dx, dy = self.x[first + 1] - ax, self.y[first + 1] - ay
        square = dx * dx + dy * dy
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.clip(((px - ax) * dx + (py - ay) * dy) / square, 0.0, 1.0)
        share = np.where(square > 0, share, 0.0)
        return (px - ax - share * dx) ** 2 + (py - ay - share * dy) ** 2, share


class _Squares:
    """Pieces of lines by square of a grid; a square lists every piece within reach of its points."""

    def __init__(self, roads: RoadPlane, within_m: float) -> None:
        self.roads, self.within = roads, within_m
        extent = max(float(np.ptp(roads.x)), float(np.ptp(roads.y)), 1.0) + 2 * within_m
        self.side = max(within_m, 15.0, extent / np.sqrt(_MOST_SQUARES))
        self.west, self.south = float(roads.x.min()) - within_m, float(roads.y.min()) - within_m
        self.columns = int(extent // self.side) + 1
        first = roads.starts
        length = roads.along[first + 1] - roads.along[first]
        # A long piece is listed by parts, for its own box would cover squares far from it.
        parts = np.maximum(1, np.ceil(length / self.side)).astype(np.int64)
        owner = np.repeat(np.arange(len(first)), parts)
        nth = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
        low, high = nth / parts[owner], (nth + 1) / parts[owner]
        at = first[owner]
        boxes = []
        for values, origin in ((roads.x, self.west), (roads.y, self.south)):
            begin = values[at] + low * (values[at + 1] - values[at])
            end = values[at] + high * (values[at + 1] - values[at])
            boxes.append(np.floor((np.minimum(begin, end) - within_m - origin) / self.side).astype(np.int64))
            boxes.append(np.floor((np.maximum(begin, end) + within_m - origin) / self.side).astype(np.int64))
        left, right, bottom, top = (np.clip(each, 0, self.columns - 1) for each in boxes)
        wide = right - left + 1
        count = wide * (top - bottom + 1)
        piece = np.repeat(owner, count)
        nth = np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count)
        width = np.repeat(wide, count)
        square = (
            (np.repeat(bottom, count) + nth // width) * self.columns + np.repeat(left, count) + nth % width
        )
        listed = np.sort(square * len(first) + piece)
        listed = listed[np.r_[True, listed[1:] != listed[:-1]]]
        self.square, self.piece = listed // len(first), listed % len(first)

    def nearest(self, px: Floats, py: Floats) -> tuple[Ints, Floats]:
        """Nearest piece of each point (m,), -1 where none is within reach, and the distance."""
        piece, far = np.full(len(px), -1, dtype=np.int64), np.full(len(px), np.inf)
        known = np.flatnonzero(np.isfinite(px) & np.isfinite(py))
        column = np.floor((px[known] - self.west) / self.side).astype(np.int64)
        row = np.floor((py[known] - self.south) / self.side).astype(np.int64)
        inside = (column >= 0) & (column < self.columns) & (row >= 0) & (row < self.columns)
        at, square = known[inside], (row * self.columns + column)[inside]
        begin = np.searchsorted(self.square, square, side="left")
        count = np.searchsorted(self.square, square, side="right") - begin
        at, begin, count = at[count > 0], begin[count > 0], count[count > 0]
        if not len(at):
            return piece, far
        starts = np.cumsum(count) - count
        candidate = self.piece[np.repeat(begin - starts, count) + np.arange(int(count.sum()))]
        point = np.repeat(at, count)
        square_m, _ = self.roads._square(px[point], py[point], candidate)
        least = np.minimum.reduceat(square_m, starts)
        # Pieces are listed in order: the first of the nearest is the least position.
        tied = np.where(square_m <= np.repeat(least, count), candidate, len(self.roads.starts))
        best = np.minimum.reduceat(tied, starts)
        near = least <= self.within**2
        piece[at[near]], far[at[near]] = best[near], np.sqrt(least[near])
        return piece, far
