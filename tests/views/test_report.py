"""The Report page: places from everywhere, what is refused in words, and the way to a reference number."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from data import reference
from data.life import Action
from tests.data.photo_sample import camera, encoded, picture
from tests.views.opened import APP, address, forget, shown
from tests.views.sample_city import HOSTILE, City
from views.cards import esc
from views.filing import device, what, where
from views.filing.device import Position
from views.filing.draft import Draft
from views.style import css_text
from views.words import Words

WEST, EAST = "26.34, 49.93", "26.35, 50.05"


def opened(who: str = "demo-inspector", *, fresh: bool = True, **values: str) -> AppTest:
    if fresh:
        forget()
    page = AppTest.from_file(APP, default_timeout=120)
    for key, value in ({"lang": "en", "territory": "town", "as": who} | values).items():
        page.query_params[key] = value
    page._page_hash = calc_hash("report")
    return page.run()


def fill(page: AppTest, number: int, place: str, word: str = "pothole") -> AppTest:
    page.text_input(key=f"filing_typed_{number}").set_value(place)
    page.text_input(key=f"filing_search_{number}").set_value(word)
    return page.run()


def send(page: AppTest) -> AppTest:
    return page.button(key="filing_send").click().run()


def test_a_report_is_filed_shown_listed_and_offered_to_who_comes_next(city: City, module_store: Any) -> None:
    page = opened()
    assert page.button(key="filing_send").disabled and "Choose the place" in shown(page)
    photo = encoded(picture(), exif=camera(49.95, 26.36))
    page.file_uploader(key="filing_photos_1").set_value(
        [("p.jpg", photo, "image/jpeg"), ("h.jpg", b"\0\0\0\x20ftypheic" + bytes(90), "image/jpeg")]
    )
    page = fill(page, 1, WEST)
    said = shown(page)
    assert "HEIC and AVIF cannot be read" in said and "km from the pin" in said
    page.button(key="filing_photo_place_1").click().run()
    assert "26.36000, 49.95000" in shown(page) and "from the photo" in shown(page)
    page.number_input(key="filing_quantity_1").set_value(2.5)
    page.text_area(key="filing_note_1").set_value(HOSTILE)
    page = send(page.run())
    found = address(page)["filed"]
    assert "Your report has arrived" in shown(page) and shown(page).count(found) >= 3
    with module_store.engine.begin() as conn:
        row = conn.execute(
            text(
                """SELECT r.quantity, r.unit, ST_X(r.geom) AS lon, e.detail FROM report r
                   JOIN report_event e ON e.report_id = r.id AND e.action = :file WHERE r.reference = :found"""
            ),
            {"found": found, "file": int(Action.FILE)},
        ).one()
    assert (row.quantity, row.unit, row.lon) == (2.5, "m2", 49.95)
    assert row.detail["note"] == HOSTILE and len(row.detail["photos"]) == 1
    # The new draft is empty; at the same place of the same element the first report is offered.
    page = fill(page, 2, "٢٦٫٣٦، ٤٩٫٩٥٠١")
    assert "may have been reported already" in shown(page)
    follow = next(button for button in page.button if str(button.key).startswith("follow_"))
    page = follow.click().run()
    assert "You now follow report" in shown(page) and "followers: 1" in shown(page)


def test_names_from_files_are_shown_as_text_and_never_as_html(city: City) -> None:
    page = fill(opened(), 1, EAST)
    assert esc(HOSTILE) in shown(page) and HOSTILE not in shown(page)
    page.text_input(key="filing_ask").set_value(f"R-1 {HOSTILE}"[:60]).run()
    assert "No report with this number" in shown(page) and "<script>" not in shown(page)


def test_what_is_no_place_no_element_and_outside_is_said(city: City) -> None:
    page = fill(opened(), 1, "somewhere", "zzzzz")
    assert "could not be read" in shown(page) and "No element goes by this word" in shown(page)
    page.selectbox(key="filing_all_1").set_value(what.UNKNOWN)
    page.text_input(key="filing_typed_1").set_value("26.9, 49.9")
    page = page.run()
    assert not page.exception
    if page.button(key="filing_send").disabled:  # a study area is loaded
        assert "outside" in shown(page)
    else:  # without one nothing is outside, and it waits in the queue
        assert "queue" in shown(page)


def test_the_page_is_closed_to_who_may_not_file_and_speaks_arabic(city: City) -> None:
    assert not opened("demo-viewer").button
    page = opened(fresh=False, lang="ar")
    assert "تقديم بلاغ" in shown(page) and page.button(key="filing_send").label == "إرسال البلاغ"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (None, None),
        ({"lon": 50.1, "lat": 26.4, "metres": 12}, Position(50.1, 26.4, 12.0)),
        ({"fault": "denied"}, "denied"),
        ({"fault": "<script>"}, "unavailable"),
        ({"lon": float("nan"), "lat": 26.4, "metres": 1}, "unavailable"),
        ({"lon": 500, "lat": 26.4, "metres": 1}, "unavailable"),
        ({"lon": True, "lat": "26", "metres": None}, "unavailable"),
        ("text", "unavailable"),
    ],
)
def test_what_a_device_answers_is_taken_with_care(answer: object, found: object) -> None:
    assert device.read(answer) == found


def test_a_click_is_taken_once_and_one_around_the_world_is_the_same_place() -> None:
    draft = Draft("town", 1)
    assert where.take_click(draft, {"lat": 26.3, "lng": 50.1})
    assert not where.take_click(draft, {"lat": 26.3, "lng": 50.1})
    assert where.take_click(draft, {"lat": 26.3, "lng": 410.2}) and draft.chosen is not None
    assert draft.chosen.lon == pytest.approx(50.2) and draft.looks == 0
    for nothing in (None, {}, {"lat": "x", "lng": 1}, [1, 2]):
        assert not where.take_click(draft, nothing)
    draft.choose(50.0, 26.0, "device", 40.0)
    assert draft.looks == 1 and dataclasses.astuple(draft.chosen) == (50.0, 26.0, "device", 40.0)


def test_every_unit_of_the_taxonomy_has_words_and_style_texts_cannot_break_out() -> None:
    for row in reference.read("elements.csv"):
        assert bool(what.unit_words(Words("ar"), row["work_unit"])) == bool(row["work_unit"])
    assert css_text('a"}</style>') == '"a\\22 \\7d \\3c \\2f style\\3e "'


def test_in_a_browser_a_refused_position_is_said_and_a_click_on_the_map_chooses(
    city: City, new_page: Any
) -> None:
    watched = new_page(400, 900)
    page = watched.page
    page.goto(f"{watched.address}/report?lang=ar&territory=town&as=demo-inspector")
    page.wait_for_selector("button.here", timeout=60_000)
    page.locator("button.here").click()
    page.get_by_text("لم يسمح المتصفح بموقع الجهاز").wait_for(timeout=20_000)
    frame = page.locator("iframe[src*=streamlit_folium]")
    frame.scroll_into_view_if_needed()
    page.frame_locator("iframe[src*=streamlit_folium]").locator(".rasd-place span").first.wait_for(
        timeout=20_000
    )
    box = frame.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_text("من نقرة على الخريطة").wait_for(timeout=20_000)
    wide = page.evaluate("document.scrollingElement.scrollWidth")
    assert wide <= 400 and not watched.errors
    # "" is of addresses that hold their own data.
    assert {host.split(":")[0] for host in watched.hosts} - {""} == {"127.0.0.1"}
