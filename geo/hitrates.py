"""How often a visit finds something, by kind of target and type of area, learnt from visits.

Each kind × type has a rate with a Beta prior; visits that found something and visits that
did not are added to it (the Beta–binomial model; Gelman et al., Bayesian Data Analysis,
3rd ed., section 2.4). Types of area are thirds of the cells by reports per km². Caveat:
priors are assumptions, and a few visits hardly move them; teams choose what to look at,
so the rate of what they visit is not that of what they leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from geo.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Types of area, fewest reports per km² first.
TYPES = ("quiet", "middle", "busy")
INTERVAL = 0.8


@dataclass(frozen=True, slots=True)
class HitRate:
    """The rate of one kind of target in one type of area.

    Attributes
    ----------
    prior_a, prior_b : of the Beta prior; ``a``, ``b`` : after the visits.
    visits, finds : that were added.
    mean, low, high : of the rate after the visits, with its 80 % interval.
    """

    target: str
    area_type: str
    prior_a: float
    prior_b: float
    visits: int
    finds: int
    mean: float
    low: float
    high: float

    @property
    def a(self) -> float:
        return self.prior_a + self.finds

    @property
    def b(self) -> float:
        return self.prior_b + self.visits - self.finds


@dataclass(frozen=True, slots=True)
class HitRates:
    """All rates, kinds of target in the order given, types from quiet to busy.

    Attributes
    ----------
    rates : one a kind and type.
    outside : visits of no known kind, or without a place, that could not be used.
    """

    rates: tuple[HitRate, ...]
    outside: int = 0

    def of(self, target: str, area_type: str) -> HitRate:
        """The rate of a kind and type; InputError when there is none."""
        for rate in self.rates:
            if (rate.target, rate.area_type) == (target, area_type):
                return rate
        raise InputError(f"There is no hit rate of {target!r} in {area_type!r} areas.")

    def means(self, target: str) -> Floats:
        """Mean rate of a kind by position in ``TYPES``, (3,)."""
        return np.array([self.of(target, area_type).mean for area_type in TYPES])

    @property
    def visits(self) -> int:
        return sum(rate.visits for rate in self.rates)


def hit_rates(
    priors: Mapping[str, tuple[float, float]],
    target: Sequence[str | None],
    area_type: npt.ArrayLike,
    found: npt.ArrayLike,
) -> HitRates:
    """The rates after the visits.

    Parameters
    ----------
    priors : kind of target → a, b of its Beta prior.
    target : (v,) kind of each visit; None or an unknown kind is counted as outside.
    area_type : (v,) position in ``TYPES``; -1 where the place is not known.
    found : (v,) bool.

    Raises
    ------
    InputError : a prior is not positive, or the lengths differ.
    """
    for kind, (a, b) in priors.items():
        if not (a > 0 and b > 0):
            raise InputError(f"The prior of {kind} is Beta({a:g}, {b:g}); both must be above 0.")
    kinds = list(priors)
    place = np.asarray(area_type, dtype=np.int64)
    hit = np.asarray(found, dtype=bool)
    if not len(target) == len(place) == len(hit):
        raise InputError("Kinds, types of area and results of visits must be of one length.")
    positions = {kind: i for i, kind in enumerate(kinds)}
    number = np.array([-1 if one is None else positions.get(one, -1) for one in target], dtype=np.int64)
    known = (number >= 0) & (place >= 0)
    flat = number[known] * len(TYPES) + place[known]
    visits = np.bincount(flat, minlength=len(kinds) * len(TYPES))
    finds = np.bincount(flat[hit[known]], minlength=len(kinds) * len(TYPES))
    rates = []
    for i, kind in enumerate(kinds):
        a, b = priors[kind]
        for j, name in enumerate(TYPES):
            seen, good = int(visits[i * len(TYPES) + j]), int(finds[i * len(TYPES) + j])
            low, high = beta.ppf([(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], a + good, b + seen - good)
            mean = (a + good) / (a + b + seen)
            rates.append(HitRate(kind, name, a, b, seen, good, mean, float(low), float(high)))
    return HitRates(tuple(rates), int((~known).sum()))


def area_types(counts: npt.ArrayLike, km2: npt.ArrayLike) -> Ints:
    """Position in ``TYPES`` of each cell, (n,): thirds by reports per km² of the cells with any.

    Cells without reports are quiet. Equal densities are never in two types.
    """
    density = np.asarray(counts, dtype=np.float64) / np.asarray(km2, dtype=np.float64)
    some = density[density > 0]
    if not len(some):
        return np.zeros(len(density), dtype=np.int64)
    cuts = np.quantile(some, [1 / 3, 2 / 3])
    return np.searchsorted(cuts, density, side="left").astype(np.int64)
