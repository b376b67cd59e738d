"""Which works a stretch of road may get, what they mend, and what a km of them costs.

Two reference tables, all assumed and meant to be edited: ``axis_works.csv`` (classes of work,
the elements that each mends, SAR per km of a usual road) and ``axis_widths.csv`` (how much
wider or narrower a class of road is). Caveat: no official table of costs was found; a
tender's own prices go into ``AxisTerms.costs``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data import reference
from data.plan import Name
from geo.errors import InputError, StoreError
from geo.roads import CLASSES

Floats = npt.NDArray[np.float64]

_WORKS = "axis_works.csv"
_WIDTHS = "axis_widths.csv"
EVERYTHING = "*"
HALF = 0.5  # of the weighted reports, from which a work that mends one kind is enough


@dataclass(frozen=True, slots=True)
class Work:
    """A class of work. ``elements`` : codes it mends; empty for all of them."""

    code: str
    name: Name
    sar_per_km: float
    elements: frozenset[str]


@functools.cache
def works() -> tuple[Work, ...]:
    """All classes of work; the last one mends everything.

    Raises
    ------
    StoreError : the table has no work that mends everything, two, or a cost that is none.
    """
    found = []
    for row in reference.read(_WORKS):
        mended = frozenset(row["elements"].split())
        whole = EVERYTHING in mended
        cost = _number(_WORKS, row["work"], row["sar_per_km"], 1.0, 1e12)
        name = Name(row["name_ar"], row["name_en"])
        found.append(Work(row["work"], name, cost, frozenset() if whole else mended))
    if sum(not work.elements for work in found) != 1:
        raise StoreError(f"data/reference/{_WORKS} needs exactly one work with elements {EVERYTHING!r}.")
    return tuple(sorted(found, key=lambda work: not work.elements))


@functools.cache
def widths() -> dict[str, float]:
    """Times the cost of a usual road, by class of road."""
    found = {
        row["road_class"]: _number(_WIDTHS, row["road_class"], row["factor"], 0.01, 100.0)
        for row in reference.read(_WIDTHS)
    }
    missing = [code for code in CLASSES if code not in found]
    if missing:
        raise StoreError(f"data/reference/{_WIDTHS} has no row for {', '.join(missing)}.")
    return found


def work_costs() -> dict[str, tuple[tuple[str, str], float]]:
    """Names (Arabic, English) and SAR per km of a usual road, by class of work."""
    return {work.code: ((work.name.ar, work.name.en), work.sar_per_km) for work in works()}


def costs_by_work(given: tuple[tuple[str, float], ...]) -> Floats:
    """SAR per km of each of ``works()``, with those that are given in their place.

    Raises
    ------
    InputError : there is no such class of work.
    """
    own: Mapping[str, float] = dict(given)
    known = [work.code for work in works()]
    strange = sorted(set(own) - set(known))
    if strange:
        raise InputError(f"There is no class of work {strange[0]!r}; there are: {', '.join(known)}.")
    return np.array([own.get(work.code, work.sar_per_km) for work in works()])


def chosen_works(weight: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """The work of each stretch, and the share of its weighted reports that it mends.

    Of the works for one kind the one that mends most, if that is at least half; else the
    one for everything.

    Parameters
    ----------
    weight : (k, w) severity weights of a stretch's reports by the work that mends them; the
        last column is those that no work for one kind mends.

    Returns
    -------
    (k,) positions in ``works()``, and (k,) shares.
    """
    total = weight.sum(axis=1)
    if weight.shape[1] < 2:
        return np.zeros(len(weight), dtype=np.int64), np.ones(len(weight))
    best = np.argmax(weight[:, :-1], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(total > 0, weight[np.arange(len(weight)), best] / total, 0.0)
    enough = share >= HALF
    return np.where(enough, best, weight.shape[1] - 1), np.where(enough, share, 1.0)


def _number(file: str, name: str, value: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise StoreError(f"data/reference/{file}: the row of {name} needs a number from {low:g} to {high:g}.")
    return number
