"""The share of successes in so many trials, and how well it is known.

Jeffreys' interval (the middle of the Beta posterior under a prior of half a success and
half a failure), recommended for few trials by Brown, Cai & DasGupta (2001, Statistical
Science 16, 101-133). Caveat: it takes trials for independent; visits of one team on one day
resemble each other, and then the interval is too narrow. ``wilson`` is for shares of many reports.
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
    won, tried = _counts(successes, trials, level)
    tail = (1 - level) / 2
    low = special.betaincinv(won + 0.5, tried - won + 0.5, tail)
    high = special.betaincinv(won + 0.5, tried - won + 0.5, 1 - tail)
    # All or none seen so far: the share may well be exactly that.
    return np.where(won == 0, 0.0, low), np.where(won == tried, 1.0, high)


def wilson(successes: npt.ArrayLike, trials: npt.ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Lower and upper end of Wilson's score interval of each share, (n,) each, within 0 to 1.

    Wilson (1927, JASA 22, 209-212). For shares of many units side by side, of which some are
    near 0: it never ends at the share itself where little was seen.

    Parameters and errors as ``jeffreys``.
    """
    won, tried = _counts(successes, trials, level)
    z2 = special.ndtri(0.5 + level / 2) ** 2
    n = np.maximum(tried, 1)
    share = won / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    nothing = tried == 0
    low = np.where(nothing | (won == 0), 0.0, middle - half)
    high = np.where(nothing | (won == tried), 1.0, middle + half)
    return low, high


def _counts(successes: npt.ArrayLike, trials: npt.ArrayLike, level: float) -> tuple[Floats, Floats]:
    won, tried = np.broadcast_arrays(np.asarray(successes, dtype=float), np.asarray(trials, dtype=float))
    if not ((won >= 0) & (won <= tried)).all():
        raise InputError("Successes must be between 0 and the number of trials.")
    if not 0 < level < 1:
        raise InputError(f"A level of confidence lies between 0 and 1, not at {level:g}.")
    return won, tried
