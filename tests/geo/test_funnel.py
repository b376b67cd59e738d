"""The funnel and shrunken shares, against scipy, a search over a grid, and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, betabinom, binom, poisson

from geo.errors import InputError
from geo.funnel import Spread, limits, position, ranks, shrunk_shares, spread


def test_inside_is_what_the_exact_binomial_and_poisson_tails_say_at_whole_numbers() -> None:
    for n, p in ((12, 0.3), (80, 0.9), (500, 0.02)):
        counts = np.arange(n + 1)
        found = position(counts, np.full(n + 1, n), Spread("share", p, 0.0, 40), 0.95)
        low, high = binom.cdf(counts, n, p) < 0.025, binom.sf(counts - 1, n, p) < 0.025
        assert found.tolist() == (high.astype(int) - low.astype(int)).tolist()
    counts = np.arange(60)
    found = position(counts, np.full(60, 8.0), Spread("rate", 2.5, 0.0, 40), 0.95)
    low, high = poisson.cdf(counts, 20) < 0.025, poisson.sf(counts - 1, 20) < 0.025
    assert found.tolist() == (high.astype(int) - low.astype(int)).tolist()


@settings(max_examples=20, deadline=None)
@given(
    st.floats(0.01, 0.99), st.floats(0, 0.1), st.lists(st.integers(1, 4000), min_size=1, max_size=8),
    st.sampled_from(["share", "rate"]),
)  # fmt: skip
def test_a_row_lies_outside_just_where_the_drawn_limits_leave_it_out(
    overall: float, wide: float, bases: list[int], kind: str
) -> None:
    against = Spread(kind, overall, wide, 40)  # type: ignore[arg-type]
    base = np.array(bases, dtype=float)
    low, high = limits(base, against)
    assert (low <= overall).all() and (overall <= high).all()
    for shift, expected in ((-1e-6, -1), (1e-6, 0)):
        at = (low + shift) * base
        keep = at >= 0
        assert (position(np.where(keep, at, 0), base, against)[keep & (low > 1e-5)] == expected).all()
    above = (high + 1e-6) * base
    fits = above <= base if kind == "share" else np.full(len(base), True)
    assert (position(np.where(fits, above, 0), base, against)[fits] == 1).all()


def test_rows_that_differ_by_chance_have_hardly_any_spread_and_a_real_spread_is_found() -> None:
    rng = np.random.default_rng(5)
    base = rng.integers(40, 4000, 200)
    chance = spread(rng.binomial(base, 0.7), base)
    assert chance.spread < 0.0005 and chance.rows == 200
    # Standard deviation 0.05 among shares of 0.7; winsorised, so a little less is found.
    real = spread(rng.binomial(base, np.clip(rng.normal(0.7, 0.05, 200), 0, 1)), base)
    assert 0.03 < np.sqrt(real.spread * 0.21) < 0.055


def test_small_rows_are_drawn_to_the_average_and_large_ones_keep_their_share() -> None:
    found = shrunk_shares([0, 600, 2, 240, 350], [2, 1000, 2, 1000, 500])
    assert 0.2 < found.share[0] < 0.6 < found.share[2] + 0.2 < 0.95
    assert found.share[1] == pytest.approx(0.6, abs=0.003) and found.share[3] == pytest.approx(
        0.24, abs=0.004
    )
    assert (found.low < found.share).all() and (found.share < found.high).all()
    a, b = found.overall * found.weight + 600, (1 - found.overall) * found.weight + 400
    assert (found.low[1], found.high[1]) == pytest.approx((beta.ppf(0.025, a, b), beta.ppf(0.975, a, b)))


def test_the_fitted_distribution_is_the_most_likely_one_by_scipy() -> None:
    rng = np.random.default_rng(11)
    base = rng.integers(5, 300, 60)
    hits = rng.binomial(base, rng.beta(8, 4, 60))
    found = shrunk_shares(hits, base)

    def likelihood(mean: float, weight: float) -> float:
        return float(betabinom.logpmf(hits, base, mean * weight, (1 - mean) * weight).sum())

    best = likelihood(found.overall, found.weight)
    for mean in found.overall + np.array([-0.02, -0.005, 0, 0.005, 0.02]):
        for factor in (0.7, 0.95, 1, 1.05, 1.4):
            assert likelihood(mean, found.weight * factor) <= best + 1e-6
    assert found.overall == pytest.approx(8 / 12, abs=0.04)


def test_all_none_or_a_single_row_have_an_answer() -> None:
    assert shrunk_shares([5, 9], [5, 9]).share == pytest.approx([1, 1], abs=0.1)
    assert shrunk_shares([0, 0], [50, 90]).share == pytest.approx([0, 0], abs=0.01)
    single = shrunk_shares([3, 0], [10, 0])
    assert single.share[0] == pytest.approx(0.3) and np.isnan(single.share[1])
    assert np.isnan(shrunk_shares([0], [0]).overall)
    assert position([3, 0], [10, 0], spread([3, 0], [10, 0])).tolist() == [0, 0]
    assert position([4, 7], [4, 7], spread([4, 7], [4, 7])).tolist() == [0, 0]


def test_only_rows_that_differ_are_ranked_apart_and_the_others_share_a_place() -> None:
    value = [0.9, 0.7, 0.71, 0.4, 0.69, np.nan]
    differs = [1, 0, 0, -1, 0, 0]
    assert ranks(value, differs, 1).tolist() == [1, 2, 2, 5, 2, 0]
    assert ranks(value, differs, -1).tolist() == [5, 2, 2, 1, 2, 0]


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(InputError, match="more successes"):
        spread([3], [2])
    with pytest.raises(InputError, match="not negative"):
        shrunk_shares([-1], [2])
