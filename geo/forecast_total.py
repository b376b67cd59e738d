"""How many reports to expect in all cells together, for the days to come.

Recent daily reports by exponential smoothing (Brown 1959), times the ratio by which the same
days of earlier years differed from what was recent then. Half-lives and the power of the
ratio were chosen on Boston's reports of animals before July 2018. Caveat: years are solar;
what follows the Hijri calendar (Ramadan, Hajj) moves through them and is not foreseen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo.history import History

Floats = npt.NDArray[np.float64]

YEAR = 365.25
HALF_LIFE_SEASONAL = 30.0  # days, where earlier years tell the season
HALF_LIFE_MONTH = 14.0  # without them, for more than two weeks ahead …
HALF_LIFE_WEEK = 7.0  # … and for less
POWER = 0.8  # of the seasonal ratio: earlier years are not quite believed
_AROUND = 3  # days on each side that tell the season too
_MOST_YEARS = 5


def total(past: History, days: int) -> float:
    """Reports expected in all cells within the ``days`` days after ``past``; 0 after nothing."""
    daily = past.daily()
    end = len(daily)
    ratios = []
    for back in range(1, _MOST_YEARS + 1):
        then = end - round(back * YEAR)
        if then < HALF_LIFE_SEASONAL:
            break
        same = daily[max(0, then - _AROUND) : then + days + _AROUND]
        usual = smoothed(daily[:then], HALF_LIFE_SEASONAL)
        if usual > 0 and same.sum() > 0:
            ratios.append(np.log(same.mean() / usual))
    if ratios:
        level = smoothed(daily, HALF_LIFE_SEASONAL)
        return float(level * days * np.exp(POWER * np.mean(ratios)))
    return float(smoothed(daily, HALF_LIFE_MONTH if days > 14 else HALF_LIFE_WEEK) * days)


def smoothed(daily: Floats, half_life: float) -> float:
    """Mean of daily counts (d,), each weighed by 0.5 ^ (age / half-life)."""
    if not len(daily):
        return 0.0
    fade = 0.5 ** (np.arange(len(daily) - 1, -1, -1) / half_life)
    return float(fade @ daily / fade.sum())
