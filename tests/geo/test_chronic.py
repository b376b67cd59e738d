"""Returns, gaps that have not ended, and medians, by hand and against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from geo.chronic import median_gaps, median_survival, returns, tally
from geo.errors import InputError

NAN = float("nan")
# Place 7: closed on day 3, back on 5 (2 days), closed on 6, back on 20 (14 days), still open.
# Place 8: open all the time while a second one comes and goes: nothing returned.
# Place 9: once, closed on day 10.
PLACE = [9, 7, 8, 7, 8, 7]
OPENED = [4, 5, 0, 0, 30, 20]
CLOSED = [10, 6, NAN, 3, 31, NAN]


def test_a_return_is_what_opens_after_the_one_before_was_closed() -> None:
    found = returns(PLACE, OPENED, CLOSED, until=40)
    assert found.place.tolist() == [7, 7, 7, 8, 8, 9]
    assert found.order.tolist() == [3, 1, 5, 2, 4, 0]
    assert found.returned.tolist() == [False, True, True, False, False, False]
    np.testing.assert_array_equal(found.gap, [NAN, 2, 14, NAN, NAN, NAN])
    np.testing.assert_array_equal(found.closed_before, [NAN, 3, 6, NAN, NAN, NAN])
    np.testing.assert_array_equal(found.quiet, [NAN, NAN, NAN, NAN, 9, 30])


def test_closings_after_the_end_of_the_data_are_not_known() -> None:
    found = returns([1, 1], [0, 5], [2, 50], until=10)
    assert found.returned.tolist() == [False, True]
    assert np.isnan(found.quiet).all()


def test_a_closing_is_suspicious_when_the_thing_is_back_within_days() -> None:
    found = returns(PLACE, OPENED, CLOSED, until=40)
    result = tally(found, PLACE, np.full(6, 7.0), np.ones(6, dtype=bool))
    assert result.group.tolist() == [7, 8, 9]
    assert result.incidents.tolist() == [3, 2, 1]
    assert result.recurrences.tolist() == [2, 0, 0]
    assert result.suspicious.tolist() == [1, 0, 0]
    # Place 8's second was closed nine days ago and place 9's thirty: they held that long.
    assert result.judged.tolist() == [2, 1, 1]


def test_a_closing_of_yesterday_is_not_judged_yet() -> None:
    found = returns([1], [0], [9], until=10)
    assert tally(found, [1], [7.0], [True]).judged.tolist() == [0]


def test_what_does_not_count_still_tells_what_was_there_before() -> None:
    found = returns(PLACE, OPENED, CLOSED, until=40)
    result = tally(found, PLACE, np.full(6, 7.0), np.array(OPENED) == 20)
    assert (result.group.tolist(), result.recurrences.tolist()) == ([7], [1])


def test_the_median_counts_gaps_that_have_not_ended() -> None:
    found = returns([1, 1, 1, 2], [0, 10, 40, 0], [5, 20, 41, 1], until=100)
    # Place 1 came back after 5 and 20 days and has been quiet for 59; place 2 never came back.
    counted = np.ones(4, dtype=bool)
    np.testing.assert_array_equal(median_gaps(found, [0, 0, 0, 1], 2, counted), [20, NAN])
    # Together: 5 and 20 days, quiet for 59 and for 99; half of the four are back after 20.
    np.testing.assert_array_equal(median_gaps(found, [0, 0, 0, 0], 1, counted), [20])


@pytest.mark.parametrize("seed", range(12))
def test_medians_are_those_of_kaplan_and_meier(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, n = 9, 200
    group = rng.integers(0, groups - 1, n)  # the last one has none
    time = rng.integers(1, 15, n).astype(float) if seed % 2 else rng.exponential(9, n)
    ended = rng.random(n) < rng.choice([0.3, 0.7, 1.0])
    found = median_survival(group, time, ended, groups)
    for g in range(groups - 1):
        mine = group == g
        curve = SurvfuncRight(time[mine], ended[mine].astype(int))
        below = np.flatnonzero(curve.surv_prob <= 0.5 + 1e-9)
        assert found[g] == curve.surv_times[below[0]] if len(below) else np.isnan(found[g])
    assert np.isnan(found[-1])


def test_the_order_of_incidents_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    place, opened = rng.integers(0, 5, 60), rng.integers(0, 50, 60).astype(float)
    closed = np.where(rng.random(60) < 0.7, opened + rng.integers(0, 9, 60), NAN)
    whole = tally(returns(place, opened, closed, 60), place, np.full(60, 4.0), np.ones(60, bool))
    mixed = rng.permutation(60)
    again = returns(place[mixed], opened[mixed], closed[mixed], 60)
    other = tally(again, place[mixed], np.full(60, 4.0), np.ones(60, bool))
    for name in ("group", "incidents", "recurrences", "suspicious", "judged"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(other, name))


def test_incidents_without_an_opening_are_refused() -> None:
    with pytest.raises(InputError, match="opening"):
        returns([1], [NAN], [3], 9)
    with pytest.raises(InputError, match="one length"):
        returns([1], [1, 2], [3], 9)
    assert len(returns([], [], [], 9).order) == 0
    np.testing.assert_array_equal(median_survival([], [], [], 2), [NAN, NAN])
