"""The Campaigns page: where to send the teams, what they will find, and was it worth it.

The page reads from top to bottom: which kind of campaign, its inputs, Propose, the answer
in a sentence, the map with its numbered areas and the card of the picked one, and below it
all areas, the proof, scenarios side by side, saving and handing out. Saved plans are the
fourth choice. Inputs change nothing until Propose is pressed; everything is in the address.
"""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from data.query import ReportQuery
from geo.errors import InputError
from views import access, answers, cards, filters, frame, incidents, notices, state
from views.studio import codes, inputs, mapping, results, saved, scenarios
from views.studio.proposals import ask, reports_of, routed
from views.studio.setting import Setting, options
from views.words import Words

WHAT = (*codes.KINDS, "saved")


def page() -> None:
    """The whole page; errors of ours become a sentence."""
    frame.draw("campaigns", _body)


def _body(words: Words) -> None:
    chosen = frame.territory(words)
    if chosen is None:
        return
    version = access.version(chosen)
    found = answers.choices(version, chosen.id)
    with st.sidebar:
        view = filters.draw(words, chosen.id, found)
    mapping.bind_pick(chosen.code)
    whole = ReportQuery(chosen.id, default_points=view.query.default_points)
    with st.container():
        st.html(cards.head(words, words.pick(chosen.name_ar, chosen.name_en), view.period, "studio.page"))
        illustrative = answers.level(version, whole).illustrative
        if chosen.simulated:
            st.html(notices.simulated(words, illustrative=illustrative))
        elif illustrative:
            st.html(cards.note(words("illustrative.text")))
    if found.first is None:
        state.finish()
        st.html(notices.empty_territory(words))
        return
    setting = Setting(
        words,
        chosen.code,
        chosen.id,
        version,
        reports_of(view.query),
        whole,
        view.palette,
        options(words, found, answers.sizes(version, whole)),
    )
    what = _what(words, setting)
    if what == "saved":
        saved.draw(setting)
    else:
        _propose(setting, codes.kind_of(what))


def _what(words: Words, setting: Setting) -> str:
    """The four choices."""
    what = state.one("what", WHAT[0], WHAT)
    names = {code: words(f"what.{code}") for code in WHAT}
    with st.container():
        st.segmented_control(
            words("what.label"),
            WHAT,
            key="what",
            format_func=names.__getitem__,
            required=True,
            label_visibility="collapsed",
        )
        st.html(notices.about(words(f"what.{what}_about")))
        narrowed = setting.query != replace(setting.whole)
        if narrowed and what != "saved":
            st.html(cards.note(words("studio.filtered")))
    return what


def _propose(setting: Setting, kind: codes.Kind) -> None:
    """Inputs, Propose, and what comes of it."""
    words, query = setting.words, setting.query
    with st.container(border=True, key="rasd_inputs"):
        try:
            terms = inputs.draw(words, kind, setting.options)
        except InputError as error:
            st.html(notices.failure(words, str(error), store=False))
            terms = None
        pressed = st.button(
            words("studio.propose"), type="primary", key="propose", disabled=terms is None, width=230
        )
    scenarios.bind()
    results.bind_tab()
    question = scenarios.asked(kind, query, terms, pressed=pressed)
    asked, plan = None, None
    with st.container():
        _, ready = incidents.settled(words, setting.version, query, needed=question is not None)
        if question is not None and ready:
            if (query, terms) != question:
                st.html(notices.cautions(words, [words("studio.changed")]))
            asked = ask(words, setting.version, *question)
            plan = results.solved(setting, asked)
        days = routed(words, asked) if asked is not None and plan is not None else None
    state.finish()
    source = (asked.key, days is not None) if asked and plan else ""
    mapping.draw(setting, kind, days or plan, source, terms)
    results.below(setting, days or plan, asked, whole=days is not None)
