"""Expected reports by cell for the days to come, and what the same models said before.

A model of ``MODELS`` says where (shares of the cells), ``total`` says how many in all: recent
daily reports, times what the same season did in earlier years. ``rolling`` repeats the
forecast at earlier origins, each from what was known then (rolling origin, Tashman 2000), for
``geo/backtest.py`` to judge. Intervals are negative binomial around the expected count, as
wide as the residuals of such forecasts ask for. Caveat: a forecast is of reports, which
follow people and their habits of reporting, not of what is wrong in the street.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from scipy.stats import nbinom, poisson

from geo.backtest import BUDGETS, Trials, efficiency
from geo.cells import areas_km2
from geo.errors import InputError
from geo.forecast_boosting import average, boosted
from geo.forecast_mixture import mixture
from geo.forecast_models import (
    MEMORY_DAYS,
    WINDOWS,
    YEAR,
    Model,
    Task,
    kde,
    kde_decay,
    last,
    past_counts,
    recent,
    season,
    task,
)
from geo.ground import Ground
from geo.history import History, Window

Floats = npt.NDArray[np.float64]
Tick = Callable[[float], None]

MODELS: dict[str, Model] = {
    "last": last,
    "past": past_counts,
    "recent": recent,
    "kde": kde,
    "kde_decay": kde_decay,
    "season": season,
    "mixture": mixture,
    "boosted": boosted,
}
AVERAGE = "average"
CODES = (*MODELS, AVERAGE)
PLAIN = ("kde", "last", "past")  # what a forecast has to beat
DEFAULT = "mixture"
AUTO = "auto"
NEEDED = {AVERAGE: ("mixture", "boosted", "kde_decay", "season")}

ANYWHERE = 0.01  # share of the reports that may come from any cell, for each model alike
_JUDGED_ON = BUDGETS[:3]
_FIRST = 3  # tests before which "auto" keeps to the default
_MOST_ROWS = 200_000  # residuals on which the spread is fitted


def shares_of(given: Task, codes: Sequence[str], seed: int = 0) -> dict[str, Floats]:
    """Where each model expects the next reports: (n,) shares of the cells, by code.

    Raises
    ------
    InputError : a code is no model's.
    """
    unknown = sorted(set(codes) - set(CODES))
    if unknown:
        raise InputError(f"There is no forecast model {unknown[0]!r}; there are: {', '.join(CODES)}.")
    found: dict[str, Floats] = {}
    for code in (*MODELS, AVERAGE):
        wanted = code in codes or any(code in NEEDED.get(c, ()) for c in codes)
        if wanted:
            # Each model draws from its own source: what else is asked for changes nothing.
            rng = np.random.default_rng([seed, zlib.crc32(code.encode()), abs(given.past.end)])
            found[code] = MODELS[code](given, rng) if code in MODELS else average(given, rng, found)
    return {code: found[code] for code in codes}


def total(past: History, days: int) -> float:
    """Reports expected in all cells together within the ``days`` days after ``past``.

    Recent daily reports by exponential smoothing; where an earlier year is recorded, times
    the ratio of the same days (three more on each side) to what was recent then, to the
    power of 0.8. Half-lives and power were chosen on Boston's reports before July 2018.
    """
    daily = past.daily()
    end = len(daily)
    ratios = []
    for back in range(1, 6):
        then = end - round(back * YEAR)
        if then < 30:
            break
        around = daily[max(0, then - 3) : then + days + 3]
        usual = _smoothed(daily[:then], 30.0)
        if usual > 0 and around.sum() > 0:
            ratios.append(np.log(around.mean() / usual))
    if ratios:
        return float(_smoothed(daily, 30.0) * days * np.exp(0.8 * np.mean(ratios)))
    return float(_smoothed(daily, 14.0 if days > 14 else 7.0) * days)


def _smoothed(daily: Floats, half_life: float) -> float:
    """Mean of daily counts, each weighed by its age."""
    if not len(daily):
        return 0.0
    fade = 0.5 ** (np.arange(len(daily) - 1, -1, -1) / half_life)
    return float(fade @ daily / fade.sum())


def expected(share: Floats, reports: float) -> Floats:
    """Reports expected by cell, (n,): the shares, but for a hundredth that may come anywhere."""
    return reports * ((1 - ANYWHERE) * share + ANYWHERE / max(len(share), 1))


def rolling(
    whole: History,
    windows: Sequence[Window],
    codes: Sequence[str] = CODES,
    *,
    ground: Ground | None = None,
    seed: int = 0,
    memory: int = MEMORY_DAYS,
    training: int = WINDOWS,
    tick: Tick | None = None,
) -> Trials:
    """What each model would have forecast for each window, from what was known at its start.

    Parameters
    ----------
    windows : to be forecast, ascending, each with some days recorded before it.
    memory : days that the plain ways look back; training : most windows that a model learns on.
    tick : called with the share done; may raise to stop.

    Raises
    ------
    InputError : a window has no past, or is not over.
    """
    land = ground or Ground(whole.cells)
    rows: dict[str, list[Floats]] = {code: [] for code in codes}
    for number, window in enumerate(windows):
        if window.end > whole.end:
            raise InputError(f"The window from day {window.start} to {window.end - 1} is not over yet.")
        given = task(whole.before(window.start), window.days, land, windows=training, memory=memory)
        reports = total(given.past, window.days)
        for step, code in enumerate(codes):
            if tick:
                tick((number + step / len(codes)) / len(windows))
            if code != AVERAGE:
                rows[code].append(expected(shares_of(given, [code], seed)[code], reports))
        if AVERAGE in codes:
            share = _averaged(given, rows, reports, seed)
            rows[AVERAGE].append(expected(share, reports))
    if tick:
        tick(1.0)
    return Trials(
        cells=whole.cells,
        km2=areas_km2(whole.cells),
        starts=np.array([window.start for window in windows], dtype=np.int64),
        observed=np.array([whole.counts(window) for window in windows]).reshape(len(windows), -1),
        forecasts={code: np.array(found) for code, found in rows.items()},
    )
