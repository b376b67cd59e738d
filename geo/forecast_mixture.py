"""Weighted mixes of shrunk rates: the forecasts that learn how much each past is worth.

A component is a cell's rate by empirical Bayes: Poisson counts with a gamma prior whose mean
is the rate of the surroundings (Clayton & Kaldor 1987; Marshall 1991, local version), for
several half-lives, widths and strengths; and in two stages, where the long-run rate shrunk
to its surroundings is in turn the prior of the recent counts (a gamma–Poisson filter, Smith
& Miller 1986). Each component is a density over the cells. Their weights make what came in
earlier windows most likely: stacking of densities by EM (Smyth & Wolpert 1999), convex, from
equal weights; once for all cells, once for the likeliest cells with the rest as one (the
censored likelihood of Diks, Panchenko & van Dijk 2011), in equal parts. ``kinds`` does so
for every kind of report and adds them up by how many of each are due. Caveat: weights are
of the whole area, not of a cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from geo.forecast_models import HALF_LIVES, Task, shares
from geo.forecast_total import total
from geo.ground import Ground
from geo.history import FOREVER, History

Floats = npt.NDArray[np.float64]

ROWS = 40_000  # cells with reports, over all windows, that weights are learned on
TOP = 0.15  # share of the cells that the second set of weights tells apart
KERNEL = 0.8  # cell spacings; applied twice it is 1.1 wide, four times 1.6
_ROUNDS = 60
_ENOUGH = 1e-6  # gain in mean log-likelihood at which the rounds end
_FLOOR = 0.001  # share of the average rate that any surroundings have at least


@dataclass(frozen=True, slots=True)
class Stage:
    """One component.

    Attributes
    ----------
    half_life : days, of the counts that are shrunk to their surroundings.
    passes : of KERNEL over the counts, which makes them those of the surroundings.
    strength : reports that the surroundings count for (shape of the gamma prior).
    recent : half-life of recent counts, to which all this is the prior; None: one stage.
    trust : reports that the long run counts for beside the recent ones.
    """

    half_life: float
    passes: int
    strength: float
    recent: float | None = None
    trust: float = 0.0


COMPONENTS = (
    *(
        Stage(half_life, passes, strength)
        for half_life in (7.0, 30.0, 90.0, 365.0, FOREVER)
        for passes in (1, 4)
        for strength in (1.0, 4.0)
    ),
    *(
        Stage(half_life, passes, 4.0, recent, trust)
        for half_life in (365.0, FOREVER)
        for passes in (1, 2)
        for recent in (15.0, 60.0, 180.0)
        for trust in (2.0, 5.0)
    ),
)
# Of all reports together, what helps to place those of one kind; and of its own reports.
_COMMON = [i for i, s in enumerate(COMPONENTS) if s.trust == 5.0 or (s.recent is None and s.strength == 4.0)]
_OWN_HALF_LIVES = (90.0, 365.0, FOREVER)
_OWN = tuple(Stage(half_life, passes, 2.0) for half_life in _OWN_HALF_LIVES for passes in (1, 4))
_LONG = tuple(sorted({stage.half_life for stage in COMPONENTS}))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Components at some of the cells of a training window.

    Attributes
    ----------
    some : (m,) cells in which reports came (every so-many-th of them, see ``thin``).
    thin : of how many each one stands for.
    top : (n,) bool, the likeliest cells.
    densities : (m, k) shares of these cells by component; rest : (k,) of all outside ``top``.
    """

    some: npt.NDArray[np.int64]
    thin: int
    top: npt.NDArray[np.bool_]
    densities: Floats
    rest: Floats


def mixture(given: Task, rng: np.random.Generator) -> Floats:
    """Shares of the cells by the weighted mix; equal weights without any training window."""
    if "weights" not in given.kept:
        given.kept["weights"] = weights(samples(given), given.outcomes, len(COMPONENTS))
    learned: Floats = given.kept["weights"]
    return _now(given).T @ learned


def kinds(given: Task, rng: np.random.Generator) -> Floats:
    """Shares by a mix for each kind of report, added up by how many of each are expected.

    Components of all reports together and of the kind alone; the same as ``mixture``, nearly,
    when there is only one kind.
    """
    pasts = given.past.by_kind()
    if not pasts:
        return shares(np.zeros(given.n))
    base = samples(given)
    now = _now(given)[_COMMON]
    own: list[list[Sample]] = [[] for _ in pasts]
    here: list[Floats] = []
    each = [past.decayed(_OWN_HALF_LIVES, given.origins()) for past in pasts]
    for at, origin in enumerate(given.origins()):
        # All kinds in one product with the kernel.
        parts = _own(given, np.array([next(decayed) for decayed in each]), origin)
        if at == len(base):
            here = list(parts)
            break
        sample = base[at]
        for kind, densities in enumerate(parts):
            own[kind].append(
                Sample(
                    sample.some,
                    sample.thin,
                    sample.top,
                    np.hstack([sample.densities[:, _COMMON], densities[:, sample.some].T]),
                    np.concatenate([sample.rest[_COMMON], densities[:, ~sample.top].sum(axis=1)]),
                )
            )
    added = np.zeros(given.n)
    for past, found, densities in zip(pasts, own, here, strict=True):
        outcomes = tuple(past.counts(window) for window in given.windows)
        learned = weights(found, outcomes, len(_COMMON) + len(_OWN))
        added += total(past, given.days) * (np.vstack([now, densities]).T @ learned)
    return shares(added)


def residuals(given: Task, most: int = 3) -> tuple[Floats, Floats]:
    """What came in the last training windows, and the mix's share of it, (t, n) each.

    With today's weights, which have seen these windows: a few dozen numbers against tens
    of thousands of reports, so the residuals are hardly too small.
    """
    mixture(given, np.random.default_rng(0))
    number = min(most, len(given.windows))
    came = given.outcomes[len(given.outcomes) - number :]
    shares_then = [
        components(given.past.before(window.start), given.ground, decayed).T @ given.kept["weights"]
        for window, decayed in list(zip(given.windows, given.decayed, strict=False))[-number:]
    ]
    empty = np.zeros((0, given.n))
    return (np.array(came), np.array(shares_then)) if number else (empty, empty)


def _now(given: Task) -> Floats:
    """The components at the origin, (k, n); worked out once a task."""
    if "now" not in given.kept:
        given.kept["now"] = components(given.past, given.ground, given.decayed[-1])
    found: Floats = given.kept["now"]
    return found


def samples(given: Task) -> list[Sample]:
    """The components at each training window, where reports came in it; worked out once a task."""
    if "samples" in given.kept:
        return list(given.kept["samples"])
    found: list[Sample] = []
    each = max(1, ROWS // max(1, len(given.windows)))
    for window, outcome, decayed in zip(given.windows, given.outcomes, given.decayed, strict=False):
        densities = components(given.past.before(window.start), given.ground, decayed)
        middle = densities.mean(axis=0)
        k = max(1, int(TOP * given.n))
        top = middle >= np.partition(middle, -k)[-k]
        some = np.flatnonzero(outcome > 0)
        # Every so-many-th cell is as good a sample as any: cells are in order of place.
        thin = max(1, -(-len(some) // each))
        some = some[::thin]
        rest = densities[:, ~top].sum(axis=1)
        found.append(Sample(some, thin, top, densities[:, some].T.astype(np.float32), rest))
    given.kept["samples"] = tuple(found)
    return found


def weights(found: list[Sample], outcomes: tuple[Floats, ...], k: int) -> Floats:
    """Weight of each of ``k`` components, (k,), sum 1; equal when nothing came.

    ``outcomes``: (n,) reports that came in each sample's window.
    """
    everywhere: list[tuple[Floats, Floats]] = []
    likeliest: list[tuple[Floats, Floats]] = []
    for sample, outcome in zip(found, outcomes, strict=True):
        came = outcome[sample.some]
        here = sample.top[sample.some] & (came > 0)
        everywhere.append((sample.densities[came > 0], came[came > 0]))
        likeliest.append((sample.densities[here], came[here]))
        outside = float(outcome[~sample.top].sum()) / sample.thin
        likeliest.append((sample.rest[None], np.array([outside])))
    # One thread: several wait for each other, ten times as long on a busy machine.
    with threadpool_limits(1):
        learned = [stacked(*_joined(part, k)) for part in (everywhere, likeliest)]
    return (learned[0] + learned[1]) / 2


def _joined(parts: list[tuple[Floats, Floats]], k: int) -> tuple[Floats, Floats]:
    empty = [(np.zeros((0, k)), np.zeros(0))]
    densities, counts = zip(*(parts or empty), strict=True)
    return np.vstack(densities), np.concatenate(counts)


def stacked(densities: npt.NDArray[np.floating], counts: Floats) -> Floats:
    """Weights (k,) of densities that make counts most likely, by EM from equal weights.

    Parameters
    ----------
    densities : (m, k) each density's share of each of m places where reports came.
    counts : (m,) reports that came there; places without any do not matter.
    """
    k = densities.shape[1]
    w, before = np.full(k, 1 / k), -np.inf
    if not counts.sum() > 0:
        return w
    share = counts / counts.sum()
    kind = densities.dtype
    for _ in range(_ROUNDS):
        mixed = np.maximum(densities @ w.astype(kind), 1e-30)
        likely = float(share @ np.log(mixed))
        if likely - before < _ENOUGH:
            break
        before = likely
        w = w * (densities.T @ (share / mixed).astype(kind)).astype(np.float64)
        w /= w.sum()
    return w


def components(past: History, ground: Ground, decayed: Floats) -> Floats:
    """Every component's shares of the cells at the end of a past, (k, n).

    ``decayed``: (h, n) counts for HALF_LIVES at that day.
    """
    found = np.empty((len(COMPONENTS), decayed.shape[1]))
    around = _around(ground, decayed[[HALF_LIVES.index(half_life) for half_life in _LONG]])
    rates: dict[tuple[float, int, float], Floats] = {}
    for i, stage in enumerate(COMPONENTS):
        long = (stage.half_life, stage.passes, stage.strength)
        if long not in rates:
            counts = decayed[HALF_LIVES.index(stage.half_life)]
            days = past.weight_days(stage.half_life, past.end)
            prior = around[stage.passes][_LONG.index(stage.half_life)] / days
            rates[long] = _shrunk(counts, days, prior, stage.strength)
        rate = rates[long]
        if stage.recent is not None:
            counts = decayed[HALF_LIVES.index(stage.recent)]
            days = past.weight_days(stage.recent, past.end)
            # The whole area may have more or fewer reports lately: that is not the cell's doing.
            now = rate * (counts.sum() / days / max(float(rate.sum()), 1e-300))
            rate = _shrunk(counts, days, now, stage.trust)
        found[i] = shares(rate)
    return found


def _own(given: Task, decayed: Floats, origin: int) -> Floats:
    """Shares by the components of each kind's own reports at an origin, (kinds, k, n).

    ``decayed``: (kinds, h, n) counts for _OWN_HALF_LIVES.
    """
    kinds_, _, n = decayed.shape
    around = _around(given.ground, decayed.reshape(-1, n))
    found = np.empty((kinds_, len(_OWN), n))
    for i, stage in enumerate(_OWN):
        at = _OWN_HALF_LIVES.index(stage.half_life)
        days = given.past.weight_days(stage.half_life, origin)
        near = around[stage.passes].reshape(decayed.shape)[:, at] / days
        for kind in range(kinds_):
            found[kind, i] = shares(_shrunk(decayed[kind, at], days, near[kind], stage.strength))
    return found


def _around(ground: Ground, counts: Floats) -> dict[int, Floats]:
    """Counts (h, n) of the surroundings by number of passes of the kernel."""
    once = ground.smooth(counts.T, KERNEL)
    twice = ground.smooth(once, KERNEL)
    four_times = ground.smooth(ground.smooth(twice, KERNEL), KERNEL)
    return {1: once.T, 2: twice.T, 4: four_times.T}


def _shrunk(counts: Floats, days: float, prior: Floats, strength: float) -> Floats:
    """Mean of the gamma posterior: between counts / days and the prior rate, (n,) a day."""
    floor = _FLOOR * float(prior.mean()) if prior.size else 0.0
    return (counts + strength) / (days + strength / np.maximum(prior + floor, 1e-12))
