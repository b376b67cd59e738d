"""Curves of finds by hours, worked by hand; hit rates and draws on cases that are known."""

from __future__ import annotations

import math

import h3
import numpy as np
import pytest
import shapely
from scipy.stats import beta, nbinom

from geo.cells import areas_km2, cells_of
from geo.effort import filled
from geo.errors import InputError
from geo.hitrates import TYPES, area_types, hit_rates
from geo.worth import PASSES, ROUND, Rounds, Sites, Worth, hop_km, road_km, searched, worth
from geo.yields import Spread, draws, interval, paced, rates

PAIR = np.sort(np.array([h3.str_to_int(c) for c in h3.grid_disk(h3.latlng_to_cell(26.4, 50.1, 8), 1)][:2]))
KM2 = np.array([1.0, 4.0])


def two_cells() -> Worth:
    """Cell 0: two places and nothing to come; cell 1: no place, and 3 finds to come."""
    sites = Sites(
        cell=np.array([0, 0]),
        finds=np.array([0.5, 0.8]),
        weight=np.array([1.0, 2.0]),
        hours=np.array([0.2, 0.2]),
    )
    rounds = Rounds(np.array([0.0, 3.0]), np.array([1.0, 1.5]), np.array([1.0, 2.0]), np.full(2, 0.1))
    return worth(PAIR, KM2, sites, rounds, minutes_km=6.0, detour=1.0)


def test_a_place_takes_its_hours_and_a_share_of_the_way_between_the_places_of_its_cell() -> None:
    made = two_cells()
    # 6 minutes a km are 0.1 h: 0.7124 · sqrt(1 km² / 2) km between two places on 1 km².
    hours = 0.2 + 0.7124 * math.sqrt(1 / 2) * 0.1
    assert made.effort.step_hours[:2] == pytest.approx([hours, hours])
    # The better place first: 0.8 finds of weight 2, then 0.5 of weight 1.
    assert made.effort.step_value[:2] == pytest.approx([1.6, 0.5])
    assert made.site.tolist() == [1, 0, *[ROUND] * len(PASSES)]
    assert made.finds[:2] == pytest.approx([0.8, 0.5])


def test_entering_a_cell_takes_the_way_from_its_neighbour() -> None:
    # Hexagons of A km² have their centres sqrt(2 A / sqrt 3) km apart.
    assert hop_km([math.sqrt(3) / 2]) == pytest.approx([1.0])
    assert two_cells().effort.enter == pytest.approx(0.1 * np.sqrt(2 / math.sqrt(3) * KM2))


def test_a_round_finds_what_koopmans_random_search_finds_and_stops_at_each_find() -> None:
    made = two_cells()
    assert searched([0.0, 1.0]) == pytest.approx([0.0, 1 - math.exp(-1)])
    pieces = made.effort.step_cell == 1
    finds = 3.0 * (1 - np.exp(-np.array(PASSES)))
    assert np.cumsum(made.finds[pieces]) == pytest.approx(finds)
    # Two hours a pass, and a tenth of an hour at each place that is found.
    assert np.cumsum(made.effort.step_hours[pieces]) == pytest.approx(2.0 * np.array(PASSES) + 0.1 * finds)
    assert np.cumsum(made.passes[pieces]) == pytest.approx(PASSES)
    assert made.effort.step_value[pieces] == pytest.approx(1.5 * made.finds[pieces])
    once = 3.0 * (1 - math.exp(-1))
    done = filled(made.effort, [1], float(made.effort.enter[1]) + 2.0 + 0.1 * once)
    assert done is not None
    assert made.found(done).sum() == pytest.approx(once)


def test_what_is_worth_nothing_is_no_step_and_a_place_outside_is_refused() -> None:
    nothing = Rounds(np.zeros(2), np.ones(2), np.ones(2), np.ones(2))
    free = Sites(np.array([0, 1]), np.array([0.5, 0.5]), np.array([0.0, 1.0]), np.array([0.1, 0.1]))
    assert worth(PAIR, KM2, free, nothing, 2.5).site.tolist() == [1]
    stray = Sites(np.array([2]), np.array([0.5]), np.array([1.0]), np.array([0.1]))
    with pytest.raises(InputError, match="none of the cells"):
        worth(PAIR, KM2, stray, nothing, 2.5)


def test_roads_are_shared_out_to_the_cells_they_run_through() -> None:
    line = shapely.LineString([(50.10, 26.40), (50.13, 26.40)])
    length = 2992.0
    middle = cells_of([50.10 + 0.03 * i / 300 for i in range(301)], [26.4] * 301, 8)
    cells = np.unique(middle)
    km = road_km(np.array([line], dtype=object), [length], cells, 8)
    assert km.sum() == pytest.approx(length / 1000)
    share = np.array([(middle == cell).mean() for cell in cells])
    assert km / km.sum() == pytest.approx(share, abs=0.02)
    # A study area that holds only one of the cells gets only its part.
    assert road_km(np.array([line], dtype=object), [length], cells[:1], 8) == pytest.approx(km[:1])
    assert areas_km2(cells).min() > 0.5


# ---- hit rates ----


def test_visits_are_added_to_the_prior_of_their_kind_and_type_of_area() -> None:
    found = hit_rates(
        {"overdue": (8, 2), "new": (5, 5)},
        ["overdue"] * 5 + ["new", "old", None],
        [2, 2, 2, 2, -1, 0, 0, 0],
        [True, True, True, False, True, False, True, True],
    )
    busy = found.of("overdue", "busy")
    assert (busy.visits, busy.finds, busy.a, busy.b) == (4, 3, 11, 3)
    assert busy.mean == pytest.approx(11 / 14)
    assert (busy.low, busy.high) == pytest.approx(tuple(beta.ppf([0.1, 0.9], 11, 3)))
    assert found.of("overdue", "quiet").mean == pytest.approx(0.8)
    assert found.of("new", "quiet").mean == pytest.approx(5 / 11)
    # One without a place, one of an unknown kind, one of none.
    assert (found.visits, found.outside) == (5, 3)
    assert found.means("overdue") == pytest.approx([0.8, 0.8, 11 / 14])


def test_a_prior_that_is_none_and_a_rate_that_is_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="above 0"):
        hit_rates({"new": (0, 1)}, [], [], [])
    with pytest.raises(InputError, match="one length"):
        hit_rates({"new": (1, 1)}, ["new"], [0], [])
    with pytest.raises(InputError, match="no hit rate"):
        hit_rates({"new": (1, 1)}, [], [], []).of("overdue", "busy")


def test_types_are_thirds_of_the_cells_with_reports_and_empty_cells_are_quiet() -> None:
    counts, km2 = np.array([0, 1, 2, 3, 4, 5, 6, 0]), np.full(8, 2.0)
    assert [TYPES[t] for t in area_types(counts, km2)] == [
        "quiet", "quiet", "quiet", "middle", "middle", "busy", "busy", "quiet",
    ]  # fmt: skip
    assert set(area_types(np.zeros(4), np.ones(4))) == {0}
    # Equal densities are never in two types.
    assert len(set(area_types(np.full(5, 3), np.ones(5)))) == 1


# ---- draws of the total ----


def test_pace_scales_the_hazard_and_leaves_the_average_place_alone() -> None:
    assert paced([0.3, 0.3, 0.3], [1.0, 0.0, 2.0]) == pytest.approx([0.3, 0.0, 1 - 0.7**2])


def test_known_places_with_a_shared_rate_spread_as_the_beta_binomial_does() -> None:
    n, a, b = 40, 8.0, 2.0
    spread = Spread(
        group=np.zeros(n, int), pace=np.ones(n), share=np.ones(n),
        round_group=np.zeros(0, int), round_finds=np.zeros(0), dispersion=0.0,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    totals = draws(spread, rates(np.array([a]), np.array([b]), rng, 20_000), rng)
    mean = n * a / (a + b)
    variance = n * a * b * (a + b + n) / ((a + b) ** 2 * (a + b + 1))
    assert totals.mean() == pytest.approx(mean, abs=4 * math.sqrt(variance / 20_000))
    assert totals.var() == pytest.approx(variance, rel=0.05)


def test_rounds_spread_as_a_negative_binomial_when_the_rate_is_known() -> None:
    spread = Spread(
        group=np.zeros(0, int), pace=np.zeros(0), share=np.zeros(0),
        round_group=np.array([0]), round_finds=np.array([16.0]), dispersion=0.5,
    )  # fmt: skip
    rate = np.full((20_000, 1), 0.5)
    totals = draws(spread, rate, np.random.default_rng(2))
    low, high = interval(totals)
    assert (low, high) == (nbinom.ppf(0.1, 2, 0.2), nbinom.ppf(0.9, 2, 0.2))
    assert totals.mean() == pytest.approx(8.0, rel=0.03)
    again = draws(spread, rate, np.random.default_rng(2))
    assert np.array_equal(totals, again)
