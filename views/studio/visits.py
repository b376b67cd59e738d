"""What came back: a form for one visit, and how often visits found something.

Many visits come in as a file (``./rasd ingest visits``); here one is typed in. A hit rate
stands with its interval, and beside it what the plan had expected of the same visits.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import streamlit as st
from sqlalchemy import Connection

from data import visits as store
from data.campaigns import Saved
from data.plan import Site
from data.territories import find
from data.visit_form import NewVisit, record_visit
from data.visits import HitRate
from geo.errors import RasdError
from views import access, cards, notices
from views.access import connection
from views.cards import esc, title
from views.studio import drawing
from views.studio.setting import Setting
from views.words import Words, number

RATE_HEADS = ("who", "visits", "found", "rate", "planned", "treated")
LIST_HEADS = ("when", "area", "what", "found", "team", "photo")
DONE = ("accepted", "updated", "unchanged")
LATEST = 10  # visits in the list
NO_SITE = ""
COMMAND = "./rasd ingest visits FILE"


def draw(setting: Setting, kept: Saved) -> None:
    """Rates, the latest visits, and the form."""
    words = setting.words
    with connection() as conn:
        rates = store.hit_rates_of(conn, kept.id)
        told = store.visits_of(conn, kept.id)
        zone = _zone(conn, setting)
    left, right = st.columns([1.5, 1], gap="medium")
    with left, st.container(border=True):
        st.html(title(words("visit.rates")))
        if not rates:
            st.html(notices.command(words("visit.none"), COMMAND))
        else:
            st.html(table(words, rates))
            st.html(latest(words, told[-LATEST:][::-1], zone))
    if not access.may("visits.add"):
        return
    with right, st.container(border=True):
        if kept.plan.areas:
            _form(setting, kept)
        else:
            st.html(notices.command(words("visit.axes"), COMMAND))


def table(words: Words, rates: tuple[HitRate, ...]) -> str:
    """Visits and finds: in all, by area, team and kind of target."""
    heads = "".join(f"<th>{esc(words(f'visithead.{key}'))}</th>" for key in RATE_HEADS)
    body, group = "", ""
    for row in rates:
        if row.by != group:
            group = row.by
            body += f'<tr class="rd-group"><th colspan="{len(RATE_HEADS)}">{esc(words(f"visitby.{row.by}"))}</th></tr>'
        cells = (
            _who(words, row),
            number(row.visits),
            number(row.found),
            words(
                "rates.range",
                mean=number(100 * row.rate),
                low=number(100 * row.low),
                high=number(100 * row.high),
            ),
            "–" if row.planned is None else number(row.planned, 1),
            number(row.treated),
        )
        body += "<tr>" + "".join(f"<td><bdi>{esc(cell)}</bdi></td>" for cell in cells) + "</tr>"
    return f'<div class="rd-wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _who(words: Words, row: HitRate) -> str:
    if row.by == "all":
        return words("visitby.all")
    if not row.key:
        return words("card.unknown")
    return words(f"target.{row.key}") if row.by == "target" else row.key


def _zone(conn: Connection, setting: Setting) -> dt.tzinfo:
    """The territory's time zone, in which days are told and typed."""
    place = find(conn, setting.territory)
    return ZoneInfo(place.timezone) if place else dt.UTC


def latest(words: Words, rows: tuple[store.VisitRecord, ...], zone: dt.tzinfo) -> str:
    """The newest visits, their days as the territory counts them."""
    heads = "".join(f"<th>{esc(words(f'visitlist.{key}'))}</th>" for key in LIST_HEADS)
    body = ""
    for row in rows:
        what = words.pick(row.element_name.ar, row.element_name.en) if row.element else "–"
        cells = (
            f"{row.visited_at.astimezone(zone):%Y-%m-%d}",
            "–" if row.area is None else number(row.area),
            what,
            words("visit.yes") if row.found else words("visit.no"),
            row.team or "–",
            row.photo or "–",
        )
        body += "<tr>" + "".join(f"<td><bdi>{esc(cell)}</bdi></td>" for cell in cells) + "</tr>"
    return (
        f"<h4>{esc(words('visit.latest'))}</h4>"
        f'<div class="rd-wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _form(setting: Setting, kept: Saved) -> None:
    """One visit: where, when, what was found."""
    words = setting.words
    done = st.session_state.pop("_visit_done", "")
    st.html(title(words("visit.form")) + (cards.note(done) if done else ""))
    areas = {area.number: area for area in kept.plan.areas}
    number_ = st.selectbox(words("visit.area"), list(areas), key="visit_area", format_func=number)
    sites = {site.key: site for site in areas[number_].sites}
    labels = {NO_SITE: words("visit.no_site")} | {k: site_label(words, s) for k, s in sites.items()}
    with st.form("visit_form", border=False, clear_on_submit=True):
        site = st.selectbox(words("visit.site"), list(labels), format_func=labels.__getitem__)
        with st.container(horizontal=True):
            day = st.date_input(words("visit.day"), dt.date.today(), width=170)
            time = st.time_input(words("visit.time"), dt.time(9), width=130)
        found = st.checkbox(words("visit.was_found"), value=True)
        elements = {"": words("visit.as_planned")} | dict(setting.options.elements)
        element = st.selectbox(words("visit.element"), list(elements), format_func=elements.__getitem__)
        treated = st.checkbox(words("visit.was_treated"))
        team = st.text_input(words("visit.team"), max_chars=200, key="visit_team")
        photo = st.text_input(words("visit.photo"), max_chars=200, help=words("visit.photo_help"))
        said = st.text_area(words("visit.note"), max_chars=2000, height=70)
        sent = st.form_submit_button(words("visit.send"), type="primary")
    if not sent:
        return
    with connection() as conn:
        zone = _zone(conn, setting)
    visit = NewVisit(
        dt.datetime.combine(day, time, zone),
        found,
        campaign_id=kept.id,
        area=number_,
        site=site,
        team=team,
        element=element if found else "",
        treated=treated if found else None,
        photo=photo,
        note=said,
    )
    try:
        with connection() as conn:
            counts = record_visit(conn, setting.territory_id, visit)
    except RasdError as error:
        st.html(notices.failure(words, str(error), store=False))
        return
    what = "accepted" if counts.accepted else "updated" if counts.updated else "unchanged"
    st.session_state["_visit_done"] = words(f"visitdone.{what}")
    st.rerun()


def site_label(words: Words, site: Site) -> str:
    """A site in the form's list."""
    name = drawing.site_name(words, site)
    where = f" · {site.reference}" if site.reference else ""
    order = f"{site.day}·{site.order} " if site.day is not None else ""
    return f"{order}{name}{where}"
