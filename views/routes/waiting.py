"""The queue on the Routing page: open reports that no rule decides about, oldest first."""

from __future__ import annotations

import streamlit as st

from data.analyses.unrouted import REASONS, Queued, Waiting
from data.territories import Territory
from views import cards, links, notices
from views.cards import esc
from views.routes import answers
from views.words import Words, number

KIND_HEADS = ("reason", "what", "where", "reports", "oldest")
LINES = 10
ALL = ""


def draw(words: Words, place: Territory, kinds: list[Waiting]) -> None:
    """Counts by reason and kind, then the reports themselves."""
    if not kinds:
        st.html(notices.answer(words("queue.empty")) + cards.note(words("queue.about")))
        return
    total = sum(kind.reports for kind in kinds)
    counts = {code: sum(kind.reports for kind in kinds if kind.reason == code) for code in REASONS}
    said = " · ".join(words(f"queuereason.{code}") + f": {number(n)}" for code, n in counts.items() if n)
    with st.container(border=True):
        st.html(notices.answer(words.plural("queue.total", total)) + cards.note(said))
        st.html(table(words, kinds))
        st.html(cards.note(words("queue.about")))
    _reports(words, place)


def table(words: Words, kinds: list[Waiting]) -> str:
    """Reports of the queue by reason, element and municipality."""
    heads = "".join(f"<th>{esc(words(f'queuehead.{key}'))}</th>" for key in KIND_HEADS)
    rows = []
    for kind in kinds:
        cells = (
            words(f"queuereason.{kind.reason}"),
            _name(words, kind.element_ar, kind.element_en),
            _name(words, kind.municipality_ar, kind.municipality_en),
            number(kind.reports),
            f"{kind.oldest:%Y-%m-%d}",
        )
        rows.append("<tr>" + "".join(f"<td><bdi>{esc(cell)}</bdi></td>" for cell in cells) + "</tr>")
    return (
        f'<div class="rd-wide rd-tall"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _name(words: Words, arabic: str | None, english: str | None) -> str:
    return words.pick(arabic, english) if arabic or english else "–"


@st.fragment
def _reports(words: Words, place: Territory) -> None:
    """The reports, a page at a time, each with a link to its own page."""
    with st.container(border=True):
        st.html(cards.title(words("queue.reports")))
        names = {ALL: words("filters.any")} | {code: words(f"queuereason.{code}") for code in REASONS}
        reason = st.selectbox(
            words("queuehead.reason"),
            list(names),
            key="queue_reason",
            format_func=names.__getitem__,
            width=320,
        )
        if st.session_state.get("_queue_of") != reason:
            st.session_state["_queue_of"], st.session_state["_queue_page"] = reason, 0
        page = int(st.session_state["_queue_page"])
        rows, more = answers.queued(place.id, reason or None, page * LINES, LINES)
        for row in rows:
            links.link("case", line(words, row), report=str(row.id))
        turn(words, "_queue_page", page, more)


def line(words: Words, row: Queued) -> str:
    """One report as the text of its link."""
    kind = words.pick(row.element_ar, row.element_en) if row.element_ar or row.element_en else row.type
    parts = [row.reference, f"{row.opened:%Y-%m-%d}", kind or words("card.unknown")]
    if row.municipality_ar or row.municipality_en:
        parts.append(words.pick(row.municipality_ar, row.municipality_en))
    return " · ".join(plain(part) for part in parts)


def plain(text: str) -> str:
    """Text for a label that would be read as Markdown."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]()<>#+-.!|~:$" else char for char in text)


def turn(words: Words, key: str, page: int, more: bool) -> None:
    """The two buttons of a list by pages; ``key`` holds the page in the session."""
    if not page and not more:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            words("routing.before"), disabled=not page, key=f"{key}_before", on_click=_turn, args=(key, -1)
        )
        st.html(cards.note(words("list.page", n=number(page + 1))))
        st.button(
            words("routing.after"), disabled=not more, key=f"{key}_after", on_click=_turn, args=(key, 1)
        )


def _turn(key: str, step: int) -> None:
    st.session_state[key] = max(int(st.session_state.get(key, 0)) + step, 0)
