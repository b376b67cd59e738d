"""Misrouting on the Routing page: shares by municipality and element, pairs, reports behind."""

from __future__ import annotations

import datetime as dt
import functools
import io
from collections.abc import Sequence

import streamlit as st

from data.analyses.misrouting import Behind, Line, Misrouting, Pair, Share
from data.query import ReportQuery
from data.sheets import CsvSheet, XlsxSheet
from data.territories import Territory
from views import access, cards, links, notices
from views.access import connection
from views.cards import bar, esc
from views.routes import answers
from views.routes.waiting import plain, turn
from views.words import Words, number

TOP = 14
LINES = 10
FORMATS = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
}


def draw(words: Words, place: Territory, query: ReportQuery, found: Misrouting) -> None:
    """The sentence, two rankings, who for whom, and the reports."""
    st.html(notices.answer(told(words, found)))
    st.html(cards.note(aside(words, found)) + cards.note(words("misrouted.about")))
    if not found.total.misrouted:
        return
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True):
        st.html(bars(words, words("misrouted.by_municipality"), found.by_municipality))
    with right, st.container(border=True):
        st.html(bars(words, words("misrouted.by_element"), found.by_element))
    with st.container(border=True):
        st.html(cards.title(words("misrouted.lines")) + lines(words, found.lines))
        _download(words, place, query, found)
    _reports(words, query, found)


def percent(words: Words, value: float) -> str:
    return words("units.percent", n=number(100 * value, 1))


def told(words: Words, found: Misrouting) -> str:
    """The answer in a sentence."""
    if not found.total.compared:
        return words("misrouted.nothing")
    total = found.total
    return words(
        "misrouted.answer",
        n=number(total.misrouted),
        all=number(total.compared),
        share=percent(words, total.share),
        low=percent(words, total.low),
        high=percent(words, total.high),
    )


def aside(words: Words, found: Misrouting) -> str:
    """What was not compared, or agrees only roughly."""
    counts = {
        "misrouted.ownerless": found.ownerless,
        "misrouted.unsorted": found.unsorted,
        "misrouted.unruled": found.unruled,
        "misrouted.coarse": found.coarse,
    }
    return " ".join(words(key, n=number(count)) for key, count in counts.items() if count)


def bars(words: Words, heading: str, found: Sequence[Line]) -> str:
    """Parts by share, those whose share is least in doubt first."""
    some = sorted((one for one in found if one.share.misrouted), key=lambda one: -one.share.low)[:TOP]
    top = max([1e-9, *(one.share.high for one in some)])
    body = "".join(
        f'<div class="rd-row rd-still"><i>{at}</i><span><bdi>{esc(_part(words, one))}</bdi></span>'
        f"<b><bdi>{esc(percent(words, one.share.share))}</bdi></b>"
        f"<em><bdi>{esc(_of(words, one.share))}</bdi></em>{bar(one.share.share / top)}</div>"
        for at, one in enumerate(some, 1)
    )
    return (
        f'{cards.title(heading)}<div class="rd-scroll"><div class="rd-list">{body}</div></div>'
        f"{cards.note(words('misrouted.sorted'))}"
    )


def _part(words: Words, one: Line) -> str:
    name = one.municipality or one.element
    return words.pick(name.name_ar, name.name_en) if name else words("misrouted.no_part")


def _of(words: Words, share: Share) -> str:
    return words(
        "misrouted.of",
        n=number(share.misrouted),
        all=number(share.compared),
        low=percent(words, share.low),
        high=percent(words, share.high),
    )


def lines(words: Words, found: Sequence[Line]) -> str:
    """Municipality and element, most misrouted reports first."""
    heads = "".join(
        f"<th>{esc(words(key))}</th>"
        for key in ("queuehead.where", "queuehead.what", "misrouted.count", "misrouted.share")
    )
    rows = []
    for one in found[:100]:
        place = words.pick(one.municipality.name_ar, one.municipality.name_en) if one.municipality else "–"
        kind = words.pick(one.element.name_ar, one.element.name_en) if one.element else "–"
        cells = (place, kind, number(one.share.misrouted), _of(words, one.share))
        rows.append("<tr>" + "".join(f"<td><bdi>{esc(cell)}</bdi></td>" for cell in cells) + "</tr>")
    return (
        f'<div class="rd-wide rd-tall"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _download(words: Words, place: Territory, query: ReportQuery, found: Misrouting) -> None:
    if not access.may("download"):
        return
    with st.container(horizontal=True):
        for form, mime in FORMATS.items():
            st.download_button(
                words(f"download.{form}"),
                access.carried(functools.partial(make, found, query, form)),
                file_name=f"rasd_{place.code}_misrouted_{dt.date.today():%Y%m%d}.{form}",
                mime=mime,
                on_click="ignore",
                key=f"misrouted_{form}",
            )


def make(found: Misrouting, query: ReportQuery, form: str) -> bytes:
    """The file's content; the trail says who took it out."""
    frame = found.frame()
    with connection() as conn:
        access.took_out(conn, "misrouted", frame.height, query=repr(query), form=form)
    out = io.BytesIO()
    with CsvSheet(out) if form == "csv" else XlsxSheet(out, "misrouted") as sheet:
        sheet.write(frame)
    return out.getvalue()


@st.fragment
def _reports(words: Words, query: ReportQuery, found: Misrouting) -> None:
    """The reports behind, of all pairs of parties or of one."""
    pairs = found.pairs
    with st.container(border=True):
        st.html(cards.title(words("misrouted.reports")))
        names = {-1: words("filters.any")} | {at: pair_text(words, pair) for at, pair in enumerate(pairs)}
        at = st.selectbox(
            words("misrouted.pair"), list(names), key="misrouted_pair", format_func=names.__getitem__
        )
        if st.session_state.get("_wrong_of") != (query, at):
            st.session_state["_wrong_of"], st.session_state["_wrong_page"] = (query, at), 0
        page = int(st.session_state["_wrong_page"])
        pair = None if at < 0 else (pairs[at].recorded.id, pairs[at].ruled.id)
        rows, more = answers.behind(query, found, pair, page * LINES, LINES)
        for row in rows:
            links.link("case", line(words, row), report=str(row.id))
        turn(words, "_wrong_page", page, more)


def pair_text(words: Words, pair: Pair) -> str:
    """Recorded and ruled party, with how many."""
    return words(
        "misrouted.from_to",
        recorded=words.pick(pair.recorded.name_ar, pair.recorded.name_en),
        ruled=words.pick(pair.ruled.name_ar, pair.ruled.name_en),
        n=number(pair.reports),
    )


def line(words: Words, row: Behind) -> str:
    """One report as the text of its link."""
    kind = words.pick(row.element_ar, row.element_en)
    place = words.pick(row.municipality_ar, row.municipality_en)
    owner = words(
        "misrouted.owners",
        recorded=words.pick(row.recorded_ar, row.recorded_en),
        ruled=words.pick(row.ruled_ar, row.ruled_en),
        rule=row.rule_id,
    )
    return " · ".join(plain(part) for part in (row.reference, f"{row.opened:%Y-%m-%d}", kind, place, owner))
