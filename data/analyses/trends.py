"""Where is it growing? Emerging hot spots of the reports by cell and month (or week).

The method and the precedence of its 17 patterns are in ``geo/trends.py``. Only whole steps
count: half a month looks like a fall. Caveat: a pattern compares a cell with the rest of
the study area in the same step; whether the whole area grows is told apart (``whole``), and
a change in the recording looks like growth (``data/analyses/recording.py``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from data import columns
from data.analyses.study import Study, best_resolution, cube, study
from data.maps import COARSEST, FINEST, LeftOut
from data.query import ReportQuery, TerritoryFacts
from geo.cells import Cells, boundaries, to_text
from geo.errors import InputError
from geo.hotspots import fdr
from geo.kendall import sens_slope
from geo.neighbours import Neighbourhood, neighbourhood
from geo.remarks import Remark, caution, decided
from geo.scale import choose
from geo.trends import CODES, HISTORICAL_STEPS, EmergingHotSpots, emerging_hot_spots, no_history

Step = Literal["month", "week"]

FEWEST_STEPS = 2  # below there is no history at all
TREND_STEPS = 5  # below no rise or fall can be significant at 5 %
ENOUGH_STEPS = 10  # of months, for the automatic choice to prefer them to weeks


@dataclass(frozen=True, slots=True)
class TrendSettings:
    """How histories are made and judged.

    Attributes
    ----------
    step : "month" (calendar months) or "week" (seven days counted back from the last day);
        None: months when there are at least ten whole ones, else weeks.
    resolution : H3 resolution, 4 to 10; None: chosen so that an average step has reports enough.
    k : rings of a neighbourhood; None: chosen as in geo/scale.py.
    level : of "hot" and "cold", after FDR within a step.
    trend_level : of "rising" and "falling".
    autocorrelated : Hamed & Rao's (1998) variance for the trends, for series with a memory.
    """

    step: Step | None = None
    resolution: int | None = None
    k: int | None = None
    level: float = 0.05
    trend_level: float = 0.05
    autocorrelated: bool = False

    def __post_init__(self) -> None:
        faults = []
        if self.step not in (None, "month", "week"):
            faults.append(f"step {self.step!r} is neither month nor week")
        if self.resolution is not None and not COARSEST <= self.resolution <= FINEST:
            faults.append(f"resolution {self.resolution} is not from {COARSEST} to {FINEST}")
        if self.k is not None and not 1 <= self.k <= 10:
            faults.append(f"{self.k} rings are not from 1 to 10")
        for name in ("level", "trend_level"):
            if not 0 < getattr(self, name) < 1:
                faults.append(f"{name} {getattr(self, name)} is not between 0 and 1")
        if faults:
            raise InputError(f"Settings of the trend: {'; '.join(faults)}.")


@dataclass(frozen=True, slots=True, eq=False)
class Trends:
    """Histories of all cells of the study area.

    Attributes
    ----------
    step : of the history; ``starts`` (t,) datetime64[D] are the first days of its steps.
    cells : (n,) int64, ascending.
    series : (n, t) int32, reports; ``counts`` (n,) int64 are their sums.
    history : patterns, Gi*, trends; arrays of n cells and t steps.
    trend_q : (n,) p of the trend after FDR over the cells, for those who search all cells for one.
    count_slope : (n,) Sen's slope of the reports a step; nan for cells without a pattern.
    left_out, outside : reports of the query that no cell holds.
    """

    facts: TerritoryFacts
    query: ReportQuery
    settings: TrendSettings
    resolution: int
    k: int
    step: Step
    starts: npt.NDArray[np.datetime64]
    cells: Cells
    counts: npt.NDArray[np.int64]
    series: npt.NDArray[np.int32]
    history: EmergingHotSpots
    trend_q: npt.NDArray[np.float64]
    count_slope: npt.NDArray[np.float64]
    left_out: LeftOut
    outside: int
    remarks: tuple[Remark, ...]

    @property
    def steps(self) -> int:
        return len(self.starts)

    def classes(self) -> dict[str, int]:
        """Number of cells of each pattern that occurs, by code, hot before cold."""
        held = np.bincount(self.history.patterns, minlength=len(CODES))
        return {code: int(count) for code, count in zip(CODES, held, strict=True) if count}

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """One row a cell, EPSG:4326.

        Columns: ``cell`` (H3 index as text), ``count`` (reports in the whole steps),
        ``class`` (``geo.trends.CODES``), ``trend_z``, ``trend_p``, ``trend_q`` (after FDR)
        and ``tau`` of Mann-Kendall's test of the cell's Gi*, ``slope`` (Sen's, of Gi* a
        step), ``count_slope`` (Sen's, of the reports a step; empty without a pattern),
        ``steps``, ``hot_steps``, ``cold_steps``, ``last_z`` (Gi* of the last step),
        ``last_count``.
        """
        h = self.history
        return gpd.GeoDataFrame(
            {
                "cell": to_text(self.cells),
                "count": self.counts,
                "class": np.array(CODES, dtype=object)[h.patterns],
                "trend_z": h.trend.z,
                "trend_p": h.trend.p,
                "trend_q": self.trend_q,
                "tau": h.trend.tau,
                "slope": h.slope,
                "count_slope": self.count_slope,
                "steps": np.full(len(self.cells), self.steps),
                "hot_steps": h.hot.sum(axis=1),
                "cold_steps": h.cold.sum(axis=1),
                "last_z": _last(h.z),
                "last_count": _last(self.series),
            },
            geometry=boundaries(self.cells),
            crs="EPSG:4326",
        )

    def summary(self) -> dict[str, Any]:
        """JSON-ready: the settings used, the classes, and the trend of the whole area."""
        whole = self.history.whole
        return {
            "territory": self.facts.code,
            "simulated": self.facts.simulated,
            "step": self.step,
            "steps": self.steps,
            "first": str(self.starts[0]) if self.steps else None,
            "last": str(self.starts[-1]) if self.steps else None,
            "resolution": self.resolution,
            "k": self.k,
            "level": self.settings.level,
            "trend_level": self.settings.trend_level,
            "autocorrelated": self.settings.autocorrelated,
            "cells": len(self.cells),
            "reports": int(self.counts.sum()),
            "outside": self.outside,
            "not_on_map": self.left_out.total,
            "classes": self.classes(),
            "whole": {
                "direction": int(whole.direction(self.settings.trend_level)[0]),
                "z": float(whole.z[0]),
                "p": float(whole.p[0]),
                "slope": self.history.whole_slope,
            },
            "remarks": [
                {"code": r.code, "caution": r.caution, "values": dict(r.values)} for r in self.remarks
            ],
        }


def trends(
    conn: Connection,
    query: ReportQuery,
    settings: TrendSettings | None = None,
    *,
    tick: Callable[[float], None] | None = None,
) -> Trends:
    """Emerging hot spots of the reports that fit the query.

    Too few steps are no error: every pattern is then ``none``, and a caution says why.

    Parameters
    ----------
    tick : told the share done, 0 to 1; may raise ``Cancelled``.

    Raises
    ------
    InputError : the territory does not exist, or the resolution gives too many cells.
    """
    chosen = settings or TrendSettings()
    told = tick or (lambda done: None)
    told(0.0)
    period = _period(conn, query)
    step, remarks = _step(period, chosen.step)
    area, k, reasons = _scaled(conn, query, chosen, _whole_steps(period, step))
    told(0.1)
    every = cube(conn, query, area.cells, area.resolution, step)
    whole = every.whole()
    told(0.2)
    remarks += [*reasons, *area.remarks, *every.remarks]
    steps = len(whole.starts)
    if cut := len(every.starts) - steps:
        remarks.append(
            decided("trend_partial_month", steps=cut)
            if step == "month"
            else decided("trend_partial_week", steps=cut)
        )
    if steps < FEWEST_STEPS:
        remarks.append(
            caution("trend_short_month", steps=steps)
            if step == "month"
            else caution("trend_short_week", steps=steps)
        )
        history = no_history(len(area.cells))
    else:
        near = neighbourhood(area.cells, k)
        history = emerging_hot_spots(
            whole.counts,
            near,
            level=chosen.level,
            trend_level=chosen.trend_level,
            autocorrelated=chosen.autocorrelated,
            tick=lambda done: told(0.2 + 0.75 * done),
        )
        remarks += _of_history(near, step, steps)
    count_slope = np.full(len(area.cells), np.nan)
    shown = history.patterns > 0
    if shown.any():
        count_slope[shown] = sens_slope(whole.counts[shown])
    told(1.0)
    return Trends(
        facts=area.facts,
        query=query,
        settings=chosen,
        resolution=area.resolution,
        k=k,
        step=step,
        starts=whole.starts,
        cells=area.cells,
        counts=whole.counts.sum(axis=1, dtype=np.int64),
        series=whole.counts,
        history=history,
        trend_q=fdr(history.trend.p),
        count_slope=count_slope,
        left_out=area.left_out,
        outside=area.outside,
        remarks=tuple(remarks),
    )


def _last(steps: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The last of (n, t) steps, (n,); nan when there is none."""
    return steps[:, -1] if steps.shape[1] else np.full(len(steps), np.nan)


# ---- time ----


def _period(conn: Connection, query: ReportQuery) -> tuple[dt.date, dt.date] | None:
    """First and last day of the history, as ``cube`` takes them; None without any report."""
    found, _ = columns.select(conn, query, {"day"})
    day = found.reports["day"]
    usable = day[(found.reports["state"] & columns.ON_DEFAULT_POINT) == 0]
    if not len(usable):
        return None
    first, last = columns.as_date(int(usable.min())), columns.as_date(int(usable.max()))
    return max(first, query.start or first), min(last, query.end or last)


def _whole_steps(period: tuple[dt.date, dt.date] | None, step: Step) -> int:
    """Number of steps that lie wholly within a period."""
    if period is None or period[1] < period[0]:
        return 0
    first, after = period[0], period[1] + dt.timedelta(days=1)
    if step == "week":
        return (after - first).days // 7
    months = 12 * (after.year - first.year) + after.month - first.month
    return max(0, months - (first.day > 1))


def _step(period: tuple[dt.date, dt.date] | None, asked: Step | None) -> tuple[Step, list[Remark]]:
    """The step that is used, and why."""
    if asked is not None:
        return asked, []
    months, weeks = _whole_steps(period, "month"), _whole_steps(period, "week")
    if months >= ENOUGH_STEPS:
        return "month", [decided("trend_months", months=months, least=ENOUGH_STEPS)]
    return "week", [decided("trend_weeks", months=months, weeks=weeks, least=ENOUGH_STEPS)]


def _scaled(
    conn: Connection, query: ReportQuery, chosen: TrendSettings, steps: int
) -> tuple[Study, int, list[Remark]]:
    """The study area at the resolution that is used, the rings, and the reasons.

    An average step has to hold reports enough, so the reports are divided by the steps.
    """
    steps = max(steps, 1)
    if chosen.resolution is None:
        best = best_resolution(conn, query, steps)
        area = study(conn, query, best.resolution)
    else:
        area = study(conn, query, chosen.resolution)
        counts = area.counts[area.counts > 0] / steps
        best = choose({area.resolution: counts}, {area.resolution: len(area.cells)})
    # What the reader set himself needs no reason.
    given = {"scale_chosen", "scale_many", "scale_thin"} if chosen.resolution is not None else set()
    if chosen.k is not None:
        given |= {"scale_rings", "scale_skewed"}
    reasons = [remark for remark in best.remarks if remark.code not in given]
    if any(not remark.caution for remark in reasons):
        reasons.insert(0, decided("trend_scale"))
    return area, chosen.k or best.k, reasons


# ---- remarks ----


def _of_history(near: Neighbourhood, step: Step, steps: int) -> list[Remark]:
    """What the reader of the patterns has to know."""
    remarks = [
        decided("trend_steps_month", steps=steps)
        if step == "month"
        else decided("trend_steps_week", steps=steps)
    ]
    if steps < TREND_STEPS:
        remarks.append(caution("trend_few", steps=steps, least=TREND_STEPS))
    if steps < HISTORICAL_STEPS:
        remarks.append(caution("trend_no_historical", steps=steps, least=HISTORICAL_STEPS))
    isolated = int(np.count_nonzero(near.isolated))
    if isolated:
        remarks.append(caution("gi_isolated", cells=isolated))
    edge = int(np.count_nonzero(near.edge & ~near.isolated))
    if edge:
        remarks.append(decided("gi_edge", cells=edge, share=round(100 * edge / len(near.cells), 1)))
    return remarks
