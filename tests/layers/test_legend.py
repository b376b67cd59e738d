"""Class limits of the map's legend."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from layers.legend import class_limits, classes_of, value_limits


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=200))
def test_limits_rise_end_at_the_largest_count_and_hold_every_count(counts: list[int]) -> None:
    limits = class_limits(np.array(counts, dtype=np.int64))
    assert limits == sorted(set(limits))
    assert limits[-1] == max(counts)
    assert 1 <= len(limits) <= 6
    # No class is empty: each limit is a count that occurs.
    assert set(limits) <= set(counts)


def test_equal_counts_make_one_class() -> None:
    assert class_limits(np.full(50, 3, dtype=np.int64)) == [3]


def test_no_cells_make_no_class() -> None:
    assert class_limits(np.zeros(0, dtype=np.int64)) == []


def test_a_hand_worked_case() -> None:
    # 1…100: 40 % lie up to 40, then 65, 82, 92 and 97.
    assert class_limits(np.arange(1, 101, dtype=np.int64)) == [40, 65, 82, 92, 97, 100]


def test_limits_of_a_measure_are_rounded_as_the_legend_says_them() -> None:
    values = np.array([np.nan, 0.0, -1.0, 0.04, 0.26, 0.31, 1.0, 7.77])
    limits = value_limits(values, 1)
    assert limits == sorted(set(limits))
    assert limits[-1] == 7.8  # rounded up: the largest value lies in the last class
    assert all(round(limit, 1) == limit > 0 for limit in limits)
    assert value_limits(np.array([0.0, np.nan]), 1) == []
    assert value_limits(np.full(9, 2.0), 2) == [2.0]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.integers(0, 3))
def test_each_value_lies_in_the_class_whose_limits_hold_it(values: list[float], digits: int) -> None:
    array = np.array(values)
    limits = value_limits(array, digits)
    for value, k in zip(values, classes_of(array, limits).tolist(), strict=True):
        if value <= 0:
            assert k == -1
        else:
            assert value <= limits[k] + 1e-9 * limits[-1]
            assert k == 0 or value > limits[k - 1]


def test_values_without_a_class_get_none() -> None:
    assert classes_of(np.array([np.nan, 0.0, 0.5, 1.0, 1.5, 9.0]), [1.0, 2.0]).tolist() == [
        -1,
        -1,
        0,
        0,
        1,
        1,
    ]
    assert classes_of(np.array([1.0]), []).tolist() == [-1]
