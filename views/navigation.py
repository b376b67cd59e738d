"""The switch between the pages: where reports concentrate, and where to go.

Streamlit's own links drop the address; these carry everything the session holds that is
not at its default, so a page is found as it was left and a link opened in another tab
shows the same. The switch is drawn before the page binds anything, so that nothing jumps;
what this run will still change the session knows when a link is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from views import state
from views.words import Words

CODES = ("hotspots", "campaigns")
_PAGES = "_pages"


def run(pages: Mapping[str, Callable[[], None]]) -> None:
    """Register the pages (code to function, the first one opens at ``/``) and run the asked one."""
    first = next(iter(pages))
    made = {
        code: st.Page(function, title="Rasd", url_path=code, default=code == first)
        for code, function in pages.items()
    }
    st.session_state[_PAGES] = made
    st.navigation(list(made.values()), position="hidden").run()


def switch(words: Words, here: str) -> None:
    """Draw the links; call it after ``state.begin``, before anything else is drawn."""
    pages = st.session_state.get(_PAGES, {})
    offered = state.everything()
    with st.container(horizontal=True, key="rasd_pages"):
        for code, page in pages.items():
            with st.container(key=f"rasd_page_{code}_{'on' if code == here else 'off'}", width="content"):
                st.page_link(page, label=words(f"pages.{code}"), query_params=offered)
