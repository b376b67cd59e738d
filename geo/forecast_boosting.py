"""A learned forecast: boosted trees on what lies around a cell.

Gradient boosting of regression trees with the Poisson likelihood (Friedman 2001;
scikit-learn's histogram trees) on decayed counts of the cell, of its first and second ring
and of its wider surroundings, the days since its last report, its place and, after a year
and a half, the season. Training rows are windows of the past; of the many cells without
reports a known share is drawn, and counts for all. Caveat: trees rank the busiest cells
less finely than rates do, for they give all cells of a leaf one value.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo.forecast_models import HALF_LIVES, Task, shares
from geo.forecast_total import YEAR
from geo.neighbours import rings

Floats = npt.NDArray[np.float64]

ROWS = 40_000  # training rows
_ROUNDS = 100
_RATE = 0.08
_LEAVES = 8
_LEAST = 100  # rows in a leaf
_RIDGE = 20.0
_LAGS = (15.0, 60.0, 180.0, 365.0)


def boosted(given: Task, rng: np.random.Generator) -> Floats:
    """Shares of the cells by boosted trees; the past counts when there is nothing to learn from."""
    # Imported late: 0.6 s that only this model needs.
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    features = _Features(given)
    total = sum(float(outcome.sum()) for outcome in given.outcomes)
    if not total > 0:
        return shares(given.long_run(given.past.end))
    each = max(1, ROWS // len(given.windows))
    rows, targets, weights = [], [], []
    for at, outcome in enumerate(given.outcomes):
        some = np.flatnonzero(outcome > 0)
        none = np.flatnonzero(outcome == 0)
        share = min(1.0, max(each - len(some), each // 4) / max(len(none), 1))
        drawn = none[rng.random(len(none)) < share]
        keep = np.concatenate([some, drawn])
        rows.append(features.at(at, keep))
        level = max(float(outcome.sum()), 1.0) / given.n
        # Relative to the average cell: what is learned is where, not how many in all.
        targets.append(outcome[keep] / level)
        weights.append(np.where(outcome[keep] > 0, 1.0, 1 / share) * level)
    trees = HistGradientBoostingRegressor(
        loss="poisson",
        learning_rate=_RATE,
        max_iter=_ROUNDS,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=_LEAST,
        l2_regularization=_RIDGE,
        max_features=0.5,
        max_bins=63,  # finer ones take longer to find than the trees to grow
        early_stopping=False,
        random_state=int(rng.integers(1 << 31)),
    )
    # One thread: several of them wait for each other when the machine is busy, for minutes.
    with threadpool_limits(1):
        trees.fit(np.vstack(rows), np.concatenate(targets), sample_weight=np.concatenate(weights))
        return shares(trees.predict(features.at(len(given.windows), np.arange(given.n))))


class _Features:
    """What the trees are told about each cell at each origin of a task."""

    def __init__(self, given: Task) -> None:
        self._given = given
        self._rings = rings(given.past.cells, 2)[1:]
        self._origins = given.origins()
        # A season needs to have been seen before.
        self._seasonal = given.past.days > 1.5 * YEAR
        self._last = self._days_since()

    def at(self, at: int, keep: npt.NDArray[np.int64]) -> Floats:
        """Features (len(keep), k) of some cells at an origin (by its position)."""
        given, origin = self._given, self._origins[at]
        found: list[Floats] = []
        for half_life in _LAGS:
            counts = given.decayed[at][HALF_LIVES.index(half_life)]
            found.append(_log(counts)[keep])
            found += [_log(ring @ counts)[keep] for ring in self._rings]
        long_run = given.decayed[at][-1]
        found += [_log(long_run)[keep], _log(given.ground.smooth(long_run, 0.8))[keep]]
        found.append(_log(given.ground.smooth(given.decayed[at][HALF_LIVES.index(180.0)], 3.0))[keep])
        found.append(np.log1p(self._last[at][keep]))
        found += list(given.ground.metres[keep].T)
        if self._seasonal:
            phase = 2 * np.pi * origin / YEAR
            found += [np.full(len(keep), wave(phase)) for wave in (np.sin, np.cos)]
        return np.column_stack(found)

    def _days_since(self) -> list[Floats]:
        """Days since the last report before each origin, (n,); the days recorded when there is none."""
        past = self._given.past
        found = []
        newest = np.full(self._given.n, past.first - 1, dtype=np.int64)
        seen = 0
        for origin in self._origins:
            cut = int(np.searchsorted(past.day, origin, "left"))
            np.maximum.at(newest, past.place[seen:cut], past.day[seen:cut])
            seen = cut
            found.append((origin - newest).astype(np.float64))
        return found


def _log(counts: Floats) -> Floats:
    """Logarithm of counts relative to the average cell, so that a busier year looks alike."""
    return np.log(counts / max(float(counts.mean()), 1e-12) + 0.02)
