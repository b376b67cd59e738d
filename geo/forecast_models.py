"""Ways to say where the next reports will come from: each gives every cell a share of them.

``last`` persistence; ``past`` ranking by long-run counts; ``recent`` long-run rate plus recent
counts (Lee, O & Eck 2020, the transparent baseline); ``kde`` plain kernel density and
``kde_decay`` with exponential decay in time (prospective hot-spotting, Bowers, Johnson & Pease
2004); ``season`` a smoothed rate times what the neighbourhood's season does to it. The learned
ones are in ``geo/forecast_mixture.py`` and ``geo/forecast_boosting.py``. Kernels and
half-lives are chosen on earlier windows, by what they would have caught. Caveat: a model
only knows where reports came from before; a new cause in a new place is a surprise to all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.backtest import BUDGETS, efficiency
from geo.forecast_total import YEAR
from geo.ground import Ground
from geo.history import FOREVER, History, Window, training_windows

Floats = npt.NDArray[np.float64]
Tick = Callable[[float], None]

HALF_LIVES = (7.0, 15.0, 30.0, 60.0, 90.0, 180.0, 365.0, FOREVER)
MEMORY_DAYS = 730  # of the plain ways: two years, so that every season counts alike
WINDOWS = 24
_TRIED = 8  # training windows on which kernels are compared
_WIDTHS = (0.0, 0.35, 0.45, 0.6, 0.8, 1.1, 1.5, 2.2)  # cell spacings
_DECAYS = (30.0, 90.0, 180.0, 365.0, FOREVER)
_DECAY_WIDTHS = (0.0, 0.45, 0.8, 1.5)
_TUNED_ON = BUDGETS[:3]
_SEASON_WIDTH = 5.0  # cell spacings: a season is a matter of neighbourhoods, not of cells
_SEASON_STRENGTH = 20.0  # reports of an average season that a neighbourhood starts from


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a model may know when it forecasts ``days`` days from the origin ``past.end``.

    Attributes
    ----------
    past : reports before the origin.
    days : to forecast.
    windows : training windows, ascending, all of them before the origin.
    outcomes : by training window, (n,) reports that came in it.
    decayed : by training window and at last for the origin, (h, n) counts for HALF_LIVES.
    memory : days that the plain ways look back.
    kept : what one model worked out and another needs as well.
    """

    past: History
    ground: Ground
    days: int
    windows: tuple[Window, ...]
    outcomes: tuple[Floats, ...]
    decayed: tuple[Floats, ...]
    memory: int
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Cells."""
        return len(self.past.cells)

    def origins(self) -> list[int]:
        """First days of the training windows, and of the forecast."""
        return [window.start for window in self.windows] + [self.past.end]

    def long_run(self, origin: int) -> Floats:
        """Reports in the days before an origin that the plain ways look back on, (n,)."""
        return self.past.counts(Window(max(self.past.first, origin - self.memory), origin))

    def without_last(self, number: int) -> Task:
        """The same as it was before the last ``number`` training windows were over.

        Windows that reach into the first of those are left out as well.
        """
        origin = self.windows[-number].start
        keep = sum(window.end <= origin for window in self.windows)
        at = len(self.windows) - number
        return Task(
            self.past.before(origin),
            self.ground,
            self.days,
            self.windows[:keep],
            self.outcomes[:keep],
            (*self.decayed[:keep], self.decayed[at]),
            self.memory,
        )


Model = Callable[[Task, np.random.Generator], Floats]


def task(
    past: History, days: int, ground: Ground, *, windows: int = WINDOWS, memory: int = MEMORY_DAYS
) -> Task:
    """All that the models need to forecast the ``days`` days after ``past``."""
    training = training_windows(past, days, windows)
    origins = [window.start for window in training] + [past.end]
    return Task(
        past,
        ground,
        days,
        tuple(training),
        tuple(past.counts(window) for window in training),
        tuple(past.decayed(HALF_LIVES, origins)),
        memory,
    )


def shares(values: npt.ArrayLike) -> Floats:
    """Numbers of at least 0 as shares of their sum, (n,); even shares where all are 0."""
    array = np.asarray(values, dtype=np.float64)
    total = float(array.sum())
    return array / total if total > 0 else np.full(len(array), 1 / max(len(array), 1))


def last(given: Task, rng: np.random.Generator) -> Floats:
    """The counts of the last step."""
    origin = given.past.end
    return shares(given.past.counts(Window(origin - given.days, origin)))


def past_counts(given: Task, rng: np.random.Generator) -> Floats:
    """The counts of the past, as far as the memory reaches."""
    return shares(given.long_run(given.past.end))


def recent(given: Task, rng: np.random.Generator) -> Floats:
    """Long-run share and share of the last step, in equal parts."""
    return (past_counts(given, rng) + last(given, rng)) / 2


def kde(given: Task, rng: np.random.Generator) -> Floats:
    """Plain kernel density of the past, with the width that would have caught most before."""

    def density(at: int, width: float) -> Floats:
        return given.ground.smooth(given.long_run(given.origins()[at]), width)

    width = _best(given, [(w,) for w in _WIDTHS[1:]], density)[0]
    return shares(density(-1, width))


def kde_decay(given: Task, rng: np.random.Generator) -> Floats:
    """Kernel density with exponential decay; width and half-life that would have caught most before."""

    def density(at: int, half_life: float, width: float) -> Floats:
        return given.ground.smooth(given.decayed[at][HALF_LIVES.index(half_life)], width)

    options = [(half_life, width) for half_life in _DECAYS for width in _DECAY_WIDTHS]
    return shares(density(-1, *_best(given, options, density)))


def season(given: Task, rng: np.random.Generator) -> Floats:
    """A smoothed rate, times the season of the neighbourhood in earlier years.

    Simple exponential smoothing (half-life half a year) of the cell and a little of its
    surroundings. With more than a year of history each neighbourhood's reports around the
    same days of earlier years, against all its reports of those years, tell its season,
    shrunk to that of the whole area. Years are solar: what follows the Hijri calendar moves
    through them.
    """
    level = given.ground.smooth(given.decayed[-1][HALF_LIVES.index(180.0)], 0.6)
    origin, around = given.past.end, 15
    then, whole = np.zeros(given.n), np.zeros(given.n)
    for back in range(1, 6):
        begin = origin - round(back * YEAR) - around
        year = Window(begin + around - 182, begin + around + 183)
        if year.start < given.past.first:
            break
        then += given.past.counts(Window(begin, begin + given.days + 2 * around))
        whole += given.past.counts(year)
    if not (then.sum() > 0 and whole.sum() > 0):
        return shares(level)
    expected = given.ground.smooth(whole * (then.sum() / whole.sum()), _SEASON_WIDTH)
    came = given.ground.smooth(then, _SEASON_WIDTH)
    # A Gaussian of width s weighs as many cells as fit into 4 π s²: reports of a neighbourhood per cell.
    gathered = 4 * np.pi * _SEASON_WIDTH**2 / (np.sqrt(3) / 2)
    strength = _SEASON_STRENGTH / gathered
    return shares(level * (came + strength) / (expected + strength))


def _best(given: Task, options: Sequence[tuple[float, ...]], density: Callable[..., Floats]) -> tuple:
    """The option that would have caught most in earlier windows (mean PEI at 1, 2 and 5 %).

    The middle one when there is nothing to compare on.
    """
    number = len(given.windows)
    at = np.unique(np.linspace(0, number - 1, min(number, _TRIED)).round().astype(int))
    usable = [int(i) for i in at[:number] if given.outcomes[i].sum() > 0 and given.decayed[i][-1].sum() > 0]
    if not usable:
        return options[len(options) // 2]
    caught = [
        np.mean([efficiency(density(i, *option), given.outcomes[i], _TUNED_ON) for i in usable])
        for option in options
    ]
    return options[int(np.argmax(caught))]
