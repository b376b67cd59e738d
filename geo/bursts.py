"""Days on which a place was flooded with reports of one kind, against its own habits.

A count of one place, kind and day is compared with what the place's other days lead to
expect: a negative binomial, whose mean is the place's own rate of that kind (drawn towards
the average, as a place with no other report has no rate) and whose spread is that of all
days (reports of one kind come in clumps). The false discovery rate of Benjamini & Hochberg
(1995) is kept over all places, kinds and days, empty ones included.
Caveat: a flood is not a fault; an inspector's sweep and a burst pipe are floods too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import nbinom

from geo.errors import InputError

LEAST = 10  # reports on one day; fewer distort nothing
LEVEL = 0.01
_CLUMPIEST = 20.0  # of E[n(n - 1)] against chance: more is no habit


@dataclass(frozen=True, slots=True)
class Bursts:
    """The flooded days, most reports first; arrays (m,).

    Attributes
    ----------
    groups : place and kind, as given.
    days : as given.
    counts : reports of the group on that day.
    usual : reports of the group to be expected on a day.
    q : chance after FDR.
    """

    groups: npt.NDArray[np.int64]
    days: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    usual: npt.NDArray[np.float64]
    q: npt.NDArray[np.float64]


def bursts(
    groups: npt.ArrayLike, days: npt.ArrayLike, length: int, *, least: int = LEAST, level: float = LEVEL
) -> Bursts:
    """Groups and days with far more reports than the group's other days lead to expect.

    Parameters
    ----------
    groups : (n,) of each report, its place and kind as one number, not negative.
    days : (n,) of each report, from 0 to ``length`` - 1.
    length : days of the history, at least 2.
    least : smaller counts are not called a flood.
    level : of the false discovery rate.

    Raises
    ------
    InputError : shapes do not fit, or a day lies outside the history.
    """
    place, day = np.asarray(groups, dtype=np.int64), np.asarray(days, dtype=np.int64)
    if place.ndim != 1 or place.shape != day.shape:
        raise InputError(f"Groups {place.shape} and days {day.shape} are both (n,).")
    if length < 2 or (len(day) and (day.min() < 0 or day.max() >= length or place.min() < 0)):
        raise InputError(f"Groups count from 0, and days from 0 to {length - 1}.")
    keys, counts = np.unique(place * length + day, return_counts=True)
    which, owner = np.unique(keys // length, return_inverse=True)
    totals = np.bincount(owner, weights=counts, minlength=len(which))
    suspects = np.flatnonzero(counts >= least)
    if not len(suspects):
        nothing = np.zeros(0, dtype=np.int64)
        return Bursts(nothing, nothing, nothing, np.zeros(0), np.zeros(0))
    seen, others = counts[suspects], totals[owner[suspects]] - counts[suspects]
    # A gamma prior of shape 1 with the mean rate of all groups.
    mean = float(totals.sum()) / (len(which) * length)
    usual = (others + 1.0) / (length - 1 + 1.0 / mean)
    # Uncertainty of the rate and clumping of the days both widen the spread.
    size = 1.0 / (_clumping(counts, owner, len(which), length, least) - 1.0 + 1.0 / (others + 1.0))
    p = nbinom.sf(seen - 1, size, size / (size + usual))
    tests = len(which) * length
    order = np.argsort(p)
    ranked = p[order] * tests / np.arange(1, len(p) + 1)
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    found = np.flatnonzero(q <= level)
    found = found[np.lexsort((keys[suspects[found]], -seen[found]))]
    return Bursts(
        groups=keys[suspects[found]] // length,
        days=keys[suspects[found]] % length,
        counts=seen[found],
        usual=usual[found],
        q=q[found],
    )


def _clumping(
    counts: npt.NDArray[np.int64], owner: npt.NDArray[np.int64], groups: int, length: int, least: int
) -> float:
    """How much oftener than by chance two reports of a group share a day; 1 = by chance.

    From ordinary days of quiet groups only: floods would explain themselves, and the busy
    days of a busy group would be taken for floods and left out.
    """
    ordinary = np.where(counts < least, counts, 0).astype(np.float64)
    totals = np.bincount(owner, weights=ordinary, minlength=groups)
    quiet = totals <= length * least / 20
    if not (quiet & (totals > 1)).any():
        quiet[:] = True
    pairs = float((ordinary * (ordinary - 1))[quiet[owner]].sum())
    expected = float((totals * (totals - 1))[quiet].sum()) / length
    return float(np.clip(pairs / expected, 1.0, _CLUMPIEST)) if expected > 0 else 1.0
