"""Links from a list to one report's page, and back: the address goes along, as in the switch.

A link of HTML would load the page anew and with it end the session of who is signed in, so
these are Streamlit's own. Caveat: they work where ``views/navigation.py`` has registered the
page, and say so as plain text where it has not.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from views import state


def link(code: str, label: str, *, icon: str | None = None, **params: str) -> None:
    """A link to a page, with ``params`` in its address beside what is bound."""
    page = registered().get(code)
    if page is None:
        st.caption(label)
        return
    st.page_link(page, label=label, icon=icon, query_params=state.everything() | params, width="content")


def go(code: str, **params: str) -> None:
    """Open a page now; the run ends here."""
    st.switch_page(registered()[code], query_params=state.everything() | params)


def registered() -> dict[str, Any]:
    """The pages by code, as ``views/navigation.py`` keeps them in the session."""
    pages: dict[str, Any] = st.session_state.get("_pages", {})
    return pages
