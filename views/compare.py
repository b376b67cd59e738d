"""Two periods, or two kinds of reports, side by side on two maps with the same classes.

The switch and its choices are bound to the address. The first map keeps the filters; the
second has the other period or the other kind instead. The difference is said in one
sentence with its interval, and that counts of reports scatter more than chance alone.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import streamlit as st

from data.analyses.comparison import Comparison
from data.query import ReportQuery
from data.summaries import Choices
from views import answers, cards, methods, notices, state
from views.method import Scene
from views.remarks import sentence
from views.results import Drawn
from views.words import Words, number, short

WAYS = ("off", "period", "kind")
AGAINST = ("before", "year", "custom")
YEAR = 365  # days of each period when no period is chosen
WIDTH = 230


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions and how to call them."""

    way: str
    first: ReportQuery
    second: ReportQuery
    names: tuple[str, str]


def choose(scene: Scene, choices: Choices) -> Pair | None:
    """Draw the switch with what belongs to it; None when nothing is compared."""
    words = scene.words
    way = state.one("compare", "off", WAYS)
    names = {w: words(f"compare.{w}") for w in WAYS}
    st.segmented_control(
        words("compare.label"), WAYS, key="compare", format_func=names.__getitem__, required=True
    )
    if way == "off" or scene.first is None or scene.last is None:
        return None
    return (_periods if way == "period" else _kinds)(scene, choices)


def base_period(query: ReportQuery, first: dt.date, last: dt.date) -> tuple[dt.date, dt.date]:
    """The period to compare: the filter's, else the newest year, or half of what there is."""
    if query.start or query.end:
        return query.start or first, query.end or last
    days = min(YEAR, ((last - first).days + 1) // 2)
    return last - dt.timedelta(days=max(days, 1) - 1), last


def other_period(against: str, start: dt.date, end: dt.date) -> tuple[dt.date, dt.date]:
    """The days just before a period, as many as it has, or the same days a year earlier."""
    if against == "before":
        length = end - start
        return start - length - dt.timedelta(days=1), start - dt.timedelta(days=1)
    return _year_before(start), _year_before(end)


def _year_before(day: dt.date) -> dt.date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year - 1, day=28)


def _periods(scene: Scene, choices: Choices) -> Pair | None:
    words, query = scene.words, scene.query
    if scene.first is None or scene.last is None:
        return None
    start, end = base_period(query, scene.first, scene.last)
    against = state.one("against", "before", AGAINST)
    names = {a: words(f"against.{a}") for a in AGAINST}
    st.selectbox(words("against.label"), AGAINST, key="against", format_func=names.__getitem__, width=WIDTH)
    if against == "custom":
        low = state.day("cfrom", scene.first, scene.first, scene.last)
        high = state.day("cto", start, low, scene.last)
        st.date_input(
            words("filters.from"), key="cfrom", min_value=scene.first, max_value=scene.last, width=WIDTH
        )
        st.date_input(words("filters.to"), key="cto", min_value=low, max_value=scene.last, width=WIDTH)
    else:
        low, high = other_period(against, start, end)
    return Pair(
        "period",
        replace(query, start=start, end=end),
        replace(query, start=low, end=high),
        (_days(words, start, end), _days(words, low, high)),
    )


def _days(words: Words, start: dt.date, end: dt.date) -> str:
    first, last = words.date(start, hijri=False), words.date(end, hijri=False)
    return first if first == last else words("kpi.span", first=first, last=last)


def _kinds(scene: Scene, choices: Choices) -> Pair | None:
    """Another group, element or type in place of the filters' own."""
    words, query = scene.words, scene.query
    labels: dict[str, str] = {}
    for letter, rows in (("g", choices.groups), ("e", choices.elements), ("t", choices.types)):
        if letter == "t" and choices.elements:
            continue  # types are offered where the taxonomy does not cover them
        labels |= {f"{letter}:{row.key}": words.pick(row.name_ar, row.name_en) for row in rows}
    if not labels:
        st.caption(words("compare.no_kinds"))
        return None
    own = [f"g:{k}" for k in query.groups] + [f"e:{k}" for k in query.elements]
    own = [key for key in own + [f"t:{k}" for k in query.types] if key in labels]
    codes = list(labels)
    if own:  # the filters say what is on the first map
        first, name = query, words("compare.and").join(labels[key] for key in own)
    else:
        mine = state.one("one", codes[0], codes)
        st.selectbox(words("compare.one"), codes, key="one", format_func=labels.__getitem__, width=WIDTH)
        first, name = _only(query, mine), labels[mine]
    other = state.one("other", codes[min(1, len(codes) - 1)], codes)
    st.selectbox(words("compare.other"), codes, key="other", format_func=labels.__getitem__, width=WIDTH)
    return Pair("kind", first, _only(query, other), (name, labels[other]))


def _only(query: ReportQuery, code: str) -> ReportQuery:
    """The query with one kind in place of the filters' own."""
    letter, _, key = code.partition(":")
    plain = replace(query, groups=(), elements=(), types=())
    if letter == "g":
        return replace(plain, groups=(key,))
    return replace(plain, elements=(key,)) if letter == "e" else replace(plain, types=(int(key),))


def said(words: Words, pair: Pair, drawn: Drawn) -> str:
    """The difference in a sentence, what to know about it, and each map's own answer."""
    version, method = drawn.scene.version, methods.get(drawn.code)
    found = answers.difference(version, pair.first, pair.second)
    remarks = dict.fromkeys(found.remarks)
    own = []
    for shown in drawn.shown:
        remarks |= dict.fromkeys(method.remarks(shown.result))
        text = method.answer(words, shown.result)
        own += [f"{shown.name}: {text}"] if text else []
        remarks |= dict.fromkeys(answers.warnings(version, shown.scene.query))
    warned = [sentence(words, remark) for remark in remarks if remark.caution]
    return (
        notices.answer(difference(words, pair, found))
        + "".join(cards.note(text) for text in own)
        + notices.cautions(words, warned)
    )


def difference(words: Words, pair: Pair, found: Comparison) -> str:
    """How much the first differs from the second, with the interval."""
    (a, b), ratio = found.counts, found.ratio
    totals = words("compare.totals", first=number(a), second=number(b), a=pair.names[0], b=pair.names[1])
    if found.shared:
        return f"{totals} {words('compare.shared', n=number(found.shared))}"
    if ratio is None:
        return totals
    if pair.way == "kind":
        more = words("compare.times", times=short(ratio.ratio), low=short(ratio.low), high=short(ratio.high))
    else:
        change = 100 * (ratio.ratio - 1)
        places = {
            "change": short(abs(change)),
            "low": _signed(100 * (ratio.low - 1)),
            "high": _signed(100 * (ratio.high - 1)),
        }
        more = words("compare.more", **places) if change >= 0 else words("compare.fewer", **places)
    return f"{totals} {more} {words('compare.sure') if ratio.differs else words('compare.unsure')}"


def _signed(value: float) -> str:
    sign = "+" if value >= 0 else "\u2212"
    return f"{sign}{short(abs(value))}"
