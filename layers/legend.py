"""Class limits: what each colour of the map means, in whole reports or in a measure.

Quantiles of the cells' own counts, stretched towards the top because counts by cell are
heavy-tailed (a few cells hold much): shares 40, 65, 82, 92 and 97.5 %. One set of limits
per resolution: cells at another resolution have another size, so one colour means another
count there, and the legend says the limits and the cell's size that are on screen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHARES = (0.40, 0.65, 0.82, 0.92, 0.975)


def class_limits(counts: NDArray[np.int64]) -> list[int]:
    """Upper limits of the classes, both ends meant: class k holds limits[k-1]+1 … limits[k].

    Parameters
    ----------
    counts : (k,) reports in each cell, at least 1.

    Returns
    -------
    list : rising whole numbers, at most six; the last is the largest count. Fewer when
        many cells share a count; empty when there is no cell.
    """
    if len(counts) == 0:
        return []
    top = int(counts.max())
    cuts = np.quantile(counts, SHARES, method="lower").astype(int)
    return [int(c) for c in np.unique(cuts[cuts < top])] + [top]


def value_limits(values: NDArray[np.float64], digits: int) -> list[float]:
    """Upper limits of the classes of a measure, such as a rate or expected reports.

    The same shares as for counts, of the values above 0, rounded to ``digits`` after the
    point, so that the legend says exactly what was classed.

    Parameters
    ----------
    values : (n,) float64; nan and values of 0 and less are not classed.

    Returns
    -------
    list : rising, at most six; the last is at least the largest value. Fewer when many
        values are equal at this rounding; empty when there is none.
    """
    there = values[np.isfinite(values) & (values > 0)]
    if len(there) == 0:
        return []
    largest = float(there.max())
    top = round(largest, digits)
    if top < largest:  # rounded down: the last class would not hold the largest value
        top = round(top + 10.0**-digits, digits)
    cuts = {round(float(c), digits) for c in np.quantile(there, SHARES)}
    return [*sorted(c for c in cuts if 0 < c < top), top]


def classes_of(values: NDArray[np.float64], limits: Sequence[float]) -> NDArray[np.int64]:
    """Class of each value (n,): k lies above ``limits[k - 1]`` and up to ``limits[k]``.

    A value above the last limit is in the last class; nan is in none and gives -1, as does
    a value of 0 or less.
    """
    if not len(limits):
        return np.full(len(values), -1, dtype=np.int64)
    # nan would sort behind the last limit.
    known = np.nan_to_num(values, nan=0.0)
    classes = np.searchsorted(np.asarray(limits), known, side="left").clip(0, len(limits) - 1)
    return np.where(known > 0, classes, -1).astype(np.int64)
