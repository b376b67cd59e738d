"""From one period to the next: how much of a change is more than chance.

Counts: the ratio of two rates, exact given both counts together (see ``geo.ratios``, whose
interval this is for whole arrays). Shares and quantiles: the interval of a difference is put
together from those of both sides (MOVER, Zou & Donner 2008, Stat. Med. 27, 1693-1702; for
shares Newcombe 1998, method 10). Caveat: it takes the two periods for independent.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

Floats = npt.NDArray[np.float64]


def ratio_limits(
    now: npt.ArrayLike,
    before: npt.ArrayLike,
    now_size: float,
    before_size: float,
    *,
    dispersion: float = 1.0,
    level: float = 0.95,
) -> tuple[Floats, Floats, Floats]:
    """Rate now over the rate before, and its interval, (n,) each; nan where neither has any.

    Parameters
    ----------
    now, before : (n,) counts. now_size, before_size : what they are counts in, such as days.
    dispersion : variance of counts over their mean; below 1 counts as 1.
    """
    scatter = max(1.0, dispersion)
    first, second = np.asarray(now, dtype=np.float64), np.asarray(before, dtype=np.float64)
    a, b = first / scatter, second / scatter
    scale, tail = before_size / now_size, (1 - level) / 2
    # Where one is 0 the end is 0 or infinity; the inverse itself has no answer there.
    low = np.where(a > 0, betaincinv(np.maximum(a, 1e-9), b + 1, tail), 0.0)
    high = np.where(b > 0, betaincinv(a + 1, np.maximum(b, 1e-9), 1 - tail), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return first / second * scale, low / (1 - low) * scale, high / (1 - high) * scale


def difference_limits(
    now: tuple[Floats, Floats, Floats], before: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Value now less the value before, and its interval, (n,) each.

    Parameters
    ----------
    now, before : value, lower and upper end, (n,) each; nan for an end that is not known,
        which leaves the difference's own end unknown.
    """
    value, low, high = now
    value_0, low_0, high_0 = before
    apart = value - value_0
    return (
        apart,
        apart - np.hypot(value - low, high_0 - value_0),
        apart + np.hypot(high - value, value_0 - low_0),
    )
