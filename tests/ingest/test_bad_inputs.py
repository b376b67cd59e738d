"""Every bad input of the table does what the table says, and the document says it too."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from shapely import box
from sqlalchemy import text

from data import territories
from data.vocabulary import Flag
from geo.errors import InputError
from ingest.areas import ingest_areas
from ingest.pipeline import ingest_reports
from tests.ingest.bad_inputs import (
    COMPANIONS,
    FILES,
    GOOD,
    OPENED,
    ROWS,
    FileCase,
    RowCase,
    X,
    Y,
    document,
    sheet,
)

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


@pytest.mark.parametrize(
    ("change", "sql", "expected"),
    [
        ({"اسم التصنيف": "حفر الشوراع"}, "e.code || ' ' || t.method", "R04 4"),
        ({"اسم التصنيف": "زحام المركبات الفضائية"}, "coalesce(e.code, '-') || ' ' || t.method", "- 6"),
        ({OPENED: "١٤٤٧/٠٩/٢٥ هـ"}, "(r.opened_at AT TIME ZONE 'Asia/Riyadh')::date", dt.date(2026, 3, 14)),
        ({OPENED: "۲۰۲۶-۰۳-۱۴"}, "(r.opened_at AT TIME ZONE 'Asia/Riyadh')::date", dt.date(2026, 3, 14)),
        ({OPENED: "14/03/2026 م"}, "(r.opened_at AT TIME ZONE 'Asia/Riyadh')::date", dt.date(2026, 3, 14)),
        ({X: "٥٠٫١٠", Y: "٢٦٫٤٠"}, "ST_AsText(r.geom, 4)", "POINT(50.1 26.4)"),
        ({X: "50,10", Y: "26,40"}, "ST_AsText(r.geom, 4)", "POINT(50.1 26.4)"),
        ({X: "50°06'00\"E", Y: "26°24'00\"N"}, "ST_AsText(r.geom, 4)", "POINT(50.1 26.4)"),
        ({X: "26.40", Y: "50.10"}, "ST_AsText(r.geom, 4)", "POINT(50.1 26.4)"),
        (
            {X: "", Y: "", "البلدية": "بلديه وسط الدّمام"},
            "a.name_en || ' ' || r.precision",
            "Central Dammam 1",
        ),
        (
            {"البلدية": '=HYPERLINK("http://example.org")'},
            "a.name_en || ' ' || r.precision",
            "Central Dammam 2",
        ),
    ],
)
def test_an_odd_row_is_read_as_the_table_says(
    change: dict[str, str], sql: str, expected: object, city: Any, tmp_path: Path
) -> None:
    path = tmp_path / "portal.csv"
    path.write_text(sheet(*COMPANIONS, GOOD | change), encoding="utf-8")
    ingest_reports(city.engine, path, territory="test", now=NOW)
    with city.engine.connect() as conn:
        found = conn.scalar(
            text(
                f"""SELECT {sql} FROM report r LEFT JOIN element e ON e.id = r.element_id
                    LEFT JOIN source_type t ON t.id = r.type_id
                    LEFT JOIN area a ON a.id = r.municipality_id WHERE reference = '100'"""
            )
        )
    assert found == expected


def test_the_document_says_what_is_seen(city: Any, tmp_path: Path) -> None:
    errors = {}
    for number, case in enumerate(FILES):
        folder = tmp_path / str(number)
        folder.mkdir()
        case.write(folder / case.name)
        with pytest.raises(InputError) as caught:
            ingest_reports(city.engine, folder / case.name, territory="test", now=NOW)
        errors[case.title] = str(caught.value).replace(str(folder) + "/", "")
    path = Path(__file__).resolve().parents[2] / "docs" / "bad-inputs.md"
    expected = document(errors)
    if os.environ.get("RASD_WRITE_DOCS"):
        path.write_text(expected, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == expected


def test_an_unnamed_city_of_few_points_is_not_a_new_territory(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "portal.csv"
    path.write_text(sheet(GOOD | {"احداثي X": "2.35", "احداثي Y": "48.85"}), encoding="utf-8")
    result = ingest_reports(city.engine, path, now=NOW)
    assert (result.territory, result.quarantined) == ("test", 1)
    with city.engine.connect() as conn:
        assert [t.code for t in territories.all_territories(conn)] == ["test"]
