"""Every bad input of the table does what the table says, and the document says it too."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from bad_inputs import COMPANIONS, FILES, GOOD, ROWS, FileCase, RowCase, sheet
from shapely import box
from sqlalchemy import text

from data import territories
from data.vocabulary import Flag
from geo.errors import InputError
from ingest.areas import ingest_areas
from ingest.pipeline import ingest_reports

NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)


@pytest.fixture
def city(store: Any, tmp_path: Path) -> Any:
    """A territory of two square municipalities."""
    frame = gpd.GeoDataFrame(
        {"name_ar": ["بلدية وسط الدمام", "بلدية غرب الدمام"], "name_en": ["Central Dammam", "West Dammam"]},
        geometry=[box(50.0, 26.3, 50.3, 26.6), box(49.7, 26.3, 50.0, 26.6)],
        crs=4326,
    )
    frame.to_file(tmp_path / "areas.geojson")
    ingest_areas(store.engine, tmp_path / "areas.geojson", level="municipality", territory="test")
    return store


def test_the_table_has_at_least_forty_inputs() -> None:
    assert len(ROWS) + len(FILES) >= 40


@pytest.mark.parametrize("case", FILES, ids=lambda c: c.title)
def test_a_bad_file_is_refused_with_a_remedy(case: FileCase, city: Any, tmp_path: Path) -> None:
    path = tmp_path / case.name
    case.write(path)
    with pytest.raises(InputError) as caught:
        ingest_reports(city.engine, path, territory="test", now=NOW)
    for word in case.words:
        assert word in str(caught.value)
    with city.engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM batch")) == 0


@pytest.mark.parametrize("case", ROWS, ids=lambda c: c.title)
def test_a_bad_row_is_kept_with_all_its_reasons(case: RowCase, city: Any, tmp_path: Path) -> None:
    path = tmp_path / "portal.csv"
    path.write_text(sheet(*COMPANIONS, GOOD | case.change), encoding="utf-8")
    result = ingest_reports(city.engine, path, territory="test", now=NOW)
    assert result.read == 6 == result.accepted + result.updated + result.unchanged + result.quarantined
    with city.engine.connect() as conn:
        if case.reasons:
            row = conn.execute(text("SELECT line, reasons, row FROM quarantine")).one()
            assert row.line == 7
            assert set(row.reasons) == case.reasons
            for column, value in case.change.items():
                assert (row.row[column] or "") == value
        else:
            assert result.quarantined == 0
            flags = conn.scalar(text("SELECT flags FROM report WHERE reference = '100'"))
            names = {str(flag.name).lower() for flag in Flag if flags & flag}
            assert names == case.flags


def test_the_document_lists_every_bad_input() -> None:
    document = (Path(__file__).resolve().parents[2] / "docs" / "bad-inputs.md").read_text(encoding="utf-8")
    for case in (*ROWS, *FILES):
        assert f"| {case.title} |" in document


def test_an_unnamed_city_of_few_points_is_not_a_new_territory(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "portal.csv"
    path.write_text(sheet(GOOD | {"احداثي X": "2.35", "احداثي Y": "48.85"}), encoding="utf-8")
    result = ingest_reports(city.engine, path, now=NOW)
    assert (result.territory, result.quarantined) == ("test", 1)
    with city.engine.connect() as conn:
        assert [t.code for t in territories.all_territories(conn)] == ["test"]
