"""Which site on which day, and in which order: the rounds of one team from its base and back.

Sites are put into groups that lie together, as large as a few days' work, and each group is
solved by VROOM (Coupey and others, BSD licence): most value first, then least travel. What
is left over fills the gaps, at the cheapest place of any day. The days of equal length are
then put in order of value, so that a campaign cut short has done what matters most. The same
sites give the same rounds. Caveat: rounds are good, not proven best; a group of six sites is
solved as well as by trying all orders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import vroom

from geo.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Tick = Callable[[float], None]

GROUP = 50  # sites that are solved together, about: the solver's time grows with their cube
RESERVE = 1.1  # share of the hours for which sites are considered
EXPLORE = 1  # of VROOM, 0 to 5: more takes many times as long and gained under 1 % of travel
GRAIN = 10  # milliseconds, see _solved


@dataclass(frozen=True, slots=True)
class Shift:
    """A time in which the team works: ``opens`` and ``closes`` are minutes after the day's start."""

    day: int
    opens: float
    closes: float


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """When each site has its turn.

    Attributes
    ----------
    shift : (n,) position in the shifts, -1 for a site that has no day.
    order : (n,) place in its shift, from 1; 0 for none.
    arrive : (n,) minutes after the day's start; nan for none.
    metres, minutes : (s,) of a shift: travelled, and taken up in all, 0 where it is empty.
    back : (s,) minutes after the day's start at which the team is back; nan where it is empty.
    """

    shift: Ints
    order: Ints
    arrive: Floats
    metres: Floats
    minutes: Floats
    back: Floats


def rounds(
    travel: npt.ArrayLike,
    metres: npt.ArrayLike,
    service: npt.ArrayLike,
    value: npt.ArrayLike,
    places: npt.ArrayLike,
    shifts: Sequence[Shift],
    tick: Tick | None = None,
) -> Rounds:
    """Sites onto shifts.

    Parameters
    ----------
    travel, metres : (n + 1, n + 1) minutes and metres from place to place; the base is the first.
    service : (n,) minutes at a site.
    value : (n,) of a visit, at least 0; what it is measured in does not matter.
    places : (n, 2) where the sites are, in any flat measure: to find those that lie together.
    shifts : in order of time.

    Raises
    ------
    InputError : lengths differ, or a time or value is negative or not finite.
    """
    told = tick or (lambda done: None)
    work = _checked(travel, metres, service, value, places)
    n = len(work.value)
    tours: list[list[int]] = [[] for _ in shifts]
    if n and shifts:
        kept = _within_reach(work, shifts)
        groups = _groups(work, kept, shifts)
        for done, (sites, mine) in enumerate(groups, 1):
            for at, tour in zip(mine, _solved(work, sites, [shifts[k] for k in mine]), strict=True):
                tours[at] = tour
            told(done / (len(groups) + 1))
        _fill(work, tours, shifts)
        # Value early; days without a site are the last.
        tours = _exchanged(tours, shifts, lambda tour: (-float(work.value[tour].sum()), tour))
    told(1.0)
    return _timed(work, tours, shifts)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    travel: Floats
    metres: Floats
    service: Floats
    value: Floats
    places: Floats

    def minutes(self, tour: Sequence[int]) -> float:
        """From the base along the sites ``tour`` and back."""
        stops = np.concatenate(([0], np.asarray(tour, dtype=np.int64) + 1, [0]))
        return float(self.travel[stops[:-1], stops[1:]].sum() + self.service[list(tour)].sum())


def _checked(
    travel: npt.ArrayLike,
    metres: npt.ArrayLike,
    service: npt.ArrayLike,
    value: npt.ArrayLike,
    places: npt.ArrayLike,
) -> _Work:
    work = _Work(*(np.asarray(each, dtype=np.float64) for each in (travel, metres, service, value, places)))
    n = len(work.service)
    faults = []
    if work.travel.shape != (n + 1, n + 1) or work.metres.shape != (n + 1, n + 1):
        faults.append(f"{n} sites and a base need times and distances of {n + 1} by {n + 1}")
    if work.value.shape != (n,) or work.places.shape != (n, 2):
        faults.append("sites, values and places differ in number")
    for name in ("travel", "metres", "service", "value"):
        array = getattr(work, name)
        if not (np.isfinite(array) & (array >= 0)).all():
            faults.append(f"{name} that is negative or unknown")
    if not np.isfinite(work.places).all():
        faults.append("a site without a place")
    if faults:
        raise InputError("Rounds cannot be planned: " + "; ".join(faults) + ".")
    return work


def _within_reach(work: _Work, shifts: Sequence[Shift]) -> Ints:
    """Sites that are worth considering: those with most value for their time, a little over all hours."""
    longest = max(shift.closes - shift.opens for shift in shifts)
    alone = work.travel[0, 1:] + work.service + work.travel[1:, 0]
    fits = np.flatnonzero(alone <= longest)
    if not len(fits):
        return fits
    near = work.travel[1:, 1:] + np.where(np.eye(len(work.value)) > 0, np.inf, 0.0)
    hop = near.min(axis=1) if len(work.value) > 1 else np.zeros(1)
    takes = (work.service + hop)[fits]
    order = np.argsort(-work.value[fits] / np.maximum(takes, 1e-9), kind="stable")
    hours = sum(shift.closes - shift.opens for shift in shifts) * RESERVE
    before = np.cumsum(takes[order]) - takes[order]
    return np.sort(fits[order[before < hours]])


def _groups(work: _Work, kept: Ints, shifts: Sequence[Shift]) -> list[tuple[Ints, list[int]]]:
    """Sites that lie together, each group with the shifts that its work takes up."""
    parts = min(len(shifts), max(1, math.ceil(len(kept) / GROUP)))
    pending = [(kept, list(range(len(shifts))), parts)]
    found = []
    while pending:
        sites, mine, parts = pending.pop()
        if parts == 1 or len(sites) < 2:
            found.append((sites, mine))
            continue
        first = parts // 2
        days = min(max(round(len(mine) * first / parts), first), len(mine) - (parts - first))
        length = np.array([shifts[k].closes - shifts[k].opens for k in mine])
        share = length[:days].sum() / length.sum()
        spread = np.ptp(work.places[sites], axis=0)
        axis = int(np.argmax(spread))
        order = sites[np.lexsort((sites, work.places[sites, 1 - axis], work.places[sites, axis]))]
        load = np.cumsum(work.service[order])
        # Half of a site's own work before the border puts it on the side where most of it is.
        cut = int(np.searchsorted(load - work.service[order] / 2, share * load[-1]))
        pending.append((np.sort(order[cut:]), mine[days:], parts - first))
        pending.append((np.sort(order[:cut]), mine[:days], first))
    return found


def _solved(work: _Work, sites: Ints, shifts: Sequence[Shift]) -> list[list[int]]:
    """VROOM's tours of a group, one a shift."""
    if not len(sites):
        return [[] for _ in shifts]
    stops = np.concatenate(([0], sites + 1))
    # Whole seconds, rounded up: no day ends later than the sum of its parts.
    seconds = np.ceil(work.travel[np.ix_(stops, stops)] * 60 - 1e-6).astype(np.uint32)
    most = max(float(work.value[sites].max()), 1e-12)
    problem = vroom.Input()
    problem.set_durations_matrix("car", seconds)
    # Of rounds that are equally long the solver takes now this one, now that. A few
    # milliseconds a leg, always the same ones, leave no two of them equal.
    grain = np.random.default_rng(0).integers(0, GRAIN, seconds.shape, dtype=np.uint32)
    problem.set_costs_matrix("car", seconds * np.uint32(1000) + grain)
    for at, shift in enumerate(shifts):
        window = [math.ceil(shift.opens * 60), math.floor(shift.closes * 60 + 1e-6)]
        problem.add_vehicle(vroom.Vehicle(at, start=0, end=0, time_window=window))
    for at, site in enumerate(sites.tolist()):
        problem.add_job(
            vroom.Job(
                at,
                location=at + 1,
                default_service=math.ceil(work.service[site] * 60 - 1e-6),
                priority=max(1, round(100 * float(work.value[site]) / most)),
            )
        )
    table = problem.solve(exploration_level=EXPLORE, nb_threads=1).routes
    tours: list[list[int]] = [[] for _ in shifts]
    jobs = table[table["type"] == "job"]
    for vehicle, job in zip(jobs["vehicle_id"].tolist(), jobs["id"].tolist(), strict=True):
        tours[int(vehicle)].append(int(sites[int(job)]))
    return _exchanged(tours, shifts, lambda tour: (not tour, tour))


def _exchanged(
    tours: list[list[int]], shifts: Sequence[Shift], key: Callable[[list[int]], tuple[object, ...]]
) -> list[list[int]]:
    """The tours of equally long shifts in order of ``key``."""
    ordered = list(tours)
    spans: dict[tuple[float, float], list[int]] = {}
    for at, shift in enumerate(shifts):
        spans.setdefault((shift.opens, shift.closes), []).append(at)
    for mine in spans.values():
        ranked = sorted((tours[at] for at in mine), key=key)
        for at, tour in zip(mine, ranked, strict=True):
            ordered[at] = tour
    return ordered


def _fill(work: _Work, tours: list[list[int]], shifts: Sequence[Shift]) -> None:
    """Put what is left over, the most valuable first, where it takes least time and still fits."""
    placed = np.zeros(len(work.value), dtype=bool)
    for tour in tours:
        placed[tour] = True
    slack = np.array([s.closes - s.opens for s in shifts]) - [work.minutes(t) if t else 0.0 for t in tours]
    left = np.flatnonzero(~placed)
    for site in left[np.argsort(-work.value[left], kind="stable")].tolist():
        best = (math.inf, -1, 0)
        for at, tour in enumerate(tours):
            stops = np.concatenate(([0], np.asarray(tour, dtype=np.int64) + 1, [0]))
            more = (
                work.travel[stops[:-1], site + 1]
                + work.travel[site + 1, stops[1:]]
                - work.travel[stops[:-1], stops[1:]]
            )
            place = int(np.argmin(more))
            takes = float(more[place]) + float(work.service[site])
            if takes <= slack[at] and takes < best[0]:
                best = (takes, at, place)
        if best[1] >= 0:
            tours[best[1]].insert(best[2], site)
            slack[best[1]] -= best[0]


def _timed(work: _Work, tours: list[list[int]], shifts: Sequence[Shift]) -> Rounds:
    n, s = len(work.value), len(shifts)
    found = Rounds(
        shift=np.full(n, -1, dtype=np.int64),
        order=np.zeros(n, dtype=np.int64),
        arrive=np.full(n, np.nan),
        metres=np.zeros(s),
        minutes=np.zeros(s),
        back=np.full(s, np.nan),
    )
    for at, tour in enumerate(tours):
        if not tour:
            continue
        sites = np.asarray(tour)
        stops = np.concatenate(([0], sites + 1, [0]))
        legs = work.travel[stops[:-1], stops[1:]]
        waits = np.concatenate(([0.0], np.cumsum(work.service[sites])))
        found.shift[sites] = at
        found.order[sites] = np.arange(1, len(sites) + 1)
        found.arrive[sites] = shifts[at].opens + np.cumsum(legs)[:-1] + waits[:-1]
        found.metres[at] = work.metres[stops[:-1], stops[1:]].sum()
        found.minutes[at] = legs.sum() + waits[-1]
        found.back[at] = shifts[at].opens + found.minutes[at]
    return found
