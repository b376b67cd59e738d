"""Gini's coefficient on hand-worked cases."""

from __future__ import annotations

import pytest

from geo.errors import InputError
from geo.fairness import gini


@pytest.mark.parametrize(
    ("amounts", "value"),
    [
        ([3, 3, 3], 0.0),
        ([0, 0, 0, 8], 0.75),  # one of four has everything: 1 − 1/4
        ([1, 3], 0.25),
        ([5], 0.0),
    ],
)
def test_the_coefficient_is_that_of_a_hand_worked_case(amounts: list[float], value: float) -> None:
    assert gini(amounts) == pytest.approx(value)


def test_nothing_to_share_out_has_no_coefficient() -> None:
    assert gini([0, 0]) is None
    assert gini([]) is None


def test_amounts_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(InputError, match="at least 0"):
        gini([1, -1])
