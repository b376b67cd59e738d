"""The Campaigns page without a browser: propose, explain, adjust, compare, save, approve, visit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from data import campaigns as store
from data import visits as store_visits
from data.analyses.rules import CampaignClash
from data.analyses.scenarios import figures, total_finds
from data.plan import CampaignPlan, Name, PlannedArea, Proof, Rival, Run, WhatIf
from data.query import ReportQuery
from geo.hitrates import HitRate, HitRates
from geo.remarks import Remark
from tests import campaign_sample
from tests.data.campaign_town import Town, build_town
from tests.views.opened import APP, address, forget, settle, shown
from views.studio import areacards, codes, drawing, effect, proof, results, saved, scenarios, visits
from views.studio.proposals import Asked
from views.words import LANGUAGES, Words

SMALL = {"i_teams": "2", "i_days": "1", "i_hours": "3", "i_size": "8"}


@pytest.fixture(scope="module")
def town(module_store: Any) -> Iterator[Town]:
    yield build_town(module_store.engine)


def opened(*, fresh: bool = True, **values: str) -> AppTest:
    """The page at an address, run until its jobs are over; the first thing a server is asked for."""
    if fresh:
        forget()
    page = AppTest.from_file(APP, default_timeout=120)
    for key, value in values.items():
        page.query_params[key] = value
    page._page_hash = calc_hash("campaigns")
    return settle(page.run())


def numbers(page: AppTest) -> list[str]:
    """The numbers of the areas on the page's cards."""
    return [text.split('"')[0] for text in shown(page).split('id="rd-area-')[1:] if text[0].isdigit()]


@pytest.fixture(scope="module")
def proposed(town: Town) -> tuple[dict[str, str], str]:
    """Address and HTML after Propose was pressed."""
    page = opened(lang="en", **SMALL)
    assert "press Propose" in shown(page)
    page.button(key="propose").click().run()
    page = settle(page)
    return address(page), shown(page)


def test_a_press_on_propose_answers_in_a_sentence_with_numbered_areas(proposed: Any) -> None:
    found, text = proposed
    assert "2 areas: in 1 days, 2 teams are expected to find" in text
    assert "80% interval" in text
    assert 'id="rd-area-1"' in text and 'id="rd-area-2"' in text
    assert found["go"] == "1" and found["i_teams"] == "2"


def test_the_address_alone_gives_the_same_proposal(proposed: Any) -> None:
    found, text = proposed
    page = opened(**found)
    assert address(page) == found

    def told(html: str) -> list[str]:
        return [part.split("</b>")[0] for part in html.split("<b><bdi>")[1:]]

    assert told(shown(page)) == told(text)


def test_a_changed_input_keeps_the_proposal_and_says_so(town: Town, proposed: Any) -> None:
    page = opened(fresh=False, **proposed[0])
    page.number_input(key="i_teams").set_value(3).run()
    assert "The inputs have changed" in shown(page)
    assert "2 areas:" in shown(page)
    assert "go" not in address(page)
    assert page.number_input(key="i_areas").value == 3  # an area for each team


def test_a_dropped_area_is_kept_out_and_a_pinned_one_comes_again(town: Town, proposed: Any) -> None:
    page = opened(fresh=False, **proposed[0], spot="o2")
    page.button(key="area_pin").click().run()
    pinned = codes.unpack_cells(address(page)["i_pin"])
    page.query_params["spot"], page.query_params["go"] = "o1", "1"
    page = settle(page.run())
    page.button(key="area_drop").click().run()
    page = settle(page)
    out = codes.unpack_cells(address(page)["i_out"])
    found = codes.read("inspection", {"teams": "2", "days": "1", "hours": "3", "size": "8", "out": address(page)["i_out"], "pin": address(page)["i_pin"]})  # fmt: skip
    assert found.pinned == (pinned,)  # type: ignore[union-attr]
    assert not set(out) & set(pinned)
    assert "pinned" in shown(page)
    assert address(page)["go"] == "1"


def test_rules_that_exclude_each_other_are_named(town: Town) -> None:
    each = ",".join(str(one) for one in town.municipalities)
    text = shown(opened(lang="en", **SMALL | {"i_areas": "1", "i_each": each}, go="1"))
    assert "These rules cannot all be met" in text
    assert text.count("is to get an area") == 2


def test_kept_scenarios_stand_side_by_side_from_the_address(town: Town, proposed: Any) -> None:
    page = opened(fresh=False, **proposed[0], tab="compare")
    page.button(key="keep").click().run()
    page.number_input(key="i_hours").set_value(4.0).run()
    page.button(key="propose").click().run()
    page = settle(page)
    table = shown(page)
    assert "Finds (80% interval)" in table and "Inequality" in table
    assert table.count('<b class="rd-disc">A</b>') == 1 and table.count('<b class="rd-disc">B</b>') == 1
    kept = codes.read_scenario(town.territory, address(page)["s1"])
    assert kept is not None and kept[1].hours == 3  # type: ignore[union-attr]
    page.button(key="scenario_open_0").click().run()
    page = settle(page)
    assert page.number_input(key="i_hours").value == 3.0


def test_a_plan_is_saved_approved_and_keeps_its_course(town: Town, proposed: Any, module_store: Any) -> None:
    page = opened(fresh=False, **proposed[0], tab="save")
    page.button(key="save_plan").click().run()
    assert "Give the plan a title" in shown(page)
    page.text_input(key="save_name").input(campaign_sample.HOSTILE).run()
    page.button(key="save_plan").click().run()
    assert "is saved as version 1" in shown(page)
    page.button(key="save_open").click().run()
    assert address(page)["what"] == "saved"
    page.button(key="step_approved").click().run()
    page.button(key="step_running").click().run()
    text = shown(page)
    assert "Running" in text and "<img src=x" not in text
    number = int(address(page)["plan"])
    with module_store.engine.connect() as conn:
        past = store.history(conn, number)
        kept = store.get(conn, number)
    assert [event.status for event in past.events] == ["proposed", "approved", "running"]
    assert all(area.team is not None for area in kept.plan.areas)  # the day plans are in it
    for tab in ("proof", "handout", "visits", "effect", "history"):
        page.query_params["stab"] = tab
        page = settle(page.run())
        assert not page.exception, tab
    assert "Course" in shown(page)

    # A visit that is typed in comes back as a hit rate.
    page.query_params["stab"] = "visits"
    page = page.run()
    page.text_input(key="visit_team").input("north")
    next(button for button in page.button if button.label == "Record").click().run()
    text = shown(settle(page))
    assert "The visit is recorded" in text and "north" in text
    with module_store.engine.connect() as conn:
        assert [visit.team for visit in store_visits.visits_of(conn, number)] == ["north"]


def test_a_plan_that_is_not_there_is_a_sentence(town: Town) -> None:
    page = opened(lang="en", what="saved", plan="99999")
    assert "cannot be shown" in shown(page)
    page.button(key="saved_back").click().run()
    assert "plan" not in address(page)


@pytest.mark.parametrize("kind", ["community", "axes"])
def test_the_other_two_kinds_answer_too(town: Town, kind: str) -> None:
    page = opened(lang="ar", what=kind, go="1", c_days="1", c_teams="1", c_size="8")
    assert not page.exception
    assert "rd-answer" in shown(page)


def test_pages_carry_what_the_reader_has_chosen(town: Town, proposed: Any) -> None:
    page = opened(fresh=False, **proposed[0])
    assert not page.exception
    page._page_hash = calc_hash("hotspots")
    page.query_params.clear()
    for key, value in proposed[0].items():
        page.query_params[key] = value
    page = settle(page.run())
    assert "Where reports concentrate" in shown(page)
    assert address(page) == {"lang": "en"}  # the campaign's inputs are not this page's
    page._page_hash = calc_hash("campaigns")
    page.query_params.clear()
    for key, value in page.session_state["_offered"].items():
        page.query_params[key] = value
    page = settle(page.run())
    assert address(page) == proposed[0]
    assert 'id="rd-area-1"' in shown(page)


# ---- pieces ----


def hostile(plan: CampaignPlan) -> CampaignPlan:
    return replace(
        plan,
        proof=Proof(10, 11, 0.09, 14, 20, False, 1.2, "optimal"),
        rivals=(Rival("top_cells", 8, 8, 10, 5, 0.2, 9.6), Rival("greedy", 12, 12, 10, 5, -0.1, 10.8)),
        what_if=(WhatIf("teams_fewer", 1, 6, 6), WhatIf("teams_more", 3, 11, 11)),
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_piece_of_the_studio_escapes_what_a_person_typed(language: str) -> None:
    words, plan = Words(language), hostile(campaign_sample.with_days(campaign_sample.inspection()))
    axes = campaign_sample.axes()
    pieces = [
        areacards.grid(words, plan),
        areacards.ranked(words, plan),
        areacards.full(words, plan.areas[0]),
        areacards.site_table(words, plan.areas[0].sites),
        areacards.ranked_stretches(words, axes),
        areacards.stretch(words, axes.stretches[0]),
        areacards.stretch_table(words, axes),
        areacards.runs(
            words, replace(axes, runs=(Run(Name("", campaign_sample.HOSTILE), ("s0",), 1, 5, 3, 2),))
        ),
        proof.rivals(words, plan),
        proof.what_if(words, plan),
        proof.rates(words, HitRates((HitRate("new", "quiet", 5, 5, 2, 1, 0.5, 0.4, 0.6),))),
        scenarios.table(words, [(plan.terms, plan)], figures([plan], [1, 2])),
        scenarios.table(words, [(axes.terms, axes)], figures([axes], [1, 2])),
    ]
    for piece in pieces:
        assert "<img src=x" not in piece
    assert results.answer(words, plan) and results.answer(words, axes)
    assert len(proof.proved(words, plan.proof)) == 3  # type: ignore[arg-type]
    assert drawing.stretches(words, axes) is not None
    assert drawing.sites(words, plan.areas[0]).stops
    assert drawing.rounds(words, plan.areas[0], 1) is not None
    assert drawing.rounds(words, plan.areas[0], None) is None


def area(number: int, finds: float, half: float, cells: tuple[str, ...], place: int) -> PlannedArea:
    made = campaign_sample.inspection().areas[0]
    return replace(
        made, number=number, finds=finds, low=finds - half, high=finds + half, cells=cells, hours=10.0, municipality_id=place
    )  # fmt: skip


def test_scenarios_are_compared_by_hand_worked_figures() -> None:
    plan = campaign_sample.inspection()
    one = replace(plan, areas=(area(1, 30, 3, ("a", "b"), 1), area(2, 40, 4, ("c", "d"), 2)))
    two = replace(plan, areas=(area(1, 30, 3, ("a", "x"), 1),))
    total = total_finds(replace(one, low=64.0, high=76.0))
    assert (total.value, total.low, total.high) == (70, 64, 76)  # the plan's own
    total = total_finds(one)
    assert (total.value, total.low, total.high) == (70, 63, 77)  # 3 + 4 to either side
    first, second = figures([one, two], [1, 2, 3, 4])
    assert (first.hours, first.areas, first.municipalities, first.overlap) == (20, 2, 2, 1.0)
    assert first.gini == pytest.approx(0.5)
    assert (first.least, first.most) == (0.0, 0.5)
    assert second.overlap == 0.5
    assert second.gini == pytest.approx(0.75)


def test_a_clash_is_told_in_the_readers_language(town: Town) -> None:
    clash = CampaignClash("x", (Remark("clash_areas", (("areas", 2),), True),), proven=True)

    def page() -> None:
        import streamlit as st

        from views.studio import results

        results.solved(st.session_state["setting"], st.session_state["asked"])

    made = AppTest.from_function(page, default_timeout=60)

    class Place:
        words = Words("en")

    made.session_state["setting"] = Place()
    made.session_state["asked"] = Asked(1, ReportQuery(1), campaign_sample.inspection().terms, None, clash)
    text = shown(made.run())
    assert "cannot all be met" in text and "at most 2 areas" in text


def test_effects_and_saved_lines_have_words() -> None:
    words = Words("en")
    assert saved.chip(words, "approved").count("Approved") == 1
    assert effect._signed(0.65) == "\u221235%"
    assert effect._signed(1.2) == "+20%"
    assert visits.site_label(words, campaign_sample.inspection().areas[0].sites[0])
