"""Class limits of the map's legend."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from layers.legend import class_limits


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
