"""Is a series rising or falling? Mann-Kendall's test and Sen's slope, for many series at once.

Mann (1945), Econometrica 13:245; Kendall (1975), Rank Correlation Methods: S counts the
pairs of steps that rise less those that fall, its variance is corrected for ties, and z
for continuity. Sen (1968), JASA 63:1379: the median of all pairwise slopes. Caveat: the
test takes steps as independent. Positive autocorrelation makes it call trends too often;
Hamed & Rao (1998), J. Hydrol. 204:182, widen the variance for it, at the price of power in
short series. With fewer than five steps no trend can be significant at 5 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from geo.errors import InputError

Floats: TypeAlias = npt.NDArray[np.float64]

_BLOCK_BYTES = 1 << 24  # of temporary arrays at a time


@dataclass(frozen=True, slots=True)
class MannKendall:
    """The test of n series; every array is (n,).

    Attributes
    ----------
    s : rising less falling pairs of steps, int64.
    variance : of s without a trend, corrected for ties (and autocorrelation, if asked).
    z : standard score of s with continuity correction; 0 for a constant series.
    p : two-sided.
    tau : s over the number of pairs (Kendall's tau-a), -1 to 1.
    """

    s: npt.NDArray[np.int64]
    variance: Floats
    z: Floats
    p: Floats
    tau: Floats

    def direction(self, level: float = 0.05) -> npt.NDArray[np.int8]:
        """1 for a significant rise, -1 for a significant fall, 0 for no discernible trend, (n,)."""
        return (np.sign(self.s) * (self.p < level)).astype(np.int8)


def mann_kendall(
    series: npt.ArrayLike, *, autocorrelated: bool = False, lag_level: float = 0.05
) -> MannKendall:
    """Mann-Kendall's test of each series.

    Parameters
    ----------
    series : (n, t) numbers without gaps, t >= 2 steps of equal length.
    autocorrelated : True widens the variance as Hamed & Rao (1998) do, from the ranks of
        the series without its Sen's slope, over all lags significant at ``lag_level``.
        Where their factor is not positive (a strongly alternating short series), the
        variance stays as it was.

    Raises
    ------
    InputError : not two-dimensional, fewer than two steps, or gaps (nan).
    """
    values = _checked(series)
    n, t = values.shape
    s = np.zeros(n, dtype=np.int64)
    ties = np.zeros(n)
    for rows in _blocks(n, 3 * 8 * t):
        # One row a step: comparing a step with all later ones then runs over whole rows of memory.
        steps = np.ascontiguousarray(values[rows].T)
        s[rows] = _score(steps)
        ties[rows] = _tied(steps)
    variance = (t * (t - 1) * (2 * t + 5) - ties) / 18
    if autocorrelated:
        variance = variance * _hamed_rao(values, lag_level)
    z = np.zeros(n)
    moves = s != 0
    z[moves] = (s[moves] - np.sign(s[moves])) / np.sqrt(variance[moves])
    return MannKendall(s, variance, z, 2 * ndtr(-np.abs(z)), s / (t * (t - 1) / 2))


def no_trend(n: int) -> MannKendall:
    """The test of n series about which nothing is known: z = 0 and p = 1."""
    return MannKendall(np.zeros(n, dtype=np.int64), np.zeros(n), np.zeros(n), np.ones(n), np.zeros(n))


def sens_slope(series: npt.ArrayLike, tick: Callable[[float], None] | None = None) -> Floats:
    """Sen's slope of each series: the median change a step, (n,), in units of the series.

    ``series`` as in ``mann_kendall``; raises the same errors. ``tick`` is told the share
    done, 0 to 1, and may raise to stop: many long series take seconds.
    """
    values = _checked(series)
    n, t = values.shape
    slopes = np.zeros(n)
    pairs = t * (t - 1) // 2
    # The middle of the sorted slopes; of an even number the mean of the two in the middle.
    middle, even = pairs // 2, pairs % 2 == 0
    blocks = _blocks(n, 4 * 8 * pairs)
    room = np.empty((blocks[0].stop if blocks else 0, pairs))
    for rows in blocks:
        if tick is not None:
            tick(rows.start / n)
        own = values[rows]
        between = room[: len(own)]
        at = 0
        for lag in range(1, t):
            part = between[:, at : at + t - lag]
            np.subtract(own[:, lag:], own[:, :-lag], out=part)
            part /= lag
            at += t - lag
        between.partition(middle, axis=1)
        upper = between[:, middle]
        slopes[rows] = (between[:, :middle].max(axis=1) + upper) / 2 if even else upper
    return slopes


def _checked(series: npt.ArrayLike) -> Floats:
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 2:
        raise InputError(f"Series stand in rows, (n, t); given was an array of shape {values.shape}.")
    if values.shape[1] < 2:
        raise InputError("A trend needs at least two steps.")
    if not np.isfinite(values).all():
        raise InputError("A trend takes finite numbers without gaps; fill or leave out missing steps first.")
    return values


def _blocks(n: int, row_bytes: int) -> list[slice]:
    size = max(1, _BLOCK_BYTES // row_bytes)
    return [slice(begin, min(begin + size, n)) for begin in range(0, n, size)]


def _score(steps: Floats) -> npt.NDArray[np.int64]:
    """S of the series in the columns of ``steps`` (t, n)."""
    score = np.zeros(steps.shape[1], dtype=np.int64)
    for i in range(len(steps) - 1):
        score += np.count_nonzero(steps[i + 1 :] > steps[i], axis=0)
        score -= np.count_nonzero(steps[i + 1 :] < steps[i], axis=0)
    return score


def _tied(steps: Floats) -> Floats:
    """Sum over groups of u equal values of u(u - 1)(2u + 5), for each column of (t, n)."""
    ordered = np.sort(steps, axis=0)
    place = np.ones(steps.shape[1])
    total = np.zeros(steps.shape[1])
    for i in range(1, len(ordered)):
        place = np.where(ordered[i] == ordered[i - 1], place + 1, 1.0)
        # What the u-th member of a group adds: f(u) - f(u - 1) = 6(u^2 - 1).
        total += 6 * (place * place - 1)
    return total


def _hamed_rao(values: Floats, level: float) -> Floats:
    """Factor of the variance for autocorrelation, (n,); 1 where the formula gives none."""
    n, t = values.shape
    factor = np.ones(n)
    if t < 3:
        return factor
    bound = ndtri(1 - level / 2) / np.sqrt(t)
    slopes = sens_slope(values)
    lags = np.arange(1, t)
    weights = (t - lags) * (t - lags - 1) * (t - lags - 2.0)
    for rows in _blocks(n, 6 * 8 * t):
        ranks = rankdata(values[rows] - slopes[rows, None] * np.arange(1, t + 1), axis=1)
        ranks -= ranks.mean(axis=1, keepdims=True)
        power = np.einsum("ij,ij->i", ranks, ranks)
        total = np.zeros(len(ranks))
        for lag, weight in zip(lags, weights, strict=True):
            product = np.einsum("ij,ij->i", ranks[:, lag:], ranks[:, :-lag])
            rho = np.divide(product, power, out=np.zeros_like(product), where=power > 0)
            total += np.where(np.abs(rho) > bound, weight * rho, 0.0)
        own = 1 + 2 / (t * (t - 1) * (t - 2)) * total
        factor[rows] = np.where(own > 0, own, 1.0)
    return factor
