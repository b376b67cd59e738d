"""Other ways to spend the same hours: one evaluator for a plan and for scattered cells."""

import h3.api.numpy_int as h3
import numpy as np
import pytest

from geo.effort import Effort, filled
from geo.patches import Limits
from geo.rivals import Crew, Days, by_share, distances, rivals, top_cells, tour
from geo.selection import candidates, choose

HOUR_M = 1 / 10_000  # 10 km an hour, on the straight line


@pytest.fixture(scope="module")
def line():
    """Sixty cells along a line, two steps in each; entering one costs the way from its neighbour."""
    start = int(h3.latlng_to_cell(26.4, 50.0, 9))
    end = int(h3.grid_ring(start, 59)[0])
    cells = np.sort(np.asarray(h3.grid_path_cells(start, end)).astype(np.int64))
    n = len(cells)
    hop = HOUR_M * 340.0
    value = np.ravel(np.column_stack([np.linspace(3, 1, n), np.full(n, 0.5)]))
    return Effort(cells, np.full(n, hop), np.repeat(np.arange(n), 2), np.ones(2 * n), value)


def test_a_tour_visits_each_point_once_and_a_line_from_end_to_end():
    rng = np.random.default_rng(0)
    apart = distances(50 + 0.001 * rng.permutation(40), np.full(40, 26.0))
    order = tour(apart)
    assert sorted(order.tolist()) == list(range(40))
    assert apart[order[:-1], order[1:]].sum() == pytest.approx(apart.max())


def test_two_opt_shortens_what_the_nearest_neighbour_gives():
    rng = np.random.default_rng(1)
    apart = distances(50 + rng.random(150) * 0.1, 26 + rng.random(150) * 0.1)
    lengths = []
    for exact in (False, True):
        order = tour(apart, exact=exact)
        assert sorted(order.tolist()) == list(range(150))
        lengths.append(apart[order[:-1], order[1:]].sum())
    assert lengths[1] < 0.93 * lengths[0]
    # 0.7124 · sqrt(n · area) is what an optimal tour of many points has (Beardwood et al. 1959).
    area = 0.1 * 111_195 * 0.1 * 111_195 * np.cos(np.radians(26.05))
    assert lengths[1] == pytest.approx(0.7124 * np.sqrt(150 * area), rel=0.15)


def test_in_an_area_the_evaluator_agrees_with_the_hours_of_its_cells(line):
    crew = Crew(line, np.full(len(line.cells), 12.0), HOUR_M)
    order = tour(distances(crew.lon, crew.lat))[:10]
    found = crew.spent([np.sort(order)], [1.0])
    assert found.value == pytest.approx(filled(line, order, 12.0).value, rel=0.01)
    assert found.hours == pytest.approx(12.0)
    assert found.cells == 10


def test_cells_beyond_the_hours_are_not_reached(line):
    crew = Crew(line, np.full(len(line.cells), 1.0), HOUR_M)
    found = crew.spent([np.arange(len(line.cells))], [1.0])
    assert 20 < found.cells < 35 and found.hours <= 1 + 1e-9


def test_a_team_whose_cells_lie_apart_pays_the_way_from_their_middle_each_day(line):
    ends = np.flatnonzero(np.argsort(np.argsort(centre_lon(line))) % 59 == 0)
    crew = Crew(line, np.full(len(line.cells), 40.0), HOUR_M, Days(40.0, 10))
    apart = distances(crew.lon[ends], crew.lat[ends])
    # From one end the other is 20 km off and itself none: ten days there and back, half of the time.
    assert crew.hours(ends, apart) == pytest.approx(40 - 20 * apart.max() / 2 * HOUR_M)
    assert crew.hours(ends[:1], apart[:1, :1]) == 40.0


def centre_lon(effort):
    return np.array([h3.cell_to_latlng(int(cell))[1] for cell in effort.cells])


def test_hours_go_by_share_of_reports_and_no_step_is_done_twice(line):
    n = len(line.cells)
    counts, group = np.ones(n), np.zeros(n, np.int64)
    group[: n // 4] = 1
    crew = Crew(line, np.full(n, 8.0), HOUR_M)
    found = by_share(crew, counts, group, 4)
    inside = [group[one[0]] for one in found.sets]
    assert inside == [0, 0, 0, 1]
    top = top_cells(crew, counts, 4)
    for one in (found, top):
        steps, shares = one.steps
        assert len(steps) == len(set(steps.tolist()))
        assert one.value == pytest.approx((line.step_value[steps] * shares).sum())
        assert one.hours <= 32 + 1e-9


def test_a_team_that_moves_on_to_another_municipality_pays_for_the_way(line):
    n = len(line.cells)
    east = np.argsort(np.argsort(centre_lon(line)))
    counts, group = np.where((east < 5) | (east >= n - 5), 1.0, 0.0), (east >= n // 2).astype(np.int64)
    crew = Crew(line, np.full(n, 8.0), HOUR_M)
    alone, moving = by_share(crew, counts, group, 2), by_share(crew, counts, group, 1)
    assert alone.hours == pytest.approx(16.0)
    middles = [np.array([p[counts * (group == g) > 0].mean() for g in (0, 1)]) for p in (crew.lon, crew.lat)]
    assert moving.hours == pytest.approx(8.0 - distances(*middles)[0, 1] * HOUR_M, rel=1e-6)


def test_who_walks_between_cells_is_driven_to_the_base_and_from_one_municipality_to_another(line):
    n = len(line.cells)
    full, days = np.full(n, 40.0), Days(40.0, 10)
    ends = np.flatnonzero(np.argsort(np.argsort(centre_lon(line))) % 59 == 0)
    walked, driven = Crew(line, full, HOUR_M, days), Crew(line, full, HOUR_M, days, HOUR_M / 5)
    apart = distances(walked.lon[ends], walked.lat[ends])
    assert 40 - driven.hours(ends, apart) == pytest.approx((40 - walked.hours(ends, apart)) / 5)
    east = np.argsort(np.argsort(centre_lon(line)))
    counts, group = np.where((east < 5) | (east >= n - 5), 1.0, 0.0), (east >= n // 2).astype(np.int64)
    slow, fast = (
        by_share(Crew(line, np.full(n, 8.0), HOUR_M, None, away), counts, group, 1).hours
        for away in (None, HOUR_M / 5)
    )
    assert 8 - fast == pytest.approx((8 - slow) / 5)


def test_without_reports_the_rivals_find_nothing(line):
    n = len(line.cells)
    crew = Crew(line, np.full(n, 8.0), HOUR_M)
    for found in (top_cells(crew, np.zeros(n), 2), by_share(crew, np.zeros(n), np.zeros(n, np.int64), 2)):
        assert (found.value, found.hours, found.cells) == (0.0, 0.0, 0)


def test_a_plan_is_never_worse_than_greedy_and_beats_cells_that_lie_apart():
    rng = np.random.default_rng(2)
    cells = np.sort(np.asarray(h3.grid_disk(h3.latlng_to_cell(26.4, 50.1, 9), 8)).astype(np.int64))
    n = len(cells)
    # Two rich quarters; reports are as many in lone cells all over as there.
    rich = np.isin(cells, h3.grid_disk(int(cells[30]), 2)) | np.isin(cells, h3.grid_disk(int(cells[180]), 2))
    effort = Effort(
        cells,
        np.full(n, 0.3),
        np.arange(n),
        np.ones(n),
        np.where(rich, 4.0, 0.5) * rng.uniform(0.8, 1.2, n),
    )
    limits = Limits(areas=2, capacity=np.full(n, 12.0))
    among = candidates(effort, limits)
    choice = choose(effort, limits, among)
    counts = rng.poisson(1.0, n)
    beside = rivals(effort, limits, choice, among, counts, 0.3 / 340)
    assert beside.plan.value == pytest.approx(choice.objective, rel=0.1)
    assert beside.plan.value >= beside.greedy.value * 0.98
    assert beside.plan.value > 1.5 * beside.top_cells.value
