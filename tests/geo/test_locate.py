"""Point in area against an exact spatial join; study-area margins against geodesics."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import Geod

from geo import cells
from geo.errors import InputError
from geo.locate import INSIDE, JUST_OUTSIDE, OUTSIDE, AreaIndex, StudyArea


def _joined(ids: np.ndarray, polygons: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """The documented rule by geopandas: smallest area, then smallest id."""
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(lon, lat), crs=4326)
    areas = gpd.GeoDataFrame({"id": ids, "size": shapely.area(polygons)}, geometry=polygons, crs=4326)
    pairs = gpd.sjoin(points, areas, predicate="intersects").sort_values(["size", "id"])
    pairs = pairs[~pairs.index.duplicated()]
    answer = np.zeros(len(lon), dtype=np.int64)
    answer[pairs.index] = pairs["id"]
    return answer


def _mosaic(rng: np.random.Generator, n: int, west: float, south: float, size: float) -> np.ndarray:
    """A partition of a square into n ragged cells."""
    seeds = shapely.MultiPoint(rng.uniform([west, south], [west + size, south + size], (n, 2)))
    square = shapely.box(west, south, west + size, south + size)
    parts = shapely.get_parts(shapely.voronoi_polygons(seeds, extend_to=square))
    return shapely.intersection(parts, square)


@pytest.mark.parametrize(
    ("west", "south", "size", "n"),
    [(50.0, 26.0, 0.3, 60), (-77.0, 39.0, 4.0, 20), (20.0, -35.0, 30.0, 40), (10.0, 62.0, 0.01, 5)],
)
def test_areas_are_those_of_a_spatial_join(west: float, south: float, size: float, n: int) -> None:
    rng = np.random.default_rng(n)
    polygons = _mosaic(rng, n, west, south, size)
    ids = rng.permutation(len(polygons)) + 1
    lon = rng.uniform(west - 0.1 * size, west + 1.1 * size, 20_000)
    lat = rng.uniform(south - 0.1 * size, south + 1.1 * size, 20_000)
    index = AreaIndex(ids, polygons)
    expected = _joined(ids, polygons, lon, lat)
    assert (expected > 0).sum() > 10_000
    assert index.locate(lon, lat).tolist() == expected.tolist()
    assert index.locate(lon, lat, cells.cells_of(lon, lat)).tolist() == expected.tolist()


def test_points_close_to_boundaries_are_those_of_a_spatial_join() -> None:
    rng = np.random.default_rng(4)
    polygons = _mosaic(rng, 30, 50.0, 26.0, 0.2)
    ids = np.arange(1, len(polygons) + 1)
    on_line = shapely.get_coordinates(shapely.segmentize(shapely.boundary(polygons), 0.0005))
    for scale in (0.0, 1e-9, 1e-6, 1e-4):
        lon, lat = (on_line + rng.normal(0, scale, on_line.shape)).T
        expected = _joined(ids, polygons, lon, lat)
        assert AreaIndex(ids, polygons).locate(lon, lat).tolist() == expected.tolist()


def test_random_overlapping_shapes_with_holes_follow_the_rule() -> None:
    rng = np.random.default_rng(9)
    discs = shapely.buffer(shapely.points(rng.uniform([50, 26], [50.2, 26.2], (40, 2))), 0.03)
    rings = shapely.difference(discs, shapely.buffer(shapely.centroid(discs), 0.01))
    ids = np.arange(40, 0, -1)
    lon, lat = rng.uniform(49.9, 50.3, 20_000), rng.uniform(25.9, 26.3, 20_000)
    found = AreaIndex(ids, rings).locate(lon, lat)
    assert found.tolist() == _joined(ids, rings, lon, lat).tolist()
    assert 0 < (found > 0).mean() < 1


def test_an_enclave_wins_over_what_surrounds_it() -> None:
    index = AreaIndex([1, 2], np.array([shapely.box(50, 26, 51, 27), shapely.box(50.4, 26.4, 50.6, 26.6)]))
    assert index.locate([50.5, 50.1], [26.5, 26.1]).tolist() == [2, 1]


def test_a_point_on_the_border_of_equal_areas_belongs_to_the_smallest_id() -> None:
    left, right = shapely.box(50, 26, 50.5, 26.5), shapely.box(50.5, 26, 51, 26.5)
    for ids in ([7, 3], [3, 7]):
        assert AreaIndex(ids, np.array([left, right])).locate([50.5], [26.2]).tolist() == [3]


def test_areas_at_the_antimeridian_and_near_a_pole_are_exact() -> None:
    rng = np.random.default_rng(2)
    polygons = np.array(
        [
            shapely.MultiPolygon([shapely.box(175, -20, 180, -10), shapely.box(-180, -20, -176, -10)]),
            shapely.box(-180, 84, 180, 90),
        ]
    )
    lon = np.r_[rng.uniform(174, 180, 3000), rng.uniform(-180, -175, 3000), rng.uniform(-180, 180, 3000)]
    lat = np.r_[rng.uniform(-22, -8, 6000), rng.uniform(83, 90, 3000)]
    expected = _joined(np.array([1, 2]), polygons, lon, lat)
    assert AreaIndex([1, 2], polygons).locate(lon, lat).tolist() == expected.tolist()


def test_a_point_without_coordinates_and_an_index_without_areas_give_zero() -> None:
    index = AreaIndex([5], np.array([shapely.box(50, 26, 51, 27)]))
    assert index.locate([np.nan, 50.5], [26.5, np.nan], [0, 0]).tolist() == [0, 0]
    assert index.locate([], []).shape == (0,)
    assert AreaIndex([], np.array([], dtype=object)).locate([50.0], [26.0]).tolist() == [0]
    assert AreaIndex([3], np.array([shapely.Polygon()])).locate([50.0], [26.0]).tolist() == [0]


def test_ids_that_are_not_positive_or_not_unique_are_refused() -> None:
    boxes = np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)])
    for ids in ([0, 1], [1, 1]):
        with pytest.raises(InputError, match="positive and unique"):
            AreaIndex(ids, boxes)
    with pytest.raises(InputError, match="one each"):
        AreaIndex([1], boxes)


@pytest.mark.parametrize("name", ["council_districts", "neighborhoods_2020"])
def test_real_city_reports_fall_into_the_areas_of_a_spatial_join(shared_data: Path, name: str) -> None:
    reports = pd.read_csv(shared_data / "baltimore" / "reports.csv.gz", usecols=["longitude", "latitude"])
    outlines = gpd.read_parquet(shared_data / "baltimore" / f"{name}.parquet").geometry.values
    polygons = shapely.make_valid(np.asarray(outlines))
    ids = np.arange(1, len(polygons) + 1)
    lon, lat = reports["longitude"].to_numpy(), reports["latitude"].to_numpy()
    found = AreaIndex(ids, polygons).locate(lon, lat)
    assert found.tolist() == _joined(ids, polygons, lon, lat).tolist()
    assert (found > 0).sum() > 91_000


_COAST = shapely.Polygon([(50, 26), (50.6, 26.05), (50.5, 26.5), (50.2, 26.3), (50, 26.6)])


@pytest.mark.parametrize("margin", [50.0, 2000.0, 30_000.0])
def test_the_margin_is_a_geodesic_distance(margin: float) -> None:
    rng = np.random.default_rng(11)
    lon, lat = rng.uniform(49.6, 51, 4000), rng.uniform(25.6, 27, 4000)
    found = StudyArea(_COAST).classify(lon, lat, margin)
    # Independent measure: nearest of very many boundary points, by geodesic.
    border = shapely.get_coordinates(shapely.segmentize(_COAST.exterior, 0.0002))
    geod = Geod(ellps="WGS84")
    inside = shapely.intersects_xy(_COAST, lon, lat)
    for i in rng.choice(4000, 150, replace=False):
        near = border[np.argsort(((border - [lon[i], lat[i]]) * [0.9, 1]) ** 2 @ [1, 1])[:400]]
        distance = geod.inv(np.full(len(near), lon[i]), np.full(len(near), lat[i]), near[:, 0], near[:, 1])[2]
        if abs(distance.min() - margin) > 15:
            nearby = JUST_OUTSIDE if distance.min() < margin else OUTSIDE
            assert found[i] == (INSIDE if inside[i] else nearby)
    assert set(found.tolist()) == {OUTSIDE, JUST_OUTSIDE, INSIDE} or margin < 100


@pytest.mark.parametrize(("lon", "lat"), [(50.0, 26.0), (-76.6, 39.3), (10.0, 69.0), (151.0, -33.9)])
def test_metres_mean_the_same_in_every_direction_and_latitude(lon: float, lat: float) -> None:
    area = StudyArea(shapely.box(lon, lat, lon + 0.2, lat + 0.1))
    geod = Geod(ellps="WGS84")
    west_x, west_y, _ = geod.fwd([lon] * 2, [lat + 0.05] * 2, [270] * 2, [1980, 2020])
    south_x, south_y, _ = geod.fwd([lon + 0.1] * 2, [lat] * 2, [180] * 2, [1980, 2020])
    assert area.classify(west_x, west_y).tolist() == [JUST_OUTSIDE, OUTSIDE]
    assert area.classify(south_x, south_y).tolist() == [JUST_OUTSIDE, OUTSIDE]


def test_a_border_of_hundreds_of_kilometres_is_straight_in_degrees() -> None:
    area = StudyArea(shapely.box(40, 60, 50, 64))
    assert area.classify([45.0, 45.0, 45.0], [60.001, 59.99, 59.97]).tolist() == [2, 1, 0]


def test_the_border_is_inside_a_zero_margin_keeps_nobody_and_no_point_is_far() -> None:
    area = StudyArea(shapely.box(50, 26, 50.1, 26.1))
    found = area.classify([50.0, 49.999, np.nan], [26.05, 26.05, 26.05], margin_m=0)
    assert found.tolist() == [INSIDE, OUTSIDE, OUTSIDE]
    assert found.dtype == np.uint8


def test_known_cells_change_nothing() -> None:
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(49.9, 50.8, 5000), rng.uniform(25.9, 26.8, 5000)
    area = StudyArea(_COAST)
    assert (area.classify(lon, lat) == area.classify(lon, lat, cells12=cells.cells_of(lon, lat))).all()


def test_an_empty_study_area_is_refused() -> None:
    with pytest.raises(InputError, match="load its boundaries"):
        StudyArea(shapely.Polygon())
