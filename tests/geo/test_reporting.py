"""Rates of reporting: by hand, on simulations with known rates, and what cannot be told."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import nbinom

from geo.errors import InputError
from geo.reporting import _spread, chance_reported, factors, readiness

LIFE = 20.0  # days that a simulated thing lies there


def a_world(rng: np.random.Generator, areas: int = 40, each: int = 250) -> dict[str, NDArray]:
    """Things that lie there for LIFE days and are reported at a known rate, reported or not."""
    kinds = np.array([0.02, 0.06, 0.15])
    ready = rng.gamma(6, 1 / 6, areas)
    things = rng.poisson(each, areas)
    area = np.repeat(np.arange(areas), things)
    kind = rng.integers(0, 3, len(area))
    reports = rng.poisson(kinds[kind] * ready[area] * LIFE)
    # The first of m uniform times.
    first = LIFE * (1 - rng.random(len(area)) ** (1 / np.maximum(reports, 1)))
    seen = reports > 0
    return {
        "kinds": kinds, "ready": ready, "things": things, "area": area[seen], "kind": kind[seen],
        "further": reports[seen] - 1, "days": LIFE - first[seen],
    }  # fmt: skip


def test_one_area_and_one_kind_have_the_rate_of_their_reports() -> None:
    # 30 further reports in 600 days of observation: one in twenty days.
    found = readiness([0] * 60, [0] * 60, [1, 0] * 30, [10.0] * 60, areas=1, kinds=1)
    assert found.rate == pytest.approx(0.05, rel=1e-6)
    assert found.readiness == pytest.approx([1.0])
    assert found.low[0] < 1 < found.high[0]


def test_an_area_is_drawn_to_the_mean_the_less_it_was_observed() -> None:
    # All report once in ten days but the last two, at twice and half of it: one long, one briefly observed.
    area = np.arange(12)
    further = np.array([100] * 10 + [200, 2])
    days = np.array([1000.0] * 10 + [1000.0, 10.0])
    found = readiness(area, np.zeros(12), further, days, areas=12, kinds=1)
    rates = found.kind_rates[0] * found.readiness
    assert 0.17 < rates[10] < 0.2
    assert 0.1 < rates[11] < 0.15  # its own two reports in ten days would be 0.2
    assert found.weight[10] > 0.8 > 0.5 > found.weight[11]
    assert (found.high - found.low)[11] > 2 * (found.high - found.low)[0]


def test_the_spread_of_the_areas_maximises_the_negative_binomial_likelihood() -> None:
    rng = np.random.default_rng(5)
    expected = rng.uniform(5, 60, 80)
    counts = rng.poisson(expected * rng.gamma(4, 0.25, 80)).astype(float)
    grid = np.exp(np.linspace(np.log(0.05), np.log(2), 4001))
    shape = grid[:, None] ** -2
    likelihood = nbinom.logpmf(counts, shape, shape / (shape + expected)).sum(axis=1) + np.log(grid)
    assert _spread(counts, expected) == pytest.approx(grid[likelihood.argmax()], rel=2e-3)


def test_known_rates_are_found_again_and_lie_in_their_intervals() -> None:
    held, bias, total = [], [], []
    for seed in range(25):
        world = a_world(np.random.default_rng(seed))
        found = readiness(world["area"], world["kind"], world["further"], world["days"], areas=40, kinds=3)
        true = world["kinds"][1] * world["ready"]
        rate = found.kind_rates[1]
        held.append((rate * found.low <= true) & (true <= rate * found.high))
        bias.append((rate * found.readiness / true).mean())
        # And with the rates, the number of things, of which two in three were reported at all.
        each, capped = factors(
            found.kind_rates[world["kind"]] * found.readiness[world["area"]], LIFE, most=10
        )
        total.append(each.sum() / world["things"].sum())
        assert capped.mean() < 0.01 and len(world["area"]) < 0.7 * world["things"].sum()
    assert 0.92 <= np.mean(held) <= 0.97
    assert np.mean(bias) == pytest.approx(1, abs=0.03)
    assert np.mean(total) == pytest.approx(1, abs=0.02)


def test_more_scatter_than_poisson_widens_the_intervals() -> None:
    rng = np.random.default_rng(1)
    area, kind = np.repeat(np.arange(30), 200), np.tile(np.arange(10), 600)
    days = np.full(len(area), 10.0)
    plain = readiness(area, kind, rng.poisson(0.5, len(area)), days, areas=30, kinds=10)
    # Reports come in fours, as from one caller who repeats himself.
    fours = readiness(area, kind, 4 * rng.poisson(0.125, len(area)), days, areas=30, kinds=10)
    assert plain.dispersion == pytest.approx(1, abs=0.25)
    assert fours.dispersion == pytest.approx(4, rel=0.25)
    assert (fours.high - fours.low).mean() > 1.3 * (plain.high - plain.low).mean()


def test_the_chance_to_be_reported_grows_with_rate_and_time() -> None:
    assert chance_reported(0.1, 10) == pytest.approx(1 - np.exp(-1))
    assert chance_reported(0.0, 10) == 0


def test_a_correction_that_rests_on_nothing_is_cut_and_marked() -> None:
    factor, capped = factors([np.log(2) / 7, 0.001, 0.0], 7.0, most=10)
    assert factor.tolist() == pytest.approx([2, 10, 10])
    assert capped.tolist() == [False, True, True]
    with pytest.raises(InputError, match="at least 1"):
        factors(0.1, 7, most=0.5)


def test_too_few_further_reports_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        readiness([0, 1], [0, 0], [3, 4], [10.0, 10.0], areas=2, kinds=1)
    with pytest.raises(InputError, match="one length"):
        readiness([0], [0, 0], [3, 4], [10.0, 10.0], areas=1, kinds=1)
    with pytest.raises(InputError, match="at least 0"):
        readiness([0], [0], [30], [-1.0], areas=1, kinds=1)


def test_an_area_without_any_further_report_has_a_rate_above_zero() -> None:
    found = readiness([0] * 9 + [1], [0] * 10, [10] * 9 + [0], [100.0] * 10, areas=2, kinds=1)
    assert 0 < found.low[1] < found.readiness[1] < found.readiness[0]
