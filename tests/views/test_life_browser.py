"""One report walked through all roles in the machine's Chromium, in Arabic, each as its own user.

From the inbox of the call centre to the closing, after one rejection by quality control; at
the end the history in the store is exactly what was done on the screens, by whom.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from data import cases, events
from data.life import Action, Role
from data.vocabulary import Status
from tests.data.people import add_party
from tests.views.conftest import Page
from tests.views.sample_city import City, build_city
from views.words import Words

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NewPage = Callable[..., Page]
AR = Words("ar")


@pytest.fixture(scope="module")
def city(module_store: Any) -> City:
    """The small town, with a department and a firm that has reports of its own."""
    made = build_city(module_store.engine)
    with module_store.engine.begin() as conn:
        add_party(conn, made.territory, "roads", "department")
        firm = add_party(conn, made.territory, "firm", "contractor")
        conn.execute(
            text("UPDATE report SET contractor_id = :firm WHERE territory_id = :t AND status = 4"),
            {"firm": firm, "t": made.territory},
        )
    return made


def _photo(colour: str) -> dict[str, Any]:
    held = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(held, "JPEG")
    return {"name": f"{colour}.jpg", "mimeType": "image/jpeg", "buffer": held.getvalue()}


class Walker:
    """Takes steps on one report, each as a role's simulated user, in a browser page of its own."""

    def __init__(self, new_page: NewPage, report: int) -> None:
        self.new_page, self.report = new_page, report
        self.views: dict[str, Page] = {}

    def view(self, who: str) -> Page:
        """The report's page as somebody sees it now."""
        if who not in self.views:
            self.views[who] = self.new_page()
        view = self.views[who]
        view.page.goto(f"{view.address}/case?as=demo-{who}&report={self.report}")
        view.page.wait_for_selector("#rd-case", timeout=60_000)
        view.page.wait_for_selector(".st-key-rasd_steps")
        return view

    def choose(self, page: Any, field: str, typed: str) -> None:
        """Choose in a list by typing a part of the label."""
        box = page.locator(
            f"[class*='_{field}'] [data-baseweb=select] input, [class*='_{field}'] input[role=combobox]"
        ).first
        box.click()
        box.fill(typed)
        page.locator("[role=option]", has_text=typed).first.click()

    def take(self, who: str, action: Action, seq: int, **fields: Any) -> Page:
        """Choose the step, fill in its form, confirm it, and wait for the page to say that it is done."""
        view = self.view(who)
        page, step = view.page, AR(f"do.{action.name.lower()}")
        assert page.locator("#rd-case").get_attribute("data-seq") == str(seq - 1)
        page.locator(".st-key-case_step").get_by_text(step, exact=True).click()
        page.wait_for_selector(".st-key-case_do button")
        for field, value in fields.items():
            if field == "photos":
                page.locator("[class*='_photos'] input[type=file]").set_input_files([value])
                page.wait_for_selector("[data-testid=stFileUploaderFile], [data-testid=stFileChip]")
            elif field in ("reason", "note"):
                page.locator(f"[class*='_{field}'] textarea").fill(value)
            elif field == "quantity":
                page.locator("[class*='_quantity'] input").fill(value)
            else:
                self.choose(page, field, value)
        page.locator(".st-key-case_do button").click()
        page.wait_for_selector(f"#rd-case[data-seq='{seq}']", timeout=30_000)
        assert AR("case.done", step=step) in page.locator(".rd-done").inner_text()
        return view


def test_a_report_walks_through_all_roles_to_its_closing_after_one_rejection(
    new_page: NewPage, city: City, module_store: Any
) -> None:
    with module_store.engine.begin() as conn:
        report, reference = conn.execute(
            text(
                """SELECT id, reference FROM report WHERE territory_id = :t AND status = 1 AND geom IS NOT NULL
                   ORDER BY id LIMIT 1"""
            ),
            {"t": city.territory},
        ).one()
    walk = Walker(new_page, report)

    # The call centre finds the report in its inbox by the reference that was given to the citizen.
    desk = walk.views.setdefault("call-centre", new_page())
    desk.page.goto(f"{desk.address}/inbox?as=demo-call-centre")
    desk.page.wait_for_selector("#rd-inbox", timeout=60_000)
    desk.page.locator(".st-key-_find input").fill(reference)
    desk.page.locator(".st-key-_find input").press("Enter")
    desk.page.wait_for_selector(f"#rd-case[data-id='{report}']", timeout=30_000)
    assert desk.page.evaluate("document.documentElement.dir") == "rtl"

    walk.take("call-centre", Action.CLASSIFY, 1, element_id="R02")
    walk.take("supervisor", Action.ASSIGN, 2, agency_id="roads")
    walk.take("inspector", Action.INSPECT, 3, severity=AR("case.of_five", n=4), photos=_photo("gray"))
    walk.take("supervisor", Action.DISPATCH, 4, contractor_id="firm")
    walk.take("contractor", Action.TREAT, 5, quantity="2.5", photos=_photo("green"))
    walk.take("inspector", Action.SUBMIT, 6)
    walk.take("quality", Action.FAIL, 7, reason="الحفرة <b>ما زالت</b> هناك")
    walk.take("contractor", Action.TREAT, 8, quantity="3", photos=_photo("blue"))
    walk.take("supervisor", Action.SUBMIT, 9)
    last = walk.take("quality", Action.PASS, 10, note="جيد")

    page = last.page
    assert page.locator("#rd-case").get_attribute("data-status") == str(int(Status.CLOSED))
    assert page.locator(".rd-time > li").count() == 11
    assert "<b>ما زالت</b>" in page.locator(".rd-time > li[data-seq='7']").inner_text()  # escaped, not bold
    pictures = page.locator(".st-key-rasd_photos img")
    pictures.nth(2).wait_for(timeout=30_000)  # they come after the history
    assert pictures.count() == 3

    done = [
        (Action.CLASSIFY, Role.CALL_CENTRE), (Action.ASSIGN, Role.SUPERVISOR), (Action.INSPECT, Role.INSPECTOR),
        (Action.DISPATCH, Role.SUPERVISOR), (Action.TREAT, Role.CONTRACTOR), (Action.SUBMIT, Role.INSPECTOR),
        (Action.FAIL, Role.QUALITY), (Action.TREAT, Role.CONTRACTOR), (Action.SUBMIT, Role.SUPERVISOR),
        (Action.PASS, Role.QUALITY),
    ]  # fmt: skip
    with module_store.engine.connect() as conn:
        rows = conn.execute(
            text(
                """SELECT v.action, p.role, v.detail FROM report_event v JOIN principal p ON p.id = v.actor_id
                   WHERE v.report_id = :r ORDER BY v.seq"""
            ),
            {"r": report},
        ).all()
        assert [(Action(row.action), Role(row.role)) for row in rows] == done
        assert [row.detail.get("quantity") for row in rows if row.action == Action.TREAT] == [2.5, 3]
        assert rows[6].detail["reason"] == "الحفرة <b>ما زالت</b> هناك"
        found = cases.case(conn, report)
        assert found is not None and (found.status, found.severity, found.element_code) == (
            Status.CLOSED,
            4,
            "R02",
        )
        assert events.check(conn) == [] or report not in {one.report_id for one in events.check(conn)}
    for view in walk.views.values():
        assert view.errors == []
