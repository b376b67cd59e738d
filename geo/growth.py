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
from collections.abc import Iterable
from functools import lru_cache, reduce
from operator import xor

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from geo.patches import Field, Floats, Ints, Patch, least_perimeter

LEVELS = 24  # prices for which the best use of each cell is kept
MOVES = 16  # changes at the rim between two exact looks, halved after each that brings nothing
PASSED = 8  # cells after which a growing area is compared with those grown before
EXCHANGES = 8  # rim cells on either side that are tried for an exchange
IDLE = 4  # exact looks without gain after which the rim is left alone
BLOCKED = 1e12  # what a cell costs that is not to be taken at all
LEAST = lru_cache(maxsize=None)(least_perimeter)
#: Of a mask of six neighbours: how many are members, and in how many arcs they lie.
COUNT = [mask.bit_count() for mask in range(64)]
ARCS = [
    1 if mask == 63 else sum(mask >> turn & 1 and not mask >> (turn - 1) % 6 & 1 for turn in range(6))
    for mask in range(64)
]


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


class Shape:
    """A set of cells that grows and shrinks one cell at a time, with its sums at hand.

    A cell's mask has a bit for each of its six neighbours that is a member; one table then
    tells their number and in how many arcs they lie.
    """

    __slots__ = ("edges", "entering", "km2", "mask", "members", "room", "size", "web")

    def __init__(self, web: Web, start: Iterable[int]) -> None:
        self.web = web
        self.members: set[int] = set()
        self.mask: dict[int, int] = {}
        self.size = self.edges = 0
        self.entering = self.room = self.km2 = 0.0
        for cell in start:
            self.add(cell)

    def add(self, cell: int) -> None:
        self.members.add(cell)
        mask = self.mask
        self.edges += 6 - 2 * COUNT[mask.setdefault(cell, 0)]
        for other, bit in self.web.links[cell]:
            mask[other] = mask.get(other, 0) | bit
        self._sum(cell, 1)

    def remove(self, cell: int) -> None:
        self.members.discard(cell)
        mask = self.mask
        self.edges += 2 * COUNT[mask[cell]] - 6
        for other, bit in self.web.links[cell]:
            mask[other] ^= bit
            if not mask[other] and other not in self.members:
                del mask[other]
        if not mask[cell]:
            del mask[cell]
        self._sum(cell, -1)

    def _sum(self, cell: int, sign: int) -> None:
        web = self.web
        self.size += sign
        self.entering += sign * web.enter[cell]
        self.room += sign * web.capacity[cell]
        self.km2 += sign * web.km2[cell]

    def rim(self) -> list[int]:
        """Cells that touch it."""
        members = self.members
        return [cell for cell in self.mask if cell not in members]

    def border(self) -> list[int]:
        """Members that touch others."""
        mask = self.mask
        return [cell for cell in self.members if mask[cell] != 63]

    def round_after(self, cell: int, adds: bool) -> bool:
        """Compact enough once this cell is in, or out."""
        count = COUNT[self.mask[cell]]
        sign = 1 if adds else -1
        edges = self.edges + sign * (6 - 2 * count)
        return LEAST(self.size + sign) >= self.web.compactness * edges

    def fits(self, cell: int) -> bool:
        """Small enough, and entered in time, once this cell is in."""
        web, size = self.web, self.size + 1
        return (
            size <= web.most_cells
            and self.km2 + web.km2[cell] <= web.most_km2
            and (self.entering + web.enter[cell]) * size <= self.room + web.capacity[cell]
        )

    @property
    def array(self) -> Ints:
        return np.array(sorted(self.members), np.int64)


class Web:
    """What shapes look up of a field, as plain lists: a cell at a time, these are faster than arrays."""

    def __init__(self, field: Field) -> None:
        limits, n = field.limits, len(field.effort.cells)
        back = {
            (cell, other): turn
            for cell, row in enumerate(field.ring.tolist())
            for turn, other in enumerate(row)
        }
        self.links = [
            [(other, 1 << back[other, cell]) for other in near] for cell, near in enumerate(field.near)
        ]
        self.enter: list[float] = field.effort.enter.tolist()
        self.capacity: list[float] = limits.capacity.tolist()
        self.km2: list[float] = (np.zeros(n) if limits.km2 is None else limits.km2).tolist()
        self.most_km2 = np.inf if limits.most_km2 is None else limits.most_km2
        self.most_cells, self.compactness = field.most_cells, limits.compactness


class Grower:
    """Grows areas in a field; ``dual`` (n,) is what a cell costs because others want it as well."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.prices = Prices(field)
        self.web = Web(field)
        n = len(field.effort.cells)
        self.dual: Floats = np.zeros(n)
        rows, turns = np.nonzero(field.joined)
        near = sp.csr_array((np.ones(len(rows)), (rows, field.ring[rows, turns])), shape=(n, n))
        # The mean over a cell and its neighbours, applied twice: what lies around.
        weights = 1.0 / (1.0 + np.asarray(near.sum(axis=1)).ravel())
        self._mean = sp.diags_array(weights) @ (near + sp.eye_array(n))
        self._scores: dict[tuple[int, float], tuple[list[float], list[float], float]] = {}
        rng = np.random.default_rng(field.limits.seed % (1 << 31))
        # A set of cells is told by the exclusive or of its cells' numbers (Zobrist 1970).
        self._number: list[int] = rng.integers(0, 1 << 62, n).tolist()
        self._passed: set[tuple[int, float, float, int]] = set()

    def costs(self, dual: Floats) -> None:
        """What cells cost from now on."""
        self.dual = dual
        self._scores.clear()
        self._passed.clear()

    def around(self, price: float) -> Floats:
        """Surplus of a cell and what lies around it at a price, duals taken off, (n,)."""
        own = np.maximum(self.prices.surplus[self.prices.level(price)] - self.dual, 0.0)
        smooth: Floats = self._mean @ (self._mean @ own)
        smooth[~self.field.open] = -np.inf
        return smooth

    def _score(self, price: float, reach: float) -> tuple[list[float], list[float], float]:
        """Of each cell, how much it is wanted and its hours; and the mean surplus of the good ones."""
        level = self.prices.level(price)
        if (level, reach) not in self._scores:
            own = self.prices.surplus[level] - self.dual
            score = own + reach * (self._mean @ (self._mean @ np.maximum(own, 0.0)))
            good = own[own > 0]
            mean = float(good.mean()) if len(good) else 1.0
            self._scores[level, reach] = (score.tolist(), self.prices.hours[level].tolist(), mean)
        return self._scores[level, reach]

    def grow(self, start: Iterable[int], price: float, reach: float, round_: float) -> Shape | None:
        """An area from ``start`` (connected) that fills its hours at a price; None when it was grown before.

        Areas of near starts soon become the same: what an earlier one passed through is left off.

        Parameters
        ----------
        reach : weight of what lies around a cell. round_ : weight of each neighbour that is a
            member already, in mean surpluses of the places worth going to.
        """
        score, hours, mean = self._score(price, reach)
        bonus = round_ * mean
        shape = Shape(self.web, start)
        mask, members = shape.mask, shape.members
        filled = sum(hours[cell] for cell in members)
        never = -BLOCKED / 2
        heap = [
            (-score[c] - bonus * COUNT[mask[c]], c, mask[c])
            for c in shape.rim()
            if ARCS[mask[c]] == 1 and score[c] > never
        ]
        heapq.heapify(heap)
        # Cells that would make the area too ragged for now, by their number of member neighbours.
        late: list[list[tuple[float, int, int]]] = [[] for _ in range(7)]
        told = reduce(xor, (self._number[cell] for cell in members))
        level = self.prices.level(price)
        while heap and filled * shape.size < shape.room:
            best = heapq.heappop(heap)
            cell, seen = best[1], best[2]
            if mask[cell] != seen or cell in members or not shape.fits(cell):
                continue  # when its mask has changed it was offered again
            if not shape.round_after(cell, True):
                late[COUNT[seen]].append(best)
                continue
            shape.add(cell)
            filled += hours[cell]
            told ^= self._number[cell]
            if shape.size % PASSED == 0:
                if (state := (level, reach, round_, told)) in self._passed:
                    return None
                self._passed.add(state)
            for other, _ in self.web.links[cell]:
                if other not in members and ARCS[mask[other]] == 1 and score[other] > never:
                    heapq.heappush(heap, (-score[other] - bonus * COUNT[mask[other]], other, mask[other]))
            for waiting in late:
                if waiting and shape.round_after(waiting[0][1], True):
                    for one in waiting:
                        heapq.heappush(heap, one)
                    waiting.clear()
        return shape

    def polish(self, shape: Shape, keep: frozenset[int] = frozenset()) -> Patch | None:
        """Mend the rim while that brings more; ``keep`` stays. None when it fits no limit."""
        field = self.field
        best, best_worth, idle = None, -np.inf, 0
        while True:
            array = shape.array
            fair = field.small(array) and LEAST(shape.size) >= self.web.compactness * shape.edges - 1e-9
            spent = field.spend(array, shape.room / shape.size) if fair else None
            worth = spent[0] - float(self.dual[array].sum()) if spent else -np.inf
            if worth > best_worth * (1 + 1e-6 * np.sign(best_worth)):
                best, best_worth, idle = array, worth, 0
            else:
                idle += 1
            if idle > IDLE:
                break
            moved = self._mend(shape, keep, spent[2], MOVES >> idle) if spent else self._rounder(shape, keep)
            if not moved:
                break
        return None if best is None else field.patch(best)

    def _mend(self, shape: Shape, keep: frozenset[int], price: float, moves: int) -> bool:
        """Up to so many additions and removals of rim cells that pay at a price, else one exchange."""
        level = self.prices.level(price)
        rim, border = shape.rim(), shape.border()
        cells = np.array(rim + border, np.int64)
        own = self.prices.value[level, cells] - price * self.prices.hours[level, cells] - self.dual[cells]
        # A cell nearer to the base gives the whole area more hours, a farther one fewer.
        own += price * (self.field.limits.capacity[cells] / shape.size - shape.room / shape.size**2)
        gain = own.copy()
        gain[len(rim) :] *= -1
        pays = np.flatnonzero(gain > 1e-9)
        wanted, done = [], 0
        for place in pays[np.lexsort((cells[pays], -gain[pays]))].tolist():
            cell, adds = int(cells[place]), place < len(rim)
            if done >= max(moves, 1):
                break
            if adds and not shape.fits(cell):
                wanted.append(place)
            elif self._may(shape, cell, adds, keep):
                if adds:
                    shape.add(cell)
                else:
                    shape.remove(cell)
                done += 1
        if done or not wanted:
            return done > 0
        # Full: a cell has to go for another to come.
        worst = len(rim) + np.lexsort((cells[len(rim) :], own[len(rim) :]))
        for poor in worst[:EXCHANGES].tolist():
            if not self._may(shape, int(cells[poor]), False, keep):
                continue
            shape.remove(int(cells[poor]))
            for rich in wanted[:EXCHANGES]:
                cell = int(cells[rich])
                if own[rich] <= own[poor] + 1e-9:
                    break
                if shape.fits(cell) and self._may(shape, cell, True, keep):
                    shape.add(cell)
                    return True
            shape.add(int(cells[poor]))
        return False

    def _may(self, shape: Shape, cell: int, adds: bool, keep: frozenset[int]) -> bool:
        """In one piece, without holes and compact enough once this cell is in, or out."""
        mask = shape.mask.get(cell, 0)
        if ARCS[mask] != 1 or (not adds and (mask == 63 or cell in keep or shape.size == 1)):
            return False
        return shape.round_after(cell, adds)

    def _rounder(self, shape: Shape, keep: frozenset[int]) -> bool:
        """Fill one bay or cut one spur, of what makes an area ragged, too large or too long to enter."""
        mask = shape.mask
        bays = [(-COUNT[mask[c]], c) for c in shape.rim() if ARCS[mask[c]] == 1 and COUNT[mask[c]] >= 4]
        bays = [one for one in bays if shape.fits(one[1]) and self.dual[one[1]] < BLOCKED]
        if bays:
            shape.add(min(bays)[1])
            return True
        free = [c for c in shape.border() if c not in keep and ARCS[mask[c]] == 1]
        if not free or shape.size == 1:
            return False
        shape.remove(min((COUNT[mask[c]], c) for c in free)[1])
        return True

    def path(self, starts: set[int], goals: set[int]) -> list[int] | None:
        """The way from some of ``starts`` to the nearest of ``goals`` that is quickest to enter, or None."""
        enter = self.web.enter
        best = {start: enter[start] for start in starts}
        back: dict[int, int] = {}
        heap = sorted((cost, start) for start, cost in best.items())
        while heap:
            cost, cell = heapq.heappop(heap)
            if cost > best[cell]:
                continue
            if cell in goals:
                way = [cell]
                while way[-1] in back:
                    way.append(back[way[-1]])
                return way
            for other in self.field.near[cell]:
                further = cost + enter[other]
                if further <= self.field.most_hours and further < best.get(other, np.inf):
                    best[other], back[other] = further, cell
                    heapq.heappush(heap, (further, other))
        return None


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
