"""Two questions side by side: how many reports each has, and how sure the difference is.

Two periods are compared by reports a day, two kinds of reports by their counts, as a ratio
with an interval (``geo/ratios.py``) that is widened by how much weekly counts scatter.
Caveat: the trend and the season inside a period count as scatter, so that a slow change
widens the interval; and a ratio of reports is not a ratio of what they report.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from data import columns
from data.query import ReportQuery
from geo.errors import InputError
from geo.ratios import RateRatio, dispersion, rate_ratio
from geo.remarks import Remark, caution, decided

WEEK = 7
FEW_WEEKS = 4  # in a period: fewer say little about scatter
SCATTERED = 1.5  # a dispersion above it is said


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answer of ``comparison``.

    Attributes
    ----------
    counts : reports of the first and the second question.
    days : length of each period in days, as far as there are data.
    shared : reports that belong to both.
    ratio : reports a day of the first divided by those of the second; None when they share
        reports, for then the interval does not hold, and when one of them has none.
    """

    first: ReportQuery
    second: ReportQuery
    counts: tuple[int, int]
    days: tuple[int, int]
    shared: int
    ratio: RateRatio | None
    remarks: tuple[Remark, ...]


def comparison(conn: Connection, first: ReportQuery, second: ReportQuery) -> Comparison:
    """Reports of two questions about one territory, and the ratio of their rates a day.

    Raises
    ------
    InputError : the questions are about two territories.
    """
    if first.territory_id != second.territory_id:
        raise InputError("Two questions can be compared within one territory only.")
    parts = [_part(conn, query) for query in (first, second)]
    remarks = [part.cut for part in parts if part.cut]
    scatter = dispersion([part.weeks for part in parts])
    shared = int(np.count_nonzero(parts[0].chosen & parts[1].chosen))
    ratio = None
    if not shared and parts[0].count and parts[1].count:
        ratio = rate_ratio(parts[0].count, parts[1].count, parts[0].days, parts[1].days, dispersion=scatter)
        if min(len(part.weeks) for part in parts) < FEW_WEEKS:
            remarks.append(caution("compare_short"))
        if scatter > SCATTERED:
            remarks.append(decided("compare_scatter", times=round(scatter, 1)))
    return Comparison(
        first,
        second,
        (parts[0].count, parts[1].count),
        (parts[0].days, parts[1].days),
        shared,
        ratio,
        tuple(dict.fromkeys(remarks)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One question's reports: which of the territory's (n,), and how many by whole week (w,)."""

    chosen: NDArray[np.bool_]
    count: int
    days: int
    weeks: NDArray[np.int64]
    cut: Remark | None


def _part(conn: Connection, query: ReportQuery) -> _Part:
    found, chosen = columns.select(conn, query, {"day"})
    every = found.reports["day"]
    count = int(np.count_nonzero(chosen))
    if not len(every):
        return _Part(chosen, 0, 1, np.zeros(0, dtype=np.int64), None)
    known = columns.as_date(int(every.min())), columns.as_date(int(every.max()))
    start, end = max(query.start or known[0], known[0]), min(query.end or known[1], known[1])
    if end < start:
        return _Part(chosen, 0, 1, np.zeros(0, dtype=np.int64), caution("compare_outside"))
    asked = query.start or start, query.end or end
    # Days before the first report are not days without reports: nothing is known of them.
    cut = caution("compare_cut", first=start.isoformat(), last=end.isoformat())
    days = (end - start).days + 1
    return _Part(
        chosen, count, days, _weeks(every[chosen], start, days), cut if asked != (start, end) else None
    )


def _weeks(of_days: NDArray, start: dt.date, length: int) -> NDArray[np.int64]:
    """Counts by whole week from ``start`` on; days after the last whole week are left out."""
    weeks = length // WEEK
    since = of_days.astype(np.int64) - int((np.datetime64(start, "D") - columns.DAY_ZERO).astype(np.int64))
    return np.bincount(since[(since >= 0) & (since < weeks * WEEK)] // WEEK, minlength=weeks)[:weeks]
