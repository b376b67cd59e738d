"""The Access page, for administrators: who may sign in, and the trail of what was done.

Users are changed by a command on the machine, not here: a page that could make users would
be worth stealing. The trail is read in pages, newest first; its download is in it too.
"""

from __future__ import annotations

import datetime as dt
import functools
import io
import json

import polars as pl
import streamlit as st

from data import audit
from data.audit import Entry, Person
from data.sheets import CsvSheet
from views import access, cards, frame, notices, state
from views.access import connection
from views.cards import esc
from views.words import Words

LINES = 50
DOWNLOAD_MOST = 100_000
PEOPLE_HEADS = ("login", "name", "role", "places", "party", "active", "seen")
TRAIL_HEADS = ("at", "who", "action", "object", "detail")
DETAIL_MOST = 160  # characters
COMMAND = "./rasd users --help"


def page() -> None:
    """The whole page; errors of ours become a sentence."""
    frame.draw("audit", _body)


def _body(words: Words) -> None:
    with connection() as conn:
        people = audit.people(conn)
        action = state.one("act", "", ("", *audit.ACTIONS))
        login = state.one("who", "", ("", *(person.login for person in people)))
        before = state.whole("older", 0, 0, 10**11)
        found = audit.trail(
            conn, limit=LINES + 1, before=before or None, login=login or None, action=action or None
        )
    state.finish()
    st.html(f'<div class="rd-head"><h1>{esc(words("trail.page"))}</h1></div>')
    with st.container(border=True):
        st.html(cards.title(words("trail.people")) + people_table(words, people))
        st.html(notices.command(words("trail.command"), COMMAND))
    with st.container(border=True):
        st.html(cards.title(words("trail.entries")))
        _filters(words, people)
        st.html(trail_table(words, found[:LINES]) if found else cards.note(words("trail.empty")))
        with st.container(horizontal=True):
            if len(found) > LINES:
                st.button(words("trail.more"), key="trail_more", on_click=_older, args=(found[LINES - 1].id,))
            st.download_button(
                words("trail.download"),
                access.carried(functools.partial(make, action or None, login or None)),
                file_name="rasd_audit.csv",
                mime="text/csv",
                on_click="ignore",
                key="trail_download",
            )


def _filters(words: Words, people: list[Person]) -> None:
    kinds: dict[str, str] = {"": words("trail.all")} | {code: words(f"deed.{code}") for code in audit.ACTIONS}
    logins = {"": words("trail.all")} | {person.login: person.login for person in people}
    with st.container(horizontal=True):
        st.selectbox(
            words("trail.filter"), list(kinds), key="act", format_func=kinds.__getitem__, on_change=_newest
        )
        st.selectbox(
            words("trail.login"), list(logins), key="who", format_func=logins.__getitem__, on_change=_newest
        )


def _newest() -> None:
    state.reset("older")


def _older(last: int) -> None:
    st.session_state["older"] = last


def people_table(words: Words, people: list[Person]) -> str:
    """Users, with where they may look."""
    if not people:
        return cards.note(words("trail.none"))
    body = "".join(
        _row(
            (
                person.login,
                person.name,
                words(f"role.{person.role}"),
                " · ".join(person.places) or "–",
                person.party or "–",
                words("visit.yes") if person.active else words("visit.no"),
                _moment(words, person.seen),
            )
        )
        for person in people
    )
    return _table(words, PEOPLE_HEADS, body)


def trail_table(words: Words, entries: list[Entry]) -> str:
    """What was done, newest first."""
    known = set(audit.ACTIONS)
    body = "".join(
        _row(
            (
                _moment(words, entry.at),
                f"{entry.login} · {entry.role}" if entry.role else entry.login,
                words(f"deed.{entry.action}") if entry.action in known else entry.action,
                entry.object,
                _short(json.dumps(dict(entry.detail), ensure_ascii=False, default=str)),
            )
        )
        for entry in entries
    )
    return _table(words, TRAIL_HEADS, body)


def make(action: str | None, login: str | None) -> bytes:
    """The trail as a CSV file, newest first; taking it out is told to it as well."""
    out = io.BytesIO()
    with connection() as conn:
        entries = audit.trail(conn, limit=DOWNLOAD_MOST, login=login, action=action)
        access.took_out(conn, "audit", len(entries), action=action, login=login)
    frame = pl.DataFrame(
        {
            "at": [entry.at.astimezone(dt.UTC) for entry in entries],
            "login": [entry.login for entry in entries],
            "role": [entry.role for entry in entries],
            "action": [entry.action for entry in entries],
            "object": [entry.object for entry in entries],
            "detail": [json.dumps(dict(e.detail), ensure_ascii=False, default=str) for e in entries],
        },
        schema={"at": pl.Datetime("us", "UTC")} | dict.fromkeys(
            ("login", "role", "action", "object", "detail"), pl.String
        ),
    )  # fmt: skip
    CsvSheet(out).write(frame)
    return out.getvalue()


def _short(text: str) -> str:
    return text if len(text) <= DETAIL_MOST else f"{text[:DETAIL_MOST]} …"


def _moment(words: Words, at: dt.datetime | None) -> str:
    if at is None:
        return "–"
    local = at.astimezone(dt.UTC)
    return f"{words.date(local.date(), hijri=False)} {local:%H:%M} UTC"


def _row(cells: tuple[str, ...]) -> str:
    return "<tr>" + "".join(f"<td><bdi>{esc(cell)}</bdi></td>" for cell in cells) + "</tr>"


def _table(words: Words, keys: tuple[str, ...], body: str) -> str:
    heads = "".join(f"<th>{esc(words(f'trailhead.{key}'))}</th>" for key in keys)
    return f'<div class="rd-wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
