"""What stands in the place of a page while nobody is signed in, or when it is not for their role.

A form for the users file, a button for the identity provider. A refusal never says whether
the name or the password was wrong. Caveat: the session lives with the connection of the
browser's tab, so a page that is loaded anew asks for the password again.
"""

from __future__ import annotations

import streamlit as st

from data import sign_in
from data.sign_in import Mode, NotYet, Unknown
from geo.errors import RasdError, StoreError
from views import access, cards, doors, navigation, notices, state, style
from views.cards import esc
from views.words import LANGUAGES, Words, number


def _begin() -> Words:
    state.begin("sign_in")
    words = Words(state.one("lang", "ar", LANGUAGES))
    style.apply(words)
    return words


def _language(words: Words) -> None:
    names = {code: words(f"lang.{code}") for code in LANGUAGES}
    st.segmented_control(
        words("lang.label"), LANGUAGES, key="lang", format_func=names.__getitem__, required=True,
        label_visibility="collapsed",
    )  # fmt: skip


def page() -> None:
    """Sign in; the address stays, so the page that was asked for opens afterwards."""
    words = _begin()
    with st.container(key="rasd_sign_in", width=460):
        st.html(cards.brand(words))
        _language(words)
        if st.session_state.pop(access.ENDED, False):
            st.html(cards.note(words("sign_in.ended")))
        if sign_in.mode() is Mode.OIDC:
            _provider(words)
        else:
            _password(words)


def _password(words: Words) -> None:
    with st.form("sign_in", clear_on_submit=True):
        st.html(cards.title(words("sign_in.title")))
        login = st.text_input(
            words("sign_in.login"), key="sign_in_login", max_chars=80, autocomplete="username"
        )
        password = st.text_input(
            words("sign_in.password"),
            key="sign_in_password",
            type="password",
            max_chars=256,
            autocomplete="current-password",
        )
        pressed = st.form_submit_button(words("sign_in.button"), type="primary", width="stretch")
    if pressed:
        try:
            made = sign_in.by_password(login, password, access.caller())
        except NotYet as error:
            st.html(notices.cautions(words, [words("sign_in.wait", seconds=number(error.seconds + 0.5))]))
        except Unknown:
            st.html(notices.cautions(words, [words("sign_in.wrong")]))
        except RasdError as error:
            st.html(notices.failure(words, str(error), store=False))
        else:
            access.hold(made)
            st.rerun()
    st.html(cards.note(words("sign_in.reload")))


def _provider(words: Words) -> None:
    refused = st.session_state.pop("_refused", "")
    st.html(cards.title(words("sign_in.title")))
    if refused:
        st.html(notices.failure(words, refused, store=False))
        st.button(words("sign_in.other"), key="sign_out", on_click=st.logout)
        return
    st.button(words("sign_in.provider"), key="sign_in_provider", type="primary", on_click=st.login)


def closed(code: str) -> None:
    """The page is not for this role: from the first page they are led to one that is."""
    navigation.lead(code, access.principal().role)
    words = _begin()
    navigation.switch(words, code)
    with st.sidebar:
        st.html(cards.brand(words))
        _language(words)
    role = words(f"role.{access.principal().role}")
    whose = words("closed.comma").join(words(f"role.{one}") for one in doors.PAGES[code])
    st.html(
        f'<div class="rd-empty"><h2>{esc(words("closed.title"))}</h2>'
        f"<p>{esc(words('closed.text', role=role, roles=whose))}</p></div>"
    )


def broken(error: RasdError) -> None:
    """No way of signing in is open: say why, and let nobody in."""
    words = _begin()
    with st.container(key="rasd_sign_in"):
        st.html(cards.brand(words))
        _language(words)
        st.html(notices.failure(words, str(error), store=isinstance(error, StoreError)))
