"""The choice of scale: finest that holds enough, its limits, and what it says about itself."""

from __future__ import annotations

import h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from geo.errors import InputError
from geo.scale import LEAST_EXPECTED, MOST_CELLS, Choice, _scale, choose, disk, width_m


def city(reports: int, cells_at_10: int, seed: int = 1) -> tuple[dict[int, np.ndarray], dict[int, int]]:
    """Evenly scattered reports on a city whose cells nest by sevens."""
    rng = np.random.default_rng(seed)
    fine = rng.poisson(reports / cells_at_10, cells_at_10)
    counts, area = {}, {}
    for resolution in range(10, 4, -1):
        size = 7 ** (10 - resolution)
        groups = -(-cells_at_10 // size)
        coarse = np.add.reduceat(fine, np.arange(groups) * size)
        counts[resolution], area[resolution] = coarse[coarse > 0], groups
    return counts, area


def said(choice: Choice) -> dict[str, dict]:
    return {remark.code: dict(remark.values) for remark in choice.remarks}


def test_many_reports_get_the_finest_cells_and_one_ring_where_they_are_even() -> None:
    choice = choose(*city(100_000, 16_807))
    assert (choice.resolution, choice.k) == (10, 1)
    assert said(choice)["scale_rings"] == {"k": 1, "members": 7, "expected": pytest.approx(41.6, abs=0.5)}
    assert not any(remark.caution for remark in choice.remarks)


def test_a_seventh_of_the_reports_gets_cells_seven_times_as_large_and_is_told_why() -> None:
    choice = choose(*city(14_000, 16_807))
    assert choice.resolution == 9
    assert said(choice)["scale_thin"] == {
        "resolution": 10,
        "members": 19,
        "expected": pytest.approx(15.8, abs=0.5),
        "least": 30,
    }


def test_a_large_area_gets_no_more_cells_than_can_be_read() -> None:
    choice = choose(*city(2_000_000, 7**6))
    assert choice.resolution == 9
    assert said(choice)["scale_many"] == {"resolution": 10, "cells": 7**6, "most": MOST_CELLS}


def test_skewed_counts_get_two_rings_and_are_told_why() -> None:
    rng = np.random.default_rng(2)
    counts = rng.negative_binomial(0.2, 0.2 / 60, 5_000)
    choice = choose({9: counts[counts > 0]}, {9: 5_000})
    assert (choice.resolution, choice.k) == (9, 2)
    assert said(choice)["scale_skewed"]["skew"] == pytest.approx(skew(counts), abs=0.06)


def test_few_reports_get_three_rings_and_fewer_still_a_warning() -> None:
    # 19 cells hold 30 reports on average up to 266 cells of 420 reports, 37 cells up to 518.
    for cells, k in ((250, 2), (500, 3)):
        choice = choose({8: np.full(105, 4)}, {8: cells})
        assert choice.k == k
        assert not any(remark.caution for remark in choice.remarks)
    nearly_none = choose({7: np.ones(9, dtype=int), 8: np.ones(9, dtype=int)}, {7: 90, 8: 630})
    assert nearly_none.resolution == 7
    assert [r.code for r in nearly_none.remarks if r.caution] == ["scale_few_reports"]


def test_no_reports_and_tiny_areas_still_get_an_answer_with_a_warning() -> None:
    none = np.zeros(0, dtype=np.int64)
    for area in (0, 1, 6, 29, 75, 10_000_000):
        choice = choose({9: none, 10: none}, {9: area // 7, 10: area})
        assert choice.resolution in (9, 10) and choice.k >= 1
        assert any(remark.caution for remark in choice.remarks)


def test_reports_in_a_few_loud_cells_get_finer_cells_that_spread_them_out() -> None:
    # 1,400 reports: at resolution 7 in 3 cells of 1,200, at 8 in 40 of 8,400, at 9 the area is too large.
    counts = {7: np.array([500, 500, 400]), 8: np.full(40, 35), 9: np.full(200, 7)}
    choice = choose(counts, {7: 1_200, 8: 8_400, 9: 58_800})
    assert (choice.resolution, choice.k) == (8, 2)
    assert said(choice)["scale_gathered"] == {"resolution": 7, "cells": 2}
    assert not any(remark.caution for remark in choice.remarks)


def test_reports_on_the_very_same_spots_are_not_chased_into_ever_finer_cells() -> None:
    spots = np.array([700, 400, 300])
    choice = choose({7: spots, 8: spots, 9: spots}, {7: 300, 8: 2_100, 9: 14_700})
    assert choice.resolution == 7


def test_a_few_reports_are_not_taken_for_loud_cells() -> None:
    scattered = {7: np.full(30, 1), 8: np.full(30, 1)}
    assert choose(scattered, {7: 90, 8: 630}).resolution == 7


def test_a_resolution_asked_for_gets_its_rings() -> None:
    counts, area = city(14_000, 16_807)
    assert choose({10: counts[10]}, {10: area[10]}).resolution == 10


@pytest.mark.parametrize(("counts", "area"), [({}, {}), ({9: np.ones(3)}, {8: 40})])
def test_counts_and_cells_of_different_resolutions_are_refused(counts: dict, area: dict) -> None:
    with pytest.raises(InputError, match="same resolutions"):
        choose(counts, area)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 400), max_size=300),
    st.integers(0, 4_000),
)
def test_whatever_is_chosen_holds_enough_or_says_that_it_does_not(held: list[int], empty: int) -> None:
    counts = np.array(held, dtype=np.int64)
    cells = len(counts) + empty
    choice = choose({9: counts}, {9: cells})
    enough = disk(choice.k) * counts.sum() / max(cells, 1) >= LEAST_EXPECTED
    large = cells >= max(30, 4 * disk(choice.k))
    assert (enough and large) != any(remark.caution for remark in choice.remarks)


def test_moments_count_the_cells_without_reports() -> None:
    counts = np.random.default_rng(3).poisson(0.7, 900)
    scale = _scale(9, counts[counts > 0], 900)
    assert scale.skew == pytest.approx(skew(counts), abs=1e-9)
    assert scale.expected(2) == pytest.approx(19 * counts.mean())


def test_the_width_of_a_cell_is_that_of_h3_on_average() -> None:
    for resolution in range(4, 11):
        edge = h3.average_hexagon_edge_length(resolution, unit="m")
        assert width_m(resolution) == pytest.approx(np.sqrt(3) * edge, rel=0.08)
