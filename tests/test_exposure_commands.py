"""./rasd ingest exposure, exposure and density: one JSON object each, files that open elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import rasterio
import shapely
from sqlalchemy import text
from typer.testing import CliRunner

from cli import application
from data import columns
from geo.errors import InputError
from tests.data.reports_sample import make_sample

SQUARE = shapely.box(49.4, 26.2, 50.3, 26.8)


def rasd(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(application(), [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


@pytest.fixture
def city(store: Any) -> str:
    """The sample's first territory on a square of its own; its code."""
    with store.engine.begin() as conn:
        sample = make_sample(conn)
        conn.execute(
            text("UPDATE territory SET study_area = ST_GeomFromText(:shape, 4326) WHERE id = :id"),
            {"shape": shapely.MultiPolygon([SQUARE]).wkt, "id": sample.territory},
        )
        columns.refresh(conn, sample.territory)
        return str(conn.scalar(text("SELECT code FROM territory WHERE id = :id"), {"id": sample.territory}))


def test_exposure_is_loaded_listed_and_taken_away(city: str, tmp_path: Path) -> None:
    path = tmp_path / "people.gpkg"
    gpd.GeoDataFrame({"people": [5000]}, geometry=[SQUARE.buffer(-0.02)], crs=4326).to_file(path)
    loaded = rasd(
        "ingest", "exposure", str(path), "--kind", "population", "--territory", city, "--resolution", "7",
        "--label", "Census",
    )  # fmt: skip
    assert (loaded["read"], loaded["resolution"], loaded["form"]) == (5000, 7, "polygons")
    assert loaded["inside"] + loaded["edge"] + loaded["outside"] == pytest.approx(5000)
    held = rasd("exposure", "--territory", city)
    assert [(each["kind"], each["label"]) for each in held["sets"]] == [("population", "Census")]
    gone = rasd("exposure", "--territory", city, "--remove", "population")
    assert (gone["removed"]["label"], gone["sets"]) == ("Census", [])
    with pytest.raises(InputError, match="no kind of exposure"):
        rasd("exposure", "--territory", city, "--remove", "cars")


def test_a_density_is_written_as_raster_image_and_polygons(city: str, tmp_path: Path) -> None:
    for name in ("d.tif", "d.png", "d.geojson", "d.gpkg"):
        told = rasd("density", "--territory", city, "--bandwidth", "3000", "--out", str(tmp_path / name))
        assert told["file"] == str(tmp_path / name)
        assert told["bandwidth_m"] == 3000
        assert told["reports"] > 500
    with rasterio.open(tmp_path / "d.tif") as raster, rasterio.open(tmp_path / "d.png") as image:
        assert raster.crs.to_epsg() == 32639
        assert image.bounds.left == pytest.approx(49.4, abs=0.02)
    frame = gpd.read_file(tmp_path / "d.geojson")
    assert frame["reports"].sum() > 0.9 * told["reports"]
    people = CliRunner().invoke(application(), ["density", "--territory", city], catch_exceptions=False)
    assert "Smoothing width" in people.stdout and "per km²" in people.stdout
