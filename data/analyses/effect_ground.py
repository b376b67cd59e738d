"""The ground of a before-after comparison: cells, periods, and counts of one by the other.

Periods are whole, equally long, and lie before and after a campaign; its own time is left
out. The ground is every cell that had such reports before, the treated cells, and those
next to them. Caveat: a cell without any such report before is no ground to compare with.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import h3ronpy
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data import columns
from geo.cells import Cells, resolutions
from geo.errors import InputError


@dataclass(frozen=True, slots=True)
class EffectSettings:
    """How an effect is measured.

    Parameters
    ----------
    before_days : how far back the course before is looked at.
    after_days : at most so many days after the campaign; less where the reports end earlier.
    period_days : length of a period.
    level : of intervals, between 0 and 1.
    planned : True takes the plan's cells although there are visits.

    Raises
    ------
    InputError : a value is out of its range.
    """

    before_days: int = 720
    after_days: int = 90
    period_days: int = 30
    level: float = 0.95
    planned: bool = False

    def __post_init__(self) -> None:
        if not 7 <= self.period_days <= 120:
            raise InputError(f"A period has 7 to 120 days, not {self.period_days}.")
        if self.before_days < 4 * self.period_days or self.after_days < self.period_days:
            raise InputError("An effect needs at least four periods before the campaign and one after it.")
        if not 0.5 <= self.level < 1:
            raise InputError(f"The level of an interval lies from 0.5 to below 1, not at {self.level:g}.")


def resolution_of(cells: Cells) -> int:
    """The one resolution of cells; InputError where they have several."""
    found = np.unique(resolutions(cells))
    if len(found) != 1:
        raise InputError("The cells of a campaign must be of one resolution.")
    return int(found[0])


def data_days(found: columns.Columns) -> tuple[int, int]:
    """First and last day of the record: what lies outside is not known to be zero."""
    usable = found.reports["day"][(found.reports["state"] & columns.ON_DEFAULT_POINT) == 0]
    if not len(usable):
        raise InputError("The territory has no reports to measure an effect by.")
    return columns.first_day(usable), int(usable.max())


def periods(
    start: dt.date, end: dt.date, first: int, last: int, settings: EffectSettings
) -> tuple[list[tuple[int, int]], int]:
    """Whole periods before and after, as days since 2000 (first included, last not); how many before."""
    if end < start:
        raise InputError(f"The campaign ends ({end}) before it starts ({start}).")
    length = settings.period_days
    zero = columns.DAY_ZERO.astype(object)
    begins, over = (start - zero).days, (end - zero).days + 1
    before = min((begins - first) // length, settings.before_days // length)
    after = min((last + 1 - over) // length, settings.after_days // length)
    if before < 4:
        raise InputError(
            f"Reports begin on {columns.as_date(first)}: that leaves {max(before, 0)} whole periods of {length} days "
            f"before {start}, and an effect needs four. Shorter periods may do."
        )
    if after < 1:
        raise InputError(
            f"Reports end on {columns.as_date(last)}: no whole period of {length} days lies after {end} yet. Come "
            "back later, or take shorter periods."
        )
    lows = [begins - length * (before - i) for i in range(before)]
    lows += [over + length * i for i in range(after)]
    return [(low, low + length) for low in lows], before


def ground_of(
    found: columns.Columns,
    up: Cells,
    run: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.bool_],
    day: npt.NDArray[np.int64],
    edges: list[tuple[int, int]],
    before: int,
    treated: Cells,
) -> tuple[Cells, npt.NDArray[np.int64]]:
    """Cells with such reports before, treated ones and those around them; and their municipalities."""
    seen = chosen & (day >= edges[0][0]) & (day < edges[before - 1][1])
    had = np.unique(up[np.bincount(run[seen], minlength=len(up)) > 0])
    # H3's own neighbours, whether or not anything was reported there.
    wider = np.asarray(pa.array(h3ronpy.grid_disk(treated.view(np.uint64), 1, flatten=True)))
    ground = np.unique(np.concatenate([had[had != 0], treated, wider.astype(np.int64)]))
    pairs = np.column_stack([up, found.runs["municipality"].astype(np.int64)])
    kinds, which = np.unique(pairs, axis=0, return_inverse=True)
    weight = np.bincount(which.ravel(), found.runs["length"])
    order = np.lexsort((weight, kinds[:, 0]))
    # The last of each cell has most of its reports.
    cell, municipality = kinds[order, 0], kinds[order, 1]
    ends = np.append(np.flatnonzero(cell[1:] != cell[:-1]), len(cell) - 1)
    at = np.searchsorted(cell[ends], ground).clip(max=len(ends) - 1)
    group = np.where(cell[ends][at] == ground, municipality[ends][at], 0)
    return ground, group


def counted(
    at: npt.NDArray[np.int64],
    day: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
    edges: list[tuple[int, int]],
    n: int,
) -> npt.NDArray[np.int64]:
    """Counts (n, t) of reports by cell and period."""
    lows = np.array([low for low, _ in edges])
    highs = np.array([high for _, high in edges])
    rows, days = at[kept], day[kept]
    period = np.searchsorted(lows, days, side="right") - 1
    good = (period >= 0) & (days < highs[period.clip(min=0)])
    flat = rows[good] * len(edges) + period[good]
    return np.bincount(flat, minlength=n * len(edges)).reshape(n, len(edges))
