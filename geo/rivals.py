"""Other ways to spend the same hours, so that a plan can be judged: top cells, shares, greedy.

All go through one evaluator: a team gets the same hours, walks or drives a tour through its
cells (nearest neighbour, then 2-opt, Croes 1958), and what is left of the hours is filled
with the best steps. In an area the tour goes from neighbour to neighbour; between scattered
cells it is long, and that is what contiguity is for. No team's base lies better than in the
middle of its cells, from where it sets out each day. Caveat: tours run between cell centres
on the straight line times a detour factor; the rivals take as many cells as serve them best,
and may start in the middle of their cells, which flatters them.
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
NEAR, SWEEPS = 8, 20  # of 2-opt: near points tried, times over all points
METRES_DEGREE = 111_195.0  # of latitude on a sphere; tours are compared, not surveyed


@dataclass(frozen=True, slots=True)
class Days:
    """How a team's hours are cut into days: ``hours`` before any way to the base, on ``days`` days."""

    hours: float
    days: float


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
    effort: Effort,
    limits: Limits,
    choice: Choice,
    among: Candidates,
    counts: npt.ArrayLike,
    hours_m: float,
    days: Days | None = None,
    away_m: float | None = None,
) -> Rivalry:
    """A choice of areas beside the other ways, with as many teams and hours as it may use.

    Parameters
    ----------
    counts : (n,) reports of each cell. hours_m : hours of travel per metre on the straight line,
        the detour included.
    away_m : the same on the way to the base and from one municipality to another, where volunteers
        who walk from site to site are driven; None is as ``hours_m``.
    days : of a team; None leaves the way to its base at what the limits' capacity says.
    """
    field = Field(effort, limits)
    amount = np.where(field.closed, 0.0, np.asarray(counts, np.float64))
    master = Master(field, among.patches, limits.areas, ())
    best = [*master.pinned, *(master.patches[place] for place in master.greedy())]
    crew = Crew(effort, limits.capacity, hours_m, days, away_m)
    whole = np.ones(limits.areas)
    return Rivalry(
        plan=crew.spent([p.members for p in choice.patches], whole),
        top_cells=top_cells(crew, amount, limits.areas),
        municipality_share=by_share(crew, amount, field.group, limits.areas),
        greedy=crew.spent([p.members for p in best], whole),
    )


class Crew:
    """The evaluator: teams of equal hours, and what they find in sets of cells."""

    def __init__(
        self,
        effort: Effort,
        capacity: Floats,
        hours_m: float,
        days: Days | None = None,
        away_m: float | None = None,
    ) -> None:
        self.effort, self.capacity, self.hours_m, self.days = effort, capacity, hours_m, days
        self.away_m = hours_m if away_m is None else away_m
        self.lon, self.lat = centres(effort.cells)
        # The tour stands for entering cells one from the other.
        self._free = Effort(
            effort.cells, np.zeros_like(effort.enter), effort.step_cell, effort.step_hours, effort.step_value
        )

    def hours(self, members: Ints, apart: Floats) -> float:
        """Of a team that works these cells, (k, k) metres apart, the way to its base taken off."""
        given = float(self.capacity[members].mean())
        if self.days is None:
            return given
        # The base is where the limits have it, unless no base could serve cells so far apart so well.
        middle = float(apart.mean(axis=1).min())
        return min(given, self.days.hours - 2 * self.days.days * middle * self.away_m)

    def spent(self, sets: Sequence[Ints], parts: npt.ArrayLike, *, exact: bool = True) -> Spent:
        """What teams with these parts of full hours (t,) find in sets of cells (t).

        A team pays for entering its first cell and for the tour through the others, instead of
        entering each from a neighbour; cells that lie beyond its hours are not reached.
        """
        worked, uses, ways = [], [], []
        for one, part in zip(sets, np.asarray(parts, np.float64)[: len(sets)].tolist(), strict=True):
            members = np.asarray(one, np.int64)
            if not len(members):
                continue
            apart = distances(self.lon[members], self.lat[members])
            given = part * self.hours(members, apart)
            order = tour(apart, exact=exact)
            members = members[order]
            legs = apart[order[:-1], order[1:]]
            way = (
                float(self.effort.enter[members[0]]) + np.concatenate(([0.0], np.cumsum(legs))) * self.hours_m
            )
            reached = int(np.searchsorted(way, given, side="right"))
            if not reached:
                continue
            use = filled(self._free, members[:reached], given - float(way[reached - 1]))
            if use is not None:
                worked.append(members[:reached])
                uses.append(use)
                ways.append(float(way[reached - 1]))
        return Spent(tuple(worked), tuple(uses), np.array(ways))


def distances(lon: Floats, lat: Floats) -> Floats:
    """Metres between points in decimal degrees, (k, k), on a plane around their middle."""
    x = (lon - lon.mean()) * METRES_DEGREE * np.cos(np.radians(lat.mean()))
    y = (lat - lat.mean()) * METRES_DEGREE
    return np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :])


def tour(apart: Floats, *, exact: bool = True) -> Ints:
    """An order (k,) of points (k, k) metres apart that makes a short open tour."""
    k = len(apart)
    left = apart.copy()
    order = np.empty(k, np.int64)
    # From a far end: a tour that starts in the middle has to come back to it.
    order[0] = int(np.argmax(apart.sum(axis=1)))
    for place in range(1, k):
        left[:, order[place - 1]] = np.inf
        order[place] = int(np.argmin(left[order[place - 1]]))
    return _untangled(order, apart) if exact and k > 3 else order


def _untangled(order: Ints, apart: Floats) -> Ints:
    """2-opt on an open tour: stretches are turned round while that saves, near points tried only."""
    k = len(order)
    near = np.argsort(apart, axis=1, kind="stable")[:, 1 : NEAR + 1].tolist()
    metres, way = apart.tolist(), order.tolist()
    place = [0] * k
    for at, point in enumerate(way):
        place[point] = at

    def leg(one: int, other: int) -> float:
        # Before the first and after the last point there is no leg: the tour is open.
        return metres[way[one]][way[other]] if 0 <= one < k and 0 <= other < k else 0.0

    def better(point: int) -> tuple[int, int] | None:
        """The stretch to turn round so that a near point follows, or comes before, this one."""
        at = place[point]
        for step in (1, -1):
            now = leg(at, at + step)
            for other in near[point]:
                to = place[other]
                if metres[point][other] >= now:
                    break
                new = metres[point][other] + leg(at + step, to + step)
                if now + leg(to, to + step) - new > 1e-6:
                    low, high = min(at, to), max(at, to)
                    return (low + 1, high) if step == 1 else (low, high - 1)
        return None

    for _ in range(SWEEPS):
        turned = False
        for point in list(way):
            while stretch := better(point):
                low, high = stretch
                way[low : high + 1] = way[low : high + 1][::-1]
                for at in range(low, high + 1):
                    place[way[at]] = at
                turned = True
        if not turned:
            break
    return np.array(way, np.int64)


def top_cells(crew: Crew, counts: npt.ArrayLike, teams: int) -> Spent:
    """The cells with most reports (n,), shared out among teams by where they lie.

    As many cells as give most: a few are exhausted, too many are spent on the way.
    """
    amount = np.asarray(counts, np.float64)
    order = np.argsort(-amount, kind="stable")
    return _scattered(crew, order[amount[order] > 0], np.ones(teams))


def by_share(crew: Crew, counts: npt.ArrayLike, group: Ints, teams: int) -> Spent:
    """Hours by each group's share of all reports; in each group, its cells with most reports.

    Each group is worked from its own base. Where there are more groups than teams, a team moves
    on from group to group, once, and its hours are shorter by that way.
    """
    amount = np.asarray(counts, np.float64)
    total = float(amount.sum())
    groups = [one for one in np.unique(group).tolist() if amount[group == one].sum() > 0]
    if not groups:
        return Spent((), (), np.zeros(0))
    inside = [np.flatnonzero((group == one) & (amount > 0)) for one in groups]
    share = np.array([teams * float(amount[cells].sum()) / total for cells in inside])
    lon, lat = (np.array([np.average(p[c], weights=amount[c]) for c in inside]) for p in (crew.lon, crew.lat))
    full = crew.days.hours if crew.days else float(crew.capacity.max())
    for team in _shared(np.arange(len(groups)), lon, lat, share, teams):
        if len(team) > 1:
            apart = distances(lon[team], lat[team])
            order = tour(apart)
            moving = float(apart[order[:-1], order[1:]].sum()) * crew.away_m
            share[team] *= max(0.0, 1 - moving / (full * float(share[team].sum())))
    found = []
    for cells, part in zip(inside, share.tolist(), strict=True):
        tours = max(1, int(np.ceil(part - 1e-9)))
        order = cells[np.argsort(-amount[cells], kind="stable")]
        found.append(_scattered(crew, order, np.full(tours, part / tours)))
    return Spent(
        tuple(s for one in found for s in one.sets),
        tuple(p for one in found for p in one.parts),
        np.concatenate([one.way for one in found]),
    )


def _scattered(crew: Crew, order: Ints, parts: Floats) -> Spent:
    """The first cells of an order, as many as give most, among teams with these parts of full hours (t,)."""
    effort = crew.effort
    best, best_sets = Spent((), (), np.zeros(0)), [order[:0]]
    if not len(order):
        return best
    work = np.bincount(effort.step_cell, effort.step_hours, len(effort.cells)) + effort.enter
    # More cells than could be got to if all were neighbours are never reached.
    hours = float(parts.sum()) * float(crew.capacity[order].max())
    most = int(np.searchsorted(np.cumsum(effort.enter[order]), hours, side="right"))
    most = min(max(most, len(parts)), len(order))
    numbers = np.unique(np.geomspace(min(len(parts), most), most, TRIES).astype(np.int64))
    for number in numbers.tolist():
        sets = list(_shared(order[:number], crew.lon, crew.lat, work, len(parts)))
        now = crew.spent(sets, parts, exact=False)
        if now.value > best.value:
            best, best_sets = now, sets
    final = crew.spent(best_sets, parts) if best.parts else best
    return final if final.value >= best.value else best


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
