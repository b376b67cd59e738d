"""Before it is sent: where it lies, who gets it and until when, what is open nearby; then send.

Everything is asked of the store on every run, because the answer may change while somebody
writes: a rule, a boundary, another report of the same thing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import streamlit as st

from data import duplicates, following, parties, routing
from data.duplicates import Candidate
from data.filing import Filed, Filing, Spot, file_report, spot
from data.photos import PhotoRefused
from geo.errors import RasdError, Refused
from views import notices, state
from views.access import connection
from views.cards import esc
from views.filing.draft import Draft, Setting, renew
from views.filing.what import Said, limit_words
from views.filing.where import distance
from views.words import Words, number

FILED = "filed"  # in the address: the reference whose status is shown
DONE = "_filing_done"  # what was just done, told once
SHOWN = 3  # candidates with a button of their own


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would become of the report if it were sent now."""

    spot: Spot
    party_ar: str | None
    party_en: str | None
    due_at: dt.datetime | None
    beside: tuple[Candidate, ...]


def look(setting: Setting, draft: Draft, element_id: int | None) -> Outlook | None:
    """Ask the store; None while no place is chosen."""
    chosen, territory = draft.chosen, setting.territory.id
    if chosen is None:
        return None
    with connection() as conn:
        place = spot(conn, territory, chosen.lon, chosen.lat)
        beside = duplicates.near(conn, territory, element_id, chosen.lon, chosen.lat)
        route = routing.route(conn, territory, element_id, areas=[area.id for area in place.areas])
        known = {} if route is None else {party.id: party for party in parties.listed(conn, territory)}
    party = None if route is None else known.get(route.party_id)
    return Outlook(
        place,
        None if party is None else party.name_ar,
        None if party is None else party.name_en,
        None if route is None else route.due_at,
        beside,
    )


def draw(setting: Setting, draft: Draft, said: Said, outlook: Outlook | None) -> None:
    """Summary, duplicates, and the button."""
    words = setting.words
    missing = []
    if outlook is None:
        missing.append(words("filing.need_place"))
    if not said.chosen:
        missing.append(words("filing.need_element"))
    barred = False
    if outlook is not None:
        st.html(summary(setting, outlook))
        barred = not (outlook.spot.near and outlook.spot.open)
        if not barred:
            _beside(setting, draft, outlook.beside)
    if missing:
        st.html(f'<p class="rd-note">{esc(" ".join(missing))}</p>')
    pressed = st.button(
        words("filing.send"),
        type="primary",
        key="filing_send",
        disabled=bool(missing) or barred,
        width="stretch",
    )
    if pressed and draft.chosen is not None:
        _send(setting, draft, said)


def summary(setting: Setting, outlook: Outlook) -> str:
    """Where it lies and who will get it."""
    words, place = setting.words, outlook.spot
    names = [
        words.pick(area.name_ar, area.name_en)
        for level in ("municipality", "district")
        if (area := place.area(level)) is not None
    ]
    if not names and place.areas:
        names = [words.pick(place.areas[-1].name_ar, place.areas[-1].name_en)]
    lines = [(words("filing.lies"), " · ".join(names) or words("filing.nowhere"))]
    if outlook.party_ar or outlook.party_en:
        lines.append((words("filing.goes_to"), words.pick(outlook.party_ar, outlook.party_en)))
        if outlook.due_at is not None:
            lines.append((words("filing.until"), moment(words, outlook.due_at, setting.territory.timezone)))
    elif place.near and place.open:
        lines.append((words("filing.goes_to"), words("filing.queue")))
    body = "".join(f"<dt>{esc(label)}</dt><dd><bdi>{esc(value)}</bdi></dd>" for label, value in lines)
    faults = []
    if not place.near:
        faults.append(words("filing.far", far=distance(words, place.metres)))
    elif not place.open:
        faults.append(words("filing.not_yours"))
    elif not place.inside:
        faults.append(words("filing.outside", far=distance(words, place.metres)))
    return f'<dl class="rd-outlook">{body}</dl>{notices.cautions(words, faults)}'


def moment(words: Words, at: dt.datetime, zone: str) -> str:
    """A day and a time as the territory counts them."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{words.date(local.date(), hijri=False)} {local:%H:%M}"


def _beside(setting: Setting, draft: Draft, beside: Sequence[Candidate]) -> None:
    """Open reports of the same element: the near ones with a way to follow them instead."""
    words = setting.words
    suggested = [c for c in beside if c.suggested]
    others = [c for c in beside if not c.suggested] + suggested[SHOWN:]
    if suggested:
        with st.container(border=True, key="rasd_same"):
            st.html(f'<p class="rd-verdict">{esc(words("filing.same"))}</p>')
            for candidate in suggested[:SHOWN]:
                with st.container(
                    horizontal=True, key=f"rasd_same_{candidate.report_id}", vertical_alignment="center"
                ):
                    st.html(card(setting, candidate))
                    st.button(
                        words("filing.follow"),
                        key=f"follow_{candidate.report_id}",
                        on_click=_follow,
                        args=(setting, candidate),
                    )
    if others:
        listed = "".join(f"<li>{card(setting, candidate)}</li>" for candidate in others)
        label = words("filing.others", n=number(len(others)))
        st.html(f"<details class='rd-decisions'><summary>{esc(label)}</summary><ul>{listed}</ul></details>")


def card(setting: Setting, candidate: Candidate) -> str:
    """One open report in a line or two."""
    words = setting.words
    more = [words.status(candidate.status), words("filing.opened", day=_day(setting, candidate.opened_at))]
    if candidate.followers:
        more.append(words("filing.followers", n=number(candidate.followers)))
    if candidate.duplicates:
        more.append(words("filing.repeats", n=number(candidate.duplicates)))
    return (
        f'<div class="rd-same"><b><bdi dir="ltr">{esc(candidate.reference)}</bdi></b>'
        f" · {esc(distance(words, candidate.metres))}<span>{esc(' · '.join(more))}</span></div>"
    )


def _day(setting: Setting, at: dt.datetime) -> str:
    local = at.astimezone(ZoneInfo(setting.territory.timezone))
    return setting.words.date(local.date(), hijri=False)


def _follow(setting: Setting, candidate: Candidate) -> None:
    """Follow an open report in place of filing another; in a callback, so the page starts anew."""
    try:
        with connection() as conn:
            following.follow(conn, candidate.report_id)
    except RasdError as error:
        st.session_state[DONE] = ("fault", str(error))
        return
    renew(setting.territory)
    st.session_state[DONE] = ("followed", candidate.reference)
    state.put(FILED, candidate.reference)


def _send(setting: Setting, draft: Draft, said: Said) -> None:
    """File it; what is refused keeps everything that was typed."""
    chosen, words = draft.chosen, setting.words
    if chosen is None:
        return
    filing = Filing(
        setting.territory.id,
        chosen.lon,
        chosen.lat,
        draft.key,
        element_id=said.element_id,
        severity=said.severity,
        quantity=said.quantity,
        note=said.note,
        photos=said.photos,
        contact_name=said.contact_name,
        contact_phone=said.contact_phone,
    )
    try:
        with connection() as conn:
            done: Filed = file_report(conn, filing)
    except PhotoRefused as error:
        st.html(notices.cautions(words, [words(f"photofault.{error.code}", **limit_words())]))
        return
    except Refused:
        st.html(notices.cautions(words, [words("filing.not_yours")]))
        return
    except RasdError as error:
        st.html(notices.failure(words, str(error), store=False))
        return
    renew(setting.territory)
    st.session_state[DONE] = ("filed", done.reference)
    state.put(FILED, done.reference)
    st.rerun()
