"""A weighted mix of shrunk rates: the forecast that learns how much each past is worth.

A component is a cell's rate by empirical Bayes: Poisson counts with a gamma prior whose mean
is the rate of the surroundings (Clayton & Kaldor 1987; Marshall 1991, local version), for
several half-lives, widths and strengths; and in two stages, where the long-run rate shrunk
to its surroundings is in turn the prior of the recent counts (a gamma–Poisson filter, Smith
& Miller 1986). Each component is a density over the cells. Their weights are those that made
what came in earlier windows most likely: stacking of densities by EM (Smyth & Wolpert 1999),
convex, without any random start. Caveat: weights are of the whole area, not of a cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.forecast_models import HALF_LIVES, Task, shares
from geo.ground import Ground
from geo.history import FOREVER, History

Floats = npt.NDArray[np.float64]

ROWS = 150_000  # cells with reports, over all windows, that the weights are learned on
_ROUNDS = 200
_ENOUGH = 1e-7  # gain in mean log-likelihood at which the rounds end
_FLOOR = 0.001  # share of the average rate that any surroundings have at least


@dataclass(frozen=True, slots=True)
class Stage:
    """One component.

    Attributes
    ----------
    half_life : days, of the counts that are shrunk to their surroundings.
    width : of the surroundings, cell spacings.
    strength : reports that the surroundings count for (shape of the gamma prior).
    recent : half-life of recent counts, to which all this is the prior; None: one stage.
    trust : reports that the long run counts for beside the recent ones.
    """

    half_life: float
    width: float
    strength: float
    recent: float | None = None
    trust: float = 0.0


COMPONENTS = (
    *(
        Stage(half_life, width, strength)
        for half_life in (7.0, 30.0, 90.0, 365.0, FOREVER)
        for width in (0.8, 1.6)
        for strength in (1.0, 4.0)
    ),
    *(
        Stage(half_life, width, 4.0, recent, trust)
        for half_life in (365.0, FOREVER)
        for width in (0.8, 1.2)
        for recent in (15.0, 60.0, 180.0)
        for trust in (2.0, 5.0)
    ),
)


def mixture(given: Task, rng: np.random.Generator) -> Floats:
    """Shares of the cells by the weighted mix; equal weights without any training window."""
    return components(given.past, given.ground, given.decayed[-1], given.past.end).T @ weights(given)


def weights(given: Task) -> Floats:
    """Weight of each of COMPONENTS and, last, of an even spread; (k + 1,), sum 1."""
    parts: list[Floats] = []
    came: list[Floats] = []
    each = max(1, ROWS // max(1, len(given.windows)))
    for window, outcome, decayed in zip(given.windows, given.outcomes, given.decayed, strict=False):
        some = np.flatnonzero(outcome > 0)
        if not len(some):
            continue
        # Every so-many-th cell is as good a sample as any: cells are in order of place.
        some = some[:: -(-len(some) // each)]
        parts.append(components(given.past, given.ground, decayed, window.start)[:, some].T)
        came.append(outcome[some])
    if not parts:
        return np.full(len(COMPONENTS) + 1, 1 / (len(COMPONENTS) + 1))
    return stacked(np.vstack(parts), np.concatenate(came))


def stacked(densities: Floats, counts: Floats) -> Floats:
    """Weights (k,) of densities that make counts most likely, by EM from equal weights.

    Parameters
    ----------
    densities : (m, k) each density's share of each of m places where reports came.
    counts : (m,) reports that came there; places without any do not matter.
    """
    k = densities.shape[1]
    w, before = np.full(k, 1 / k), -np.inf
    share = counts / counts.sum()
    for _ in range(_ROUNDS):
        mixed = np.maximum(densities @ w, 1e-300)
        likely = float(share @ np.log(mixed))
        if likely - before < _ENOUGH:
            break
        before = likely
        w = w * (densities.T @ (share / mixed))
        w /= w.sum()
    return w


def components(past: History, ground: Ground, decayed: Floats, origin: int) -> Floats:
    """Every component's shares of the cells at an origin, and an even spread, (k + 1, n).

    ``decayed``: (h, n) counts for HALF_LIVES at that origin.
    """
    n = decayed.shape[1]
    found = np.empty((len(COMPONENTS) + 1, n))
    rates: dict[tuple[float, float, float], Floats] = {}
    around: dict[tuple[float, float], Floats] = {}
    for i, stage in enumerate(COMPONENTS):
        long = (stage.half_life, stage.width, stage.strength)
        if long not in rates:
            counts = decayed[HALF_LIVES.index(stage.half_life)]
            days = past.weight_days(stage.half_life, origin)
            if long[:2] not in around:
                around[long[:2]] = ground.smooth(counts, stage.width) / days
            rates[long] = _shrunk(counts, days, around[long[:2]], stage.strength)
        rate = rates[long]
        if stage.recent is not None:
            counts = decayed[HALF_LIVES.index(stage.recent)]
            days = past.weight_days(stage.recent, origin)
            # The whole area may have more or fewer reports lately: that is not the cell's doing.
            now = rate * (counts.sum() / days / max(float(rate.sum()), 1e-300))
            rate = _shrunk(counts, days, now, stage.trust)
        found[i] = shares(rate)
    found[-1] = 1 / max(n, 1)
    return found


def _shrunk(counts: Floats, days: float, prior: Floats, strength: float) -> Floats:
    """Mean of the gamma posterior: between counts / days and the prior rate, (n,) a day."""
    floor = _FLOOR * float(prior.mean()) if prior.size else 0.0
    return (counts + strength) / (days + strength / np.maximum(prior + floor, 1e-12))
