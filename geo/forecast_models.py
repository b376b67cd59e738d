"""Ways to say where the next reports will come from: each gives every cell a share of them.

``last`` persistence; ``past`` ranking by long-run counts; ``recent`` long-run rate plus recent
counts (Lee, O & Eck 2020, the transparent baseline); ``kde`` plain kernel density, ``kde_best``
with the width that would have caught most, ``kde_decay`` with exponential decay in time as
well (prospective hot-spotting, Bowers, Johnson & Pease 2004); ``season`` a smoothed rate times
what the neighbourhood's season does to it. The learned ones are in ``geo/forecast_mixture.py``
and ``geo/forecast_boosting.py``. Caveat: a model only knows where reports came from before; a
new cause in a new place is a surprise to all.
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
WINDOWS = 24  # training windows at most …
MANY_CELLS = 20_000
FEWER_WINDOWS = 12  # … and with more cells than that
_BLOCK_DAYS = 30
_TRIED = 6  # training windows on which kernels are compared
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
    past: History, days: int, ground: Ground, *, windows: int | None = None, memory: int = MEMORY_DAYS
) -> Task:
    """All that the models need to forecast the ``days`` days after ``past``."""
    usual = WINDOWS if len(past.cells) <= MANY_CELLS else FEWER_WINDOWS
    training = training_windows(past, days, windows or usual)
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
    """Plain kernel density of the past; width by two-fold likelihood.

    Each half of the past, every other block of 30 days, is predicted from the other
    (Habbema, Hermans & van den Broek 1974; Duin 1976), as the density map does it.
    """
    origin = given.past.end
    begin = max(given.past.first, origin - given.memory)
    halves = [np.zeros(given.n), np.zeros(given.n)]
    for number, start in enumerate(range(begin, origin, _BLOCK_DAYS)):
        halves[number % 2] += given.past.counts(Window(start, min(start + _BLOCK_DAYS, origin)))
    likely = []
    for width in _WIDTHS[1:]:
        score = 0.0
        for known, hidden in (halves, halves[::-1]):
            density = 0.99 * shares(given.ground.smooth(known, width)) + 0.01 / max(given.n, 1)
            score += float(hidden @ np.log(density))
        likely.append(score)
    return shares(given.ground.smooth(given.long_run(origin), _WIDTHS[1 + int(np.argmax(likely))]))


def kde_best(given: Task, rng: np.random.Generator) -> Floats:
    """Plain kernel density of the past, with the width that would have caught most before.

    A rival made for the very measure by which forecasts are compared; hard to beat.
    """
    tried = _tried(given)
    counts = [given.long_run(given.origins()[at]) for at in tried]
    width, _ = _best(given, tried, [counts], _WIDTHS[1:])
    return shares(given.ground.smooth(given.long_run(given.past.end), width))


def kde_decay(given: Task, rng: np.random.Generator) -> Floats:
    """Kernel density with exponential decay; width and half-life that would have caught most before."""
    tried = _tried(given)
    places = [HALF_LIVES.index(half_life) for half_life in _DECAYS]
    counts = [[given.decayed[at][place] for at in tried] for place in places]
    width, number = _best(given, tried, counts, _DECAY_WIDTHS)
    return shares(given.ground.smooth(given.decayed[-1][places[number]], width))


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


def _tried(given: Task) -> list[int]:
    """Training windows on which kernels are compared: some, evenly, with reports before and in them."""
    number = len(given.windows)
    at = np.unique(np.linspace(0, number - 1, min(number, _TRIED)).round().astype(int))
    return [int(i) for i in at[:number] if given.outcomes[i].sum() > 0 and given.decayed[i][-1].sum() > 0]


def _best(
    given: Task, tried: list[int], counts: list[list[Floats]], widths: Sequence[float]
) -> tuple[float, int]:
    """Width, and number of the counts, that would have caught most in the windows tried.

    Mean PEI at 1, 2 and 5 %. ``counts``: by option and window tried, (n,) each. The middle
    of both when there is nothing to compare on.
    """
    if not tried:
        return widths[len(widths) // 2], len(counts) // 2
    caught = {}
    # All options and windows in one product with the kernel.
    columns = np.column_stack([column for option in counts for column in option])
    for width in widths:
        spread = given.ground.smooth(columns, width).reshape(given.n, len(counts), len(tried))
        for number in range(len(counts)):
            caught[width, number] = np.mean(
                [
                    efficiency(spread[:, number, i], given.outcomes[at], _TUNED_ON)
                    for i, at in enumerate(tried)
                ]
            )
    return max(caught, key=lambda option: float(caught[option]))
