"""Hit rate, PAI, PEI, deviance and calibration by hand; intervals that do what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_poisson_deviance

from geo.backtest import Judge, Trials, budget_cells, chosen, deviance, efficiency, fit
from geo.cells import cells_of, parents
from geo.errors import InputError


def some_cells(n: int) -> np.ndarray:
    """n cells around a point of the Eastern Province, ascending."""
    import h3

    near = h3.grid_disk(h3.int_to_str(int(cells_of([50.1], [26.4], 9)[0])), 20)
    return np.sort(np.array([h3.str_to_int(cell) for cell in near], dtype=np.int64))[:n]


def trials(observed: np.ndarray, **forecasts: np.ndarray) -> Trials:
    t, n = observed.shape
    return Trials(
        cells=some_cells(n),
        km2=np.ones(n),
        starts=np.arange(t),
        observed=observed.astype(float),
        forecasts={code: np.asarray(f, dtype=float) for code, f in forecasts.items()},
    )


def judge(found: Trials, budgets: tuple[float, ...] = (0.1, 0.2)) -> Judge:
    return Judge(found, budgets, rng=np.random.default_rng(1), draws=400)


def test_pai_and_pei_of_a_case_worked_by_hand() -> None:
    # Ten cells of 1 km². Forecast picks cells 0 and 1 at 20 %: 6 of 20 reports came in them.
    # The best two cells (5 and 0) hold 9. PAI = (6/20) / (2/10) = 1.5; PEI = 6/9.
    observed = np.array([[4, 2, 1, 1, 1, 5, 2, 2, 1, 1]])
    forecast = np.array([[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]])
    one, two = judge(trials(observed, a=forecast)).scores("a")
    assert (one.cells, two.cells) == (1, 2)
    assert (one.hit, one.best, one.pai) == pytest.approx((4 / 20, 5 / 20, 2.0))
    assert (two.hit, two.best, two.pai) == pytest.approx((6 / 20, 9 / 20, 1.5))
    assert (one.pei, two.pei) == pytest.approx((4 / 5, 6 / 9))


def test_tests_are_pooled_not_averaged() -> None:
    # 8 of 10, then 1 of 90: together 9 of 100, not the mean of 80 % and 1 %.
    observed = np.zeros((2, 10))
    observed[0, 0], observed[0, 1] = 8, 2
    observed[1, 0], observed[1, 1] = 1, 89
    score = judge(trials(observed, a=np.tile(np.arange(10, 0, -1), (2, 1)))).scores("a")[0]
    assert score.hit == pytest.approx(0.09)
    assert score.best == pytest.approx((8 + 89) / 100)


def test_area_counts_as_it_is_not_as_one_cell_each() -> None:
    observed = np.array([[5.0, 5, 0, 0, 0, 0, 0, 0, 0, 0]])
    found = trials(observed, a=np.arange(10, 0, -1)[None])
    km2 = np.full(10, 1.0)
    km2[0] = 3.0
    wide = Trials(found.cells, km2, found.starts, found.observed, found.forecasts)
    score = judge(wide).scores("a")[0]
    assert score.area == pytest.approx(3 / 12)
    assert score.pai == pytest.approx(0.5 / (3 / 12))


def test_a_budget_is_whole_cells_never_more_than_the_share_and_at_least_one() -> None:
    assert [budget_cells(1158, b) for b in (0.01, 0.02, 0.05, 0.1)] == [11, 23, 57, 115]
    assert budget_cells(100, 0.07) == 7  # 0.07 × 100 is a hair above 7 in floating point
    assert budget_cells(5, 0.01) == 1
    with pytest.raises(InputError, match="area budget"):
        budget_cells(5, 0.0)


def test_cells_tied_at_the_edge_are_taken_in_equal_parts() -> None:
    assert chosen([5, 3, 3, 3, 1], 2) == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3, 0])
    assert chosen([0, 0, 0, 0], 1) == pytest.approx([0.25] * 4)
    # So a forecast that says nothing catches the average, in whichever order cells stand.
    flat = judge(trials(np.array([[9, 0, 0, 0, 0, 0, 0, 0, 0, 1]]), a=np.ones((1, 10)))).scores("a")[0]
    assert flat.pai == pytest.approx(1.0)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=30), st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=80, deadline=None)
def test_the_choice_adds_up_and_does_not_depend_on_the_order_of_cells(
    values: list[int], seed: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(values)))
    share = chosen(values, k)
    assert share.sum() == pytest.approx(k)
    assert ((share >= 0) & (share <= 1)).all()
    order = np.random.default_rng(seed).permutation(len(values))
    assert chosen(np.array(values)[order], k) == pytest.approx(share[order])


def test_knowing_what_comes_gives_a_pei_of_one_and_nothing_gives_more() -> None:
    rng = np.random.default_rng(3)
    observed = rng.poisson(2.0, (4, 60))
    found = trials(observed, oracle=observed, noise=rng.random((4, 60)))
    oracle, noise = judge(found).scores("oracle"), judge(found).scores("noise")
    assert [s.pei for s in oracle] == pytest.approx([1, 1])
    assert all(n.hit <= o.hit for n, o in zip(noise, oracle, strict=True))
    assert efficiency(observed[0], observed[0], (0.1, 0.2)) == pytest.approx(1.0)
    assert math.isnan(efficiency(observed[0], np.zeros(60), (0.1,)))


def test_the_deviance_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    y, mu = rng.poisson(1.5, 500), rng.gamma(2.0, 1.0, 500)
    assert deviance(y, mu) == pytest.approx(mean_poisson_deviance(y, mu))
    assert deviance([0, 0], [0.0, 1.0]) == pytest.approx(1.0)
    with pytest.raises(InputError, match="infinite"):
        deviance([1, 0], [0.0, 1.0])


def test_calibration_classes_hold_a_tenth_of_the_expected_reports_each() -> None:
    rng = np.random.default_rng(5)
    forecast = rng.gamma(0.5, 2.0, (6, 500))
    found = fit(trials(rng.poisson(1.25 * forecast), a=forecast), "a")
    assert np.array(found.expected) == pytest.approx(np.full(10, forecast.sum() / 10), rel=0.02)
    assert np.array(found.ratios) == pytest.approx(np.full(10, 1.25), rel=0.2)


def test_a_model_minus_itself_is_exactly_zero_in_every_draw() -> None:
    rng = np.random.default_rng(6)
    observed, forecast = rng.poisson(1.0, (8, 100)), rng.random((8, 100))
    for found in judge(trials(observed, a=forecast, b=forecast)).differences("a", ("b",)):
        assert (found.pai, found.low, found.high, found.low_cells, found.high_cells) == (0, 0, 0, 0, 0)
        assert not found.better


def test_a_model_that_knows_more_is_surely_better_and_the_other_way_round() -> None:
    rng = np.random.default_rng(7)
    rate = rng.gamma(0.3, 4.0, 400)
    observed = rng.poisson(rate, (12, 400))
    rows = np.tile(rate, (12, 1))
    found = judge(trials(observed, knows=rows, guesses=rng.random((12, 400))))
    for better, worse in zip(
        found.differences("knows", ("guesses",)), found.differences("guesses", ("knows",)), strict=True
    ):
        assert better.better and better.low_cells > 0
        assert not worse.better
        assert (better.low, better.high) == pytest.approx((-worse.high, -worse.low))


def test_an_interval_over_steps_covers_the_difference_it_is_for() -> None:
    # Two forecasts that each know one half of the rates: equal in the long run. In 200
    # worlds of eight tests the 95 % interval should miss zero in about ten.
    missed = 0
    for world in range(200):
        rng = np.random.default_rng(world)
        rates = rng.gamma(0.5, 2.0, (2, 120))
        observed = rng.poisson(rates.sum(axis=0), (8, 120))
        found = Judge(
            trials(observed, a=np.tile(rates[0], (8, 1)), b=np.tile(rates[1], (8, 1))),
            (0.1,),
            rng=rng,
            draws=300,
        )
        truth = [rates.sum(axis=0)[np.argsort(-half)[:12]].sum() / rates.sum() / 0.1 for half in rates]
        interval = found.differences("a", ("b",))[0]
        missed += not interval.low <= truth[0] - truth[1] <= interval.high
    assert 1 <= missed <= 24


def test_intervals_need_three_tests_and_are_the_same_each_time() -> None:
    rng = np.random.default_rng(8)
    observed, forecast = rng.poisson(1.0, (2, 50)), rng.random((2, 50))
    few = judge(trials(observed, a=forecast)).scores("a")[0]
    assert math.isnan(few.low) and math.isnan(few.hit_high) and few.pai > 0
    more = trials(rng.poisson(1.0, (5, 50)), a=rng.random((5, 50)))
    assert judge(more).scores("a") == judge(more).scores("a")


def test_nothing_to_judge_is_said() -> None:
    with pytest.raises(InputError, match="at least one test"):
        judge(trials(np.zeros((3, 20)), a=np.ones((3, 20))))


def test_blocks_of_cells_are_parents_two_levels_up() -> None:
    # A forecast that is right in one block only: over blocks the interval is far wider.
    cells = some_cells(900)
    block = parents(cells, 7)
    inside = block == np.unique(block, return_counts=True)[0][0]
    rng = np.random.default_rng(9)
    observed = rng.poisson(np.where(inside, 3.0, 0.3), (6, 900))
    found = Trials(cells, np.ones(900), np.arange(6), observed.astype(float), {"a": np.tile(inside, (6, 1))})
    score = Judge(found, (0.05,), rng=rng, draws=400).scores("a")[0]
    assert score.high_cells - score.low_cells > 3 * (score.high - score.low)
