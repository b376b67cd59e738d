"""Local Moran: against a case by hand, every possible deal, and esda."""

from __future__ import annotations

import itertools
import warnings

import h3
import numpy as np
import pytest
from esda import Moran_Local
from libpysal.weights import WSP
from numpy.typing import NDArray

from geo.errors import Cancelled, InputError
from geo.moran import HIGH_HIGH, HIGH_LOW, LOW_LOW, local_moran
from geo.neighbours import Neighbourhood, neighbourhood

CENTRE = h3.latlng_to_cell(24.7, 46.7, 9)


def ints(cells: list[str]) -> NDArray[np.int64]:
    return np.array(sorted(h3.str_to_int(cell) for cell in cells), dtype=np.int64)


def disk(k: int) -> NDArray[np.int64]:
    return ints(h3.grid_disk(CENTRE, k))


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def peer(values: NDArray, near: Neighbourhood, permutations: int) -> Moran_Local:
    others = near.matrix.copy()
    others.setdiag(0)
    others.eliminate_zeros()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = WSP(others).to_W(silence_warnings=True)
        return Moran_Local(values, weights, permutations=permutations, seed=12345)


def patchy(cells: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Skewed values that are like their neighbours' to some degree."""
    near = neighbourhood(cells, 1)
    draw = rng(seed)
    return draw.gamma(0.5, 2, len(cells)) + near.matrix @ draw.gamma(0.5, 2, len(cells)) / 4


def test_the_case_by_hand() -> None:
    # A row of 5 cells: values 0 0 0 5 5, mean 2, deviation √6; the fourth has neighbours 0 and 5:
    # I = 4/5 · (3/√6) · (0.5/√6) = 0.2; the last has one neighbour: I = 4/5 · 9/6 = 1.2.
    row = [h3.str_to_int(c) for c in h3.grid_path_cells(CENTRE, h3.grid_ring(CENTRE, 4)[0])]
    values = dict(zip(row, [0, 0, 0, 5, 5], strict=True))
    cells = np.array(sorted(row))
    found = local_moran([values[c] for c in cells.tolist()], neighbourhood(cells, 1), rng(), draws=999)
    answer = dict(zip(cells.tolist(), found.i, strict=True))
    assert [answer[c] for c in row] == pytest.approx([4 / 5 * 4 / 6, 4 / 5 * 4 / 6, -0.8 / 6, 0.2, 1.2])
    assert found.quadrant[cells == row[4]] == HIGH_HIGH
    assert found.quadrant[cells == row[0]] == LOW_LOW


@pytest.mark.parametrize(("size", "k"), [(3, 1), (9, 1), (9, 2)])
def test_i_quadrants_and_p_are_those_of_esda(size: int, k: int) -> None:
    cells = disk(size)
    near = neighbourhood(cells, k)
    values = patchy(cells, size + k)
    permutations = 4_999
    theirs = peer(values, near, permutations)
    ours = local_moran(values, near, rng(), draws=60_000)
    assert ours.i == pytest.approx(theirs.Is, abs=1e-9)
    assert ours.quadrant.tolist() == theirs.q.tolist()
    # Theirs is folded, ours two-sided; the error is that of their permutations, and some of ours.
    share = np.clip(ours.p / 2, 1 / permutations, 0.5)
    error = np.sqrt(share * (1 - share) * (1 / permutations + 1 / 20_000)) + 1 / permutations
    assert np.max(np.abs(ours.p / 2 - theirs.p_sim) / error) < 4.5
    assert ours.z == pytest.approx(theirs.z_sim, abs=0.12 + 0.05 * np.abs(ours.z).max())


def test_p_is_that_of_every_possible_deal() -> None:
    row = h3.grid_path_cells(CENTRE, h3.grid_ring(CENTRE, 6)[0])
    cells = ints(row)
    values = np.array([0, 4, 1, 3, 0, 8, 1])
    near = neighbourhood(cells, 1)
    found = local_moran(values, near, rng(), draws=200_000)
    sums = near.matrix @ values - values
    for i, members in enumerate(near.members):
        others = np.delete(values, i)
        deals = np.array([sum(d) for d in itertools.combinations(others.tolist(), int(members) - 1)])
        exact = min(1.0, 2 * min((deals >= sums[i]).mean(), (deals <= sums[i]).mean()))
        assert found.p[i] == pytest.approx(exact, abs=0.01)


def test_z_of_the_deals_has_mean_0_and_deviation_1_over_all_deals() -> None:
    row = h3.grid_path_cells(CENTRE, h3.grid_ring(CENTRE, 6)[0])
    cells = ints(row)
    near = neighbourhood(cells, 1)
    draw = rng(5)
    values = np.array([0.0, 4, 1, 3, 0, 8, 1])
    i = 3
    scores = []
    for _ in range(1_500):
        dealt = values.copy()
        dealt[np.arange(7) != i] = draw.permutation(np.delete(values, i))
        scores.append(local_moran(dealt, near, rng(), draws=99).z[i])
    assert np.mean(scores) == pytest.approx(0, abs=0.08)
    assert np.std(scores) == pytest.approx(1, abs=0.06)


def test_a_planted_cluster_and_a_planted_outlier_are_told_apart() -> None:
    cells = disk(15)
    values = rng(6).poisson(5, len(cells)).astype(float)
    high = disk(2)
    values[np.isin(cells, high)] += 15
    loud = h3.str_to_int(h3.grid_ring(CENTRE, 10)[0])
    ring = ints(h3.grid_ring(h3.int_to_str(loud), 1))
    values[np.isin(cells, ring)] = 1
    values[cells == loud] = 40
    found = local_moran(values, neighbourhood(cells, 1), rng())
    assert found.classes[cells == h3.str_to_int(CENTRE)] == HIGH_HIGH
    assert found.classes[cells == loud] == HIGH_LOW


def test_where_nothing_is_to_be_found_a_class_is_given_in_about_5_of_100_maps_at_most() -> None:
    near = neighbourhood(disk(12), 1)
    draw = rng(7)
    maps = 60
    with_any = sum(
        bool(
            local_moran(
                draw.negative_binomial(0.5, 0.2, len(near.cells)), near, draw, draws=29_999
            ).classes.any()
        )
        for _ in range(maps)
    )
    assert with_any <= 5 + 3 * np.sqrt(maps * 0.05 * 0.95)


def test_the_same_seed_gives_the_same_answer() -> None:
    near = neighbourhood(disk(8), 1)
    values = patchy(near.cells, 8)
    first, second = (local_moran(values, near, rng(3), draws=999) for _ in range(2))
    assert first.p.tolist() == second.p.tolist()


def test_cells_without_a_value_and_isolates_take_no_part() -> None:
    far = h3.latlng_to_cell(26.4, 50.1, 9)
    cells = ints([*h3.grid_disk(CENTRE, 5), far])
    values = patchy(cells, 9)
    gone = rng(9).random(len(cells)) < 0.1
    alone = cells == h3.str_to_int(far)
    gone[alone] = False
    found = local_moran(np.where(gone, np.nan, values), neighbourhood(cells, 1), rng())
    without = local_moran(values[~gone], neighbourhood(cells[~gone], 1), rng())
    assert found.i[~gone] == pytest.approx(without.i, nan_ok=True)
    assert found.p[~gone] == pytest.approx(without.p, nan_ok=True)
    assert not found.tested[gone].any() and not found.tested[alone].any()
    assert np.isnan(found.q[gone | alone]).all() and not found.classes[gone | alone].any()
    assert {"gi_missing", "gi_isolated"} <= {remark.code for remark in found.remarks}


@pytest.mark.parametrize("number", [0, 1, 2, 7])
def test_constant_surfaces_and_tiny_areas_have_no_classes(number: int) -> None:
    near = neighbourhood(disk(1)[:number], 1)
    for values in (np.full(number, 3.0), np.arange(float(number))):
        found = local_moran(values, near, rng(), draws=99)
        assert not found.classes.any()
        assert (found.p[found.tested] > 0.05).all()


def test_a_long_run_says_how_far_it_is_and_can_be_stopped() -> None:
    near = neighbourhood(disk(6), 2)
    shares: list[float] = []
    local_moran(patchy(near.cells, 10), near, rng(), draws=999, tick=shares.append)
    assert len(shares) >= 3 and shares == sorted(shares) and shares[-1] <= 1

    def stop(share: float) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        local_moran(patchy(near.cells, 10), near, rng(), draws=999, tick=stop)


def test_what_does_not_fit_is_refused() -> None:
    near = neighbourhood(disk(2), 1)
    for values, draws in ((np.zeros(3), 999), (np.full(19, np.inf), 999), (np.zeros(19), 5)):
        with pytest.raises(InputError):
            local_moran(values, near, rng(), draws=draws)
    with pytest.raises(InputError, match="ring"):
        local_moran(np.zeros(19), neighbourhood(disk(2), 0), rng())
