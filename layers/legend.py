"""Class limits for counts: what each colour of the map means, in whole reports.

Quantiles of the cells' own counts, stretched towards the top because counts by cell are
heavy-tailed (a few cells hold much): shares 40, 65, 82, 92 and 97.5 %. One set of limits
per resolution: cells at another resolution have another size, so one colour means another
count there, and the legend says the limits and the cell's size that are on screen.
"""

from __future__ import annotations

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
