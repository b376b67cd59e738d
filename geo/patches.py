"""Areas that one team can work: what is allowed, how good one is, and all of them where few.

An area is a connected set of cells with the hours of one team: the mean of the cells' hours,
so that the way to the base is taken off. It may not be too large or too ragged, lies in one
municipality if asked, and has no hole that it could fill: a team crosses such cells anyway,
and an area is to be drawn, named and told. Caveat: raggedness is measured on hexagons, where
the least perimeter of n cells is 2·ceil(sqrt(12n − 3)) edges (Harary & Harborth 1976).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from h3ronpy import grid_disk_distances

from geo.cells import Cells, centres
from geo.effort import TOLERANCE, Effort
from geo.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """The rules that areas have to keep. Cells and groups are named by position.

    Attributes
    ----------
    areas : most areas, at least 1.
    capacity : (n,) hours that a team has for work if its area lay around this cell.
    most_cells, most_km2 : of an area; None sets no limit. km2 : (n,), needed for ``most_km2``.
    compactness : least possible perimeter of as many cells ÷ the area's own, at least this, 0 to 1.
    group : (n,) municipality of a cell, -1 for none; None where there are none.
    one_group : an area lies in one group (cells of none count as one).
    closed : (n,) cells that no area may hold.
    must : sets of positions; of each, one cell at least is in some area.
    pinned : areas that come out exactly so. They are held to contiguity, hours and ``closed`` only:
        size, shape and municipality were accepted by whoever pinned them.
    each_group : groups with at least one area of their own.
    least_share : (group, share of all hours used) that go to areas of this group at least.
        An area across groups counts for the one with most of its cells.
    seed : of what is drawn.

    Raises
    ------
    InputError : lengths differ or a number is out of its range.
    """

    areas: int
    capacity: Floats
    most_cells: int | None = None
    most_km2: float | None = None
    km2: Floats | None = None
    compactness: float = 0.6
    group: Ints | None = None
    one_group: bool = True
    closed: Flags | None = None
    must: tuple[Ints, ...] = ()
    pinned: tuple[Ints, ...] = ()
    each_group: tuple[int, ...] = ()
    least_share: tuple[tuple[int, float], ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        n = len(self.capacity)
        faults = []
        if self.areas < 1:
            faults.append(f"{self.areas} areas")
        if not np.isfinite(self.capacity).all():
            faults.append("a cell with unknown hours")
        if self.most_cells is not None and self.most_cells < 1:
            faults.append(f"areas of at most {self.most_cells} cells")
        if self.most_km2 is not None and self.km2 is None:
            faults.append("a largest size without the cells' km²")
        if not 0 <= self.compactness <= 1:
            faults.append(f"a compactness of {self.compactness:g}")
        for name, array in (("km²", self.km2), ("groups", self.group), ("closed cells", self.closed)):
            if array is not None and len(array) != n:
                faults.append(f"{len(array)} {name} for {n} cells")
        for name, sets in (("must", self.must), ("pinned", self.pinned)):
            for one in sets:
                if not len(one) or np.min(one) < 0 or np.max(one) >= n:
                    faults.append(f"a {name} set that is empty or names a cell that is not there")
        known = set() if self.group is None else set(np.unique(self.group).tolist())
        wanted = (*self.each_group, *(group for group, _ in self.least_share))
        faults += [f"a rule for group {g}, which has no cell" for g in wanted if g not in known]
        faults += [f"a least share of {s:g}" for _, s in self.least_share if not 0 <= s <= 1]
        if faults:
            raise InputError("Areas cannot be chosen with " + "; ".join(faults) + ".")


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """One possible area.

    Attributes
    ----------
    members : (k,) positions of its cells, ascending.
    value : weighted finds, ``geo.effort.filled(effort, members, capacity).value``.
    hours : of these that are used. capacity : that its team has.
    compactness : 0 to 1. group : with most of its cells, -1 for none. pinned : as it was given.
    """

    members: Ints
    value: float
    hours: float
    capacity: float
    compactness: float
    group: int
    pinned: bool = False


def least_perimeter(cells: int) -> int:
    """Edges around ``cells`` hexagons in the most compact arrangement."""
    return 2 * math.ceil(math.sqrt(12 * cells - 3))


class Field:
    """An effort and its limits, prepared so that thousands of sets of cells can be looked at.

    Attributes
    ----------
    ring : (n, 6) positions of the neighbours, going round; -1 outside the study area.
    open : (n,) cells that an area which is not pinned may hold.
    near : for each open cell its open neighbours, in the same group if an area has one only.
    group : (n,) as in the limits, 0 everywhere where there are none.
    """

    def __init__(self, effort: Effort, limits: Limits) -> None:
        if len(limits.capacity) != len(effort.cells):
            raise InputError(f"{len(limits.capacity)} capacities do not fit {len(effort.cells)} cells.")
        self.effort, self.limits = effort, limits
        n = len(effort.cells)
        self.ring = neighbours_in_order(effort.cells)
        self.group = np.zeros(n, np.int64) if limits.group is None else limits.group.astype(np.int64)
        self.closed = np.zeros(n, bool) if limits.closed is None else limits.closed.astype(bool)
        self.open = ~self.closed
        for one in limits.pinned:
            self.open[one] = False
        # A cell that takes longer to enter than its team has can be in an area only thanks to
        # cells with more hours; the most there are decide.
        most = float(limits.capacity[self.open].max(initial=0.0))
        self.open &= effort.enter <= most + TOLERANCE
        joined = (self.ring >= 0) & self.open[:, None] & self.open[self.ring]
        if limits.one_group:
            joined &= self.group[:, None] == self.group[self.ring]
        self.joined = joined
        self.near: list[list[int]] = [row[keep].tolist() for row, keep in zip(self.ring, joined, strict=True)]
        self.most_cells = n if limits.most_cells is None else limits.most_cells
        self.most_hours = most
        starts = effort.starts
        self._starts, self._counts = starts[:-1], np.diff(starts)
        slope = effort.step_value / effort.step_hours
        order = np.argsort(-slope, kind="stable")
        self.slope = slope
        self._ranked_hours = effort.step_hours[order]
        self._ranked_slope = np.maximum(slope[order], 0.0)
        self._rank = np.empty(len(order), np.int64)
        self._rank[order] = np.arange(len(order))
        self._inside = np.zeros(n, bool)

    def hours(self, members: Ints) -> float:
        """What a team has for an area of these cells."""
        return float(self.limits.capacity[members].mean())

    def spend(self, members: Ints, hours: float) -> tuple[float, float, float] | None:
        """Value, hours used and price of the next hour, as ``geo.effort.filled`` gives them."""
        entering = float(self.effort.enter[members].sum())
        left = hours - entering
        if left < -TOLERANCE:
            return None
        counts = self._counts[members]
        first = np.repeat(self._starts[members] - np.cumsum(counts) + counts, counts)
        ranks = np.sort(self._rank[first + np.arange(len(first))])
        amounts, slope = self._ranked_hours[ranks], self._ranked_slope[ranks]
        before = np.cumsum(amounts)
        whole = int(np.searchsorted(before, left + TOLERANCE, side="right"))
        value = float((amounts[:whole] * slope[:whole]).sum())
        done = int(np.searchsorted(-slope[:whole], 0.0))
        used = float(before[done - 1]) if done else 0.0
        if whole < len(ranks) and slope[whole] > 0:
            part = max(left - used, 0.0)
            return value + part * float(slope[whole]), entering + used + part, float(slope[whole])
        return value, entering + used, 0.0

    def perimeter(self, members: Ints) -> int:
        """Edges between these cells and all others."""
        self._inside[members] = True
        ring = self.ring[members]
        inner = int((self._inside[ring] & (ring >= 0)).sum())
        self._inside[members] = False
        return 6 * len(members) - inner

    def compactness(self, members: Ints) -> float:
        """Least possible perimeter ÷ own, 0 to 1."""
        return least_perimeter(len(members)) / self.perimeter(members)

    def small(self, members: Ints) -> bool:
        """Within the largest size."""
        if len(members) > self.most_cells:
            return False
        most, km2 = self.limits.most_km2, self.limits.km2
        return most is None or km2 is None or float(km2[members].sum()) <= most * (1 + 1e-9)

    def connected(self, members: Iterable[int]) -> bool:
        """One piece, by way of its own cells."""
        left = set(members)
        todo = [left.pop()] if left else []
        while todo:
            for other in self.ring[todo.pop()].tolist():
                if other in left:
                    left.remove(other)
                    todo.append(other)
        return not left

    def holes(self, members: Iterable[int]) -> set[int]:
        """Open cells of the area's group that it encloses; what reaches the study area's edge is outside."""
        own = set(members)
        most = len(own) ** 2 // 12 + 1  # cells that a ring of so many can enclose
        group = int(self.group[next(iter(own))])
        seen: set[int] = set(own)
        found: set[int] = set()
        for start in sorted({o for m in own for o in self.ring[m].tolist()} - own - {-1}):
            if start in seen:
                continue
            piece, todo, outside = {start}, [start], False
            while todo and not outside:
                for other in self.ring[todo.pop()].tolist():
                    if other == -1 or len(piece) > most:
                        outside = True
                    elif other not in own and other not in piece:
                        piece.add(other)
                        todo.append(other)
            if not outside:
                seen |= piece
                found |= {
                    p for p in piece if self.open[p] and (not self.limits.one_group or self.group[p] == group)
                }
        return found

    def patch(self, members: Ints, pinned: bool = False) -> Patch | None:
        """The area of these cells (ascending, connected); None when it breaks a limit of one area."""
        if not pinned and not self.small(members):
            return None
        compact = self.compactness(members)
        if not pinned and compact < self.limits.compactness - 1e-9:
            return None
        hours = self.hours(members)
        spent = self.spend(members, hours)
        if spent is None:
            return None
        groups, counts = np.unique(self.group[members], return_counts=True)
        return Patch(members, spent[0], spent[1], hours, compact, int(groups[np.argmax(counts)]), pinned)

    def every(self, most: int) -> list[Patch] | None:
        """All areas that the limits allow, or None when more than ``most`` connected sets exist."""
        if int(self.open.sum()) + int(self.joined.sum()) // 2 > most:
            return None
        sets = self._connected_sets(most)
        if sets is None:
            return None
        # Only a set that goes round something can have a hole: at least six cells.
        whole = (s for s in sets if len(s) < 6 or not self.holes(s))
        made = (self.patch(np.array(sorted(members), np.int64)) for members in whole)
        return [patch for patch in made if patch is not None]

    def _connected_sets(self, most: int) -> list[tuple[int, ...]] | None:
        """Each connected set of open cells once (Wernicke 2006, ESU), cut where entering takes too long.

        By size, so that a study area with too many of them is told while sets are small.
        """
        enter, longest = self.effort.enter.tolist(), self.most_hours + TOLERANCE
        km2 = None if self.limits.km2 is None else self.limits.km2.tolist()
        most_km2 = np.inf if self.limits.most_km2 is None else self.limits.most_km2 * (1 + 1e-9)
        found: list[tuple[int, ...]] = []
        # Of each set: the cells that may extend it, all cells it touches, its hours and km².
        level: list[tuple[tuple[int, ...], list[int], frozenset[int], float, float]] = []
        for root in np.flatnonzero(self.open).tolist():
            first = [other for other in self.near[root] if other > root]
            touched = frozenset((root, *self.near[root]))
            level.append(((root,), first, touched, enter[root], km2[root] if km2 else 0.0))
        while level:
            found += [state[0] for state in level]
            fresh: list[tuple[tuple[int, ...], list[int], frozenset[int], float, float]] = []
            for members, border, touched, hours, size in level if len(level[0][0]) < self.most_cells else ():
                for place, cell in enumerate(border):
                    wider = size + (km2[cell] if km2 else 0.0)
                    if hours + enter[cell] > longest or wider > most_km2:
                        continue
                    if len(found) + len(fresh) >= most:
                        return None
                    new = [o for o in self.near[cell] if o > members[0] and o not in touched]
                    rest = border[place + 1 :] + new
                    now = touched.union(self.near[cell])
                    fresh.append(((*members, cell), rest, now, hours + enter[cell], wider))
            level = fresh
        return found


def neighbours_in_order(cells: Cells) -> Ints:
    """Positions of the six neighbours of each cell, (n, 6), going round; -1 outside ``cells``."""
    n = len(cells)
    if not n:
        return np.zeros((0, 6), np.int64)
    batch = pa.record_batch(grid_disk_distances(cells.view(np.uint64), 1))
    lists = batch.column("cell")
    near = lists.values.to_numpy().view(np.int64)
    rows = np.repeat(np.arange(n), np.diff(lists.offsets.to_numpy()))
    keep = near != cells[rows]
    near, rows = near[keep], rows[keep]
    (lon, lat), (lon0, lat0) = centres(near), centres(cells)
    east = (lon - lon0[rows]) * np.cos(np.radians(lat0[rows]))
    angle = np.arctan2(lat - lat0[rows], east)
    order = np.lexsort((angle, rows))
    near, rows = near[order], rows[order]
    place = np.minimum(np.searchsorted(cells, near), n - 1)
    place[cells[place] != near] = -1
    starts = np.searchsorted(rows, np.arange(n))
    ring = np.full((n, 6), -1, np.int64)
    # The last place stays empty around a pentagon.
    ring[rows, np.arange(len(rows)) - starts[rows]] = place
    return ring
