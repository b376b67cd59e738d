"""Reports by month as bars; months that are cut short are paler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import altair as alt
import pandas as pd
import streamlit as st

from data.summaries import MonthCount
from views import cards
from views.words import Words

FEW_MONTHS = 4  # so few bars would be as wide as walls
BAR_WIDTH = 48  # px


def draw(words: Words, months: Sequence[MonthCount]) -> None:
    """The chart in a box of its own."""
    frame = pd.DataFrame(
        {
            "month": [words.month(m.month) for m in months],
            "count": [m.count for m in months],
            "open": [m.open for m in months],
            "opacity": [0.45 if m.partial else 1.0 for m in months],
        }
    )
    side: Literal["right", "left"] = "right" if words.rtl else "left"
    axis = alt.Axis(
        labelAngle=-45 if len(months) > 8 else 0, labelOverlap="greedy", labelLimit=120, title=None
    )
    chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadiusEnd=3, size=BAR_WIDTH if len(months) <= FEW_MONTHS else alt.Undefined)
        .encode(
            # Time runs from left to right in both languages, as in printed Arabic reports.
            x=alt.X("month:O", sort=None, axis=axis),
            y=alt.Y("count:Q", axis=alt.Axis(orient=side, title=None, tickMinStep=1, format=",d")),
            opacity=alt.Opacity("opacity:Q", scale=None, legend=None),
            tooltip=[
                alt.Tooltip("month:N", title=words("chart.month")),
                alt.Tooltip("count:Q", title=words("chart.count"), format=",d"),
                alt.Tooltip("open:Q", title=words("chart.open"), format=",d"),
            ],
        )
        .properties(height=230, padding={"left": 8, "right": 12, "top": 8, "bottom": 4})
    )
    with st.container(border=True):
        st.html(cards.title(words("chart.title")))
        st.altair_chart(chart, width="stretch", alt=words("chart.alt"))
        if any(m.partial for m in months):
            st.caption(words("chart.partial"))
