"""How readily a place reports: the rate of further reports after the first of an incident.

How long a thing lay there before anybody reported it is never seen. But once it is
reported, others go on reporting it at the same rate until it is gone: the number of
further reports in a bounded time after the first is Poisson with that rate times the time
(Liu, Bhandaram & Garg 2023, "Quantifying spatial under-reporting disparities in resident
crowdsourcing"). Rate = rate of the kind × readiness of the area; both are shrunk towards
their mean by gamma priors (Clayton & Kaldor 1987), intervals are widened for
over-dispersion. Caveat: it tells how fast things that can be reported are reported, and
assumes that a first report discourages nobody and that the end of each thing is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from scipy.stats import gamma

from geo.errors import InputError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEAST_FURTHER = 20  # further reports below which nothing can be told
_SPREADS = (0.02, 5.0)  # of the standard deviation of a prior with mean 1
_ROUNDS = 500


@dataclass(frozen=True, slots=True)
class Readiness:
    """Rates of reporting by area and kind.

    Attributes
    ----------
    kind_rates : (k,) reports per day of a thing of the kind, in an average area.
    readiness : (a,) factor of the area, around 1; ``low`` and ``high`` : its interval.
    weight : (a,) share of the area's own reports in its estimate; the rest is the mean of all.
    rate : reports per day of an average thing in an average area (kinds as they occur).
    spread : standard deviation of the areas' readiness, as estimated.
    dispersion : variance of the counts over that of Poisson, at least 1.
    """

    kind_rates: Floats
    readiness: Floats
    low: Floats
    high: Floats
    weight: Floats
    rate: float
    spread: float
    dispersion: float


def readiness(
    area: npt.ArrayLike,
    kind: npt.ArrayLike,
    further: npt.ArrayLike,
    days: npt.ArrayLike,
    *,
    areas: int,
    kinds: int,
    level: float = 0.95,
) -> Readiness:
    """Fit the rates of reporting.

    Parameters
    ----------
    area, kind : (n,) integers from 0 to ``areas`` - 1 and ``kinds`` - 1, one pair an incident
    further : (n,) reports after the first within ``days`` (n,) of observation after it
    level : of the intervals

    Raises
    ------
    InputError : the arrays differ in length, days are negative, or there are fewer than
        ``LEAST_FURTHER`` further reports in all.

    Notes
    -----
    Expectation and maximisation in turn: mean readiness given the kinds' rates, then these
    given it. The spread of each prior maximises the marginal (negative binomial)
    likelihood times itself, which keeps it from falling to zero where there are few areas
    (Chung, Rabe-Hesketh, Dorie, Gelman & Liu 2013). Intervals are those of the gamma
    posterior with counts divided by the dispersion (quasi-likelihood); that the kinds'
    rates are estimated too is left out of them.
    """
    counts, exposure = _sums(area, kind, further, days, areas, kinds)
    total = counts.sum()
    if total < LEAST_FURTHER or exposure.sum() <= 0:
        raise InputError(
            f"{total:,.0f} further reports are too few to tell how readily places report: "
            f"{LEAST_FURTHER} at least."
        )
    rates = np.full(kinds, total / exposure.sum())
    ready = np.ones(areas)
    dispersion = spread = 1.0
    for _ in range(_ROUNDS):
        expected = exposure @ rates
        spread = _spread(counts.sum(axis=1) / dispersion, expected / dispersion)
        shape = spread**-2
        before = ready
        ready = (shape + counts.sum(axis=1) / dispersion) / (shape + expected / dispersion)
        # Only the product is known: the mean over all expected reports is 1.
        ready = ready * expected.sum() / (ready @ expected)
        rates = _kind_rates(counts.sum(axis=0), ready @ exposure, dispersion)
        fitted = exposure * rates * ready[:, None]
        new = _dispersion(counts, fitted)
        done = np.abs(ready / before - 1).max() < 1e-9 and abs(new - dispersion) < 1e-6
        dispersion = new
        if done:
            break
    expected = exposure @ rates
    shape = spread**-2
    own = expected / dispersion
    posterior = gamma(shape + counts.sum(axis=1) / dispersion, scale=1 / (shape + own))
    scale = ready / posterior.mean()
    share = np.bincount(np.asarray(kind, dtype=np.int64), minlength=kinds) / max(len(np.asarray(kind)), 1)
    return Readiness(
        kind_rates=rates,
        readiness=ready,
        low=posterior.ppf((1 - level) / 2) * scale,
        high=posterior.ppf((1 + level) / 2) * scale,
        weight=own / (shape + own),
        rate=float(share @ rates),
        spread=spread,
        dispersion=dispersion,
    )


def chance_reported(rate: npt.ArrayLike, days: npt.ArrayLike) -> Floats:
    """Probability of at least one report within ``days`` at ``rate`` a day: 1 - exp(-rate · days)."""
    return -np.expm1(-np.asarray(rate, dtype=np.float64) * np.asarray(days, dtype=np.float64))


def factors(rate: npt.ArrayLike, days: npt.ArrayLike, most: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Things for each that was reported, 1 / P(at least one report), and where ``most`` caps it.

    Beyond a factor of some ten the correction rests on the assumed lifetime ``days`` and
    hardly on the reports: it cannot be identified, and is cut there.

    Returns
    -------
    factor, capped : of the broadcast shape of ``rate`` and ``days``
    """
    if most < 1:
        raise InputError(f"A correction is at least 1, not {most:g}.")
    chance = chance_reported(rate, days)
    capped = chance * most < 1
    return np.where(capped, most, 1 / np.where(capped, 1.0, chance)), capped


def _sums(
    area: npt.ArrayLike,
    kind: npt.ArrayLike,
    further: npt.ArrayLike,
    days: npt.ArrayLike,
    areas: int,
    kinds: int,
) -> tuple[Floats, Floats]:
    """Further reports and days of observation by area and kind, (areas, kinds) each."""
    a, k = np.asarray(area, dtype=np.int64), np.asarray(kind, dtype=np.int64)
    many, long = np.asarray(further, dtype=np.float64), np.asarray(days, dtype=np.float64)
    if not len(a) == len(k) == len(many) == len(long):
        raise InputError("Areas, kinds, further reports and days must be of one length.")
    if len(long) and not (np.isfinite(long).all() and (long >= 0).all()):
        raise InputError("The days of observation must be numbers of at least 0.")
    both = a * kinds + k
    counts = np.bincount(both, weights=many, minlength=areas * kinds).reshape(areas, kinds)
    exposure = np.bincount(both, weights=long, minlength=areas * kinds).reshape(areas, kinds)
    return counts.astype(np.float64), exposure.astype(np.float64)


def _kind_rates(counts: Floats, exposure: Floats, dispersion: float) -> Floats:
    """Rates of the kinds, shrunk towards the rate of all together."""
    mean = counts.sum() / exposure.sum()
    expected = exposure * mean
    if len(counts) == 1:
        return counts / exposure
    shape = _spread(counts / dispersion, expected / dispersion) ** -2
    return mean * (shape + counts / dispersion) / (shape + expected / dispersion)


def _spread(counts: Floats, expected: Floats) -> float:
    """Standard deviation of a gamma prior with mean 1, from counts and what 1 would give."""
    seen = expected > 0

    def cost(log_spread: float) -> float:
        shape = np.exp(-2 * log_spread)
        likelihood = (
            gammaln(shape + counts[seen])
            - gammaln(shape)
            + shape * np.log(shape)
            - (shape + counts[seen]) * np.log(shape + expected[seen])
            + counts[seen] * np.log(expected[seen])
        )
        return -float(likelihood.sum()) - log_spread

    found = minimize_scalar(cost, bounds=tuple(np.log(_SPREADS)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _dispersion(counts: Floats, fitted: Floats) -> float:
    """Variance over mean of what the fit leaves, at least 1."""
    seen = fitted > 0
    free = np.count_nonzero(seen) - sum(counts.shape)
    if free <= 0:
        return 1.0
    left = ((counts - fitted)[seen] ** 2).sum() / fitted[seen].sum()
    return max(1.0, float(left * np.count_nonzero(seen) / free))
