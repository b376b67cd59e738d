"""Did the recording change? Level shifts of a series that come on from one step to the next.

A new channel, a migration or a month half loaded looks like growth on a map of trends. The
test: is there an interval of steps whose level differs from what a straight trend (and the
yearly wave, if known) leads to expect? That is circular binary segmentation (Levin & Kline
1985, Statistics in Medicine 4:469; Olshen et al. 2004, Biostatistics 5:557) on
variance-stabilised counts, so that an interval may lie inside (a dip) or run to the end (a
level shift). The chance of the largest statistic is taken from simulated series with the
same trend and the same autocorrelation (AR(1)), its tail from a Gumbel distribution.
Caveat: a holiday or a lockdown is a level shift too; only its occurring everywhere at
once, which ``same_direction`` counts, sets it apart from what happens in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from geo.errors import InputError

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Nulls: TypeAlias = Callable[[float], "Null"]

FEWEST_STEPS = 12
MOST_SHIFTS = 5  # of one series
LEAST_CHANGE = 0.1  # of the level beside it; a smaller shift misleads nobody
MEMORIES = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9)  # autocorrelations for which there is a null
_SIZE = 25.0  # of the negative binomial: weeks of one city vary by a fifth beyond chance
_EULER = 0.5772156649015329  # mean of a standard Gumbel distribution
_ROOM = 1 << 22  # numbers held at a time while simulating


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """An interval of steps in which a series stood at another level.

    Attributes
    ----------
    begin, end : first step and the one after the last; ``end`` equal to the number of steps
        means that the new level still holds.
    inside, beside : (t,) bool, the steps that are compared: see ``compared``.
    level, expected : count per unit of exposure inside and beside.
    p : chance of so large a shift anywhere in a series without any.
    """

    begin: int
    end: int
    inside: Bools
    beside: Bools
    level: float
    expected: float
    p: float


@dataclass(frozen=True, slots=True)
class Null:
    """What ``level_shifts`` sees in series without a shift: simulated, with a Gumbel tail.

    Attributes
    ----------
    maxima : (s,) largest statistic of each series, ascending.
    memory : the autocorrelation that a quarter of these series seem to stay below, once
        trend and best interval are taken out.
    """

    maxima: Floats
    memory: float

    def p(self, statistic: float) -> float:
        """Chance of a statistic at least as large.

        Counted while at least ten simulated ones are as large; beyond from a Gumbel
        distribution with the simulated mean and variance (Abrams et al. 2010, Int. J.
        Health Geogr. 9:61).
        """
        as_large = len(self.maxima) - int(np.searchsorted(self.maxima, statistic))
        counted = (1 + as_large) / (1 + len(self.maxima))
        if as_large >= 10:
            return counted
        scale = float(self.maxima.std(ddof=1)) * np.sqrt(6) / np.pi
        place = float(self.maxima.mean()) - _EULER * scale
        return float(min(counted, -np.expm1(-np.exp(-(statistic - place) / scale))))


def simulated_null(
    steps: int,
    memory: float,
    rng: np.random.Generator,
    *,
    slow: float,
    shortest: int = 2,
    simulations: int = 499,
) -> Null:
    """``level_shifts`` of Gaussian AR(1) series without a shift, all steps of one weight.

    Parameters
    ----------
    steps : of the series.
    memory : correlation of a step with the next, 0 to below 1.
    slow, shortest : as in ``level_shifts``.
    """
    weight = np.ones(steps)
    basis = _basis(_design(steps, slow), weight)
    noise = rng.standard_normal((simulations, steps))
    for i in range(1, steps):
        noise[:, i] = memory * noise[:, i - 1] + np.sqrt(1 - memory**2) * noise[:, i]
    begins, ends = _intervals(steps, shortest, slow)
    spread = _spread(basis, weight, begins, ends)
    left = noise - (noise @ basis) @ basis.T
    sums = np.concatenate([np.zeros((simulations, 1)), np.cumsum(left, axis=1)], axis=1)
    top, best = np.zeros(simulations), np.zeros(simulations, dtype=np.int64)
    block = max(1, _ROOM // simulations)
    for at in range(0, len(begins), block):
        part = slice(at, at + block)
        gained = (sums[:, ends[part]] - sums[:, begins[part]]) ** 2 / spread[part]
        own = gained.argmax(axis=1)
        height = gained[np.arange(simulations), own]
        best = np.where(height > top, own + at, best)
        top = np.maximum(top, height)
    where = np.arange(steps)
    inside = ((where >= begins[best, None]) & (where < ends[best, None])).astype(np.float64)
    inside -= (inside @ basis) @ basis.T
    after = left - inside * (np.einsum("ij,ij->i", left, inside) / spread[best])[:, None]
    power = np.einsum("ij,ij->i", after, after)
    seeming = np.einsum("ij,ij->i", after[:, 1:], after[:, :-1]) / power
    free = steps - basis.shape[1] - 1
    return Null(np.sort(top / power * free), float(np.quantile(seeming, 0.25)))


def level_shifts(
    counts: npt.ArrayLike,
    exposure: npt.ArrayLike,
    nulls: Nulls,
    *,
    slow: float,
    shortest: int = 2,
    level: float = 0.05,
    share: bool = False,
) -> tuple[Shift, ...]:
    """Level shifts of one series, the clearest first.

    After a shift is found it is taken into account and the search goes on, until none is
    significant. In a series without a shift, the chance of any answer is ``level``. Shifts
    of less than LEAST_CHANGE are left out.

    Parameters
    ----------
    counts : (t,) of each step, t >= FEWEST_STEPS (fewer give no answer).
    exposure : (t,) days of each step, or for ``share`` the reports of all kinds.
    nulls : gives the null for each autocorrelation of MEMORIES (``simulated_null`` with the
        same ``slow`` and ``shortest``); it may remember them.
    slow : steps of the shortest wave that counts as season or trend and not as a shift;
        half a year. No interval inside the series is longer.
    shortest : steps of the shortest interval.
    share : True when the counts are a part of the exposure (arcsine scale, weighted by the
        exposure), False for counts in a time (square-root scale).

    Raises
    ------
    InputError : shapes do not fit, negative numbers, or a part larger than its whole.
    """
    seen, base = _checked(counts, exposure, share)
    steps = len(seen)
    usable = base > 0
    if np.count_nonzero(usable) < FEWEST_STEPS or not seen.any():
        return ()
    rate = np.where(usable, seen / np.where(usable, base, 1.0), 0.0)
    mean = float(base[usable].mean())
    height = _stable(rate, share, mean)
    weight = np.sqrt(base / mean)
    columns = _design(steps, slow)
    begins, ends = _intervals(steps, shortest, slow)
    found: list[tuple[int, int, float]] = []
    while len(found) < MOST_SHIFTS and (free := steps - columns.shape[1] - 1) > 2 and len(begins):
        basis = _basis(columns, weight)
        left = height * weight
        left = left - basis @ (basis.T @ left)
        spread = _spread(basis, weight, begins, ends)
        sums = np.concatenate(([0.0], np.cumsum(left * weight)))
        gained = (sums[ends] - sums[begins]) ** 2 / spread
        best = int(np.argmax(gained))
        # A perfect step in a series without noise leaves nothing over.
        noise = max(float(left @ left) - gained[best], 1e-12 * float((height * weight) @ (height * weight)))
        statistic = float(gained[best] / noise * free)
        best = _simplest(begins, ends, gained, best, noise / free)
        inside = np.zeros(steps)
        inside[begins[best] : ends[best]] = 1.0
        wider = np.column_stack([columns, inside])
        factors = np.linalg.lstsq(wider * weight[:, None], height * weight, rcond=None)[0]
        after = (height - wider @ factors) * weight
        power = max(float(after @ after), noise)
        p = _null_for(float(after[1:] @ after[:-1]) / power, nulls).p(statistic)
        # A first shift makes no second one likelier: it has to be clearer.
        if p > level / (1 + len(found)):
            break
        found.append((int(begins[best]), int(ends[best]), p))
        columns = wider
    made = [_shift(seen, base, begin, end, p, found) for begin, end, p in found]
    return tuple(shift for shift in made if abs(shift.level - shift.expected) > LEAST_CHANGE * shift.expected)


def compared(begin: int, end: int, steps: int) -> tuple[Bools, Bools]:
    """The steps of a shift and those beside it with which they are compared, (t,) each.

    Close to its edges only, so that trend and season do not count: a lasting shift by its
    first six steps; up to six steps before it and, when it ended, as many after it.
    """
    wide = min(6, max(2, end - begin))
    at = np.arange(steps)
    inside = (at >= begin) & (at < (end if end < steps else begin + wide))
    beside = (at >= begin - wide) & (at < begin)
    if end < steps:
        beside |= (at >= end) & (at < end + wide)
    return inside, beside


def _simplest(
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    gained: Floats,
    best: int,
    noise: float,
) -> int:
    """The best interval, or one that runs from one of its edges to the end and fits about as well.

    After a lasting shift the series is higher, and before it lower, than its smooth course:
    both intervals say the same. A second edge has to be worth 2 log t, as in Schwarz's
    criterion (Yao 1988, Statistics & Probability Letters 6:181).
    """
    lasting = ends == ends.max()
    for edge in (begins[best], ends[best]):
        at = np.flatnonzero(lasting & (begins == edge))
        if len(at) and gained[at[0]] >= gained[best] - 2 * np.log(ends.max()) * noise:
            return int(at[0])
    return best


def _null_for(seeming: float, nulls: Nulls) -> Null:
    """The null of the strongest autocorrelation that would often seem as weak as this one."""
    chosen = nulls(MEMORIES[0])
    for memory in MEMORIES[1:]:
        stronger = nulls(memory)
        if stronger.memory > seeming:
            break
        chosen = stronger
    return chosen


def same_direction(
    counts: npt.ArrayLike, exposure: npt.ArrayLike, shift: Shift, *, fewest: float = 5.0
) -> tuple[int, int]:
    """In how many areas a shift went the same way: (areas, of how many that can tell).

    An area compares the same steps as ``Shift.level`` and ``Shift.expected`` do.

    Parameters
    ----------
    counts, exposure : (a, t) by area and step.
    fewest : an area can tell when at least so many are expected in the steps compared.
    """
    seen, base = np.asarray(counts, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
    inside, beside = shift.inside, shift.beside
    total = seen[:, beside | inside].sum(axis=1)
    whole = base[:, beside | inside].sum(axis=1)
    expected = np.divide(
        total * base[:, inside].sum(axis=1), whole, out=np.zeros_like(whole), where=whole > 0
    )
    difference = seen[:, inside].sum(axis=1) - expected
    # What is expected on both sides says whether an area is large enough to tell.
    tells = np.minimum(expected, total - expected) >= fewest
    way = np.sign(shift.level - shift.expected)
    return int(np.count_nonzero(tells & (np.sign(difference) == way))), int(np.count_nonzero(tells))


def everywhere(same: int, areas: int, *, share: float = 0.8, level: float = 0.05) -> bool:
    """Whether a shift went the same way nearly everywhere: a sign test, and ``share`` of the areas."""
    return areas > 0 and same >= share * areas and float(binom.sf(same - 1, areas, 0.5)) <= level


def recurs(
    counts: npt.ArrayLike, exposure: npt.ArrayLike, shift: Shift, *, year: int, about: int = 3
) -> bool:
    """Whether a shift comes back: at least half as large, the same way, in another year.

    Season and moving holidays do; a change of the recording does not.

    Parameters
    ----------
    counts, exposure : (t,) as for ``level_shifts``.
    year : steps in a year.
    about : a year earlier or later, give or take so many steps.
    """
    seen, base = np.asarray(counts, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
    steps = len(seen)

    def size(begin: int, end: int) -> float:
        inside, beside = compared(begin, end, steps)
        levels = [(float(seen[m].sum()) + 0.5) / max(float(base[m].sum()), 1e-300) for m in (inside, beside)]
        return float(np.log(levels[0] / levels[1]))

    own = size(shift.begin, shift.end)
    lasts = shift.end == steps
    length = min(6, steps - shift.begin) if lasts else shift.end - shift.begin
    wide = min(6, max(2, length))
    for turn in range(-(steps // year), steps // year + 1):
        for off in range(-about, about + 1) if turn else ():
            begin = shift.begin + turn * year + off
            end = begin + length
            # Room for what it is compared with: before it, and behind it when it ended.
            if begin < wide or end + (0 if lasts else wide) > steps:
                continue
            other = size(begin, steps if lasts else end)
            if other * np.sign(own) >= abs(own) / 2:
                return True
    return False


# ---- parts ----


def _checked(counts: npt.ArrayLike, exposure: npt.ArrayLike, share: bool) -> tuple[Floats, Floats]:
    seen, base = np.asarray(counts, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
    if seen.ndim != 1 or seen.shape != base.shape:
        raise InputError(f"Counts {seen.shape} and exposure {base.shape} are both (t,).")
    if not (np.isfinite(seen).all() and np.isfinite(base).all()) or (seen < 0).any() or (base < 0).any():
        raise InputError("Counts and exposure are finite and not negative.")
    if share and (seen > base).any():
        raise InputError("A part is larger than its whole.")
    return seen, base


def _stable(rate: Floats, share: bool, mean: float) -> Floats:
    """Rates on a scale on which their noise does not grow with their level (Anscombe 1948).

    Shares: arcsine. Counts in a step of mean exposure: the scale of a negative binomial
    count, a square root for few and a logarithm for many.
    """
    if share:
        return np.arcsin(np.sqrt(np.minimum(rate, 1.0)))
    return np.arcsinh(np.sqrt(rate * mean / _SIZE))


def _shift(
    seen: Floats, base: Floats, begin: int, end: int, p: float, found: list[tuple[int, int, float]]
) -> Shift:
    """A shift with its levels; steps that belong to another one that ended are not compared."""
    inside, beside = compared(begin, end, len(seen))
    others = np.zeros(len(seen), dtype=bool)
    for low, high, _ in found:
        if (low, high) != (begin, end) and high < len(seen):
            others[low:high] = True
    if (inside & ~others).any() and (beside & ~others).any():
        inside, beside = inside & ~others, beside & ~others
    return Shift(begin, end, inside, beside, _rate(seen, base, inside), _rate(seen, base, beside), p)


def _rate(seen: Floats, base: Floats, steps: npt.NDArray[np.bool_]) -> float:
    total = float(base[steps].sum())
    return float(seen[steps].sum()) / total if total else 0.0


def _design(steps: int, slow: float) -> Floats:
    """Columns of what is no shift: level, straight trend, cosines no shorter than ``slow``."""
    at = (np.arange(steps) + 0.5) / steps
    waves = [np.cos(np.pi * k * at) for k in range(1, int(2 * steps / slow) + 1)]
    return np.column_stack([np.ones(steps), at - 0.5, *waves])


def _basis(columns: Floats, weight: Floats) -> Floats:
    return np.asarray(np.linalg.qr(columns * weight[:, None])[0])


def _intervals(steps: int, shortest: int, slow: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Begins and ends of the intervals that are looked at."""
    begins, ends = np.triu_indices(steps + 1, shortest)
    # Close to the ends an interval and a bend of the trend cannot be told apart.
    inner = (ends <= steps - shortest) & (ends - begins <= slow)
    keep = (begins >= 2 * shortest) & (inner | (ends == steps))
    return begins[keep], ends[keep]


def _spread(
    basis: Floats, weight: Floats, begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> Floats:
    """Squared length of each interval's indicator once the design is taken out of it."""
    own = np.concatenate(([0.0], np.cumsum(weight**2)))
    along = np.concatenate([np.zeros((1, basis.shape[1])), np.cumsum(basis * weight[:, None], axis=0)])
    left = own[ends] - own[begins] - ((along[ends] - along[begins]) ** 2).sum(axis=1)
    return np.where(left > 1e-9 * own[-1], left, np.inf)
