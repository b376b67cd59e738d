"""Boundaries: repair, overlaps and gaps of known size, dissolving, Voronoi areas."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from geo import boundaries
from geo.errors import InputError

# One square of 0.1 degrees at the equator's side: 11.1 km a side, area by the ellipsoid.
_BOX_KM2 = 123.08


def _frame(*shapes: shapely.Geometry, **columns: object) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=list(shapes), crs="EPSG:4326")


def test_a_bow_tie_is_repaired_and_the_reason_names_the_place() -> None:
    bow_tie = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    shapes, repaired, reasons = boundaries.repair([bow_tie, shapely.box(0, 0, 1, 1)])
    assert repaired.tolist() == [True, False]
    assert "Self-intersection" in reasons[0]
    assert "0.5" in reasons[0]
    assert reasons[1] == ""
    assert shapely.is_valid(shapes).all()
    assert shapes[0].area == pytest.approx(0.5)
    assert {s.geom_type for s in shapes} == {"MultiPolygon"}


def test_a_repair_keeps_the_polygons_and_drops_spikes() -> None:
    spiked = shapely.Polygon([(0, 0), (2, 0), (2, 2), (2, 5), (2, 2), (0, 2)])
    shapes, repaired, _ = boundaries.repair([spiked])
    assert repaired.tolist() == [True]
    assert shapes[0].equals(shapely.box(0, 0, 2, 2))


def test_what_has_no_polygon_becomes_none_and_counts_as_unrepaired() -> None:
    flat = shapely.Polygon([(0, 0), (1, 1), (2, 2), (0, 0)])
    line = shapely.LineString([(0, 0), (1, 1)])
    shapes, repaired, _ = boundaries.repair([flat, line, None, shapely.Point(1, 1), shapely.Polygon()])
    assert shapes.tolist() == [None] * 5
    assert not repaired.any()


def test_heights_are_dropped_and_collections_give_their_polygons() -> None:
    high = shapely.Polygon([(0, 0, 5), (1, 0, 5), (1, 1, 5)])
    mixed = shapely.GeometryCollection(
        [shapely.Point(9, 9), shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]
    )
    shapes = boundaries.to_multipolygon([high, mixed])
    assert not shapely.has_z(shapes).any()
    assert shapes[1].area == pytest.approx(2)


def test_areas_are_square_kilometres_on_the_ellipsoid_whatever_the_ring_direction() -> None:
    box = shapely.box(0, 0, 0.1, 0.1)
    holed = box.difference(shapely.box(0.02, 0.02, 0.04, 0.04))
    backwards = shapely.reverse(holed)
    areas = boundaries.areas_km2([box, holed, backwards, None])
    assert areas[0] == pytest.approx(_BOX_KM2, rel=1e-3)
    assert areas[1] == pytest.approx(_BOX_KM2 * 0.96, rel=1e-3)
    assert areas[2] == pytest.approx(areas[1])
    assert areas[3] == 0


def test_a_parallel_of_latitude_is_no_geodesic() -> None:
    # The area between two parallels is known in closed form (authalic latitude).
    e2, a = 6.69437999014e-3, 6378.137
    e = e2**0.5

    def zone(lat: float) -> float:
        s = np.sin(np.radians(lat))
        return float(
            a**2 * (1 - e2) / 2 * (s / (1 - e2 * s * s) + np.log((1 + e * s) / (1 - e * s)) / (2 * e))
        )

    expected = (zone(64) - zone(60)) * np.radians(10)
    assert boundaries.areas_km2([shapely.box(40, 60, 50, 64)])[0] == pytest.approx(expected, rel=1e-6)


def test_an_overlap_has_its_true_size_and_a_partition_has_none() -> None:
    apart = _frame(shapely.box(0, 0, 0.1, 0.1), shapely.box(0.1, 0, 0.2, 0.1))
    across = _frame(shapely.box(0, 0, 0.1, 0.1), shapely.box(0.05, 0, 0.2, 0.1))
    assert boundaries.overlaps_km2(apart) == 0
    assert boundaries.overlaps_km2(across) == pytest.approx(_BOX_KM2 / 2, rel=1e-3)


def test_a_hole_between_areas_is_a_gap_and_an_open_bay_is_none() -> None:
    ring = shapely.box(0, 0, 0.3, 0.3).difference(shapely.box(0.1, 0.1, 0.2, 0.2))
    left, right = ring & shapely.box(0, 0, 0.15, 0.3), ring & shapely.box(0.15, 0, 0.3, 0.3)
    assert boundaries.gaps_km2(_frame(left, right)) == pytest.approx(_BOX_KM2, rel=1e-3)
    assert boundaries.gaps_km2(_frame(left)) == 0


def test_an_island_in_a_hole_is_not_counted_as_gap() -> None:
    ring = shapely.box(0, 0, 0.3, 0.3).difference(shapely.box(0.1, 0.1, 0.2, 0.2))
    island = shapely.box(0.12, 0.12, 0.18, 0.18)
    assert boundaries.gaps_km2(_frame(ring, island)) == pytest.approx(_BOX_KM2 * 0.64, rel=1e-3)


def test_a_sliver_between_neighbours_is_measured() -> None:
    sliver = shapely.Polygon([(0.1, 0.02), (0.1001, 0.05), (0.1, 0.08)])
    left = shapely.box(0, 0, 0.1, 0.1)
    right = shapely.box(0.1, 0, 0.2, 0.1).difference(sliver)
    assert boundaries.gaps_km2(_frame(left, right)) == pytest.approx(_BOX_KM2 * 3e-4, rel=0.01)


def test_the_study_area_is_the_union_also_of_borders_that_do_not_quite_meet() -> None:
    left, right = shapely.box(0, 0, 0.1, 0.1), shapely.box(0.1 + 1e-9, 0, 0.2, 0.1)
    exact = boundaries.study_area([left, shapely.box(0.1, 0, 0.2, 0.1)])
    near = boundaries.study_area([left, right])
    for union in (exact, near):
        assert union.geom_type == "MultiPolygon"
        assert len(union.geoms) == 1
        assert union.is_valid
        assert union.area == pytest.approx(0.02, rel=1e-6)


def test_nothing_makes_no_study_area() -> None:
    with pytest.raises(InputError, match="load boundaries"):
        boundaries.study_area([None, shapely.Polygon()])


def test_districts_dissolve_into_their_municipality() -> None:
    districts = _frame(
        shapely.box(0, 0, 0.1, 0.1),
        shapely.box(0.1, 0, 0.2, 0.1),
        shapely.box(0.2, 0, 0.3, 0.1),
        shapely.box(5, 5, 6, 6),
        town=["b", "b", "a", None],
        label=[None, "B", "A", "X"],
    )
    towns = boundaries.dissolve(districts, "town", ["label"])
    assert towns["town"].tolist() == ["a", "b"]
    assert towns["label"].tolist() == ["A", "B"]
    assert towns["area_km2"].tolist() == pytest.approx([_BOX_KM2, 2 * _BOX_KM2], rel=1e-3)
    with pytest.raises(InputError, match="village"):
        boundaries.dissolve(districts, "village")


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"), [(50.1, 26.4, 32639), (-76.6, 39.3, 32618), (151, -34, 32756), (180, 1, 32660)]
)
def test_the_local_zone_is_that_of_the_middle(lon: float, lat: float, epsg: int) -> None:
    assert boundaries.local_utm([shapely.Point(lon, lat)]).to_epsg() == epsg


def test_voronoi_areas_hold_their_own_point_and_stay_near_it() -> None:
    rng = np.random.default_rng(1)
    points = _frame(*shapely.points(rng.uniform([50, 26], [50.3, 26.3], (40, 2))), name=list(range(40)))
    areas = boundaries.voronoi_areas(points, 3000)
    assert areas["name"].tolist() == list(range(40))
    assert shapely.contains(areas.geometry.values, points.geometry.values).all()
    assert boundaries.overlaps_km2(areas) < 1e-6
    assert (boundaries.areas_km2(areas.geometry.values) <= np.pi * 9 * 1.001).all()


def test_voronoi_areas_end_at_the_coast_and_a_doubled_point_has_one_area() -> None:
    points = _frame(
        shapely.Point(50, 26), shapely.Point(50, 26), shapely.Point(50.2, 26), name=["a", "b", "c"]
    )
    land = shapely.box(49, 25, 50.1, 27)
    areas = boundaries.voronoi_areas(points, 5000, land)
    assert areas["name"].tolist() == ["a"]
    assert land.buffer(1e-9).contains(areas.geometry.iloc[0])


def test_one_point_alone_gets_a_disc() -> None:
    area = boundaries.voronoi_areas(_frame(shapely.Point(50, 26)), 1000)
    assert boundaries.areas_km2(area.geometry.values)[0] == pytest.approx(np.pi, rel=0.02)


def test_areas_in_another_reference_system_are_refused() -> None:
    metric = _frame(shapely.box(0, 0, 1, 1)).to_crs(3857)
    for measure in (boundaries.overlaps_km2, boundaries.gaps_km2):
        with pytest.raises(InputError, match="EPSG:4326"):
            measure(metric)


def test_published_governorates_are_a_partition(shared_data: Path) -> None:
    areas = gpd.read_file(shared_data / "saudi" / "ep_governorates.geojson")
    areas["geometry"] = boundaries.repair(areas.geometry.values)[0]
    assert boundaries.overlaps_km2(areas) < 0.01
    published = areas["area_km2"].to_numpy(dtype=float)
    np.testing.assert_allclose(boundaries.areas_km2(areas.geometry.values), published, rtol=0.01)
