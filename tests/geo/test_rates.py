"""Rates: by hand, against statsmodels and scipy, and whether the interval keeps its word."""

from __future__ import annotations

import warnings

import h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geo.errors import InputError
from geo.hotspots import gi_star
from geo.neighbours import neighbourhood
from geo.rates import shrunk_rates


def simulated(cells: int, seed: int, shape: float = 2.0, mean: float = 0.05) -> tuple[np.ndarray, ...]:
    """Reports, exposure and true rates of cells whose rates are gamma distributed."""
    rng = np.random.default_rng(seed)
    exposure = rng.lognormal(4, 1.2, cells)
    true = rng.gamma(shape, mean / shape, cells)
    return rng.poisson(true * exposure), exposure, true


def test_a_cells_rate_is_its_own_and_the_average_weighted_as_by_hand() -> None:
    counts, exposure, _ = simulated(300, 1)
    found = shrunk_rates(counts, exposure)
    for i in (0, 7, 42):
        # (α + y) / (β + e): with weight e/(β+e) its own rate, else the average α/β.
        weight = exposure[i] / (found.per_unit + exposure[i])
        by_hand = weight * counts[i] / exposure[i] + (1 - weight) * found.shape / found.per_unit
        assert found.rate[i] == pytest.approx(by_hand)
        own = stats.gamma(found.shape + counts[i], scale=1 / (found.per_unit + exposure[i]))
        assert (found.low[i], found.high[i]) == pytest.approx(own.interval(0.95))
        assert found.exceed(0.08)[i] == pytest.approx(own.sf(0.08))


def test_two_kinds_of_cells_get_the_shape_of_the_largest_likelihood() -> None:
    # 40 cells of 100 people: 20 with 10 reports, 20 with 30. Moments say 20²/(100 − 20) = 5.
    counts = np.repeat([10, 30], 20)
    found = shrunk_rates(counts, np.full(40, 100.0))
    shapes = np.linspace(3, 7, 401)
    likelihood = [stats.nbinom.logpmf(counts, a, a / (a + 20)).sum() for a in shapes]
    assert found.shape == pytest.approx(shapes[np.argmax(likelihood)], abs=0.01)
    assert found.shape == pytest.approx(5, rel=0.15)
    assert found.overall == pytest.approx(0.2)
    assert found.shape / found.per_unit == pytest.approx(0.2, rel=1e-5)


@pytest.mark.parametrize("shape", [0.3, 2.0, 20.0])
def test_the_fit_is_that_of_statsmodels(shape: float) -> None:
    from statsmodels.discrete.discrete_model import NegativeBinomial

    counts, exposure, _ = simulated(800, int(shape * 10), shape, 0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = NegativeBinomial(counts, np.ones((800, 1)), exposure=exposure).fit(disp=0, maxiter=200)
    constant, dispersion = theirs.params
    found = shrunk_rates(counts, exposure)
    assert found.shape == pytest.approx(1 / dispersion, rel=2e-3)
    assert found.shape / found.per_unit == pytest.approx(np.exp(constant), rel=1e-3)


@pytest.mark.parametrize("shape", [0.5, 2.0, 10.0])
def test_the_95_percent_interval_holds_95_percent_of_the_true_rates(shape: float) -> None:
    counts, exposure, true = simulated(6_000, 5, shape)
    found = shrunk_rates(counts, exposure)
    inside = ((found.low <= true) & (true <= found.high)).mean()
    assert inside == pytest.approx(0.95, abs=0.01)
    # And those of little exposure are not worse off than the others.
    little = exposure < np.median(exposure)
    assert ((found.low <= true) & (true <= found.high))[little].mean() == pytest.approx(0.95, abs=0.015)
    assert np.mean((found.rate - true) ** 2) < 0.8 * np.mean((found.crude - true) ** 2)


def test_of_the_cells_that_exceed_with_90_percent_so_many_do() -> None:
    counts, exposure, true = simulated(20_000, 6)
    probability = shrunk_rates(counts, exposure).exceed(0.1)
    for low in (0.1, 0.4, 0.7, 0.9):
        group = (probability >= low) & (probability < low + 0.1)
        assert (true[group] > 0.1).mean() == pytest.approx(probability[group].mean(), abs=0.05)


def test_the_unit_of_exposure_changes_the_unit_of_the_rate_and_nothing_else() -> None:
    counts, exposure, _ = simulated(400, 7)
    people, thousands = shrunk_rates(counts, exposure), shrunk_rates(counts, exposure / 1000)
    assert thousands.rate == pytest.approx(1000 * people.rate, rel=1e-4)
    assert thousands.low == pytest.approx(1000 * people.low, rel=1e-4)
    assert thousands.exceed(60.0) == pytest.approx(people.exceed(0.06), abs=1e-4)


def test_cells_without_exposure_have_no_rate_and_are_reported() -> None:
    counts, exposure, _ = simulated(200, 8)
    found = shrunk_rates(np.r_[counts, 7, 0], np.r_[exposure, 0, 0])
    without = shrunk_rates(counts, exposure)
    assert np.isnan(found.rate[-2:]).all() and np.isnan(found.exceed(0.01)[-2:]).all()
    assert found.rate[:-2] == pytest.approx(without.rate)
    (remark,) = found.remarks
    assert remark.caution and dict(remark.values) == {"cells": 2, "reports": 7}


def test_cells_that_differ_by_chance_alone_all_get_the_average() -> None:
    counts = np.tile([4, 5, 6], 30)
    found = shrunk_rates(counts, np.full(90, 50.0))
    assert found.rate == pytest.approx(np.full(90, 0.1), rel=0.005)
    assert "rates_alike" in {remark.code for remark in found.remarks}
    assert np.all(found.low < 0.1) and np.all(found.high > 0.1)


@pytest.mark.parametrize(("counts", "exposure"), [([], []), ([0, 0], [5, 9]), ([0, 3], [0, 0])])
def test_without_reports_or_exposure_there_are_no_intervals(counts: list, exposure: list) -> None:
    found = shrunk_rates(counts, exposure)
    assert np.isnan(found.low).all() and np.isnan(found.exceed(0.1)).all()
    assert "rates_nothing" in {remark.code for remark in found.remarks}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5_000), st.one_of(st.just(0.0), st.floats(1e-3, 1e6))),
        min_size=1,
        max_size=40,
    )
)
def test_every_rate_lies_in_its_interval_and_between_its_own_and_the_average(pairs: list) -> None:
    counts, exposure = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    found = shrunk_rates(counts, exposure)
    if not np.isfinite(found.shape):
        return
    usable = exposure > 0
    rate, crude = found.rate[usable], found.crude[usable]
    average = found.shape / found.per_unit
    assert np.all(np.isfinite(rate) & np.isfinite(found.high[usable]))
    assert np.all((found.low[usable] <= rate * (1 + 1e-9)) | (found.posterior_shape[usable] < 0.3))
    assert np.all(rate >= np.minimum(crude, average) * (1 - 1e-9))
    assert np.all(rate <= np.maximum(crude, average) * (1 + 1e-9))


def test_a_score_is_the_counts_place_in_its_negative_binomial_distribution() -> None:
    counts, exposure, _ = simulated(250, 9)
    found = shrunk_rates(np.r_[counts, 3], np.r_[exposure, 0])
    own = stats.nbinom(found.shape, found.per_unit / (found.per_unit + exposure))
    middle = (own.cdf(counts) + own.cdf(counts - 1)) / 2
    assert found.score[:-1] == pytest.approx(stats.norm.ppf(middle), abs=1e-6)
    assert np.isnan(found.score[-1])


@pytest.mark.parametrize("shape", [0.7, 5.0])
def test_scores_lie_about_0_with_deviation_1_whatever_the_exposure(shape: float) -> None:
    counts, exposure, _ = simulated(40_000, 10, shape, 0.3)
    scores = shrunk_rates(counts, exposure).score
    for low, high in ((0.3, 0.5), (0.5, 0.7), (0.7, 1.0)):
        group = (exposure > np.quantile(exposure, low)) & (exposure <= np.quantile(exposure, high))
        assert scores[group].mean() == pytest.approx(0, abs=0.05)
        assert scores[group].std() == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("shape", [0.7, 1e9])
def test_where_all_cells_have_rates_of_one_distribution_hot_spots_are_rare_however_people_live(
    shape: float,
) -> None:
    # People in clumps, rates without any pattern: every hot spot is a false one.
    rng = np.random.default_rng(11)
    cells = np.array(
        sorted(h3.str_to_int(c) for c in h3.grid_disk(h3.latlng_to_cell(24.7, 46.7, 9), 11)), dtype=np.int64
    )
    near, wide = neighbourhood(cells, 1), neighbourhood(cells, 3)
    people = 5 * np.exp(wide.matrix @ rng.normal(0, 0.25, len(cells))) * rng.lognormal(0, 0.5, len(cells))
    people[rng.random(len(cells)) < 0.1] = 0
    maps, rates, raw = 100, 0, 0
    for _ in range(maps):
        reports = rng.poisson(rng.gamma(shape, 0.2 / shape, len(cells)) * people)
        rates += bool((gi_star(shrunk_rates(reports, people).score, near).classes >= 2).any())
        raw += bool((gi_star(reports, near).classes >= 2).any())
    assert rates / maps <= 0.05
    assert raw / maps > 0.15  # counts show where people live


def test_what_does_not_fit_is_refused() -> None:
    for counts, exposure in (([1, 2], [1]), ([1, -2], [1, 1]), ([1, 2], [1, np.nan]), ([1, 2], [-1, 1])):
        with pytest.raises(InputError):
            shrunk_rates(counts, exposure)
    with pytest.raises(InputError, match="interval"):
        shrunk_rates([1], [1], interval=1.5)
    with pytest.raises(InputError, match="exceeded"):
        shrunk_rates([1, 5], [1, 1]).exceed(float("nan"))
