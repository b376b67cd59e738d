"""Did it help? The effect of a plan that ran, with its interval, its course and its placebo test.

Reports in the hexagons that were worked in, against hexagons that had the same course
before and were left alone. The chart shows what came and what was to be expected, period
by period; before the campaign the two must lie together, or the answer is worth nothing.
"""

from __future__ import annotations

import math
from typing import Literal

import altair as alt
import pandas as pd
import streamlit as st

from data.analyses.effects import Effect, effect
from data.campaigns import Saved
from geo.effects import Estimate
from views import cards, jobs, notices
from views.access import connection
from views.cards import esc, title
from views.remarks import sentence
from views.studio.setting import Setting
from views.words import Words, number

RAN = ("running", "done")
OBSERVED, EXPECTED = "#b95506", "#267abf"


def draw(setting: Setting, kept: Saved) -> None:
    """The effect's card, once the plan has run; until then why there is none."""
    words = setting.words
    if kept.status not in RAN:
        st.html(notices.about(words("effect3.not_yet")))
        return

    def work(tick: jobs.Tick) -> Effect:
        with connection() as conn:
            return effect(conn, kept.id, tick=tick)

    key = ("effect", kept.id, kept.version, kept.status, setting.version)
    found = jobs.answer(words, key, work, words("effect3.solving"))
    if found is None:
        return
    warned = [sentence(words, remark) for remark in found.remarks if remark.caution]
    decided = [sentence(words, remark) for remark in found.remarks if not remark.caution]
    with st.container(border=True, key="rasd_effect"):
        st.html(
            title(words("effect3.title"))
            + notices.answer(sentence(words, found.sentence))
            + notices.cautions(words, warned)
            + figures(words, found)
        )
        _chart(words, found)
        st.html(placebo(words, found) + notices.decisions(words("method.about_decisions"), decided))


def change(words: Words, one: Estimate) -> str:
    """A ratio as a change in percent with its interval."""
    if not math.isfinite(one.ratio):
        return "–"
    return words(
        "effect3.change",
        n=_signed(one.ratio),
        low=_signed(one.low),
        high=_signed(one.high),
    )


def _signed(ratio: float) -> str:
    if math.isnan(ratio):
        return "–"
    if math.isinf(ratio):
        return "∞"
    value = 100 * (ratio - 1)
    sign = "+" if value >= 0 else "\u2212"
    return f"{sign}{number(abs(value))}%"


def figures(words: Words, found: Effect) -> str:
    """The effect on reports, on returns to chronic places, and next to the treated hexagons."""
    rows = [
        (words("effect3.reports"), found.reports),
        (words("effect3.chronic"), found.chronic),
        (words("effect3.spill"), found.spill),
    ]
    body = "".join(
        f'<div class="rd-kpi"><span>{esc(label)}</span><b><bdi dir="ltr">{esc(_signed(one.ratio))}</bdi></b>'
        f"<small><bdi>{esc(_between(words, one))}</bdi><br>{esc(_counts(words, one))}</small></div>"
        for label, one in rows
        if one is not None
    )
    return f'<div class="rd-kpis">{body}</div>'


def _between(words: Words, one: Estimate) -> str:
    level = number(100 * one.level)
    return words("effect3.between", level=level, low=_signed(one.low), high=_signed(one.high))


def _counts(words: Words, one: Estimate) -> str:
    return words("effect3.counts", observed=number(one.observed), expected=number(one.expected, 1))


def placebo(words: Words, found: Effect) -> str:
    """The same comparison at earlier dates, when nothing was done."""
    if not found.placebo:
        return ""
    lines = [
        words("effect3.placebo_line", date=words.date(day, hijri=False), change=change(words, one))
        for day, one in found.placebo
    ]
    return title(words("effect3.placebo")) + cards.note(words("effect3.placebo_note")) + cards.bullets(lines)


def _chart(words: Words, found: Effect) -> None:
    """What came and what was to be expected, period by period."""
    rows = [
        {
            "start": pd.Timestamp(period.start),
            "observed": float(period.step.observed),
            "expected": period.step.expected,
        }
        for period in found.course
    ]
    if not rows:
        return
    frame = pd.DataFrame(rows)
    names = {"observed": words("effect3.observed"), "expected": words("effect3.expected")}
    long = frame.melt("start", ["observed", "expected"], "what", "reports")
    long["what"] = long["what"].map(names)
    side: Literal["right", "left"] = "right" if words.rtl else "left"
    x = alt.X("start:T", axis=alt.Axis(title=None, format="%Y-%m", labelOverlap="greedy"))
    y = alt.Axis(orient=side, title=None, format=",d")
    colour = alt.Color(
        "what:N",
        scale=alt.Scale(domain=list(names.values()), range=[OBSERVED, EXPECTED]),
        legend=alt.Legend(title=None, orient="top"),
    )
    lines = (
        alt.Chart(long)
        .mark_line(point=True, strokeWidth=2.4)
        .encode(
            x=x,
            y=alt.Y("reports:Q", axis=y),
            color=colour,
            strokeDash=alt.StrokeDash(
                "what:N", scale=alt.Scale(domain=list(names.values()), range=[[1, 0], [5, 4]]), legend=None
            ),
            tooltip=[
                alt.Tooltip("start:T", title=words("effect3.from"), format="%Y-%m-%d"),
                alt.Tooltip("what:N", title=""),
                alt.Tooltip("reports:Q", title=words("kpi.reports"), format=",.1f"),
            ],
        )
    )
    band = (
        alt.Chart(pd.DataFrame({"from": [pd.Timestamp(found.start)], "to": [pd.Timestamp(found.end)]}))
        .mark_rect(opacity=0.22, color="#7c8783")
        .encode(x="from:T", x2="to:T")
    )
    chart = (band + lines).properties(height=260, padding={"left": 8, "right": 14, "top": 8, "bottom": 4})
    st.altair_chart(chart, width="stretch", alt=words("effect3.alt"))
    st.html(cards.note(words("effect3.chart_note")))
