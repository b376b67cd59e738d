"""Gi*: against a case by hand, esda, scipy, every possible draw, and maps with nothing in them."""

from __future__ import annotations

import itertools
from pathlib import Path

import geopandas as gpd
import h3
import numpy as np
import pandas as pd
import pytest
from esda.getisord import G_Local
from libpysal.weights import WSP
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from geo.cells import cells_covering, cells_of
from geo.errors import InputError
from geo.hotspots import classes, fdr, gi_star, gi_star_p, gi_star_z, two_sided
from geo.neighbours import Neighbourhood, neighbourhood

CENTRE = h3.latlng_to_cell(24.7, 46.7, 9)


def ints(cells: list[str]) -> NDArray[np.int64]:
    return np.array(sorted(h3.str_to_int(cell) for cell in cells), dtype=np.int64)


def disk(k: int) -> NDArray[np.int64]:
    return ints(h3.grid_disk(CENTRE, k))


def peer(values: NDArray, near: Neighbourhood) -> G_Local:
    weights = WSP(near.matrix).to_W(silence_warnings=True)
    return G_Local(values, weights, transform="B", star=True, permutations=0)


def codes(remarks: tuple) -> set[str]:
    return {remark.code for remark in remarks}


def test_the_case_by_hand_gives_three_times_the_root_of_two() -> None:
    # 19 cells, the inner 7 with 2 each: x̄ = 14/19, s² = 336/361, W = 7,
    # z = (168/19) / (√336/19 · √(84/18)) = 168/√1568 = 3√2.
    cells = disk(2)
    inner = np.isin(cells, disk(1))
    z = gi_star_z(np.where(inner, 2, 0), neighbourhood(cells, 1))
    assert z[cells == h3.str_to_int(CENTRE)] == pytest.approx(3 * np.sqrt(2), abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_z_is_that_of_esda_with_binary_weights(k: int) -> None:
    rng = np.random.default_rng(k)
    near = neighbourhood(disk(14), k)
    for values in (rng.poisson(0.3, len(near.cells)), rng.lognormal(0, 1.5, len(near.cells))):
        theirs = peer(values.astype(float), near)
        assert np.abs(gi_star_z(values, near) - theirs.Zs).max() < 1e-9
        # Its p are one-sided.
        assert gi_star_p(values, near, "normal") == pytest.approx(2 * theirs.p_norm, rel=1e-9)


@pytest.mark.parametrize("resolution", [8, 9])
def test_z_is_that_of_esda_on_the_cells_of_baltimore(shared_data: Path, resolution: int) -> None:
    folder = shared_data / "baltimore"
    city = gpd.read_parquet(folder / "baltimore_city.parquet").to_crs(4326).union_all()
    reports = pd.read_csv(folder / "reports.csv.gz", usecols=["longitude", "latitude"])
    cells = cells_covering(city, resolution)
    own = pd.Series(cells_of(reports["longitude"], reports["latitude"], resolution)).value_counts()
    counts = own.reindex(cells, fill_value=0).to_numpy(dtype=float)
    near = neighbourhood(cells, 1)
    assert counts.sum() > 90_000
    assert np.abs(gi_star_z(counts, near) - peer(counts, near).Zs).max() < 1e-9


def test_a_small_spread_around_a_large_mean_keeps_its_digits() -> None:
    near = neighbourhood(disk(8), 1)
    values = np.random.default_rng(3).normal(0, 1, len(near.cells))
    assert gi_star_z(values + 1e9, near) == pytest.approx(gi_star_z(values, near), abs=1e-5)


def test_scale_and_origin_of_the_values_do_not_matter_and_sign_turns_hot_into_cold() -> None:
    near = neighbourhood(disk(8), 2)
    values = np.random.default_rng(4).gamma(0.5, 2, len(near.cells))
    z = gi_star_z(values, near)
    assert gi_star_z(7 * values + 3, near) == pytest.approx(z, abs=1e-9)
    assert gi_star_z(-values, near) == pytest.approx(-z, abs=1e-9)


def test_each_column_is_a_surface_of_its_own() -> None:
    near = neighbourhood(disk(6), 1)
    rng = np.random.default_rng(5)
    values = rng.poisson(1.5, (len(near.cells), 4)).astype(float)
    values[rng.random(values.shape) < 0.1] = np.nan
    together_z, together_p = gi_star_z(values, near), gi_star_p(values, near)
    for t in range(4):
        assert together_z[:, t] == pytest.approx(gi_star_z(values[:, t], near), nan_ok=True, abs=1e-9)
        assert together_p[:, t] == pytest.approx(gi_star_p(values[:, t], near), nan_ok=True, abs=1e-9)


def test_a_cell_without_a_value_counts_for_no_one() -> None:
    cells = disk(6)
    rng = np.random.default_rng(6)
    values = rng.poisson(4, len(cells)).astype(float)
    gone = rng.random(len(cells)) < 0.15
    found = gi_star(np.where(gone, np.nan, values), neighbourhood(cells, 1))
    without = gi_star(values[~gone], neighbourhood(cells[~gone], 1))
    for name in ("z", "p", "q", "classes", "tested"):
        assert getattr(found, name)[~gone] == pytest.approx(getattr(without, name), nan_ok=True, abs=1e-9)
    assert np.isnan(found.z[gone]).all() and np.isnan(found.q[gone]).all()
    assert not found.classes[gone].any() and not found.tested[gone].any()
    assert "gi_missing" in codes(found.remarks)


def test_a_constant_surface_has_no_spots() -> None:
    near = neighbourhood(disk(5), 1)
    for level in (0.0, 0.1, 3.0, 1e15):
        found = gi_star(np.full(len(near.cells), level), near)
        assert not found.z.any() and not found.classes.any()
        assert (found.p == 1).all() and (found.q == 1).all()
        assert "gi_constant" in codes(found.remarks)


def test_a_single_loud_cell_is_no_hot_spot_and_the_reader_is_told() -> None:
    near = neighbourhood(disk(12), 1)
    values = np.random.default_rng(15).poisson(1, len(near.cells))
    values[near.cells == h3.str_to_int(CENTRE)] = 900
    found = gi_star(values, near)
    assert not (found.classes >= 2).any()
    assert dict(next(r for r in found.remarks if r.code == "gi_loud").values) == {"cells": 1}
    # The textbook p calls its whole neighbourhood hot.
    assert (gi_star(values, near, "normal").classes == 3).sum() == 7


def test_an_isolate_is_not_tested_and_not_counted_among_the_tests() -> None:
    far = h3.latlng_to_cell(26.4, 50.1, 9)
    cells = ints([*h3.grid_disk(CENTRE, 4), far])
    alone = cells == h3.str_to_int(far)
    values = np.random.default_rng(7).poisson(5, len(cells)).astype(float)
    values[alone] = 500
    found = gi_star(values, neighbourhood(cells, 1))
    assert found.tested.tolist() == (~alone).tolist()
    assert np.isnan(found.z[alone]).all() and found.classes[alone] == 0
    assert found.q[~alone] == pytest.approx(false_discovery_control(found.p[~alone]))
    assert "gi_isolated" in codes(found.remarks)


def test_a_cell_that_sees_the_whole_area_is_not_tested() -> None:
    cells = disk(1)
    found = gi_star(np.arange(7.0), neighbourhood(cells, 1))
    assert not found.tested[cells == h3.str_to_int(CENTRE)].any()
    assert {"gi_whole", "gi_few", "gi_edge"} <= codes(found.remarks)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_areas_of_no_one_or_two_cells_give_no_finds(number: int) -> None:
    found = gi_star(np.arange(float(number)), neighbourhood(disk(1)[:number], 1))
    assert found.classes.tolist() == [0] * number
    assert not found.tested.any()


def test_cells_at_the_edge_are_tested_with_the_neighbours_they_have() -> None:
    cells = disk(10)
    near = neighbourhood(cells, 1)
    values = np.random.default_rng(8).poisson(6, len(cells))
    found = gi_star(values, near)
    assert found.tested.all() and near.edge.sum() == 60
    (remark,) = [r for r in found.remarks if r.code == "gi_edge"]
    assert dict(remark.values)["cells"] == 60


def test_values_that_do_not_fit_are_refused() -> None:
    near = neighbourhood(disk(2), 1)
    for wrong in (np.zeros(3), np.zeros((19, 2, 2)), np.full(19, np.inf)):
        with pytest.raises(InputError):
            gi_star_z(wrong, near)
    with pytest.raises(InputError, match="one surface"):
        gi_star(np.zeros((19, 2)), near)
    with pytest.raises(InputError, match="at least one ring"):
        gi_star(np.zeros(19), neighbourhood(disk(2), 0))


# ---- p ----


def test_the_exact_null_is_that_of_every_possible_draw() -> None:
    # A row of 7 cells: neighbourhoods of 2 at its ends and of 3 within; all 7² and 7³ draws.
    row = h3.grid_path_cells(CENTRE, h3.grid_ring(CENTRE, 6)[0])
    cells = ints(row)
    values = np.array([0, 0, 1, 3, 0, 8, 1])
    near = neighbourhood(cells, 1)
    z, p = gi_star_z(values, near), gi_star_p(values, near)
    for i, members in enumerate(near.members):
        own = (near.matrix @ values)[i]
        sums = np.array([sum(draw) for draw in itertools.product(values.tolist(), repeat=int(members))])
        tail = (sums >= own).mean() if z[i] > 0 else (sums <= own).mean()
        assert p[i] == pytest.approx(min(1, 2 * tail), abs=1e-12)


@pytest.mark.parametrize("kind", ["counts", "rates"])
def test_the_exact_null_is_where_permutations_lead(kind: str) -> None:
    rng = np.random.default_rng(9)
    near = neighbourhood(disk(20), 1)
    number = len(near.cells)
    values = rng.negative_binomial(0.3, 0.1, number) if kind == "counts" else rng.gamma(0.3, 2.0, number)
    p, z = gi_star_p(values, near), gi_star_z(values, near)
    drawn = np.sort(values[rng.integers(0, number, (200_000, 7))].sum(axis=1))
    sums = near.matrix @ values
    share = 1 - np.searchsorted(drawn, sums - 1e-9) / len(drawn)
    asked = (near.members == 7) & (z > 0) & (share > 1e-3) & (share < 0.2)
    assert asked.sum() > 100
    error = np.sqrt(share[asked] / len(drawn))
    # Rates are rounded to the careful side on a grid, by far less than one part in fifty.
    slack = 0.0 if kind == "counts" else 0.02 * share[asked]
    assert np.all(np.abs(p[asked] / 2 - share[asked]) < 5 * error + slack)


def test_two_sided_p_is_the_normal_one_and_keeps_what_is_missing() -> None:
    assert two_sided([1.959963984540054, -1.959963984540054, 0]) == pytest.approx([0.05, 0.05, 1])
    assert np.isnan(two_sided(np.nan))


def test_counts_too_large_for_one_step_each_still_give_a_careful_p() -> None:
    near = neighbourhood(disk(12), 2)
    values = np.random.default_rng(10).poisson(3, len(near.cells)) * 1_000_003
    fine = gi_star_p(values // 1_000_003, near)
    coarse = gi_star_p(values, near)
    assert np.median(np.abs(np.log(coarse / fine))) < 0.05
    assert np.all(coarse > 0.8 * fine)


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("rare", lambda rng, n: rng.poisson(0.1, n)),
        ("usual", lambda rng, n: rng.poisson(2.0, n)),
        ("clumped", lambda rng, n: rng.negative_binomial(0.3, 0.15, n)),
        ("rates", lambda rng, n: rng.lognormal(0, 1.5, n)),
    ],
)
def test_where_nothing_is_to_be_found_a_95_percent_hot_cell_is_found_in_less_than_5_of_100_maps(
    name: str, draw: object
) -> None:
    # Every find is false here, so the share of false finds is 1 in a map with any.
    rng = np.random.default_rng(11)
    near = neighbourhood(disk(16), 1)
    maps, exact, normal, share = 200, 0, 0, 0.0
    for _ in range(maps):
        values = draw(rng, len(near.cells))  # type: ignore[operator]
        hot = gi_star(values, near).classes >= 2
        exact += bool(hot.any())
        share += float(hot.mean()) / maps
        normal += bool((gi_star(values, near, "normal").classes >= 2).any())
    assert exact / maps < 0.05
    assert share < 0.001
    # This is why: the textbook p would find spots in most of these maps.
    assert normal / maps > (0.10 if name == "usual" else 0.80)


def test_a_planted_hot_spot_is_found_and_little_else() -> None:
    rng = np.random.default_rng(12)
    cells = disk(25)
    planted = np.isin(cells, disk(3))
    values = rng.poisson(np.where(planted, 12, 4))
    found = gi_star(values, neighbourhood(cells, 2))
    core = np.isin(cells, disk(2))
    assert (found.classes[core] == 3).all()
    assert not (found.classes[~np.isin(cells, disk(6))] >= 2).any()
    assert (found.p >= 1e-12).all() and (found.p <= 1).all()


# ---- false discovery rate and classes ----


def test_q_is_that_of_scipy() -> None:
    rng = np.random.default_rng(13)
    for p in (rng.random(1), rng.random(500), rng.random(500) ** 6, np.repeat([0.0, 0.01, 1.0], 5)):
        assert fdr(p) == pytest.approx(false_discovery_control(p), abs=1e-15)
    table = rng.random((40, 6)) ** 3
    assert fdr(table) == pytest.approx(false_discovery_control(table, axis=0), abs=1e-15)
    assert fdr(table, axis=1) == pytest.approx(false_discovery_control(table, axis=1), abs=1e-15)


def test_q_leaves_out_what_was_not_tested() -> None:
    rng = np.random.default_rng(14)
    table = rng.random((60, 3)) ** 4
    gone = rng.random(table.shape) < 0.3
    q = fdr(np.where(gone, np.nan, table))
    assert np.isnan(q[gone]).all()
    for t in range(3):
        kept = ~gone[:, t]
        assert q[kept, t] == pytest.approx(false_discovery_control(table[kept, t]), abs=1e-15)
    assert np.isnan(fdr([np.nan, np.nan])).all() and fdr([]).shape == (0,)


def test_q_of_something_that_is_no_p_is_refused() -> None:
    for wrong in ([-0.1, 0.5], [0.5, 1.1]):
        with pytest.raises(InputError):
            fdr(wrong)


def test_classes_include_their_limits_and_take_the_sign_of_z() -> None:
    q = np.array([0.01, 0.0101, 0.05, 0.0501, 0.1, 0.1001, np.nan, 0.01])
    assert classes(np.ones(8), q).tolist() == [3, 2, 2, 1, 1, 0, 0, 3]
    assert classes(-np.ones(8), q).tolist() == [-3, -2, -2, -1, -1, 0, 0, -3]
    assert classes(np.zeros(1), np.ones(1)).dtype == np.int8
