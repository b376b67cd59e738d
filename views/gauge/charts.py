"""Charts of the Indicators page: the funnel, how long until it is done, the ages of what is open."""

from __future__ import annotations

from typing import Literal

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from data.analyses.indicators import AGE_BANDS, MEANINGS, Funnel, Indicator, IndicatorResult, RemedyCurve, Row
from views import cards
from views.cards import bar, esc
from views.gauge import behind, telling
from views.gauge.choropleth import differs
from views.words import Words, number, short

LINE, WARM, COOL, QUIET = "#7c8783", "#c8550a", "#1f7fb8", "#8a9490"
_STEPS = 60  # points of the funnel's lines
_MOST_POINTS = 400  # of a curve


def _side(words: Words) -> Literal["right", "left"]:
    return "right" if words.rtl else "left"


def funnel(words: Words, result: IndicatorResult, indicator: Indicator) -> None:
    """Each row by its size and value, with the lines that chance does not leave."""
    found = next((one for one in result.funnels if one.indicator is indicator), None)
    points = [
        (row, reading)
        for row in result.rows
        if (reading := row.reading(indicator)) is not None and reading.value is not None and reading.position
    ]
    if found is None or len(points) < 3:
        return
    scale = 100 if MEANINGS[indicator].kind == "share" else 1
    names = {code: words(f"gauge.{code}") for code in ("worse", "better", "inside")}
    frame = pd.DataFrame(
        {
            "name": [telling.name(words, result, row) for row, _ in points],
            "base": [_size(indicator, reading.base, reading.over) for _, reading in points],
            "value": [scale * float(reading.value or 0) for _, reading in points],
            "side": [names[differs(indicator, reading)] for _, reading in points],
            "shown": [telling.value(words, reading) for _, reading in points],
        }
    )
    unit = "%" if scale == 100 else ""
    x = alt.X(
        "base:Q",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(title=words("gauge.funnel_base"), format="~s", grid=False, tickCount=6),
    )
    y_axis = alt.Axis(orient=_side(words), title=None, labelExpr=f"datum.label + '{unit}'", tickCount=6)
    lines = (
        alt.Chart(_lines(found, frame["base"], scale))
        .mark_line(color=LINE, strokeDash=[5, 4], strokeWidth=1.4)
        .encode(x=x, y=alt.Y("value:Q", axis=y_axis), detail="which:N")
    )
    dots = (
        alt.Chart(frame)
        .mark_point(filled=True, size=85, opacity=0.9)
        .encode(
            x=x,
            y=alt.Y("value:Q", axis=y_axis),
            color=alt.Color(
                "side:N",
                scale=alt.Scale(domain=list(names.values()), range=[WARM, COOL, QUIET]),
                legend=alt.Legend(title=None, orient="top", labelLimit=260, columns=2),
            ),
            shape=alt.Shape(
                "side:N",
                scale=alt.Scale(
                    domain=list(names.values()), range=["triangle-up", "triangle-down", "circle"]
                ),
                legend=alt.Legend(title=None, orient="top", labelLimit=260, columns=2),
            ),
            tooltip=[
                alt.Tooltip("name:N", title=words(f"dimension.{result.query.by}")),
                alt.Tooltip("shown:N", title=words(f"indicator.{indicator}")),
                alt.Tooltip("base:Q", title=words("gauge.funnel_base"), format=",.0f"),
            ],
        )
    )
    with st.container(border=True):
        st.html(cards.title(f"{words('gauge.funnel')} · {words(f'indicator.{indicator}')}"))
        chart = (lines + dots).properties(height=300, padding={"left": 8, "right": 14, "top": 8, "bottom": 4})
        st.altair_chart(chart, width="stretch", alt=words("gauge.funnel_note"))
        st.html(cards.note(words("gauge.funnel_note")))


def _size(indicator: Indicator, base: int, over: float) -> float:
    """What the limits narrow with: reports for shares, km² × months for the rate."""
    return float(over) if MEANINGS[indicator].kind == "rate" else float(base)


def _lines(found: Funnel, base: pd.Series, scale: int) -> pd.DataFrame:
    sizes = np.geomspace(max(float(base.min()) * 0.8, 0.5), float(base.max()) * 1.2, _STEPS)
    low, high = found.limits(sizes)
    middle = np.full(_STEPS, found.overall)
    return pd.DataFrame(
        {
            "base": np.tile(sizes, 3),
            "value": scale * np.concatenate([low, middle, high]),
            "which": np.repeat(["low", "middle", "high"], _STEPS),
        }
    )


def curve(words: Words, curves: list[tuple[str, RemedyCurve]], days: int) -> None:
    """Share not yet remedied by age, of the whole and of a picked row."""
    curves = [(name, one) for name, one in curves if one.reports]
    if not curves:
        return
    parts = []
    for name, one in curves:
        step = np.unique(np.linspace(0, len(one.days) - 1, min(len(one.days), _MOST_POINTS)).astype(int))
        parts.append(
            pd.DataFrame(
                {
                    "days": np.r_[0.0, one.days[step]],
                    "left": 100 * np.r_[1.0, one.remaining[step]],
                    "low": 100 * np.r_[1.0, one.low[step]],
                    "high": 100 * np.r_[1.0, one.high[step]],
                    "name": name,
                }
            )
        )
    frame = pd.concat(parts)
    names = [name for name, _ in curves]
    colour = alt.Color(
        "name:N",
        scale=alt.Scale(domain=names, range=[COOL, WARM][: len(names)]),
        legend=alt.Legend(title=None, orient="top", labelLimit=260) if len(names) > 1 else None,
    )
    x = alt.X("days:Q", axis=alt.Axis(title=words("gauge.curve_x"), grid=False))
    y_axis = alt.Axis(orient=_side(words), title=None, labelExpr="datum.label + '%'")
    base = alt.Chart(frame)
    band = base.mark_area(opacity=0.18, interpolate="step-after").encode(
        x=x, y=alt.Y("low:Q", axis=y_axis, scale=alt.Scale(domain=[0, 100])), y2="high:Q", color=colour
    )
    line = base.mark_line(interpolate="step-after", strokeWidth=2.2).encode(
        x=x,
        y=alt.Y("left:Q", axis=y_axis),
        color=colour,
        tooltip=[
            alt.Tooltip("name:N", title=""),
            alt.Tooltip("days:Q", title=words("gauge.curve_x"), format=",.1f"),
            alt.Tooltip("left:Q", title=words("gauge.curve_y"), format=".0f"),
        ],
    )
    with st.container(border=True):
        st.html(cards.title(words("gauge.curve")))
        chart = (band + line).properties(height=260, padding={"left": 8, "right": 14, "top": 8, "bottom": 4})
        st.altair_chart(chart, width="stretch", alt=words("gauge.curve_note", days=number(days)))
        st.html(cards.bullets([f"{name}: {_told(words, one)}" for name, one in curves]))
        st.html(cards.note(words("gauge.curve_note", days=number(days))))


def _told(words: Words, one: RemedyCurve) -> str:
    followed = words("gauge.curve_reports", n=number(one.reports))
    if one.median is None:
        said = words("gauge.curve_none")
    elif one.p90 is None:
        said = words("gauge.curve_half_only", days=short(one.median))
    else:
        said = words("gauge.curve_half", days=short(one.median), p90=short(one.p90))
    return f"{said} ({followed})"


def ages(words: Words, row: Row, key: int | str | None) -> None:
    """Open reports by age; each band opens its reports."""
    if not sum(row.ages):
        return
    with st.container(border=True, key="rasd_ages"):
        st.html(cards.title(words("gauge.ages")))
        top = max(row.ages)
        for at, count in enumerate(row.ages[: len(AGE_BANDS)]):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.html(
                    f'<div class="rd-part"><span><bdi>{esc(behind.band(words, at))}</bdi></span>'
                    f"<b>{number(count)}</b>{bar(count / top)}</div>",
                    width="stretch",
                )
                st.button(
                    words("gauge.open"),
                    key=f"age_{at}",
                    type="tertiary",
                    disabled=not count,
                    on_click=behind.choose,
                    args=(behind.Chosen(Indicator.BACKLOG, "count", at, key),),
                )
        st.html(cards.note(words("gauge.ages_note")))
