"""The reports that fit a question, of all times, by week and place: what the warnings look at.

Weeks are seven days counted back from the last day that was asked for, so that the newest
one is whole. Caveat: reports without a cell are left out, and history goes back three years
for breaks; floods use all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data import columns
from geo.cells import Cells

LONGEST = 156  # weeks of history
FINE_LEVELS = ("municipality", "district")


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Reports with a cell, of all times.

    Attributes
    ----------
    run : (n,) position in ``run_cells`` and ``run_areas`` of each report.
    run_cells : (g,) int64, ascending; run_areas : area ids by level, (g,) each.
    day, channel, type : (n,) of each report, codes as in ``data/columns.py``.
    week : (n,) from 0, the oldest; negative before the first whole week.
    first, last : days of the oldest and the newest report; 0 without any.
    weeks : whole ones, at most LONGEST.
    """

    run: npt.NDArray[np.int64]
    run_cells: Cells
    run_areas: dict[str, npt.NDArray[np.int32]]
    day: npt.NDArray[np.int64]
    week: npt.NDArray[np.int64]
    channel: npt.NDArray[np.int64]
    type: npt.NDArray[np.int64]
    first: int
    last: int
    weeks: int

    def begins(self, week: int) -> int:
        """First day of a week, as a number."""
        return self.last + 1 - 7 * (self.weeks - week)


def history_of(found: columns.Columns, chosen: npt.NDArray[np.bool_]) -> History:
    """The chosen reports (n,) of columns that hold cell, day, channel, type and FINE_LEVELS."""
    runs = found.runs
    kept = chosen & found.spread(runs["cell"] != 0)
    run = np.repeat(np.arange(len(runs["cell"])), runs["length"])[kept]
    all_days = found.reports["day"]
    day = all_days[kept].astype(np.int64)
    # The history ends with the newest report that fits: what came later was not asked for.
    last = int(day.max()) if len(day) else 0
    first = int(day.min()) if len(day) else 0
    weeks = min((last + 1 - first) // 7, LONGEST)
    return History(
        run=run,
        run_cells=runs["cell"],
        run_areas={level: runs[level] for level in FINE_LEVELS},
        day=day,
        week=(day - last - 1) // 7 + weeks,
        channel=found.reports["channel"][kept].astype(np.int64),
        type=found.reports["type"][kept].astype(np.int64),
        first=first,
        last=last,
        weeks=weeks,
    )
