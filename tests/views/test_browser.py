"""The Hotspots page in the machine's Chromium, against a store of its own."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.views.conftest import Page
from tests.views.sample_city import City, in_cell
from views import methods
from views.words import Words

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NewPage = Callable[..., Page]


def params(page: Any) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


@pytest.mark.parametrize("language", ["ar", "en"])
def test_the_page_asks_no_host_but_the_apps_own(new_page: NewPage, language: str) -> None:
    view = new_page()
    frame = view.open(f"/?lang={language}")
    view.click_top_cell(frame)
    frame.evaluate("rasd._map.setZoom(14)")
    view.settle()
    # data: addresses have no host; they are inline images of the page itself.
    assert view.hosts - {""} == {urlsplit(view.address).netloc}
    assert view.errors == []


def test_moving_and_zooming_the_map_sends_nothing_to_the_server(new_page: NewPage) -> None:
    view = new_page()
    frame = view.open()
    view.settle(quiet=2)
    before, drawn = len(view.sent), frame.evaluate("rasd.stats.draws")
    box = frame.frame_element().bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for step in (-120, 90, 60):
        view.page.mouse.move(*middle)
        view.page.mouse.down()
        view.page.mouse.move(middle[0] + step, middle[1] + step / 2, steps=5)
        view.page.mouse.up()
        view.page.wait_for_timeout(350)
    resolutions = set()
    for zoom in (10, 12, 14, 9):
        frame.evaluate(f"rasd._map.setZoom({zoom}, {{animate: false}})")
        view.page.wait_for_timeout(350)
        resolutions.add(frame.evaluate("rasd.stats.res"))
    view.page.wait_for_timeout(1200)
    assert frame.evaluate("rasd.stats.draws") > drawn
    assert len(resolutions) >= 3  # the resolution follows the zoom
    assert len(view.sent) == before


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_click_shows_the_count_that_the_database_has(
    new_page: NewPage, city: City, module_store: Any, language: str
) -> None:
    view = new_page()
    frame = view.open(f"/?lang={language}")
    view.click_top_cell(frame)
    cell = int(params(view.page)["pick"], 16)
    shown = int(view.page.locator("#rd-cell").get_attribute("data-count"))
    assert shown == in_cell(module_store.engine, city.territory, cell) > 0
    assert frame.evaluate("rasd._picked.count") == shown
    assert frame.evaluate("rasd._map.hasLayer(rasd._pickLine)")  # the outline stays

    # The same cell again: still there, with the same count.
    view.click_top_cell(frame)
    assert int(view.page.locator("#rd-cell").get_attribute("data-count")) == shown

    # The cell survives a reload, by the address alone.
    view.page.reload()
    frame = view.frame()
    view.page.wait_for_selector("#rd-cell")
    assert int(view.page.locator("#rd-cell").get_attribute("data-count")) == shown
    assert frame.evaluate("rasd._picked && rasd._picked.count") == shown

    view.page.locator("[data-rasd=close]").click()
    view.page.wait_for_selector("#rd-cell", state="detached")
    assert "pick" not in params(view.page)
    assert not frame.evaluate("rasd._map.hasLayer(rasd._pickLine)")


def test_a_click_beside_the_cells_shows_the_area(new_page: NewPage, city: City) -> None:
    view = new_page()
    frame = view.open("/?lang=en")
    view.page.locator("[data-rasd=area]").first.click()
    view.page.wait_for_selector("#rd-area")
    view.settle()
    assert params(view.page)["pick"] == f"a{city.municipalities[0]}"
    assert int(view.page.locator("#rd-area").get_attribute("data-count")) > 1000
    assert frame.evaluate("rasd._picked.kind") == "area"


def test_a_ranked_hexagon_moves_the_map_to_it(new_page: NewPage, city: City, module_store: Any) -> None:
    view = new_page()
    frame = view.open("/?lang=en")
    view.page.get_by_text("Hexagons", exact=True).click()
    row = view.page.locator("[data-rasd=cell]").first
    row.wait_for()
    lat, lng, res = (float(row.get_attribute(f"data-{k}")) for k in ("lat", "lng", "res"))
    row.click()
    view.page.wait_for_selector("#rd-cell")
    view.settle()
    centre = frame.evaluate("[rasd._map.getCenter().lat, rasd._map.getCenter().lng, rasd.stats.res]")
    assert centre[0] == pytest.approx(lat, abs=0.01)
    assert centre[1] == pytest.approx(lng, abs=0.01)
    assert centre[2] == res
    cell = int(params(view.page)["pick"], 16)
    count = int(view.page.locator("#rd-cell").get_attribute("data-count"))
    assert count == in_cell(module_store.engine, city.territory, cell)


def test_filters_and_place_survive_reload_and_language(new_page: NewPage) -> None:
    view = new_page()
    query = "group=A&status=closed,received&period=custom&from=2025-03-01&to=2025-06-30"
    view.open(f"/?lang=en&{query}#at=26.34,49.95,12.5")
    figure = view.page.locator(".rd-kpi b").first
    count = figure.inner_text()
    wanted = {"group": "A", "status": "closed,received", "period": "custom"}
    wanted |= {"from": "2025-03-01", "to": "2025-06-30"}
    assert 0 < int(count.replace(",", "")) < 1500
    assert params(view.page) == wanted | {"lang": "en"}

    view.page.reload()
    frame = view.frame()
    assert figure.inner_text() == count
    assert frame.evaluate("rasd._map.getZoom()") == 12.5

    view.page.get_by_text("العربية", exact=True).click()
    view.page.wait_for_selector("html[dir=rtl]", state="attached")
    view.settle()
    assert figure.inner_text() == count
    # The end of the period is the data's last day or earlier, so it stays as it was asked for.
    assert params(view.page) == wanted  # Arabic is the default and needs no word in the address
    assert frame.evaluate("rasd._map.getZoom()") == 12.5  # the same frame: the map kept its place
    assert view.page.evaluate("location.hash") == "#at=26.34,49.95,12.5"

    view.page.go_back()
    view.page.wait_for_selector("html[dir=ltr]", state="attached")
    view.settle()
    assert params(view.page)["lang"] == "en"
    assert figure.inner_text() == count


def test_changing_the_language_keeps_the_frame_and_turns_the_words(new_page: NewPage) -> None:
    view = new_page()
    frame = view.open("/")
    assert view.page.evaluate("getComputedStyle(document.body).direction") == "rtl"
    frame.evaluate("window.kept = 1")
    view.page.get_by_text("English", exact=True).click()
    view.page.wait_for_selector("html[dir=ltr]", state="attached")
    view.settle()
    assert frame.evaluate("window.kept") == 1
    assert frame.evaluate("document.querySelector('.rasd-legend b').textContent") == "Reports per hexagon"


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_phone_shows_no_sideways_scroll_and_figures_two_by_two(new_page: NewPage, language: str) -> None:
    view = new_page(width=400, height=820)
    frame = view.open(f"/?lang={language}")
    main = "document.querySelector('[data-testid=stMain]')"
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert view.page.evaluate(f"{main}.scrollWidth <= {main}.clientWidth")
    boxes = [card.bounding_box() for card in view.page.locator(".rd-kpi").all()]
    assert len(boxes) == 4
    assert len({round(b["y"]) for b in boxes}) == 2
    # The map knows its own height, so everything it was fitted to is in sight.
    assert frame.evaluate("rasd._map.getSize().y === document.documentElement.clientHeight")
    assert frame.evaluate("rasd._map.getBounds().contains(rasd.o.bounds)")


def test_markup_in_names_is_shown_as_text(new_page: NewPage, city: City) -> None:
    for path in ("/?lang=en", "/?lang=ar&territory=other", "/?lang=en&territory=other"):
        view = new_page()
        frame = view.open(path)
        view.click_top_cell(frame)
        box = frame.frame_element().bounding_box()
        view.page.mouse.move(box["x"] + box["width"] - 240, box["y"] + box["height"] / 2)
        view.page.wait_for_timeout(300)
        if "territory" not in path:
            frame.evaluate(f"rasd.goArea({city.municipalities[1]})")
            view.page.wait_for_selector("#rd-area")
            assert "<script>" in view.page.locator("#rd-area h3").inner_text()
            frame.evaluate(f"rasd._tip(rasd._areaById({city.municipalities[1]}))")
            assert "<img" in frame.locator(".rasd-tip b").inner_text()
        else:
            view.page.locator("[data-testid=stMultiSelect]").first.click()
            view.page.wait_for_timeout(500)
        assert view.page.evaluate("window.hit") is None
        assert frame.evaluate("window.hit") is None
        assert view.hosts - {""} == {urlsplit(view.address).netloc}


def test_the_map_can_be_used_by_keys(new_page: NewPage) -> None:
    view = new_page()
    frame = view.open("/?lang=en")
    frame.evaluate(
        """() => { const l = rasd._level(); let b = 0;
             for (let i = 0; i < l.n; i++) if (l.count[i] > l.count[b]) b = i;
             rasd._map.setView([l.lat[b], l.lng[b]], rasd._map.getZoom(), {animate: false}); }"""
    )
    frame.locator(".leaflet-container").focus()
    assert frame.locator(".leaflet-container").get_attribute("aria-label").startswith("Map of reports")
    assert frame.locator(".rasd-cross").is_visible()
    assert "report" in frame.locator(".rasd-live").inner_text()
    view.page.keyboard.press("Enter")
    view.page.wait_for_selector("#rd-cell")
    view.settle()
    view.page.keyboard.press("Escape")
    view.page.wait_for_selector("#rd-cell", state="detached")


def test_the_map_is_dark_when_the_page_is(new_page: NewPage) -> None:
    for dark in (True, False):
        frame = new_page(dark=dark).open()
        assert frame.evaluate("rasd._dark") is dark


def test_another_territory_has_its_own_filters_and_a_fitted_map(new_page: NewPage) -> None:
    view = new_page()
    frame = view.open("/?lang=en&territory=other")
    labels = view.page.locator("[data-testid=stMultiSelect] label").all_inner_texts()
    assert "Report type" in labels
    assert "Element" not in labels
    assert frame.evaluate("rasd._map.getBounds().contains([26.34, 49.93])")
    # Nothing here is simulated, so nothing says so.
    assert view.page.locator(".rd-sim").count() == 0


def test_every_question_draws_on_the_same_frame_and_asks_no_other_host(new_page: NewPage) -> None:
    view = new_page()
    frame = view.open("/?lang=en")
    frame.evaluate("window.kept = 1")
    words = Words("en")
    for code in methods.available():
        before = frame.evaluate("rasd.stats.draws")
        view.page.get_by_text(words(f"method.{code}"), exact=True).click()
        view.settle()
        view.page.wait_for_selector("[class*=st-key-rasd_job]", state="detached", timeout=60_000)
        view.page.wait_for_selector(".rd-answer, .rd-cautions, [data-testid=stException]", timeout=60_000)
        view.settle()
        assert view.page.locator("[data-testid=stException]").count() == 0, code
        assert frame.evaluate("window.kept") == 1, code
        if code != "most":  # the answer's words may stand before its map is drawn
            frame.wait_for_function("n => rasd.stats.draws > n", arg=before, timeout=60_000)
        assert params(view.page).get("method", "most") == code
    assert view.hosts - {""} == {urlsplit(view.address).netloc}
    assert view.errors == []


@pytest.mark.parametrize("width", [1440, 400])
def test_two_kinds_are_drawn_on_two_maps_with_equal_classes(new_page: NewPage, width: int) -> None:
    view = new_page(width=width)
    frame = view.open("/?lang=en&compare=kind&one=g:A&other=g:B")
    assert frame.evaluate("rasd.o.panes.map((p) => p.heading)") == ["Group A", "Group B"]
    main = "document.querySelector('[data-testid=stMain]')"
    assert view.page.evaluate(f"{main}.scrollWidth <= {main}.clientWidth")
    if width > 1000:
        view.click_top_cell(frame)
        counts = [int(b.inner_text().replace(",", "")) for b in view.page.locator(".rd-both b").all()]
        assert int(view.page.locator("#rd-cell").get_attribute("data-count")) == counts[0]
        assert len(counts) == 2
        assert view.page.locator(".rd-wide tbody tr").count() == 10


def test_the_table_is_downloaded_as_it_is_shown(new_page: NewPage) -> None:
    view = new_page()
    view.open("/?lang=en&group=A")
    with view.page.expect_download() as waiting:
        view.page.get_by_role("button", name="Download the table", exact=True).click()
    assert waiting.value.suggested_filename.startswith("rasd_town_most_")
    with Path(waiting.value.path()).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    shown = view.page.locator("#rd-shown-count").inner_text()
    assert shown == f"{sum(int(row['reports']) for row in rows):,} reports"


def test_downloads_hold_what_is_shown(new_page: NewPage) -> None:
    view = new_page()
    view.open("/?lang=en&group=A")
    with view.page.expect_download() as waiting:
        view.page.get_by_role("button", name="Download", exact=True).click()
    name = waiting.value.suggested_filename
    assert name.startswith("rasd_town_cells_r8_")
    assert name.endswith(".geojson")
    found = json.loads(Path(waiting.value.path()).read_text("utf-8"))
    total = sum(f["properties"]["reports"] for f in found["features"])
    shown = view.page.locator("#rd-shown-count").inner_text()
    assert shown == f"{total:,} reports"
