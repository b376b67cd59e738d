"""Where did something flare up lately: the space-time permutation scan statistic on H3 cells.

Cylinders (disks of cells × the last days) are compared with what the margins of space
and time give; dates are permuted among the cases to judge the most unusual one
(Kulldorff, Heffernan, Hartman, Assunção & Mostashari 2005, PLoS Medicine 2:e59).
Caveat: cases count as independent. Twenty reports of one heap, a day on which an inspector
files a month's work, or people moving in, look like a flare-up. A citywide rise does not,
nor does one of a single kind of case if the kinds are given.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.cells import Cells, Floats
from geo.cylinders import Counts, Cylinders, Ints, by_duration, greedy, rings_within, spacing_m
from geo.errors import InputError

Tick = Callable[[float], None]

MAX_PAIRS = 12_000_000  # cells × cells of a disk: about 300 MB while they are found
_BLOCK = 200_000  # cells × days × permutations handled at a time, so that they stay in the cache
_PILOT = 8  # permutations evaluated in full, to find a floor that nearly all others exceed
_TIE = 1e-8  # likelihood ratios closer than this are the same, whatever the processor rounds
_SEEN_ENOUGH = 10  # permutations as extreme that make a Monte Carlo p steadier than Gumbel's


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cylinder with more cases than the margins explain.

    Attributes
    ----------
    cells : (m,) int64, the scanned cells in the disk, ascending.
    centre : the cell in its middle.
    rings : radius of the disk in cells; 0 is the centre alone.
    radius_m : metres from the centre to the edge of the disk, (rings + ½) cell spacings.
    first, last : days, both included; ``last`` is always the last one.
    observed, expected : cases in the cylinder, and what the margins give.
    llr : natural logarithm of the generalised likelihood ratio.
    p : Monte Carlo, (1 + permutations whose maximum is at least llr) / (1 + permutations).
        For a secondary cluster this is conservative: it too is held against the maxima.
    p_gumbel : from a Gumbel distribution fitted to the maxima by its first two moments
        (Abrams, Kulldorff & Kleinman 2010); nan when the maxima do not vary.
    recurrence_days : how often chance alone gives one as unusual when a scan is made every
        day, 1 / p; the Gumbel p where fewer than 10 permutations are as extreme.
    """

    cells: Cells
    centre: int
    rings: int
    radius_m: float
    first: int
    last: int
    observed: int
    expected: float
    llr: float
    p: float
    p_gumbel: float
    recurrence_days: float

    @property
    def ratio(self) -> float:
        """Observed over expected."""
        return self.observed / self.expected

    @property
    def days(self) -> int:
        """Length of the cylinder in days."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Answer of ``scan``.

    Attributes
    ----------
    clusters : the most unusual first; no two share a cell.
    maxima : (permutations,) float64, largest llr of each permutation, in the order drawn.
    cases, cells, days : size of what was scanned.
    rings : the largest disk's radius in cells.
    """

    clusters: tuple[Cluster, ...]
    maxima: Floats
    cases: int
    cells: int
    days: int
    rings: int


def gumbel_p(llr: float, maxima: npt.ArrayLike) -> float:
    """Chance of a maximum of at least ``llr`` by a Gumbel fit to ``maxima`` (by moments).

    nan when the maxima are fewer than two or all the same (Abrams et al. 2010).
    """
    values = np.asarray(maxima, dtype=np.float64)
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    if spread == 0:
        return math.nan
    scale = spread * math.sqrt(6) / math.pi
    mode = float(values.mean()) - np.euler_gamma * scale
    # A maximum far below all others would overflow the inner exponential; its p is 1.
    return -math.expm1(-math.exp(min(700.0, (mode - llr) / scale)))


def scan(
    cells: npt.ArrayLike,
    place: npt.ArrayLike,
    day: npt.ArrayLike,
    days: int,
    rng: np.random.Generator,
    *,
    kind: npt.ArrayLike | None = None,
    max_radius_m: float = 2000.0,
    max_days: int = 28,
    max_share: float = 0.5,
    min_cases: int = 2,
    permutations: int = 999,
    most: int = 10,
    workers: int | None = None,
    tick: Tick | None = None,
) -> ScanResult:
    """Clusters that are still going on at the last day (a prospective scan).

    Parameters
    ----------
    cells : (n,) int64, ascending, unique, of one resolution. Cells without cases may be
        left out: sums do not change, only disks around empty cells are not tried.
    place : (c,) position in ``cells`` of each case.
    day : (c,) day of each case, 0 to days − 1; the last one is ``days`` − 1.
    kind : (c,) whole number of each case, or None. Dates are permuted within a kind only, and
        the expected cases are the sum over kinds: a kind's own rise in the whole city, where
        that kind is common, is then no cluster (as Kulldorff et al. 2005 do for weekdays).
    max_radius_m : of the largest disk, metres; the cell alone is always tried.
    max_days : of the longest cylinder, at most ``days``.
    max_share : no disk with more than this share of all cases is tried.
    min_cases : a cluster has at least so many (in permutations too).
    permutations : of the dates among the cases; every one keeps all margins.
    most : clusters at most.
    workers : threads, the processors when None; the result is the same for any number.
    tick : called with the share done, in the thread of the caller; what it raises stops the scan.

    Raises
    ------
    InputError : shapes, positions, days or limits that cannot be, or disks too many for the memory.
    """
    array = np.ascontiguousarray(cells, dtype=np.int64)
    where, when, what = (
        np.atleast_1d(np.asarray(one, dtype=np.int64))
        for one in (place, day, np.zeros(np.shape(place)) if kind is None else kind)
    )
    _check(len(array), where, when, what, days, max_radius_m, max_days, max_share, min_cases, permutations)
    reach = rings_within(array, max_radius_m)
    if len(array) * min(len(array), 1 + 3 * reach * (reach + 1)) > MAX_PAIRS:
        raise InputError(
            f"A radius of {max_radius_m:,.0f} m is {reach} rings around each of {len(array):,} cells: too many. "
            "Choose a smaller radius or a coarser resolution."
        )
    if tick:
        tick(0.0)
    age = days - 1 - when
    kinds = [(where[own], age[own]) for own in _groups(what, where, age)]
    space = Cylinders.of(array, kinds, reach, max_days, max_share, min_cases)
    shape = (len(array), max_days)
    recent = age < max_days
    values, durations = space.best(by_duration(_table(where[recent], age[recent], shape)))
    maxima = _null_maxima(space, kinds, shape, rng, permutations, workers, tick)
    found = []
    spacing = spacing_m(array)
    for level, centre in greedy(space, values, most):
        llr, length = float(values[level, centre]), int(durations[level, centre]) + 1
        members = space.disk(centre, level)
        reached = int(np.count_nonzero(maxima >= llr - _TIE))
        p, p_gumbel = (1 + reached) / (1 + permutations), gumbel_p(llr, maxima)
        steady = reached >= _SEEN_ENOUGH or math.isnan(p_gumbel)
        chance = p if steady else p_gumbel
        found.append(
            Cluster(
                cells=array[members],
                centre=int(array[centre]),
                rings=level,
                radius_m=(level + 0.5) * spacing,
                first=days - length,
                last=days - 1,
                observed=int(np.count_nonzero(np.isin(where, members) & (age < length))),
                expected=float(space.expected[level, centre, length - 1]),
                llr=llr,
                p=p,
                p_gumbel=p_gumbel,
                recurrence_days=1 / chance if chance > 0 else math.inf,
            )
        )
    return ScanResult(tuple(found), maxima, space.cases, len(array), days, reach)


def permuted(kinds: list[tuple[Ints, Ints]], shape: tuple[int, int], rng: np.random.Generator) -> Counts:
    """Cases by cell and age after the dates were dealt anew to the cases of each kind.

    Parameters
    ----------
    kinds : for each kind the positions of its cases' cells (c,), and the ages in days of the
        m ≤ c most recent ones. Only these are dealt: the other cases keep their places and
        are too old for any cylinder
    shape : cells and ages

    Returns
    -------
    (n, d) float32
    """
    drawn = [rng.choice(place, len(ages), replace=False) for place, ages in kinds]
    return _table(np.concatenate(drawn), np.concatenate([ages for _, ages in kinds]), shape)


def _null_maxima(
    space: Cylinders,
    kinds: list[tuple[Ints, Ints]],
    shape: tuple[int, int],
    rng: np.random.Generator,
    permutations: int,
    workers: int | None,
    tick: Tick | None,
) -> Floats:
    """Largest llr of each permutation, (permutations,)."""
    n, d = shape
    lately = [(place, age[age < d]) for place, age in kinds if (age < d).any()]
    if not lately:
        return np.zeros(permutations)
    each = min(max(1, _BLOCK // (n * d)), 64, permutations)
    starts = range(0, permutations, each)
    # A generator a block: which thread takes it does not matter.
    seeds = rng.integers(0, 2**63, len(starts))

    def drawn(block: int) -> Counts:
        own = np.random.default_rng(seeds[block])
        number = min(each, permutations - starts[block])
        dealt = [permuted(lately, shape, own) for _ in range(number)]
        return np.stack([by_duration(one) for one in dealt], axis=1)

    def full(stacked: Counts) -> Floats:
        whole = (space.best(np.ascontiguousarray(stacked[:, i]))[0] for i in range(stacked.shape[1]))
        return np.array([values.max(initial=0.0) for values in whole])

    pilots = min(len(starts), math.ceil(_PILOT / each))
    maxima = np.zeros(permutations)
    for block in range(pilots):
        maxima[starts[block] : starts[block] + each] = full(drawn(block))
        if tick:
            tick(0.5 * (block + 1) / len(starts))
    critical = space.critical(0.9 * float(maxima[: pilots * each].min()))

    def work(block: int) -> tuple[int, Floats]:
        stacked = drawn(block)
        best = space.maxima(stacked, critical)
        low = np.flatnonzero(best == 0)
        if len(low):
            best[low] = full(stacked[:, low])
        return block, best

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        try:
            waiting = [pool.submit(work, block) for block in range(pilots, len(starts))]
            for done, future in enumerate(as_completed(waiting), pilots + 1):
                block, best = future.result()
                maxima[starts[block] : starts[block] + len(best)] = best
                if tick:
                    tick(done / len(starts))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return maxima


def _table(place: Ints, age: Ints, shape: tuple[int, int]) -> Counts:
    """(n, d) cases by cell and age."""
    found = np.bincount(place * shape[1] + age, minlength=shape[0] * shape[1])
    return found.reshape(shape).astype(np.float32)


def _groups(kind: Ints, place: Ints, age: Ints) -> list[Ints]:
    """Positions of the cases of each kind, so ordered that their order in the input does not matter."""
    order = np.lexsort((age, place, kind))
    return np.split(order, np.flatnonzero(np.diff(kind[order])) + 1) if len(kind) else []


def _check(
    n: int,
    place: Ints,
    day: Ints,
    kind: Ints,
    days: int,
    max_radius_m: float,
    max_days: int,
    max_share: float,
    min_cases: int,
    permutations: int,
) -> None:
    """InputError that names every fault at once."""
    faults = []
    if not place.shape == day.shape == kind.shape or place.ndim != 1:
        faults.append(f"places {place.shape}, days {day.shape} and kinds {kind.shape} must be as many")
    if len(place) and not 0 <= place.min() <= place.max() < n:
        faults.append(f"places run from {place.min()} to {place.max()}, with {n} cells")
    if len(day) and not 0 <= day.min() <= day.max() < days:
        faults.append(f"days run from {day.min()} to {day.max()}, with {days} days")
    if len(place) >= 1 << 24:
        faults.append(f"{len(place):,} cases are more than a scan can hold ({(1 << 24) - 1:,})")
    if not 1 <= max_days <= days:
        faults.append(f"max_days is {max_days}; choose 1 to {days}, the days there are")
    if not max_radius_m > 0:
        faults.append(f"max_radius_m is {max_radius_m}; it must be above 0")
    if not 0 < max_share <= 1:
        faults.append(f"max_share is {max_share}; choose above 0, at most 1")
    if min_cases < 1:
        faults.append(f"min_cases is {min_cases}; choose 1 or more")
    if permutations < 1:
        faults.append(f"permutations is {permutations}; choose 1 or more (999 is usual)")
    if faults:
        raise InputError("The scan cannot be made: " + "; ".join(faults) + ".")
