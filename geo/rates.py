"""Rates of reports per exposure, steadied: a cell with three people is no hot spot.

Empirical Bayes after Clayton & Kaldor (1987), Empirical Bayes estimates of age-standardized
relative risks, Biometrics 43: reports are Poisson around rate × exposure, the rates of the
cells follow a gamma distribution, whose two parameters are fitted to all cells by marginal
maximum likelihood (started from the moments of Marshall 1991). Each cell's rate is then a
compromise between its own and the average, closer to the average the less exposure it has.
Caveats: rates are shrunk to the average of the whole area, not of the surroundings; the
interval does not know that the two parameters are estimates themselves, which matters
below some 30 cells; and an exposure of the wrong kind gives wrong rates with narrow intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betainc, digamma, gammaincc, gammaincinv, gammaln, ndtri

from geo.errors import InputError
from geo.remarks import Remark, caution, decided

Floats = npt.NDArray[np.float64]

FEW_CELLS = 30


@dataclass(frozen=True, slots=True)
class ShrunkRates:
    """Answer of ``shrunk_rates``; arrays (n,), in reports per unit of exposure.

    Attributes
    ----------
    crude : reports over exposure; nan without exposure.
    rate : mean of what the cell's rate can be, given all reports; nan without exposure.
    low, high : the interval that holds it with the chosen probability (equal tails).
    score : how unusual the cell's reports are for its exposure, on the scale of the normal
        distribution; what Gi* and Local Moran are asked about, see ``_scores``.
    overall : all reports with exposure over all exposure.
    shape, per_unit : parameters of the gamma distribution of rates, mean shape / per_unit;
        ``per_unit`` is in units of exposure: a cell with as much is half-way to the average.
    posterior_shape, posterior_exposure : (n,), of each cell's own gamma distribution.
    remarks : what was left out, and what needs care.
    """

    crude: Floats
    rate: Floats
    low: Floats
    high: Floats
    score: Floats
    overall: float
    shape: float
    per_unit: float
    posterior_shape: Floats
    posterior_exposure: Floats
    remarks: tuple[Remark, ...]

    def exceed(self, level: float) -> Floats:
        """Probability that a cell's rate is above ``level`` reports per unit, (n,); nan without exposure."""
        if not level >= 0:
            raise InputError(f"A rate of {level} cannot be exceeded: choose 0 or more.")
        return gammaincc(self.posterior_shape, level * self.posterior_exposure)


def shrunk_rates(counts: npt.ArrayLike, exposure: npt.ArrayLike, interval: float = 0.95) -> ShrunkRates:
    """Empirical Bayes rates with an interval.

    Cells without exposure (0) have no rate: they are left out of the fit, their answers
    are nan, and a remark says how many reports they hold. When the cells differ no more
    than chance makes them, the rates are nearly all the average, and a remark says so; the
    distribution of rates is then given no more weight than all the reports together have.

    Parameters
    ----------
    counts : (n,) reports, not negative.
    exposure : (n,) people, km, buildings … of each cell, 0 for none.
    interval : probability of low … high.

    Raises
    ------
    InputError : counts and exposure do not go together, one is negative or not finite, or
        the interval is not between 0 and 1.
    """
    y, e = _checked(counts, exposure)
    if not 0 < interval < 1:
        raise InputError(f"An interval of {interval} is not between 0 and 1.")
    usable = e > 0
    held, total = y[usable], float(y[usable].sum())
    overall = total / float(e[usable].sum()) if usable.any() else np.nan
    nothing = np.full(len(y), np.nan)
    without = np.count_nonzero(~usable)
    remarks: list[Remark] = []
    if without:
        remarks.append(caution("rates_without", cells=int(without), reports=int(y[~usable].sum())))
    if not total:
        remarks.append(caution("rates_nothing"))
        zeros = np.where(usable, 0.0, np.nan)
        gamma = (overall, np.nan, np.nan, nothing, nothing)
        return ShrunkRates(zeros, zeros, nothing, nothing, zeros, *gamma, tuple(remarks))
    shape, relative, alike = _fitted(held, e[usable] * overall)
    per_unit = relative / overall
    if alike:
        remarks.append(decided("rates_alike"))
    elif len(held) < FEW_CELLS:
        remarks.append(caution("rates_few", cells=len(held), least=FEW_CELLS))
    posterior_shape = np.where(usable, shape + y, np.nan)
    posterior_exposure = np.where(usable, per_unit + e, np.nan)
    tail = (1 - interval) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        crude = np.where(usable, y / e, np.nan)
    return ShrunkRates(
        crude=crude,
        rate=posterior_shape / posterior_exposure,
        low=gammaincinv(posterior_shape, tail) / posterior_exposure,
        high=gammaincinv(posterior_shape, 1 - tail) / posterior_exposure,
        score=_scores(y, e, usable, shape, per_unit),
        overall=overall,
        shape=shape,
        per_unit=per_unit,
        posterior_shape=posterior_shape,
        posterior_exposure=posterior_exposure,
        remarks=tuple(remarks),
    )


def _checked(counts: npt.ArrayLike, exposure: npt.ArrayLike) -> tuple[Floats, Floats]:
    y, e = np.asarray(counts, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
    if y.ndim != 1 or y.shape != e.shape:
        raise InputError(f"Rates need an exposure for each count: {y.shape} counts, {e.shape} exposures.")
    for name, values in (("count", y), ("exposure", e)):
        wrong = ~np.isfinite(values) | (values < 0)
        if wrong.any():
            where = int(np.flatnonzero(wrong)[0])
            raise InputError(f"The {name} of cell {where + 1} is {values[where]}: it must be 0 or more.")
    return y, e


def _scores(y: Floats, e: Floats, usable: npt.NDArray[np.bool_], shape: float, per_unit: float) -> Floats:
    """Normal scores of the counts, (n,): about 0 with deviation 1 whatever the exposure.

    Where little lives, crude rates are wild; shrunk ones vary most where much lives; tests
    that take all cells as equals are led astray by either. Dividing by the deviation of
    each (Assunção & Reis 1999) leaves the few cells with reports and hardly any exposure 50
    deviations out, and they drown the rest. So each count is read from the distribution that
    it has for its exposure (negative binomial, as fitted), in the middle of its own
    probability, and put on the normal scale: Dunn & Smyth (1996), Randomized quantile
    residuals, without the randomness.
    """
    scores = np.full(len(y), np.nan)
    count, more = y[usable], e[usable] / (per_unit + e[usable])
    with np.errstate(invalid="ignore"):
        reached = np.where(count > 0, betainc(np.maximum(count, 1), shape, more), 1.0)
        above = (reached + betainc(count + 1, shape, more)) / 2
        below = betainc(shape, count + 1, 1 - more)
        below = (below + np.where(count > 0, betainc(shape, np.maximum(count, 1), 1 - more), 0.0)) / 2
    # From the smaller tail, which keeps its digits.
    tail = np.maximum(np.minimum(above, below), 1e-300)
    scores[usable] = np.where(above < below, -ndtri(tail), ndtri(tail))
    return scores


def _fitted(y: Floats, relative: Floats) -> tuple[float, float, bool]:
    """Shape and rate parameter of the distribution of rates, and whether the cells are alike.

    ``relative`` is exposure times the overall rate. Marginally y is negative binomial:
    log L = Σ log Γ(y+α) − log Γ(α) + α log β − (α+y) log(β+e), Clayton & Kaldor (1987).
    """
    most = float(y.sum())
    # No more spread than Poisson counts have: the likelihood grows with α for ever.
    excess = float(((y - relative) ** 2 - y).sum() / (relative**2).sum())
    if excess <= 0:
        return most, most, True

    def against(logarithms: Floats) -> tuple[float, Floats]:
        mean, shape = np.exp(logarithms)
        per_unit = shape / mean
        sure, seen = np.log(per_unit), np.log(per_unit + relative)
        likelihood = gammaln(y + shape) - gammaln(shape) + shape * sure - (shape + y) * seen
        by_shape = (digamma(y + shape) - digamma(shape) + sure - seen).sum()
        by_unit = (shape / per_unit - (shape + y) / (per_unit + relative)).sum()
        slope = np.array([-per_unit * by_unit, shape * by_shape + per_unit * by_unit])
        return -float(likelihood.sum()), -slope

    # Per cell, so that the stopping rule does not depend on their number.
    cells = len(y)
    start = [0.0, float(np.clip(np.log(1 / excess), -8, max(np.log(most), -7)))]
    found = minimize(
        lambda x: tuple(part / cells for part in against(x)),
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-8, 8), (-9, max(np.log(most), -8))],
        options={"ftol": 1e-13, "gtol": 1e-8},
    )
    mean, shape = np.exp(found.x)
    return float(shape), float(shape / mean), False
