"""Replay on arrays, against a walk through each history by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import InputError
from geo.replay import counting_from, in_order, last_before, standing, status_at

RECEIVED = 1


def test_an_event_without_a_date_or_with_a_later_one_counts_from_its_recording() -> None:
    recorded = np.array(["2026-05-01", "2026-05-01", "2026-05-01"], dtype="datetime64[s]")
    at = np.array(["2026-04-02", "NaT", "2027-01-01"], dtype="datetime64[s]")
    found = counting_from(at, recorded)
    assert found.astype("datetime64[D]").astype(str).tolist() == ["2026-04-02", "2026-05-01", "2026-05-01"]


def test_the_order_of_telling_wins_over_dates_that_run_backwards() -> None:
    report = np.zeros(3, dtype=np.int64)
    status, at = np.array([7, 12, 3], dtype=np.int8), np.array([10, 5, 20])
    seen = [int(status_at(report, status, at, 1, moment, RECEIVED)[0]) for moment in (4, 5, 12, 20, 99)]
    assert seen == [RECEIVED, 12, 12, 3, 3]
    assert standing(report, at).tolist() == [False, True, True]


def test_of_events_of_one_moment_all_stand_and_the_last_is_the_answer() -> None:
    report, at = np.zeros(3, dtype=np.int64), np.array([5, 5, 5])
    assert standing(report, at).all()
    assert last_before(report, at, 2, 5).tolist() == [2, -1]


def test_events_that_are_not_sorted_by_report_are_refused() -> None:
    with pytest.raises(InputError, match="sorted by report"):
        last_before(np.array([1, 0]), np.array([1, 1]), 2, 1)
    assert in_order(np.array([1, 0, 1]), np.array([2, 1, 1])).tolist() == [1, 2, 0]


_events = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12), st.integers(0, 6)), max_size=14)


@settings(max_examples=60, deadline=None)
@given(events=_events, moment=st.integers(-1, 7))
def test_the_arrays_agree_with_a_walk_through_every_history(
    events: list[tuple[int, int, int]], moment: int
) -> None:
    events = sorted(events, key=lambda event: event[0])  # stable: the order of telling within a report
    report = np.array([e[0] for e in events], dtype=np.int64)
    status, at = np.array([e[1] for e in events], dtype=np.int8), np.array([e[2] for e in events])
    expected = [RECEIVED] * 4
    for own, to, when in events:
        if when <= moment:
            expected[own] = to
    assert status_at(report, status, at, 4, moment, RECEIVED).tolist() == expected
    keep = standing(report, at)
    # What does not stand never was the answer; what stands is in order of its dates.
    assert status_at(report[keep], status[keep], at[keep], 4, moment, RECEIVED).tolist() == expected
    for own in range(4):
        assert (np.diff(at[keep][report[keep] == own]) >= 0).all()
