"""The Inbox and one report's page without a browser: filters, a step on many, a conflict, what is closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from data import cases, inbox
from data.access import acting
from data.actions import act
from data.life import Action, Role
from data.vocabulary import Status
from tests.data.people import add_party
from tests.views.opened import APP, address, forget, person, shown
from tests.views.sample_city import HOSTILE, City, build_city
from views.words import Words

AR, EN = Words("ar"), Words("en")


@dataclass
class Town:
    """The small town with a firm that has one closed report, and a department with a hostile name."""

    city: City
    engine: Any
    received: list[int]
    closed: int

    def waiting(self, statuses: tuple[Status, ...], more: str = "true") -> int:
        with self.engine.connect() as conn:
            asked = text(
                f"SELECT count(*) FROM report WHERE territory_id = :t AND status = ANY(:s) AND {more}"
            )
            return int(conn.scalar(asked, {"t": self.city.territory, "s": [int(s) for s in statuses]}) or 0)


@pytest.fixture(scope="module")
def town(module_store: Any) -> Iterator[Town]:
    city = build_city(module_store.engine)
    with module_store.engine.begin() as conn:
        of = {"t": city.territory}
        ids = conn.execute(
            text(
                "SELECT id FROM report WHERE territory_id = :t AND status = 1 AND geom IS NOT NULL ORDER BY id"
            ),
            of,
        ).scalars()
        received = [int(i) for i in ids]
        closed = int(
            conn.scalar(text("SELECT min(id) FROM report WHERE territory_id = :t AND status = 7"), of) or 0
        )
        firm = add_party(conn, city.territory, "firm", "contractor")
        add_party(conn, city.territory, HOSTILE, "department")
        conn.execute(text("UPDATE report SET contractor_id = :f WHERE id = :id"), {"f": firm, "id": closed})
        conn.execute(
            text("UPDATE report SET due_at = now() - interval '3 days' WHERE id = :id"), {"id": received[7]}
        )
    yield Town(city, module_store.engine, received, closed)


def at(code: str, who: str, *, fresh: bool = False, **values: str) -> AppTest:
    """A page as a simulated user, after one run."""
    if fresh:
        forget()
    page = AppTest.from_file(APP, default_timeout=120)
    for key, value in ({"territory": "town", "as": f"demo-{who}"} | values).items():
        page.query_params[key] = value
    page._page_hash = calc_hash(code)
    return page.run()


def count(page: AppTest) -> int:
    return int(shown(page).partition('id="rd-inbox" data-count="')[2].partition('"')[0])


def test_each_role_finds_what_waits_for_it_and_the_others_all_that_is_open(town: Town) -> None:
    page = at("inbox", "call-centre", fresh=True)
    assert count(page) == town.waiting(inbox.turn_of(Role.CALL_CENTRE)) > 100
    first = shown(page).partition('data-reference="')[2].partition('"')[0]
    with town.engine.connect() as conn:  # the only one past its limit
        assert cases.find(conn, first) == (town.received[7],)
    assert AR.plural("inboxcount.late_days", 3) in shown(page)
    for who in ("director", "viewer"):
        page = at("inbox", who)
        assert count(page) == town.waiting(inbox.unended())
        assert AR("inbox.nothing_for_role") in shown(page)
        assert not page.checkbox or "pick_" not in "".join(str(box.key) for box in page.checkbox)
    page = at("inbox", "contractor")  # its one report is closed
    assert AR("inbox.empty") in shown(page)
    page = at("inbox", "director", x_view="waiting", x_status="in_progress", x_late="1", lang="en")
    assert EN("inbox.empty") in shown(page) and address(page).get("x_view") is None


def test_filters_narrow_the_list_and_go_into_the_address(town: Town) -> None:
    page = at("inbox", "supervisor", x_view="open", x_status="received", lang="en")
    whole = town.waiting((Status.RECEIVED,))
    assert count(page) == whole
    page.multiselect(key="x_place").set_value([str(town.city.municipalities[1])]).run()
    narrowed = town.waiting((Status.RECEIVED,), f"municipality_id = {town.city.municipalities[1]}")
    assert count(page) == narrowed < whole
    assert address(page)["x_place"] == str(town.city.municipalities[1])
    assert "<img src=x" not in shown(page)  # the municipality's name is hostile
    page.button(key="x_next").click().run()
    assert EN("inbox.page", n="2") in shown(page)
    page.checkbox(key="x_late").check().run()  # a new question begins at its first page
    assert EN("inbox.page", n="2") not in shown(page)
    page.button(key="x_clear").click().run()
    assert count(page) == town.waiting(inbox.unended())
    page.text_input(key="_find").set_value("no such report").run()
    assert EN("inbox.not_found") in [caption.value for caption in page.caption]


def test_a_step_on_many_is_reviewed_first_and_tells_what_it_did_not_reach(town: Town) -> None:
    page = at("inbox", "supervisor", x_view="open", x_status="received", lang="en")
    page.button(key="x_pick_page").click().run()
    page.selectbox(key="bulk_step").set_value("reject").run()
    text_of = shown(page)
    assert EN.plural("inboxcount.will", 20) in text_of and EN("status.rejected") in text_of
    page.button(key="bulk_confirm").click().run()
    assert EN("case.missing_detail", what=EN("detail.reason")) in shown(page)
    chosen = list(page.session_state["_inbox_chosen"])
    with acting(person("demo-inspector")) as conn:  # meanwhile somebody else is first on one of them
        act(conn, chosen[3], Action.REJECT, 0, {"reason": "seen"})
    page.text_area(key="bulk_0_reject_reason").set_value("outside the city").run()
    page.button(key="bulk_confirm").click().run()
    text_of = shown(page)
    assert EN.plural("inboxcount.done", 19) in text_of
    assert EN.plural("inboxcount.failed", 1) in text_of and EN("fate.conflict") in text_of
    with town.engine.connect() as conn:
        rows = conn.execute(
            text(
                "SELECT detail->>'reason', count(*) FROM report_event WHERE report_id = ANY(:ids) GROUP BY 1"
            ),
            {"ids": chosen},
        ).all()
    assert dict(rows) == {"outside the city": 19, "seen": 1}
    assert page.session_state["_inbox_chosen"] == {}


def test_the_second_writer_sees_what_the_first_did_and_keeps_what_was_typed(town: Town) -> None:
    report = town.received[-1]
    page = at("case", "call-centre", report=str(report), lang="en")
    page.pills(key="case_step").set_value("reject").run()
    page.text_area(key=f"case{report}_0_reject_reason").set_value("a <b>joke</b>").run()
    with acting(person("demo-inspector")) as conn:
        act(conn, report, Action.COMMENT, 0, {"note": f"on my way {HOSTILE}"})
    page.button(key="case_do").click().run()
    text_of = shown(page)
    assert EN("case.conflict") in text_of and EN("case.conflict_keep") in text_of
    assert "on my way" in text_of and "<img src=x" not in text_of
    assert page.text_area(key=f"case{report}_0_reject_reason").value == "a <b>joke</b>"
    page.button(key="case_do").click().run()  # now having seen it
    assert EN("case.done", step=EN("do.reject")) in shown(page)
    assert "<b>joke" not in shown(page) and 'data-status="8"' in shown(page)


def test_a_conflict_that_ends_the_step_shows_what_was_typed(town: Town) -> None:
    report = town.received[-2]
    page = at("case", "call-centre", report=str(report), lang="en")
    page.pills(key="case_step").set_value("reject").run()
    page.text_area(key=f"case{report}_0_reject_reason").set_value("typed in vain").run()
    with acting(person("demo-inspector")) as conn:
        act(conn, report, Action.REJECT, 0, {"reason": "first"})
    page.button(key="case_do").click().run()
    assert EN("case.conflict_typed") in shown(page) and "typed in vain" in shown(page)


def test_a_duplicate_is_named_by_its_reference_and_shown_both_ways(town: Town) -> None:
    first, second = town.received[-3:-1][0], town.received[-4]
    page = at("case", "inspector", report=str(second), lang="en")
    page.pills(key="case_step").set_value("duplicate").run()
    page.text_input(key=f"case{second}_0_duplicate_of").set_value("nowhere").run()
    page.button(key="case_do").click().run()
    assert EN("case.of_unknown", reference="nowhere") in shown(page)
    with town.engine.connect() as conn:
        root = cases.case(conn, first)
        own = cases.case(conn, second)
    assert root is not None and own is not None
    page.text_input(key=f"case{second}_0_duplicate_of").set_value(root.reference).run()
    page.button(key="case_do").click().run()
    assert EN("case.duplicate_of") in shown(page) and root.reference in shown(page)
    page = at("case", "viewer", report=str(first), lang="en")
    assert EN("case.duplicated_by") in shown(page) and own.reference in shown(page)
    assert EN("case.actions_none") in shown(page) and not [b for b in page.button if b.key == "case_do"]


def test_a_report_that_is_closed_to_somebody_is_as_one_that_does_not_exist(town: Town) -> None:
    for report in (str(town.received[0]), "999999999", "no such", "'; DROP TABLE report; --"):
        page = at("case", "contractor", report=report, lang="en")
        assert EN("case.missing") in shown(page), report
    page = at("case", "contractor", report=str(town.closed), lang="en")
    assert f'data-id="{town.closed}"' in shown(page)
    assert AR("case.none") in shown(at("case", "supervisor"))
