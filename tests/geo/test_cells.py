"""Cells: bit arithmetic against the reference library, areas against geodesics."""

import h3
import numpy as np
import pytest
import shapely
from pyproj import Geod

from geo import cells
from geo.errors import InputError


def _globe(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def _pentagon_neighbourhood(resolution: int) -> np.ndarray:
    """Resolution-12 descendants around all 12 pentagons of a resolution."""
    fine = []
    for pentagon in h3.get_pentagons(resolution):
        for cell in h3.grid_disk(pentagon, 1):
            children = h3.cell_to_children(cell, min(resolution + 2, 12))
            fine += [h3.cell_to_center_child(c, 12) for c in children]
    return np.array([h3.str_to_int(c) for c in fine], dtype=np.int64)


def test_a_point_gets_the_cell_that_h3_gives() -> None:
    lon, lat = _globe(2000)
    expected = [h3.str_to_int(h3.latlng_to_cell(y, x, 12)) for x, y in zip(lon, lat, strict=True)]
    assert cells.cells_of(lon, lat).tolist() == expected


def test_a_point_without_usable_coordinates_gets_cell_zero() -> None:
    lon = [50.0, np.nan, 50.0, np.inf, 200.0, 50.0]
    lat = [26.0, 26.0, np.nan, 26.0, 26.0, 91.0]
    found = cells.cells_of(lon, lat)
    assert found[0] > 0
    assert found[1:].tolist() == [0] * 5


def test_no_points_give_no_cells() -> None:
    assert cells.cells_of([], []).shape == (0,)


@pytest.mark.parametrize("resolution", range(13))
def test_parents_by_bits_are_the_parents_of_h3(resolution: int) -> None:
    fine = cells.cells_of(*_globe(500, resolution))
    expected = [h3.str_to_int(h3.cell_to_parent(c, resolution)) for c in cells.to_text(fine)]
    assert cells.parents(fine, resolution).tolist() == expected


@pytest.mark.parametrize("resolution", [0, 3, 8])
def test_parents_are_right_at_pentagons(resolution: int) -> None:
    fine = _pentagon_neighbourhood(resolution)
    for coarse in (resolution, max(0, resolution - 1), min(resolution + 1, 12)):
        expected = [h3.str_to_int(h3.cell_to_parent(h3.int_to_str(c), coarse)) for c in fine.tolist()]
        assert cells.parents(fine, coarse).tolist() == expected


def test_parent_of_no_cell_is_no_cell_and_a_finer_parent_is_refused() -> None:
    assert cells.parents([0], 5).tolist() == [0]
    with pytest.raises(InputError, match="coarser"):
        cells.parents(cells.cells_of([50.0], [26.0], 7), 9)


@pytest.mark.parametrize("pentagon", [False, True])
def test_the_child_range_holds_all_children_and_nothing_else(pentagon: bool) -> None:
    cell = h3.get_pentagons(5)[3] if pentagon else h3.latlng_to_cell(26.4, 50.1, 5)
    low, high = cells.child_range(h3.str_to_int(cell), 8)
    children = sorted(h3.str_to_int(c) for c in h3.cell_to_children(cell, 8))
    assert low == children[0]
    assert high == children[-1]
    strangers = {
        h3.str_to_int(c) for n in h3.grid_disk(cell, 2) if n != cell for c in h3.cell_to_children(n, 8)
    }
    assert not [s for s in strangers if low <= s <= high]


def test_the_child_range_at_the_same_resolution_is_the_cell() -> None:
    cell = int(cells.cells_of([50.0], [26.0], 9)[0])
    assert cells.child_range(cell, 9) == (cell, cell)


def test_rollup_keeps_the_total_and_matches_a_plain_loop() -> None:
    rng = np.random.default_rng(5)
    fine = cells.cells_of(rng.uniform(50, 50.2, 3000), rng.uniform(26, 26.2, 3000))
    counts = rng.integers(1, 9, 3000)
    coarse, sums = cells.rollup(fine, counts, 8)
    plain: dict[int, int] = {}
    for cell, count in zip(fine.tolist(), counts.tolist(), strict=True):
        parent = h3.str_to_int(h3.cell_to_parent(h3.int_to_str(cell), 8))
        plain[parent] = plain.get(parent, 0) + count
    assert dict(zip(coarse.tolist(), sums.tolist(), strict=True)) == plain
    assert (np.diff(coarse) > 0).all()


def test_rollup_leaves_reports_without_a_cell_out_and_takes_columns() -> None:
    fine = np.r_[0, cells.cells_of([50.0, 50.0], [26.0, 26.0])]
    coarse, sums = cells.rollup(fine, np.array([[9, 9], [1, 2], [3, 4]]), 7)
    assert sums.tolist() == [[4, 6]]
    assert len(coarse) == 1
    assert cells.rollup([0], [1], 7)[0].size == 0


@pytest.mark.parametrize("resolution", [5, 8, 12])
def test_areas_agree_with_geodesic_areas_on_the_ellipsoid(resolution: int) -> None:
    lon, lat = _globe(200, 3)
    keep = (np.abs(lat) < 75) & (np.abs(lon) < 179)
    some = cells.cells_of(lon[keep], lat[keep], resolution)
    geod = Geod(ellps="WGS84")
    exact = [abs(geod.geometry_area_perimeter(p)[0]) / 1e6 for p in cells.boundaries(some)]
    np.testing.assert_allclose(cells.areas_km2(some), exact, rtol=2e-4)


def test_the_area_of_no_cell_is_not_a_number() -> None:
    assert np.isnan(cells.areas_km2([0])).all()


def test_a_centre_lies_in_its_own_cell_and_outline() -> None:
    some = cells.cells_of(*_globe(300, 7), resolution=9)
    lon, lat = cells.centres(some)
    assert cells.cells_of(lon, lat, 9).tolist() == some.tolist()
    clear = np.abs(lon) < 179
    assert shapely.contains_xy(cells.boundaries(some[clear]), lon[clear], lat[clear]).all()


def test_text_goes_there_and_back_and_nonsense_is_refused() -> None:
    some = np.r_[cells.cells_of(*_globe(50)), 0]
    assert cells.from_text(cells.to_text(some)).tolist() == some.tolist()
    for wrong in ("hello", "8c7b0082", "ffffffffffffffffffff"):
        with pytest.raises(InputError, match="no H3 cell"):
            cells.from_text([wrong])


def test_centre_mode_partitions_and_touch_mode_covers() -> None:
    left, right = shapely.box(50, 26, 50.05, 26.1), shapely.box(50.05, 26, 50.1, 26.1)
    a, b = cells.cells_covering(left, 9), cells.cells_covering(right, 9)
    assert not set(a.tolist()) & set(b.tolist())
    touching = cells.cells_covering(left, 9, "touch")
    assert set(a.tolist()) < set(touching.tolist())
    assert shapely.union_all(cells.boundaries(touching)).buffer(1e-9).covers(left)


def test_a_polygon_smaller_than_a_cell_is_touched_by_a_cell() -> None:
    speck = shapely.box(50, 26, 50.0001, 26.0001)
    assert cells.cells_covering(speck, 7, "touch").size >= 1
    assert cells.cells_covering(shapely.Polygon(), 7).size == 0


def test_a_resolution_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="0 to 15"):
        cells.cells_of([50.0], [26.0], 16)
