"""Owners on the Routing page: how they do, and the package that is handed over to each."""

from __future__ import annotations

import functools
from zoneinfo import ZoneInfo

import streamlit as st

from data import handover
from data.analyses.entities import Owner, Owners
from data.parties import KINDS
from data.query import ReportQuery
from data.territories import Territory
from views import access, cards, notices, state
from views.access import connection
from views.cards import bar, esc
from views.routes import answers
from views.words import Words, number, short

OFFERED = tuple(kind for kind in KINDS if kind != "unsorted")
HEADS = ("owner", "received", "handled", "median", "open", "overdue", "returned", "per_km")


def draw(words: Words, place: Territory, version: int, query: ReportQuery) -> None:
    """Figures by owner, then the packages."""
    kind = state.one("owners", "entity", OFFERED)
    names = {code: words(f"partykind.{code}") for code in OFFERED}
    st.pills(words("owner.kinds"), OFFERED, key="owners", format_func=names.__getitem__, required=True)
    found = answers.owners(version, query, (kind,))
    if found.until is None or not found.owners:
        st.html(notices.answer(words("owner.none")))
        return
    local = found.until.astimezone(ZoneInfo(place.timezone))
    with st.container(border=True):
        st.html(cards.title(words("owner.title")) + table(words, found))
        st.html(
            cards.note(words("owner.until", day=words.date(local.date()))) + cards.note(words("owner.about"))
        )
    _package(words, place, found)


def table(words: Words, found: Owners) -> str:
    """One line an owner, most reports first."""
    heads = "".join(f"<th>{esc(words(f'ownerhead.{key}'))}</th>" for key in HEADS)
    body = "".join(f"<tr>{''.join(_cells(words, one))}</tr>" for one in found.owners)
    return f'<div class="rd-wide rd-tall"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(words: Words, one: Owner) -> list[str]:
    def percent(value: float) -> str:
        return words("units.percent", n=number(100 * value, 1))

    handled = f"{percent(one.share)} ({percent(one.low)} – {percent(one.high)})"
    cells = [
        f"<bdi>{esc(words.pick(one.party.name_ar, one.party.name_en))}</bdi>",
        f"<bdi>{number(one.received)}</bdi>",
        f"<bdi>{esc(handled)}</bdi>{bar(one.share)}",
        f"<bdi>{esc(median(words, one))}</bdi>",
        f"<bdi>{number(one.open)}</bdi>",
        f"<bdi>{number(one.overdue)}</bdi>",
        f"<bdi>{number(one.returned)}</bdi>",
        f"<bdi>{'–' if one.per_km is None else short(one.per_km)}</bdi>",
    ]
    return [f"<td>{cell}</td>" for cell in cells]


def median(words: Words, one: Owner) -> str:
    """Days until half was answered, with its limits where they are reached."""
    if one.median_days is None:
        return words("owner.not_reached")
    days = words("owner.days", n=short(one.median_days))
    if one.median_low is None or one.median_high is None:
        return days
    return f"{days} ({short(one.median_low)} – {short(one.median_high)})"


def _package(words: Words, place: Territory, found: Owners) -> None:
    if not access.may("download"):
        return
    with st.container(border=True):
        st.html(cards.title(words("owner.package")) + cards.note(words("owner.package_about")))
        names = {one.party.code: words.pick(one.party.name_ar, one.party.name_en) for one in found.owners}
        with st.container(horizontal=True, vertical_alignment="bottom", key="rasd_row_package"):
            code = st.selectbox(
                words("ownerhead.owner"),
                list(names),
                key="package_of",
                format_func=names.__getitem__,
                width=340,
            )
            for form, mime in handover.FORMATS.items():
                st.download_button(
                    words(f"download.{form}"),
                    access.carried(functools.partial(make, place.id, code, form)),
                    file_name=f"rasd_{place.code}_handover_{code}.{form}",
                    mime=mime,
                    on_click="ignore",
                    key=f"package_{form}",
                )


def make(territory_id: int, code: str, form: str) -> bytes:
    """The file's content, with the reports that the user may see; the trail says who took it out."""
    with connection() as conn:
        package = handover.package(conn, territory_id, code)
        access.took_out(conn, "handover", package.frame.height, entity=code, form=form)
        return package.content(form)
