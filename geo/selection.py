"""Which areas to work: candidates grown until none is missing, the best of them chosen exactly.

Where the study area is small every possible area is a candidate and the choice is the
optimum. Else areas are grown around the best places, and grown again where the relaxed
programme's duals say that something is missing (column generation); HiGHS then chooses
exactly among all of them and says how far from the best it may be. Caveat: that gap is over
the candidates; the free bound, without contiguity, holds for any plan at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from geo.clashes import check_plain, clash, rules_of
from geo.effort import Effort
from geo.growth import BLOCKED, Grower, spaced
from geo.master import Master, Tick
from geo.patches import Field, Floats, Limits, Patch

EVERY = 20_000  # connected sets up to which all of them are candidates
SEEDS = 16  # places per area from which candidates are grown at first
AGAIN = 4  # places per area where they are grown again
ANCHORS = 6  # cells of each set that must be visited, tried
JOINED = 3  # further places that must be visited in one area, tried
PASSES = 5  # of column generation, and of growing the chosen anew, at most
GAP = 0.002  # below which branching ends; 0 where every area is a candidate
#: How an area is grown: times its price per hour, reach and roundness (``Grower.grow``).
TRIES = ((1.0, 1.0, 0.3), (0.8, 0.0, 0.3), (1.0, 3.0, 0.15), (1.4, 1.0, 0.3), (0.6, 3.0, 0.3))

FILL = (1.0, 0.7, 0.4, 0.1)  # times the price of the free bound at which areas are grown in what others leave


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Possible areas to choose from. ``complete`` : there are no others that keep the limits."""

    patches: tuple[Patch, ...]
    complete: bool
    free_bound: float
    free_price: float


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The areas chosen, the best first, and how good they are known to be.

    Attributes
    ----------
    objective : weighted finds of all. bound : no choice among the candidates is worth more.
    gap : 1 − objective ÷ bound. free_bound : no plan is worth more, contiguous or not.
    candidates, complete : see ``Candidates``. seconds : candidates included when grown here.
    status : optimal (within the gap asked for), nodes or time when a limit ended the search.
    """

    patches: tuple[Patch, ...]
    objective: float
    bound: float
    gap: float
    free_bound: float
    candidates: int
    complete: bool
    seconds: float
    status: str


def free_bound(effort: Effort, limits: Limits) -> tuple[float, float]:
    """Weighted finds that no plan exceeds, and the price of an hour there.

    All teams' hours (each as many as anywhere) are spent on the best steps anywhere, and a
    cell is entered in part where it is worked in part: the fractional knapsack over the upper
    concave envelopes of the cells. Contiguity, size and rules are left out, ``closed`` is not.
    """
    n = len(effort.cells)
    open_ = np.ones(n, bool) if limits.closed is None else ~limits.closed.astype(bool)
    hours = limits.areas * float(limits.capacity[open_].max(initial=0.0))
    slope, amount = envelope(effort, open_)
    order = np.argsort(-slope, kind="stable")
    before = np.concatenate(([0.0], np.cumsum(amount[order])))
    part = np.clip((hours - before[:-1]) / amount[order], 0.0, 1.0)
    last = np.flatnonzero(part > 0)
    price = float(slope[order][last[-1]]) if len(last) else 0.0
    return float((slope[order] * amount[order] * part).sum()), price


def envelope(effort: Effort, open_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope (finds per hour) and hours of the pieces of each open cell's upper concave envelope.

    Entering brings nothing, so the first piece runs from nothing to the step after which finds
    per hour, entering included, are greatest; the steps after it are pieces of their own.
    """
    starts = effort.starts
    own = np.repeat(np.arange(len(effort.cells)), np.diff(starts))
    base = starts[own]
    hours = np.concatenate(([0.0], np.cumsum(effort.step_hours)))
    value = np.concatenate(([0.0], np.cumsum(effort.step_value)))
    at = np.arange(len(own))
    spent = effort.enter[own] + hours[at + 1] - hours[base]
    gained = value[at + 1] - value[base]
    mean = gained / spent
    best = np.zeros(len(effort.cells))
    np.maximum.at(best, own, mean)
    # A step belongs to the first piece while it still raises the mean of its cell.
    raises = effort.step_value / effort.step_hours > best[own]
    raises |= at == base
    last = np.zeros(len(effort.cells), np.int64)
    np.maximum.at(last, own[raises], at[raises])
    real = open_ & (np.diff(starts) > 0)
    first_slope, first_hours = mean[last[real]], spent[last[real]]
    rest = ~raises & real[own] & (effort.step_value > 0)
    slope = np.concatenate((first_slope, (effort.step_value / effort.step_hours)[rest]))
    return slope, np.concatenate((first_hours, effort.step_hours[rest]))


def candidates(effort: Effort, limits: Limits, tick: Tick | None = None) -> Candidates:
    """Areas to choose from.

    Parameters
    ----------
    tick : called with the share done; may raise to stop.

    Raises
    ------
    ClashError : rules clash so plainly that no search is needed.
    """
    say = tick or (lambda share: None)
    say(0.0)
    field = Field(effort, limits)
    check_plain(field)
    bound, price = free_bound(effort, limits)
    pinned = [p for one in limits.pinned if (p := field.patch(np.unique(one), pinned=True)) is not None]
    every = field.every(EVERY)
    if every is not None:
        say(1.0)
        return Candidates((*pinned, *every), True, bound, price)
    pool = _Pool(field, pinned)
    grower = Grower(field)
    _first(field, grower, pool, price, say)
    _generate(field, grower, pool, price, say)
    say(1.0)
    return Candidates(tuple(pool.patches), False, bound, price)


class _Pool:
    """Candidates, each set of cells once."""

    def __init__(self, field: Field, pinned: Sequence[Patch]) -> None:
        self.field = field
        self.patches: list[Patch] = list(pinned)
        self._known: set[bytes] = set()
        self._grown: set[frozenset[int]] = set()

    def fresh(self, members: set[int]) -> bool:
        """Not grown before, however it was mended then."""
        before = len(self._grown)
        self._grown.add(frozenset(members))
        return len(self._grown) > before

    def add(self, patch: Patch | None) -> bool:
        if patch is None or (key := patch.members.tobytes()) in self._known:
            return False
        self._known.add(key)
        self.patches.append(patch)
        return True


def _again(say: Tick, share: float, _: float) -> None:
    """Ask while the solver runs, which knows no share."""
    say(share)


def _anchors(field: Field, around: Floats) -> list[int]:
    """Of each set that must be visited, the cells with most around them (n,); the first where none has any."""
    found: list[int] = []
    for one in field.limits.must:
        cells = one[field.open[one]]
        found += cells[np.argsort(-around[cells], kind="stable")][:ANCHORS].tolist()
    return list(dict.fromkeys(found))


def _joined(field: Field, grower: Grower, cell: int, must: list[int]) -> Iterator[set[int]]:
    """Sets that hold a cell and one, two, three others that must be visited, by the quickest ways.

    Where areas may hold several groups, also the cell with the nearest cell of each group in a rule.
    """
    joined = {cell}
    for _ in range(JOINED):
        way = grower.path(joined, set(must) - joined)
        if way is None:
            break
        joined = joined | set(way)
        yield joined
    for group in field.limits.each_group if not field.limits.one_group else ():
        goals = set(np.flatnonzero((field.group == group) & field.open).tolist())
        way = grower.path({cell}, goals)
        if way and len(way) > 1:
            yield set(way)


def _first(field: Field, grower: Grower, pool: _Pool, price: float, say: Tick) -> None:
    """Areas around the best places, everywhere, in each group that a rule names, and where one must be."""
    limits = field.limits
    around = grower.around(price)
    seeds = spaced(around, field.near, 2, SEEDS * limits.areas).tolist()
    groups = dict.fromkeys((*limits.each_group, *(g for g, _ in limits.least_share)))
    for group in groups:
        own = np.where((field.group == group) & field.open, around + 1e-12, -np.inf)
        best = spaced(own, field.near, 2, 2 * limits.areas).tolist()
        seeds += best
        for cell in best:
            pool.add(field.patch(np.array([cell], np.int64)))
    must = _anchors(field, around)
    for cell in must:
        pool.add(field.patch(np.array([cell], np.int64)))
        for joined in _joined(field, grower, cell, must):
            pool.add(field.patch(np.array(sorted(joined), np.int64)))
            _try(grower, pool, sorted(joined), price, frozenset(must))
    keep = frozenset(must)
    seeds = list(dict.fromkeys((*must, *seeds)))
    for done, seed in enumerate(seeds):
        say(0.4 * done / max(1, len(seeds)))
        _try(grower, pool, [seed], price, keep if seed in keep else frozenset())


def _try(grower: Grower, pool: _Pool, start: list[int], price: float, keep: frozenset[int]) -> int:
    """Grow from a start in several shapes, at a price and then around the area's own; how many were new."""
    found, own = 0, price
    for times, reach, round_ in TRIES:
        shape = grower.grow(start, own * times, reach, round_)
        if shape is None or not pool.fresh(shape.members):
            continue
        patch = grower.polish(shape, keep)
        found += pool.add(patch)
        if patch is not None and own == price:
            spent = pool.field.spend(patch.members, patch.capacity)
            own = spent[2] if spent and spent[2] > 0 else price
    return found


def _generate(field: Field, grower: Grower, pool: _Pool, price: float, say: Tick) -> None:
    """Grow where the relaxed programme is short of areas, until that brings nothing more.

    Then the areas of a good choice are grown anew, each where the others leave it room, and where
    they are fewer than the teams, further ones in what they leave.
    """
    rules = rules_of(field)
    before = -np.inf
    for turn in range(PASSES):
        share = 0.4 + 0.4 * turn / PASSES
        say(share)
        relaxed = Master(field, pool.patches, field.limits.areas, rules).relaxed(partial(_again, say, share))
        if relaxed.value < before * (1 + 5e-4) and relaxed.missed < 1e-6:
            break
        before = relaxed.value
        grower.costs(relaxed.cell)
        around = grower.around(price)
        seeds = spaced(around, field.near, 2, AGAIN * field.limits.areas).tolist()
        keep = frozenset(_anchors(field, around))
        seeds = list(dict.fromkeys((*sorted(keep), *seeds)))
        if not sum(_try(grower, pool, [s], price, keep if s in keep else frozenset()) for s in seeds):
            break
    for times in FILL:
        _fill(field, grower, pool, (), price * times)
    known = -np.inf
    for turn in range(PASSES):
        say(0.8 + 0.2 * turn / PASSES)
        master = Master(field, pool.patches, field.limits.areas, rules)
        value, taken = master.known(master.relaxed(partial(_again, say, 0.8)))
        if value <= known * (1 + 1e-4):
            break
        known = value
        chosen = [master.patches[place] for place in taken]
        for patch in chosen:
            say(0.8 + 0.2 * turn / PASSES)
            dual = np.zeros(len(field.effort.cells))
            for other in chosen:
                dual[other.members] = 0.0 if other is patch else BLOCKED
            grower.costs(dual)
            worth = np.full(len(dual), -np.inf)
            worth[patch.members] = grower.around(price)[patch.members] + 1e-12
            for seed in spaced(worth, field.near, 2, AGAIN).tolist():
                _try(grower, pool, [seed], price, frozenset())
        for times in FILL:
            _fill(field, grower, pool, chosen, price * times)
    grower.costs(np.zeros(len(field.effort.cells)))


def _fill(field: Field, grower: Grower, pool: _Pool, chosen: Sequence[Patch], price: float) -> None:
    """Areas in what a choice leaves, one after the other, until there are as many as asked for.

    Where hours are many for the ground, areas that are each the best they can be overlap, and no
    two can be chosen. So these are left as they grew: worked as thoroughly as the price of the free
    bound asks, and not spread over the best of what lies around.
    """
    dual = np.zeros(len(field.effort.cells))
    for patch in chosen:
        dual[patch.members] = BLOCKED
    for _ in range(field.limits.areas - len(chosen)):
        grower.costs(dual)
        best: Patch | None = None
        for seed in spaced(grower.around(price), field.near, 2, AGAIN).tolist():
            for _, reach, round_ in TRIES[::2]:
                shape = grower.grow([seed], price, reach, round_)
                made = None if shape is None else field.patch(shape.array)
                if made is not None and not dual[made.members].any():
                    best = made if best is None or made.value > best.value else best
        if best is None:
            return
        pool.add(best)
        dual[best.members] = BLOCKED


def choose(
    effort: Effort, limits: Limits, among: Candidates | None = None, tick: Tick | None = None
) -> Choice:
    """The best areas within the limits.

    Parameters
    ----------
    among : candidates of an earlier call with the same limits but for ``areas`` and the rules;
        None grows them.
    tick : called with the share done; may raise to stop, also while the solver runs.

    Raises
    ------
    ClashError : the rules cannot all be met; it names those that clash.
    """
    began = time.perf_counter()
    say = tick or (lambda share: None)
    given = among or candidates(effort, limits, lambda share: say(0.7 * share))
    field = Field(effort, limits)
    check_plain(field)
    rules = rules_of(field)
    master = Master(field, given.patches, limits.areas, rules)
    solved = master.solve(0.0 if given.complete else GAP, lambda share: say(0.75))
    if solved.chosen is None:
        raise clash(field, given.patches, limits.areas, given.complete, lambda share: say(0.9))
    chosen = [*master.pinned, *(master.patches[c] for c in solved.chosen)]
    chosen.sort(key=lambda p: (-p.value, int(p.members[0])))
    objective = sum(p.value for p in chosen)
    bound = max(solved.bound, objective)
    say(1.0)
    return Choice(
        patches=tuple(chosen),
        objective=objective,
        bound=bound,
        gap=max(0.0, 1 - objective / bound) if bound > 0 else 0.0,
        free_bound=max(free_bound(effort, limits)[0], objective),
        candidates=len(given.patches),
        complete=given.complete,
        seconds=time.perf_counter() - began,
        status=solved.status,
    )
