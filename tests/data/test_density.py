"""Density of a query's reports: the same reports as everywhere, on the query's own area."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from sqlalchemy import Connection, text

from data import columns, exposures
from data.analyses.density import CLASSES, DensitySettings, _first_half, density
from data.query import ReportQuery
from data.rasters import NODATA, geotiff_bytes, write_geotiff
from geo.cells import areas_km2, cells_covering
from geo.errors import InputError
from layers.density import write_png
from tests.data.reports_sample import Sample, make_sample

SQUARE = shapely.box(49.4, 26.2, 50.3, 26.8)


@pytest.fixture(scope="module")
def loaded(module_store: Any) -> Iterator[tuple[Connection, Sample]]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn)
        conn.execute(
            text("UPDATE territory SET study_area = ST_GeomFromText(:shape, 4326) WHERE id = :id"),
            {"shape": shapely.MultiPolygon([SQUARE]).wkt, "id": sample.territory},
        )
        columns.refresh(conn, sample.territory)
    with module_store.engine.connect() as conn:
        yield conn, sample


def test_the_mass_is_the_number_of_the_query_s_reports_in_the_area(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    rng = np.random.default_rng(5)
    drawn = 0
    for query in [ReportQuery(sample.territory), *(sample.random_query(rng) for _ in range(12))]:
        query = replace(query, municipalities=(), districts=())
        found = density(conn, query, DensitySettings(bandwidth_m=900, longest=200))
        chosen = sample.choose(query)
        placed = chosen[chosen["cell_text"].notna()]
        assert found.counts.sum() == len(placed)
        assert found.without_point == len(chosen) - len(placed)
        if found.surface is None:
            assert [r.code for r in found.remarks] == ["density_empty"]
            continue
        drawn += 1
        surface = found.surface
        assert surface.reports + surface.outside == len(placed)
        assert surface.values.sum() * surface.frame.pixel_km2 == pytest.approx(surface.reports, rel=1e-9)
        assert found.summary()["reports"] == surface.reports
        assert surface.bounded
        assert "density_cells" in [r.code for r in found.remarks]
    assert drawn > 5


def test_exact_points_and_cells_give_nearly_the_same_surface(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, default_points=True)
    small = shapely.box(49.75, 26.0, 49.85, 27.0)
    conn.execute(
        text("UPDATE territory SET study_area = ST_GeomFromText(:shape, 4326) WHERE id = :id"),
        {"shape": shapely.MultiPolygon([small]).wkt, "id": sample.territory},
    )
    exact = density(conn, query, DensitySettings(bandwidth_m=149, longest=4096))
    binned = density(conn, query, DensitySettings(bandwidth_m=150, longest=4096))
    conn.rollback()
    assert exact.exact and not binned.exact
    assert exact.surface is not None and binned.surface is not None
    assert "density_exact" in [r.code for r in exact.remarks]
    assert exact.surface.reports == pytest.approx(binned.surface.reports, abs=3)
    top = exact.surface.values.max()
    assert binned.surface.values.max() == pytest.approx(top, rel=0.2)


def test_a_bandwidth_too_narrow_for_the_area_reads_no_points(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    found = density(conn, ReportQuery(sample.territory), DensitySettings(bandwidth_m=50, longest=64))
    assert not found.exact
    assert found.remarks[0].code == "density_raised"


def test_the_classes_are_polygons_with_their_share_of_the_reports(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    found = density(conn, ReportQuery(sample.territory), DensitySettings(longest=300))
    frame = found.to_geodataframe()
    assert list(frame.columns) == ["low", "high", "km2", "reports", "geometry"]
    assert 1 <= len(frame) <= CLASSES
    assert found.surface is not None
    assert 0.9 * found.surface.reports < frame["reports"].sum() <= found.surface.reports
    nothing = density(conn, ReportQuery(sample.territory, end=dt.date(1999, 1, 1)))
    assert nothing.surface is None
    assert len(nothing.to_geodataframe()) == 0
    assert nothing.summary()["reports"] == 0
    with pytest.raises(InputError, match="no density to write"):
        geotiff_bytes(nothing)


def test_a_geotiff_holds_the_values_with_their_place(
    loaded: tuple[Connection, Sample], tmp_path: Path
) -> None:
    conn, sample = loaded
    found = density(conn, ReportQuery(sample.territory), DensitySettings(bandwidth_m=2000, longest=100))
    surface = found.surface
    assert surface is not None
    path = tmp_path / "d.tif"
    write_geotiff(found, path)
    with rasterio.open(path) as raster:
        values = raster.read(1, masked=True)
        assert raster.crs.to_epsg() == surface.crs.to_epsg()
        assert raster.res == pytest.approx((surface.cell_m, surface.cell_m))
        assert raster.nodata == NODATA
        assert raster.tags()["bandwidth_m"] == "2000.0"
        assert raster.tags()["unit"] == "reports per km2"
        box = gpd.GeoSeries([shapely.box(*raster.bounds)], crs=raster.crs).to_crs(4326).iloc[0]
    assert (values.mask == ~surface.inside).all()
    assert float(values.sum()) * surface.frame.pixel_km2 == pytest.approx(surface.reports, rel=1e-5)
    assert box.buffer(0.01).covers(SQUARE)
    with pytest.raises(InputError, match="cannot be written"):
        write_geotiff(found, tmp_path / "no" / "d.tif")


def test_an_image_lies_where_the_reports_are(loaded: tuple[Connection, Sample], tmp_path: Path) -> None:
    conn, sample = loaded
    found = density(conn, ReportQuery(sample.territory), DensitySettings(bandwidth_m=2000, longest=200))
    path = tmp_path / "d.png"
    write_png(found.surface, found.levels, path)
    with rasterio.open(path) as image:  # GDAL reads the world file beside it
        assert image.colorinterp[0].name == "palette"
        top = image.read(1)
        row, column = np.argwhere(top == top.max())[0]
        lon, lat = image.xy(row, column)
    placed = sample.choose(ReportQuery(sample.territory)).dropna(subset=["lon"])
    near = np.hypot(placed["lon"] - lon, placed["lat"] - lat) < 0.03
    assert near.sum() > 50
    with pytest.raises(InputError, match="no density to draw"):
        write_png(None, (), path)


def test_water_without_reports_is_no_part_of_the_surface(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    cells = cells_covering(shapely.box(49.4, 26.2, 49.45, 26.8), 9)
    exposures.replace_set(
        conn, sample.territory, "water", label="sea", resolution=9, cells=cells, values=areas_km2(cells),
        simulated=False, file_name="sea", file_digest="",
    )  # fmt: skip
    found = density(conn, ReportQuery(sample.territory), DensitySettings(bandwidth_m=2000, longest=300))
    conn.rollback()
    assert found.surface is not None
    assert "density_water" in [r.code for r in found.remarks]
    assert np.isnan(found.surface.at([49.42], [26.5])).all()
    assert np.isfinite(found.surface.at([49.48], [26.5])).all()


@pytest.mark.parametrize(
    "wrong", [{"bandwidth_m": 5}, {"bandwidth_m": 1e6}, {"longest": 4}, {"longest": 10_000}]
)
def test_settings_that_draw_nothing_useful_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="choose"):
        DensitySettings(**wrong)


def test_both_halves_see_the_whole_period() -> None:
    days = np.repeat(np.arange(-30, 701, dtype=np.int16), 2)
    half = _first_half(days, np.ones(len(days), dtype=bool))
    assert 0.45 < half.mean() < 0.55
    assert half[:56].all() and not half[56:112].any()
    week = np.repeat(np.arange(100, 107, dtype=np.int16), 9)
    assert _first_half(week, np.ones(63, dtype=bool)).sum() == 4 * 9
    assert not _first_half(week, np.zeros(63, dtype=bool)).any()
