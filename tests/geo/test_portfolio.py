"""The portfolio is the best one there is: against all choices, and within every rule."""

from __future__ import annotations

import itertools

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import InputError, RasdError
from geo.portfolio import PortfolioClash, fractional, greedy, portfolio
from geo.solver import Silent, passed


def best_of_all(
    benefit: np.ndarray, cost: np.ndarray, budget: float, place: np.ndarray, least: dict[int, float],
    pinned: np.ndarray, dropped: np.ndarray,
) -> float | None:  # fmt: skip
    """Benefit of the best choice, by looking at every one."""
    best = None
    for choice in itertools.product((False, True), repeat=len(benefit)):
        chosen = np.array(choice)
        if cost[chosen].sum() > budget or (pinned & ~chosen).any() or (dropped & chosen).any():
            continue
        if any(cost[chosen & (place == key)].sum() < amount for key, amount in least.items()):
            continue
        best = max(best or 0.0, float(benefit[chosen].sum()))
    return best


@given(seed=st.integers(0, 100_000), share=st.sampled_from([0.0, 0.15, 0.4]), pins=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_the_choice_is_the_best_of_all_choices_or_a_clash(seed: int, share: float, pins: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 10))
    benefit = np.round(rng.gamma(1, 5, n), 2) * (rng.random(n) > 0.2)
    cost = np.round(rng.uniform(1e5, 4e6, n), -3)
    budget = float(np.round(rng.uniform(5e5, 9e6), -3))
    place = rng.integers(0, 3, n)
    pinned, dropped = np.zeros(n, dtype=bool), rng.random(n) < 0.1
    pinned[rng.permutation(n)[:pins]] = True
    dropped &= ~pinned
    least = {0: share * budget} if share else {}
    best = best_of_all(benefit, cost, budget, place, least, pinned, dropped)
    try:
        found = portfolio(benefit, cost, budget, place=place, least=least, pinned=pinned, dropped=dropped)
    except PortfolioClash as clash:
        assert best is None and clash.rules
        return
    assert best is not None
    assert found.objective == pytest.approx(best, abs=1e-9)
    assert found.status == "optimal" and found.gap <= 1e-9
    assert found.bound - 1e-9 <= found.free_bound and found.spent <= budget
    assert (found.chosen | ~pinned).all() and not (found.chosen & dropped).any()


def test_greedy_by_ratio_can_miss_what_the_exact_choice_finds() -> None:
    benefit, cost = np.array([10.0, 9.0, 9.0]), np.array([6.0, 5.5, 5.5])
    assert benefit[greedy(benefit / cost, cost, 11.0)].sum() == 10.0
    found = portfolio(benefit, cost, 11.0)
    assert found.chosen.tolist() == [False, True, True] and found.objective == 18.0
    assert fractional(benefit, cost, 11.0) == pytest.approx(10 + 9 * 5 / 5.5)


def test_clashing_rules_say_how_much_is_lacking() -> None:
    benefit, cost = np.ones(3), np.array([4.0, 3.0, 3.0])
    with pytest.raises(PortfolioClash) as clash:
        portfolio(benefit, cost, 5.0, pinned=[True, True, False])
    assert [(r.code, r.need, r.have) for r in clash.value.rules] == [("budget_pinned", 7.0, 5.0)]
    with pytest.raises(PortfolioClash) as clash:
        portfolio(benefit, cost, 10.0, place=[0, 1, 1], least={0: 5.0, 1: 6.0})
    assert [(r.code, r.place) for r in clash.value.rules] == [("share_lacking", 0), ("shares", -1)]
    # Together within the budget, and yet no whole projects meet both.
    with pytest.raises(PortfolioClash) as clash:
        portfolio(benefit, cost, 9.0, place=[0, 1, 1], least={0: 2.0, 1: 4.0})
    assert [r.code for r in clash.value.rules] == ["shares"]


def test_nothing_to_choose_from_is_no_portfolio_and_wrong_numbers_are_refused() -> None:
    empty = portfolio([], [], 10.0)
    assert empty.objective == empty.bound == empty.gap == 0.0
    assert not portfolio([5.0], [20.0], 10.0).chosen.any()
    with pytest.raises(InputError, match="costs above 0"):
        portfolio([1.0], [0.0], 10.0)
    with pytest.raises(InputError, match="for each project"):
        portfolio([1.0, 2.0], [1.0], 10.0)


def test_a_programme_that_the_solver_refuses_is_no_empty_choice() -> None:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = 1, 1
    lp.col_cost_ = lp.col_lower_ = np.zeros(1)
    lp.col_upper_ = lp.row_lower_ = lp.row_upper_ = np.ones(1)
    lp.a_matrix_.start_ = np.array([0, 1], dtype=np.int32)
    lp.a_matrix_.index_ = np.array([7], dtype=np.int32)  # there is no row 7
    lp.a_matrix_.value_ = np.ones(1)
    with pytest.raises(RasdError, match="HiGHS refused"):
        passed(Silent(), lp)


def test_a_search_is_stopped_by_its_tick() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        portfolio(np.ones(50), np.linspace(1, 2, 50), 20.0, tick=stop)
