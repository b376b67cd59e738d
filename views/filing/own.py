"""After it is sent: the reference number, how the report stands, and the reporter's own list."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from data import actions, following, photos
from data.following import OwnReport
from data.vocabulary import FINAL
from geo.errors import RasdError
from views import access, doors, notices, state
from views.access import connection
from views.cards import esc, note, title
from views.filing.check import DONE, FILED, moment
from views.filing.draft import Setting
from views.words import Words

MOST = 12
_MOST_REFERENCE = 60


def told(words: Words) -> str:
    """What was just done, in a sentence; "" when nothing was."""
    done = st.session_state.pop(DONE, None)
    if not done:
        return ""
    what, reference = done
    if what == "fault":
        return notices.failure(words, reference, store=False)
    text = words("filing.done_filed") if what == "filed" else words("filing.done_followed")
    return (
        f'<div class="rd-done" role="status"><span>{esc(text)}</span>'
        f'<b><bdi dir="ltr">{esc(reference)}</bdi></b>'
        f"<small>{esc(words('filing.done_note'))}</small></div>"
    )


def status(setting: Setting, reference: str) -> None:
    """The card of one report: its status, its course, and following it."""
    words = setting.words
    with connection() as conn:
        found = following.find(conn, setting.territory.id, reference)
        if found is None:
            st.html(note(words("filing.not_found")))
            return
        course = actions.steps(conn, found.report_id)
        many, own = following.follows(conn, found.report_id)
        pictures = len(photos.photos_of(conn, found.report_id))
    zone = setting.territory.timezone
    rows = "".join(
        f"<li><bdi>{esc(moment(words, step.at, zone)) if step.at else '–'}</bdi>"
        f"<b>{esc(words.status(step.status))}</b></li>"
        # The filing itself stands at the moment of the opening: told once.
        for step in course
        if step.seq != 1 or step.status != course[0].status
    )
    more = [words.pick(found.element_ar, found.element_en) if found.element_en else words("filing.unsorted")]
    if found.municipality_ar or found.municipality_en:
        more.append(words.pick(found.municipality_ar, found.municipality_en))
    if found.due_at is not None and found.status not in FINAL:
        more.append(f"{words('filing.until')} {moment(words, found.due_at, zone)}")
    if found.duplicate_of:
        more.append(f"{words('filing.repeats_of')} \u2066{found.duplicate_of}\u2069")
    if pictures:
        more.append(words("filing.pictures", n=pictures))
    if many:
        more.append(words("filing.followers", n=many))
    st.html(
        f'<div class="rd-status"><p><b><bdi dir="ltr">{esc(found.reference)}</bdi></b> '
        f'<span class="rd-chip">{esc(words.status(found.status))}</span></p>'
        f'<p class="rd-sub">{esc(" · ".join(more))}</p><ol class="rd-course">{rows}</ol></div>'
    )
    with st.container(horizontal=True):
        st.button(
            words("filing.unfollow") if own else words("filing.follow_too"),
            key="filing_follow_switch",
            on_click=_switch,
            args=(found.report_id, own),
        )
        st.button(words("filing.close"), key="filing_close", on_click=state.put, args=(FILED, ""))
        case = st.session_state.get("_pages", {}).get("case")
        if case is not None and doors.opens(access.principal().role, "case"):
            st.page_link(case, label=words("filing.whole"), query_params={"report": str(found.report_id)})


def _switch(report_id: int, own: bool) -> None:
    try:
        with connection() as conn:
            if own:
                following.unfollow(conn, report_id)
            else:
                following.follow(conn, report_id)
    except RasdError as error:
        st.session_state[DONE] = ("fault", str(error))


def lists(setting: Setting) -> None:
    """What the reporter filed and follows, and a look-up by number."""
    words = setting.words
    with connection() as conn:
        filed, followed = following.filed(conn, MOST), following.followed(conn, MOST)
    typed = str(
        st.text_input(
            words("filing.ask"), key="filing_ask", placeholder="R-2026-000123", max_chars=_MOST_REFERENCE
        )
        or ""
    ).strip()
    if typed and typed != st.session_state.get("_filing_asked"):
        st.session_state["_filing_asked"] = typed
        state.put(FILED, typed.upper())
        st.rerun()
    st.html(title(words("filing.mine")))
    _list(setting, filed, "mine") if filed else st.html(note(words("filing.none_yet")))
    if followed:
        st.html(title(words("filing.followed")))
        _list(setting, followed, "followed")


def _list(setting: Setting, rows: Sequence[OwnReport], name: str) -> None:
    words = setting.words
    for row in rows:
        with st.container(
            horizontal=True, key=f"rasd_own_{name}_{row.report_id}", vertical_alignment="center"
        ):
            st.html(line(setting, row))
            st.button(
                words("filing.see"),
                key=f"see_{name}_{row.report_id}",
                type="tertiary",
                on_click=state.put,
                args=(FILED, row.reference),
            )


def line(setting: Setting, row: OwnReport) -> str:
    """One line of the own list."""
    words = setting.words
    more = [words.pick(row.element_ar, row.element_en) if row.element_en else words("filing.unsorted")]
    if row.municipality_ar or row.municipality_en:
        more.append(words.pick(row.municipality_ar, row.municipality_en))
    more.append(moment(words, row.opened_at, setting.territory.timezone))
    if row.duplicate_of:
        more.append(f"{words('filing.repeats_of')} \u2066{row.duplicate_of}\u2069")
    return (
        f'<div class="rd-own"><p><b><bdi dir="ltr">{esc(row.reference)}</bdi></b> '
        f'<span class="rd-chip">{esc(words.status(row.status))}</span></p>'
        f"<small>{esc(' · '.join(more))}</small></div>"
    )
