"""Forecasts: nothing of the future leaks in, planted patterns are found, runs are repeatable."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom, poisson

from geo import forecast as forecasts
from geo.backtest import Judge, Trials, fit
from geo.cells import cells_of
from geo.errors import Cancelled, InputError
from geo.forecast import AUTO, AVERAGE, CODES, DEFAULT, MODELS, best, chosen_before, rolling, shares_of
from geo.forecast_mixture import COMPONENTS, components, mixture, samples, stacked, weights
from geo.forecast_models import Task, task
from geo.forecast_total import total
from geo.ground import Ground
from geo.history import FOREVER, History, Window, history, training_windows

N = 169  # cells of the planted city


def city(n: int = N) -> np.ndarray:
    """A disk of cells, ascending."""
    import h3

    middle = h3.int_to_str(int(cells_of([50.1], [26.4], 9)[0]))
    return np.sort(np.array([h3.str_to_int(cell) for cell in h3.grid_disk(middle, 7)], dtype=np.int64))[:n]


def planted(
    rates: np.ndarray,
    days: int,
    seed: int = 0,
    kinds: np.ndarray | None = None,
    cells: np.ndarray | None = None,
) -> History:
    """Poisson reports; ``rates`` (n,) or (n, days) a day."""
    rng = np.random.default_rng(seed)
    each = rates if rates.ndim == 2 else np.repeat(rates[:, None], days, axis=1)
    counts = rng.poisson(each)
    place, day = np.nonzero(counts)
    often = counts[place, day]
    place, day = np.repeat(place, often), np.repeat(day, often)
    kind = None if kinds is None else kinds[place]
    return history(city() if cells is None else cells, place, day, 0, days, kind)


def uneven(seed: int = 1, mean: float = 0.05) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return mean * rng.gamma(0.5, 2.0, N)


# ---- history and training windows ----


def test_a_past_holds_nothing_of_its_origin_or_later() -> None:
    whole = planted(uneven(), 100)
    past = whole.before(60)
    assert past.end == 60 and past.days == 60
    assert len(past.day) == np.count_nonzero(whole.day < 60) and past.day.max() < 60
    with pytest.raises(InputError, match="nothing before it"):
        whole.before(0)
    with pytest.raises(InputError, match="not within"):
        past.before(61)


def test_decayed_counts_are_half_after_one_half_life() -> None:
    cells = city(3)
    found = history(cells, [0, 0, 2], [0, 10, 19], 0, 20)
    at_10, at_20 = found.decayed([10.0, FOREVER], [10, 20])
    assert at_10[0] == pytest.approx([0.5, 0, 0])  # day 10 itself is not yet known
    assert at_10[1] == pytest.approx([1, 0, 0])
    assert at_20[0] == pytest.approx([0.25 + 0.5, 0, 0.5**0.1])
    assert at_20[1] == pytest.approx([2, 0, 1])


@given(st.integers(0, 2**32 - 1), st.floats(1, 400), st.integers(5, 59))
@settings(max_examples=25, deadline=None)
def test_decayed_counts_do_not_depend_on_the_origins_before(seed: int, half_life: float, origin: int) -> None:
    whole = planted(uneven(seed % 97), 60, seed)
    direct = next(whole.decayed([half_life], [origin]))[0]
    stepwise = list(whole.decayed([half_life], [*range(1, origin, 3), origin]))[-1][0]
    assert stepwise == pytest.approx(direct)
    age = origin - whole.day[whole.day < origin]
    assert direct.sum() == pytest.approx((0.5 ** (age / half_life)).sum())


def test_a_steady_rate_is_its_decayed_count_over_the_days_it_stands_for() -> None:
    one = history(city(1), np.zeros(50, dtype=int), np.arange(50), 0, 50)
    for half_life in (3.0, 30.0, FOREVER):
        count = next(one.decayed([half_life], [50]))[0, 0]
        assert count / one.weight_days(half_life, 50) == pytest.approx(1.0)


@given(st.integers(1, 60), st.integers(1, 900), st.integers(2, 24))
@settings(max_examples=80, deadline=None)
def test_training_windows_are_over_at_the_origin_and_leave_something_to_look_back_on(
    days: int, recorded: int, most: int
) -> None:
    past = History(city(1), *(np.zeros(0, dtype=np.int32) for _ in range(3)), 0, recorded)
    found = training_windows(past, days, most)
    assert len(found) <= most
    assert bool(found) == (recorded >= 3 * days or recorded - days - days >= 0)
    for window in found:
        assert window.days == days and window.end <= recorded and window.start >= days
    assert all(a.end < b.end for a, b in itertools.pairwise(found))
    if found:
        assert found[-1].end == recorded


# ---- no peeking ----


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=3, deadline=None)
def test_changing_what_comes_after_the_origin_changes_no_forecast(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 8, N)
    whole = planted(uneven(), 240, 3, kinds)
    windows = [Window(150, 180), Window(180, 210)]
    later = whole.day >= 180
    other = History(
        whole.cells,
        np.where(later, rng.integers(0, N, len(later)), whole.place).astype(np.int32),
        whole.day,
        np.where(later, 99, whole.kind).astype(np.int32),
        whole.first,
        whole.end,
    )
    codes = [code for code in CODES if code != "boosted"]
    one, two = rolling(whole, windows, codes), rolling(other, windows, codes)
    for code in codes:
        assert (one.forecasts[code] == two.forecasts[code]).all(), code
    assert (one.observed[0] == two.observed[0]).all()
    assert not (one.observed[1] == two.observed[1]).all()


def test_boosted_trees_do_not_see_the_future_either() -> None:
    whole = planted(uneven(), 200, 4)
    cut = whole.before(170)
    window = [Window(140, 170)]
    one, two = rolling(whole, window, ["boosted"]), rolling(cut, window, ["boosted"])
    assert (one.forecasts["boosted"] == two.forecasts["boosted"]).all()


def test_the_models_of_auto_are_chosen_on_earlier_tests_only() -> None:
    rng = np.random.default_rng(5)
    observed = rng.poisson(rng.gamma(0.5, 2.0, N), (6, N)).astype(float)
    shown = {"past": rng.random((6, N)), "last": rng.random((6, N)), DEFAULT: rng.random((6, N))}
    shown["last"][:4] = observed[:4]  # "last" knows the first four tests, and nothing after
    trials = Trials(city(), np.ones(N), np.arange(6), observed, shown)
    forecast, taken = chosen_before(trials, ("last", "past", DEFAULT))
    assert taken[:3] == [DEFAULT] * 3 and taken[3:] == ["last"] * 3
    assert (forecast[4] == shown["last"][4]).all()
    assert best(trials) == "last"


def test_a_window_that_is_not_over_cannot_be_judged() -> None:
    with pytest.raises(InputError, match="not over yet"):
        rolling(planted(uneven(), 100), [Window(80, 110)], ["past"])


# ---- what models find ----


def given_task(past: History, days: int = 30) -> Task:
    return task(past, days, Ground(past.cells))


@pytest.mark.parametrize("code", CODES)
def test_every_model_gives_shares_that_add_up_and_finds_a_steady_hot_spot(code: str) -> None:
    rates = np.full(N, 0.01)
    rates[40] = 1.0
    share = shares_of(given_task(planted(rates, 300, 6)), [code])[code]
    assert share.shape == (N,) and (share >= 0).all()
    assert share.sum() == pytest.approx(1)
    assert share.argmax() == 40


@pytest.mark.parametrize("code", CODES)
def test_every_model_answers_without_reports_with_few_and_with_hardly_any_past(code: str) -> None:
    empty = history(city(), [], [], 0, 200)
    assert shares_of(given_task(empty), [code])[code].sum() == pytest.approx(1)
    one = history(city(), [5], [199], 0, 200)
    assert shares_of(given_task(one), [code])[code].sum() == pytest.approx(1)
    short = planted(uneven(), 40, 7)
    assert shares_of(given_task(short), [code])[code].sum() == pytest.approx(1)


def test_a_hot_spot_that_moved_is_followed_by_those_that_forget_and_by_the_mix() -> None:
    rates = np.full((N, 360), 0.01)
    rates[20, :300] = 1.0
    rates[120, 300:] = 1.0
    found = shares_of(given_task(planted(rates, 360, 8)), ["past", "last", "kde_decay", AVERAGE])
    assert found["past"].argmax() == 20
    for code in ("last", "kde_decay", AVERAGE):
        assert found[code].argmax() == 120, code


def test_with_few_reports_a_cell_the_mix_leans_on_its_surroundings() -> None:
    # Rates are smooth in space, and a cell has one report in ten months: alone it tells little.
    land = Ground(city())
    middle = np.hypot(*(land.metres - land.metres[80]).T) / land.spacing_m
    rates = 0.02 * np.exp(-0.5 * (middle / 2.5) ** 2) + 0.0005
    past = planted(rates, 420, 9)
    found = shares_of(task(past, 30, land), ["past", "mixture"])
    truth = rates / rates.sum()
    gain = np.abs(found["past"] - truth).sum() / np.abs(found["mixture"] - truth).sum()
    assert gain > 1.3


def test_a_season_that_is_known_is_foreseen_in_place_and_in_number() -> None:
    # Two halves of the city take turns through the year.
    day = np.arange(3 * 365 + 40)
    land = Ground(city())
    east = land.metres[:, 0] > 0
    wave = 0.5 + 0.45 * np.cos(2 * np.pi * day / 365.25)
    rates = 0.2 * np.where(east[:, None], wave, 1 - wave)
    past = planted(rates, len(day), 10)  # the origin is in February: the east is at its height
    found = shares_of(task(past, 30, land), ["season", "past"])
    assert found["season"][east].sum() > found["past"][east].sum() + 0.1
    only_east = planted(0.2 * np.where(east[:, None], wave, 0.0), len(day) + 60, 11)
    spring = only_east.end + 15
    truth = (
        0.2
        * east.sum()
        * np.sum(0.5 + 0.45 * np.cos(2 * np.pi * np.arange(spring - 15, spring + 15) / 365.25))
    )
    smoothing_alone = only_east.daily()[-30:].mean() * 30
    assert abs(total(only_east, 30) - truth) < abs(smoothing_alone - truth)


def test_kinds_that_rise_lift_the_places_where_they_are_common() -> None:
    kinds = (np.arange(N) < 80).astype(int)
    rates = np.full((N, 360), 0.1)
    rates[kinds == 1, 330:] = 0.4  # one kind quadrupled in the last month
    past = planted(rates, 360, 12, kinds)
    found = shares_of(given_task(past), ["kinds", "past"])
    assert found["kinds"][kinds == 1].sum() > found["past"][kinds == 1].sum() + 0.15


def test_which_kinds_are_common_is_told_by_the_past_alone() -> None:
    kinds = np.arange(N) % 9
    past = planted(uneven(mean=0.2), 100, 13, kinds)
    split = past.by_kind()
    assert len(split) == 6
    assert sum(len(one.day) for one in split) == len(past.day)
    assert all(len(np.unique(one.kind)) == 1 for one in split[:5])
    assert len(history(city(), [], [], 0, 10).by_kind()) in (0, 1)


def test_the_total_follows_the_latest_weeks_and_the_length_of_the_window() -> None:
    steady = planted(np.full(N, 0.1), 200, 14)
    assert total(steady, 30) == pytest.approx(30 * 0.1 * N, rel=0.12)
    assert total(steady, 7) == pytest.approx(7 * 0.1 * N, rel=0.15)
    rates = np.full((N, 200), 0.1)
    rates[:, 150:] = 0.3
    assert total(planted(rates, 200, 15), 30) == pytest.approx(30 * 0.3 * N, rel=0.12)
    assert total(history(city(), [], [], 0, 50), 30) == 0


# ---- the mix ----


def test_weights_are_those_that_made_what_came_most_likely() -> None:
    rng = np.random.default_rng(16)
    densities = rng.dirichlet(np.full(400, 0.3), 3).T
    truth = np.array([0.6, 0.4, 0.0])
    counts = rng.multinomial(40_000, densities @ truth).astype(float)
    found = stacked(densities, counts)
    assert found.sum() == pytest.approx(1)
    assert found == pytest.approx(truth, abs=0.03)
    # No worse than any corner or even weights, as a maximum has to be.
    likely = counts @ np.log(densities @ found)
    for other in (*np.eye(3) * 0.99 + 0.01 / 3, np.full(3, 1 / 3), truth):
        assert likely >= counts @ np.log(densities @ other) - 1e-3 * counts.sum()
    assert stacked(densities, np.zeros(400)) == pytest.approx(np.full(3, 1 / 3))


def test_components_are_densities_and_the_mix_is_one_of_them_or_between() -> None:
    one = given_task(planted(uneven(mean=0.2), 250, 17))
    parts = components(one.past, one.ground, one.decayed[-1])
    assert parts.shape == (len(COMPONENTS), N)
    assert parts.sum(axis=1) == pytest.approx(np.ones(len(COMPONENTS)))
    learned = weights(samples(one), one.outcomes, len(COMPONENTS))
    assert learned.sum() == pytest.approx(1) and (learned >= 0).all()
    mixed = mixture(one, np.random.default_rng(0))
    assert (mixed <= parts.max(axis=0) + 1e-12).all() and (mixed >= parts.min(axis=0) - 1e-12).all()


def test_a_smoothed_count_keeps_its_total_and_spreads_evenly_to_all_sides() -> None:
    land = Ground(city())
    middle = int(np.hypot(*land.metres.T).argmin())
    point = np.zeros(N)
    point[middle] = 1.0
    for width in (0.35, 0.8, 1.6, 2.2):
        spread = land.smooth(point, width)
        assert spread.sum() == pytest.approx(1)
        assert spread.argmax() == middle
        centre = spread @ land.metres / land.spacing_m
        assert np.abs(centre).max() < 0.15
    # Twice a kernel is one with twice the variance.
    wide = land.smooth(land.smooth(point, 0.8), 0.8)
    variance = wide @ (land.metres**2).sum(axis=1) / 2 / land.spacing_m**2
    assert variance == pytest.approx(2 * 0.8**2, rel=0.1)
    assert (land.smooth(point, 0) == point).all()
    with pytest.raises(InputError, match="not possible"):
        land.smooth(point, 40)


def test_kernels_do_not_depend_on_which_was_made_first() -> None:
    values = np.random.default_rng(18).random(N)
    one, two = Ground(city()), Ground(city())
    narrow_first = [one.smooth(values, width) for width in (0.35, 0.8)]
    wide_first = [two.smooth(values, width) for width in (0.8, 0.35)][::-1]
    for a, b in zip(narrow_first, wide_first, strict=True):
        assert a == pytest.approx(b)


# ---- intervals ----


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_intervals_hold_what_they_promise(alpha: float) -> None:
    rng = np.random.default_rng(19)
    mu = rng.gamma(1.0, 4.0, 20_000) + 0.01
    shape = 1 / alpha if alpha else 0
    came = rng.negative_binomial(shape, shape / (shape + mu)) if alpha else rng.poisson(mu)
    found = forecasts.spread(came, mu)
    assert found == pytest.approx(alpha, abs=0.03)
    low, high = forecasts.interval(mu, found)
    inside = np.mean((came >= low) & (came <= high))
    assert 0.9 <= inside <= 0.97
    exact = (
        nbinom.ppf(0.95, shape, shape / (shape + mu[:50])) if alpha else poisson.ppf(0.95, mu[:50])
    )  # half a per cent of rounding moves a bound by one at most
    assert np.abs(forecasts.interval(mu, alpha)[1][:50] - exact).max() <= 1


def test_the_coverage_of_a_good_forecast_is_about_its_interval() -> None:
    rng = np.random.default_rng(20)
    rate = rng.gamma(1.0, 6.0, N)
    observed = rng.poisson(rate, (8, N)).astype(float)
    trials = Trials(city(), np.ones(N), np.arange(8), observed, {"a": np.tile(rate, (8, 1))})
    assert 0.85 <= forecasts.coverage(trials, "a") <= 1.0


# ---- running ----


def test_the_same_question_gives_the_same_answer_whatever_else_is_asked() -> None:
    past = planted(uneven(mean=0.1), 240, 21)
    alone = shares_of(given_task(past), ["boosted"], seed=4)["boosted"]
    among = shares_of(given_task(past), ["mixture", "boosted", "last"], seed=4)
    assert (alone == among["boosted"]).all()
    assert list(among) == ["mixture", "boosted", "last"]
    with pytest.raises(InputError, match="no forecast model 'oracle'"):
        shares_of(given_task(past), ["oracle"])


def test_progress_is_told_and_can_stop_it() -> None:
    told: list[float] = []
    whole = planted(uneven(), 200, 22)
    rolling(whole, [Window(120, 150), Window(150, 180)], ["past", "mixture"], tick=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) >= 5

    def stop(share: float) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        rolling(whole, [Window(150, 180)], ["past"], tick=stop)


def test_all_models_have_a_code_and_the_average_is_of_two_of_them() -> None:
    assert (*MODELS, AVERAGE) == CODES and AUTO not in CODES
    past = planted(uneven(), 200, 23)
    found = shares_of(given_task(past), list(CODES))
    assert found[AVERAGE] == pytest.approx((found["mixture"] + found["kinds"]) / 2)


# ---- real reports, reduced ----


def test_on_real_reports_the_forecast_beats_last_month_and_past_counts(shared_data: Path) -> None:
    # Baltimore, July to December 2020, the plain ways and the default; all: ./bench forecast.
    from tests.bench.forecast import read, test_windows

    windows = test_windows("baltimore", "test")
    past = read("baltimore", 10, folder=shared_data)
    assert len(past.cells) == 16_167
    trials = rolling(past, windows, ["last", "past", DEFAULT], memory=182)
    assert trials.observed.sum() == 49_045
    judge = Judge(trials, rng=np.random.default_rng(0), draws=1000)
    # The baseline as it is known (resolution 9 has 11.7 and 34.5 %): finer cells catch more.
    past_scores = {score.budget: score for score in judge.scores("past")}
    assert past_scores[0.01].hit == pytest.approx(0.136, abs=0.002)
    assert past_scores[0.05].hit == pytest.approx(0.396, abs=0.002)
    for gain in judge.differences(DEFAULT, ("last", "past")):
        assert gain.better, gain
        assert gain.low_cells > 0, gain
    assert 0.9 < sum(fit(trials, DEFAULT).observed) / sum(fit(trials, DEFAULT).expected) < 1.1


def test_the_known_baseline_is_found_again(shared_data: Path) -> None:
    from tests.bench.forecast import read, test_windows

    past = read("baltimore", 9, folder=shared_data)
    trials = rolling(past, test_windows("baltimore", "test"), ["past"], memory=182)
    one, _, five, _ = Judge(trials, rng=np.random.default_rng(0), draws=50).scores("past")
    assert (one.hit, five.hit) == pytest.approx((0.117, 0.345), abs=0.006)
    assert (one.pei, five.pei) == pytest.approx((0.86, 0.87), abs=0.02)
