"""Reports per km of stretches of road, steadied, and how far each is above roads of its class.

Reports are Poisson around rate × km; rates of stretches of one class follow a gamma
distribution (empirical Bayes, ``geo/rates.py``), so that a short stretch with three reports
does not lead the list. The interval of the raw rate is exact (Garwood 1936). Excess is the
steadied rate over the class's own, times km and the mean severity weight. Caveat: traffic
is not known; a road of a class that carries more also has more to report.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from geo.errors import InputError
from geo.rates import shrunk_rates
from geo.remarks import Remark, decided

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]

FEW_STRETCHES = 20  # of a class, below which it is judged with the others that are few
FEW_REPORTS = 20  # of a stretch in both halves, below which no trend is told
AVERAGE = 10.0  # reports of average severity that each stretch is lent
LENT = 5.0  # reports that each half of the period is lent, so that some more are no infinite growth
POOL = ""  # name of the classes that are few, together


@dataclass(frozen=True, slots=True, eq=False)
class StretchRates:
    """Rates (k,), in reports per km over the whole period.

    Attributes
    ----------
    per_km, low, high : as reported, with the 95 % interval.
    shrunk : steadied towards ``usual``, the rate of all stretches of its class.
    severity : mean weight of a report, steadied by ``AVERAGE`` average ones.
    excess : reports above the usual, steadied; negative below it.
    remarks : which classes were judged together.
    """

    per_km: Floats
    low: Floats
    high: Floats
    shrunk: Floats
    usual: Floats
    severity: Floats
    excess: Floats
    remarks: tuple[Remark, ...]


def stretch_rates(
    reports: npt.ArrayLike, weight: npt.ArrayLike, km: npt.ArrayLike, road_class: Texts
) -> StretchRates:
    """Rates of stretches.

    Parameters
    ----------
    reports : (k,) of each stretch. weight : (k,) sum of their severity weights.
    km : (k,) above 0. road_class : (k,) codes.

    Raises
    ------
    InputError : lengths differ, or a stretch has no length.
    """
    counts, weights, length = (np.asarray(each, dtype=np.float64) for each in (reports, weight, km))
    if not len(counts) == len(weights) == len(length) == len(road_class) or not (length > 0).all():
        raise InputError("Rates of stretches need reports, weights and a length above 0 for each.")
    group, pooled = _groups(road_class)
    shrunk, usual = np.zeros(len(counts)), np.zeros(len(counts))
    for code in dict.fromkeys(group.tolist()):
        mine = group == code
        found = shrunk_rates(counts[mine], length[mine])
        shrunk[mine], usual[mine] = found.rate, found.overall
    low = np.where(counts > 0, chi2.ppf(0.025, 2 * np.maximum(counts, 1)) / 2, 0.0)
    high = chi2.ppf(0.975, 2 * (counts + 1)) / 2
    total = counts.sum()
    mean = weights.sum() / total if total else 1.0
    said = [decided("axes_pooled", classes=", ".join(pooled), least=FEW_STRETCHES)] if pooled else []
    return StretchRates(
        per_km=counts / length,
        low=low / length,
        high=high / length,
        shrunk=shrunk,
        usual=usual,
        severity=(weights + AVERAGE * mean) / (counts + AVERAGE),
        excess=(shrunk - usual) * length,
        remarks=tuple(said),
    )


def _groups(road_class: Texts) -> tuple[Texts, list[str]]:
    """The class by which each stretch is judged, and the classes that are few."""
    codes, inverse, counts = np.unique(road_class.astype(str), return_inverse=True, return_counts=True)
    few = counts < FEW_STRETCHES
    if few.sum() < 2 and not (few.any() and len(codes) > 1):
        return road_class, []
    if few.sum() == 1:
        # One that is few joins the least of the others, so that it is not judged by itself.
        rest = np.where(few, np.iinfo(np.int64).max, counts)
        few = few | (np.arange(len(codes)) == int(np.argmin(rest)))
    group = np.where(few[inverse], POOL, road_class).astype(object)
    return group, codes[few].tolist()


def yearly_change(earlier: npt.ArrayLike, later: npt.ArrayLike, years: float) -> Floats:
    """Change a year as a ratio, with that of all stretches taken out, (k,); nan where too few.

    Parameters
    ----------
    earlier, later : (k,) reports in two periods of equal length that follow each other.
    years : length of one of them.
    """
    first, second = np.asarray(earlier, dtype=np.float64), np.asarray(later, dtype=np.float64)
    if not years > 0:
        raise InputError("A change needs two periods that are longer than nothing.")
    with np.errstate(divide="ignore", invalid="ignore"):
        everywhere = (second.sum() + 0.5) / (first.sum() + 0.5)
        own = (second + LENT * everywhere) / (first + LENT)
        change = (own / everywhere) ** (1.0 / years)
    return np.where(first + second >= FEW_REPORTS, change, np.nan)
