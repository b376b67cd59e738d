"""How well forecasts did: hit rate, PAI, PEI, deviance and calibration, with intervals.

PAI = (n/N) / (a/A), the share of the reports caught over the share of the area chosen
(Chainey, Tompson & Uhlig 2008); PEI = n / n*, what was caught over the most that as many
cells could have caught (Hunt 2016). A budget is a number of whole cells, as many as fit into
the share of the cells, at least one; cells of equal forecast at the edge of the budget are
all taken in part, so that the order of cells decides nothing. Counts are pooled over the
tests. Intervals are block bootstraps, once over test steps in runs (Künsch 1989; would it be
so in other months here?) and once over blocks of cells (does it rest on a few places?).
Caveat: with six tests the first is rough, although it is widened by Student's t for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from scipy.stats import t as student

from geo.cells import Cells, parents, resolutions
from geo.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BUDGETS = (0.01, 0.02, 0.05, 0.10)
DRAWS = 2000
CONFIDENCE = 0.95
CLASSES = 10


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Forecasts and what came, step by step.

    Attributes
    ----------
    cells : (n,) int64, ascending.
    km2 : (n,) area of each cell.
    starts : (t,) first day of each step that was forecast, ascending.
    observed : (t, n) reports that came.
    forecasts : by model, (t, n) reports expected, each made without its step or later ones.
    """

    cells: Cells
    km2: Floats
    starts: Ints
    observed: Floats
    forecasts: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Score:
    """One model at one budget; shares are of 1. Intervals are nan with fewer than three tests.

    Attributes
    ----------
    cells : whole cells within the budget; ``area`` is their share of the area.
    hit : share of the reports that came in them; ``best`` is the most that was possible.
    low, high : of ``pai``, over test steps. low_cells, high_cells : over blocks of cells.
    hit_low, hit_high : of ``hit``, over test steps.
    """

    model: str
    budget: float
    cells: int
    area: float
    hit: float
    hit_low: float
    hit_high: float
    best: float
    pai: float
    low: float
    high: float
    low_cells: float
    high_cells: float
    pei: float


@dataclass(frozen=True, slots=True)
class Difference:
    """PAI of ``model`` minus PAI of ``against`` at a budget, paired step by step.

    ``low`` … ``high`` over test steps, ``low_cells`` … ``high_cells`` over blocks of cells.
    ``hit`` is the difference of the hit rates.
    """

    model: str
    against: str
    budget: float
    hit: float
    pai: float
    low: float
    high: float
    low_cells: float
    high_cells: float

    @property
    def better(self) -> bool:
        """Whether the interval over test steps lies above zero."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Fit:
    """How a model's numbers (not only its order of cells) agree with what came.

    Attributes
    ----------
    deviance : mean Poisson deviance of a cell and step; smaller is better.
    expected, observed : reports by class of forecast, each class a tenth of the expected
        reports, from the cells of the lowest forecast to those of the highest.
    """

    model: str
    deviance: float
    expected: tuple[float, ...]
    observed: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Observed over expected of each class; nan where nothing was expected."""
        pairs = zip(self.observed, self.expected, strict=True)
        return tuple(o / e if e > 0 else math.nan for o, e in pairs)


def budget_cells(n: int, budget: float) -> int:
    """Whole cells within a share of ``n`` cells, at least one.

    Raises
    ------
    InputError : the budget is not between 0 and 1, or there is no cell.
    """
    if not 0 < budget <= 1:
        raise InputError(f"An area budget of {budget} is not possible; use a share between 0 and 1.")
    if n < 1:
        raise InputError("Without any cell there is no area to choose from.")
    return max(1, math.floor(budget * n + 1e-9))


def chosen(forecast: npt.ArrayLike, k: int) -> Floats:
    """How much of each cell is among the ``k`` of the highest forecast, (n,) of 0 to 1, sum k.

    Cells tied at the edge are taken in equal parts.
    """
    values = np.asarray(forecast, dtype=np.float64)
    edge = np.partition(values, len(values) - k)[len(values) - k]
    above, tied = values > edge, values == edge
    return above + tied * ((k - np.count_nonzero(above)) / np.count_nonzero(tied))


def efficiency(forecast: npt.ArrayLike, observed: npt.ArrayLike, budgets: tuple[float, ...]) -> float:
    """PEI of one forecast, averaged over budgets; nan without reports."""
    came = np.asarray(observed, dtype=np.float64)
    if not came.sum() > 0:
        return math.nan
    shares = []
    for budget in budgets:
        k = budget_cells(len(came), budget)
        shares.append(float(chosen(forecast, k) @ came) / float(np.sort(came)[-k:].sum()))
    return float(np.mean(shares))


class Judge:
    """Trials with one set of bootstrap draws, so that all models are judged on the same.

    Parameters
    ----------
    rng : of the draws.
    run : length of a run of test steps; the cube root of their number when left out.

    Raises
    ------
    InputError : there is no test step, or no report in any of them.
    """

    def __init__(
        self,
        trials: Trials,
        budgets: tuple[float, ...] = BUDGETS,
        *,
        rng: np.random.Generator,
        draws: int = DRAWS,
        run: int | None = None,
    ) -> None:
        t = len(trials.starts)
        if not t or not trials.observed.sum() > 0:
            raise InputError("A backtest needs at least one test step, and reports in it.")
        self.trials, self.budgets = trials, budgets
        self._block, blocks = _blocks(trials.cells)
        self._whole = self._sums(np.ones_like(trials.observed), blocks)
        self._steps = _runs(t, draws, run or max(1, round(t ** (1 / 3))), rng)
        self._places = rng.multinomial(blocks, np.full(blocks, 1 / blocks), draws).astype(np.float64)
        self._caught: dict[tuple[str, float], _Sums] = {}
        for budget in budgets:
            k = budget_cells(len(trials.cells), budget)
            for model, forecast in trials.forecasts.items():
                share = np.array([chosen(row, k) for row in forecast])
                self._caught[model, budget] = self._sums(share, blocks)

    def scores(self, model: str) -> list[Score]:
        """A model at every budget."""
        falling = np.sort(self.trials.observed, axis=1)[:, ::-1]
        found = []
        for budget in self.budgets:
            own, k = self._caught[model, budget], budget_cells(len(self.trials.cells), budget)
            hit, area = own.share(self._whole)
            best = float(falling[:, :k].sum() / self.trials.observed.sum())
            hits = own.drawn(self._whole, self._steps)[:, 0]
            hit_low, hit_high = _bounds(hits, hit, self._steps.shape[1])
            found.append(
                Score(
                    model, budget, k, area, hit, hit_low, hit_high, best, hit / area,
                    *self._intervals(own), pei=hit / best,
                )
            )  # fmt: skip
        return found

    def differences(self, model: str, against: tuple[str, ...]) -> list[Difference]:
        """A model minus each of the others, at every budget."""
        found = []
        for other in against:
            for budget in self.budgets:
                one, two = self._caught[model, budget], self._caught[other, budget]
                (hit, area), (other_hit, other_area) = one.share(self._whole), two.share(self._whole)
                pai = hit / area - other_hit / other_area
                bounds = self._intervals(one, two)
                found.append(Difference(model, other, budget, hit - other_hit, pai, *bounds))
        return found

    def across(self, model: str, other: Judge, other_model: str) -> list[Difference]:
        """A model minus one that was judged on other cells (another resolution), same test steps.

        Only over steps: blocks of two sets of cells do not pair.

        Raises
        ------
        InputError : the two have other test steps or budgets.
        """
        same = np.array_equal(self.trials.starts, other.trials.starts) and self.budgets == other.budgets
        if not same:
            raise InputError("Two backtests can be compared over the same test steps and budgets only.")
        found = []
        for budget in self.budgets:
            ends = []
            for judge, code in ((self, model), (other, other_model)):
                sums = judge._caught[code, budget]
                hit, area = sums.share(judge._whole)
                drawn = sums.drawn(judge._whole, self._steps)
                ends.append((hit, hit / area, drawn[:, 0] / drawn[:, 1]))
            (hit, pai, drawn), (other_hit, other_pai, other_drawn) = ends
            gain = pai - other_pai
            low, high = _bounds(drawn - other_drawn, gain, self._steps.shape[1])
            found.append(
                Difference(model, other_model, budget, hit - other_hit, gain, low, high, math.nan, math.nan)
            )
        return found

    def _sums(self, share: Floats, blocks: int) -> _Sums:
        reports, area = share * self.trials.observed, share * self.trials.km2
        return _Sums(
            np.column_stack([reports.sum(axis=1), area.sum(axis=1)]),
            np.column_stack(
                [np.bincount(self._block, part.sum(axis=0), minlength=blocks) for part in (reports, area)]
            ),
        )

    def _intervals(self, one: _Sums, two: _Sums | None = None) -> tuple[float, float, float, float]:
        """Bounds of a PAI, or of the difference of two: over steps, then over places."""

        def pai(sums: _Sums, weights: Floats, places: bool) -> Floats:
            hit, area = sums.drawn(self._whole, weights, places).T
            return np.divide(hit, area, out=np.full(len(hit), np.nan), where=area > 0)

        found: list[float] = []
        for weights, places in ((self._steps, False), (self._places, True)):
            drawn = pai(one, weights, places)
            point = float(np.divide(*one.share(self._whole)))
            if two is not None:
                drawn = drawn - pai(two, weights, places)
                point -= float(np.divide(*two.share(self._whole)))
            found += _bounds(drawn, point, weights.shape[1])
        low, high, low_cells, high_cells = found
        return low, high, low_cells, high_cells


def fit(trials: Trials, model: str) -> Fit:
    """Poisson deviance and calibration of a model's expected reports.

    Raises
    ------
    InputError : a forecast is not above 0 where reports came.
    """
    expected, observed = trials.forecasts[model].ravel(), trials.observed.ravel()
    order = np.argsort(expected, kind="stable")
    total = np.cumsum(expected[order])
    # The class of a cell by the middle of its share, so that one large cell is not split.
    middle = (total - expected[order] / 2) / max(total[-1], 1e-300)
    group = np.minimum((middle * CLASSES).astype(np.int64), CLASSES - 1)
    return Fit(
        model,
        deviance(observed, expected),
        tuple(np.bincount(group, expected[order], CLASSES).tolist()),
        tuple(np.bincount(group, observed[order], CLASSES).tolist()),
    )


def deviance(observed: npt.ArrayLike, expected: npt.ArrayLike) -> float:
    """Mean Poisson deviance, 2 (y ln(y/μ) − y + μ).

    Raises
    ------
    InputError : μ is not above 0 where y is.
    """
    y, mu = np.asarray(observed, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    came = y > 0
    if np.any(mu < 0) or np.any(mu[came] <= 0):
        raise InputError("A forecast of nothing was followed by reports: the deviance is infinite.")
    logs = np.zeros(y.shape)
    logs[came] = y[came] * np.log(y[came] / mu[came])
    return float(2 * np.mean(logs - y + mu))


# ---- what was caught, by step and by block of cells; draws of both ----


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Reports caught and area chosen of each unit: by step (t, 2), by block of cells (b, 2)."""

    by_step: Floats
    by_block: Floats

    def share(self, whole: _Sums) -> tuple[float, float]:
        """Hit rate, and share of the area."""
        hit, area = self.by_step.sum(axis=0) / whole.by_step.sum(axis=0)
        return float(hit), float(area)

    def drawn(self, whole: _Sums, weights: Floats, places: bool = False) -> Floats:
        """The same in each draw, (r, 2); ``weights`` (r, units) is how often a unit was drawn."""
        own, all_of_it = (self.by_block, whole.by_block) if places else (self.by_step, whole.by_step)
        total = weights @ all_of_it
        return np.divide(weights @ own, total, out=np.full(total.shape, np.nan), where=total > 0)


def _blocks(cells: Cells) -> tuple[Ints, int]:
    """Block of each cell (n,), parents two levels up (49 cells), and their number."""
    coarse = max(0, int(resolutions(cells[:1])[0]) - 2)
    found, block = np.unique(parents(cells, coarse), return_inverse=True)
    return block.astype(np.int64), len(found)


def _runs(t: int, draws: int, run: int, rng: np.random.Generator) -> Floats:
    """How often each of ``t`` steps is in each draw, (draws, t): runs that go round at the end."""
    begins = rng.integers(0, t, (draws, -(-t // run)))
    steps = ((begins[:, :, None] + np.arange(run)) % t).reshape(draws, -1)[:, :t]
    place = np.arange(draws)[:, None] * t + steps
    return np.bincount(place.ravel(), minlength=draws * t).reshape(draws, t).astype(np.float64)


def _bounds(drawn: Floats, point: float, units: int) -> list[float]:
    """Percentile interval of the draws, widened around the point for few units."""
    if units < 3:
        return [math.nan, math.nan]
    tail = (1 - CONFIDENCE) / 2
    # A bootstrap of u units is too narrow by sqrt((u − 1)/u), and its tails are a normal's.
    wider = math.sqrt(units / (units - 1)) * student.ppf(1 - tail, units - 1) / norm.ppf(1 - tail)
    ends = np.nanquantile(drawn, [tail, 1 - tail])
    return [float(point + wider * (end - point)) for end in ends]
