"""The Routing page: who is responsible, what waits without anybody, and what went to the wrong door.

The page reads from top to bottom: the four figures, then one of four parts: the rules and
the form that changes them, the queue, misrouting, owners with their packages. Rules and queue
are live; figures of owners and misrouting are at most two minutes old.
"""

from __future__ import annotations

import datetime as dt

import streamlit as st

from data import routing
from data.analyses.misrouting import Misrouting
from data.analyses.unrouted import Waiting
from data.query import ReportQuery
from data.routing import Rule
from data.territories import Territory
from views import access, answers, cards, filters, frame, notices, state
from views.access import connection
from views.cards import esc
from views.routes import answers as asked
from views.routes import bodies, rulebook, waiting, wrong
from views.words import Words, number

PARTS = ("rules", "queue", "misrouting", "owners")


def page() -> None:
    """The whole page; errors of ours become a sentence."""
    frame.draw("routing", _body)


def _body(words: Words) -> None:
    place = frame.territory(words)
    if place is None:
        return
    version = access.version(place)
    found = answers.choices(version, place.id)
    if found.first is None or found.last is None:
        state.finish()
        st.html(notices.empty_territory(words))
        return
    with st.sidebar:
        start, end, period = filters.period(words, found.first, found.last)
    query = ReportQuery(place.id, start=start, end=end, default_points=True)
    st.html(cards.head(words, words.pick(place.name_ar, place.name_en), period, "routing.page"))
    if place.simulated:
        st.html(notices.simulated(words, illustrative=False))
    part = state.one("part", PARTS[0], PARTS)
    with connection() as conn:
        rules = routing.listed(conn, place.id, ended=True)
    queue = asked.queue(place.id)
    stamp = rulebook.stamp(rules, dt.datetime.now(dt.UTC))
    with st.spinner(words("routing.counting")):
        misrouted = asked.misrouted(version, stamp, query)
    st.html(figures(words, rules, queue, misrouted))
    names = {code: words(f"routingpart.{code}") for code in PARTS}
    st.pills(
        words("routing.parts"), PARTS, key="part", format_func=names.__getitem__, required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    _part(words, place, version, query, part, rules, queue, misrouted)
    state.finish()


def _part(
    words: Words,
    place: Territory,
    version: int,
    query: ReportQuery,
    part: str,
    rules: list[Rule],
    queue: list[Waiting],
    misrouted: Misrouting,
) -> None:
    with st.container(key=f"rasd_part_{part}"):
        if part == "rules":
            rulebook.draw(words, place, rules)
        elif part == "queue":
            waiting.draw(words, place, queue)
        elif part == "misrouting":
            wrong.draw(words, place, query, misrouted)
        else:
            bodies.draw(words, place, version, query)


def figures(words: Words, rules: list[Rule], queue: list[Waiting], found: Misrouting) -> str:
    """The four figures on top."""
    valid = [rule for rule in rules if rule.state == "valid"]
    assumed = sum(rule.assumed for rule in valid)
    outside = sum(kind.reports for kind in queue if kind.reason == "outside")
    total = found.total
    cells = [
        ("routing.rules", number(len(valid)), words("routing.rules_assumed", n=number(assumed))),
        (
            "routing.queued",
            number(sum(kind.reports for kind in queue)),
            words("routing.queued_outside", n=number(outside)),
        ),
        (
            "routing.misrouted",
            wrong.percent(words, total.share) if total.compared else "–",
            words("routing.misrouted_of", n=number(total.misrouted), all=number(total.compared)),
        ),
        ("routing.ownerless", number(found.ownerless + found.unsorted), words("routing.ownerless_note")),
    ]
    body = "".join(
        f'<div class="rd-kpi"><span>{esc(words(label))}</span><b><bdi>{esc(value)}</bdi></b>'
        f"<small>{esc(small)}</small></div>"
        for label, value, small in cells
    )
    return f'<div class="rd-kpis">{body}</div>'
