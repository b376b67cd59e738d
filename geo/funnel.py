"""What differs and what is chance: funnel limits, and shares drawn towards their average.

A share from few reports swings far. The funnel (Spiegelhalter 2005, Funnel plots for
comparing institutional performance, Stat. Med. 24, 1185-1202) says how far chance alone
takes it: exact binomial limits, continuous between whole numbers. Rows differ from each
other anyway, for reasons that are nobody's fault; such spread is measured (additive, after
DerSimonian & Laird 1986, on scores winsorised as in Spiegelhalter 2005, Qual. Saf. Health
Care 14, 347-351) and widens the limits: n counts as 1 / (1/n + spread). Empirical Bayes
(beta-binomial, fitted by marginal maximum likelihood; rates: ``geo.rates``) gives each row
the share that it most plausibly has. Caveat: a row outside the funnel is a question, not
an answer; and with fewer than ten rows the spread between them is hardly known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betainc, betaincinv, betaln, digamma, expit, gammainc, gammaincc, logit

from geo.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kind = Literal["share", "rate"]

FEW_ROWS = 10
ALARM = 0.998  # three standard deviations
_WINSORISED = 0.1  # of the scores at each end
_HALVINGS = 50


@dataclass(frozen=True, slots=True)
class Spread:
    """What rows are compared with.

    Attributes
    ----------
    kind : ``share`` of a base of trials, or ``rate`` per unit of a base.
    overall : of all rows together.
    spread : of the rows beyond chance, in units of 1 / base; 0 where there is none to be seen.
    rows : with a base above 0.
    """

    kind: Kind
    overall: float
    spread: float
    rows: int

    def effective(self, base: npt.ArrayLike) -> Floats:
        """What a base (n,) is worth once rows differ beyond chance, (n,)."""
        size = np.asarray(base, dtype=np.float64)
        out: Floats = size / (1 + size * self.spread)
        return out


def spread(count: npt.ArrayLike, base: npt.ArrayLike, kind: Kind = "share") -> Spread:
    """Overall share or rate, and how much the rows differ beyond chance.

    Parameters
    ----------
    count : (n,) successes of ``base`` trials, or events in ``base`` units.
    base : (n,); rows without any say nothing.

    Raises
    ------
    InputError : a count is negative or above its trials, or arrays differ in length.
    """
    hits, size = _checked(count, base, kind)
    use = size > 0
    hits, size = hits[use], size[use]
    if not len(size):
        return Spread(kind, float("nan"), 0.0, 0)
    overall = float(hits.sum() / size.sum())
    unit = overall * (1 - overall) if kind == "share" else overall
    if len(size) < 2 or unit <= 0:
        return Spread(kind, overall, 0.0, len(size))
    scores = (hits / size - overall) * np.sqrt(size / unit)
    ends = np.quantile(scores, [_WINSORISED, 1 - _WINSORISED])
    excess = float((np.clip(scores, *ends) ** 2).sum()) - (len(size) - 1)
    weight = size.sum() - (size**2).sum() / size.sum()
    return Spread(kind, overall, max(0.0, excess / float(weight)), len(size))


def position(
    count: npt.ArrayLike, base: npt.ArrayLike, against: Spread, level: float = ALARM
) -> npt.NDArray[np.int8]:
    """Where each row lies, (n,): -1 below the funnel, 1 above it, 0 inside or without a base.

    It lies outside where ``limits`` at its base leaves it out: chance alone takes a row
    beyond either end with (1 - level) / 2.
    """
    hits, size = _checked(count, base, against.kind)
    out = np.zeros(len(size), dtype=np.int8)
    use = (size > 0) & np.isfinite(against.overall)
    worth = against.effective(size[use])
    seen = hits[use] / size[use] * worth
    tail = (1 - level) / 2
    # No more than chance allows with an overall of 0 or 1: then every row is the same.
    low = _below(seen, worth, against) < tail
    high = _above(seen, worth, against) < tail
    out[use] = high.astype(np.int8) - low.astype(np.int8)
    return out


def limits(base: npt.ArrayLike, against: Spread, level: float = ALARM) -> tuple[Floats, Floats]:
    """Lower and upper limit of the share or rate at each base (n,), for drawing the funnel.

    Raises
    ------
    InputError : a base is not above 0, or no such level.
    """
    size = np.asarray(base, dtype=np.float64)
    if not (size > 0).all() or not 0 < level < 1:
        raise InputError("A funnel is drawn at bases above 0, for a level between 0 and 1.")
    worth, tail = against.effective(size), (1 - level) / 2
    # Counts beyond this are beyond every level: both tails fall faster than a normal one.
    expected = worth * against.overall
    most = worth if against.kind == "share" else expected + 60 * np.sqrt(expected) + 200
    low = _found(most, lambda seen: _below(seen, worth, against) >= tail)
    high = _found(most, lambda seen: _above(seen, worth, against) < tail)
    return low / worth, high / worth


def _found(most: Floats, reached: Callable[[Floats], npt.NDArray[np.bool_]]) -> Floats:
    """The smallest count from 0 to ``most`` for which the monotone ``reached`` holds, (n,)."""
    low, high = np.zeros_like(most), most.copy()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        there = reached(middle)
        high = np.where(there, middle, high)
        low = np.where(there, low, middle)
    return high


def _below(seen: Floats, worth: Floats, against: Spread) -> Floats:
    """Chance of so few or fewer, continuous in both; equals the exact one at whole numbers."""
    p = min(max(against.overall, 0.0), 1.0) if against.kind == "share" else against.overall
    if against.kind == "rate":
        return np.asarray(gammaincc(seen + 1, worth * p))
    left = np.maximum(worth - seen, 0)
    return np.where(left > 0, betainc(np.maximum(left, 1e-12), seen + 1, 1 - p), 1.0)


def _above(seen: Floats, worth: Floats, against: Spread) -> Floats:
    """Chance of so many or more, likewise."""
    p = min(max(against.overall, 0.0), 1.0) if against.kind == "share" else against.overall
    some = np.maximum(seen, 1e-12)
    if against.kind == "rate":
        return np.where(seen > 0, gammainc(some, worth * p), 1.0)
    left = np.maximum(worth - seen, 0)
    return np.where(seen > 0, betainc(some, left + 1, p), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class ShrunkShares:
    """Answer of ``shrunk_shares``; arrays (n,).

    Attributes
    ----------
    share : mean of what the row's share can be, given all rows; nan without trials.
    low, high : ends of the interval that holds it (equal tails).
    overall : mean of the fitted distribution of shares. weight : trials that it is worth.
    """

    share: Floats
    low: Floats
    high: Floats
    overall: float
    weight: float


def shrunk_shares(count: npt.ArrayLike, base: npt.ArrayLike, level: float = 0.95) -> ShrunkShares:
    """Shares drawn towards their average, the more the fewer trials stand behind them.

    Successes are binomial, the shares of the rows beta with mean m and weight w (Griffin &
    Krutchkoff 1971). Where rows differ no more than chance makes them, w is as large as all
    trials together, and the shares are nearly all the average.

    Raises
    ------
    InputError : a count is negative or above its trials, arrays differ in length, no such level.
    """
    hits, size = _checked(count, base, "share")
    if not 0 < level < 1:
        raise InputError(f"A level of confidence lies between 0 and 1, not at {level:g}.")
    use = size > 0
    nothing = np.full(len(size), np.nan)
    if not use.any():
        return ShrunkShares(nothing, nothing, nothing, float("nan"), float("nan"))
    mean, weight = _fitted(hits[use], size[use])
    a, b = mean * weight + hits, (1 - mean) * weight + size - hits
    share, low, high = nothing.copy(), nothing.copy(), nothing.copy()
    tail = (1 - level) / 2
    share[use] = (a / (a + b))[use]
    low[use], high[use] = betaincinv(a[use], b[use], tail), betaincinv(a[use], b[use], 1 - tail)
    return ShrunkShares(share, low, high, mean, weight)


def _fitted(hits: Floats, size: Floats) -> tuple[float, float]:
    """Mean and weight of the beta distribution of shares by marginal maximum likelihood."""
    total = float(size.sum())
    crude = float(hits.sum()) / total
    # All or none: half a trial keeps the mean inside, as in Jeffreys' prior.
    mean = float(np.clip(crude, 0.5 / (total + 1), (total + 0.5) / (total + 1)))
    if len(size) < 2 or not 0 < crude < 1:
        return mean, total
    left = size - hits

    def against(place: Floats) -> tuple[float, Floats]:
        m, w = float(expit(place[0])), float(np.exp(place[1]))
        a, b = m * w, (1 - m) * w
        likelihood = float((betaln(a + hits, b + left) - betaln(a, b)).sum())
        both = digamma(a + b) - digamma(a + b + size)
        by_a = float((digamma(a + hits) - digamma(a) + both).sum())
        by_b = float((digamma(b + left) - digamma(b) + both).sum())
        slope = np.array([(by_a - by_b) * w * m * (1 - m), by_a * a + by_b * b])
        return -likelihood / len(size), -slope / len(size)

    most = np.log(max(total, 2.0))
    found = minimize(
        against,
        [float(logit(mean)), float(np.clip(np.log(np.median(size)), np.log(0.5), most))],
        jac=True,
        method="L-BFGS-B",
        bounds=[(-16, 16), (np.log(0.1), most)],
        options={"ftol": 1e-13, "gtol": 1e-9},
    )
    return float(expit(found.x[0])), float(np.exp(found.x[1]))


def ranks(value: npt.ArrayLike, differs: npt.ArrayLike, better: int) -> Ints:
    """Places (n,), 1 the best; rows that do not differ from the whole share one place.

    Parameters
    ----------
    value : (n,) what is ranked by, best shrunken; nan rows get place 0, for none.
    differs : (n,) -1 surely below the whole, 1 surely above, 0 not told apart from it.
    better : 1 where high is good, -1 where low is.
    """
    values, side = np.asarray(value, dtype=np.float64), np.asarray(differs, dtype=np.int64) * better
    out = np.zeros(len(values), dtype=np.int64)
    there = np.flatnonzero(~np.isnan(values))
    good = -better * values[there]
    # Best first: those that surely do better, then the middle as one, then the others.
    tier = -side[there]
    key = np.where(tier == 0, 0.0, good)
    order = np.lexsort((key, tier))
    before = np.r_[True, (np.diff(tier[order]) != 0) | (np.diff(key[order]) != 0)][: len(order)]
    place = np.maximum.accumulate(np.where(before, np.arange(1, len(order) + 1), 0))
    out[there[order]] = place
    return out


def _checked(count: npt.ArrayLike, base: npt.ArrayLike, kind: Kind) -> tuple[Floats, Floats]:
    hits, size = np.asarray(count, dtype=np.float64), np.asarray(base, dtype=np.float64)
    if hits.ndim != 1 or hits.shape != size.shape:
        raise InputError(f"A share needs its base: {hits.shape} counts, {size.shape} bases.")
    if not (np.isfinite(hits) & np.isfinite(size) & (hits >= 0) & (size >= 0)).all():
        raise InputError("Counts and bases of shares and rates are finite and not negative.")
    if kind == "share" and (hits > size).any():
        raise InputError("There cannot be more successes than trials.")
    return hits, size
