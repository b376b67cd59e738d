"""The Indicators page: how municipalities, departments, contractors and entities are doing.

The page reads from top to bottom: month and comparison, the whole at a glance, one indicator
on the map and ranked, its funnel, how long until it is done, what is open by age, and the
table of everything. Numbers are as of the end of the month; every number opens the reports
behind it. What is chance is said to be chance, and no row is ranked by it.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import streamlit as st

from data.analyses.indicators import WHOLE, Dimension, Indicator, IndicatorResult
from data.territories import Territory
from views import access, answers, cards, frame, keeping, notices, state
from views.gauge import asked, behind, charts, choropleth, figures, grid, ranking
from views.remarks import sentence
from views.words import Words, number


def page() -> None:
    """The whole page; errors of ours become a sentence."""
    frame.draw("indicators", _body)


def _body(words: Words) -> None:
    chosen = frame.territory(words)
    if chosen is None:
        return
    version = access.version(chosen)
    span = answers.choices(version, chosen.id)
    if span.first is None or span.last is None:
        state.finish()
        st.html(notices.empty_territory(words))
        return
    top = st.container()
    month, by = _asked(words, span.first, span.last)
    query = asked.question(chosen.id, month, by, span.first)
    with top:
        period = f"{words.month(month)} · {words('dimension.' + by)}"
        st.html(cards.head(words, words.pick(chosen.name_ar, chosen.name_en), period, "gauge.page"))
        if chosen.simulated:
            st.html(notices.simulated(words, illustrative=False))
    told = keeping.version(version, chosen.id)
    result = asked.answer(told, query)
    _freshness(words, result)
    with st.container():
        figures.draw(words, result)
    with st.container(key="rasd_behind_top"):
        behind.draw(words, told, query, result)
    _compared(words, chosen, told, result)
    grid.draw(words, chosen.code, result)
    _remarks(words, result)
    state.finish()


def _asked(words: Words, first: dt.date, last: dt.date) -> tuple[dt.date, Dimension]:
    """Month and dimension, in one line."""
    found = asked.months(first, last)
    labels = {f"{month:%Y-%m}": words.month(month) for month in found}
    usual = f"{asked.usual(found, last):%Y-%m}"
    month = state.one("month", usual, list(labels))
    by = Dimension(state.one("by", str(Dimension.MUNICIPALITY), [str(d) for d in Dimension]))
    with st.container(horizontal=True, vertical_alignment="bottom", key="rasd_asked"):
        st.selectbox(
            words("gauge.month"), list(labels), key="month", format_func=labels.__getitem__, width=200
        )
        names = {str(d): words(f"dimension.{d}") for d in Dimension}
        st.pills(words("gauge.by"), list(names), key="by", format_func=names.__getitem__, required=True)
    return dt.date.fromisoformat(f"{month}-01"), by


def _freshness(words: Words, result: IndicatorResult) -> None:
    """As of when the numbers are, and what came since."""
    fresh = result.freshness
    zone = ZoneInfo(result.timezone)
    said = [
        words("gauge.as_of", day=words.date(result.query.end)),
        words("gauge.read", time=f"{fresh.read_at.astimezone(zone):%Y-%m-%d %H:%M}"),
    ]
    if fresh.later_events:
        said.append(words("gauge.later", n=number(fresh.later_events)))
    if fresh.later_data:
        said.append(words("gauge.later_data"))
    st.html(cards.note(" ".join(said)))


def _compared(words: Words, chosen: Territory, version: int, result: IndicatorResult) -> None:
    """One indicator: map or months beside the ranking, funnel, curve, ages."""
    offered = [str(i) for i in Indicator if any(row.reading(i) is not None for row in result.rows)]
    if not offered:
        st.html(cards.note(words("gauge.empty")))
        return
    usual = str(Indicator.ON_TIME) if str(Indicator.ON_TIME) in offered else offered[0]
    code = Indicator(state.one("show", usual, offered))
    mapped = choropleth.drawable(result)
    way = state.one("way", "value", choropleth.WAYS) if mapped else "value"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = {i: words(f"indicator.{i}") for i in offered}
        st.selectbox(words("gauge.show"), offered, key="show", format_func=names.__getitem__, width=280)
        if mapped:
            ways = {w: words(f"gauge.map_{w}") for w in choropleth.WAYS}
            st.pills(words("gauge.what"), list(ways), key="way", format_func=ways.__getitem__, required=True)
    if mapped:
        left, right = st.columns([1.9, 1], gap="medium")
        with left, st.container(key="rasd_map"):
            _map(words, version, chosen.code, result, code, way)
        with right:
            st.html(ranking.table(words, result, code))
    else:
        st.html(ranking.table(words, result, code))
    left, right = st.columns(2, gap="medium")
    with left:
        charts.funnel(words, result, code)
        charts.ages(words, result.whole, WHOLE)
    with right:
        found = asked.curves(version, result.query, (WHOLE,))
        charts.curve(words, [(words("gauge.whole"), one) for one in found], result.settings.remedy_days)
        _suspicious(words, result)


@st.fragment
def _map(
    words: Words, version: int, territory: str, result: IndicatorResult, code: Indicator, way: str
) -> None:
    """A click on an area opens the reports behind its number."""
    area = choropleth.draw(words, version, territory, result, code, way, choropleth.palette(code))
    if area is None or area == st.session_state.get("_gauge_area"):
        return
    st.session_state["_gauge_area"] = area
    row = next((row for row in result.rows if row.key == area), None)
    reading = row.reading(code) if row else None
    if reading is not None and reading.count:
        behind.choose(behind.Chosen(code, "count", None, area))
        st.rerun()


def _suspicious(words: Words, result: IndicatorResult) -> None:
    """The four rules with their counts, each opening its closings."""
    rules = (
        Indicator.CLOSED_AT_ONCE,
        Indicator.CLOSED_IN_BULK,
        Indicator.CLOSED_UNTREATED,
        Indicator.REOPENED_SOON,
    )
    readings = [reading for rule in rules if (reading := result.whole.reading(rule)) is not None]
    if not readings:
        return
    with st.container(border=True, key="rasd_suspicious"):
        st.html(cards.title(words("gauge.suspicious")))
        for reading in readings:
            name = words(f"indicator.{reading.indicator}")
            with st.container(horizontal=True, vertical_alignment="center"):
                st.html(
                    f"<div><b>{cards.esc(name)}</b> · {number(reading.count)}<br>"
                    f"<small>{cards.esc(words(f'meaning.{reading.indicator}'))}</small></div>",
                    width="stretch",
                )
                if reading.count:
                    behind.button(words, reading.indicator, None, whole=True)
        st.html(cards.note(words("gauge.suspicious_note")))


def _remarks(words: Words, result: IndicatorResult) -> None:
    warned = [sentence(words, remark) for remark in result.remarks if remark.caution]
    decided = [sentence(words, remark) for remark in result.remarks if not remark.caution]
    if warned:
        st.html(notices.cautions(words, warned))
    if decided:
        st.html(notices.decisions(words("method.about_decisions"), decided))
