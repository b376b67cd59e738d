"""The filters in the sidebar, and what they amount to: one frozen ``View``.

Options come from the store with their counts' order; the address holds ids and codes. A
territory whose reports carry elements is filtered by group and element, one with a
taxonomy of its own by its types.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from data.query import ReportQuery
from data.summaries import Choice, Choices
from data.vocabulary import Channel, Status
from layers.palettes import DEFAULT, PALETTES
from views import state
from views.words import Words

PERIODS = ("all", "d30", "d90", "m12", "year", "last_year", "custom")
COUNTED = ("reports", "incidents")
KEYS = ("period", "from", "to", "group", "element", "type", "municipality", "district", "channel", "status")

# Below this share of classified reports the source's own types are offered too.
ENOUGH_CLASSIFIED = 0.98


@dataclass(frozen=True, slots=True)
class View:
    """What the reader asked for: the query, the period in words, and the map's colours."""

    query: ReportQuery
    period: str
    palette: str


def period_days(preset: str, last: dt.date) -> tuple[dt.date | None, dt.date | None]:
    """First and last day of a preset, counted back from the newest report's day."""
    if preset == "d30":
        return last - dt.timedelta(days=29), last
    if preset == "d90":
        return last - dt.timedelta(days=89), last
    if preset == "m12":
        # Twelve whole months and the running one, from the first of a month.
        month = last.year * 12 + last.month - 1 - 11
        return dt.date(month // 12, month % 12 + 1, 1), last
    if preset == "year":
        return dt.date(last.year, 1, 1), last
    if preset == "last_year":
        return dt.date(last.year - 1, 1, 1), dt.date(last.year - 1, 12, 31)
    return None, None


def _labels(words: Words, rows: Sequence[Choice]) -> dict[int | str, str]:
    return {row.key: words.pick(row.name_ar, row.name_en) for row in rows}


def _pick(words: Words, label: str, key: str, labels: dict[int | str, str]) -> tuple[int | str, ...]:
    """A list filter; nothing chosen means all. Hidden when there is no choice to make."""
    chosen = state.many(key, list(labels))
    if len(labels) < 2:
        return chosen
    st.multiselect(
        label,
        list(labels),
        key=key,
        format_func=labels.__getitem__,
        placeholder=words("filters.any"),
    )
    return chosen


def _clear() -> None:
    for key in KEYS:
        st.session_state[key] = [] if key not in ("period", "from", "to") else st.session_state.get(key)
    st.session_state["period"] = "all"
    st.session_state["defaults"] = False


def period(words: Words, first: dt.date, last: dt.date) -> tuple[dt.date | None, dt.date | None, str]:
    """The period's filter: first and last day, and how to call it."""
    preset = state.one("period", "all", PERIODS)
    names = {p: words(f"period.{p}") for p in PERIODS}
    st.selectbox(words("filters.period"), PERIODS, key="period", format_func=names.__getitem__)
    if preset == "custom":
        start = state.day("from", first, first, last)
        end = state.day("to", last, start, last)
        st.date_input(words("filters.from"), key="from", min_value=first, max_value=last)
        st.date_input(words("filters.to"), key="to", min_value=start, max_value=last)
        if start == end:
            return start, end, words.date(start)
        return start, end, words("card.dates", first=words.date(start), last=words.date(end))
    start_day, end_day = period_days(preset, last)
    if preset == "all":
        return None, None, names[preset]
    st.caption(words("period.note", date=words.date(last)))
    return start_day, end_day, names[preset]


def draw(words: Words, territory_id: int, choices: Choices) -> View:
    """Draw all filters below the territory's and return what they say."""
    today = dt.date.today()
    first, last = choices.first or today, choices.last or today
    start, end, called = period(words, first, last)
    groups: tuple[int | str, ...] = ()
    elements: tuple[int | str, ...] = ()
    types: tuple[int | str, ...] = ()
    if choices.elements:
        groups = _pick(words, words("filters.groups"), "group", _labels(words, choices.groups))
        elements = _pick(words, words("filters.elements"), "element", _labels(words, choices.elements))
    # A source whose types have no counterpart in the taxonomy is filtered by its types as well.
    classified = sum(c.count for c in choices.elements)
    if classified < ENOUGH_CLASSIFIED * sum(c.count for c in choices.types):
        types = _pick(words, words("filters.types"), "type", _labels(words, choices.types))
    municipalities = _pick(
        words, words("filters.municipalities"), "municipality", _labels(words, choices.municipalities)
    )
    districts = _pick(words, words("filters.districts"), "district", _labels(words, choices.districts))
    # Channel and status stand in the address by name, which no renumbering of a screen can break.
    channels = _named(words, "channel", choices.channels, Channel)
    statuses = _named(words, "status", choices.statuses, Status)
    counted = state.one("count", "reports", COUNTED)
    kinds = {c: words(f"count.{c}") for c in COUNTED}
    st.segmented_control(
        words("count.label"),
        COUNTED,
        key="count",
        format_func=kinds.__getitem__,
        required=True,
        help=words("count.help"),
    )
    defaults = state.flag("defaults")
    st.checkbox(words("filters.default_points"), key="defaults", help=words("filters.default_points_help"))
    st.button(words("filters.clear"), on_click=_clear, width="stretch")
    palette = state.one("colours", DEFAULT, list(PALETTES))
    shades = {p: words(f"palette.{p}") for p in PALETTES}
    st.selectbox(words("filters.colours"), list(PALETTES), key="colours", format_func=shades.__getitem__)
    query = ReportQuery(
        territory_id,
        start=start,
        end=end,
        groups=tuple(str(g) for g in groups),
        elements=tuple(str(e) for e in elements),
        types=tuple(int(t) for t in types),
        municipalities=tuple(int(m) for m in municipalities),
        districts=tuple(int(d) for d in districts),
        channels=channels,
        statuses=statuses,
        default_points=defaults,
        incidents=counted == "incidents",
    )
    return View(query, called, palette)


def _named(
    words: Words, key: str, rows: Sequence[Choice], kind: type[Channel] | type[Status]
) -> tuple[int, ...]:
    names = [kind(int(row.key)).name.lower() for row in rows]
    labels: dict[int | str, str] = {name: words(f"{key}.{name}") for name in names}
    label = words("filters.channels") if key == "channel" else words("filters.statuses")
    return tuple(int(kind[str(name).upper()]) for name in _pick(words, label, key, labels))


def within(query: ReportQuery, level: str | None, area: int) -> ReportQuery | None:
    """The query narrowed to one area, or None where reports are not filtered by that level."""
    if level == "municipality":
        return replace(query, municipalities=(area,))
    if level == "district":
        return replace(query, districts=(area,))
    return None
