"""The Campaigns page in the machine's Chromium, in Arabic: from Propose to a file in hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.data.campaign_town import Town, build_town
from tests.views.conftest import Page
from views.words import Words

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NewPage = Callable[..., Page]
SMALL = "/campaigns?i_teams=2&i_days=1&i_hours=3&i_size=8"
AR = Words("ar")


@pytest.fixture(scope="module")
def city(module_store: Any) -> Town:
    """In place of the small town of the other page: one that has something to plan."""
    return build_town(module_store.engine)


def params(page: Any) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


def press(view: Page, key: str) -> None:
    """Press a button and wait until the page, and what it computes, has come to rest."""
    view.page.locator(f".st-key-{key} button:visible").first.click()
    quiet = 0
    for _ in range(600):  # a run may end with a job, and a job with a run
        view.page.wait_for_timeout(150)
        busy = view.page.locator("[data-test-script-state=running], [class*=st-key-rasd_job]").count()
        quiet = 0 if busy else quiet + 1
        if quiet > 6:
            return
    raise AssertionError("the page never came to rest")


def test_the_director_proposes_pins_drops_saves_and_takes_the_work_order(new_page: NewPage) -> None:
    view = new_page()
    frame = view.open(SMALL)  # a deep link, the first thing this server is asked for
    frame.evaluate("window.kept = 1")
    press(view, "propose")
    assert frame.evaluate("rasd.pane.numbered.map((a) => a.id)") == [1, 2]
    assert view.page.locator(".rd-answer").first.inner_text().startswith("نطاقان")

    # A card moves the map to its area, whose sites then lie on it; panning asks nothing.
    view.page.locator(".rd-row[data-rasd=outline]").first.click()
    view.page.wait_for_selector("#rd-area-card")
    view.settle(quiet=2)
    assert params(view.page)["spot"] == "o1"
    assert frame.evaluate("rasd._picked.number") == 1
    assert frame.evaluate("rasd.pane.stops.length") > 3
    before = len(view.sent)
    frame.evaluate("rasd._map.panBy([60, 40], {animate: false})")
    view.page.wait_for_timeout(1200)
    assert len(view.sent) == before

    # A click on the number does what the card does.
    x, y = frame.evaluate(
        "(() => { const q = rasd._badges.find((b) => b.item.id === 1) || rasd._badges[0], p = rasd._map.layerPointToContainerPoint([q.x, q.y]); return [p.x, p.y]; })()"
    )
    box = frame.frame_element().bounding_box()
    view.page.mouse.click(box["x"] + x, box["y"] + y)
    view.settle()
    assert view.page.locator("#rd-area-card").get_attribute("data-number") == params(view.page)["spot"][1:]

    press(view, "area_pin")
    assert "i_pin" in params(view.page)
    view.page.locator("[data-rasd=outline][data-id='2']").first.click()
    view.page.wait_for_selector("#rd-area-card[data-number='2']")
    view.settle()
    press(view, "area_drop")
    assert view.page.locator(".rd-pin").count() > 0
    assert frame.evaluate("window.kept") == 1  # the map kept its frame all the way

    view.page.get_by_text(AR("tab.save"), exact=True).click()
    view.settle()
    view.page.locator(".st-key-save_name input").fill("حملة الشتاء")
    press(view, "save_plan")
    press(view, "save_open")
    assert params(view.page)["what"] == "saved"
    view.page.get_by_text(AR("tab.handout"), exact=True).click()
    view.settle()
    with view.page.expect_download() as waiting:
        view.page.locator(".st-key-handout_html button:visible").first.click()
    order = Path(waiting.value.path()).read_text("utf-8")
    assert 'dir="rtl"' in order and "حملة الشتاء" in order
    assert view.hosts - {""} == {urlsplit(view.address).netloc}
    assert view.errors == []


def test_the_switch_keeps_language_and_inputs_on_a_phone(new_page: NewPage) -> None:
    view = new_page(width=400)
    view.open(f"{SMALL}&lang=en&i_msite=20")
    assert params(view.page)["i_teams"] == "2"
    view.page.get_by_text("Hot spots", exact=True).click()
    view.page.wait_for_url("**/?lang=en*")
    view.frame()
    assert params(view.page) == {"lang": "en"}
    view.page.get_by_text("Campaigns", exact=True).click()
    view.page.wait_for_url("**/campaigns*")
    view.frame()
    assert params(view.page) | {"i_start": ""} == {
        "lang": "en",
        "i_teams": "2",
        "i_days": "1",
        "i_hours": "3.0",
        "i_size": "8",
        "i_msite": "20.0",
        "i_start": "",
    }
    main = "document.querySelector('[data-testid=stMain]')"
    assert view.page.evaluate(f"{main}.scrollWidth <= {main}.clientWidth")
    assert view.errors == []
