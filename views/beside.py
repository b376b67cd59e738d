"""What stands beside the map: the picked place, the ranked areas or the ranked hexagons.

A pick is a cell as H3 writes it, an area's id after an ``a``, the number of an outline after
an ``o``, or that of a line after an ``l``. The map hands a click over as a feature; the lists hand theirs to the map (``static/rasd/shell.js``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from data.maps import FINEST
from geo.errors import RasdError
from layers import hexpack
from views import answers, cards, filters, listing, methods, notices, state
from views.method import Finding
from views.results import Drawn

LISTED = 12  # hexagons in the list


def bind_pick(territory: str) -> None:
    """Bind what is picked to the address; it is dropped with its territory."""
    if st.session_state.get("_pick_territory", territory) != territory:
        st.session_state["pick"] = ""
    st.session_state["_pick_territory"] = territory
    state.text("pick")


def read_pick(feature: dict[str, Any] | None) -> str | None:
    """The pick that a click on the map means, "" when it closes the card, None for no click."""
    properties = (feature or {}).get("properties") or {}
    if "area" in properties:
        return f"a{int(properties['area'])}"
    if "line" in properties:
        return f"l{int(properties['line'])}"
    if "outline" in properties:
        return f"o{int(properties['outline'])}"
    if "res" in properties:
        index = hexpack.cell_at(properties["lat"], properties["lng"], int(properties["res"]))
        return f"{index:x}"
    return "" if properties.get("none") else None


def place_of(pick: str) -> tuple[tuple[str, float], ...]:
    """A pick as the map wants it; nothing when it is not well formed."""
    for letter, kind in (("a", "area"), ("o", "outline"), ("l", "line")):
        number = numbered(pick, letter)
        if number is not None:
            return ((kind, number),)
    index = cell_of(pick)
    if index is None:
        return ()
    lat, lng, resolution = hexpack.cell_point(index)
    return (("lat", lat), ("lng", lng), ("res", resolution))


def numbered(pick: str, letter: str) -> int | None:
    """The number after a letter; None when the pick is another kind of thing."""
    digits = pick[1:]
    usable = pick.startswith(letter) and digits.isascii() and digits.isdecimal() and len(digits) < 11
    return int(digits) if usable else None


def cell_of(pick: str) -> int | None:
    """The H3 index of a pick, or None when it is none."""
    try:
        index = int(pick, 16)
    except ValueError:
        return None
    return index if hexpack.is_cell(index) else None


def take_click(feature: dict[str, Any] | None) -> None:
    """Take a click once: the map repeats its last answer on every run."""
    stamp = ((feature or {}).get("properties") or {}).get("t")
    if stamp is None or stamp == st.session_state.get("_clicked"):
        return
    st.session_state["_clicked"] = stamp
    pick = read_pick(feature)
    if pick is None:
        return
    st.session_state["_pane"] = int(((feature or {}).get("properties") or {}).get("pane", 0))
    state.put("pick", pick)
    if pick:
        st.session_state["beside"] = "pick"
    elif st.session_state.get("beside") == "pick":
        st.session_state["beside"] = st.session_state.get("_list", "areas")


def draw(drawn: Drawn) -> None:
    """The switch and what it chooses."""
    words, scene = drawn.scene.words, drawn.scene
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
            _card(drawn)
        except RasdError as error:
            st.html(notices.failure(words, str(error)))
        return
    st.session_state["_list"] = shown
    if shown == "cells":
        _cells(drawn)
        return
    ranked = answers.level(scene.version, scene.query)
    if ranked.name is None:
        st.caption(words("rank.empty"))
    else:
        st.html(cards.ranked_areas(words, ranked.name, ranked.rows))


def _cells(drawn: Drawn) -> None:
    """The first hexagons of the method's table; each line shows its cell on the map."""
    words, scene = drawn.scene.words, drawn.scene
    found = None if drawn.result is None else methods.get(drawn.code).table(words, drawn.result)
    if found is None or not len(found.order):
        st.html(cards.ranked_cells(words, "", []))
        return
    rows = answers.ranked_cells(scene.version, scene.query.territory_id, words, found, LISTED)
    st.html(cards.ranked_cells(words, found.title, rows))


def _card(drawn: Drawn) -> None:
    words, pick, shown = drawn.scene.words, st.session_state["pick"], drawn.picked()
    version, query = shown.scene.version, shown.scene.query
    heading = cards.note(shown.name) if shown.name else ""
    area = numbered(pick, "a")
    if area is not None:
        ranked = answers.level(version, query)
        row = next((r for r in ranked.rows if r.id == area), None)
        if row is not None:
            narrowed = filters.within(query, ranked.name, row.id)
            st.html(
                heading
                + cards.area_card(
                    words,
                    row,
                    answers.headline(version, narrowed) if narrowed else None,
                    answers.monthly(version, narrowed) if narrowed else [],
                    answers.kinds(version, narrowed) if narrowed else [],
                )
            )
            return
    outline = outlined(drawn)
    if outline is not None:
        st.html(heading + cards.outline_card(words, outline))
        return
    index = cell_of(pick)
    if index is None:
        st.caption(words("card.hint"))
        return
    found = None
    if shown.result is not None:
        found = methods.get(drawn.code).finding(words, shown.result, index)
    both = ""
    if len(drawn.shown) == 2:
        counts = [(s.name, answers.cell(version, s.scene.query, index).count) for s in drawn.shown]
        both = cards.both(counts)
    st.html(both + cards.cell_card(words, answers.cell(version, query, index), found))


def outlined(drawn: Drawn) -> Finding | None:
    """The picked outline, if one is picked and the method still has it."""
    number, shown = numbered(st.session_state["pick"], "o"), drawn.picked()
    if number is None or shown.result is None:
        return None
    return methods.get(drawn.code).outlined(drawn.scene.words, shown.result, number)


def reports(drawn: Drawn) -> None:
    """The reports behind the picked hexagon or outline, below the map."""
    shown, index = drawn.picked(), cell_of(st.session_state["pick"])
    query, found = shown.scene.query, outlined(drawn)
    if found is not None and found.cells is not None:
        query = replace(query, start=found.start or query.start, end=found.end or query.end)
        listing.draw(drawn.scene.words, shown.scene.version, query, tuple(found.cells.tolist()))
    elif index is not None and hexpack.cell_point(index)[2] <= FINEST:
        listing.draw(drawn.scene.words, shown.scene.version, query, (index,))
