"""How much one count differs from another: the ratio of two Poisson rates, with an interval.

Given both counts together, the first is binomial, so the interval for its share by Clopper
and Pearson (1934) becomes an exact one for the ratio of rates (Przyborowski and Wilenski
1940; Gart 1975). Counts of reports scatter more than Poisson (campaigns, storms, holidays);
with a dispersion φ, the variance divided by the mean (McCullagh and Nelder 1989, § 6.2),
counts are worth 1/φ of themselves and the interval is no longer exact, but honest.
Caveat: a ratio says that there are more reports, not that there is more of what they report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from geo.errors import InputError

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class RateRatio:
    """The first rate divided by the second.

    Attributes
    ----------
    ratio : nan when both counts are 0, inf when only the second is.
    low, high : ends of the two-sided interval; 0 and inf where nothing is known.
    level : of the interval.
    dispersion : φ that was reckoned with, at least 1.
    """

    ratio: float
    low: float
    high: float
    level: float
    dispersion: float

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 1, no difference."""
        return not self.low <= 1 <= self.high


def rate_ratio(
    first: float,
    second: float,
    first_exposure: float = 1.0,
    second_exposure: float = 1.0,
    *,
    dispersion: float = 1.0,
    level: float = LEVEL,
) -> RateRatio:
    """Ratio of the rates ``first / first_exposure`` and ``second / second_exposure``.

    Parameters
    ----------
    first, second : counts, at least 0.
    first_exposure, second_exposure : what they are counts in, such as days; above 0.
    dispersion : φ of ``dispersion``; values below 1 are taken as 1.
    level : share of such intervals that hold the true ratio, above 0 and below 1.

    Raises
    ------
    InputError : a count is negative, an exposure is not above 0, or the level is none.
    """
    if first < 0 or second < 0 or not first_exposure > 0 or not second_exposure > 0 or not 0 < level < 1:
        raise InputError("A ratio of rates needs counts of 0 or more, exposures above 0, a level in (0, 1).")
    scatter = max(1.0, float(dispersion))
    a, b = first / scatter, second / scatter
    scale = second_exposure / first_exposure
    tail = (1 - level) / 2
    # Share of the first count; continuous in both, so counts divided by φ need no rounding.
    low = float(beta.ppf(tail, a, b + 1)) if a > 0 else 0.0
    high = float(beta.ppf(1 - tail, a + 1, b)) if b > 0 else 1.0
    ratio = np.divide(first, second) * scale if second > 0 else (np.inf if first > 0 else np.nan)
    return RateRatio(
        float(ratio),
        low / (1 - low) * scale,
        high / (1 - high) * scale if high < 1 else float("inf"),
        level,
        scatter,
    )


def dispersion(series: Sequence[npt.ArrayLike]) -> float:
    """Variance divided by mean of counts, each series around its own mean: Pearson's X²/df.

    Parameters
    ----------
    series : arrays (t,) of counts in steps of equal length, such as weeks.

    Returns
    -------
    float : at least 1; 1 as well when there are too few steps to tell.
    """
    chi, freedom = 0.0, 0
    for counts in series:
        values = np.asarray(counts, dtype=np.float64)
        if len(values) > 1 and values.mean() > 0:
            chi += float(((values - values.mean()) ** 2).sum() / values.mean())
            freedom += len(values) - 1
    return max(1.0, chi / freedom) if freedom else 1.0
