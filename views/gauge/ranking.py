"""Rows ranked by one indicator: what chance alone parts shares a place."""

from __future__ import annotations

import math

from data.analyses.indicators import MEANINGS, Indicator, IndicatorResult, Reading, Row
from views import cards
from views.cards import bar, esc
from views.gauge import telling
from views.gauge.choropleth import differs
from views.words import Words, number

SIGNS = {"worse": "▲", "better": "▼", "inside": "●", "no_value": "–"}


def table(words: Words, result: IndicatorResult, indicator: Indicator) -> str:
    """An HTML list, best first; where nothing is compared, largest number first."""
    pairs = [(row, reading) for row in result.rows if (reading := row.reading(indicator)) is not None]
    compared = any(reading.rank is not None for _, reading in pairs)
    pairs.sort(key=lambda pair: _place(indicator, *pair))
    top = max([1e-12, *(_length(reading) for _, reading in pairs)])
    lines = "".join(_line(words, result, indicator, row, reading, top) for row, reading in pairs)
    heading = cards.title(words("gauge.rank_title", name=words(f"indicator.{indicator}")))
    note = cards.note(words("gauge.rank_note" if compared else "gauge.rank_plain"))
    about = cards.note(words(f"meaning.{indicator}"))
    return f'{heading}{about}<div class="rd-scroll"><div class="rd-list">{lines}</div></div>{note}'


def _place(indicator: Indicator, row: Row, reading: Reading) -> tuple[float, float, str]:
    value = reading.value if reading.shrunken is None else reading.shrunken
    better = MEANINGS[indicator].better
    by_value = math.inf if value is None else (-value if better >= 0 else value)
    return (math.inf if reading.rank is None else reading.rank, by_value, row.name_en)


def _length(reading: Reading) -> float:
    value = reading.value if reading.shrunken is None else reading.shrunken
    return max(float(value or 0), 0.0)


def _line(
    words: Words, result: IndicatorResult, indicator: Indicator, row: Row, reading: Reading, top: float
) -> str:
    side = differs(indicator, reading)
    shown = telling.value(words, reading)
    beside = [telling.of(words, reading), telling.interval(words, reading)]
    if reading.position:
        beside.append(words(f"gauge.{side}"))
    rank = "–" if reading.rank is None else number(reading.rank)
    return (
        f'<div class="rd-row rd-still rd-{side}"><i>{rank}</i>'
        f"<span><bdi>{esc(telling.name(words, result, row))}</bdi></span>"
        f"<b><u class='rd-sign' aria-hidden='true'>{SIGNS[side] if reading.position else ''}</u>"
        f"<bdi>{esc(shown)}</bdi></b>"
        f"<em><bdi>{esc(' · '.join(text for text in beside if text))}</bdi></em>{bar(_length(reading) / top)}</div>"
    )
