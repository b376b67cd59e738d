"""The reports behind a picked place, newest first, a page at a time."""

from __future__ import annotations

import streamlit as st

from data.query import ReportQuery
from views import answers, cards
from views.words import Words, number

LINES = 10


@st.fragment
def draw(words: Words, version: int, query: ReportQuery, cells: tuple[int, ...]) -> None:
    """The list and its two buttons; turning a page runs nothing else."""
    place = (query, cells)
    if st.session_state.get("_listed") != place:
        st.session_state["_listed"], st.session_state["_page"] = place, 0
    page = int(st.session_state["_page"])
    found = answers.behind(version, query, cells, page * LINES, LINES)
    if not found.lines:
        return
    with st.container(border=True, key="rasd_list"):
        st.html(cards.title(words("list.title")) + cards.report_list(words, found.lines))
        if not page and not found.more:
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            first, last = page == 0, not found.more
            st.button(words("list.newer"), disabled=first, key="list_newer", on_click=_turn, args=(-1,))
            st.html(cards.note(words("list.page", n=number(page + 1))))
            st.button(words("list.older"), disabled=last, key="list_older", on_click=_turn, args=(1,))


def _turn(step: int) -> None:
    st.session_state["_page"] = max(int(st.session_state["_page"]) + step, 0)
