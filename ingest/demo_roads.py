"""The demo's roads: the made-up street grid along which its reports were drawn.

Main roads run on through the places of a municipality; of the side streets every third is
drawn; links join towns that would lie apart (the shortest that join them all: a minimum
spanning tree). Roads meet in shared vertices, as in OpenStreetMap. Caveat: every line and
every name is an invention and says so; nothing here is a fact about a real street.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import Delaunay, cKDTree

from geo.simulated_world import METRES_PER_DEGREE, World, metres
from ingest.demo_world import DemoWorld

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LABEL = "طرق بالمحاكاة · Simulated roads"
NOTE = "طريق مولّد للعرض وليس حقيقيًا · Invented road, not a real one"
EVERY = 3  # side street that is drawn
_MAIN_REACH = 1.2  # radii of its place that a main road runs on
_MAIN_MORE_M = 300.0
_SHORT_LINK_M = 600.0  # grids of two municipalities are joined wherever they come so near
_LONG_LINK_M = 3_000.0  # from here on a link is a road between towns
_NAMES = {
    "main": ("طريق محاكاة {}", "Simulated road {}"),
    "side": ("شارع محاكاة {}", "Simulated street {}"),
    "link": ("وصلة محاكاة {}", "Simulated link {}"),
}


@dataclass
class _Drawing:
    """Lines that are being drawn, in metres of the world's common plane."""

    lines: list[Floats] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def add(self, line: Floats, road_class: str, kind: str) -> None:
        self.lines.append(line)
        self.classes.append(road_class)
        self.kinds.append(kind)


@dataclass(frozen=True)
class _Ground:
    """Which place a point belongs to, and whether it may hold a street."""

    world: World
    east: Floats
    north: Floats
    tree: cKDTree

    def of(self, points: Floats) -> tuple[Ints, Floats, Flags]:
        """Nearest place of points (m, 2), metres to it, and whether the point is ashore."""
        far, place = self.tree.query(points)
        bearing = np.radians(np.nan_to_num(self.world.places.sea_bearing_deg[place]))
        de, dn = points[:, 0] - self.east[place], points[:, 1] - self.north[place]
        seaward = de * np.sin(bearing) + dn * np.cos(bearing)
        return place.astype(np.int64), far, seaward <= self.world.shore_m[place]


def write_roads(path: Path, demo: DemoWorld) -> Path:
    """Write the roads as a GeoPackage with OpenStreetMap's tags, replacing it; the same in every run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    simulated_roads().to_file(path, layer="roads", driver="GPKG")
    return path


@cache
def simulated_roads() -> gpd.GeoDataFrame:
    """``highway``, ``name:ar``, ``name:en``, ``note`` and lines in EPSG:4326."""
    from ingest.demo_world import demo_world

    world = demo_world().world
    east, north = metres(world.places)
    ground = _Ground(world, east, north, cKDTree(np.column_stack([east, north])))
    drawing = _Drawing()
    crossings: dict[tuple[int, int, int], list[Floats]] = {}
    _side_streets(ground, drawing, crossings)
    nodes, joined = _main_roads(ground, drawing, crossings)
    _links(nodes, joined, drawing)
    return _frame(world, drawing)


def _side_streets(
    ground: _Ground, drawing: _Drawing, crossings: dict[tuple[int, int, int], list[Floats]]
) -> None:
    """Side streets of all places; ``crossings`` grows by where they meet main roads (town, family, number)."""
    places = ground.world.places
    drawn = [line for place in range(len(ground.world)) for line in _grid(ground, place)]
    whole = np.concatenate([points for _, points, _ in drawn])
    owner = np.repeat([place for place, _, _ in drawn], [len(points) for _, points, _ in drawn])
    # One question for all vertices: a street ends where another place is nearer, or the sea.
    mine, far, ashore = ground.of(whole)
    good = (mine == owner) & (far <= places.radius_m[owner]) & ashore
    begin = 0
    for place, points, keys in drawn:
        home = int(places.municipality[place])
        for first, last in _runs(good[begin : begin + len(points)]):
            drawing.add(points[first : last + 1], "residential", "side")
            for i in range(first, last + 1):
                if keys[i, 0] >= 0:
                    crossings.setdefault((home, int(keys[i, 0]), int(keys[i, 1])), []).append(points[i])
        begin += len(points)


def _grid(ground: _Ground, place: int) -> Iterator[tuple[int, Floats, Ints]]:
    """Streets of one place before they are cut: vertices in order, and the main road at each (-1: none)."""
    world = ground.world
    radius, gap, phase, apart = (
        float(values[place])
        for values in (world.places.radius_m, world.street_gap_m, world.street_phase, world.road_gap_m)
    )
    numbers = np.arange(int(np.ceil(-radius / gap + phase)), int(np.floor(radius / gap + phase)) + 1)
    steps = (numbers[numbers % EVERY == 0] - phase) * gap
    if len(steps) < 2:
        return
    origin = np.array([ground.east[place], ground.north[place]])
    for family in (0, 1):
        angle = world.street_angle[place] + family * np.pi / 2
        across, along = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        for step in steps:
            foot = origin + step * across
            # On the second family the other's streets lie at minus their own steps.
            at = [steps if family == 0 else -steps]
            keys = [np.full((len(steps), 2), -1, dtype=np.int64)]
            for main in (0, 1):
                turn = world.road_angle[place] + main * np.pi / 2
                normal = np.array([np.cos(turn), np.sin(turn)])
                slope, offset = float(along @ normal), float(foot @ normal)
                if abs(slope) < 0.02:
                    continue
                low, high = sorted((offset - radius * slope, offset + radius * slope))
                number = np.arange(int(np.ceil(low / apart)), int(np.floor(high / apart)) + 1)
                at.append((number * apart - offset) / slope)
                keys.append(np.column_stack([np.full(len(number), main), number]))
            places_on = np.concatenate(at)
            order = np.argsort(places_on, kind="stable")
            yield place, foot + places_on[order, None] * along, np.concatenate(keys)[order]


def _main_roads(
    ground: _Ground, drawing: _Drawing, crossings: dict[tuple[int, int, int], list[Floats]]
) -> tuple[Floats, Ints]:
    """Main roads of all municipalities; their crossings (k, 2), and the pairs that a road joins (e, 2)."""
    world, nodes, joined = ground.world, [np.zeros((0, 2))], [np.zeros((0, 2), dtype=np.int64)]
    count = 0
    for home in range(len(world.municipalities)):
        own = np.flatnonzero(world.places.municipality == home)
        if not len(own):
            continue
        turn, apart = float(world.road_angle[own[0]]), float(world.road_gap_m[own[0]])
        first, second = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        centre = np.column_stack([ground.east[own], ground.north[own]])
        reach = world.places.radius_m[own] * _MAIN_REACH + _MAIN_MORE_M
        spans = []
        for axis in (first, second):
            low, high = (centre @ axis - reach).min() / apart, (centre @ axis + reach).max() / apart
            spans.append(np.arange(int(np.floor(low)), int(np.ceil(high)) + 1))
        j, k = (grid.ravel() for grid in np.meshgrid(*spans, indexing="ij"))
        points = apart * (j[:, None] * first + k[:, None] * second)
        place, far, ashore = ground.of(points)
        near = far <= world.places.radius_m[place] * _MAIN_REACH + _MAIN_MORE_M
        good = (near & ashore & (world.places.municipality[place] == home)).reshape(len(spans[0]), -1)
        points = points.reshape(*good.shape, 2)
        number = np.full(good.shape, -1, dtype=np.int64)
        used = np.zeros(good.shape, dtype=bool)
        for family in (0, 1):
            rows = good if family == 0 else good.T
            at = points if family == 0 else points.swapaxes(0, 1)
            marks = used if family == 0 else used.T
            for row, flags in enumerate(rows):
                line = int(spans[family][row])
                extra = np.array(crossings.get((home, family, line), [])).reshape(-1, 2)
                for begin, end in _runs(flags):
                    marks[row, begin : end + 1] = True
                    run = at[row, begin : end + 1]
                    drawing.add(_with(run, extra), _main_class(line), "main")
        number[used] = count + np.arange(int(used.sum()))
        nodes.append(points[used])
        for a, b in ((number[:-1], number[1:]), (number[:, :-1], number[:, 1:])):
            both = (a >= 0) & (b >= 0)
            joined.append(np.column_stack([a[both], b[both]]))
        count += int(used.sum())
    return np.concatenate(nodes), np.concatenate(joined)


def _main_class(number: int) -> str:
    if number % 12 == 0:
        return "trunk"
    return "primary" if number % 4 == 0 else ("secondary" if number % 2 == 0 else "tertiary")


def _with(run: Floats, extra: Floats) -> Floats:
    """A straight run of crossings with the side streets' crossings between its ends put in."""
    direction = (run[-1] - run[0]) / np.linalg.norm(run[-1] - run[0])
    at = (extra - run[0]) @ direction
    length = float((run[-1] - run[0]) @ direction)
    points = np.concatenate([run, extra[(at > 0) & (at < length)]])
    return points[np.argsort((points - run[0]) @ direction, kind="stable")]


def _links(nodes: Floats, joined: Ints, drawing: _Drawing) -> None:
    """Short links between grids, and the long ones that make one network of all."""
    size = len(nodes)
    shape = (size, size)
    known = csr_array((np.ones(len(joined)), (joined[:, 0], joined[:, 1])), shape=shape)
    _, part = connected_components(known, directed=False)
    corners = Delaunay(nodes).simplices
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    pairs = pairs[part[pairs[:, 0]] != part[pairs[:, 1]]]
    length = np.linalg.norm(nodes[pairs[:, 0]] - nodes[pairs[:, 1]], axis=1)
    # Roads that are there cost next to nothing, so the tree takes links only where it must.
    tree = minimum_spanning_tree(
        csr_array(
            (
                np.concatenate([np.full(len(joined), 1e-3), length]),
                (np.concatenate([joined[:, 0], pairs[:, 0]]), np.concatenate([joined[:, 1], pairs[:, 1]])),
            ),
            shape=shape,
        )
    ).tocoo()
    needed = {(min(a, b), max(a, b)) for a, b, w in zip(*tree.coords, tree.data, strict=True) if w > 1e-3}
    for (a, b), metres_ in zip(pairs.tolist(), length.tolist(), strict=True):
        if (a, b) in needed or metres_ < _SHORT_LINK_M:
            long = metres_ >= _LONG_LINK_M
            drawing.add(nodes[[a, b]], "motorway" if long else "secondary", "main" if long else "link")


def _runs(good: Flags) -> list[tuple[int, int]]:
    """First and last position of each run of two or more."""
    edges = np.diff(np.r_[False, good, False].astype(np.int8))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [(int(a), int(b)) for a, b in zip(first, last, strict=True) if b > a]


def _frame(world: World, drawing: _Drawing) -> gpd.GeoDataFrame:
    sizes = np.array([len(line) for line in drawing.lines])
    points = np.concatenate(drawing.lines)
    lon0, lat0 = world.places.lon.mean(), world.places.lat.mean()
    lat = lat0 + points[:, 1] / METRES_PER_DEGREE
    lon = lon0 + points[:, 0] / (METRES_PER_DEGREE * np.cos(np.radians(lat)))
    # Rounded, so that one crossing has one position on all its roads.
    degrees = np.round(np.column_stack([lon, lat]), 7)
    shapes = shapely.linestrings(degrees, indices=np.repeat(np.arange(len(sizes)), sizes))
    numbers: dict[str, int] = {}
    arabic, english = [], []
    for kind in drawing.kinds:
        numbers[kind] = numbers.get(kind, 0) + 1
        arabic.append(_NAMES[kind][0].format(numbers[kind]))
        english.append(_NAMES[kind][1].format(numbers[kind]))
    columns = {"highway": drawing.classes, "name:ar": arabic, "name:en": english, "note": NOTE}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=4326)
