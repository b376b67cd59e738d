"""The weekly pack's page: choose the week, make its pack once, print it or open the workbook.

The pack of a week is made by one press and kept; later readers get the same document. What
a press makes is as of the end of the week, so it does not matter when it is pressed. Caveat:
only who sees the whole territory reads packs, and the database lets some roles keep one.
"""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from zoneinfo import ZoneInfo

import streamlit as st

from data import packs
from data.analyses.weekly import PackTerms, latest_week, weekly_pack
from data.territories import Territory
from views import access, answers, cards, frame, jobs, notices, state
from views.access import connection
from views.cards import esc
from views.packdoc import FIRST, change, shown, target
from views.packfiles import FORMS, export_pack, file_name, pictures_of
from views.words import Words

DAYS = 7
_ASKED = "_pack_asked"  # (territory, last day, press) of the pack that this session had made
_LISTED = 30
_BACK = 3  # years that can be chosen


def page() -> None:
    """The whole page; errors of ours become a sentence."""
    frame.draw("packs", _body)


def _body(words: Words) -> None:
    chosen = frame.territory(words)
    if chosen is None:
        return
    span = answers.choices(access.version(chosen), chosen.id)
    if span.first is None or span.last is None:
        state.finish()
        st.html(notices.empty_territory(words))
        return
    st.html(
        cards.head(
            words, words.pick(chosen.name_ar, chosen.name_en), words("weekly.page_about"), "weekly.page_title"
        )
    )
    if chosen.simulated:
        st.html(notices.simulated(words, illustrative=False))
    if not access.principal().whole(chosen.code):
        state.finish()
        st.html(cards.note(words("weekly.no_right")))
        return
    button(words, chosen, span.last)
    state.finish()
    _list(words, chosen)


def button(words: Words, territory: Territory, newest: dt.date) -> None:
    """The week and its one button; the pack's numbers and files once it is kept.

    Parameters
    ----------
    newest : local day of the newest report; the week offered first is the last whole one.
    """
    usual = latest_week(newest)[1]
    low = usual - dt.timedelta(days=366 * _BACK)
    with st.container(border=True, key="rasd_pack"):
        st.html(cards.title(words("weekly.page_title")) + cards.note(words("weekly.page_note")))
        last = state.day("pack_to", usual, low, max(usual, newest))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.date_input(
                words("weekly.last_day"),
                key="pack_to",
                min_value=low,
                max_value=max(usual, newest),
                format="YYYY-MM-DD",
                help=words("weekly.last_day_help"),
                width=220,
            )
            with connection() as conn:
                kept = packs.first_kept(conn, territory.id, _first(last), last)
            _press(words, territory, last, kept)
        made = _made(words, territory, last)
        if made is not None:
            kept = made
        if kept is not None:
            _kept(words, territory, kept)


def _first(last: dt.date) -> dt.date:
    return last - dt.timedelta(days=DAYS - 1)


def _press(words: Words, territory: Territory, last: dt.date, kept: packs.Kept | None) -> None:
    """The button that makes the pack, for those who may keep one."""
    if not access.may("pack.save"):
        if kept is None:
            st.html(cards.note(words("weekly.can_read")))
        return
    st.button(
        words("weekly.make" if kept is None else "weekly.anew"),
        key="pack_make",
        type="primary" if kept is None else "secondary",
        help=None if kept is None else words("weekly.anew_help"),
        on_click=_ask,
        args=(territory.code, last),
    )


def _ask(territory: str, last: dt.date) -> None:
    # Each press is a question of its own: what is known has moved on since the one before.
    st.session_state[_ASKED] = (territory, last, uuid.uuid4().hex)


def _made(words: Words, territory: Territory, last: dt.date) -> packs.Kept | None:
    """The pack that was asked for by a press in this session, once it is made."""
    code, day, press = st.session_state.get(_ASKED, ("", None, ""))
    if (code, day) != (territory.code, last):
        return None

    def work(tick: jobs.Tick) -> packs.Kept:
        with connection() as conn:
            return packs.keep(conn, weekly_pack(conn, PackTerms(territory.id, _first(last), last), tick=tick))

    key = ("pack", territory.code, last, press)
    return jobs.answer(words, key, work, words("weekly.making"))


def _kept(words: Words, territory: Territory, kept: packs.Kept) -> None:
    """Its first numbers, when it was kept, and the files."""
    with connection() as conn:
        pack = packs.get(conn, kept.id)
    figures = []
    for code in FIRST:
        measure = pack.total.measure(code)
        if measure is not None:
            notes = " · ".join(filter(None, (change(words, measure), target(words, measure))))
            figures.append(
                f'<div class="rd-kpi"><span>{esc(words(f"packhead.{code}"))}</span>'
                f"<b><bdi>{esc(shown(words, measure))}</bdi></b><small><bdi>{esc(notes)}</bdi></small></div>"
            )
    day = kept.made_at.astimezone(ZoneInfo(territory.timezone)).date()
    st.html(
        f'<div class="rd-kpis">{"".join(figures)}</div>'
        + cards.note(words("weekly.kept", day=words.date(day)))
    )
    with st.container(horizontal=True):
        for form, label in (("html", "weekly.print"), ("xlsx", "weekly.book")):
            st.download_button(
                words(label),
                access.carried(functools.partial(make, kept.id, form, words.language)),
                file_name=file_name(pack, form, words.language),
                mime=FORMS[form],
                on_click="ignore",
                key=f"pack_{form}",
                type="primary" if form == "html" else "secondary",
            )


def make(pack_id: int, form: str, language: str) -> bytes:
    """The file's content; the trail says who took it out."""
    with connection() as conn:
        pack = packs.get(conn, pack_id)
        content = export_pack(pack, form, language, pictures=pictures_of(conn))
        access.took_out(conn, "pack", None, pack=pack_id, form=form)
    return content


def _list(words: Words, territory: Territory) -> None:
    """Packs that are kept, the latest first; a press opens the week of one."""
    with connection() as conn:
        found = packs.listed(conn, territory.id, _LISTED)
    if not found:
        return
    with st.container(border=True, key="rasd_pack_list"):
        st.html(cards.title(words("weekly.list")))
        for last in dict.fromkeys(one.last for one in found if (one.last - one.first).days + 1 == DAYS):
            first = words.date(_first(last), hijri=False)
            st.button(
                words("order.from_to", first=first, last=words.date(last)),
                key=f"pack_open_{last}",
                type="tertiary",
                on_click=_open,
                args=(last,),
            )


def _open(last: dt.date) -> None:
    st.session_state["pack_to"] = last
