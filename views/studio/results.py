"""What a proposal says: the answer in a sentence, and below the map all that belongs to it."""

from __future__ import annotations

import streamlit as st

from data.analyses.campaigns import remark_of
from data.analyses.scenarios import total_finds
from data.plan import AxisTerms, CampaignPlan
from views import cards, notices, state
from views.remarks import sentence
from views.studio import areacards, handout, proof, saved, scenarios
from views.studio.proposals import Asked
from views.studio.setting import Setting
from views.words import Words, number, short

TABS = ("areas", "proof", "compare", "save")


def solved(setting: Setting, asked: Asked) -> CampaignPlan | None:
    """Say the answer, or which rules exclude each other; the plan, if there is one."""
    words = setting.words
    if asked.clash is not None:
        head = words("studio.clash" if asked.clash.proven else "studio.clash_maybe")
        told = [sentence(words, rule) for rule in asked.clash.rules]
        st.html(notices.answer(head) + notices.cautions(words, told))
        return None
    if asked.plan is not None:
        said(words, asked.plan)
    return asked.plan


def said(words: Words, plan: CampaignPlan) -> None:
    """The answer in one sentence, what it rests on, and what to beware of."""
    remarks = [remark_of(one) for one in plan.remarks]
    warned = [sentence(words, remark) for remark in remarks if remark.caution]
    st.html(
        notices.answer(answer(words, plan))
        + "".join(cards.note(text) for text in proof.sensitivity(words, plan))
        + notices.cautions(words, warned)
    )


def answer(words: Words, plan: CampaignPlan) -> str:
    """What the teams will find, in one sentence."""
    if isinstance(plan.terms, AxisTerms):
        chosen = [stretch for stretch in plan.stretches if stretch.chosen]
        return words(
            "answer.axes",
            stretches=words.plural("count3.stretches", len(chosen)),
            km=short(sum(s.km for s in chosen)),
            cost=number(sum(s.cost for s in chosen) / 1e6, 1),
            budget=number(plan.terms.budget / 1e6, 1),
            reports=number(sum(s.reports for s in chosen)),
        )
    if not plan.areas:
        return words("answer.nothing")
    found = total_finds(plan)
    return words(
        f"answer.{plan.kind}",
        areas=words.plural("count3.areas", len(plan.areas)),
        days=number(plan.terms.days),
        teams=number(plan.terms.teams),
        finds=number(found.value),
        low=number(found.low),
        high=number(found.high),
        hours=number(plan.hours),
        all=number(plan.terms.teams * plan.terms.team_hours),
    )


def below(setting: Setting, plan: CampaignPlan | None, asked: Asked | None, *, whole: bool) -> None:
    """The four parts below the map, one at a time; ``whole``: the plan has its day plans."""
    if plan is None or asked is None:
        return
    words = setting.words
    tab = st.session_state["tab"]
    names = {code: words(f"tab.{code}") for code in TABS}
    st.segmented_control(
        words("tab.label"),
        TABS,
        key="tab",
        format_func=names.__getitem__,
        required=True,
        label_visibility="collapsed",
    )
    with st.container(key=f"rasd_tab_{tab}"):
        if tab == "areas":
            areas(words, plan)
        elif tab == "proof":
            proof.draw(words, setting.version, setting.territory_id, plan)
        elif tab == "compare":
            scenarios.draw(setting, (asked.query, asked.terms), plan)
        else:
            if not whole:
                st.html(notices.cautions(words, [words("save.no_rounds")]))
            saved.keep(setting, plan)
            handout.draw(words, plan, "")


def areas(words: Words, plan: CampaignPlan) -> None:
    """All areas as cards, or the stretches as a table, and what was decided automatically."""
    if plan.areas:
        st.html(cards.title(words("studio.areas_title")) + areacards.grid(words, plan))
    elif plan.stretches:
        with st.container(border=True):
            st.html(cards.title(words("studio.stretches_title")) + areacards.stretch_table(words, plan))
        if plan.runs:
            with st.container(border=True):
                st.html(areacards.runs(words, plan))
    decided = [sentence(words, remark_of(one)) for one in plan.remarks if not one.caution]
    if decided:
        st.html(notices.decisions(words("method.about_decisions"), decided))


def bind_tab() -> None:
    state.one("tab", TABS[0], TABS)
