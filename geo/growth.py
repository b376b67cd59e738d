"""Growing good areas: from a cell outwards by what an hour brings, then mended at the rim.

At a price per hour each cell has a fixed best use: the steps that bring more than the price.
Its surplus is their finds minus price × hours, entering included (Lagrange relaxation,
Fisher 1981). So areas grow by adding cells of high surplus, and a rim cell is given up when
its surplus is negative at the area's own price. Cells are added and removed only where their
member neighbours form one arc, which keeps an area in one piece and without holes.
Caveat: a heuristic; that enough good areas were grown is judged by the linear programme.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from geo.patches import Field, Floats, Ints, Patch, least_perimeter

LEVELS = 24  # prices for which the best use of each cell is kept
MOVES = 12  # changes at the rim between two exact looks
ROUNDS = 6  # exact looks without gain before the rim is left alone


class Prices:
    """Each cell's best use at a range of prices.

    Attributes
    ----------
    price : (L,) rising, finds per hour.
    hours, value : (L, n) of the best use, entering included.
    surplus : (L, n) value minus price × hours.
    """

    def __init__(self, field: Field) -> None:
        effort = field.effort
        real = field.slope[field.slope > 0]
        low, high = np.quantile(real, (0.02, 0.999)) if len(real) else (0.5, 1.0)
        self.price: Floats = np.geomspace(max(low, high * 1e-4), high, LEVELS)
        n = len(effort.cells)
        self.hours = np.empty((LEVELS, n))
        self.value = np.empty((LEVELS, n))
        for level, price in enumerate(self.price):
            worth = field.slope > price
            at = effort.step_cell[worth]
            self.hours[level] = effort.enter + np.bincount(at, effort.step_hours[worth], n)
            self.value[level] = np.bincount(at, effort.step_value[worth], n)
        self.surplus = self.value - self.price[:, None] * self.hours

    def level(self, price: float) -> int:
        """The level nearest to a price, by ratio."""
        if price <= self.price[0]:
            return 0
        return int(np.argmin(np.abs(np.log(self.price / price))))


class Grower:
    """Grows areas in a field; ``dual`` (n,) is what a cell costs because others want it as well."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.prices = Prices(field)
        self.dual: Floats = np.zeros(len(field.effort.cells))
        n = len(field.effort.cells)
        rows, turns = np.nonzero(field.joined)
        near = sp.csr_array((np.ones(len(rows)), (rows, field.ring[rows, turns])), shape=(n, n))
        # The mean over a cell and its neighbours, applied twice: what lies around.
        weights = 1.0 / (1.0 + np.asarray(near.sum(axis=1)).ravel())
        self._mean = sp.diags_array(weights) @ (near + sp.eye_array(n))
        self._rings: list[list[int]] = np.where(field.joined, field.ring, -1).tolist()
        self._enter: list[float] = field.effort.enter.tolist()
        self._capacity: list[float] = field.limits.capacity.tolist()
        km2 = field.limits.km2
        self._km2: list[float] = np.zeros(n).tolist() if km2 is None else km2.tolist()
        self._most_km2 = np.inf if field.limits.most_km2 is None else field.limits.most_km2

    def around(self, price: float) -> Floats:
        """Surplus of a cell and what lies around it at a price, duals taken off, (n,)."""
        own = np.maximum(self.prices.surplus[self.prices.level(price)] - self.dual, 0.0)
        smooth: Floats = self._mean @ (self._mean @ own)
        smooth[~self.field.open] = -np.inf
        return smooth

    def grow(self, start: list[int], price: float, reach: float, round_: float) -> set[int]:
        """An area from ``start`` (connected) that fills its hours at a price.

        Parameters
        ----------
        reach : weight of what lies around a cell. round_ : weight of each neighbour that is a
            member already, in mean surpluses of the places worth going to.
        """
        level = self.prices.level(price)
        own = self.prices.surplus[level] - self.dual
        score = own + reach * (self._mean @ (self._mean @ np.maximum(own, 0.0)))
        good = own[own > 0]
        bonus = round_ * (float(good.mean()) if len(good) else 1.0)
        return self._spread(start, score.tolist(), self.prices.hours[level].tolist(), bonus)

    def _spread(self, start: list[int], score: list[float], hours: list[float], bonus: float) -> set[int]:
        field, rings, enter, capacity = self.field, self._rings, self._enter, self._capacity
        least = field.limits.compactness
        members = set(start)
        size, edges = len(members), field.perimeter(np.array(start, np.int64))
        entering, filled = sum(enter[m] for m in start), sum(hours[m] for m in start)
        room, km2 = sum(capacity[m] for m in start), sum(self._km2[m] for m in start)
        heap: list[tuple[float, int, int]] = []
        waiting: dict[int, int] = {}
        late: list[tuple[float, int, int]] = []

        def offer(cell: int) -> None:
            for other in rings[cell]:
                if other >= 0 and other not in members:
                    count, arcs = arc(rings[other], members)
                    waiting[other] = count
                    if arcs == 1:
                        heapq.heappush(heap, (-(score[other] + bonus * (count - 2)), other, count))

        for cell in sorted(members):
            offer(cell)
        while heap and filled < room / size and size < field.most_cells:
            best = heapq.heappop(heap)
            cell = best[1]
            if cell in members or waiting[cell] != best[2]:
                continue  # said again since, with another number of neighbours
            around = edges + 6 - 2 * best[2]
            if entering + enter[cell] > (room + capacity[cell]) / (size + 1):
                continue
            if km2 + self._km2[cell] > self._most_km2:
                continue
            if least_perimeter(size + 1) < least * around:
                late.append(best)
                continue
            members.add(cell)
            size, edges = size + 1, around
            entering, filled = entering + enter[cell], filled + hours[cell]
            room, km2 = room + capacity[cell], km2 + self._km2[cell]
            offer(cell)
            # A rounder area may hold what would have made a smaller one too ragged.
            for one in late:
                heapq.heappush(heap, one)
            late.clear()
        return members

    def polish(self, members: set[int], keep: frozenset[int] = frozenset()) -> Patch | None:
        """Mend the rim while that brings more; ``keep`` stays. None when it fits no limit."""
        field = self.field
        best, best_worth, idle = None, -np.inf, 0
        now = set(members)
        while idle < ROUNDS:
            array = np.array(sorted(now), np.int64)
            patch = field.patch(array)
            if patch is None:
                if not self._rounder(now, keep):
                    break
                idle += 1
                continue
            worth = patch.value - float(self.dual[array].sum())
            if worth > best_worth + 1e-9:
                best, best_worth, idle = patch, worth, 0
            else:
                idle += 1
            spent = field.spend(array, patch.capacity)
            price = spent[2] if spent else 0.0
            if not self._mend(
                now, keep, price, patch.capacity, MOVES if idle == 0 else max(1, MOVES >> idle)
            ):
                break
        return best

    def _mend(self, members: set[int], keep: frozenset[int], price: float, hours: float, moves: int) -> bool:
        """Up to so many additions and removals of rim cells that pay at a price."""
        field, rings = self.field, self._rings
        level = self.prices.level(price)
        own = self.prices.value[level] - price * self.prices.hours[level] - self.dual
        array = np.array(sorted(members), np.int64)
        edges = field.perimeter(array)
        km2 = sum(self._km2[m] for m in members)
        entering = sum(self._enter[m] for m in members)
        rim = {o for m in members for o in rings[m] if o >= 0 and o not in members}
        edge = [m for m in members if m not in keep and any(o < 0 or o not in members for o in rings[m])]
        size = len(members)
        # A cell nearer to the base gives the whole area more hours, a farther one fewer.
        shift = price / size
        plans = [(float(own[c]) + shift * (self._capacity[c] - hours), c, True) for c in rim]
        plans += [(-float(own[c]) - shift * (self._capacity[c] - hours), c, False) for c in edge]
        done = 0
        for gain, cell, adds in sorted(plans, key=lambda p: (-p[0], p[1])):
            if gain <= 1e-9 or done >= moves:
                break
            count, arcs = arc(rings[cell], members)
            if arcs != 1 or (not adds and count == 6) or (not adds and len(members) == 1):
                continue
            change = 6 - 2 * count if adds else 2 * count - 6
            number = len(members) + (1 if adds else -1)
            if least_perimeter(number) < field.limits.compactness * (edges + change):
                continue
            if adds and (
                number > field.most_cells
                or km2 + self._km2[cell] > self._most_km2
                or entering + self._enter[cell] > hours
            ):
                continue
            members.symmetric_difference_update((cell,))
            sign = 1 if adds else -1
            edges, done = edges + change, done + 1
            km2, entering = km2 + sign * self._km2[cell], entering + sign * self._enter[cell]
        return done > 0

    def _rounder(self, members: set[int], keep: frozenset[int]) -> bool:
        """Fill one bay or cut one spur, or give up one rim cell when that is all there is to do."""
        rings = self._rings
        small = self.field.small(np.array(sorted(members), np.int64))
        bays = []
        if small and len(members) < self.field.most_cells:
            rim = {o for m in members for o in rings[m] if o >= 0 and o not in members}
            bays = sorted(
                (-c, cell) for cell in rim for c, a in [arc(rings[cell], members)] if a == 1 and c >= 4
            )
        if bays:
            members.add(bays[0][1])
            return True
        spurs = sorted(
            (c, m) for m in members if m not in keep for c, a in [arc(rings[m], members)] if a == 1 and c < 6
        )
        if not spurs or len(members) == 1:
            return False
        members.discard(spurs[0][1])
        return True

    def joined_path(self, start: int, goals: set[int]) -> list[int] | None:
        """The way from a cell to the nearest of ``goals`` that is quickest to enter, or None."""
        best = {start: self._enter[start]}
        back: dict[int, int] = {}
        heap = [(best[start], start)]
        while heap:
            cost, cell = heapq.heappop(heap)
            if cost > best[cell]:
                continue
            if cell in goals:
                path = [cell]
                while path[-1] != start:
                    path.append(back[path[-1]])
                return path
            for other in self.field.near[cell]:
                further = cost + self._enter[other]
                if further <= self.field.most_hours and further < best.get(other, np.inf):
                    best[other], back[other] = further, cell
                    heapq.heappush(heap, (further, other))
        return None


def arc(ring: list[int], members: set[int]) -> tuple[int, int]:
    """How many of the six neighbours (going round) are members, and in how many arcs they lie."""
    inside = [other in members for other in ring]
    arcs = sum(inside[turn] and not inside[turn - 1] for turn in range(6))
    count = sum(inside)
    return count, arcs if count < 6 else 1


def spaced(
    score: Floats, near: list[list[int]], rings: int, most: int, order: npt.NDArray | None = None
) -> Ints:
    """The best cells by score, none within so many steps of a better one, best first."""
    best = np.argsort(-score, kind="stable") if order is None else order
    taken = np.zeros(len(score), bool)
    found: list[int] = []
    for cell in best.tolist():
        if len(found) >= most or not np.isfinite(score[cell]) or score[cell] <= 0:
            break
        if taken[cell]:
            continue
        found.append(cell)
        reach = {cell}
        for _ in range(rings):
            reach |= {o for c in reach for o in near[c]}
        taken[list(reach)] = True
    return np.array(found, np.int64)
