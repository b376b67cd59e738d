"""Axes and their stretches: joined as a reader would, cut evenly, rated and ranked."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.axes import Axes, axes, best_runs
from geo.errors import InputError
from geo.roads import RoadPlane, Roads, lengths_m
from geo.stretches import stretch_rates, yearly_change
from tests.geo.test_roads import at, grid, roads

STEP_M = 99.8  # of ``STEP`` degrees eastwards
WHOLE = 1_500  # metres: nothing below is cut, and nothing of 400 m is a crumb


def cut(made: Roads, length_m: float, chosen: list[int] | None = None) -> Axes:
    flags = np.ones(len(made), dtype=bool)
    if chosen is not None:
        flags[:] = False
        flags[chosen] = True
    return axes(made, RoadPlane(made.lines), flags, length_m)


def named(*names: str) -> dict[str, list[str]]:
    return {"name_en": list(names)}


# ---- joining and cutting ----


def test_segments_of_one_name_become_one_axis_even_around_a_corner() -> None:
    made = roads(
        [[(0, 0), (7, 0)], [(7, 0), (7, 5)], [(7, 5), (11, 5)]], **named("King St", "king  st", "Other")
    )
    found = cut(made, WHOLE)
    assert found.axis.tolist() == [0, 1] and found.name_en.tolist() == ["King St", "Other"]
    assert found.length_m[0] == pytest.approx(lengths_m(made.lines)[:2].sum(), rel=0.002)


def test_where_more_than_two_meet_the_straightest_go_on() -> None:
    star = [[(0, 0), (5, 0)], [(5, 0), (10, 0.4)], [(5, 0), (5.5, 5)], [(5, -5), (5, 0)]]
    found = cut(roads(star, **named(*["Ring"] * 4)), WHOLE)
    ends = sorted((tuple(line[0]), tuple(line[-1])) for line in found.lines)
    assert len(found) == 2
    west, south = (tuple(map(float, point)) for point in zip(*at((0, 0), (5, -5)), strict=True))
    touched = {point for pair in ends for point in pair}
    assert west in touched and south in touched
    assert all(len(line) == 3 for line in found.lines)


def test_unnamed_roads_go_on_straight_by_class_and_never_around_a_corner() -> None:
    made = roads(
        [[(0, 0), (5, 0)], [(5, 0), (10, 0)], [(10, 0), (10, 5)], [(10, 5), (10, 9)]],
        road_class=["primary"] * 3 + ["secondary"],
    )
    found = cut(made, WHOLE)
    assert [len(line) for line in found.lines] == [3, 2, 2]
    assert found.road_class.tolist() == ["primary", "primary", "secondary"]


def test_a_ring_is_one_axis() -> None:
    ring = [[(0, 0), (4, 0)], [(4, 0), (4, 4)], [(4, 4), (0, 4)], [(0, 4), (0, 0)]]
    found = cut(roads(ring, **named(*["Ring"] * 4)), WHOLE)
    assert len(found) == 1 and found.lines[0][0].tolist() == found.lines[0][-1].tolist()


def test_an_axis_is_cut_into_equal_stretches_without_crumbs() -> None:
    made = roads([[(0, 0), (12, 0), (26, 0)], [(0, 3), (2, 3)]], **named("Long", "Short"))
    found = cut(made, 1000)
    assert found.number.tolist() == [1, 2, 3]
    assert found.length_m == pytest.approx(26 * STEP_M / 3, rel=0.005)
    assert found.short == 1 and found.short_m == pytest.approx(2 * STEP_M, rel=0.005)
    # Each begins where the one before ends.
    for before, after in zip(found.lines[:-1], found.lines[1:], strict=True):
        assert before[-1] == pytest.approx(after[0])


def test_only_chosen_roads_make_axes_and_keys_hold_when_others_come() -> None:
    one = roads([[(0, 0), (15, 0)], [(0, 5), (15, 5)]], **named("A", "B"))
    more = roads([[(0, 9), (15, 9)], [(0, 0), (15, 0)], [(0, 5), (15, 5)]], **named("C", "A", "B"))
    both, again = cut(one, 500), cut(more, 500)
    assert set(both.key) < set(again.key) and len(set(both.key)) == len(both)
    assert set(cut(one, 500, [1]).name_en) == {"B"}
    with pytest.raises(InputError, match="flag for each road"):
        axes(one, RoadPlane(one.lines), np.ones(1, dtype=bool), 500)


@given(seed=st.integers(0, 10_000), length=st.floats(150, 900))
@settings(max_examples=12, deadline=None)
def test_every_metre_and_every_point_is_on_one_stretch(seed: int, length: float) -> None:
    rng = np.random.default_rng(seed)
    streets = grid(6)
    # Names at random: crossings of one name with itself, gaps, branches.
    made = roads(streets, name_en=[str(rng.choice(["a", "b", ""])) for _ in streets])
    plane = RoadPlane(made.lines)
    found = axes(made, plane, np.ones(len(made), dtype=bool), length)
    whole = np.hypot(np.diff(plane.x), np.diff(plane.y))[plane.owner[1:] == plane.owner[:-1]].sum()
    assert found.length_m.sum() + found.short_m == pytest.approx(whole)
    lon, lat = at(*rng.uniform(0, 6, (80, 2)).tolist())
    snap = plane.snap(lon, lat, 60.0)
    stretch = found.of(snap.road, snap.along_m)
    on = np.flatnonzero(stretch >= 0)
    x, y = plane.plane.metres(lon, lat)
    for i in on.tolist():
        line = np.column_stack(plane.plane.metres(*found.lines[stretch[i]].T))
        gap = _distance(np.array([x[i], y[i]]), line)
        assert gap == pytest.approx(snap.distance_m[i], abs=0.02)
    assert (stretch[snap.road < 0] == -1).all()
    if not found.short:
        assert (stretch[snap.road >= 0] >= 0).all()


def _distance(point: np.ndarray, line: np.ndarray) -> float:
    best = np.inf
    for a, b in itertools.pairwise(line):
        share = np.clip((point - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        best = min(best, float(np.hypot(*(point - a - share * (b - a)))))
    return best


# ---- runs ----


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=12), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_the_best_run_of_an_axis_is_that_of_all_runs(values: list[int], axes_: int) -> None:
    axis = np.sort(np.arange(len(values)) % axes_)
    excess = np.array(values, dtype=float)
    found = {int(axis[first]): (first, last, total) for first, last, total in best_runs(axis, excess)}
    for one in set(axis.tolist()):
        rows = np.flatnonzero(axis == one)
        best = max(excess[i : j + 1].sum() for i in rows for j in rows if i <= j)
        if best <= 0:
            assert one not in found
        else:
            first, last, total = found[one]
            assert total == best == excess[first : last + 1].sum()
            assert axis[first] == axis[last] == one


# ---- rates ----


def test_a_short_stretch_with_few_reports_does_not_lead() -> None:
    rng = np.random.default_rng(3)
    km = np.full(60, 1.0)
    reports = rng.poisson(rng.gamma(4, 5, 60))
    km[0], reports[0] = 0.05, 4  # 80 a km, from four reports
    reports[1] = 70
    found = stretch_rates(reports, reports * 1.0, km, np.array(["primary"] * 60, dtype=object))
    assert found.per_km[0] > found.per_km[1] and found.shrunk[0] < found.shrunk[1]
    assert (found.low <= found.per_km).all() and (found.per_km <= found.high).all()
    between = (found.shrunk - found.per_km) * (found.shrunk - found.usual)
    assert (between <= 1e-9).all()
    # Garwood's interval of 4 reports: 1.09 to 10.24.
    assert (found.low[0] * 0.05, found.high[0] * 0.05) == pytest.approx((1.0899, 10.2416), abs=1e-3)


def test_a_stretch_is_judged_by_its_own_class_and_rare_classes_together() -> None:
    classes = np.array(["primary"] * 30 + ["tertiary"] * 30 + ["trunk"] * 2 + ["path"], dtype=object)
    reports = np.array([20] * 30 + [5] * 30 + [8, 8, 2])
    found = stretch_rates(reports, reports * 2.0, np.ones(63), classes)
    assert found.usual[:60] == pytest.approx(np.repeat([20, 5], 30))
    assert found.usual[60:] == pytest.approx(6)
    assert found.severity == pytest.approx(2.0)
    assert [remark.code for remark in found.remarks] == ["axes_pooled"]


def test_yearly_change_takes_out_the_change_of_all_and_needs_enough() -> None:
    change = yearly_change([100, 100, 3, 797], [200, 400, 5, 1395], 1.0)
    assert change[0] == pytest.approx(1.0, abs=0.02) and change[1] == pytest.approx(1.95, abs=0.05)
    assert np.isnan(change[2])
    assert yearly_change([100, 100], [200, 400], 2.0)[1] == pytest.approx(
        yearly_change([100, 100], [200, 400], 1.0)[1] ** 0.5
    )
