"""The whole territory at a glance: a card an indicator, with target, change and its reports."""

from __future__ import annotations

import streamlit as st

from data.analyses.indicators import Indicator, IndicatorResult, Reading
from views import cards
from views.cards import esc
from views.gauge import behind, telling
from views.words import Words

#: What a director looks at first, in this order; the rest is in the table.
SHOWN = (
    Indicator.RECEIVED,
    Indicator.CLOSED,
    Indicator.ON_TIME,
    Indicator.REMEDY_MEDIAN,
    Indicator.BACKLOG,
    Indicator.OVERDUE,
    Indicator.VPI,
    Indicator.REOPENED,
    Indicator.QUALITY_FAILED,
    Indicator.SUSPICIOUS,
)


def draw(words: Words, result: IndicatorResult) -> None:
    """Cards in rows that break by themselves, two by two on a phone."""
    st.html(cards.title(words("gauge.figures")))
    with st.container(horizontal=True, key="rasd_gauges"):
        for indicator in SHOWN:
            reading = result.whole.reading(indicator)
            if reading is None:
                continue
            with st.container(key=f"rasd_gauge_{indicator}", border=True, width=210):
                st.html(card(words, reading))
                if reading.count:
                    behind.button(words, indicator, None, whole=True)


def card(words: Words, reading: Reading) -> str:
    """One reading as a card."""
    code = reading.indicator
    small = [telling.target(words, reading), telling.of(words, reading), telling.change(words, reading)]
    state = "" if reading.met is None else " rd-met" if reading.met else " rd-missed"
    rows = "".join(f"<small><bdi>{esc(text)}</bdi></small>" for text in small if text)
    return (
        f'<div class="rd-gauge{state}" title="{esc(words(f"meaning.{code}"))}">'
        f"<span>{esc(words(f'indicator.{code}'))}</span>"
        f"<b><bdi>{esc(telling.value(words, reading))}</bdi></b>{rows}</div>"
    )
