"""How many finds a plan may bring, when hit rates are not known exactly: draws of the total.

Each draw takes one hit rate a group (kind of target × type of area) from its Beta
distribution, shared by all places of the group, so that a wrong rate is wrong everywhere;
then a find or none at each known place, and an over-dispersed Poisson number (a Gamma
mixture, that is a negative binomial) in each round. Caveat: places of one group are
independent given the rate, and rates of different groups are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRAWS = 2000
_BLOCK = 1 << 21  # numbers drawn at a time, to bound memory


def paced(rate: npt.ArrayLike, pace: npt.ArrayLike) -> Floats:
    """Chance at a place that is so many times as busy as the average one of its rate.

    1 − (1 − rate)^pace: proportional hazards, so that it never leaves 0 to 1.
    """
    return 1 - (1 - np.asarray(rate, dtype=np.float64)) ** np.asarray(pace, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """What is drawn.

    Attributes
    ----------
    group, pace, share : (m,) of each known place: its group, its pace (see ``paced``), and
        how much of it is reached.
    round_group, round_finds : (c,) of each round: its group, and finds at a rate of 1.
    dispersion : variance of a round's number = mean + dispersion · mean².
    """

    group: Ints
    pace: Floats
    share: Floats
    round_group: Ints
    round_finds: Floats
    dispersion: float


def rates(a: Floats, b: Floats, rng: np.random.Generator, number: int = DRAWS) -> Floats:
    """Hit rates of each group (g,), (number, g): draw them once for areas whose finds are added up."""
    return rng.beta(a, b, size=(number, len(a)))


def draws(spread: Spread, rate: Floats, rng: np.random.Generator) -> Ints:
    """Total finds, (number,), one for each row of ``rate`` (number, g)."""
    number = len(rate)
    total = np.zeros(number, dtype=np.int64)
    step = max(1, _BLOCK // max(number, 1))
    for low in range(0, len(spread.group), step):
        part = slice(low, low + step)
        chance = paced(rate[:, spread.group[part]], spread.pace[part]) * spread.share[part]
        total += (rng.random(chance.shape) < chance).sum(axis=1)
    if len(spread.round_group):
        mean = rate[:, spread.round_group] * spread.round_finds
        if spread.dispersion > 0:
            mean = mean * rng.gamma(1 / spread.dispersion, spread.dispersion, size=mean.shape)
        total += rng.poisson(mean.sum(axis=1))
    return total


def interval(totals: Ints, probability: float = 0.8) -> tuple[float, float]:
    """Between which the total lies with this probability, or a little more."""
    tail = (1 - probability) / 2
    low, high = np.quantile(totals, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)
