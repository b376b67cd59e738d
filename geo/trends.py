"""Where is it growing? Emerging hot spots: one of 17 patterns for the history of every cell.

Gi* (Ord & Getis 1995) of each step over the study area; its two-sided p after FDR within
the step says hot, cold or neither; Mann-Kendall's test on the cell's z says rising or falling.
The patterns are those of ArcGIS's Emerging Hot Spot Analysis. Caveat: z compares a cell
with the rest of the city in the same step, so a cell can intensify while its count falls;
the whole-city trend is told apart. Trends of neighbouring cells are not independent.

Precedence (one pattern for every history; for cold exchange hot and cold, rise and fall).
The last step speaks first. Last step hot, by the first line that fits:

1. hot in >= 90 % of steps: ``intensifying`` (significant rise), ``diminishing`` (significant
   fall) or ``persistent``;
2. hot in the last step only: ``new``, also where it was cold before;
3. hot in one unbroken run up to the last step and never before: ``consecutive``;
4. cold in an earlier step: ``oscillating``;  5. else: ``sporadic``.

Last step neither: hot in >= 90 % of steps is ``historical``; hot at times and never cold is
``sporadic``. ``none`` is what remains: never hot or cold, or both at times but neither now.
With n < 10 steps 90 % means all of them, so nothing can be historical. A single step that
is hot is ``new``, as there is no history yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from geo.errors import InputError
from geo.hotspots import Null, gi_star_p, gi_star_z
from geo.kendall import Floats, MannKendall, mann_kendall, no_trend, sens_slope
from geo.neighbours import Neighbourhood

Bools = npt.NDArray[np.bool_]

HISTORICAL_STEPS = 10  # the first number of steps of which 90 % can be had without the last one


class Pattern(IntEnum):
    """The 17 patterns; a cold one is its hot mirror plus 8."""

    NONE = 0
    HOT_NEW = 1
    HOT_CONSECUTIVE = 2
    HOT_INTENSIFYING = 3
    HOT_PERSISTENT = 4
    HOT_DIMINISHING = 5
    HOT_SPORADIC = 6
    HOT_OSCILLATING = 7
    HOT_HISTORICAL = 8
    COLD_NEW = 9
    COLD_CONSECUTIVE = 10
    COLD_INTENSIFYING = 11
    COLD_PERSISTENT = 12
    COLD_DIMINISHING = 13
    COLD_SPORADIC = 14
    COLD_OSCILLATING = 15
    COLD_HISTORICAL = 16


# A pattern in files and addresses: hot_new, cold_historical, none …
CODES = tuple(pattern.name.lower() for pattern in Pattern)
TO_COLD = int(Pattern.COLD_NEW) - int(Pattern.HOT_NEW)


@dataclass(frozen=True, slots=True)
class EmergingHotSpots:
    """The history of n cells over t steps.

    Attributes
    ----------
    patterns : (n,) uint8, ``Pattern``.
    z : (n, t) Gi* of each cell in each step; 0 in a step in which all cells are equal.
    hot, cold : (n, t) bool, significant after FDR within the step.
    trend : Mann-Kendall's test of each cell's z, arrays (n,).
    slope : (n,) Sen's slope of z a step.
    whole : the same test of the sum over all cells, arrays (1,).
    whole_slope : Sen's slope of that sum, counts a step.
    """

    patterns: npt.NDArray[np.uint8]
    z: Floats
    hot: Bools
    cold: Bools
    trend: MannKendall
    slope: Floats
    whole: MannKendall
    whole_slope: float


def emerging_hot_spots(
    counts: npt.ArrayLike,
    neighbourhood: Neighbourhood,
    *,
    level: float = 0.05,
    trend_level: float = 0.05,
    null: Null = "exact",
    autocorrelated: bool = False,
    tick: Callable[[float], None] | None = None,
) -> EmergingHotSpots:
    """Patterns of all cells of a study area.

    Parameters
    ----------
    counts : (n, t) counts or rates by cell and step; zeros included, steps of equal length
        from old to new, t >= 2.
    neighbourhood : disks of the same n cells.
    level : of "hot" and "cold", on p after Benjamini & Hochberg within a step.
    trend_level : of "rising" and "falling".
    null : where p comes from; a month's counts are few and skewed, and the normal null
        finds hot spots where there are none (``geo/hotspots.py``, ``gi_star_p``).
    autocorrelated : Hamed & Rao's variance for the trends; see ``geo/kendall.py``.
    tick : told the share done, 0 to 1; may raise to stop.

    Raises
    ------
    InputError : shapes do not fit, fewer than two steps, a gap (nan) or a level outside 0 to 1.
    """
    values = np.asarray(counts, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(neighbourhood.cells):
        raise InputError(
            f"Counts of {len(neighbourhood.cells)} cells stand in rows, one a cell; given was {values.shape}."
        )
    if not np.isfinite(values).all():
        raise InputError("The history of a cell has a gap: give 0 where nothing was reported.")
    for name, number in (("level", level), ("trend_level", trend_level)):
        if not 0 < number < 1:
            raise InputError(f"The {name} is {number}; it is a share between 0 and 1, such as 0.05.")
    told = tick or (lambda done: None)
    told(0.0)
    z = gi_star_z(values, neighbourhood)
    told(0.2)
    significant = _significant(gi_star_p(values, neighbourhood, null, z=z), level)
    hot, cold = significant & (z > 0), significant & (z < 0)
    told(0.4)
    trend = mann_kendall(z, autocorrelated=autocorrelated)
    told(0.6)
    slope = sens_slope(z, tick=lambda done: told(0.6 + 0.35 * done))
    total = values.sum(axis=0)[None, :]
    found = EmergingHotSpots(
        patterns=classify(hot, cold, trend.direction(trend_level)),
        z=z,
        hot=hot,
        cold=cold,
        trend=trend,
        slope=slope,
        whole=mann_kendall(total, autocorrelated=autocorrelated),
        whole_slope=float(sens_slope(total)[0]),
    )
    told(1.0)
    return found


def no_history(cells: int) -> EmergingHotSpots:
    """The answer where there are too few steps for any: t is 0 and every pattern none."""
    nothing = np.zeros((cells, 0))
    return EmergingHotSpots(
        patterns=np.zeros(cells, dtype=np.uint8),
        z=nothing,
        hot=nothing.astype(bool),
        cold=nothing.astype(bool),
        trend=no_trend(cells),
        slope=np.zeros(cells),
        whole=no_trend(1),
        whole_slope=0.0,
    )


def classify(hot: npt.ArrayLike, cold: npt.ArrayLike, direction: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """The one pattern of each history; the rules are in the docstring of this module.

    Parameters
    ----------
    hot, cold : (n, t) bool, never both at once, t >= 1, from old to new.
    direction : (n,) 1 for a significant rise of z, -1 for a fall, 0 for neither.

    Returns
    -------
    (n,) uint8, ``Pattern``.

    Raises
    ------
    InputError : shapes do not fit, or a step is hot and cold at once.
    """
    is_hot, is_cold = np.asarray(hot, dtype=bool), np.asarray(cold, dtype=bool)
    way = np.asarray(direction)
    if is_hot.ndim != 2 or is_hot.shape != is_cold.shape or way.shape != is_hot.shape[:1]:
        raise InputError(
            f"Hot {is_hot.shape} and cold {is_cold.shape} are (n, t) and directions {way.shape} (n,)."
        )
    if not is_hot.shape[1]:
        raise InputError("A history needs at least one step.")
    if (is_hot & is_cold).any():
        raise InputError("A step cannot be significantly hot and cold at once.")
    patterns = _one_sided(is_hot, is_cold, way)
    mirrored = _one_sided(is_cold, is_hot, -way)
    # No history fits both sides: the last step settles it, and else one side excludes the other.
    patterns[mirrored > 0] = mirrored[mirrored > 0] + TO_COLD
    return patterns


def _significant(p: Floats, level: float) -> Bools:
    """Which p of each column (n, t) are finds of Benjamini & Hochberg (1995), (n, t).

    As ``geo.hotspots.fdr(p) <= level``, in a third of the time, for q itself is not needed.
    """
    n = len(p)
    if not n:
        return np.zeros(p.shape, dtype=bool)
    ranked = np.sort(p.T, axis=1)
    passed = ranked * (n / np.arange(1, n + 1)) <= level
    last = n - 1 - passed[:, ::-1].argmax(axis=1)
    limit = np.where(passed.any(axis=1), ranked[np.arange(len(ranked)), last], -1.0)
    return np.asarray(p <= limit)


def _one_sided(hot: Bools, cold: Bools, way: npt.NDArray) -> npt.NDArray[np.uint8]:
    """Hot patterns of (n, t), 0 where there is none."""
    t = hot.shape[1]
    times = hot.sum(axis=1)
    now, cold_now = hot[:, -1], cold[:, -1]
    ever_cold = cold.any(axis=1)
    # In whole numbers: 0.9 * 10 is not safe to compare with 9.
    mostly = 10 * times >= 9 * t
    one_run = times == t - hot.argmax(axis=1)  # every step since the first hot one
    conditions = [
        now & mostly & (t > 1) & (way > 0),
        now & mostly & (t > 1) & (way < 0),
        now & mostly & (t > 1),
        now & (times == 1),
        now & one_run,
        now & ever_cold,
        now,
        ~now & ~cold_now & mostly,
        ~now & ~cold_now & (times > 0) & ~ever_cold,
    ]
    choices = [
        Pattern.HOT_INTENSIFYING,
        Pattern.HOT_DIMINISHING,
        Pattern.HOT_PERSISTENT,
        Pattern.HOT_NEW,
        Pattern.HOT_CONSECUTIVE,
        Pattern.HOT_OSCILLATING,
        Pattern.HOT_SPORADIC,
        Pattern.HOT_HISTORICAL,
        Pattern.HOT_SPORADIC,
    ]
    return np.select(conditions, [np.uint8(choice) for choice in choices], np.uint8(0)).astype(np.uint8)
