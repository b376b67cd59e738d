"""Movement axes: road segments of one name joined into long lines, cut into stretches to compare.

Segments that share a vertex and a name (or a route number; unnamed ones: a class) are joined
into strokes by good continuation (Thomson & Richardson 1999, The "good continuation"
principle of perceptual organization applied to the generalization of road networks): where
more than two meet, those that deflect least are one line. Each line is cut into equal
stretches of about the length asked for, so that there are no crumbs. Caveat: the two
carriageways of a divided road are two axes, each with its own side's reports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from geo.errors import InputError
from geo.roads import Floats, Ints, RoadPlane, Roads, Texts

BEND = np.radians(60.0)  # a line that turns more is not the same road any more, unless its name says so
SHORTEST = 0.25  # of the length asked for; shorter axes are left out
_ID = 1e7  # vertices are the same when they agree to a centimetre


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """Stretches (k,) of axes, those of one axis one after the other.

    Attributes
    ----------
    axis : number of the axis, from 0. number : place along it, from 1.
    key : short text that names the stretch as long as its road stays as it is.
    length_m : of each, metres of the plane (UTM). lines : (lon, lat) vertices, (v, 2) each.
    road_class, name_ar, name_en : of the axis: those of its longest part.
    short_m : metres of axes that are left out as too short, by number of axes ``short``.
    """

    axis: Ints
    number: Ints
    key: tuple[str, ...]
    length_m: Floats
    lines: tuple[Floats, ...]
    road_class: Texts
    name_ar: Texts
    name_en: Texts
    short: int
    short_m: float
    _pieces: _Pieces

    def __len__(self) -> int:
        return len(self.axis)

    def of(self, road: Ints, along_m: Floats) -> Ints:
        """The stretch (m,) of places on roads, as ``geo.roads.Snapped`` has them; -1 for none."""
        return self._pieces.of(road, along_m)


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """Edges (e,) in order of road and place on it, and where each lies on its axis."""

    road: Ints
    begin: Floats
    length: Floats
    chain: Ints  # -1: on no axis
    start: Floats  # metres along the chain of the edge's end that comes first
    forward: npt.NDArray[np.bool_]
    first: Ints  # first stretch of each chain, -1: left out
    count: Ints
    total: Floats

    def of(self, road: Ints, along_m: Floats) -> Ints:
        out = np.full(len(road), -1, dtype=np.int64)
        if not len(self.road):
            return out
        low = np.searchsorted(self.road, road)
        high = np.searchsorted(self.road, road, side="right")
        known = np.flatnonzero((high > low) & np.isfinite(along_m))
        # Roads lie one after the other on one scale: one search finds the edge.
        reach = np.zeros(int(self.road.max()) + 2)
        np.add.at(reach, self.road + 1, self.length)
        offset = np.cumsum(reach)
        placed = offset[self.road] + self.begin
        at = np.searchsorted(placed, offset[road[known]] + along_m[known], side="right") - 1
        at = np.clip(at, low[known], high[known] - 1)
        inside = np.clip(along_m[known] - self.begin[at], 0.0, self.length[at])
        position = self.start[at] + np.where(self.forward[at], inside, self.length[at] - inside)
        chain = self.chain[at]
        on = (chain >= 0) & (self.first[np.maximum(chain, 0)] >= 0)
        chain, position, known = chain[on], position[on], known[on]
        share = np.floor(position / self.total[chain] * self.count[chain]).astype(np.int64)
        out[known] = self.first[chain] + np.clip(share, 0, self.count[chain] - 1)
        return out


def axes(roads: Roads, plane: RoadPlane, chosen: npt.NDArray[np.bool_], length_m: float) -> Axes:
    """Axes of the roads that are ``chosen`` (n,), cut into stretches of about ``length_m``.

    Parameters
    ----------
    plane : of all ``roads``, by which points are snapped.

    Raises
    ------
    InputError : flags and roads differ in number, or the length is not above 0.
    """
    if len(chosen) != len(roads) or not length_m > 0:
        raise InputError("Axes need a flag for each road, and a length above 0 metres.")
    group, named = _groups(roads)
    edges = _edges(plane, group, chosen)
    partner = _partners(edges, named)
    return _cut(roads, plane, edges, partner, length_m)


def best_runs(axis: Ints, excess: Floats) -> list[tuple[int, int, float]]:
    """The run of neighbouring stretches with the greatest sum on each axis (Kadane; Bentley 1984).

    Parameters
    ----------
    axis : (k,) number of the axis, equal ones one after the other. excess : (k,).

    Returns
    -------
    (first, last, sum) of each axis with a sum above 0, the greatest first; of equal runs the
    earlier and shorter.
    """
    found = []
    starts = np.flatnonzero(np.r_[True, axis[1:] != axis[:-1]][: len(axis)])
    for begin, end in zip(starts, np.r_[starts[1:], len(axis)], strict=True):
        best, span = 0.0, (0, 0)
        total, first = 0.0, int(begin)
        for at in range(int(begin), int(end)):
            if total <= 0:
                total, first = 0.0, at
            total += float(excess[at])
            if total > best:
                best, span = total, (first, at)
        if best > 0:
            found.append((*span, best))
    return sorted(found, key=lambda run: (-run[2], run[0]))


def _groups(roads: Roads) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """What may be joined, (n,): a number for each name, and for each class without names; which have one."""
    groups: dict[tuple[bool, str], int] = {}
    out, named = np.empty(len(roads), dtype=np.int64), np.zeros(len(roads), dtype=bool)
    columns = (roads.name_ar, roads.name_en, roads.ref, roads.road_class)
    for at, (arabic, english, ref, road_class) in enumerate(zip(*columns, strict=True)):
        # By one name only: a street may carry its second name on half of its segments.
        label = " ".join(str(english or arabic or ref).casefold().split())
        named[at] = bool(label)
        out[at] = groups.setdefault((bool(label), label or str(road_class)), len(groups))
    return out, named


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """Lines between two nodes of one group, (e,), in order of road and place on it.

    Attributes
    ----------
    first, last : vertices in the plane. node : (e, 2) of its two ends.
    heading : (e, 2) radians, direction in which the edge leaves each end.
    """

    road: Ints
    group: Ints
    first: Ints
    last: Ints
    node: Ints
    heading: Floats
    length: Floats


def _edges(plane: RoadPlane, group: Ints, chosen: npt.NDArray[np.bool_]) -> _Edges:
    rows = np.flatnonzero(chosen[plane.owner])
    owner = plane.owner[rows]
    keys = np.round(plane.degrees[rows] * _ID).astype(np.int64)
    if len(rows):
        keys -= keys.min(axis=0)
    _, spot = np.unique(keys[:, 0] * (int(keys[:, 1].max(initial=0)) + 1) + keys[:, 1], return_inverse=True)
    # A vertex is a node of a group where two of the group's lines use it, or one ends.
    size = int(spot.max(initial=0)) + 1
    _, vertex, uses = np.unique(group[owner] * size + spot, return_inverse=True, return_counts=True)
    first = np.r_[True, owner[1:] != owner[:-1]][: len(rows)]
    last = np.r_[owner[1:] != owner[:-1], True][: len(rows)]
    turning = np.flatnonzero(first | last | (uses[vertex] > 1))
    follows = owner[turning[1:]] == owner[turning[:-1]]
    tail, head = turning[:-1][follows], turning[1:][follows]
    x, y = plane.x[rows], plane.y[rows]
    # Towards the next vertex; a road's end says little about where the road goes as a whole.
    out = np.arctan2(y[tail + 1] - y[tail], x[tail + 1] - x[tail]) if len(tail) else np.zeros(0)
    back = np.arctan2(y[head - 1] - y[head], x[head - 1] - x[head]) if len(tail) else np.zeros(0)
    return _Edges(
        road=owner[tail],
        group=group[owner[tail]],
        first=rows[tail],
        last=rows[head],
        node=np.column_stack([vertex[tail], vertex[head]]),
        heading=np.column_stack([out, back]),
        length=plane.along[rows[head]] - plane.along[rows[tail]],
    )


def _partners(edges: _Edges, named: npt.NDArray[np.bool_]) -> Ints:
    """The end of an edge that each end (2e,) goes on with, -1 for none; end 2i is the first of edge i."""
    partner = np.full(2 * len(edges.road), -1, dtype=np.int64)
    node, heading = edges.node.ravel(), edges.heading.ravel()
    order = np.argsort(node, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(node[order]) != 0][: len(order)])
    for begin, end in zip(starts, np.r_[starts[1:], len(order)], strict=True):
        ends = order[begin:end]
        if len(ends) < 2:
            continue
        by_name = bool(named[edges.road[ends[0] // 2]])
        if len(ends) == 2 and by_name and ends[0] // 2 != ends[1] // 2:
            partner[ends[0]], partner[ends[1]] = ends[1], ends[0]
            continue
        for _, a, b in sorted(_continuations(ends, heading)):
            if partner[a] < 0 and partner[b] < 0:
                partner[a], partner[b] = b, a
    return partner


def _continuations(ends: Ints, heading: Floats) -> Iterator[tuple[float, int, int]]:
    """(deflection, end, end) of the pairs at a node that go straight on, near enough."""
    for i, a in enumerate(ends.tolist()):
        for b in ends[i + 1 :].tolist():
            apart = abs(float(heading[a] - heading[b])) % (2 * np.pi)
            bend = abs(np.pi - min(apart, 2 * np.pi - apart))
            if a // 2 != b // 2 and bend <= BEND:
                yield bend, a, b


def _chains(edges: _Edges, partner: Ints) -> list[list[tuple[int, bool]]]:
    """Edges of each line in order, with whether they run along it; loops begin at their first edge."""
    seen = np.zeros(len(edges.road), dtype=bool)
    chains = []
    loose = np.flatnonzero(partner < 0)
    for begin in [*loose.tolist(), *range(0, len(partner), 2)]:
        at, chain = begin, []
        while at >= 0 and not seen[at // 2]:
            seen[at // 2] = True
            chain.append((at // 2, at % 2 == 0))
            at = int(partner[at ^ 1])
        if chain:
            chains.append(chain)
    return chains


def _cut(roads: Roads, plane: RoadPlane, edges: _Edges, partner: Ints, length_m: float) -> Axes:
    chains = _chains(edges, partner)
    of_edge = np.full(len(edges.road), -1, dtype=np.int64)
    start, forward = np.zeros(len(edges.road)), np.ones(len(edges.road), dtype=bool)
    first, count = np.full(len(chains), -1, dtype=np.int64), np.ones(len(chains), dtype=np.int64)
    total = np.zeros(len(chains))
    rows: list[tuple[int, int, str, float, Floats, str, str, str]] = []
    short, short_m, axis = 0, 0.0, 0
    for nth, chain in enumerate(chains):
        for edge, onward in chain:
            of_edge[edge], start[edge], forward[edge] = nth, total[nth], onward
            total[nth] += edges.length[edge]
        if total[nth] < SHORTEST * length_m:
            short, short_m = short + 1, short_m + float(total[nth])
            continue
        count[nth], first[nth] = max(1, round(total[nth] / length_m)), len(rows)
        named = _named(roads, edges, chain)
        for number, line in enumerate(_split(plane, edges, chain, float(total[nth]), int(count[nth])), 1):
            key = _key(named, line)
            rows.append((axis, number, key, float(total[nth] / count[nth]), line, *named))
        axis += 1
    pieces = _Pieces(
        edges.road, plane.along[edges.first], edges.length, of_edge, start, forward, first, count, total
    )

    def texts(place: int) -> Texts:
        return np.array([*(row[place] for row in rows), None], dtype=object)[:-1]

    return Axes(
        axis=np.array([row[0] for row in rows], dtype=np.int64),
        number=np.array([row[1] for row in rows], dtype=np.int64),
        key=tuple(row[2] for row in rows),
        length_m=np.array([row[3] for row in rows], dtype=np.float64),
        lines=tuple(row[4] for row in rows),
        road_class=texts(5),
        name_ar=texts(6),
        name_en=texts(7),
        short=short,
        short_m=short_m,
        _pieces=pieces,
    )


def _named(roads: Roads, edges: _Edges, chain: list[tuple[int, bool]]) -> tuple[str, str, str]:
    """Class, Arabic and English name of a line: those of most of its metres; a number when unnamed."""
    said = []
    for column in (roads.road_class, roads.name_ar, roads.name_en, roads.ref):
        metres: dict[str, float] = {}
        for edge, _ in chain:
            value = str(column[edges.road[edge]])
            metres[value] = metres.get(value, 0.0) + float(edges.length[edge])
        metres.pop("", None)
        said.append(max(metres, key=lambda v: (metres[v], v)) if metres else "")
    road_class, arabic, english, ref = said
    return road_class, arabic or english or ref, english or arabic or ref


def _split(
    plane: RoadPlane, edges: _Edges, chain: list[tuple[int, bool]], total: float, count: int
) -> Iterator[Floats]:
    """A line's vertices (lon, lat) in ``count`` parts of equal length."""
    points, at = [], []
    passed = 0.0
    for edge, onward in chain:
        span = slice(edges.first[edge], edges.last[edge] + 1)
        own, along = plane.degrees[span], plane.along[span] - plane.along[edges.first[edge]]
        if not onward:
            own, along = own[::-1], edges.length[edge] - along[::-1]
        points.append(own)
        at.append(passed + along)
        passed += float(edges.length[edge])
    degrees, place = np.concatenate(points), np.concatenate(at)
    cuts = np.linspace(0.0, total, count + 1)
    for low, high in pairwise(cuts):
        inner = (place > low + 0.01) & (place < high - 0.01)
        steps = np.r_[low, place[inner], high]
        line = np.column_stack(
            [np.interp(steps, place, degrees[:, 0]), np.interp(steps, place, degrees[:, 1])]
        )
        kept = np.r_[True, np.any(np.diff(line, axis=0) != 0, axis=1)]
        yield line[kept]


def _key(named: tuple[str, str, str], line: Floats) -> str:
    """Ten letters that stay the same as long as name and place do; to about ten metres."""
    ends = np.round(np.array([line[0], line[len(line) // 2], line[-1]]), 4)
    told = "|".join([*named, *(f"{value:.4f}" for value in ends.ravel())])
    return hashlib.blake2b(told.encode(), digest_size=5).hexdigest()
