"""Visits come back from the field: in two languages, with faults, twice, and corrected."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import geopandas as gpd
import openpyxl
import pytest
import shapely
from sqlalchemy import Engine, text

from data import campaigns, quarantine, territories
from data.visit_form import NewVisit, record_visit
from data.visits import hit_rates_of, visited_cells, visits_of
from geo.errors import InputError
from ingest.visits import ingest_visits
from tests.campaign_sample import inspection
from tests.data.plan_sample import small_plan
from tests.data.reports_sample import make_sample
from views.handouts import export_plan

NOW = dt.datetime(2025, 8, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def engine(module_store: Any) -> Engine:
    """A store with two territories; the first has a study area."""
    with module_store.engine.begin() as conn:
        make_sample(conn, rows=80)
        conn.execute(
            text("UPDATE territory SET study_area = ST_GeomFromText(:shape, 4326) WHERE code = 'east'"),
            {"shape": "MULTIPOLYGON(((49 26,51 26,51 27,49 27,49 26)))"},
        )
    return module_store.engine


@pytest.fixture
def campaign(engine: Engine) -> int:
    """A saved plan of its own for each test."""
    with engine.begin() as conn:
        return campaigns.save(conn, small_plan("east"), "A").id


def _load(engine: Engine, path: Path, **options: Any) -> Any:
    return ingest_visits(engine, path, now=NOW, **options)


def _csv(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_an_arabic_file_is_read_and_its_sites_say_the_rest(
    engine: Engine, campaign: int, tmp_path: Path
) -> None:
    path = _csv(
        tmp_path,
        "زيارات.csv",
        "رقم الحملة,الموقع,الفريق,تاريخ الزيارة,وجدت مخالفة,العنصر,تمت المعالجة,الملاحظات",
        f"{campaign},R11,الشمال,٢٠٢٥/٠٧/٠٢ 08:30,نعم,,نعم,سيارة مهملة",
        f"الحملة {campaign},p12,الشمال,2025-07-02,لا,,,",
        f"{campaign},c14,الجنوب,1447-01-08,1,حفر الشوارع,0,",
        f"{campaign},r13,الجنوب,,,,,",
    )
    result = _load(engine, path)
    assert (result.read, result.accepted, result.quarantined) == (3, 3, 0)
    assert any("not filled in" in note for note in result.notes)
    with engine.connect() as conn:
        first, *_ = made = visits_of(conn, campaign)
        assert [v.site for v in made] == ["p12", "r11", "c14"]
        assert (made[1].area, made[1].target, made[1].report_id, made[1].element) == (1, "overdue", 11, "R04")
        assert made[1].visited_at == dt.datetime(2025, 7, 2, 5, 30, tzinfo=dt.UTC)
        assert (first.found, first.element, made[2].element, made[2].treated) == (False, None, "R04", False)
        assert len(visited_cells(conn, campaign, 7)) == 2
        assert territories.find(conn, "east").reports == 0  # visits are no reports
        rates = {(rate.by, rate.key): rate for rate in hit_rates_of(conn, campaign)}
    assert (rates["all", ""].visits, rates["all", ""].found, rates["all", ""].treated) == (3, 2, 1)
    assert rates["all", ""].planned == pytest.approx(0.9 + 0.6 + 0.5)
    assert rates["team", "الشمال"].rate == 0.5
    assert rates["target", "overdue"].high == 1.0 and rates["target", "overdue"].low > 0.1
    assert rates["area", "2"].visits == 1


def test_the_same_file_again_changes_nothing_and_a_correction_corrects(
    engine: Engine, campaign: int, tmp_path: Path
) -> None:
    head = "campaign,site,team,date,found,note"
    first = _csv(
        tmp_path, "a.csv", head, f"{campaign},r11,N,2025-07-02,no,", f"{campaign},r11,N,2025-07-02,no,"
    )
    mended = _csv(tmp_path, "b.csv", head, f"{campaign},r11,N,2025-07-02,yes,seen behind the wall")
    with engine.connect() as conn:
        before = territories.find(conn, "east").data_version
    result = _load(engine, first)
    assert (result.accepted, result.unchanged, result.duplicate_rows) == (1, 1, 1)
    result = _load(engine, first)
    assert (result.accepted, result.updated, result.unchanged) == (0, 0, 2)
    result = _load(engine, mended)
    assert (result.accepted, result.updated) == (0, 1)
    # The old file, read once more, does not undo the correction.
    result = _load(engine, first)
    assert (result.updated, result.stale) == (0, 1)
    with engine.connect() as conn:
        [visit] = visits_of(conn, campaign)
        assert visit.found and visit.note == "seen behind the wall"
        assert territories.find(conn, "east").data_version == before + 2


def test_a_bad_row_is_refused_with_all_its_reasons(engine: Engine, campaign: int, tmp_path: Path) -> None:
    head = "campaign,area,site,date,lat,lon,found,element,treated,phone"
    path = _csv(
        tmp_path,
        "bad.csv",
        head,
        f"{campaign},,r99,2025-13-45,,,maybe,,,0500000000",
        "99999,1,,2025-07-02,26.5,49.5,yes,,,",
        f"{campaign},7,,2026-07-02,,,yes,no such thing,,",
        f"{campaign},,,2025-07-02,26.5,10.5,no,,yes,",
        f"{campaign},,r11,2025-07-02,,,,,yes,",
        ",,,2025-07-02,,,no,,,",
        f"{campaign},2,,2025-07-03,,,no,,,",
    )
    result = _load(engine, path)
    assert (result.read, result.accepted, result.quarantined) == (7, 1, 6)
    with engine.connect() as conn:
        rows = quarantine.rows(conn, result.batch)
    assert [set(row.reasons) for row in rows] == [
        {"unknown_site", "unreadable_date", "unreadable_found"},
        {"unknown_campaign"},
        {"unknown_area", "future_date", "unknown_element"},
        {"outside_study_area", "treated_without_find"},
        {"missing_found"},
        {"missing_place"},
    ]
    assert all("phone" not in row.row for row in rows)
    proposal = next(d["proposal"] for d in rows[0].details if d["code"] == "unknown_site")
    assert proposal is None  # nothing is near enough to r99
    # The corrected row settles the refused one.
    _load(engine, _csv(tmp_path, "good.csv", head, f"{campaign},,r11,2025-07-02,,,yes,,yes,"))
    with engine.connect() as conn:
        assert {row.line for row in quarantine.rows(conn, result.batch)} == {2, 3, 4, 5, 7}


def test_the_sheet_with_visits_is_found_in_a_workbook(engine: Engine, campaign: int, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    first = book.active
    first.title = "sites"
    first.append(["site", "element", "late days"])
    for i in range(60):
        first.append([f"r{i}", "R04", i])
    sheet = book.create_sheet("fill in")
    sheet.append(["Plan", "Area", "Team", "Day", "Site", "Date", "Time", "Found", "Treated"])
    sheet.append([campaign, 1, "N", 1, "r11", dt.datetime(2025, 7, 2), "14:05", "Yes", "No"])
    sheet.append([campaign, 1, "N", 1, "p12", None, None, None, None])
    book.save(tmp_path / "handout.xlsx")
    result = _load(engine, tmp_path / "handout.xlsx")
    assert (result.read, result.accepted, result.quarantined) == (1, 1, 0)
    with engine.connect() as conn:
        [visit] = visits_of(conn, campaign)
    assert visit.visited_at == dt.datetime(2025, 7, 2, 11, 5, tzinfo=dt.UTC)


def test_points_alone_are_visits_and_a_dry_run_writes_nothing(
    engine: Engine, campaign: int, tmp_path: Path
) -> None:
    path = tmp_path / "points.geojson"
    path.write_text(
        '{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Point","coordinates":'
        '[49.3,26.3]},"properties":{"date":"2025-07-02T09:00:00+03:00","found":true}}]}'
    )
    assert _load(engine, path, territory="east", dry_run=True).accepted == 1
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM visit WHERE cell IS NOT NULL AND site IS NULL")) == 0
    assert _load(engine, path, territory="east").located == 1
    with pytest.raises(InputError, match="name it with --territory"):
        _load(engine, path)
    with pytest.raises(InputError, match="no column for found"):
        _load(engine, _csv(tmp_path, "c.csv", "a,date", "1,2025-07-02"))


def test_a_visit_typed_in_twice_is_one_visit(engine: Engine, campaign: int) -> None:
    at = dt.datetime(2025, 7, 2, 9, tzinfo=dt.UTC)
    visit = NewVisit(at, True, campaign, site="r13", team="N", note="=1+1")
    with engine.begin() as conn:
        place = campaigns.get(conn, campaign).territory_id
        assert record_visit(conn, place, visit).accepted == 1
        assert record_visit(conn, place, visit).unchanged == 1
        [kept] = visits_of(conn, campaign)
        assert (kept.element, kept.area, kept.lon) == ("C01", 2, 49.6)
        wrong = NewVisit(at.replace(tzinfo=None), True, campaign, site="r99", element="X99", lon=1.0)
        with pytest.raises(InputError) as caught:
            record_visit(conn, place, wrong)
    for words in ("no time zone", "no site 'r99'", "no element 'X99'", "longitude and latitude"):
        assert words in str(caught.value)


def test_a_visit_typed_in_keeps_the_rules_of_a_file(engine: Engine, campaign: int) -> None:
    at = dt.datetime(2025, 7, 2, 9, tzinfo=dt.UTC)
    with engine.begin() as conn:
        place = campaigns.get(conn, campaign).territory_id
        ahead = NewVisit(at + dt.timedelta(days=3), False, campaign, area=1, lon=10.5, lat=26.5, treated=True)
        with pytest.raises(InputError) as caught:
            record_visit(conn, place, ahead, now=at)
        for words in ("2025-07-05 09:00 is still to come", "outside the study area", "and nothing found"):
            assert words in str(caught.value)
        # What was looked for and not there is no element that was found.
        record_visit(conn, place, NewVisit(at, False, campaign, site="r13", element="R04"), now=at)
        [kept] = visits_of(conn, campaign)
    assert (kept.found, kept.element) == (False, None)


def test_a_time_without_a_date_is_no_visit(engine: Engine, campaign: int, tmp_path: Path) -> None:
    path = _csv(tmp_path, "t.csv", "campaign,site,time,found", f"{campaign},r11,09:30,yes")
    with pytest.raises(InputError, match="no column for date was recognised"):
        _load(engine, path)


def test_a_folder_is_not_another_folder_read_again(engine: Engine, campaign: int, tmp_path: Path) -> None:
    def shapes(name: str, found: str) -> Path:
        frame = gpd.GeoDataFrame(
            {"campaign": [str(campaign)], "site": ["r11"], "date": ["2025-07-02"], "found": [found]},
            geometry=[shapely.Point(49.5, 26.5)], crs=4326,
        )  # fmt: skip
        frame.to_file(tmp_path / name, driver="OpenFileGDB")
        return tmp_path / name

    assert _load(engine, shapes("first.gdb", "no")).accepted == 1
    mended = _load(engine, shapes("second.gdb", "yes"))
    assert (mended.updated, mended.stale) == (1, 0)
    last = _load(engine, shapes("third.gdb", "no"))
    assert (last.updated, last.stale) == (1, 0)


def test_a_filled_in_handout_loads_as_it_is(engine: Engine, tmp_path: Path) -> None:
    """The workbook of a plan, in Arabic, two of its rows filled in as a spreadsheet program does."""
    plan = inspection("east", size=2)
    with engine.begin() as conn:
        saved = campaigns.save(conn, plan, "B")
    path = tmp_path / "handout.xlsx"
    path.write_bytes(export_plan(plan, "xlsx", "ar", campaign=saved.id, version=1))
    book = openpyxl.load_workbook(path)
    sheet = next(one for one in book if any(cell.value == "وجدت مخالفة" for cell in one[1]))
    at = {cell.value: cell.column for cell in sheet[1]}
    keys = [sheet.cell(row, at["رمز الموقع"]).value for row in (2, 3)]
    for row, answer in ((2, "نعم"), (3, "لا")):
        sheet.cell(row, at["تاريخ الزيارة"]).value = dt.datetime(2025, 7, 3)
        sheet.cell(row, at["وقت الزيارة"]).value = dt.time(9, row)
        sheet.cell(row, at["وجدت مخالفة"]).value = answer
    book.save(path)
    result = _load(engine, path)
    assert (result.read, result.accepted, result.quarantined) == (2, 2, 0), result.reasons
    with engine.connect() as conn:
        made = visits_of(conn, saved.id)
    assert [(v.site, v.found) for v in made] == [(keys[0], True), (keys[1], False)]
    assert made[0].visited_at == dt.datetime(2025, 7, 3, 6, 2, tzinfo=dt.UTC)
