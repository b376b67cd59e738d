"""Who is signed in, beside the switch between the pages: name and role, sign out.

In a demonstration it is the choice of a simulated user, under a label that says so.
"""

from __future__ import annotations

import streamlit as st

from data import demo_users, sign_in
from data.access import Principal
from data.database import connection as owner_connection
from data.sign_in import Mode
from geo.errors import Refused
from views import access
from views.cards import esc
from views.words import Words

_PEOPLE = "_demo_people"


def draw(words: Words) -> None:
    """The label and what can be done; ``views/navigation.py`` calls it on every page."""
    try:
        who = access.principal()
    except Refused:
        return
    if who.simulated:
        _demo(words, who)
        return
    with st.container(horizontal=True, key="rasd_account", vertical_alignment="center"):
        st.html(
            f'<p class="rd-who"><b><bdi>{esc(who.name)}</bdi></b> · <bdi>{esc(role(words, who))}</bdi></p>'
        )
        st.button(words("account.leave"), key="sign_out", on_click=access.leave, type="tertiary")


def role(words: Words, who: Principal) -> str:
    """What somebody is, in words."""
    if who.login == demo_users.ENTITY:
        return words("role.entity")
    return words(f"role.{who.role}")


def _demo(words: Words, who: Principal) -> None:
    """The big label and the choice of a role."""
    if _PEOPLE not in st.session_state:
        with owner_connection() as conn:
            st.session_state[_PEOPLE] = list(demo_users.offered(conn).values())
    people: list[Principal] = st.session_state[_PEOPLE]
    labels = {person.login: role(words, person) for person in people}
    with st.container(horizontal=True, key="rasd_account", vertical_alignment="center"):
        st.html(
            f'<p class="rd-who rd-demo"><b>{esc(words("account.demo"))}</b> {esc(words("account.demo_note"))}</p>'
        )
        logins = list(labels)
        st.selectbox(
            words("account.as"),
            logins,
            index=logins.index(who.login) if who.login in logins else 0,
            key="demo_as",
            format_func=labels.__getitem__,
            label_visibility="collapsed",
            on_change=_be,
            width=190,
        )


def _be() -> None:
    """Become the chosen simulated user."""
    login = str(st.session_state.get("demo_as"))
    if sign_in.mode() is Mode.DEMO:
        access.hold(sign_in.by_choice(login))
