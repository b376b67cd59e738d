"""Readings of indicators in words: the value with its unit, its change, its target.

A change is only called one where its interval leaves out "no change"; otherwise the page
says that chance explains it. Nothing is computed here.
"""

from __future__ import annotations

from data.analyses.indicators import MEANINGS, Change, Indicator, IndicatorResult, Reading, Row
from views.words import Words, number, short


def value(words: Words, reading: Reading) -> str:
    """The reading with its unit, "–" where there is nothing to tell."""
    if reading.value is None:
        days = MEANINGS[reading.indicator].kind == "days"
        return words("gauge.not_reached") if days and reading.base else "–"
    return amount(words, reading.indicator, reading.value)


def amount(words: Words, indicator: Indicator, value: float) -> str:
    """A value of an indicator with its unit."""
    kind = MEANINGS[indicator].kind
    if kind == "share":
        return words("units.percent", n=_percent(value))
    if kind == "days":
        return words("gauge.hours", n=short(24 * value)) if value < 1 else words("gauge.days", n=short(value))
    if kind == "rate":
        return words("gauge.vpi_unit", n=short(value))
    return number(value)


def _percent(share: float) -> str:
    percent = 100 * share
    return number(percent, 1) if percent < 10 and percent != round(percent) else number(percent)


def interval(words: Words, reading: Reading) -> str:
    """Its limits, "" where there are none; an unknown end is "…"."""
    if reading.low is None and reading.high is None:
        return ""
    ends = [
        "…" if end is None else amount(words, reading.indicator, end) for end in (reading.low, reading.high)
    ]
    return words("gauge.interval", low=ends[0], high=ends[1])


def change(words: Words, reading: Reading) -> str:
    """From the period before to this one, in a sentence."""
    found = reading.change
    if reading.before is None or found is None or found.value is None:
        return words("gauge.no_before")
    if found.low is None or found.high is None:
        by = _step(words, reading.indicator, found, found.value)
        return words("gauge.same") if _nothing(found) else words("gauge.changed", by=by)
    low, high = (_step(words, reading.indicator, found, end) for end in (found.low, found.high))
    if not found.differs:
        return words("gauge.chance", low=low, high=high)
    rises = found.value > (1 if found.kind == "ratio" else 0)
    by = _step(words, reading.indicator, found, found.value)
    return words("gauge.up" if rises else "gauge.down", by=by, low=low, high=high)


def _nothing(found: Change) -> bool:
    return found.value == (1 if found.kind == "ratio" else 0)


def _step(words: Words, indicator: Indicator, found: Change, value: float) -> str:
    """One end of a change: a ratio as a percentage, a difference in the indicator's unit."""
    if found.kind == "ratio":
        percent = 100 * (value - 1)
        return _signed(percent, words("units.percent", n=_percent(round(abs(percent), 9) / 100)))
    return _signed(value, amount(words, indicator, abs(value)))


def _signed(value: float, text: str) -> str:
    sign = "+" if value > 0 else "\u2212" if value < 0 else ""
    # Isolated, so that the sign stays before its number in Arabic.
    return f"\u2066{sign}{text}\u2069"


def target(words: Words, reading: Reading) -> str:
    """What was to be reached and whether it was, "" without a target."""
    if reading.target is None:
        return ""
    wanted = amount(words, reading.indicator, reading.target)
    if reading.met is None:
        return words("gauge.target", value=wanted)
    return words("gauge.target_met" if reading.met else "gauge.target_missed", value=wanted)


def of(words: Words, reading: Reading) -> str:
    """What a share or a time was counted from, "" for plain counts."""
    if not reading.base:
        return ""
    if MEANINGS[reading.indicator].kind == "share":
        return words("gauge.of_base", count=number(reading.count), base=number(reading.base))
    return words("gauge.curve_reports", n=number(reading.base))


def name(words: Words, result: IndicatorResult, row: Row) -> str:
    """The row's name in the reader's language."""
    if row is result.whole:
        return words("gauge.whole")
    if row.key is None:
        return words("gauge.none")
    if not (row.name_ar or row.name_en):
        return str(row.key)
    return words.pick(row.name_ar, row.name_en)
