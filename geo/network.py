"""Distances along roads between places: the street network as a graph, and shortest paths.

Two roads meet where they share a vertex, as in OpenStreetMap; a dead end within a metre of
another vertex is joined to it. Places are put on the nearest road that belongs to a large
connected part, and paths are found by Dijkstra's algorithm (scipy) in the places'
surroundings only. Caveat: turn bans and speeds are not known; where no path is found,
geodesic distance × ``DETOUR`` stands in, and the pairs are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyproj import Geod
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from geo.errors import InputError
from geo.roads import DETOUR, FAST, ON_FOOT, Floats, Ints, RoadPlane, Roads

JOIN_M = 1.0  # a dead end this near to another vertex is a slip of the pen
REACH_M = 1_000.0  # a place farther from every road has no road distance
MARGIN = 0.25  # of the places' extent, added around it
LEAST_MARGIN_M = 1_500.0
_LEAST_PART = 0.02  # share of all kilometres below which a connected part is an island
_ID = 1e7  # vertices are the same when they agree to a centimetre
_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """Distances between places.

    Attributes
    ----------
    metres : (n, n) from row to column, 0 on the diagonal; one-way roads make it uneven.
    assumed : (n, n) bool, pairs without a path: geodesic × ``DETOUR``.
    """

    metres: Floats
    assumed: npt.NDArray[np.bool_]

    @property
    def pairs_assumed(self) -> int:
        """Number of ordered pairs without a path."""
        return int(self.assumed.sum())


class Network:
    """The graph of a territory's roads, made once and asked often.

    Parameters
    ----------
    roads : of a territory.
    on_foot : False takes roads in their direction and leaves footpaths out; True walks them
        both ways, footpaths too, and leaves fast roads out while there are others.

    Raises
    ------
    InputError : no road is left that can be driven on.
    """

    def __init__(self, roads: Roads, *, on_foot: bool = False) -> None:
        used = roads.take(~np.isin(roads.road_class, FAST if on_foot else ON_FOOT))
        if not len(used) and on_foot:
            used = roads
        if not len(used):
            raise InputError("Road distances need roads that can be driven on: there are only footpaths.")
        self.plane = RoadPlane(used.lines)
        self._edges(used, not on_foot)

    def _edges(self, roads: Roads, one_way: bool) -> None:
        plane = self.plane
        keys = np.round(plane.degrees * _ID).astype(np.int64)
        keys -= keys.min(axis=0)
        _, vertex, uses = np.unique(
            keys[:, 0] * (int(keys[:, 1].max()) + 1) + keys[:, 1], return_inverse=True, return_counts=True
        )
        last = np.r_[plane.owner[1:] != plane.owner[:-1], True]
        first = np.r_[True, last[:-1]]
        turning = first | last | (uses[vertex] > 1)
        rows = np.flatnonzero(turning)
        # Two nodes that follow each other on one line are an edge.
        follows = plane.owner[rows[1:]] == plane.owner[rows[:-1]]
        tail, head = rows[:-1][follows], rows[1:][follows]
        node = self._joined(vertex, rows, tail, head)
        self.tail, self.head = node[vertex[tail]], node[vertex[head]]
        self.length = plane.along[head] - plane.along[tail]
        self.road, self.begin = plane.owner[tail], plane.along[tail]
        direction = roads.direction[self.road] if one_way else np.zeros(len(tail), dtype=np.int8)
        self.onward, self.back = direction >= 0, direction <= 0
        self.nodes = int(node.max()) + 1
        self.x, self.y = np.zeros(self.nodes), np.zeros(self.nodes)
        self.x[node[vertex[rows]]], self.y[node[vertex[rows]]] = plane.x[rows], plane.y[rows]
        # Edges are in order of road and place on it: one number finds an edge.
        reach = np.bincount(self.road, self.length, minlength=len(roads))
        self.offset = np.concatenate(([0.0], np.cumsum(reach)))
        self.placed = self.offset[self.road] + self.begin
        self.part = self._parts()
        km = np.bincount(self.part, self.length)
        usable = (km >= min(_LEAST_PART * km.sum(), km.max()))[self.part]
        # Only roads of a large part take places: a car park without a way out reaches nothing.
        whole = np.ones(len(roads), dtype=bool)
        whole[self.road[~usable]] = False
        self.entry = RoadPlane(roads.lines[whole]) if whole.any() else plane
        self.entry_road = np.flatnonzero(whole) if whole.any() else np.arange(len(roads))

    def _joined(self, vertex: Ints, rows: Ints, tail: Ints, head: Ints) -> Ints:
        """Number of the node of each vertex (those that are no node included), dead ends joined."""
        size = int(vertex.max()) + 1
        ends = np.bincount(np.r_[vertex[tail], vertex[head]], minlength=size)
        nodes = np.unique(vertex[rows])
        x, y = np.zeros(size), np.zeros(size)
        x[vertex[rows]], y[vertex[rows]] = self.plane.x[rows], self.plane.y[rows]
        dead = nodes[ends[nodes] == 1]
        links = np.zeros((0, 2), dtype=np.int64)
        if len(dead):
            tree = cKDTree(np.column_stack([x[nodes], y[nodes]]))
            near = tree.query_ball_point(np.column_stack([x[dead], y[dead]]), JOIN_M)
            pairs = [(int(d), int(nodes[j])) for d, found in zip(dead, near, strict=True) for j in found]
            links = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        graph = csr_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(size, size))
        _, label = connected_components(graph, directed=False)
        return label.astype(np.int64)

    def _parts(self) -> Ints:
        """The strongly connected part of each edge: from each of its places to every other and back."""
        source = np.r_[self.tail[self.onward], self.head[self.back]]
        target = np.r_[self.head[self.onward], self.tail[self.back]]
        graph = csr_array((np.ones(len(source)), (source, target)), shape=(self.nodes, self.nodes))
        number, label = connected_components(graph, directed=True, connection="strong")
        # An edge between two parts is in none: it gets a number of its own.
        alone = number + np.arange(len(self.tail))
        same = label[self.tail] == label[self.head]
        _, packed = np.unique(np.where(same, label[self.tail], alone), return_inverse=True)
        return packed.astype(np.int64)

    def distances(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Ways:
        """Distances between all pairs of places, for up to some hundred of them.

        The way from a place to its road and back is counted as the crow flies. Two places
        nearer to each other than to their roads are taken to be in sight of each other.

        Parameters
        ----------
        lon, lat : (n,) decimal degrees.

        Raises
        ------
        InputError : a coordinate is missing, or lengths differ.
        """
        lons, lats = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
        if lons.ndim != 1 or lons.shape != lats.shape or not np.isfinite([lons, lats]).all():
            raise InputError("Road distances need a longitude and a latitude for every place.")
        n = len(lons)
        flying = straight_m(lons, lats)
        if n < 2:
            return Ways(np.zeros((n, n)), np.zeros((n, n), dtype=bool))
        snapped = self.entry.nearest(lons, lats)
        road = self.entry_road[snapped.road]
        off = snapped.distance_m
        onto = self.offset[road] + snapped.along_m
        edge = np.clip(np.searchsorted(self.placed, onto, side="right") - 1, 0, len(self.tail) - 1)
        # A rounding error must not put the place onto the road before.
        edge = np.clip(edge, np.searchsorted(self.road, road), np.searchsorted(self.road, road, "right") - 1)
        share = np.clip(snapped.along_m - self.begin[edge], 0.0, self.length[edge])
        path = self._paths(edge, share, self._near(edge), np.arange(n))
        # A detour may lead out of the surroundings; between two parts there is no path at all.
        part = self.part[edge]
        lost = ~np.isfinite(path) & (part[:, None] == part[None, :])
        again = np.flatnonzero(lost.any(axis=1))
        if len(again):
            path[again] = self._paths(edge, share, None, again)
        path += off[:, None] + off[None, :]
        in_sight = flying <= off[:, None] + off[None, :]
        far = off > REACH_M
        assumed = (~np.isfinite(path) & ~in_sight) | far[:, None] | far[None, :]
        metres = np.where(assumed | in_sight, flying * DETOUR, np.maximum(path, flying))
        np.fill_diagonal(metres, 0.0)
        np.fill_diagonal(assumed, False)
        return Ways(metres, assumed)

    def _near(self, edge: Ints) -> npt.NDArray[np.bool_]:
        """Edges in the surroundings of those given, (e,)."""
        ends = np.r_[self.tail[edge], self.head[edge]]
        inside = np.ones(self.nodes, dtype=bool)
        wide = max(float(np.ptp(self.x[ends])), float(np.ptp(self.y[ends])))
        margin = max(MARGIN * wide, LEAST_MARGIN_M)
        for values in (self.x, self.y):
            own = values[ends]
            inside &= (values >= own.min() - margin) & (values <= own.max() + margin)
        return inside[self.tail] & inside[self.head]

    def _paths(self, edge: Ints, share: Floats, near: npt.NDArray[np.bool_] | None, sources: Ints) -> Floats:
        """Shortest paths between places on edges (n,), ``share`` metres from their tails; inf: none.

        Only the rows ``sources`` (m,) are asked for, (m, n), and only edges ``near`` are used.
        """
        kept = np.ones(len(self.tail), dtype=bool) if near is None else near.copy()
        kept[edge] = True
        # Each place is a node of its own; its edge becomes a chain through its places.
        order = np.lexsort((share, edge))
        e, s = edge[order], share[order]
        new = np.r_[True, e[1:] != e[:-1]]
        last = np.r_[new[1:], True]
        place = self.nodes + order
        before = np.where(new, self.tail[e], np.r_[0, place[:-1]])
        gap = np.where(new, s, s - np.r_[0.0, s[:-1]])
        tail = np.r_[self.tail[kept], before, place[last]]
        head = np.r_[self.head[kept], place, self.head[e[last]]]
        metres = np.r_[self.length[kept], gap, self.length[e[last]] - s[last]]
        own = np.r_[np.flatnonzero(kept), e, e[last]]
        forth, back = self.onward[own], self.back[own]
        labels, graph = _graph(
            np.r_[tail[forth], head[back]],
            np.r_[head[forth], tail[back]],
            np.r_[metres[forth], metres[back]],
        )
        at = np.searchsorted(labels, self.nodes + np.arange(len(edge)))
        return np.asarray(dijkstra(graph, directed=True, indices=at[sources]))[:, at]


def straight_m(lon: npt.ArrayLike, lat: npt.ArrayLike) -> Floats:
    """Geodesic distances between all pairs of places (n,), (n, n) metres."""
    lons, lats = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    n = len(lons)
    first, second = np.triu_indices(n, 1)
    _, _, metres = _GEOD.inv(lons[first], lats[first], lons[second], lats[second])
    out = np.zeros((n, n))
    out[first, second] = out[second, first] = metres
    return out


def _graph(source: Ints, target: Ints, metres: Floats) -> tuple[Ints, csr_array]:
    """The numbers of the nodes that occur, ascending, and the graph among them."""
    labels, packed = np.unique(np.r_[source, target], return_inverse=True)
    a, b = packed[: len(source)], packed[len(source) :]
    # Of parallel edges the shortest: a sparse matrix would add them up.
    order = np.lexsort((metres, b, a))
    a, b, metres = a[order], b[order], metres[order]
    first = np.r_[True, (a[1:] != a[:-1]) | (b[1:] != b[:-1])][: len(a)]
    # An explicit zero would be no edge: two places at one spot are a micrometre apart.
    weights = np.maximum(metres[first], 1e-6)
    return labels, csr_array((weights, (a[first], b[first])), shape=(len(labels), len(labels)))
