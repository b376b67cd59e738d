"""Other ways to spend the same hours, so that a plan can be judged: top cells, shares, greedy.

All go through one evaluator: a team gets the same hours, walks or drives a tour through its
cells (nearest neighbour, then 2-opt, Croes 1958), and what is left of the hours is filled
with the best steps. In an area the tour goes from neighbour to neighbour; between scattered
cells it is long, and that is what contiguity is for. Caveat: tours run between cell centres
on the straight line times a detour factor; the rivals choose their number of cells with
hindsight of their own value, which flatters them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.cells import centres
from geo.effort import Effort, Filled, filled
from geo.master import Master
from geo.patches import Field, Floats, Ints, Limits
from geo.selection import Candidates, Choice

TRIES = 9  # numbers of cells that a rival tries, evenly by ratio
METRES_DEGREE = 111_195.0  # of latitude on a sphere; tours are compared, not surveyed


@dataclass(frozen=True, slots=True, eq=False)
class Spent:
    """What teams find, each in a set of cells with so many hours.

    Attributes
    ----------
    sets : cells worked by each team, in the order of its tour. parts : the use of its hours there.
    way : (t,) hours of each team on its tour.
    """

    sets: tuple[Ints, ...]
    parts: tuple[Filled, ...]
    way: Floats

    @property
    def value(self) -> float:
        """Weighted finds."""
        return sum(part.value for part in self.parts)

    @property
    def hours(self) -> float:
        """Of work and tour."""
        return sum(part.hours for part in self.parts) + float(self.way.sum())

    @property
    def cells(self) -> int:
        return sum(len(one) for one in self.sets)

    @property
    def steps(self) -> tuple[Ints, Floats]:
        """Steps done, by position in the effort, and how much of each; no step is done twice."""
        if not self.parts:
            return np.zeros(0, np.int64), np.zeros(0)
        return np.concatenate([p.steps for p in self.parts]), np.concatenate([p.shares for p in self.parts])


@dataclass(frozen=True, slots=True, eq=False)
class Rivalry:
    """A plan beside other ways to spend its hours.

    Attributes
    ----------
    plan : the plan itself, by the same evaluator.
    top_cells : the cells with most reports, wherever they lie.
    municipality_share : hours by each municipality's share of reports, there in its top cells.
    greedy : the best candidate area first, then the next that does not touch it.
    """

    plan: Spent
    top_cells: Spent
    municipality_share: Spent
    greedy: Spent


def rivals(
    effort: Effort, limits: Limits, choice: Choice, among: Candidates, counts: npt.ArrayLike, hours_m: float
) -> Rivalry:
    """A choice of areas beside the other ways, with as many teams and hours as it may use.

    Parameters
    ----------
    counts : (n,) reports of each cell. hours_m : hours of travel per metre on the straight line,
        the detour included.
    """
    field = Field(effort, limits)
    amount = np.where(field.closed, 0.0, np.asarray(counts, np.float64))
    master = Master(field, among.patches, limits.areas, ())
    best = [*master.pinned, *(master.patches[place] for place in master.greedy())]
    teams = limits.areas
    return Rivalry(
        plan=areas_spent(effort, [p.members for p in choice.patches], limits.capacity, hours_m),
        top_cells=top_cells(effort, limits.capacity, amount, teams, hours_m),
        municipality_share=by_share(effort, limits.capacity, amount, field.group, teams, hours_m),
        greedy=areas_spent(effort, [p.members for p in best], limits.capacity, hours_m),
    )


def areas_spent(effort: Effort, areas: Sequence[Ints], capacity: Floats, hours_m: float) -> Spent:
    """Areas as they are, each with its team's hours."""
    return spent(effort, areas, [float(capacity[one].mean()) for one in areas], hours_m)


def spent(effort: Effort, sets: Sequence[Ints], hours: Sequence[float], hours_m: float) -> Spent:
    """The evaluator: what teams find in sets of cells.

    A team pays for entering its first cell and for the tour through the others, instead of
    entering each from a neighbour; cells that lie beyond its hours are not reached.
    """
    return _spent(effort, sets, hours, hours_m, exact=True)


def _spent(
    effort: Effort, sets: Sequence[Ints], hours: Sequence[float], hours_m: float, *, exact: bool
) -> Spent:
    free = Effort(
        effort.cells, np.zeros_like(effort.enter), effort.step_cell, effort.step_hours, effort.step_value
    )
    lon, lat = centres(effort.cells)
    worked, parts, ways = [], [], []
    for one, given in zip(sets, hours, strict=True):
        members = np.asarray(one, np.int64)
        if not len(members) or given <= 0:
            continue
        order, legs = tour(lon[members], lat[members], exact=exact)
        members = members[order]
        way = float(effort.enter[members[0]]) + np.concatenate(([0.0], np.cumsum(legs))) * hours_m
        reached = int(np.searchsorted(way, given, side="right"))
        if not reached:
            continue
        part = filled(free, members[:reached], given - float(way[reached - 1]))
        if part is not None:
            worked.append(members[:reached])
            parts.append(part)
            ways.append(float(way[reached - 1]))
    return Spent(tuple(worked), tuple(parts), np.array(ways))


def tour(lon: Floats, lat: Floats, *, exact: bool = True) -> tuple[Ints, Floats]:
    """An order (k,) of points in decimal degrees that makes a short open tour, and its legs (k − 1,) in metres."""
    k = len(lon)
    x = (lon - lon.mean()) * METRES_DEGREE * np.cos(np.radians(lat.mean()))
    y = (lat - lat.mean()) * METRES_DEGREE
    apart = np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :])
    left = apart.copy()
    order = np.empty(k, np.int64)
    # From a far end: a tour that starts in the middle has to come back to it.
    order[0] = int(np.argmax(np.hypot(x, y)))
    for place in range(1, k):
        left[:, order[place - 1]] = np.inf
        order[place] = int(np.argmin(left[order[place - 1]]))
    if exact and k > 3:
        order = _untangled(order, apart)
    return order, apart[order[:-1], order[1:]]


def _untangled(order: Ints, apart: Floats) -> Ints:
    """2-opt on an open tour: the reversal that saves most, while one saves."""
    k = len(order)
    first, last = np.triu_indices(k, 1)
    for _ in range(2 * k):
        legs = np.concatenate(([0.0], apart[order[:-1], order[1:]], [0.0]))
        # A stretch first..last turned round: the legs before and after it change; ends are open.
        before = np.where(first > 0, apart[order[first - 1], order[last]], 0.0)
        after = np.where(last < k - 1, apart[order[first], order[(last + 1) % k]], 0.0)
        saved = legs[first] + legs[last + 1] - before - after
        best = int(np.argmax(saved))
        if saved[best] < 1e-6:
            break
        a, b = first[best], last[best]
        order[a : b + 1] = order[a : b + 1][::-1].copy()
    return order


def top_cells(effort: Effort, capacity: Floats, counts: npt.ArrayLike, teams: int, hours_m: float) -> Spent:
    """The cells with most reports, shared out among teams by where they lie.

    As many cells as give most: a few are exhausted, too many are spent on the way.
    """
    amount = np.asarray(counts, np.float64)
    order = np.argsort(-amount, kind="stable")
    order = order[amount[order] > 0]
    return _scattered(effort, order, capacity, np.ones(teams), hours_m)


def by_share(
    effort: Effort, capacity: Floats, counts: npt.ArrayLike, group: Ints, teams: int, hours_m: float
) -> Spent:
    """Hours by each group's share of all reports; in each group, its cells with most reports."""
    amount = np.asarray(counts, np.float64)
    total = float(amount.sum())
    if total <= 0:
        return Spent((), (), np.zeros(0))
    found = []
    for one in np.unique(group).tolist():
        inside = group == one
        share = teams * float(amount[inside].sum()) / total
        order = np.flatnonzero(inside & (amount > 0))
        order = order[np.argsort(-amount[order], kind="stable")]
        if share <= 0 or not len(order):
            continue
        tours = max(1, int(np.ceil(share - 1e-9)))
        found.append(_scattered(effort, order, capacity, np.full(tours, share / tours), hours_m))
    return Spent(
        tuple(s for one in found for s in one.sets),
        tuple(p for one in found for p in one.parts),
        np.concatenate([one.way for one in found]) if found else np.zeros(0),
    )


def _scattered(effort: Effort, order: Ints, capacity: Floats, parts: Floats, hours_m: float) -> Spent:
    """The first cells of an order, as many as give most, among teams with these parts of full hours (t,)."""
    empty = Spent((), (), np.zeros(0))
    if not len(order):
        return empty
    work = np.bincount(effort.step_cell, effort.step_hours, len(effort.cells)) + effort.enter
    # More cells than teams have the hours to get to by the shortest way there is are never reached.
    reach = np.cumsum(effort.enter[order] - effort.enter[order].min() / 2)
    most = int(np.searchsorted(reach, float(parts.sum()) * float(capacity[order].max()), side="right"))
    most = min(max(most, len(parts)), len(order))
    best, best_value, best_sets = empty, -1.0, [order[:0]]
    numbers = np.unique(np.geomspace(min(len(parts), most), most, TRIES).astype(np.int64))
    lon, lat = centres(effort.cells)
    for number in numbers.tolist():
        sets = list(_shared(order[:number], lon, lat, work, len(parts)))
        now = _spent(effort, sets, _hours(sets, capacity, parts), hours_m, exact=False)
        if now.value > best_value:
            best, best_value, best_sets = now, now.value, sets
    final = spent(effort, best_sets, _hours(best_sets, capacity, parts), hours_m)
    return final if final.value >= best.value else best


def _hours(sets: Sequence[Ints], capacity: Floats, parts: Floats) -> list[float]:
    return [
        float(part * capacity[one].mean()) if len(one) else 0.0 for one, part in zip(sets, parts, strict=True)
    ]


def _shared(members: Ints, lon: Floats, lat: Floats, work: Floats, teams: int) -> Iterator[Ints]:
    """Cells in so many parts of about equal work, cut across their longer side again and again."""
    if teams == 1 or len(members) <= 1:
        yield members
        yield from (members[:0] for _ in range(teams - 1))
        return
    x = lon[members] * np.cos(np.radians(lat[members].mean()))
    wide = np.ptp(x) >= np.ptp(lat[members])
    order = np.lexsort((members, x if wide else lat[members]))
    ahead = np.cumsum(work[members[order]])
    left = teams // 2
    cut = int(np.searchsorted(ahead, ahead[-1] * left / teams))
    cut = min(max(cut, min(left, len(members) - 1)), len(members) - 1)
    yield from _shared(members[order[:cut]], lon, lat, work, left)
    yield from _shared(members[order[cut:]], lon, lat, work, teams - left)
