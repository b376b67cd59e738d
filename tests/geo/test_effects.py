"""The effect of a campaign: by hand, in its invariants, and on simulated cities (bench ``effect``)."""

from __future__ import annotations

import h3
import numpy as np
import pytest
from scipy import stats

from geo.effect_matches import Panel, matches_of, ring
from geo.effects import Spread, estimated, findings, spread_of
from geo.errors import InputError
from geo.proportions import jeffreys
from tools import bench

CELLS = np.sort(np.array([h3.str_to_int(c) for c in h3.grid_disk("88539c3a4dfffff", 6)], dtype=np.int64))
N = len(CELLS)
NONE = Spread(0.0, 0.0, 0.0, 0.0, 10.0)


def _panel(counts: np.ndarray, treated: list[int], before: int = 6, group: np.ndarray | None = None) -> Panel:
    flags = np.zeros(N, dtype=bool)
    flags[treated] = True
    return Panel(CELLS, counts, before, np.ones(N, np.int64) if group is None else group, flags)


def test_in_a_city_without_chance_the_ratio_is_the_planted_one() -> None:
    level = np.linspace(4, 40, N).round().astype(np.int64)
    counts = np.repeat(level[:, None], 9, axis=1)
    counts[[40, 60, 80], 6:] = (counts[[40, 60, 80], 6:] * 0.5).astype(np.int64)
    panel = _panel(counts, [40, 60, 80])
    found = findings(panel)
    observed = counts[[40, 60, 80], 6:].sum()
    assert found.effect.observed == observed
    assert found.effect.ratio == pytest.approx(observed / (3 * level[[40, 60, 80]].sum()), rel=0.01)
    assert found.effect.claims and found.effect.high < 1
    assert [step.period for step in found.course] == list(range(-6, 3))
    assert found.course[0].ratio == pytest.approx(1, abs=0.03)
    assert found.spill is not None and found.spill.ratio == pytest.approx(1, abs=0.05)


def test_the_error_of_the_ratio_is_poissons_where_nothing_else_spreads() -> None:
    """One treated cell, eight equal matches: var log = 1/y + sum(w² y) / sum(w y)²."""
    counts = np.full((N, 8), 5)
    panel = _panel(counts, [60], before=7)
    barred = panel.treated | ring(CELLS, panel.treated)
    matches = matches_of(panel, barred)
    after = np.full(N, 20.0)
    found = estimated(panel, matches, after, NONE)
    error = np.sqrt(1 / 20 + 1 / (8 * 20))
    assert found.expected == pytest.approx(20)
    assert np.log(found.high / found.ratio) == pytest.approx(stats.norm.ppf(0.975) * error, rel=1e-6)
    assert (found.cells, found.controls) == (1, 8)


def test_neighbours_of_treated_cells_stand_for_nobody_and_matches_prefer_their_municipality() -> None:
    rng = np.random.default_rng(3)
    group = np.where(np.arange(N) < N // 2, 1, 2)
    panel = _panel(rng.poisson(8, (N, 9)), [20, 21], group=group)
    near = ring(CELLS, panel.treated)
    matches = matches_of(panel, panel.treated | near)
    assert not matches.weight[near].any() and not matches.weight[panel.treated].any()
    assert matches.weight.sum() == pytest.approx(2)
    assert matches.abroad == 0 and matches.weight[group == 2].sum() == 0


def test_cells_that_may_have_been_treated_are_neither_compared_with_nor_taken_for_spill_over() -> None:
    """Half of a plan came back: the other half improved too, and would hide the effect as its match."""
    counts = np.full((N, 9), 12)
    visited, silent = [20, 60], [21, 61, 90, 91, 92, 100, 101, 102, 110]
    counts[visited + silent, 6:] = 6
    aside = np.zeros(N, dtype=bool)
    aside[visited + silent] = True
    found = findings(_panel(counts, visited), aside=aside)
    assert not found.matches.weight[silent].any() and not found.near[silent].any()
    assert found.effect.ratio == pytest.approx(0.5, rel=0.01)
    assert found.spill is not None and found.spill.ratio == pytest.approx(1, abs=0.01)


def test_what_untreated_ground_shares_is_told_apart() -> None:
    """A shock of municipalities is found as theirs, one of single cells as the cells' own."""
    rng = np.random.default_rng(8)
    mean = np.full(N, 200.0)
    group = np.arange(N) % 6
    panel = _panel(np.full((N, 9), 9), [0], group=group)
    alone = spread_of(panel, rng.poisson(mean * rng.gamma(25, 1 / 25, N)), mean, np.ones(N))
    shared = spread_of(panel, rng.poisson(mean * rng.gamma(25, 1 / 25, 6)[group]), mean, np.ones(N))
    assert alone.cell == pytest.approx(1 / 25, rel=0.4) and alone.group < 0.01
    assert shared.group > 0.01 and shared.cell < 0.01


def test_a_campaign_that_cannot_be_judged_is_refused_or_said_to_be() -> None:
    counts = np.ones((N, 9), dtype=np.int64)
    with pytest.raises(InputError, match="no cell of the study area was treated"):
        _panel(counts, [])
    with pytest.raises(InputError, match=r"3 periods lie before it.*no whole period"):
        _panel(counts[:, :3], [5], before=3)
    with pytest.raises(InputError, match="neither treated nor next"):
        findings(_panel(counts, list(range(N - 5))))
    assert np.isnan(findings(_panel(counts, [60], before=8)).effect.ratio)  # one report is too few


def test_intervals_of_simulated_campaigns_hold_the_truth() -> None:
    """Small here: 20 runs; the figures of 2,000 are in docs/methods/effect.md."""
    world = bench.load("effect")
    known, none = world.runs(12, 0.35, seed=1), world.runs(8, 0.0, seed=2)
    assert known["cover"] + none["cover"] >= 1.6
    assert known["claims"] >= 0.6 and none["claims"] <= 0.25
    assert abs(known["bias_percent"]) < 10


def test_jeffreys_interval_is_the_middle_of_its_beta_posterior() -> None:
    low, high = jeffreys([3, 0, 5], [10, 4, 5])
    assert low[0] == pytest.approx(stats.beta.ppf(0.025, 3.5, 7.5))
    assert high[0] == pytest.approx(stats.beta.ppf(0.975, 3.5, 7.5))
    assert (low[1], high[2]) == (0.0, 1.0)
    with pytest.raises(InputError, match="between 0 and the number"):
        jeffreys(3, 2)
