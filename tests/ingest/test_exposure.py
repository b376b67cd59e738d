"""Exposure from files into the store: every form, totals accounted for, bad files refused."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from sqlalchemy import text

from data import columns, exposures, territories
from data.analyses.study import study
from data.query import ReportQuery
from geo.cells import areas_km2, boundaries, cells_covering, cells_of, parents, to_text
from geo.errors import InputError
from ingest.areas import ingest_areas
from ingest.exposure import ExposureResult, ingest_exposure

WEST, SOUTH, EAST, NORTH = 49.0, 26.0, 49.08, 26.07
SQUARE = shapely.box(WEST, SOUTH, EAST, NORTH)


@pytest.fixture(scope="module")
def city(module_store: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A store with one territory, a square of about 62 km²; each test loads its own sets."""
    path = tmp_path_factory.mktemp("city") / "city.geojson"
    gpd.GeoDataFrame({"name": ["Square"]}, geometry=[SQUARE], crs=4326).to_file(path)
    ingest_areas(module_store.engine, path, level="municipality", territory="square")
    return module_store


def _csv(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def _blocks(side: int = 6) -> gpd.GeoDataFrame:
    xs, ys = np.linspace(WEST, EAST, side + 1), np.linspace(SOUTH, NORTH, side + 1)
    shapes = [shapely.box(xs[i], ys[j], xs[i + 1], ys[j + 1]) for i in range(side) for j in range(side)]
    people = np.arange(side * side) * 7.0
    return gpd.GeoDataFrame({"pop20": people, "housing20": people / 2}, geometry=shapes, crs=4326)


def _adds_up(result: ExposureResult) -> None:
    assert result.read == pytest.approx(result.inside + result.edge + result.outside, rel=1e-12)


def _stored(store: Any, kind: str) -> tuple[exposures.ExposureSet, np.ndarray]:
    with store.engine.connect() as conn:
        place = territories.find(conn, "square")
        assert place is not None
        found = exposures.current(conn, place.id, kind)
        assert found is not None
        cells = cells_covering(SQUARE.buffer(0.1), found.resolution)
        return found, exposures.of_cells(conn, place.id, kind, cells, found.resolution)


def test_census_polygons_keep_their_total(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "blocks.gpkg"
    _blocks().to_file(path)
    result = ingest_exposure(city.engine, path, kind="population")
    _adds_up(result)
    assert (result.form, result.column, result.unit, result.territory) == (
        "polygons",
        "pop20",
        "people",
        "square",
    )
    assert result.outside == 0 and result.edge > 0
    found, values = _stored(city, "population")
    assert values.sum() == pytest.approx(_blocks()["pop20"].sum(), rel=1e-9)
    assert found.total == pytest.approx(result.read, rel=1e-9)
    assert (found.label, found.per, found.resolution) == ("blocks.gpkg", 1000, 10)


def test_a_named_column_is_taken_and_a_label_is_kept(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "blocks.gpkg"
    _blocks().to_file(path)
    result = ingest_exposure(city.engine, path, kind="buildings", column="housing20", label="Housing 2020")
    assert result.read == pytest.approx(_blocks()["housing20"].sum())
    assert _stored(city, "buildings")[0].label == "Housing 2020"


def test_what_lies_outside_the_study_area_is_left_out_and_said(city: Any, tmp_path: Path) -> None:
    shapes = [SQUARE, shapely.box(60, 20, 60.1, 20.1), shapely.box(EAST, SOUTH, EAST + 0.08, NORTH)]
    path = tmp_path / "wide.gpkg"
    gpd.GeoDataFrame({"population": [100.0, 1000.0, 100.0]}, geometry=shapes, crs=4326).to_file(path)
    result = ingest_exposure(city.engine, path, kind="population")
    _adds_up(result)
    # Of the neighbour, what lies within some 2 km is kept: a quarter of its 8 km, and a little of the cells.
    assert 1070 < result.outside < 1076
    assert result.inside == pytest.approx(100, rel=0.02)
    assert any("outside and left out" in note for note in result.notes)


def test_people_per_cell_are_those_of_the_share_of_ground(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "blocks.gpkg"
    gpd.GeoDataFrame({"population": [6200.0]}, geometry=[SQUARE], crs=4326).to_file(path)
    ingest_exposure(city.engine, path, kind="population")
    with city.engine.connect() as conn:
        place = territories.find(conn, "square")
        assert place is not None
        inner = cells_covering(SQUARE.buffer(-0.005), 9)
        values = exposures.of_cells(conn, place.id, "population", inner, 9)
    km2 = float(gpd.GeoSeries([SQUARE], crs=4326).to_crs(6933).area.iloc[0]) / 1e6
    # Children of a cell are not exactly its ground: a few per cent on single cells.
    assert values == pytest.approx(areas_km2(inner) * 6200 / km2, rel=0.001)


def test_road_lines_become_kilometres_by_cell(city: Any, tmp_path: Path) -> None:
    lines = [shapely.LineString([(WEST + 0.01, y), (EAST - 0.01, y)]) for y in np.linspace(26.01, 26.06, 6)]
    lines.append(shapely.MultiLineString([[(49.02, 26.01), (49.02, 26.06)], [(70, 20), (70.01, 20)]]))
    path = tmp_path / "roads.geojson"
    gpd.GeoDataFrame(geometry=lines, crs=4326).to_crs(32639).to_file(path)
    result = ingest_exposure(city.engine, path, kind="road_km")
    _adds_up(result)
    assert (result.form, result.unit) == ("lines", "km")
    assert result.outside == pytest.approx(1.046, rel=0.01)
    assert result.inside == pytest.approx(6 * 6.0 + 5.54, rel=0.01)


def test_buildings_are_counted_where_their_middle_lies(city: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.uniform(WEST, EAST, 500), rng.uniform(SOUTH, NORTH, 500)
    shapes = [shapely.box(a - 1e-5, b - 1e-5, a + 1e-5, b + 1e-5) for a, b in zip(x, y, strict=True)]
    path = tmp_path / "buildings.gpkg"
    gpd.GeoDataFrame({"height": 3.0}, index=range(500), geometry=shapes, crs=4326).to_file(path)
    result = ingest_exposure(city.engine, path, kind="buildings")
    assert (result.form, result.read, result.column) == ("points", 500, None)
    cells, counts = np.unique(cells_of(x, y, 10), return_counts=True)
    with city.engine.connect() as conn:
        place = territories.find(conn, "square")
        assert place is not None
        assert exposures.of_cells(conn, place.id, "buildings", cells, 10).tolist() == counts.tolist()


def test_points_in_a_table_are_summed_by_cell(city: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = [[rng.uniform(WEST, EAST), rng.uniform(SOUTH, NORTH), 3] for _ in range(50)]
    path = _csv(tmp_path / "houses.csv", ["Longitude", "Latitude", "Persons"], rows)
    result = ingest_exposure(city.engine, path, kind="population")
    assert (result.form, result.column, result.read) == ("points", "Persons", 150)


def test_a_table_of_cells_is_taken_as_it_is(city: Any, tmp_path: Path) -> None:
    cells = cells_covering(SQUARE, 9)
    path = tmp_path / "cells.parquet"
    pd.DataFrame({"h3": to_text(cells), "value": np.arange(len(cells)) + 1.0}).to_parquet(path)
    result = ingest_exposure(city.engine, path, kind="population")
    assert (result.form, result.resolution, result.cells) == ("cells", 9, len(cells))
    with city.engine.connect() as conn:
        place = territories.find(conn, "square")
        assert place is not None
        own = exposures.of_cells(conn, place.id, "population", cells, 9)
        assert own.tolist() == (np.arange(len(cells)) + 1.0).tolist()
        coarse = np.unique(parents(cells, 7))
        assert exposures.of_cells(conn, place.id, "population", coarse, 7).sum() == pytest.approx(own.sum())
        # Finer than stored: an even seventh each.
        child = cells_covering(boundaries(cells[:1])[0], 10)
        child = child[parents(child, 9) == cells[0]]
        assert exposures.of_cells(conn, place.id, "population", child, 10) == pytest.approx(1 / 7)
        found = exposures.current(conn, place.id, "population")
        assert found is not None
        assert [r.code for r in exposures.remarks(found, 10)] == ["exposure_spread"]
        assert exposures.remarks(found, 9) == ()


def test_cells_finer_than_reports_are_kept_are_summed(city: Any, tmp_path: Path) -> None:
    cells = cells_of(np.linspace(WEST, EAST, 400), np.full(400, 26.03), 12)
    rows = [[cell, 1] for cell in np.unique(cells).tolist()]
    result = ingest_exposure(
        city.engine, _csv(tmp_path / "fine.csv", ["cell", "pop"], rows), kind="population"
    )
    assert (result.resolution, result.read) == (10, len(rows))


def test_a_regular_grid_of_points_is_a_raster_and_leaves_no_holes(city: Any, tmp_path: Path) -> None:
    xs, ys = np.arange(WEST - 0.02, EAST + 0.02, 0.005), np.arange(SOUTH - 0.02, NORTH + 0.02, 0.005)
    rows = [[round(x, 6), round(y, 6), 10] for x in xs for y in ys]
    result = ingest_exposure(
        city.engine, _csv(tmp_path / "grid.csv", ["x", "y", "value"], rows), kind="population"
    )
    _adds_up(result)
    # 0.005° are 0.28 km²: cells of 0.1 km² would only pretend to know more.
    assert (result.form, result.resolution) == ("grid", 8)
    with city.engine.connect() as conn:
        place = territories.find(conn, "square")
        assert place is not None
        inner = cells_covering(SQUARE, 8)
        per_km2 = exposures.of_cells(conn, place.id, "population", inner, 8) / areas_km2(inner)
    # A part of a pixel is a sixteenth of a cell: single cells are that uneven.
    assert per_km2.std() / per_km2.mean() < 0.12
    assert per_km2.mean() == pytest.approx(
        10 / (0.005**2 * 111.32 * 110.57 * np.cos(np.radians(26.035))), rel=0.01
    )


def _raster(
    path: Path, values: np.ndarray, crs: Any = 4326, nodata: float | None = -9999, pixel: float = 0.001
) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", width=values.shape[1], height=values.shape[0], count=1,
        dtype="float32", crs=crs, transform=from_origin(WEST - 0.01, NORTH + 0.01, pixel, pixel), nodata=nodata,
    ) as file:  # fmt: skip
        file.write(values.astype(np.float32), 1)
    return path


def test_a_population_raster_keeps_its_total_and_nodata_is_nothing(city: Any, tmp_path: Path) -> None:
    values = np.full((90, 100), 4.0)
    values[:45, 50] = -9999
    values[60, 10] = np.nan
    result = ingest_exposure(city.engine, _raster(tmp_path / "pop.tif", values), kind="population")
    _adds_up(result)
    assert (result.form, result.resolution) == ("raster", 10)
    assert result.read == pytest.approx(4.0 * (9000 - 46))
    # The square is 70 × 80 pixels of 4, less the 35 without data.
    assert result.inside == pytest.approx(4 * (5600 - 35 - 1), rel=0.01)
    assert result.outside == 0


def test_a_raster_in_metres_lands_on_the_same_ground(city: Any, tmp_path: Path) -> None:
    frame = gpd.GeoSeries([SQUARE], crs=4326).to_crs(32639)
    west, _south, _east, north = frame.total_bounds
    path = tmp_path / "utm.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=60, height=50, count=1, dtype="float32", crs="EPSG:32639",
        transform=from_origin(west + 500, north - 500, 100, 100),
    ) as file:  # fmt: skip
        file.write(np.full((50, 60), 2.0, dtype=np.float32), 1)
    result = ingest_exposure(city.engine, path, kind="population")
    assert result.read == result.inside == pytest.approx(6000)


def test_water_is_the_share_of_a_cell_that_it_covers(city: Any, tmp_path: Path) -> None:
    with city.engine.connect() as conn:
        place = territories.find(conn, "square")
        assert place is not None
        cells = cells_covering(SQUARE, 8)
        assert exposures.water_share(conn, place.id, cells, 8).tolist() == [0.0] * len(cells)
    sea = shapely.box(WEST, SOUTH, WEST + 0.04, NORTH)
    twice = shapely.box(WEST + 0.01, SOUTH, WEST + 0.02, NORTH)
    path = tmp_path / "water.gpkg"
    gpd.GeoDataFrame(geometry=[sea, twice], crs=4326).to_file(path)
    result = ingest_exposure(city.engine, path, kind="water")
    _adds_up(result)
    km2 = float(gpd.GeoSeries([sea], crs=4326).to_crs(6933).area.iloc[0]) / 1e6
    assert result.read == pytest.approx(km2, rel=1e-9)
    with city.engine.connect() as conn:
        place = territories.find(conn, "square")
        assert place is not None
        cells = cells_covering(SQUARE.buffer(-0.002), 9)
        share = exposures.water_share(conn, place.id, cells, 9)
        lon = shapely.get_x(shapely.centroid(boundaries(cells)))
        assert (share[lon < WEST + 0.035] > 0.99).all()
        assert (share[lon > WEST + 0.045] == 0).all()
        assert ((share >= 0) & (share <= 1)).all()
        # A cell mostly under water, without any report, is no place for one.
        answer = study(conn, ReportQuery(place.id), 9)
        whole = cells_covering(SQUARE, 9)
        wet = exposures.water_share(conn, place.id, whole, 9) >= 0.5
        assert answer.cells.tolist() == whole[~wet].tolist()
        assert [(r.code, dict(r.values)["cells"]) for r in answer.remarks] == [("study_water", wet.sum())]
        # Water is no denominator, so it is not offered for rates.
        assert "water" not in [each.kind for each in exposures.available(conn, place.id)]


def test_a_new_file_replaces_the_set_and_the_same_file_changes_nothing(city: Any, tmp_path: Path) -> None:
    first = tmp_path / "a.gpkg"
    _blocks().to_file(first)
    ingest_exposure(city.engine, first, kind="population", label="People")

    def state() -> tuple[int, int, int, bool]:
        of_kind = "SELECT count(*) FROM exposure_set WHERE kind = 'population'"
        with city.engine.connect() as conn:
            place = territories.find(conn, "square")
            assert place is not None
            assert conn.scalar(text(f"{of_kind} AND valid_to IS NULL")) == 1
            with_cells = conn.scalar(text(f"{of_kind} AND id IN (SELECT set_id FROM exposure_cell)"))
            sets = conn.scalar(text(of_kind))
            return place.data_version, sets, with_cells, columns.is_current(conn, place.id)

    before = state()
    assert ingest_exposure(city.engine, first, kind="population", label="People").unchanged
    assert state() == before
    more = _blocks()
    more["pop20"] += 1
    second = tmp_path / "b.gpkg"
    more.to_file(second)
    result = ingest_exposure(city.engine, second, kind="population", label="People")
    assert not result.unchanged
    # The older set is remembered without its cells; packed report columns still serve.
    assert state() == (before[0] + 1, before[1] + 1, 1, True)
    _, values = _stored(city, "population")
    assert values.sum() == pytest.approx(more["pop20"].sum())


def test_without_boundaries_everything_is_kept(store: Any, tmp_path: Path) -> None:
    with store.engine.begin() as conn:
        territories.create(conn, "square", "مربع", "Square", "Asia/Riyadh", False)
    path = tmp_path / "blocks.gpkg"
    _blocks().to_file(path)
    result = ingest_exposure(store.engine, path, kind="population")
    assert (result.outside, result.edge) == (0, 0)
    assert result.inside == pytest.approx(_blocks()["pop20"].sum(), rel=1e-9)


def test_exposure_of_a_simulated_territory_is_called_simulated(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "blocks.gpkg"
    _blocks().to_file(path)
    with store.engine.begin() as conn:
        territories.create(conn, "square", "مربع", "Square", "Asia/Riyadh", False)
    with pytest.raises(InputError, match="never mixed"):
        ingest_exposure(store.engine, path, kind="population", simulated=True)
    with store.engine.begin() as conn:
        conn.execute(text("UPDATE territory SET simulated = true"))
    assert ingest_exposure(store.engine, path, kind="population").simulated
    found, _ = _stored(store, "population")
    assert [r.code for r in exposures.remarks(found, 9)] == ["exposure_simulated"]
    with store.engine.connect() as conn:
        cells = cells_covering(SQUARE, 8)
        with pytest.raises(InputError, match=r"No road_km is loaded .*ingest exposure FILE --kind road_km"):
            exposures.of_cells(conn, territories.newest(conn).id, "road_km", cells, 8)  # type: ignore[union-attr]


def _frame(path: Path, values: list[Any], crs: Any = 4326, shapes: list[Any] | None = None) -> Path:
    blocks = _blocks(2)
    shapes = list(blocks.geometry) if shapes is None else shapes
    gpd.GeoDataFrame({"population": values}, geometry=shapes, crs=crs).to_file(path)
    return path


BAD: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "a negative value": (lambda p: _frame(p / "a.gpkg", [1.0, 2, -3, 4]), {}, r"row 3, column 'population' is -3"),
    "an empty value": (lambda p: _frame(p / "a.gpkg", [1.0, None, 3, 4]), {}, r"row 2, .* is empty. Write 0"),
    "text in the value column": (
        lambda p: _csv(p / "a.csv", ["lon", "lat", "pop"], [[49, 26, 1], [49, 26, "many"]]),
        {},
        r"row 3, column 'pop' is 'many', which is no number",
    ),
    "only zeros": (lambda p: _frame(p / "a.gpkg", [0, 0, 0, 0]), {}, "every value is 0"),
    "a column that is not there": (
        lambda p: _frame(p / "a.gpkg", [1, 2, 3, 4]),
        {"column": "people"},
        "no column 'people'. Its columns are: population",
    ),
    "no clear column": (
        lambda p: _csv(p / "a.csv", ["lon", "lat", "a", "b"], [[49, 26, 1, 2]]),
        {},
        "no column is clearly the population. Say which with --column NAME; columns of numbers: a, b",
    ),
    "neither cells nor coordinates": (
        lambda p: _csv(p / "a.csv", ["district", "pop"], [["x", 1]]),
        {},
        "neither a column of H3 cells",
    ),
    "cells of several resolutions": (
        lambda p: _csv(p / "a.csv", ["cell", "pop"], [["8928308280fffff", 1], ["8828308281fffff", 1]]),
        {},
        r"several resolutions \(8, 9\)",
    ),
    "a cell that is none": (
        lambda p: _csv(p / "a.csv", ["cell", "pop"], [["8928308280fffff", 1], ["abc", 1]]),
        {},
        "'abc' is no H3 cell",
    ),
    "metres called longitude": (
        lambda p: _csv(p / "a.csv", ["x", "y", "pop"], [[400000, 2900000, 1]]),
        {},
        "is no longitude and latitude",
    ),
    "coordinates that cannot be degrees, without a CRS": (
        lambda p: _frame(p / "a.gpkg", [5], None, [shapely.box(400000, 2900000, 401000, 2901000)]),
        {},
        "are no degrees",
    ),
    "an empty file": (lambda p: (p / "a.csv", (p / "a.csv").write_text(""))[0], {}, "is empty"),
    "a header alone": (lambda p: _csv(p / "a.csv", ["lon", "lat", "pop"], []), {}, "no rows|no row"),
    "a file that is not there": (lambda p: p / "none.gpkg", {}, "does not exist"),
    "lines as people": (
        lambda p: _frame(p / "a.gpkg", [5], 4326, [shapely.LineString([(49, 26), (49.01, 26)])]),
        {},
        "holds lines. People are read from polygons",
    ),
    "polygons as roads": (
        lambda p: _frame(p / "a.gpkg", [5], 4326, [SQUARE]),
        {"kind": "road_km"},
        "holds polygons. Roads are read from lines",
    ),
    "a table as water": (
        lambda p: _csv(p / "a.csv", ["lon", "lat", "km2"], [[49, 26, 1]]),
        {"kind": "water"},
        "Water is read from polygons",
    ),
    "land called water": (
        lambda p: _frame(p / "a.gpkg", [5], 4326, [SQUARE.buffer(0.01)]),
        {"kind": "water"},
        "would put 100% of the study area under water",
    ),
    "a kind that does not exist": (
        lambda p: _frame(p / "a.gpkg", [1, 2, 3, 4]),
        {"kind": "cars"},
        "'cars' is no kind of exposure; use one of population, buildings, road_km, water",
    ),
    "ground far away": (
        lambda p: _frame(p / "a.gpkg", [5], 4326, [shapely.box(10, 50, 10.1, 50.1)]),
        {},
        "nothing of it lies in the study area",
    ),
    "a count without a shape": (
        lambda p: _frame(p / "a.gpkg", [5, 1], 4326, [SQUARE, None]),
        {},
        "feature 2: 1 is given without a polygon",
    ),
    "a territory that does not exist": (
        lambda p: _frame(p / "a.gpkg", [1, 2, 3, 4]),
        {"territory": "atlantis"},
        "no territory 'atlantis' in the store; it holds: square",
    ),
    "a resolution finer than reports": (
        lambda p: _frame(p / "a.gpkg", [1, 2, 3, 4]),
        {"resolution": 12},
        "choose one from 0 to 10",
    ),
    "a raster without a CRS": (
        lambda p: _raster(p / "a.tif", np.ones((5, 5)), crs=None),
        {},
        "does not say its coordinate reference system",
    ),
    "a raster with undeclared nodata": (
        lambda p: _raster(p / "a.tif", np.where(np.eye(90, 100) > 0, -9999, 1.0), nodata=None),
        {},
        r"pixel in row 1, column 1: -9999 is negative",
    ),
    "a raster of elsewhere": (
        lambda p: _raster(p / "a.tif", np.ones((5, 5)), pixel=1e-6),
        {},
        "has no pixel near|nothing of it lies",
    ),
    "a damaged raster": (
        lambda p: (p / "a.tif", (p / "a.tif").write_bytes(b"II*\x00" + b"x" * 40))[0],
        {},
        "cannot be read as a raster",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_their_place_and_a_remedy(city: Any, tmp_path: Path, name: str) -> None:
    make, options, message = BAD[name]
    path = make(tmp_path)
    with city.engine.connect() as conn:
        before = conn.scalar(text("SELECT max(id) FROM exposure_set"))
    with pytest.raises(InputError, match=message):
        ingest_exposure(city.engine, path, **({"kind": "population"} | options))
    with city.engine.connect() as conn:
        assert conn.scalar(text("SELECT max(id) FROM exposure_set")) == before


def test_area_is_always_there_and_needs_no_file(city: Any) -> None:
    with city.engine.connect() as conn:
        place = territories.find(conn, "square")
        assert place is not None
        cells = cells_covering(SQUARE, 8)
        assert exposures.available(conn, place.id)[-1].kind == "area"
        assert exposures.of_cells(conn, place.id, "area", cells, 8) == pytest.approx(areas_km2(cells))
        with pytest.raises(InputError, match="no kind of exposure"):
            exposures.current(conn, place.id, "cars")


def test_baltimores_blocks_and_streets_keep_their_totals(store: Any, shared_data: Path) -> None:
    folder = shared_data / "baltimore"
    ingest_areas(store.engine, folder / "baltimore_city.parquet", level="municipality", territory="baltimore")
    people = ingest_exposure(store.engine, folder / "baltimore_blocks.parquet", kind="population")
    assert people.read == 585_708
    assert people.outside == 0
    assert people.inside > 0.99 * people.read
    roads = ingest_exposure(store.engine, folder / "streets.parquet", kind="road_km")
    assert roads.read == pytest.approx(3672, abs=1)
    assert roads.outside < 0.2
    with store.engine.connect() as conn:
        place = territories.find(conn, "baltimore")
        assert place is not None
        assert [each.kind for each in exposures.available(conn, place.id)] == [
            "population",
            "road_km",
            "area",
        ]
        for result in (people, roads):
            cells = cells_covering(gpd.read_parquet(folder / "baltimore_city.parquet").geometry.iloc[0], 9)
            total = exposures.of_cells(conn, place.id, result.kind, cells, 9).sum()
            assert total == pytest.approx(result.inside, rel=0.005)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("population", "pop20"),
        ("population", "Population_2022"),
        ("population", "TotPop"),
        ("population", "عدد السكان"),
        ("population", "السكّان"),
        ("buildings", "Number of buildings"),
        ("buildings", "المباني"),
        ("road_km", "length_km"),
    ],
)
def test_the_column_of_amounts_is_known_by_its_name(city: Any, tmp_path: Path, kind: str, name: str) -> None:
    cells = to_text(cells_covering(SQUARE, 8))
    path = _csv(tmp_path / "a.csv", ["cell", "district", name, "other"], [[c, 7, 2, 1000] for c in cells])
    result = ingest_exposure(city.engine, path, kind=kind)
    assert (result.column, result.read) == (name, 2 * len(cells))
