"""Tables of results as files: every format reads back, texts are harmless in a spreadsheet."""

from __future__ import annotations

import io
from pathlib import Path

import geopandas as gpd
import openpyxl
import pandas as pd
import pytest
import shapely

from data.frames import FORMATS, frame_bytes, write_frame
from geo.errors import InputError

FRAME = gpd.GeoDataFrame(
    {"cell": ["8843acd819fffff", "8843acd81bfffff"], "name": ["=1+1", "حي النخيل"], "z": [2.5, -1.0]},
    geometry=[shapely.box(50, 26, 50.1, 26.1), shapely.box(50.1, 26, 50.2, 26.1)],
    crs="EPSG:4326",
)


@pytest.mark.parametrize("format", ["geojson", "gpkg", "parquet"])
def test_shaped_formats_read_back_with_shapes_and_crs(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"out.{format}"
    assert write_frame(FRAME, path) == 2
    back = gpd.read_parquet(path) if format == "parquet" else gpd.read_file(path)
    assert back["z"].tolist() == [2.5, -1.0]
    assert back.crs.to_epsg() == 4326
    assert shapely.area(back.geometry.to_numpy()) == pytest.approx([0.01, 0.01])


def test_sheets_leave_the_shapes_out_and_run_no_formula() -> None:
    table = pd.read_csv(io.BytesIO(frame_bytes(FRAME, "csv")))
    assert list(table.columns) == ["cell", "name", "z"]
    assert table["name"].tolist() == ["'=1+1", "حي النخيل"]
    sheet = openpyxl.load_workbook(io.BytesIO(frame_bytes(FRAME, "xlsx"))).active
    assert [cell.value for cell in next(sheet.iter_rows(min_row=2))] == ["8843acd819fffff", "'=1+1", 2.5]


def test_a_table_without_shapes_is_no_geojson() -> None:
    plain = pd.DataFrame({"a": [1]})
    assert frame_bytes(plain, "parquet")
    with pytest.raises(InputError, match="no shapes"):
        frame_bytes(plain, "geojson")


def test_an_unknown_ending_lists_the_formats(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=", ".join("." + f for f in FORMATS)):
        write_frame(FRAME, tmp_path / "out.doc")
    with pytest.raises(InputError, match="another place"):
        write_frame(FRAME, tmp_path / "missing" / "out.csv")
