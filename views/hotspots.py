"""The Hotspots page: where reports concentrate, on a map by hexagon and beside it in lists.

The page reads from top to bottom: filters, figures, map with cards and rankings, months,
download. Moving the map never runs it; a click runs only the fragment around the map.
Counts are of reports, not of risk, and the page says so.
"""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import pandas as pd
import streamlit as st
from streamlit_folium import st_folium

from data.database import connection
from data.query import ReportQuery
from data.settings import settings
from data.territories import all_territories
from geo.errors import RasdError
from layers import hexmap, hexpack
from views import answers, cards, downloads, filters, state, style
from views.filters import View
from views.words import LANGUAGES, Words

MAP_HEIGHT = 620  # before the style sheet sets it by screen size
FEW_MONTHS = 4  # so few bars would be as wide as walls
BAR_WIDTH = 48  # px
DEFAULTS: dict[str, Any] = {"lang": "ar", "period": "all", "colours": "ember"}


def page() -> None:
    """The whole page; errors of ours become a sentence."""
    state.begin()
    language = state.one("lang", "ar", LANGUAGES)
    words = Words(language)
    style.apply(words)
    with st.sidebar:
        st.html(cards.brand(words))
        names = {code: words(f"lang.{code}") for code in LANGUAGES}
        st.segmented_control(
            words("lang.label"),
            LANGUAGES,
            key="lang",
            format_func=names.__getitem__,
            required=True,
        )
    try:
        _body(words)
    except RasdError as error:
        st.html(cards.failure(words, str(error)))


def _body(words: Words) -> None:
    with connection() as conn:
        territories = {t.code: t for t in all_territories(conn)}
    if not territories:
        state.finish(DEFAULTS)
        st.html(cards.empty_store(words))
        return
    newest = next(iter(territories))
    with st.sidebar:
        # Picked ids belong to one territory, so its code is bound before everything else.
        chosen = territories[state.one("territory", newest, list(territories))]
        if len(territories) > 1:
            labels = {code: words.pick(t.name_ar, t.name_en) for code, t in territories.items()}
            st.selectbox(
                words("filters.territory"), list(territories), key="territory", format_func=labels.__getitem__
            )
    version = chosen.data_version
    found = answers.choices(version, chosen.id)
    with st.sidebar:
        view = filters.draw(words, chosen.id, found)
    _bind_pick(chosen.code)
    state.finish(DEFAULTS | {"territory": newest})
    whole = ReportQuery(chosen.id, default_points=view.query.default_points)
    ranked = answers.level(version, whole)
    st.html(cards.head(words, words.pick(chosen.name_ar, chosen.name_en), view.period))
    if chosen.simulated:
        st.html(cards.simulated(words, illustrative=ranked.illustrative))
    elif ranked.illustrative:
        st.html(cards.note(words("illustrative.text")))
    headline = answers.headline(version, view.query)
    months = answers.monthly(version, view.query)
    if found.first is None:
        st.html(cards.empty_territory(words))
    elif headline.reports == 0:
        st.html(cards.empty_result(words))
    else:
        st.html(cards.figures(words, headline, months))
    _map(words, chosen.code, version, view, whole)
    counts = answers.cells(version, view.query)
    st.html(cards.shown(words, counts.shown, counts.left_out) + cards.note(words("note.counts")))
    if headline.reports == 0:
        return
    left, right = st.columns([2.3, 1], gap="medium")
    with left:
        _months(words, months)
    with right, st.container(border=True):
        sizes = {r: v.km2 for r, v in counts.levels.items() if len(v.cells)}
        downloads.draw(words, chosen.code, view.query, sizes, headline.reports)


# ---- the map, its card and the rankings ----


def _bind_pick(territory: str) -> None:
    """What is picked: a cell as in H3, or an area's id after an ``a``; dropped with its territory."""
    if st.session_state.get("_pick_territory", territory) != territory:
        st.session_state["pick"] = ""
    st.session_state["_pick_territory"] = territory
    state.text("pick")


def read_pick(feature: dict[str, Any] | None) -> str | None:
    """The pick that a click on the map means, "" when it closes the card, None for no click."""
    properties = (feature or {}).get("properties") or {}
    if "area" in properties:
        return f"a{int(properties['area'])}"
    if "res" in properties:
        index = hexpack.cell_at(properties["lat"], properties["lng"], int(properties["res"]))
        return f"{index:x}"
    return "" if properties.get("none") else None


def _pick_place(pick: str) -> tuple[tuple[str, float], ...]:
    """A pick as the map wants it; nothing when it is not well formed."""
    if pick.startswith("a") and pick[1:].isdecimal() and len(pick) < 12:
        return (("area", int(pick[1:])),)
    index = _cell_of(pick)
    if index is None:
        return ()
    lat, lng, resolution = hexpack.cell_point(index)
    return (("lat", lat), ("lng", lng), ("res", resolution))


def _cell_of(pick: str) -> int | None:
    try:
        index = int(pick, 16)
    except ValueError:
        return None
    return index if hexpack.is_cell(index) else None


@st.fragment
def _map(words: Words, territory: str, version: int, view: View, whole: ReportQuery) -> None:
    tiles = settings().tile_url
    # The first pick only: later ones the map knows by itself, and the payload stays the same.
    first = st.session_state.setdefault("_first_pick", _pick_place(st.session_state["pick"]))
    payload = answers.map_payload(
        version, view.query, whole, words.language, view.palette, territory, first, bool(tiles)
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
    _take_click((out or {}).get("last_active_drawing"))
    with right:
        _beside(words, version, view.query)


def _take_click(feature: dict[str, Any] | None) -> None:
    """Take a click once: the map repeats its last answer on every run."""
    stamp = ((feature or {}).get("properties") or {}).get("t")
    if stamp is None or stamp == st.session_state.get("_clicked"):
        return
    st.session_state["_clicked"] = stamp
    pick = read_pick(feature)
    if pick is None:
        return
    state.put("pick", pick)
    if pick:
        st.session_state["beside"] = "pick"
    elif st.session_state.get("beside") == "pick":
        st.session_state["beside"] = st.session_state.get("_list", "areas")


def _card(words: Words, version: int, query: ReportQuery) -> None:
    pick = st.session_state["pick"]
    if pick.startswith("a") and pick[1:].isdecimal():
        ranked = answers.level(version, query)
        row = next((r for r in ranked.rows if r.id == int(pick[1:])), None)
        if row is not None:
            narrowed = filters.within(query, ranked.name, row.id)
            st.html(
                cards.area_card(
                    words,
                    row,
                    answers.headline(version, narrowed) if narrowed else None,
                    answers.monthly(version, narrowed) if narrowed else [],
                    answers.kinds(version, narrowed) if narrowed else [],
                )
            )
            return
    index = _cell_of(pick)
    if index is not None:
        st.html(cards.cell_card(words, answers.cell(version, query, index)))
        return
    st.caption(words("card.hint"))


def _beside(words: Words, version: int, query: ReportQuery) -> None:
    """What stands beside the map: the picked place, the ranked areas or the ranked cells."""
    if "beside" not in st.session_state:
        st.session_state["beside"] = "pick" if st.session_state["pick"] else "areas"
    names = {"areas": words("rank.areas"), "cells": words("rank.cells"), "pick": words("rank.pick")}
    shown = st.segmented_control(
        words("rank.label"),
        list(names),
        key="beside",
        format_func=names.__getitem__,
        required=True,
        label_visibility="collapsed",
    )
    if shown == "pick":
        try:
            _card(words, version, query)
        except RasdError as error:
            st.html(cards.failure(words, str(error)))
        return
    st.session_state["_list"] = shown
    if shown == "areas":
        ranked = answers.level(version, query)
        if ranked.name is None:
            st.caption(words("rank.empty"))
        else:
            st.html(cards.ranked_areas(words, ranked.name, ranked.rows))
    else:
        km2, rows = answers.ranked_cells(version, query, words.language)
        st.html(cards.ranked_cells(words, km2, rows))


# ---- months ----


def _months(words: Words, months: list) -> None:
    """Reports by month as bars; months that are cut short are paler."""
    frame = pd.DataFrame(
        {
            "month": [words.month(m.month) for m in months],
            "count": [m.count for m in months],
            "open": [m.open for m in months],
            "opacity": [0.45 if m.partial else 1.0 for m in months],
        }
    )
    side: Literal["right", "left"] = "right" if words.rtl else "left"
    axis = alt.Axis(
        labelAngle=-45 if len(months) > 8 else 0, labelOverlap="greedy", labelLimit=120, title=None
    )
    chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadiusEnd=3, size=BAR_WIDTH if len(months) <= FEW_MONTHS else alt.Undefined)
        .encode(
            # Time runs from left to right in both languages, as in printed Arabic reports.
            x=alt.X("month:O", sort=None, axis=axis),
            y=alt.Y("count:Q", axis=alt.Axis(orient=side, title=None, tickMinStep=1, format=",d")),
            opacity=alt.Opacity("opacity:Q", scale=None, legend=None),
            tooltip=[
                alt.Tooltip("month:N", title=words("chart.month")),
                alt.Tooltip("count:Q", title=words("chart.count"), format=",d"),
                alt.Tooltip("open:Q", title=words("chart.open"), format=",d"),
            ],
        )
        .properties(height=230, padding={"left": 8, "right": 12, "top": 8, "bottom": 4})
    )
    with st.container(border=True):
        st.html(cards.title(words("chart.title")))
        st.altair_chart(chart, width="stretch", alt=words("chart.alt"))
        if any(m.partial for m in months):
            st.caption(words("chart.partial"))
