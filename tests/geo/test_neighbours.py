"""Disks and rings of cells as matrices."""

import h3
import numpy as np
import pytest

from geo.cells import cells_of
from geo.errors import InputError
from geo.neighbours import neighbourhood, rings


@pytest.fixture(scope="module")
def patch():
    rng = np.random.default_rng(1)
    return np.unique(cells_of(50 + rng.random(400) * 0.05, 26 + rng.random(400) * 0.05, 9))


@pytest.mark.parametrize("k", [0, 1, 2, 4])
def test_a_disk_holds_the_cells_of_the_study_area_that_h3_puts_within_k_steps(patch, k):
    found = neighbourhood(patch, k)
    inside = set(patch.tolist())
    for row in range(0, len(patch), 17):
        near = {h3.str_to_int(c) for c in h3.grid_disk(h3.int_to_str(int(patch[row])), k)} & inside
        assert set(patch[found.matrix[[row]].indices].tolist()) == near
        assert found.members[row] == len(near)


def test_a_whole_disk_has_no_edge_and_a_lone_cell_is_isolated():
    centre = h3.str_to_int(h3.latlng_to_cell(26.4, 50.1, 9))
    disk = np.array(sorted(h3.str_to_int(c) for c in h3.grid_disk(h3.int_to_str(centre), 1)))
    found = neighbourhood(disk, 1)
    assert found.full == 7
    assert found.members[np.searchsorted(disk, centre)] == 7
    assert int(found.edge.sum()) == 6
    assert neighbourhood(np.array([centre]), 2).isolated.tolist() == [True]


def test_rings_are_apart_and_add_up_to_the_disk(patch):
    parts = rings(patch, 3)
    assert (parts[0].toarray() == np.eye(len(patch))).all()
    total = sum(part.toarray() for part in parts)
    assert (total == neighbourhood(patch, 3).matrix.toarray()).all()
    for j, part in enumerate(parts):
        row, column = part.nonzero()
        for r, c in list(zip(row, column, strict=True))[:: max(1, len(row) // 20)]:
            assert h3.grid_distance(h3.int_to_str(int(patch[r])), h3.int_to_str(int(patch[c]))) == j


def test_neighbours_are_mutual_and_columns_ascend(patch):
    matrix = neighbourhood(patch, 2).matrix
    assert (matrix != matrix.T).nnz == 0
    assert matrix.has_sorted_indices


def test_no_cell_gives_empty_matrices():
    assert neighbourhood(np.zeros(0, dtype=np.int64), 1).matrix.shape == (0, 0)
    assert [part.shape for part in rings(np.zeros(0, dtype=np.int64), 1)] == [(0, 0), (0, 0)]


def test_cells_that_are_no_set_of_one_resolution_are_refused(patch):
    with pytest.raises(InputError, match="rising order"):
        neighbourhood(patch[::-1])
    with pytest.raises(InputError, match="rising order"):
        neighbourhood(np.repeat(patch[:2], 2))
    with pytest.raises(InputError, match="one resolution"):
        neighbourhood(np.sort(np.r_[patch[:3], cells_of([51.0], [26.0], 8)]))
    with pytest.raises(InputError, match="rings"):
        neighbourhood(patch, -1)
