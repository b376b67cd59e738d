"""What every page begins with: language, styles, the switch, the side bar, and its errors as sentences.

A page is a function of its words; ``draw`` puts the frame around it. Caveat: ``territory``
is bound first, because picked areas and elements belong to one.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from data.territories import Territory, all_territories
from geo.errors import InputError, RasdError
from views import access, cards, jobs, navigation, notices, state, style
from views.words import LANGUAGES, Words


def draw(code: str, body: Callable[[Words], None], *, styled: Callable[[Words], str] | None = None) -> None:
    """The page of a code: its frame, and ``body`` in it; errors of ours become a sentence.

    Parameters
    ----------
    styled : HTML of a style sheet that only this page has.
    """
    state.begin(code)
    jobs.begin()
    words = Words(state.one("lang", "ar", LANGUAGES))
    style.apply(words)
    if styled is not None:
        st.html(styled(words))
    navigation.switch(words, code)
    with st.sidebar:
        st.html(cards.brand(words))
        names = {language: words(f"lang.{language}") for language in LANGUAGES}
        st.segmented_control(
            words("lang.label"), LANGUAGES, key="lang", format_func=names.__getitem__, required=True
        )
    try:
        body(words)
    except RasdError as error:
        st.html(notices.failure(words, str(error), store=not isinstance(error, InputError)))
    jobs.finish()


def territory(words: Words) -> Territory | None:
    """The chosen territory, with its choice in the side bar where there are several.

    None for an empty store: the page then says how to fill it.
    """
    with access.connection() as conn:
        found = {t.code: t for t in all_territories(conn)}
    if not found:
        state.finish()
        st.html(notices.empty_store(words))
        return None
    with st.sidebar:
        chosen = found[state.one("territory", next(iter(found)), list(found))]
        if len(found) > 1:
            labels = {code: words.pick(t.name_ar, t.name_en) for code, t in found.items()}
            st.selectbox(
                words("filters.territory"), list(found), key="territory", format_func=labels.__getitem__
            )
    return chosen
