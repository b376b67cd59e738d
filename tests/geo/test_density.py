"""Kernel density: mass, edges, kernels summed one by one, and bandwidths."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import scipy.ndimage
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from sklearn.neighbors import KernelDensity

from geo.bandwidths import likelihood_bandwidth, scott_bandwidth
from geo.boundaries import local_utm
from geo.density import (
    CUT,
    bands,
    class_levels,
    density,
    smoothed,
)
from geo.errors import Cancelled, InputError
from geo.plane import Plane, frame_around, nearest_inside
from tools import bench

BAY = shapely.box(50.0, 26.3, 50.2, 26.45).difference(shapely.box(50.05, 26.3, 50.09, 26.4))


def _points(seed: int, n: int, area: shapely.Geometry = BAY) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(50.12, 0.05, 4 * n), rng.normal(26.38, 0.04, 4 * n)
    inside = shapely.contains_xy(area, x, y)
    return x[inside][:n], y[inside][:n]


@given(seed=st.integers(0, 5000), bandwidth=st.floats(60, 4000), bounded=st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_mass_is_the_number_of_reports(seed: int, bandwidth: float, bounded: bool) -> None:
    x, y = _points(seed, 300)
    weights = np.random.default_rng(seed).integers(0, 9, len(x)).astype(float)
    found = density(x, y, weights, area=BAY if bounded else None, bandwidth_m=bandwidth, longest=256)
    assert found.reports == weights.sum()
    assert found.outside == 0
    assert found.values.sum() * found.frame.pixel_km2 == pytest.approx(weights.sum(), rel=1e-9)
    assert (found.values >= 0).all()
    assert (found.values[~found.inside] == 0).all()


def test_a_single_report_is_the_kernel_itself() -> None:
    found = density([50.1], [26.4], bandwidth_m=500)
    row, column = np.unravel_index(found.values.argmax(), found.values.shape)
    assert found.values[row, column] == pytest.approx(1e6 / (2 * np.pi * 500**2), rel=0.01)
    # One bandwidth away it has fallen by exp(-1/2), beyond four there is nothing.
    away = found.values[row, column + 6] / found.values[row, column]
    assert found.cell_m == pytest.approx(500 / 6)
    assert away == pytest.approx(np.exp(-0.5), rel=1e-9)
    assert found.values.shape[0] <= 2 * (CUT * 6 + 1) + 2


def test_density_is_the_sum_of_kernels_around_points() -> None:
    x, y = _points(1, 400)
    found = density(x, y, bandwidth_m=700)
    crs = local_utm([shapely.MultiPoint(np.column_stack([x, y]))])
    east, north = Transformer.from_crs(4326, crs, always_xy=True).transform(x, y)
    rng = np.random.default_rng(2)
    rows = rng.integers(0, found.values.shape[0], 200)
    columns = rng.integers(0, found.values.shape[1], 200)
    at_x = found.frame.west + (columns + 0.5) * found.cell_m
    at_y = found.frame.north - (rows + 0.5) * found.cell_m
    square = (at_x[:, None] - east) ** 2 + (at_y[:, None] - north) ** 2
    exact = np.exp(-square / (2 * 700**2)).sum(axis=1) / (2 * np.pi * 0.7**2)
    # Points are moved to the middle of their pixel, a twelfth of a bandwidth at most along an axis.
    assert found.values[rows, columns] == pytest.approx(exact, abs=0.02 * exact.max())


def test_density_is_that_of_scikit_learn_on_points_in_the_middle_of_pixels() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal([60, 45], 12, (500, 2)).round()
    counts = np.zeros((90, 120))
    np.add.at(counts, (points[:, 1].astype(int), points[:, 0].astype(int)), 1.0)
    ours = smoothed(counts, 5.0)
    rows, columns = np.indices(counts.shape)
    peer = KernelDensity(bandwidth=5.0, kernel="gaussian").fit(points)
    theirs = 500 * np.exp(peer.score_samples(np.column_stack([columns.ravel(), rows.ravel()])))
    # Ours is cut at four bandwidths along each axis: 0.013 % of the kernel is spread over the rest.
    assert ours.ravel() == pytest.approx(theirs, rel=2e-4, abs=2e-4 * theirs.max())
    cut = scipy.ndimage.gaussian_filter(counts, 5.0, truncate=CUT, mode="constant")
    assert ours == pytest.approx(cut, abs=1e-12)


def test_even_ground_has_an_even_density_up_to_its_edge() -> None:
    counts, inside = np.zeros((120, 150)), np.zeros((120, 150), dtype=bool)
    inside[10:100, 20:130] = True
    inside[10:60, 60:80] = False
    counts[inside] = 3.0
    corrected = smoothed(counts, 5.0, inside)
    plain = smoothed(counts, 5.0)
    deep = inside & (np.abs(plain - 3) < 1e-3)
    assert deep.any()
    assert corrected.sum() == pytest.approx(counts.sum(), rel=1e-12)
    # In a corner the uncorrected density falls to a quarter, and Jones' correction alone to a half.
    assert plain[inside].min() < 1.0
    assert np.abs(corrected[inside] / 3 - 1).max() < 0.05
    assert np.abs(corrected[inside] / 3 - 1).mean() < 0.005


def test_a_report_at_the_edge_is_drawn_inside_alone_and_whole() -> None:
    counts, inside = np.zeros((81, 81)), np.zeros((81, 81), dtype=bool)
    inside[:, 40:] = True
    counts[40, 40] = 1.0
    corrected = smoothed(counts, 5.0, inside)
    assert corrected[:, :40].sum() == 0
    assert corrected.sum() == pytest.approx(1.0, rel=1e-12)
    assert np.unravel_index(corrected.argmax(), corrected.shape) == (40, 40)
    # Far from every edge the kernel is the plain one.
    counts = np.zeros((81, 81))
    counts[40, 40] = 1.0
    assert smoothed(counts, 4.0, np.ones((81, 81), dtype=bool)) == pytest.approx(
        smoothed(counts, 4.0), abs=1e-8
    )


def test_reports_outside_the_area_are_counted_apart_and_near_ones_are_taken_in() -> None:
    lon = np.array([50.1, 50.2005, 50.3, np.nan, 60.0])
    lat = np.array([26.41, 26.4, 26.4, 26.4, 26.4])
    strict = density(lon, lat, area=BAY, bandwidth_m=500)
    assert (strict.reports, strict.outside) == (1, 4)
    assert [r.code for r in strict.remarks] == ["density_outside"]
    # 0.0005° are 50 m: within the uncertainty of a position that is the middle of a cell.
    near = density(lon, lat, area=BAY, bandwidth_m=500, reach_m=150)
    assert (near.reports, near.outside) == (2, 3)


def test_ground_where_no_report_can_be_is_cut_out_but_keeps_the_reports_it_has() -> None:
    x, y = _points(12, 300)
    lake = shapely.box(50.1, 26.36, 50.14, 26.4)
    found = density(x, y, area=BAY, without=lake, bandwidth_m=400)
    assert found.reports == 300
    assert found.values.sum() * found.frame.pixel_km2 == pytest.approx(300, rel=1e-9)
    dry = shapely.contains_xy(BAY.difference(lake), x, y)
    assert not dry.all()
    around = density(x[dry], y[dry], area=BAY, without=lake, bandwidth_m=400)
    assert np.isnan(around.at([50.12], [26.38])).all()
    assert np.isfinite(density(x, y, area=BAY, bandwidth_m=400).at([50.12], [26.38])).all()


def test_an_island_smaller_than_a_pixel_keeps_its_reports() -> None:
    island = shapely.Point(50.5, 26.6).buffer(0.0002)
    found = density([50.5, 50.1], [26.6, 26.42], area=BAY.union(island), bandwidth_m=5000, longest=64)
    assert (found.reports, found.outside) == (2, 0)


def test_a_bandwidth_that_the_pixels_cannot_show_is_raised_and_said() -> None:
    found = density([50.1], [26.41], area=BAY, bandwidth_m=30, longest=100)
    assert found.bandwidth_m == pytest.approx(2 * found.cell_m, rel=0.01)
    assert [r.code for r in found.remarks] == ["density_raised"]


def test_an_area_too_wide_for_a_narrow_kernel_is_said_as_the_reason() -> None:
    x, y = _points(4, 2000)
    halves = np.random.default_rng(0).integers(0, 2, len(x)).astype(float)
    found = density(np.r_[x, 54.0], np.r_[y, 22.0], first=np.r_[halves, 0], longest=64)
    assert found.remarks[0].code == "density_wide"
    assert found.bandwidth_m < 2.2 * found.cell_m


def test_the_automatic_bandwidth_finds_the_width_of_the_heaps() -> None:
    rng = np.random.default_rng(5)
    heaps = rng.uniform(0, 20_000, (40, 2))
    for true in (300.0, 900.0):
        points = heaps[rng.integers(0, 40, 6000)] + rng.normal(0, true, (6000, 2))
        half = rng.random(6000) < 0.5
        pixel = np.floor(np.clip(points / 100, 0, 199)).astype(int)
        counts = [np.zeros((200, 200)), np.zeros((200, 200))]
        for which in (0, 1):
            np.add.at(counts[which], (pixel[half == which, 1], pixel[half == which, 0]), 1)
        width = likelihood_bandwidth(counts[0], counts[1], 100.0, 150.0, 4000.0)
        # 75 points to a heap: a third to a whole of the heap's own spread is the best kernel.
        assert 0.3 * true < width < 1.0 * true


def test_reports_that_share_an_address_do_not_drive_the_bandwidth_to_zero() -> None:
    rng = np.random.default_rng(6)
    spots = rng.uniform(0, 20_000, (3000, 2))
    counts = [np.zeros((200, 200)), np.zeros((200, 200))]
    for half in counts:  # in each half other addresses are reported, each ten times over
        mine = spots[rng.permutation(3000)[:300]]
        pixel = (mine / 100).astype(int)
        np.add.at(half, (pixel[:, 1], pixel[:, 0]), 10)
    assert likelihood_bandwidth(counts[0], counts[1], 100.0, 150.0, 4000.0) > 700


def test_the_floor_and_scotts_rule_are_said() -> None:
    x, y = _points(7, 3000)
    scott = density(x, y, area=BAY)
    assert scott.remarks[0].code == "density_scott"
    plane = Plane(scott.crs, BAY.bounds)
    assert scott.bandwidth_m == pytest.approx(scott_bandwidth(*plane.metres(x, y)))
    assert scott.bandwidth_m == pytest.approx(
        len(x) ** (-1 / 6) * np.sqrt(np.prod([np.std(axis) for axis in plane.metres(x, y)]))
    )
    halves = np.random.default_rng(8).integers(0, 2, len(x)).astype(float)
    assert density(x, y, area=BAY, first=halves).remarks[0].code == "density_likelihood"
    lumps = np.repeat(x[:30], 100), np.repeat(y[:30], 100)
    both = np.tile([0.0, 1.0], 1500)
    assert density(*lumps, area=BAY, first=both).remarks[0].code == "density_floor"
    # Too few in one half to compare.
    assert density(x, y, area=BAY, first=np.zeros(len(x))).remarks[0].code == "density_scott"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bandwidth_m": 0}, "positive number of metres"),
        ({"bandwidth_m": np.nan}, "positive number of metres"),
        ({"weights": [-1.0]}, "at least 0"),
        ({"weights": [np.inf]}, "at least 0"),
        ({"area": shapely.Polygon()}, "study area is empty"),
        ({"area": None, "lon": [np.nan]}, "no report with a point"),
        ({"weights": [0.0], "area": None}, "no report with a point"),
    ],
)
def test_what_draws_nothing_is_refused(change: dict[str, object], message: str) -> None:
    given_ = {"lon": [50.1], "lat": [26.41], "area": BAY} | change
    with pytest.raises(InputError, match=message):
        density(given_.pop("lon"), given_.pop("lat"), **given_)  # type: ignore[arg-type]


def test_it_can_be_stopped() -> None:
    def stop(share: float) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        density([50.1], [26.41], area=BAY, bandwidth_m=500, tick=stop)


def test_classes_rise_and_hold_nearly_all_reports() -> None:
    x, y = _points(9, 2000)
    found = density(x, y, area=BAY, bandwidth_m=600)
    levels = class_levels(found)
    assert levels == sorted(set(levels))
    assert 3 <= len(levels) <= 8
    assert levels[-1] == found.values.max()
    drawn = bands(found, levels)
    assert drawn.crs.to_epsg() == 4326
    assert (drawn["low"].to_numpy()[1:] == drawn["high"].to_numpy()[:-1]).all()
    assert drawn["reports"].sum() == pytest.approx(2000, rel=0.06)
    flat = drawn.to_crs(6933).area / 1e6
    assert drawn["km2"].to_numpy() == pytest.approx(flat.to_numpy(), rel=0.002)
    assert (drawn["reports"] / drawn["km2"]).between(drawn["low"], drawn["high"]).all()


def test_reading_the_density_at_a_point_gives_its_pixels_value() -> None:
    x, y = _points(10, 500)
    found = density(x, y, area=BAY, bandwidth_m=800)
    rows, columns = np.nonzero(found.inside)
    pick = np.random.default_rng(0).permutation(len(rows))[:50]
    east = found.frame.west + (columns[pick] + 0.5) * found.cell_m
    north = found.frame.north - (rows[pick] + 0.5) * found.cell_m
    lon, lat = found.frame.plane.degrees(east, north)
    assert found.at(lon, lat) == pytest.approx(found.values[rows[pick], columns[pick]], rel=1e-3)
    assert np.isnan(found.at([50.07, 10.0], [26.35, 10.0])).all()


@pytest.mark.parametrize(
    "box", [(50.0, 26.3, 50.2, 26.45), (45.6, 23.2, 50.8, 28.6), (-76.7, 39.2, -76.5, 39.4)]
)
def test_fast_projection_is_projs_to_five_centimetres(box: tuple[float, float, float, float]) -> None:
    plane = Plane(local_utm([shapely.box(*box)]), box)
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(box[0] - 0.5, box[2] + 0.5, 5000), rng.uniform(box[1] - 0.5, box[3] + 0.5, 5000)
    exact = Transformer.from_crs(4326, plane.crs, always_xy=True).transform(lon, lat)
    for ours, theirs in zip(plane.metres(lon, lat), exact, strict=True):
        assert np.abs(ours - theirs).max() < 0.05
    back = plane.degrees(*plane.metres(lon, lat))
    assert np.abs(np.asarray(back) - [lon, lat]).max() < 1e-6


def test_a_point_is_in_the_pixel_that_holds_it() -> None:
    frame = frame_around((50.0, 26.3, 50.2, 26.45), cell_m=250.0)
    west, south, east, north = gpd.GeoSeries([shapely.box(50.0, 26.3, 50.2, 26.45)], crs=4326).total_bounds
    pixel = frame.pixels([west, east, 50.1, 49.9, np.nan], [north, south, 26.4, 26.4, 26.4])
    assert (pixel[:3] >= 0).all()
    assert (pixel[3:] == -1).all()
    x, y = frame.plane.metres([50.1], [26.4])
    row, column = divmod(int(pixel[2]), frame.shape[1])
    assert 0 <= x[0] - frame.west - column * 250 < 250
    assert 0 <= frame.north - y[0] - row * 250 < 250


def test_a_frame_has_at_most_the_pixels_asked_for() -> None:
    for cell in (None, 1.0, 40.0):
        frame = frame_around((45.6, 23.2, 50.8, 28.6), cell_m=cell, longest=300)
        assert max(frame.shape) == 300
    with pytest.raises(InputError, match="no box of degrees"):
        frame_around((50.0, 26.3, 40.0, 26.4))
    with pytest.raises(InputError, match="no box of degrees"):
        frame_around((50.0, 26.3, np.nan, 26.4))


def test_covered_pixels_are_those_whose_middle_lies_in_the_shape() -> None:
    frame = frame_around(BAY.bounds, cell_m=300.0)
    inside = frame.covered(BAY)
    rows, columns = np.indices(frame.shape)
    lon, lat = frame.plane.degrees(frame.west + (columns + 0.5) * 300.0, frame.north - (rows + 0.5) * 300.0)
    expected = shapely.contains_xy(BAY, lon.ravel(), lat.ravel()).reshape(frame.shape)
    assert (inside != expected).mean() < 0.001
    touched = frame.covered(BAY, touched=True)
    assert (touched | ~inside).all()
    assert touched.sum() > inside.sum()


def test_the_nearest_pixel_of_an_area_is_found_within_reach() -> None:
    inside = np.zeros((20, 30), dtype=bool)
    inside[5:15, 10:20] = True
    flat = nearest_inside(np.array([9, 0, 9]), np.array([22, 0, 29]), inside, 3.0)
    assert flat.tolist() == [9 * 30 + 19, -1, -1]
    assert nearest_inside(np.array([1]), np.array([1]), np.zeros((3, 3), dtype=bool), 9.0).tolist() == [-1]


def test_the_density_benchmark_agrees_with_its_peer_on_a_small_city() -> None:
    figures = bench.load("density").run(rows=20_000, pixels=40, rounds=1)
    assert figures["points"] == 20_000
    assert figures["mass_error"] < 1e-9
    assert figures["worst_difference"] < 0.05
    assert figures["ratio_to_peer"] > 0
