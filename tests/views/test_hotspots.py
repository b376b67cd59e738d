"""The Hotspots page without a browser: empty stores, errors, addresses, clicks and cards."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import geopandas as gpd
import h3
import numpy as np
import pytest
import shapely
import streamlit as st
from streamlit.testing.v1 import AppTest

from data.maps import CellCounts, CellDetail, CellLevel, LeftOut, Part
from data.query import ReportQuery
from data.summaries import AreaRank, Headline, MonthCount
from geo.cells import cells_of
from tests.conftest import forget_settings
from tests.views.opened import address, open_page, person, shown
from tests.views.sample_city import HOSTILE, City, build_city
from views import access, answers, beside, cards, downloads, filters, notices
from views.method import Finding, History
from views.words import Words


def test_an_empty_store_says_how_to_fill_it(store: Any) -> None:
    text = shown(open_page())
    assert "المخزن فارغ" in text
    assert "./rasd demo" in text
    assert "The store is empty" in shown(open_page(lang="en"))


def test_a_database_that_does_not_answer_is_a_sentence_without_its_password(monkeypatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone:secret@127.0.0.1:1/none")
    forget_settings()
    text = shown(open_page(lang="en"))
    forget_settings()
    assert "does not answer" in text
    assert "secret" not in text


def test_a_territory_without_reports_still_shows_its_page(store: Any) -> None:
    with store.engine.begin() as conn:
        conn.exec_driver_sql("INSERT INTO territory (code, name_ar, name_en) VALUES ('t', 'ت', 'T')")
    assert "No reports in this territory yet" in shown(open_page(lang="en"))


def test_simulated_data_is_said_to_be_so_and_real_data_is_not(city: City) -> None:
    for language, words in (("ar", "بيانات محاكاة"), ("en", "Simulated data")):
        assert words in shown(open_page(lang=language))
        assert words not in shown(open_page(lang=language, territory="other"))
    assert "not official" in shown(open_page(lang="en"))


def test_filters_come_from_the_address_and_go_back_to_it(city: City) -> None:
    page = open_page(lang="en", group="A", channel="citizen", defaults="1")
    assert page.multiselect(key="group").value == ["A"]
    assert page.multiselect(key="channel").value == ["citizen"]
    assert page.checkbox(key="defaults").value is True
    page.multiselect(key="status").set_value(["closed"]).run()
    assert address(page) == {
        "lang": "en",
        "group": "A",
        "channel": "citizen",
        "defaults": "1",
        "status": "closed",
    }
    next(b for b in page.button if b.label == "Clear filters").click().run()
    assert address(page) == {"lang": "en"}
    assert not page.exception


@pytest.mark.parametrize(
    "wrong",
    [
        {"lang": "xx"},
        {"territory": "nowhere"},
        {"period": "custom", "from": "yesterday", "to": "2025-13-40"},
        {"period": "custom", "from": "2025-06-01", "to": "2025-02-01"},
        {"group": "Z,,A;DROP TABLE report", "status": "7", "municipality": "-1,x"},
        {"pick": "zzz"},
        {"pick": "ffffffffffffffffffffffff"},
        {"pick": "a99999999999999999999"},
        {"pick": "a0"},
        {"pick": "8f2830828052d25"},
        {"group": "\x00"},
    ],
)
def test_an_address_typed_wrong_is_read_as_far_as_it_goes(city: City, wrong: dict[str, str]) -> None:
    assert "rd-kpi" in shown(open_page(**wrong))


def test_a_filter_that_leaves_nothing_says_so(city: City) -> None:
    page = open_page(lang="en", period="custom", **{"from": "2025-01-15", "to": "2025-01-15"})
    page.multiselect(key="group").set_value(["A"]).run()
    page.multiselect(key="element").set_value(["B1"]).run()
    assert "No report fits these filters" in shown(page)


def test_the_page_opens_on_the_territory_with_the_newest_reports(city: City) -> None:
    page = open_page(lang="en")
    assert page.selectbox(key="territory").value == "town"
    page.selectbox(key="territory").set_value("other").run()
    assert address(page)["territory"] == "other"
    assert not page.exception


def test_a_new_data_version_shows_at_the_next_run(store: Any) -> None:
    city = build_city(store.engine)
    page = open_page(lang="en")
    before = shown(page)
    with store.engine.begin() as conn:
        conn.exec_driver_sql(f"DELETE FROM report WHERE territory_id = {city.territory} AND mod(id, 2) = 0")
        conn.exec_driver_sql(f"UPDATE territory SET data_version = 2 WHERE id = {city.territory}")
    page.run()
    assert shown(page) != before


def test_a_click_means_the_cell_at_its_point() -> None:
    lat, lng = h3.cell_to_latlng("88536e4131fffff")
    cell = {"properties": {"t": 1, "res": 8, "lat": round(lat, 5), "lng": round(lng, 5)}}
    assert beside.read_pick(cell) == "88536e4131fffff"
    assert beside.read_pick({"properties": {"t": 1, "area": 12}}) == "a12"
    assert beside.read_pick({"properties": {"t": 1, "none": True}}) == ""
    assert beside.read_pick(None) is None
    assert beside.read_pick({"properties": {}}) is None


@pytest.mark.parametrize(
    ("preset", "start", "end"),
    [
        ("d30", dt.date(2026, 2, 1), dt.date(2026, 3, 2)),
        ("d90", dt.date(2025, 12, 3), dt.date(2026, 3, 2)),
        ("m12", dt.date(2025, 4, 1), dt.date(2026, 3, 2)),
        ("year", dt.date(2026, 1, 1), dt.date(2026, 3, 2)),
        ("last_year", dt.date(2025, 1, 1), dt.date(2025, 12, 31)),
        ("all", None, None),
    ],
)
def test_presets_count_back_from_the_newest_report(preset: str, start, end) -> None:
    assert filters.period_days(preset, dt.date(2026, 3, 2)) == (start, end)


def detail(name: str) -> CellDetail:
    part = Part("x", name, name, 3)
    return CellDetail(
        cell=0x88536E4131FFFFF,
        resolution=8,
        count=3,
        km2=0.7,
        rate=4.3,
        municipality_ar=name,
        municipality_en=name,
        district_ar=name,
        district_en=name,
        by_element=(part,),
        by_type=(part,),
        by_group=(),
        by_status=(Part(7, None, None, 3),),
        by_channel=(Part(1, None, None, 3),),
        by_month=((dt.date(2025, 1, 1), 1), (dt.date(2025, 2, 1), 2)),
        first=dt.date(2025, 1, 1),
        last=dt.date(2025, 2, 2),
    )


@pytest.mark.parametrize("language", ["ar", "en"])
def test_every_piece_escapes_what_a_person_typed(language: str) -> None:
    words = Words(language)
    row = AreaRank(1, HOSTILE, HOSTILE, 3, 1, 2.0, 1.5, False)
    headline = Headline(3, 1, 2, 2 / 3, 4.0, dt.date(2025, 1, 1), dt.date(2025, 2, 1))
    months = [MonthCount(dt.date(2025, 1, 1), 3, 1, True)] * 2
    pieces = [
        cards.cell_card(words, detail(HOSTILE)),
        cards.area_card(words, row, headline, months, [Part("x", HOSTILE, HOSTILE, 3)]),
        cards.ranked_areas(words, "municipality", [row]),
        cards.ranked_cells(words, HOSTILE, [cards.RankedCell(26, 50, 8, HOSTILE, HOSTILE, HOSTILE, 3.0)]),
        notices.answer(HOSTILE),
        notices.cautions(words, [HOSTILE]),
        notices.decisions(HOSTILE, [HOSTILE]),
        cards.finding(words, Finding(HOSTILE, ((HOSTILE, HOSTILE),))),
        cards.history(words, History("month", (dt.date(2025, 1, 1),) * 2, (1, 2), ("hot", ""), HOSTILE)),
        cards.head(words, HOSTILE, HOSTILE),
        notices.failure(words, HOSTILE),
        notices.command(HOSTILE, HOSTILE),
        cards.note(HOSTILE),
        cards.title(HOSTILE),
    ]
    for piece in pieces:
        assert "<script" not in piece
        assert "<img src=x" not in piece
        assert "&lt;script&gt;" in piece


def test_parts_beyond_the_first_five_are_added_up() -> None:
    rows = [(f"n{k}", 10 - k) for k in range(8)]
    text = cards.parts(Words("en"), "Elements", rows, sum(n for _, n in rows))
    assert text.count("rd-part") == 6
    assert "<bdi>Others</bdi></span><b>12</b>" in text


def test_what_is_left_out_is_said_with_its_reasons() -> None:
    text = cards.shown(Words("en"), 1200, LeftOut(no_point=30, default_points=5, area_only=20))
    assert "1,200 reports" in text
    assert "35 reports" in text
    assert "without a usable place 30 (known by area only, counted in areas: 20)" in text
    assert "default point 5" in text
    assert "nothing" in cards.shown(Words("en"), 3, LeftOut(0, 0, 0))


def test_the_kinds_of_an_area_add_up_to_its_reports(city: City) -> None:
    st.cache_data.clear()
    query = ReportQuery(city.territory, municipalities=(city.municipalities[0],))
    with access.held(person()):
        found = answers.kinds(1, query)
        assert {part.key for part in found if part.key is not None} == {"A", "B"}
        assert sum(part.count for part in found) == answers.headline(1, query).reports > 0
        assert [part.key for part in answers.kinds(1, replace(query, groups=("B",)))] == ["B"]
        foreign = answers.kinds(1, ReportQuery(city.second))
        assert sum(part.count for part in foreign) == answers.headline(1, ReportQuery(city.second)).reports


def test_a_very_large_download_is_left_to_the_command_line(city: City, monkeypatch) -> None:
    monkeypatch.setattr(downloads, "REPORT_LIMIT", 10)
    page = open_page(lang="en")
    page.selectbox(key="dl_what").set_value("reports").run()
    assert "./rasd export" in shown(page)


def test_a_period_within_one_month_or_day_is_said_once(city: City) -> None:
    text = shown(open_page(lang="en", period="custom", **{"from": "2025-03-10", "to": "2025-03-10"}))
    assert "10 March 2025" in text
    assert "From 10 March 2025" not in text
    assert "March 2025 – March 2025" not in text


def test_reports_without_any_place_are_offered_as_reports_alone(city: City) -> None:
    def nowhere() -> None:
        from data.query import ReportQuery
        from views import downloads
        from views.words import Words

        downloads.draw(Words("en"), "town", ReportQuery(1), {}, 3)

    page = AppTest.from_function(nowhere, default_timeout=60)
    page.session_state[access.SESSION] = person()
    page.run()
    assert not page.exception
    assert page.selectbox(key="dl_what").options == ["Reports"]
    assert all("nan" not in option for box in page.selectbox for option in box.options)


@pytest.mark.parametrize("form", ["geojson", "gpkg", "csv"])
@pytest.mark.parametrize("what", ["cells", "reports"])
def test_every_download_can_be_made(city: City, what: str, form: str) -> None:
    with access.held(person()):
        assert len(downloads.make(what, ReportQuery(city.territory), 7, form)) > 500


def counts_at(points: list[tuple[float, float]], reports: list[int]) -> CellCounts:
    lng, lat = np.array(points).T
    cells = cells_of(lng, lat, 7)
    order = np.argsort(cells)
    level = CellLevel(cells[order], np.array(reports, dtype=np.int64)[order], np.zeros(len(cells), int), 5.0)
    return CellCounts({7: level}, sum(reports), LeftOut(0, 0, 0))


def test_the_first_view_holds_a_city_whole_and_a_scattered_country_where_the_reports_are() -> None:
    rng = np.random.default_rng(5)
    city = [(50 + x, 26 + y) for x, y in rng.uniform(-0.1, 0.1, (200, 2))]
    first, everything = answers.first_view(counts_at(city, [5] * 200), None)
    assert first == everything
    far = [(45.0, 29.0), (46.0, 24.0), (44.0, 30.0)]
    first, everything = answers.first_view(counts_at(city + far, [5] * 200 + [10] * 3), None)
    assert first[0][0] > 25.7 and first[0][1] > 49.7 and first[1][0] < 26.3 and first[1][1] < 50.3
    assert everything[0][1] < 46.1


def test_without_reports_the_first_view_is_the_areas() -> None:
    none = CellCounts({}, 0, LeftOut(0, 0, 0))
    assert answers.first_view(none, None) == (None, None)
    frame = gpd.GeoDataFrame(geometry=[shapely.box(49, 26, 50, 27)], crs="EPSG:4326")
    assert answers.first_view(none, frame) == ([[26, 49], [27, 50]], [[26, 49], [27, 50]])
