"""Kaplan-Meier: equal to lifelines, to statsmodels, and to a case worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight

from geo.errors import InputError
from geo.survival import kaplan_meier

KNOWN = Path(__file__).parent / "lifelines"


@pytest.fixture(scope="module")
def durations() -> pd.DataFrame:
    return pd.read_csv(KNOWN / "durations.csv")


def test_steps_and_limits_are_those_of_lifelines_ties_and_censoring_included(durations: pd.DataFrame) -> None:
    steps = pd.read_csv(KNOWN / "steps.csv")
    names = list(dict.fromkeys(durations["case"]))
    found = kaplan_meier(durations["duration"], durations["ended"], durations["group"], len(names))
    for number, name in enumerate(names):
        curve, known = found.curve(number), steps[steps["case"] == name]
        assert curve.time.tolist() == known["time"].tolist()
        assert curve.at_risk.tolist() == known["at_risk"].tolist()
        np.testing.assert_allclose(curve.remaining, known["remaining"], atol=1e-12)
        left = known["remaining"].to_numpy() > 0
        np.testing.assert_allclose(curve.low, known["low"], atol=1e-9)
        np.testing.assert_allclose(curve.high[left], known["high"][left], atol=1e-9)


def test_medians_and_limits_are_those_of_lifelines_and_not_reached_is_an_answer(
    durations: pd.DataFrame,
) -> None:
    known = pd.read_csv(KNOWN / "quantiles.csv")
    names = list(dict.fromkeys(durations["case"]))
    found = kaplan_meier(durations["duration"], durations["ended"], durations["group"], len(names))
    for number, name in enumerate(names):
        for place, share in enumerate((0.5, 0.9)):
            row = known[(known["case"] == name) & (known["share"] == share)].iloc[0]
            assert np.array_equal(found.reached[number, place], row["reached"], equal_nan=True)
            assert np.array_equal(found.low[number, place], row["low"], equal_nan=True)
            if not (found.curve(number).remaining == 0).any():  # there lifelines ends the band at 0
                assert np.array_equal(found.high[number, place], row["high"], equal_nan=True)
    assert np.isnan(found.reached[names.index("never")]).all()


def test_the_limit_is_not_reached_where_nothing_is_left() -> None:
    found = kaplan_meier([1, 2, 2, 4, 6], [True] * 5)
    curve = found.curve(0)
    assert curve.remaining[-1] == 0 and curve.low[-1] == 0 and curve.high[-1] == curve.high[-2] > 0
    assert found.reached[0].tolist() == [2.0, 6.0] and np.isnan(found.high[0, 1])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.integers(0, 2)), min_size=1, max_size=60))
def test_every_group_is_as_statsmodels_has_it(rows: list[tuple[int, bool, int]]) -> None:
    times, ended, group = (np.array(column) for column in zip(*rows, strict=True))
    found = kaplan_meier(times, ended, group, 3)
    for number in range(3):
        own = group == number
        if not ended[own].any():
            assert not len(found.curve(number).time) and found.done[number] == 0
            continue
        other = SurvfuncRight(times[own].astype(float), ended[own].astype(int))
        curve = found.curve(number)
        assert curve.time.tolist() == other.surv_times.tolist()
        np.testing.assert_allclose(curve.remaining, other.surv_prob, atol=1e-12)
        assert curve.at_risk.tolist() == other.n_risk.tolist()
        assert found.followed[number] == own.sum() and found.done[number] == ended[own].sum()


def test_negative_and_missing_durations_are_counted_and_change_nothing() -> None:
    plain = kaplan_meier([1.0, 3.0, 5.0], [True, True, False])
    odd = kaplan_meier([1.0, -2.0, 3.0, np.nan, 5.0], [True, True, True, False, False])
    assert odd.curve(0).remaining.tolist() == plain.curve(0).remaining.tolist()
    assert (odd.negative[0], odd.missing[0], odd.followed[0]) == (1, 1, 3)


def test_without_any_duration_there_is_no_answer_and_no_error() -> None:
    found = kaplan_meier([], [], [], 2)
    assert np.isnan(found.reached).all() and len(found.curve(1).time) == 0


def test_arrays_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(InputError, match="one length"):
        kaplan_meier([1, 2], [True])
    with pytest.raises(InputError, match="numbered from 0 to 1"):
        kaplan_meier([1, 2], [True, True], [0, 2], 2)
