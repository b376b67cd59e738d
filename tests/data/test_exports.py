"""Downloads: complete, readable by other programs, and harmless in a spreadsheet."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
from sqlalchemy import Connection, text

from data import columns, exports
from data.maps import cell_counts
from data.query import ReportQuery
from geo.errors import InputError
from tests.data.reports_sample import ZONE, Sample, make_sample


@pytest.fixture(scope="module")
def loaded(module_store: Any) -> Iterator[tuple[Connection, Sample]]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn, rows=400)
        columns.refresh(conn, sample.territory)
    with module_store.engine.connect() as conn:
        yield conn, sample


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path, encoding="utf-8-sig", keep_default_na=False, na_values=[""])
    if path.suffix == ".xlsx":
        return pd.read_excel(path, engine="openpyxl")
    return gpd.read_parquet(path) if path.suffix == ".parquet" else gpd.read_file(path)


@pytest.mark.parametrize("format", exports.FORMATS)
def test_every_format_holds_every_report_with_every_column(
    loaded: tuple[Connection, Sample], tmp_path: Path, format: str
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, start=dt.date(2025, 2, 1))
    path = tmp_path / f"reports.{format}"
    said: list[tuple[float, int]] = []
    written = exports.export_reports(conn, query, format, path, progress=lambda *args: said.append(args))
    chosen = sample.choose(query)
    found = _read(path)
    assert written == len(found) == len(chosen) > 100
    assert said[-1] == (1.0, written)
    assert [name for name in found.columns if name != "geometry"] == list(exports.REPORT_COLUMNS)
    assert [str(r).lstrip("'") for r in found["reference"]] == chosen["reference"].tolist()
    words = chosen["status"].map({1: "received", 3: "assigned", 7: "closed", 8: "rejected", 12: "reopened"})
    assert found["status"].tolist() == words.tolist()
    assert found["lon"].isna().tolist() == chosen["lon"].isna().tolist()
    assert found["lon"].dropna().to_numpy() == pytest.approx(chosen["lon"].dropna().to_numpy())
    assert found["cell"].fillna("").tolist() == chosen["cell_text"].fillna("").tolist()
    assert set(found["simulated"]) == {True}
    assert set(found["flags"].dropna()) == {"swapped_axes"}
    if format in ("csv", "geojson"):
        opened = pd.to_datetime(found["opened_at"], utc=True)
        assert opened.tolist() == chosen["opened_at"].tolist()
    elif format == "xlsx":
        local = chosen["opened_at"].dt.tz_convert(ZONE).dt.tz_localize(None)
        assert (found["opened_at"] - local.to_numpy()).abs().max() < pd.Timedelta(milliseconds=2)
    else:
        assert pd.to_datetime(found["opened_at"], utc=True).tolist() == chosen["opened_at"].tolist()
    if format in ("geojson", "gpkg", "parquet"):
        assert found.geometry.isna().tolist() == chosen["lon"].isna().tolist()
        assert found.geometry.dropna().x.to_numpy() == pytest.approx(chosen["lon"].dropna().to_numpy())
        assert found.crs.to_epsg() in (4326, None) and "84" in found.crs.name


@pytest.mark.parametrize("format", exports.FORMATS)
@pytest.mark.parametrize("end", [None, dt.date(1999, 1, 1)])
def test_cells_are_those_of_the_map(
    loaded: tuple[Connection, Sample], tmp_path: Path, format: str, end: dt.date | None
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, end=end)
    path = tmp_path / f"cells.{format}"
    path.write_bytes(exports.export_cells(conn, query, 8, format))
    level = cell_counts(conn, query).levels[8]
    found = _read(path)
    assert len(found) == len(level.cells)
    if end:
        return
    assert [name for name in found.columns if name != "geometry"] == list(exports.CELL_COLUMNS)
    assert found["cell"].tolist() == [f"{cell:x}" for cell in level.cells.tolist()]
    assert found["reports"].tolist() == level.counts.tolist()
    assert found["reports_per_km2"].to_numpy() == pytest.approx((found["reports"] / found["km2"]).to_numpy())
    if format in ("geojson", "gpkg", "parquet"):
        assert set(found.geom_type) == {"Polygon"}
        area = found.to_crs(found.estimate_utm_crs()).area / 1e6
        assert area.to_numpy() == pytest.approx(found["km2"].to_numpy(), rel=0.01)


def test_a_text_that_could_run_as_a_formula_gets_an_apostrophe_and_a_number_does_not(
    loaded: tuple[Connection, Sample], tmp_path: Path
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, default_points=True)
    for format in ("csv", "xlsx"):
        path = tmp_path / f"r.{format}"
        exports.export_reports(conn, query, format, path)
        found = _read(path)
        assert found["reference"].iloc[0] == "'=HYPERLINK(1)"
        assert set(found["type"].dropna().str[:2]) == {"'="}
        assert "'@home" in set(found["agency"])
        # A plain signed number is no formula.
        assert "+1234" in set(found["agency"].astype(str)) or 1234 in set(found["agency"])
        assert pd.api.types.is_float_dtype(found["lon"])
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    assert not [cell for row in book.active.iter_rows() for cell in row if cell.data_type == "f"]


def test_no_field_of_a_csv_begins_with_a_sign_that_runs(
    loaded: tuple[Connection, Sample], tmp_path: Path
) -> None:
    conn, sample = loaded
    with conn.begin_nested() as point:
        conn.execute(
            text("UPDATE report SET agency = :evil, contractor = :tab, unit = :plus WHERE territory_id = :t"),
            {"evil": "=cmd|' /C calc'!A0", "tab": "\t=1", "plus": "+cmd", "t": sample.territory},
        )
        exports.export_reports(conn, ReportQuery(sample.territory), "csv", tmp_path / "r.csv")
        point.rollback()
    found = pd.read_csv(tmp_path / "r.csv", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    risky = [v for v in found.to_numpy().ravel() if re.match(r"[=+\-@\t\r]", v)]
    assert [v for v in risky if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", v)] == []
    assert set(found["agency"]) == {"'=cmd|' /C calc'!A0"}


def test_files_say_that_their_data_are_simulated(loaded: tuple[Connection, Sample], tmp_path: Path) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    paths = {name: tmp_path / f"r.{name}" for name in ("geojson", "gpkg", "parquet")}
    for format, path in paths.items():
        exports.export_reports(conn, query, format, path)
    assert json.loads(paths["geojson"].read_text())["simulated"] is True
    assert pyogrio.read_info(paths["gpkg"], layer="reports")["layer_metadata"]["simulated"] == "True"
    assert json.loads(pq.read_schema(paths["parquet"]).metadata[b"rasd"])["simulated"] is True


def test_reports_stream_in_parts_without_losing_any(
    loaded: tuple[Connection, Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn, sample = loaded
    monkeypatch.setattr(exports, "_CHUNK", 37)
    query = ReportQuery(sample.territory)
    expected = sample.choose(query)["reference"].tolist()
    for format in exports.FORMATS:
        path = tmp_path / f"r.{format}"
        said: list[int] = []
        exports.export_reports(
            conn, query, format, path, progress=lambda _, rows, said=said: said.append(rows)
        )
        assert [str(r).lstrip("'") for r in _read(path)["reference"]] == expected
        assert len(said) > 5


def test_a_stream_takes_the_same_bytes_as_a_file(loaded: tuple[Connection, Sample], tmp_path: Path) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    out = io.BytesIO()
    exports.export_reports(conn, query, "csv", out)
    exports.export_reports(conn, query, "csv", tmp_path / "r.csv")
    assert out.getvalue() == (tmp_path / "r.csv").read_bytes()


def test_nothing_is_left_of_an_export_that_failed(loaded: tuple[Connection, Sample], tmp_path: Path) -> None:
    conn, sample = loaded

    def stop(share: float, rows: int) -> None:
        raise KeyboardInterrupt

    for format in exports.FORMATS:
        with pytest.raises(KeyboardInterrupt):
            exports.export_reports(
                conn, ReportQuery(sample.territory), format, tmp_path / f"r.{format}", progress=stop
            )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_choice_gives_a_file_with_a_header(
    loaded: tuple[Connection, Sample], tmp_path: Path
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, elements=("none",))
    for format in exports.FORMATS:
        path = tmp_path / f"r.{format}"
        assert exports.export_reports(conn, query, format, path) == 0
        assert len(_read(path)) == 0
    assert list(_read(tmp_path / "r.csv").columns) == list(exports.REPORT_COLUMNS)


def test_a_format_or_folder_that_there_is_not_is_refused(
    loaded: tuple[Connection, Sample], tmp_path: Path
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    with pytest.raises(InputError, match="choose one of csv"):
        exports.export_reports(conn, query, "pdf", tmp_path / "r.pdf")
    with pytest.raises(InputError, match="choose one of csv"):
        exports.export_cells(conn, query, 8, "pdf")
    with pytest.raises(InputError, match="folder does not exist"):
        exports.export_reports(conn, query, "csv", tmp_path / "no" / "r.csv")
    with pytest.raises(InputError, match="0 to 10"):
        exports.export_cells(conn, query, 12, "csv")


def test_every_column_is_documented() -> None:
    said = (Path(exports.__file__).parent.parent / "docs" / "exports.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z0-9_]+)`", said))
    assert set(exports.REPORT_COLUMNS) | set(exports.CELL_COLUMNS) <= documented
    assert {f"`.{format}`" in said for format in exports.FORMATS} == {True}
