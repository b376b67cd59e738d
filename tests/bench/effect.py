"""Whether the interval of an effect says what it promises: simulated campaigns whose effect is known.

Each run is a city of its own: cells that differ (log-normal, near ones alike), seasons,
municipalities that grow or shrink, shocks of some months that neighbours share, counts more
spread than Poisson's. Teams go where it was worst in the last four months, in contiguous areas: the
cells are chosen because they were hot. Then a known share of later reports is taken away.
``cover`` is how often the 95 % interval holds the truth, ``claims`` how often it leaves out
"no effect"; both come with the Monte Carlo error of so many runs. ``naive`` is the mean error
of the plain comparison (later ÷ earlier, treated against all others), in per cent.
"""

from __future__ import annotations

import time
from typing import Any

import h3
import numpy as np

from geo.cells import centres, parents
from geo.effect_matches import Panel, ring
from geo.effects import findings
from geo.neighbours import neighbourhood

DESCRIPTION = "Effects of 400 simulated campaigns: how often the interval holds the truth"
RUNS = 400
SMALL = {"rows": 5}  # one campaign in each kind of city, when only tried out
EFFECT = 0.35
BEFORE, AFTER = 12, 3
CELLS = np.sort(
    np.array([h3.str_to_int(c) for c in h3.grid_disk(h3.latlng_to_cell(26.4, 50.0, 8), 20)], dtype=np.int64)
)
_NEAR = neighbourhood(CELLS, 1)
_LON, _LAT = centres(CELLS)
#: What differs from the usual city: reports a cell and month, growth by year, shared shocks, areas.
CITIES: dict[str, dict[str, float]] = {
    "usual": {},
    "few_reports": {"mean": 0.4},
    "strong_shocks": {"shock": 0.25},
    "growing_apart": {"growth": 0.25},
    "two_large_areas": {"areas": 2, "size": 25},
}


def city(
    rng: np.random.Generator,
    effect: float,
    *,
    mean: float = 1.5,
    growth: float = 0.1,
    shock: float = 0.15,
    areas: float = 5,
    size: float = 10,
) -> Panel:
    """A city, its campaign, and what came after; ``effect`` is the share that does not come any more."""
    n = len(CELLS)
    smooth = rng.normal(size=n)
    for _ in range(3):
        smooth = (_NEAR.matrix @ smooth) / _NEAR.members
    level = np.exp(0.8 * smooth / smooth.std() + 0.6 * rng.normal(size=n))
    level *= mean / level.mean()
    seats = rng.choice(n, 6, replace=False)
    group = np.argmin((_LON[:, None] - _LON[seats]) ** 2 + (_LAT[:, None] - _LAT[seats]) ** 2, axis=1) + 1
    months = np.arange(BEFORE + 1 + AFTER)  # one of them is the campaign's
    season = 1 + 0.25 * np.sin(2 * np.pi * (months + rng.uniform(0, 12)) / 12)
    drift = rng.normal(0, growth, 7)[group]
    rate = level[:, None] * season * np.exp(drift[:, None] * months / 12)
    for resolution, strength in ((6, shock), (7, 0.1)):
        rate *= _shocks(parents(CELLS, resolution), len(months), strength, rng)
    counts = rng.poisson(rate * rng.gamma(16.0, 1 / 16.0, rate.shape))
    treated = _hot_areas(counts[:, BEFORE - 4 : BEFORE].sum(axis=1), int(areas), int(size))
    later = counts[treated, BEFORE + 1 :]
    counts[treated, BEFORE + 1 :] = rng.binomial(later, 1 - effect)
    return Panel(CELLS, np.delete(counts, BEFORE, axis=1), BEFORE, group, treated)


def _shocks(place: np.ndarray, months: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Factors (n, months) that cells of one place share and that fade by half from month to month."""
    number = np.unique(place, return_inverse=True)[1]
    waves = rng.normal(0, strength, (number.max() + 1, months))
    for month in range(1, months):
        waves[:, month] = 0.5 * waves[:, month - 1] + np.sqrt(0.75) * waves[:, month]
    return np.exp(waves - strength**2 / 2)[number]


def _hot_areas(score: np.ndarray, areas: int, size: int) -> np.ndarray:
    """Contiguous areas grown around the worst cells, not touching each other, (n,) bool."""
    treated, taken = np.zeros(len(score), bool), np.zeros(len(score), bool)
    for _ in range(areas):
        area = [int(np.argmax(np.where(taken, -1, score)))]
        while len(area) < size:
            edge = np.unique(_NEAR.matrix[area].indices)
            edge = edge[~np.isin(edge, area) & ~taken[edge]]
            if not len(edge):
                break
            area.append(int(edge[np.argmax(score[edge])]))
        treated[area] = True
        taken[np.unique(_NEAR.matrix[area].indices)] = True
    return treated


def runs(number: int, effect: float, seed: int, **changed: float) -> dict[str, Any]:
    """So many campaigns in one kind of city."""
    held = claims = placebo = placebos = spill = 0
    logs, naive = [], []
    for run_seed in np.random.SeedSequence(seed).spawn(number):
        panel = city(np.random.default_rng(run_seed), effect, **changed)
        found = findings(panel)
        held += found.effect.low <= 1 - effect <= found.effect.high
        claims += found.effect.claims
        spill += found.spill is not None and found.spill.claims
        placebo += sum(one.claims for one in found.placebo)
        placebos += len(found.placebo)
        logs.append(np.log(found.effect.ratio / (1 - effect)))
        early, late = panel.counts[:, :BEFORE].sum(axis=1), panel.counts[:, BEFORE:].sum(axis=1)
        rest = ~panel.treated & ~ring(CELLS, panel.treated)
        plain = (
            late[panel.treated].sum() / early[panel.treated].sum() / (late[rest].sum() / early[rest].sum())
        )
        naive.append(plain / (1 - effect) - 1)
    error = float(1.96 * np.sqrt(0.95 * 0.05 / number))
    return {
        "effect": effect,
        "runs": number,
        "cover": round(held / number, 4),
        "claims": round(claims / number, 4),
        "monte_carlo": round(error, 4),
        "bias_percent": round(100 * float(np.expm1(np.mean(logs))), 2),
        "naive_percent": round(100 * float(np.mean(naive)), 2),
        "spill_claims": round(spill / number, 4),
        "placebo_claims": round(placebo / max(placebos, 1), 4),
    }


def run(rows: int | None = None) -> dict[str, Any]:
    """``rows`` campaigns with an effect and as many without, shared out over the kinds of city."""
    number = rows or RUNS
    began = time.perf_counter()
    share = max(number // len(CITIES), 1)
    table = {
        name: {
            "none": runs(share, 0.0, 2 * i, **changed),
            "known": runs(share, EFFECT, 2 * i + 1, **changed),
        }
        for i, (name, changed) in enumerate(CITIES.items())
    }
    total = share * len(CITIES)
    return {
        "runs": total,
        "cover": round(float(np.mean([t[k]["cover"] for t in table.values() for k in t])), 4),
        "cover_with_effect": round(float(np.mean([t["known"]["cover"] for t in table.values()])), 4),
        "claims_without_effect": round(float(np.mean([t["none"]["claims"] for t in table.values()])), 4),
        "power": round(float(np.mean([t["known"]["claims"] for t in table.values()])), 4),
        "monte_carlo": round(float(1.96 * np.sqrt(0.95 * 0.05 / total)), 4),
        "cities": table,
        "seconds": round(time.perf_counter() - began, 1),
    }
