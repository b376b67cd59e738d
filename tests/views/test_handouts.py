"""Hand-outs: they print, ask nobody, hold no formula, and come back as visits."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import gpxpy
import numpy as np
import openpyxl
import pyogrio
import pytest
import shapely
from sqlalchemy import text
from typer.testing import CliRunner

from data import campaigns, plan_frames
from data.backdrops import Lines
from data.plan import CampaignPlan
from data.visits import visits_of
from geo.errors import InputError
from ingest.visits import ingest_visits
from tests.campaign_sample import HOSTILE, axes, community, inspection, with_days
from views.handouts import FORMS, export_plan

ROOT = Path(__file__).resolve().parents[2]
ROADS = Lines(
    (np.array([[50.05, 26.42], [50.12, 26.45]]), np.array([[50.1, 26.4], [50.1, 26.45]])), (True, False)
)
PLANS = {"inspection": with_days(inspection()), "community": with_days(community()), "axes": axes()}


def made(plan: CampaignPlan, form: str, language: str = "en", **more: Any) -> bytes:
    return export_plan(plan, form, language, title=f"T {HOSTILE}", campaign=41, version=2, **more)


@pytest.mark.parametrize("language", ["ar", "en"])
@pytest.mark.parametrize("kind", list(PLANS))
def test_a_work_order_names_its_plan_and_lists_every_site_once(kind: str, language: str) -> None:
    page = made(PLANS[kind], "html", language, roads=ROADS).decode()
    assert f'lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}"' in page
    assert "<img" not in page and "<script" not in page
    assert not re.search(r"<[^>]*\b(src|href)\s*=|url\((?!data:)", page), "the file fetches something"
    assert not re.search("[\u0660-\u0669]", page), "digits are Latin in both languages"
    assert {"ar": "الخطة 41", "en": "Plan 41"}[language] in page
    assert {"ar": "محاكاة", "en": "simulated"}[language] in page
    keys = re.findall(r'class="num code">([^<]+)<', page)
    wanted = [site.key for area in PLANS[kind].areas for site in area.sites]
    assert sorted(keys) == sorted(wanted)
    assert page.count("<section>") == len(PLANS[kind].areas)


@pytest.mark.browser
def test_a_work_order_prints_on_whole_pages_and_asks_no_host(browser: Any, tmp_path: Path) -> None:
    """In both languages: nothing is wider than the page, headings repeat, nothing is fetched."""
    for language in ("ar", "en"):
        file = tmp_path / f"{language}.html"
        file.write_bytes(made(PLANS["inspection"], "html", language, roads=ROADS, day_starts="07:30"))
        page = browser.new_page(viewport={"width": 703, "height": 1000})  # 186 mm at 96 dots an inch
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.emulate_media(media="print")
        page.goto(file.as_uri())
        page.evaluate("document.fonts.ready")
        assert page.evaluate("document.documentElement.scrollWidth") <= 703
        wide = "[...document.querySelectorAll('td,th')].filter(c => c.scrollWidth > c.clientWidth + 1).length"
        assert page.evaluate(wide) == 0, "a text is wider than its column"
        assert page.evaluate("[...document.fonts].filter(f => f.status == 'loaded').length") >= 2
        assert (
            page.evaluate("getComputedStyle(document.querySelector('thead')).display") == "table-header-group"
        )
        assert not page.evaluate("window.hit")
        pdf = page.pdf(prefer_css_page_size=True)
        page.close()
        pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))
        assert pages >= 1 + sum(1 + len(area.days) for area in PLANS["inspection"].areas)
        assert [url for url in asked if not url.startswith(("data:", "file:"))] == []


@pytest.mark.parametrize("language", ["ar", "en"])
def test_the_workbook_holds_no_formula_and_comes_back_as_visits(
    module_store: Any, tmp_path: Path, language: str
) -> None:
    with module_store.engine.begin() as conn:
        conn.execute(
            text(
                """INSERT INTO territory (code, name_ar, name_en, timezone) VALUES ('town', 'م', 'T', 'Asia/Riyadh')
                   ON CONFLICT DO NOTHING"""
            )
        )
        saved = campaigns.save(conn, PLANS["inspection"], f"A {language}")
    plan = saved.plan
    file = tmp_path / "sheet.xlsx"
    file.write_bytes(export_plan(plan, "xlsx", language, title="=1+1", campaign=saved.id, version=1))
    book = openpyxl.load_workbook(file)
    assert all(bool(sheet.sheet_view.rightToLeft) == (language == "ar") for sheet in book)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert all(cell.data_type != "f" for cell in cells)
    assert any(str(cell.value).startswith("'=HYPERLINK") for cell in cells)
    sheet = book["الزيارات" if language == "ar" else "Visits"]
    head = {cell.value: cell.column for cell in sheet[1]}
    names = {
        "ar": (
            "رمز الموقع",
            "تاريخ الزيارة",
            "وقت الزيارة",
            "وجدت مخالفة",
            "العنصر المرصود",
            "عولجت",
            "نعم",
            "لا",
        ),
        "en": ("Site", "Visit date", "Visit time", "Found", "Element found", "Treated", "Yes", "No"),
    }[language]
    site, date, clock, found, element, treated, yes, no = names
    lists = [rule for rule in sheet.data_validations.dataValidation if rule.formula1 == f'"{yes},{no}"']
    assert len(lists) == 2
    for row, answer in ((2, yes), (3, no)):
        for name, value in ((date, "2026-11-08"), (clock, "09:15"), (found, answer), (treated, no)):
            sheet.cell(row, head[name], value)
    sheet.cell(
        2,
        head[element],
        "Graffiti & defaced paintwork" if language == "en" else "الكتابة المشوهة للجدران والدهان",
    )
    keys = [sheet.cell(row, head[site]).value for row in (2, 3)]
    book.save(file)
    result = ingest_visits(module_store.engine, file)
    assert (result.accepted, result.quarantined) == (2, 0), result
    with module_store.engine.connect() as conn:
        back = {visit.site: visit for visit in visits_of(conn, saved.id)}
    assert set(back) == set(keys)
    assert [back[key].found for key in keys] == [True, False]
    assert (back[keys[0]].element, back[keys[0]].area) == ("B03", 1)
    assert back[keys[0]].visited_at.isoformat() == "2026-11-08T06:15:00+00:00"


def test_layers_hold_the_documented_columns_and_shapes(tmp_path: Path) -> None:
    plan, file = PLANS["inspection"], tmp_path / "plan.gpkg"
    file.write_bytes(made(plan, "gpkg"))
    assert {name for name, _ in pyogrio.list_layers(file)} == {"areas", "sites", "rounds"}
    read = {name: gpd.read_file(file, layer=name) for name in ("areas", "sites", "rounds")}
    columns = (plan_frames.AREA_COLUMNS, plan_frames.SITE_COLUMNS, plan_frames.ROUND_COLUMNS)
    for frame, wanted in zip(read.values(), columns, strict=True):
        assert [name for name in frame.columns if name != "geometry"] == list(wanted)
        assert frame.crs.to_epsg() == 4326 and frame.is_valid.all() and frame["simulated"].all()
    assert read["sites"]["report_id"].dropna().map(type).eq(str).all()
    assert (read["areas"].set_geometry("geometry").contains(shapely.Point(50.10, 26.43))).sum() == 1
    collection = json.loads(made(plan, "geojson"))
    assert (collection["campaign"], collection["simulated"]) == (41, True)
    kinds = [feature["properties"]["layer"] for feature in collection["features"]]
    assert [kinds.count(name) for name in read] == [len(frame) for frame in read.values()]
    stretches = json.loads(made(PLANS["axes"], "geojson"))["features"]
    assert {f["properties"]["layer"] for f in stretches} == {"stretches"}
    assert set(plan_frames.STRETCH_COLUMNS) < set(stretches[0]["properties"])
    assert stretches[0]["properties"]["axis_en"] == "King Fahd Road"


def test_every_column_is_documented() -> None:
    documented = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "handouts.md").read_text("utf-8")))
    for columns in ("AREA_COLUMNS", "SITE_COLUMNS", "ROUND_COLUMNS", "STRETCH_COLUMNS"):
        assert set(getattr(plan_frames, columns)) <= documented, columns
    assert set(FORMS) <= documented


def test_routes_go_from_the_base_along_the_sites_and_back() -> None:
    gpx = gpxpy.parse(made(PLANS["inspection"], "gpx").decode())
    assert [route.name for route in gpx.routes][:2] == [
        "Area 1 · Team 1 · Day 1 · 2026-11-05",
        "Area 1 · Team 1 · Day 2 · 2026-11-08",  # the weekend is left out
    ]
    area = PLANS["inspection"].areas[0]
    first = gpx.routes[0].points
    assert [first[0].name, first[1].name, first[-1].name] == [
        "Base",
        "1 · Street excavations & potholes",
        "Base",
    ]
    assert len(first) == area.days[0].sites + 2
    assert (first[1].longitude, first[1].latitude) == pytest.approx((area.sites[0].lon, area.sites[0].lat))
    assert len(gpx.waypoints) == 4 and HOSTILE in gpx.name
    tracks = gpxpy.parse(made(PLANS["axes"], "gpx").decode()).tracks
    assert [len(track.segments) for track in tracks] == [1, 2]


def test_each_team_gets_a_folder_and_the_same_plan_the_same_files() -> None:
    first = zipfile.ZipFile(io.BytesIO(made(PLANS["inspection"], "zip")))
    again = zipfile.ZipFile(io.BytesIO(made(PLANS["inspection"], "zip")))
    assert sorted(first.namelist()) == [
        f"team_0{team}/{name}" for team in (1, 2) for name in ("routes.gpx", "visits.xlsx", "work_order.html")
    ]
    assert [first.read(name) for name in first.namelist()] == [again.read(name) for name in again.namelist()]
    own = first.read("team_02/work_order.html").decode()
    assert PLANS["inspection"].areas[0].sites[0].key not in re.findall(r'code">([^<]+)<', own)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"form": "pdf"}, "no hand-out as 'pdf'"),
        ({"language": "fr"}, "no hand-out in 'fr'"),
        ({"area": 9}, "no area 9; its areas are: 1, 2"),
        ({"day_starts": "25:00"}, "such as 07:30"),
    ],
)
def test_what_cannot_be_handed_out_is_said(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        made(PLANS["inspection"], **({"form": "html"} | asked))


def test_folders_for_teams_need_day_plans() -> None:
    with pytest.raises(InputError, match="need day plans"):
        made(inspection(), "zip")


def test_the_command_hands_out_a_file_and_a_saved_plan(module_store: Any, tmp_path: Path) -> None:
    from cli import application

    with module_store.engine.begin() as conn:
        conn.execute(
            text(
                """INSERT INTO territory (code, name_ar, name_en, timezone) VALUES ('town', 'م', 'T', 'Asia/Riyadh')
                   ON CONFLICT DO NOTHING"""
            )
        )
        saved = campaigns.save(conn, PLANS["community"], "Clean day")
    document = tmp_path / "plan.json"
    document.write_text(inspection().to_json(), "utf-8")  # without day plans: they are made

    def run(*words: str) -> dict[str, Any]:
        done = CliRunner().invoke(
            application(), ["campaign", "export", *words, "--json"], catch_exceptions=False
        )
        return dict(json.loads(done.stdout))

    told = run(str(document), "--out", str(tmp_path / "team.zip"))
    assert (told["format"], told["areas"]) == ("zip", 2)
    assert len(zipfile.ZipFile(tmp_path / "team.zip").namelist()) == 6
    out = tmp_path / "order.html"
    run(str(saved.id), "--out", str(out), "--language", "en", "--area", "1", "--day-starts", "7:30")
    page = out.read_text("utf-8")
    assert "Clean day" in page and f"Plan {saved.id}" in page and "7:35" in page
    with pytest.raises(InputError, match="say what to write"):
        run(str(saved.id), "--out", str(tmp_path / "plan.doc"))
