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
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from scipy.stats import nbinom, poisson

from geo.backtest import BUDGETS, Trials, efficiency
from geo.cells import areas_km2
from geo.errors import InputError
from geo.forecast_boosting import boosted
from geo.forecast_mixture import kinds, mixture, residuals
from geo.forecast_models import (
    MEMORY_DAYS,
    Model,
    Task,
    kde,
    kde_best,
    kde_decay,
    last,
    past_counts,
    recent,
    season,
    task,
)
from geo.forecast_total import total
from geo.ground import Ground
from geo.history import History, Window

Floats = npt.NDArray[np.float64]
Tick = Callable[[float], None]

MODELS: dict[str, Model] = {
    "last": last,
    "past": past_counts,
    "recent": recent,
    "kde": kde,
    "kde_best": kde_best,
    "kde_decay": kde_decay,
    "season": season,
    "mixture": mixture,
    "kinds": kinds,
    "boosted": boosted,
}
AVERAGE = "average"
CODES = (*MODELS, AVERAGE)
PLAIN = ("kde", "last", "past")  # what a forecast has to beat
RIVALS = (*PLAIN, "kde_best")  # and the hardest of the simple ones
# Equal weights: estimated ones are no better on so few months (Smith & Wallis 2009).
AVERAGED = ("mixture", "kinds")
DEFAULT = AVERAGE
AUTO = "auto"

ANYWHERE = 0.01  # share of the reports that may come from any cell, for each model alike
_JUDGED_ON = BUDGETS[:3]
_FIRST = 3  # tests before which "auto" keeps to the default
_MOST_ROWS = 200_000  # residuals on which the spread is fitted
_BUSY, _LEAST_BUSY = 0.1, 200  # share of them with most expected, and how many that must be


def shares_of(
    given: Task, codes: Sequence[str], seed: int = 0, tick: Tick | None = None
) -> dict[str, Floats]:
    """Where each model expects the next reports: (n,) shares of the cells, by code.

    Raises
    ------
    InputError : a code is no model's.
    """
    unknown = sorted(set(codes) - set(CODES))
    if unknown:
        raise InputError(f"There is no forecast model {unknown[0]!r}; there are: {', '.join(CODES)}.")
    parts = AVERAGED if AVERAGE in codes else ()
    wanted = [code for code in MODELS if code in codes or code in parts]
    found: dict[str, Floats] = {}
    for number, code in enumerate(wanted):
        if tick:
            tick(number / len(wanted))
        # Each model draws from its own source: what else is asked for changes nothing.
        rng = np.random.default_rng([seed, zlib.crc32(code.encode()), abs(given.past.end)])
        found[code] = MODELS[code](given, rng)
    if parts:
        found[AVERAGE] = np.mean([found[code] for code in parts], axis=0)
    return {code: found[code] for code in codes}


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
    training: int | None = None,
    tick: Tick | None = None,
) -> Trials:
    """What each model would have forecast for each window, from what was known at its start.

    Parameters
    ----------
    windows : to be forecast, ascending, each with some days recorded before it.
    memory : days that the plain ways look back.
    training : most windows that a model learns on; by the number of cells when left out.
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
        part = None
        if tick:
            part = partial(_within, tick, number, len(windows))
        for code, share in shares_of(given, codes, seed, part).items():
            rows[code].append(expected(share, reports))
    if tick:
        tick(1.0)
    return Trials(
        cells=whole.cells,
        km2=areas_km2(whole.cells),
        starts=np.array([window.start for window in windows], dtype=np.int64),
        observed=np.array([whole.counts(window) for window in windows]).reshape(len(windows), -1),
        forecasts={code: np.array(found) for code, found in rows.items()},
    )


def _within(tick: Tick, number: int, of: int, share: float) -> None:
    """Progress of one part of several."""
    tick((number + share) / of)


def best(trials: Trials, codes: Sequence[str] = CODES) -> str:
    """The model that caught most of what could be caught: mean PEI at 1, 2 and 5 % over the tests."""
    caught = {code: _efficiencies(trials, code) for code in codes if code in trials.forecasts}
    if not caught or not np.isfinite(next(iter(caught.values()))).any():
        return DEFAULT
    return max(caught, key=lambda code: float(np.nanmean(caught[code])))


def chosen_before(trials: Trials, codes: Sequence[str] = CODES) -> tuple[Floats, list[str]]:
    """What ``auto`` would have forecast, (t, n), and which model it would have taken each time.

    At every test the model that was best in the tests before it, the default at first: an
    honest measure of choosing by backtest, which "the best of the table" is not.
    """
    known = [code for code in codes if code in trials.forecasts]
    start = DEFAULT if DEFAULT in known else known[-1]
    caught = {code: _efficiencies(trials, code) for code in known}
    taken = []
    for number in range(len(trials.starts)):
        enough = number >= _FIRST and np.isfinite(caught[start][:number]).any()
        means = {code: float(np.nanmean(caught[code][:number])) for code in known} if enough else {start: 0.0}
        taken.append(max(means, key=lambda code: means[code]))
    return np.array([trials.forecasts[code][at] for at, code in enumerate(taken)]), taken


def _efficiencies(trials: Trials, code: str) -> Floats:
    """Mean PEI at 1, 2 and 5 % by test, (t,); nan for a test without reports."""
    pairs = zip(trials.forecasts[code], trials.observed, strict=True)
    return np.array([efficiency(forecast, came, _JUDGED_ON) for forecast, came in pairs])


def spread(observed: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Over-dispersion α of counts around a forecast, by maximum likelihood: variance μ + α μ².

    0 is Poisson. The forecast's error, in one cell or in the total, is part of it. It is
    fitted where most is expected (a tenth of the counts, if those are enough): where hardly
    anything is expected, counts scatter more for their mean, and any interval holds.
    """
    y, mu = np.ravel(observed).astype(np.float64), np.ravel(forecast).astype(np.float64)
    usable = mu > 0
    y, mu = y[usable], mu[usable]
    if len(mu) >= _LEAST_BUSY / _BUSY:
        busy = mu >= np.quantile(mu, 1 - _BUSY)
        y, mu = y[busy], mu[busy]
    # Every so-many-th of the cells, in order of forecast: rare and busy ones alike.
    some = np.argsort(mu, kind="stable")[:: max(1, -(-len(mu) // _MOST_ROWS))]
    y, mu = y[some], mu[some]
    if not len(y) or not y.sum() > 0:
        return 0.0

    def unlikely(log_alpha: float) -> float:
        shape = np.exp(-log_alpha)
        ups = gammaln(y + shape) - gammaln(shape) - y * np.log(mu + shape)
        return float(-np.mean(ups - shape * np.log1p(mu / shape)))

    found = minimize_scalar(unlikely, bounds=(-9.0, 4.0), method="bounded")
    return 0.0 if found.x < -8.5 else float(np.exp(found.x))


def recent_spread(given: Task) -> float:
    """Over-dispersion of the default forecast in its latest training windows; see ``spread``."""
    came, share = residuals(given)
    if not len(came):
        return 0.0
    forecasts = [
        expected(row, total(given.past.before(window.start), window.days))
        for row, window in zip(share, given.windows[-len(came) :], strict=True)
    ]
    return spread(came, np.array(forecasts))


def interval(forecast: Floats, alpha: float, probability: float = 0.9) -> tuple[Floats, Floats]:
    """Counts between which a cell's reports will lie with ``probability`` or a little more, (n,) each."""
    if not 0 < probability < 1:
        raise InputError(f"An interval of {probability} is not between 0 and 1.")
    tails = ((1 - probability) / 2, (1 + probability) / 2)
    # Cells of nearly the same forecast share their bounds: half a per cent decides nothing.
    grid, place = np.unique(np.round(np.log(np.maximum(forecast, 1e-9)) * 200), return_inverse=True)
    mu = np.exp(grid / 200)
    if alpha > 0:
        low, high = (nbinom.ppf(tail, 1 / alpha, 1 / (1 + alpha * mu)) for tail in tails)
    else:
        low, high = (poisson.ppf(tail, mu) for tail in tails)
    return low[place], high[place]


def coverage(trials: Trials, code: str, probability: float = 0.9, budget: float = 0.1) -> float:
    """Share of counts within their interval, in the cells of the highest forecast.

    The spread of each test is fitted on the other tests. In the many cells where nothing is
    expected and nothing comes, any interval holds: they are left out. nan with one test only.
    """
    forecasts, observed = trials.forecasts[code], trials.observed
    if len(trials.starts) < 2:
        return float("nan")
    inside = []
    for at, (forecast, came) in enumerate(zip(forecasts, observed, strict=True)):
        others = np.arange(len(forecasts)) != at
        low, high = interval(forecast, spread(observed[others], forecasts[others]), probability)
        top = np.argsort(-forecast, kind="stable")[: max(1, int(budget * len(forecast)))]
        inside.append(np.mean((came[top] >= low[top]) & (came[top] <= high[top])))
    return float(np.mean(inside))
