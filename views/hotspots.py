"""The Hotspots page: one question at a time, on a map by hexagon and beside it in lists.

The page reads from top to bottom: filters, figures, question, map with cards and rankings,
table, months, download. Which questions there are is said in ``views/methods``. Moving the
map never runs the page; a click runs only the fragment around the map. Counts are of
reports, not of risk, and the page says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
from streamlit_folium import st_folium

from data.query import ReportQuery
from data.settings import settings
from data.summaries import Choices
from geo.errors import InputError
from geo.remarks import Remark
from layers import hexmap
from views import (
    access,
    answers,
    beside,
    cards,
    compare,
    downloads,
    filters,
    frame,
    incidents,
    methods,
    months,
    notices,
    results,
    state,
    table,
)
from views.method import Scene
from views.remarks import sentence
from views.results import Drawn, Shown
from views.words import Words

MAP_HEIGHT = 620  # before the style sheet sets it by screen size


def page() -> None:
    """The whole page; errors of ours become a sentence."""
    frame.draw("hotspots", _body)


def _body(words: Words) -> None:
    chosen = frame.territory(words)
    if chosen is None:
        return
    version = access.version(chosen)
    found = answers.choices(version, chosen.id)
    with st.sidebar:
        view = filters.draw(words, chosen.id, found)
    beside.bind_pick(chosen.code)
    whole = ReportQuery(chosen.id, default_points=view.query.default_points)
    ranked = answers.level(version, whole)
    # In containers: what comes and goes above the map would else make a new frame of it.
    with st.container():
        st.html(cards.head(words, words.pick(chosen.name_ar, chosen.name_en), view.period))
        if chosen.simulated:
            st.html(notices.simulated(words, illustrative=ranked.illustrative))
        elif ranked.illustrative:
            st.html(cards.note(words("illustrative.text")))
    offered = methods.available()
    code = state.one("method", offered[0], offered)
    with st.container():
        query, ready = incidents.settled(words, version, view.query, needed=methods.get(code).needs_incidents)
    headline = answers.headline(version, query)
    if found.first is None:
        st.html(notices.empty_territory(words))
    elif headline.reports == 0:
        st.html(notices.empty_result(words))
    else:
        st.html(cards.figures(words, headline, answers.monthly(version, query), incidents=query.incidents))
    scene = Scene(
        words,
        chosen.code,
        version,
        query,
        view.palette,
        found.first,
        found.last,
        answers.sizes(version, whole),
    )
    with st.container():
        drawn = _question(scene, code, offered, found, ask=ready and headline.reports > 0)
    state.finish()
    _map(drawn, whole)
    counts = answers.cells(version, drawn.scene.query)
    note = "" if methods.get(code).says_measure else cards.note(words("note.counts"))
    st.html(cards.shown(words, counts.shown, counts.left_out, incidents=query.incidents) + note)
    if headline.reports == 0:
        return
    _below(drawn)
    left, right = st.columns([2.3, 1], gap="medium")
    with left:
        months.draw(words, answers.monthly(version, query))
    with right, st.container(border=True):
        sizes = {r: v.km2 for r, v in answers.cells(version, query).levels.items() if len(v.cells)}
        downloads.draw(words, chosen.code, query, sizes, headline.reports)


# ---- the question and its answer ----


def _question(scene: Scene, code: str, offered: Sequence[str], found: Choices, *, ask: bool) -> Drawn:
    """The selector, the settings, what is compared, and the answer in words."""
    words, method = scene.words, methods.get(code)
    names = {c: results.title(words, c) for c in offered}
    st.pills(
        words("method.label"),
        offered,
        key="method",
        format_func=names.__getitem__,
        required=True,
    )
    st.html(notices.about(results.about(words, code)))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.popover(words("method.settings"), key="settings"):
            chosen = method.settings(scene)
        pair = compare.choose(scene, found) if method.comparable else None
    if pair:
        scene = replace(scene, query=pair.first)
    if not ask:
        return Drawn(code, chosen, (Shown(scene, None),))
    try:
        result = results.answer(scene, code, scene.query, chosen)
        if result is None:
            return Drawn(code, chosen, (Shown(scene, None),))
        shown = [Shown(scene, result, pair.names[0] if pair else "")]
        if pair:
            other = results.answer(scene, code, pair.second, method.fixed(chosen, result))
            shown.append(Shown(replace(scene, query=pair.second), other, pair.names[1]))
        drawn = Drawn(code, chosen, tuple(shown))
        said = compare.said(words, pair, drawn) if pair else _said(words, drawn)
    except InputError as error:  # this question cannot be answered; the counts still can
        st.html(notices.failure(words, str(error), store=False))
        return Drawn(code, chosen, (Shown(scene, None),))
    if said:
        st.html(said)
    return drawn


def _said(words: Words, drawn: Drawn) -> str:
    """The answer in a sentence, with what warns the reader."""
    method = methods.get(drawn.code)
    warned = [sentence(words, remark) for remark in _remarks(drawn) if remark.caution]
    return notices.answer(method.answer(words, drawn.result)) + notices.cautions(words, warned)


def _remarks(drawn: Drawn) -> list[Remark]:
    """Of the method and of the recording, each once."""
    own = methods.get(drawn.code).remarks(drawn.result)
    return list(dict.fromkeys([*own, *answers.warnings(drawn.scene.version, drawn.scene.query)]))


def _below(drawn: Drawn) -> None:
    """What was decided, what else the method draws, and its table."""
    if drawn.result is None:
        return
    words, method = drawn.scene.words, methods.get(drawn.code)
    remarks = [sentence(words, remark) for remark in _remarks(drawn) if not remark.caution]
    if remarks:
        st.html(notices.decisions(words("method.about_decisions"), remarks))
    method.more(drawn.scene, drawn.result, drawn.settings)
    table.draw(drawn)


# ---- the map ----


@st.fragment
def _map(drawn: Drawn, whole: ReportQuery) -> None:
    tiles = settings().tile_url
    # The first pick only: later ones the map knows by itself, and the payload stays the same.
    first = st.session_state.setdefault("_first_pick", beside.place_of(st.session_state["pick"]))
    payload = answers.map_payload(
        drawn.scene.version,
        drawn.scene.query,
        whole,
        drawn.scene.words.language,
        drawn.scene.palette,
        drawn.scene.territory,
        first,
        bool(tiles),
        drawn.code if drawn.result is not None else "",
        drawn.settings,
        drawn.shown[1].scene.query if len(drawn.shown) == 2 else None,
        drawn.shown,
    )
    left, right = st.columns([2.3, 1], gap="medium")
    with left, st.container(key="rasd_map"):
        out = st_folium(
            hexmap.base_map(tiles, settings().tile_attribution),
            key="map",
            height=MAP_HEIGHT,
            use_container_width=True,
            feature_group_to_add=hexmap.feature_group(payload),
            returned_objects=["last_active_drawing"],
        )
    beside.take_click((out or {}).get("last_active_drawing"))
    with right:
        beside.draw(drawn)
    beside.reports(drawn)
