"""Where reports will be in the next weeks, and how well the same forecast did before.

``forecast`` gives the reports to expect by cell in the days after the newest one, with an
interval; ``backtest`` repeats every model at earlier dates, each from what was known then,
and counts how many of the later reports fell into the cells it would have chosen
(``geo/forecast.py``, ``geo/backtest.py``). A backtest is kept in the store until the data
change, and tells ``forecast`` which model to use. Caveat: expected are reports, which
follow people and their habit of reporting, not what is wrong in the street.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import Connection

from data import columns
from data.analyses.kept import key_of, recall, remember
from data.analyses.study import best_resolution, places, study_cells
from data.query import ReportQuery, territory_facts
from geo.backtest import BUDGETS, Difference, Fit, Judge, Score, Trials, budget_cells, fit
from geo.cells import Cells, boundaries, to_text
from geo.errors import InputError
from geo.forecast import (
    AUTO,
    CODES,
    DEFAULT,
    RIVALS,
    best,
    chosen_before,
    coverage,
    expected,
    interval,
    recent_spread,
    rolling,
    shares_of,
    spread,
)
from geo.forecast_models import task
from geo.forecast_total import HALF_LIFE_SEASONAL, YEAR, total
from geo.ground import Ground
from geo.history import History, Window, history
from geo.remarks import Remark, caution, decided

Floats = npt.NDArray[np.float64]
Tick = Callable[[float], None]
Horizon = Literal["week", "month"]

DAYS: dict[str, int] = {"week": 7, "month": 30}
MOST_TESTS: dict[str, int] = {"week": 16, "month": 12}
LEAST_TESTS = 3
TRAINING = 6  # windows before the first test, at least
MOST_CELLS = 40_000  # beyond it a forecast by cell takes too long, and says too little
FEW = 200  # reports in all below which a forecast by cell is hardly more than a guess
KIND = "backtest"
VERSION = 1  # of the kept form and of the models: results of another one are computed anew
PROBABILITY = 0.9  # of the interval of a cell's count


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """What is forecast, and how.

    Parameters
    ----------
    horizon : the 7 (week) or 30 (month) days after the newest report, or after the query's end.
    resolution : of the cells; chosen automatically when None.
    model : a code of ``geo.forecast.CODES``, or "auto": the best of the kept backtest.
    seed : of the models that draw.

    Raises
    ------
    InputError : there is no such horizon or model.
    """

    horizon: Horizon = "month"
    resolution: int | None = None
    model: str = AUTO
    seed: int = 0

    def __post_init__(self) -> None:
        if self.horizon not in DAYS:
            raise InputError(f"A forecast is of the next week or month, not of {self.horizon!r}.")
        if self.model not in (AUTO, *CODES):
            raise InputError(
                f"There is no forecast model {self.model!r}; there are: {', '.join((AUTO, *CODES))}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """How well each model did on windows it had never seen.

    Attributes
    ----------
    days : length of a window. starts : first day of each that was forecast.
    cells, reports : cells of the study area; reports in all windows together.
    scores : every model, and "auto" (at each test the best so far), at every budget of area.
    differences : the chosen model against KDE, last window's and past counts, paired.
    fits : deviance and calibration by model.
    best : the model that caught most; DEFAULT where there were too few tests.
    alpha : over-dispersion of the counts around the best model's forecast.
    coverage : share of counts within their interval, where most is expected; nan for one test.
    """

    query: ReportQuery
    settings: ForecastSettings
    resolution: int
    days: int
    starts: tuple[dt.date, ...]
    cells: int
    reports: int
    scores: tuple[Score, ...]
    differences: tuple[Difference, ...]
    fits: tuple[Fit, ...]
    best: str
    alpha: float
    coverage: float
    remarks: tuple[Remark, ...]

    def score(self, model: str, budget: float) -> Score | None:
        """One line of the table; None when the model or budget is not in it."""
        fits = (s for s in self.scores if s.model == model and math.isclose(s.budget, budget))
        return next(fits, None)

    def to_frame(self) -> pd.DataFrame:
        """One row a model and budget.

        Columns: ``model``, ``budget`` (share of the study area's cells, 0 to 1), ``cells`` (as
        many whole cells), ``hit`` (share of the later reports in them), ``hit_low``,
        ``hit_high``, ``pai`` (hit ÷ share of area), ``pei`` (hit ÷ the most that was
        possible), ``low``, ``high`` (95 % of PAI over windows), ``low_cells``, ``high_cells``
        (over blocks of cells), ``best`` (the most that was possible, as ``hit``), ``area``
        (share of area) and ``deviance`` (mean Poisson deviance of a cell and window).
        """
        deviance = {f.model: f.deviance for f in self.fits}
        rows = [dataclasses.asdict(score) | {"deviance": deviance[score.model]} for score in self.scores]
        first = ["model", "budget", "hit", "pai", "pei", "low", "high"]
        frame = pd.DataFrame(rows, columns=[*first, *(set(rows[0] if rows else ()) - set(first))])
        return frame[[*first, *sorted(set(frame.columns) - set(first))]]

    def differences_frame(self) -> pd.DataFrame:
        """One row a rival and budget: ``model``, ``against``, ``budget``, ``hit``, ``pai``, ``low``,
        ``high`` (95 % over windows), ``low_cells``, ``high_cells``, ``better`` (interval above 0)."""
        return pd.DataFrame([dataclasses.asdict(d) | {"better": d.better} for d in self.differences])

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "resolution": self.resolution,
            "horizon": self.settings.horizon,
            "days": self.days,
            "windows": [day.isoformat() for day in self.starts],
            "cells": self.cells,
            "reports": self.reports,
            "best": self.best,
            "coverage": None if math.isnan(self.coverage) else self.coverage,
            "scores": _records(self.to_frame()),
            "differences": _records(self.differences_frame()),
            "calibration": {f.model: [None if math.isnan(r) else r for r in f.ratios] for f in self.fits},
            "remarks": _told(self.remarks),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Reports to expect by cell; arrays (n,), cells ascending, zeros included.

    Attributes
    ----------
    expected : reports from ``first`` to ``last``, both included.
    low, high : between which the cell's count will lie with 90 % probability or a little more.
    recent : reports in as many days before ``first``.
    long_run : mean reports of as many days over all that is known.
    rank : 1 for the cell with most expected.
    model : the code of the model; ``asked`` in the settings may be "auto".
    tested : the kept backtest of the same question, or None.
    total : reports expected in all cells.
    alpha : over-dispersion of a cell's count: its variance is mean + alpha · mean².
    """

    query: ReportQuery
    settings: ForecastSettings
    resolution: int
    cells: Cells
    expected: Floats
    low: Floats
    high: Floats
    recent: npt.NDArray[np.int64]
    long_run: Floats
    rank: npt.NDArray[np.int64]
    first: dt.date | None
    last: dt.date | None
    model: str
    total: float
    tested: Backtest | None
    remarks: tuple[Remark, ...]
    alpha: float = 0.0

    def top(self, budget: float) -> npt.NDArray[np.bool_]:
        """The cells that a budget of the area (0 to 1) would choose, (n,)."""
        if not len(self.cells):
            return np.zeros(0, dtype=bool)
        return self.rank <= budget_cells(len(self.cells), budget)

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """One row a cell, EPSG:4326.

        Columns: ``cell`` (H3 index as text), ``expected``, ``low``, ``high`` (90 % interval of the
        count), ``rank`` (1 = most expected), ``budget`` (the smallest of 0.01, 0.02, 0.05, 0.1 of
        the area that holds the cell; empty beyond), ``recent`` (reports in as many days before),
        ``long_run`` (mean of as many days), ``first``, ``last`` (days forecast) and ``model``.
        """
        budget = np.full(len(self.cells), np.nan)
        for share in sorted(BUDGETS, reverse=True):
            budget[self.top(share)] = share
        return gpd.GeoDataFrame(
            {
                "cell": to_text(self.cells),
                "expected": self.expected,
                "low": self.low,
                "high": self.high,
                "rank": self.rank,
                "budget": budget,
                "recent": self.recent,
                "long_run": self.long_run,
                "first": self.first.isoformat() if self.first else None,
                "last": self.last.isoformat() if self.last else None,
                "model": self.model,
            },
            geometry=boundaries(self.cells),
            crs="EPSG:4326",
        )

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "resolution": self.resolution,
            "horizon": self.settings.horizon,
            "first": self.first,
            "last": self.last,
            "model": self.model,
            "backtested": self.tested is not None,
            "cells": len(self.cells),
            "expected": self.total,
            "recent": int(self.recent.sum()),
            "share_expected": {
                f"{share:.0%}": float(self.expected[self.top(share)].sum() / self.total)
                if self.total
                else None
                for share in BUDGETS
            },
            "remarks": _told(self.remarks),
        }


def forecast(
    conn: Connection,
    query: ReportQuery,
    settings: ForecastSettings | None = None,
    *,
    kept: bool = True,
    tick: Tick | None = None,
) -> Forecast:
    """Reports to expect by cell of the study area in the days after the newest report.

    Parameters
    ----------
    query : its end, if any, is the day before the forecast; its start limits what is learnt from.
    kept : False leaves a kept backtest aside: the answer then follows from the reports alone.
    tick : called with the share done; raise ``Cancelled`` in it to stop.

    Raises
    ------
    InputError : the territory does not exist, or the study area has too many cells.
    """
    wanted = settings or ForecastSettings()
    resolution, found = _resolution(conn, query, wanted)
    past = _history(conn, query, resolution)
    days = DAYS[wanted.horizon]
    if past is None or past.days < 2 * days or not len(past.day):
        return _nothing(conn, query, wanted, resolution, past, days)
    tested = kept_backtest(conn, query, wanted) if kept else None
    model = wanted.model
    if model == AUTO:
        model = tested.best if tested else DEFAULT
    remarks = list(found)
    if wanted.model == AUTO and tested is None:
        remarks.append(caution("forecast_untested"))
    if wanted.model == AUTO and tested is not None:
        remarks.append(decided("forecast_chosen", windows=len(tested.starts)))
    if len(past.day) < FEW:
        remarks.append(caution("forecast_few", reports=len(past.day)))
    if past.days < YEAR + HALF_LIFE_SEASONAL:  # as in `total`: no earlier year to compare with
        remarks.append(caution("forecast_no_season", months=round(past.days / 30.4)))
    given = task(past, days, Ground(past.cells))
    share = shares_of(given, (model,), wanted.seed, tick)[model]
    reports = total(past, days)
    mean = expected(share, reports)
    alpha = tested.alpha if tested and tested.best == model else recent_spread(given)
    low, high = interval(mean, alpha, PROBABILITY)
    order = np.lexsort((past.cells, -mean))
    rank = np.empty(len(mean), dtype=np.int64)
    rank[order] = np.arange(1, len(mean) + 1)
    if tick:
        tick(1.0)
    return Forecast(
        query=query,
        settings=wanted,
        resolution=resolution,
        cells=past.cells,
        expected=mean,
        low=low,
        high=high,
        recent=past.counts(Window(past.end - days, past.end)).astype(np.int64),
        long_run=past.counts(Window(past.first, past.end)) * (days / past.days),
        rank=rank,
        first=columns.as_date(past.end),
        last=columns.as_date(past.end + days - 1),
        model=model,
        total=float(mean.sum()),
        tested=tested,
        remarks=tuple(remarks),
        alpha=alpha,
    )


def backtest(
    conn: Connection,
    query: ReportQuery,
    settings: ForecastSettings | None = None,
    *,
    tick: Tick | None = None,
) -> Backtest:
    """Every model on the newest windows, each forecast from what was known before it.

    The answer is kept in the store until the territory's data change; the caller commits.
    ``settings.model`` does not matter. Too short a history gives an empty table with a caution.

    Raises
    ------
    InputError : the territory does not exist, or the study area has too many cells.
    """
    wanted = dataclasses.replace(settings or ForecastSettings(), model=AUTO)
    kept = kept_backtest(conn, query, wanted)
    if kept is not None:
        if tick:
            tick(1.0)
        return kept
    resolution, found = _resolution(conn, query, wanted)
    past = _history(conn, query, resolution)
    days = DAYS[wanted.horizon]
    windows = _windows(past, days, MOST_TESTS[wanted.horizon]) if past is not None else []
    # A window without any report tells nothing of where reports come.
    if past is not None:
        windows = [window for window in windows if past.counts(window).sum() > 0]
    if past is None or len(windows) < LEAST_TESTS:
        recorded = 0 if past is None else past.days
        short = caution("backtest_short", days=recorded, needed=(TRAINING + LEAST_TESTS) * days)
        result = _empty(query, wanted, resolution, days, past, (*found, short))
    else:
        result = _judged(query, wanted, resolution, past, windows, found, tick)
    facts = territory_facts(conn, query.territory_id)
    remember(conn, facts.id, KIND, _key(query, wanted), facts.data_version, _to_keep(result))
    return result


def kept_backtest(conn: Connection, query: ReportQuery, settings: ForecastSettings) -> Backtest | None:
    """The backtest of a question with these settings (but for the model), if made on the same data."""
    facts = territory_facts(conn, query.territory_id)
    wanted = dataclasses.replace(settings, model=AUTO)
    kept = recall(conn, facts.id, KIND, _key(query, wanted), facts.data_version)
    return None if kept is None else _from_kept(query, wanted, kept)


# ---- the past ----


def _resolution(
    conn: Connection, query: ReportQuery, settings: ForecastSettings
) -> tuple[int, tuple[Remark, ...]]:
    remarks: tuple[Remark, ...] = ()
    if settings.resolution is not None:
        resolution = settings.resolution
    else:
        choice = best_resolution(conn, query)
        resolution, remarks = choice.resolution, choice.remarks
    cells, _ = study_cells(conn, query, resolution)
    if settings.resolution is not None and len(cells) > MOST_CELLS:
        raise InputError(
            f"At resolution {resolution} the study area has {len(cells):,} cells, and a forecast takes at "
            f"most {MOST_CELLS:,}: choose a coarser one or fewer areas."
        )
    return resolution, tuple(r for r in remarks if r.code != "scale_rings")


def _history(conn: Connection, query: ReportQuery, resolution: int) -> History | None:
    """Reports of the question by cell, day and kind; None when the territory has none."""
    found, chosen = columns.select(conn, query, {"cell", "day", "element", "type"})
    day = found.reports["day"].astype(np.int32)
    usable = day[(found.reports["state"] & columns.ON_DEFAULT_POINT) == 0]
    if not len(usable):
        return None
    # The territory's days, not those of the reports that fit: a week without any is a week of zeros.
    first, last = columns.first_day(usable), int(usable.max())
    if query.start:
        first = max(first, _number(query.start))
    if query.end:
        last = min(last, _number(query.end))
    if last < first:
        return None
    cells, _ = study_cells(conn, query, resolution)
    place = found.spread(places(cells, found.runs["cell"], resolution))
    keep = chosen & (day >= first) & (day <= last) & (place >= 0)
    element = found.reports["element"][keep].astype(np.int64)
    kind = np.where(element > 0, element, -found.reports["type"][keep].astype(np.int64))
    return history(cells, place[keep], day[keep], first, last + 1, np.unique(kind, return_inverse=True)[1])


def _number(day: dt.date) -> int:
    return int((np.datetime64(day, "D") - columns.DAY_ZERO).astype(np.int64))


def _windows(past: History, days: int, most: int) -> list[Window]:
    """Windows to forecast: without gaps up to the last day, after enough to learn from."""
    room = (past.days - TRAINING * days) // days
    number = max(0, min(most, room))
    return [Window(past.end - days * (i + 1), past.end - days * i) for i in reversed(range(number))]


# ---- results ----


def _judged(
    query: ReportQuery,
    settings: ForecastSettings,
    resolution: int,
    past: History,
    windows: Sequence[Window],
    remarks: tuple[Remark, ...],
    tick: Tick | None,
) -> Backtest:
    trials = rolling(past, windows, CODES, seed=settings.seed, tick=tick)
    winner = best(trials)
    trials.forecasts[AUTO], _ = chosen_before(trials, CODES)
    judge = Judge(trials, rng=np.random.default_rng(settings.seed))
    against = tuple(code for code in RIVALS if code in trials.forecasts)
    observed = int(trials.observed.sum())
    return Backtest(
        query=query,
        settings=settings,
        resolution=resolution,
        days=DAYS[settings.horizon],
        starts=tuple(columns.as_date(window.start) for window in windows),
        cells=len(past.cells),
        reports=observed,
        scores=tuple(score for code in trials.forecasts for score in judge.scores(code)),
        # Of "auto" and not of the winner: the winner was chosen on these very windows.
        differences=tuple(judge.differences(AUTO, against)),
        fits=tuple(fit(trials, code) for code in trials.forecasts),
        best=winner,
        alpha=spread(trials.observed, trials.forecasts[winner]),
        coverage=_coverage(trials, winner),
        remarks=remarks,
    )


def _coverage(trials: Trials, code: str) -> float:
    return coverage(trials, code, PROBABILITY)


def _empty(
    query: ReportQuery,
    settings: ForecastSettings,
    resolution: int,
    days: int,
    past: History | None,
    remarks: tuple[Remark, ...],
) -> Backtest:
    cells = 0 if past is None else len(past.cells)
    return Backtest(
        query, settings, resolution, days, (), cells, 0, (), (), (), DEFAULT, 0.0, math.nan, remarks
    )


def _nothing(
    conn: Connection,
    query: ReportQuery,
    settings: ForecastSettings,
    resolution: int,
    past: History | None,
    days: int,
) -> Forecast:
    cells, _ = study_cells(conn, query, resolution)
    none = np.zeros(len(cells))
    said = caution("forecast_short", days=0 if past is None else past.days, needed=2 * days)
    whole = none.astype(np.int64)
    return Forecast(
        query, settings, resolution, cells, none, none, none, whole, none, whole + 1, None, None,
        DEFAULT, 0.0, None, (said,),
    )  # fmt: skip


# ---- what is kept ----


def _key(query: ReportQuery, settings: ForecastSettings) -> str:
    return key_of(VERSION, query, settings)


def _to_keep(result: Backtest) -> dict[str, Any]:
    return {
        "resolution": result.resolution,
        "days": result.days,
        "starts": [day.isoformat() for day in result.starts],
        "cells": result.cells,
        "reports": result.reports,
        "scores": [_plain(score) for score in result.scores],
        "differences": [_plain(difference) for difference in result.differences],
        "fits": [_plain(one) for one in result.fits],
        "best": result.best,
        "alpha": result.alpha,
        "coverage": None if math.isnan(result.coverage) else result.coverage,
        "remarks": [[r.code, list(r.values), r.caution] for r in result.remarks],
    }


def _from_kept(query: ReportQuery, settings: ForecastSettings, kept: dict[str, Any]) -> Backtest:
    return Backtest(
        query=query,
        settings=settings,
        resolution=kept["resolution"],
        days=kept["days"],
        starts=tuple(dt.date.fromisoformat(day) for day in kept["starts"]),
        cells=kept["cells"],
        reports=kept["reports"],
        scores=tuple(Score(**_back(one)) for one in kept["scores"]),
        differences=tuple(Difference(**_back(one)) for one in kept["differences"]),
        fits=tuple(
            Fit(one["model"], one["deviance"], tuple(one["expected"]), tuple(one["observed"]))
            for one in kept["fits"]
        ),
        best=kept["best"],
        alpha=kept["alpha"],
        coverage=math.nan if kept["coverage"] is None else kept["coverage"],
        remarks=tuple(
            Remark(code, tuple((name, value) for name, value in values), warns)
            for code, values, warns in kept["remarks"]
        ),
    )


def _plain(one: Score | Difference | Fit) -> dict[str, Any]:
    """A row for JSON, which knows no nan."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in dataclasses.asdict(one).items()
    }


def _back(row: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in row.items()}


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [_plain_row(row) for row in frame.to_dict("records")]


def _plain_row(row: dict[Any, Any]) -> dict[str, Any]:
    return {str(k): None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


def _told(remarks: Sequence[Remark]) -> list[dict[str, Any]]:
    return [{"code": r.code, "caution": r.caution, "values": dict(r.values)} for r in remarks]
