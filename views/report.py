"""The Report page: file a report on the spot, and see what became of it.

The page reads from top to bottom: what was just filed, where it is (map), what it is, what
will become of it, Send; and the reporter's own list. On a phone the parts stand one below the
other in that order. Everything is asked and written as the signed-in user.
"""

from __future__ import annotations

import streamlit as st

from data.elements import alias_pairs, element_entries, work_units
from data.territories import Territory
from ingest.element_search import ElementSearch
from views import access, cards, frame, notices, state, style
from views.access import connection
from views.filing import check, draft, own, what, where
from views.filing.draft import Setting
from views.words import Words


def page() -> None:
    """The whole page; errors of ours become a sentence."""
    frame.draw("report", _body, styled=style.uploader)


def _body(words: Words) -> None:
    chosen = frame.territory(words)
    if chosen is None:
        return
    reference = state.text(check.FILED)
    state.finish()
    name = words.pick(chosen.name_ar, chosen.name_en)
    st.html(
        f'<div class="rd-head"><h1>{cards.esc(words("filing.page"))}</h1><p><bdi>{cards.esc(name)}</bdi></p></div>'
    )
    if chosen.simulated:
        st.html(notices.simulated(words, illustrative=False))
    setting = _setting(words, chosen)
    done = own.told(words)
    if done:
        st.html(done)
    if reference:
        with st.container(border=True, key="rasd_status"):
            own.status(setting, reference)
    _form(setting)
    with st.container(key="rasd_lists"):
        own.lists(setting)


def _form(setting: Setting) -> None:
    """Map on one side, fields on the other; on a phone one below the other."""
    words = setting.words
    written = draft.current(setting.territory)
    left, right = st.columns([1.25, 1], gap="medium")
    with left:
        st.html(cards.title(words("filing.where")))
        where.draw(setting, written)
        map_place = st.container()
    with right:
        st.html(cards.title(words("filing.what")))
        said = what.draw(setting, written, _search())
        outlook = check.look(setting, written, said.element_id)
        with st.container(key="rasd_send"):
            st.html(cards.title(words("filing.check")))
            check.draw(setting, written, said, outlook)
    # Drawn last, in its place: it shows what is open nearby of the element that was chosen.
    with map_place:
        where.chart(setting, written, () if outlook is None else outlook.beside)


def _setting(words: Words, territory: Territory) -> Setting:
    with connection() as conn:
        elements = {element.id: element for element in element_entries(conn)}
        units = work_units(conn)
    return Setting(words, territory, access.version(territory), elements, units)


@st.cache_resource(show_spinner=False)
def _search() -> ElementSearch:
    with connection() as conn:
        return ElementSearch(element_entries(conn), alias_pairs(conn))
