"""The share of successes in so many trials, and how well it is known.

Jeffreys' interval (the middle of the Beta posterior under a prior of half a success and
half a failure), recommended for few trials by Brown, Cai & DasGupta (2001, Statistical
Science 16, 101-133). Caveat: it takes trials for independent; visits of one team on one day
resemble each other, and then the interval is too narrow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

from geo.errors import InputError

Floats = npt.NDArray[np.float64]


def jeffreys(successes: npt.ArrayLike, trials: npt.ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Lower and upper end of the interval of each share, (n,) each, within 0 to 1.

    Parameters
    ----------
    successes, trials : (n,) counts; without any trial nothing is known and the ends are 0 and 1.
    level : of confidence, between 0 and 1.

    Raises
    ------
    InputError : counts are negative, there are more successes than trials, or no such level.
    """
    won, tried = np.broadcast_arrays(np.asarray(successes, dtype=float), np.asarray(trials, dtype=float))
    if not ((won >= 0) & (won <= tried)).all():
        raise InputError("Successes must be between 0 and the number of trials.")
    if not 0 < level < 1:
        raise InputError(f"A level of confidence lies between 0 and 1, not at {level:g}.")
    tail = (1 - level) / 2
    low = special.betaincinv(won + 0.5, tried - won + 0.5, tail)
    high = special.betaincinv(won + 0.5, tried - won + 0.5, 1 - tail)
    # All or none seen so far: the share may well be exactly that.
    return np.where(won == 0, 0.0, low), np.where(won == tried, 1.0, high)
