"""What teams find when they are sent somewhere: one reckoning for a plan and for its rivals.

A deployment says which cells a team works and how often it means to drive the streets of each.
Travel comes first and is the same sum for everyone: a tour through the base and all cells of the
team (nearest neighbour and 2-opt), and the way to the cells and back on every further day. What
is left is spent driving and, for each report found, inspecting it; the team drives more or less
than it meant, in proportion, so that it ends on time. ``RULES`` are three ways in which driving
finds what was really reported, so that no conclusion hangs on one of them. Caveat: whatever was
reported in the month counts as there to be found, on whichever day the team comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.cells import Cells, parents

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: search: a pass through the streets finds 1 − 1/e of what is there, as the plan supposes (Koopman
#: 1980). sweep: one pass finds all, a part of a pass its part. timetable: as search, but a team keeps
#: to its hours in each cell whatever it finds there.
RULES = ("search", "sweep", "timetable")
_BLOCK = 7  # H3 resolution of the blocks that are drawn together, 5 km²


@dataclass(frozen=True, slots=True)
class Crew:
    """What there is to spend: ``teams`` for ``days`` of ``hours``; minutes at a site and for a km."""

    teams: int
    days: int = 10
    hours: float = 6.0
    minutes_site: float = 12.0
    minutes_km: float = 2.5
    detour: float = 1.3

    @property
    def total(self) -> float:
        """Hours of all teams."""
        return self.teams * self.days * self.hours


@dataclass(frozen=True, slots=True, eq=False)
class City:
    """The cells and what does not change with the month.

    Attributes
    ----------
    cells : (n,) ascending. x, y : (n,) metres. km2, road_km : (n,).
    site_factor : (n,) times the usual minutes that a find takes, by what is reported there.
    district : (n,) position of the municipality, -1 for none.
    base_x, base_y : (d,) metres, where teams of a municipality start.
    """

    cells: Cells
    x: Floats
    y: Floats
    km2: Floats
    road_km: Floats
    site_factor: Floats
    district: Ints
    base_x: Floats
    base_y: Floats

    def drive(self, crew: Crew) -> Floats:
        """Hours to drive every street of a cell once, (n,); a cell without streets has 50 m of way."""
        return np.maximum(self.road_km, 0.05) * crew.minutes_km / 60

    def inspect(self, crew: Crew) -> Floats:
        """Hours that a find takes in a cell, (n,)."""
        return self.site_factor * crew.minutes_site / 60


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """One team: the cells (k,) it works, its days, and what it means to do in each.

    Attributes
    ----------
    passes : (k,) times that it drives all streets. hours : (k,) so spent, what it expects to find included.
    """

    members: Ints
    passes: Floats
    hours: Floats
    days: float


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Finds (n,) by cell and rule; hours of travel and on the spot in all; cells worked."""

    finds: dict[str, Floats]
    travel: float
    on_site: float
    cells: int


def worked(city: City, crew: Crew, sent: list[Sent], truth: Floats) -> Outcome:
    """What the teams find of ``truth`` (n,) reports."""
    finds = {rule: np.zeros(len(city.cells)) for rule in RULES}
    travel = on_site = 0.0
    drive, inspect = city.drive(crew), city.inspect(crew)
    for one in sent:
        hours = one.days * crew.hours
        way = min(travel_hours(city, crew, one), hours)
        travel += way
        on_site += hours - way
        for rule in RULES:
            at = one.members
            np.add.at(finds[rule], at, found_in(rule, one, hours - way, truth[at], drive[at], inspect[at]))
    # Two teams in one cell cannot find more than there is.
    finds = {rule: np.minimum(found, truth) for rule, found in finds.items()}
    return Outcome(finds, travel, on_site, len(np.unique(np.concatenate([one.members for one in sent]))))


def found_in(rule: str, one: Sent, hours: float, truth: Floats, drive: Floats, site: Floats) -> Floats:
    """Reports found in each cell of a team by so many hours on the spot, (k,)."""
    if hours <= 0 or one.passes.sum() <= 0:
        return np.zeros(len(truth))
    if rule == "timetable":
        spent = one.hours * hours / one.hours.sum()
        # What the sites found leave is driven: x + site · truth · (1 − exp(−x / drive)) = spent.
        driven = _largest(lambda x: x + site * truth * -np.expm1(-x / drive) <= spent, spent)
        return truth * -np.expm1(-driven / drive)

    def share(more: Floats) -> Floats:
        passes = more * one.passes
        return np.minimum(passes, 1.0) if rule == "sweep" else -np.expm1(-passes)

    def in_time(more: Floats) -> npt.NDArray[np.bool_]:
        return np.array([(more * one.passes * drive + site * truth * share(more)).sum() <= hours])

    # Driving alone takes all hours at the most.
    most = np.array([hours / (one.passes * drive).sum()])
    return truth * share(_largest(in_time, most))


def _largest(holds: Callable[[Floats], npt.NDArray[np.bool_]], most: Floats) -> Floats:
    """The largest x from 0 to ``most`` for which ``holds``, which is true of all smaller ones."""
    low, high = np.zeros_like(most), most.copy()
    for _ in range(50):
        middle = (low + high) / 2
        good = holds(middle)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return low


def travel_hours(city: City, crew: Crew, one: Sent) -> float:
    """The tour through base and cells, and a way there and back for each further day."""
    x, y = city.x[one.members], city.y[one.members]
    away = np.hypot(city.base_x[:, None] - x, city.base_y[:, None] - y).mean(axis=1)
    base = int(np.argmin(away))
    tour = tour_km(np.append(x, city.base_x[base]), np.append(y, city.base_y[base]))
    km = tour + 2 * max(one.days - 1, 0.0) * float(away[base]) / 1000
    return km * crew.detour * crew.minutes_km / 60


def tour_km(x: Floats, y: Floats) -> float:
    """Length of a short closed tour: nearest neighbour, then 2-opt until nothing improves."""
    n = len(x)
    if n < 2:
        return 0.0
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    order, left = [0], np.ones(n, bool)
    left[0] = False
    while left.any():
        order.append(int(np.argmin(np.where(left, apart[order[-1]], np.inf))))
        left[order[-1]] = False
    tour = np.array([*order, 0])
    improved = n > 3
    while improved:
        improved = False
        for i in range(n - 2):
            a, b = tour[i], tour[i + 1]
            c, d = tour[i + 2 : -1], tour[i + 3 :]
            gain = apart[a, b] + apart[c, d] - apart[a, c] - apart[b, d]
            j = int(np.argmax(gain)) if len(gain) else 0
            if len(gain) and gain[j] > 1e-9:
                tour[i + 1 : i + 3 + j] = tour[i + 1 : i + 3 + j][::-1]
                improved = True
    return float(apart[tour[:-1], tour[1:]].sum()) / 1000


def hours_of(city: City, crew: Crew, passes: Floats, belief: Floats) -> Floats:
    """Hours that so many passes take if ``belief`` is right, (n,)."""
    hours: Floats = passes * city.drive(crew) + city.inspect(crew) * belief * -np.expm1(-passes)
    return hours


def best_passes(city: City, crew: Crew, belief: Floats) -> Floats:
    """The passes in all hours that find most if ``belief`` is right, travel left out, (n,).

    Searching goes on in each cell until the next hour would bring the same everywhere.
    """
    drive, site = city.drive(crew), city.inspect(crew)

    def at(rate: float) -> Floats:
        # Finds per hour at the margin are r / (1 + site · r) with r = belief · exp(−passes) / drive.
        left = np.maximum(1 - site * rate, 1e-12)
        return np.where(site * rate < 1, np.log(np.maximum(belief * left / (drive * rate), 1.0)), 0.0)

    low, high = 1e-6, 1 / float(site.min())
    for _ in range(80):
        middle = math.sqrt(low * high)
        if hours_of(city, crew, at(middle), belief).sum() > crew.total:
            low = middle
        else:
            high = middle
    return at(high)


def shared_out(city: City, crew: Crew, members: Ints, passes: Floats, hours: Floats) -> list[Sent]:
    """Cells split among the teams by place: halves of equal hours across the longer side, and so on."""

    def halve(at: Ints, teams: int) -> list[Ints]:
        if teams == 1 or len(at) < 2:
            return [at]
        x, y = city.x[members[at]], city.y[members[at]]
        along = x if np.ptp(x) >= np.ptp(y) else y
        ordered = at[np.lexsort((members[at], along))]
        before = np.cumsum(hours[ordered]) - hours[ordered] / 2
        cut = int(np.searchsorted(before, hours[at].sum() * (teams // 2) / teams))
        cut = min(max(cut, 1), len(at) - 1)
        return halve(ordered[:cut], teams // 2) + halve(ordered[cut:], teams - teams // 2)

    parts = halve(np.arange(len(members)), crew.teams)
    # Fewer cells than teams: the teams share what there is.
    days = crew.days * crew.teams / len(parts)
    return [Sent(members[part], passes[part], hours[part], days) for part in parts]


def first_of(hours: Floats, rank: Floats, budget: float) -> Ints:
    """Cells in falling order of ``rank`` until ``budget`` hours are spent; the last one begun counts."""
    order = np.argsort(-rank, kind="stable")
    order = order[rank[order] > 0]
    return order[budget - (np.cumsum(hours[order]) - hours[order]) > 0]


def top_cells(city: City, crew: Crew, belief: Floats) -> list[Sent]:
    """The cells with most reports, one pass each until the hours are spent; travel is not thought of."""
    hours = hours_of(city, crew, np.ones(len(belief)), belief)
    taken = first_of(hours, belief, crew.total)
    return shared_out(city, crew, taken, np.ones(len(taken)), hours[taken])


def free_best(city: City, crew: Crew, belief: Floats) -> list[Sent]:
    """The best passes among all cells, contiguous or not; travel is not thought of."""
    passes = best_passes(city, crew, belief)
    members = np.flatnonzero(passes > 1e-6)
    hours = hours_of(city, crew, passes, belief)
    return shared_out(city, crew, members, passes[members], hours[members])


def by_district(city: City, crew: Crew, belief: Floats) -> list[Sent]:
    """Hours by each municipality's share of the reports, there the cells with most, one pass each."""
    sent = []
    inside = city.district >= 0
    shares = np.bincount(city.district[inside], belief[inside], minlength=len(city.base_x))
    shares = shares / shares.sum()
    hours = hours_of(city, crew, np.ones(len(belief)), belief)
    for number, share in enumerate(shares):
        own = np.flatnonzero(city.district == number)
        if share <= 0:
            continue
        taken = own[first_of(hours[own], belief[own], share * crew.total)]
        sent.append(Sent(taken, np.ones(len(taken)), hours[taken], share * crew.teams * crew.days))
    return sent


@dataclass(frozen=True, slots=True)
class Better:
    """Finds of the plan ÷ finds of a rival − 1 over all months, with 95 % intervals.

    Attributes
    ----------
    low, high : months drawn anew, in these places. low_places, high_places : months and places.
    months : in which the plan found more.
    """

    rival: str
    better: float
    low: float
    high: float
    low_places: float
    high_places: float
    months: int


def better(
    city: City, plan: list[Floats], rivals: dict[str, list[Floats]], draws: int = 2000, seed: int = 0
) -> list[Better]:
    """Compare finds by month and cell (n,); months are drawn anew, alone and with blocks of cells.

    Paired: a draw takes the same months and the same blocks of the plan and the rival.
    """
    rng = np.random.default_rng(seed)
    _, block = np.unique(parents(city.cells, _BLOCK), return_inverse=True)
    count, months = int(block.max()) + 1, len(plan)
    month_weight = rng.multinomial(months, np.full(months, 1 / months), draws)
    block_weight = rng.multinomial(count, np.full(count, 1 / count), draws)

    def sums(finds: list[Floats]) -> Floats:
        return np.array([np.bincount(block, month, minlength=count) for month in finds])

    def intervals(other: Floats) -> tuple[float, ...]:
        over: list[float] = []
        for blocks in (np.ones_like(block_weight), block_weight):
            top, rival = (np.einsum("dm,mb,db->d", month_weight, t, blocks) for t in (mine, other))
            over += np.quantile(top / np.maximum(rival, 1e-9) - 1, [0.025, 0.975]).tolist()
        return tuple(over)

    mine = sums(plan)
    found = []
    for code, finds in rivals.items():
        other = sums(finds)
        won = int((mine.sum(axis=1) > other.sum(axis=1)).sum())
        found.append(Better(code, float(mine.sum() / other.sum() - 1), *intervals(other), won))
    return found
