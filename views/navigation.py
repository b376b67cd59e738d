"""The switch between the pages: where reports concentrate, and where to go.

Streamlit's own links drop the address; these carry everything the session holds that is
not at its default, so a page is found as it was left and a link opened in another tab
shows the same. The switch is drawn before the page binds anything, so that nothing jumps;
what this run will still change the session knows when a link is followed. Every page is
behind the gate of ``views/access.py``, and the links are those of the user's role.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from data.life import Role
from views import access, account, doors, state
from views.words import Words

CODES = ("hotspots", "campaigns", "audit")
_PAGES = "_pages"


def run(pages: Mapping[str, Callable[[], None]]) -> None:
    """Register the pages (code to function, the first one opens at ``/``) and run the asked one."""
    first = next(iter(pages))
    made = {
        code: st.Page(access.guarded(code, function), title="Rasd", url_path=code, default=code == first)
        for code, function in pages.items()
    }
    st.session_state[_PAGES] = made
    st.navigation(list(made.values()), position="hidden").run()


def lead(here: str, role: Role) -> None:
    """From the page that opens at ``/`` to the first one that is for a role."""
    pages = st.session_state.get(_PAGES, {})
    there = next((code for code in pages if code in doors.SHOWN and doors.opens(role, code)), here)
    if here == next(iter(pages), here) and there != here:
        st.switch_page(pages[there], query_params=st.query_params.to_dict())


def switch(words: Words, here: str) -> None:
    """Draw the links; call it after ``state.begin``, before anything else is drawn."""
    pages = st.session_state.get(_PAGES, {})
    offered = state.everything()
    role = access.principal().role
    account.draw(words)
    with st.container(horizontal=True, key="rasd_pages"):
        for code, page in pages.items():
            if code not in doors.SHOWN or not doors.opens(role, code):
                continue
            with st.container(key=f"rasd_page_{code}_{'on' if code == here else 'off'}", width="content"):
                st.page_link(page, label=words(f"pages.{code}"), query_params=offered)
