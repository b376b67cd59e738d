"""Exposure by cell: shares of ground, lengths of lines, and totals that are kept."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geo.cells import areas_km2, boundaries, cells_covering, cells_of, parents
from geo.exposure import (
    at_resolution,
    lattice,
    nearby,
    of_cells,
    of_lines,
    of_points,
    of_polygons,
    of_water,
    resolution_for,
    shares,
    subpixels,
)

SQUARE = shapely.box(50.0, 26.3, 50.03, 26.33)
GEOD = Geod(ellps="WGS84")


def _around(shape: shapely.Geometry, resolution: int) -> np.ndarray:
    return cells_covering(shape.buffer(0.02), resolution, "touch")


def test_a_polygon_inside_a_cell_gives_all_it_has_to_it() -> None:
    cell = cells_of([50.0], [26.3], 8)
    middle = shapely.centroid(boundaries(cell)[0])
    spread = of_polygons([middle.buffer(1e-4)], [42.0], np.sort(cell))
    assert spread.cells.tolist() == cell.tolist()
    assert spread.values == pytest.approx([42.0])
    assert spread.lost == 0


def test_a_cell_cut_in_halves_takes_half_of_each_side() -> None:
    cell = cells_of([50.0], [26.3], 8)
    outline = boundaries(cell)[0]
    west, south, east, north = outline.bounds
    left = shapely.intersection(outline, shapely.box(west, south, (west + east) / 2, north))
    # The left half reaches as far beyond the cell's western side as it is wide.
    wide = shapely.box(2 * west - (west + east) / 2, south, (west + east) / 2, north)
    spread = of_polygons([wide], [100.0], cell)
    flat = gpd.GeoSeries([left, wide], crs=4326).to_crs(6933).area
    assert spread.values == pytest.approx([100 * flat.iloc[0] / flat.iloc[1]], rel=1e-9)
    assert spread.values[0] + spread.lost == pytest.approx(100, rel=1e-12)


def test_polygons_are_spread_as_tobler_spreads_them_on_its_own() -> None:
    from tobler.area_weighted import area_interpolate

    rng = np.random.default_rng(8)
    centres = shapely.points(rng.uniform(50.0, 50.05, 60), rng.uniform(26.3, 26.35, 60))
    shapes = shapely.buffer(centres, rng.uniform(0.0005, 0.01, 60))  # they overlap, and some have 65 vertices
    values = rng.integers(0, 500, 60).astype(float)
    within = _around(shapely.union_all(shapes), 9)
    ours = of_polygons(shapes, values, within)
    source = gpd.GeoDataFrame({"value": values}, geometry=shapes, crs=4326).to_crs(6933)
    target = gpd.GeoDataFrame(geometry=boundaries(within), crs=4326).to_crs(6933)
    theirs = area_interpolate(source, target, extensive_variables=["value"])["value"].to_numpy()
    full = np.zeros(len(within))
    full[np.searchsorted(within, ours.cells)] = ours.values
    # tobler's own table is in single precision.
    assert full == pytest.approx(theirs, rel=1e-5, abs=1e-4)
    assert ours.values.sum() == pytest.approx(values.sum(), rel=1e-12)
    assert ours.lost == 0


def test_a_polygon_with_many_vertices_is_cut_up_without_losing_ground() -> None:
    angle = np.linspace(0, 2 * np.pi, 1200, endpoint=False)
    radius = 0.02 * (1 + 0.3 * np.sin(9 * angle) + 0.05 * np.sin(301 * angle))
    coast = shapely.Polygon(np.column_stack([50 + radius * np.cos(angle), 26.3 + radius * np.sin(angle)]))
    lake = shapely.Polygon(coast.exterior, [shapely.box(49.995, 26.295, 50.005, 26.305).exterior.coords])
    within = _around(lake, 9)
    spread = of_polygons([lake], [1e6], within)
    assert spread.values.sum() == pytest.approx(1e6, rel=1e-12)
    cells = boundaries(spread.cells)
    flat = gpd.GeoSeries(np.append(shapely.intersection(cells, lake), lake), crs=4326).to_crs(6933).area
    # Straight edges in degrees are a hair longer than in the projection: 1e-5 of a cell.
    assert spread.values == pytest.approx(1e6 * flat[:-1] / flat.iloc[-1], rel=1e-3, abs=1)


@given(seed=st.integers(0, 10_000), resolution=st.integers(6, 9))
@settings(max_examples=8, deadline=None)
def test_every_form_accounts_for_its_total(seed: int, resolution: int) -> None:
    rng = np.random.default_rng(seed)
    within = nearby(SQUARE, resolution)
    x, y = rng.uniform(49.9, 50.1, 40), rng.uniform(26.2, 26.4, 40)
    values = rng.uniform(0, 9, 40)
    shapes = shapely.buffer(shapely.points(x, y), rng.uniform(0.001, 0.05, 40))
    ends = rng.normal(0, 0.02, (40, 3, 2)).cumsum(axis=1) + np.column_stack([x, y])[:, None]
    for spread in (
        of_polygons(shapes, values, within),
        of_points(x, y, values, resolution, within),
        of_lines(shapely.linestrings(ends), resolution, within),
        of_water(shapes, within),
    ):
        assert spread.values.sum() + spread.lost == pytest.approx(spread.read, rel=1e-9)
        assert (np.diff(spread.cells) > 0).all()
        assert (spread.values > 0).all()
        assert np.isin(spread.cells, within).all()


def test_a_line_has_its_geodesic_length_cut_at_the_cells_borders() -> None:
    line = shapely.LineString([(50.0, 26.3), (50.02, 26.31), (50.05, 26.3)])
    spread = of_lines([line], 9, None)
    assert spread.read == pytest.approx(GEOD.geometry_length(line) / 1000, rel=1e-12)
    assert spread.values.sum() == pytest.approx(spread.read, rel=1e-12)
    for cell, km in zip(boundaries(spread.cells), spread.values, strict=True):
        assert km == pytest.approx(
            GEOD.geometry_length(shapely.intersection(line, cell)) / 1000, rel=1e-4, abs=1e-6
        )


def test_a_long_straight_line_misses_no_cell() -> None:
    line = shapely.LineString([(50.0, 26.3), (50.4, 26.61)])
    spread = of_lines([line], 10, None)
    touched = cells_covering(line.buffer(0.002), 10, "touch")
    crossed = touched[shapely.length(shapely.intersection(boundaries(touched), line)) > 1e-7]
    assert np.isin(crossed, spread.cells).all()
    assert spread.values.sum() == pytest.approx(spread.read, rel=1e-12)


def test_a_line_along_a_border_is_shared_by_both_cells() -> None:
    cell = cells_of([50.0], [26.3], 8)
    corners = shapely.get_coordinates(boundaries(cell)[0])
    spread = of_lines([shapely.LineString(corners[:2])], 8, None)
    assert spread.values.sum() == pytest.approx(spread.read, rel=1e-12)
    assert len(spread.cells) <= 3


def test_what_is_no_line_has_no_length_and_heights_do_not_count() -> None:
    flat = shapely.LineString([(50, 26, 0), (50.01, 26, 900)])
    spread = of_lines([shapely.Point(50, 26), None, SQUARE, flat], 8, None)
    assert spread.read == pytest.approx(GEOD.line_length([50, 50.01], [26, 26]) / 1000)


def test_overlapping_water_is_counted_once() -> None:
    within = _around(SQUARE, 9)
    once, twice = of_water([SQUARE], within), of_water([SQUARE, SQUARE.buffer(-0.005)], within)
    assert twice.values == pytest.approx(once.values)
    share = shares(at_resolution(once.cells, once.values, within, 9), within)
    inner = shapely.covers(SQUARE, boundaries(within))
    assert share[inner] == pytest.approx(1, abs=2e-3)
    assert share.max() <= 1


def test_coarser_cells_are_sums_and_finer_ones_even_shares() -> None:
    cells = cells_covering(SQUARE, 9)
    values = np.arange(1.0, len(cells) + 1)
    up = np.unique(parents(cells, 7))
    assert at_resolution(cells, values, up, 7).sum() == pytest.approx(values.sum())
    assert at_resolution(cells, values, cells[::-1], 9).tolist() == values[::-1].tolist()
    finer = cells_covering(boundaries(cells[:1])[0].buffer(0.001), 11)
    finer = finer[parents(finer, 9) == cells[0]]
    assert len(finer) == 49
    assert at_resolution(cells, values, finer, 11) == pytest.approx(1 / 49)
    elsewhere = cells_of([10.0], [50.0], 9)
    assert at_resolution(cells, values, elsewhere, 9).tolist() == [0.0]
    assert at_resolution(cells[:0], values[:0], cells, 9).tolist() == [0.0] * len(cells)


def test_the_resolution_follows_the_size_of_the_ground_and_of_the_source() -> None:
    assert resolution_for(240) == 10  # Baltimore
    assert resolution_for(2_000) == 10
    assert resolution_for(4_000) == 9
    assert resolution_for(540_000) == 7
    assert resolution_for(100, source_km2=0.0086) == 10
    assert resolution_for(100, source_km2=0.8) == 7
    for km2 in (10.0, 3_000.0, 2e6):
        cells = km2 / areas_km2(cells_of([50.0], [26.0], resolution_for(km2)))[0]
        assert cells < 330_000


def test_cells_around_a_study_area_reach_two_kilometres_beyond_it() -> None:
    near = nearby(SQUARE, 9)
    assert np.isin(cells_covering(SQUARE, 9, "touch"), near).all()
    step = 2000 / 111_000
    assert np.isin(cells_of([50.015], [26.33 + 0.98 * step], 9), near).all()
    assert not np.isin(cells_of([50.015], [26.33 + 1.6 * step], 9), near).any()


def test_a_lattice_is_told_from_scattered_points() -> None:
    xs, ys = np.meshgrid(np.arange(20) * 0.008333 + 50, np.arange(15) * 0.01 + 26)
    rng = np.random.default_rng(1)
    keep = rng.random(xs.size) < 0.4  # a table leaves out where nobody lives
    found = lattice(np.round(xs.ravel()[keep], 5), np.round(ys.ravel()[keep], 5))
    assert found == pytest.approx((0.008333, 0.01), rel=1e-3)
    assert lattice(rng.uniform(50, 51, 500), rng.uniform(26, 27, 500)) is None
    # Three digits put random points on a fine grid, which they hardly fill.
    assert lattice(np.round(rng.uniform(50, 51, 500), 3), np.round(rng.uniform(26, 27, 500), 3)) is None
    assert lattice(np.full(20, 50.0), np.full(20, 26.0)) is None
    assert lattice(np.array([50.0]), np.array([26.0])) is None


def test_a_pixel_is_cut_so_that_a_part_is_a_sixteenth_of_a_cell_or_less() -> None:
    cell = areas_km2(cells_of([50.0], [26.0], 9))[0]
    for km2 in (0.001, 0.0086, 0.05, 0.8):
        cuts = subpixels(km2, 9)
        assert km2 / cuts**2 <= cell / 16 * 1.1
        assert cuts == 1 or km2 / (cuts - 1) ** 2 > cell / 16 * 0.9


def test_points_without_a_place_are_lost_and_said() -> None:
    spread = of_points([50.0, np.nan, 50.0], [26.0, 26.0, 95.0], [1.0, 2.0, 4.0], 8, None)
    assert (spread.read, spread.lost, spread.values.tolist()) == (7.0, 6.0, [1.0])


def test_cells_are_summed_at_a_coarser_resolution() -> None:
    cells = cells_covering(SQUARE, 10)
    spread = of_cells(cells, np.ones(len(cells)), 8, None)
    assert spread.values.sum() == len(cells)
    assert (spread.cells == np.unique(parents(cells, 8))).all()
