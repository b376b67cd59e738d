"""How a municipality, a department, a contractor or a kind of report is doing, month by month.

Every number is asked **as of the end of its period**: statuses, owners and limits are those
that the history tells for that moment (``geo/replay.py``), so a month that is over comes out
the same next year, whatever was reported, done or loaded since. Each indicator is a rule over
single reports (``measures.py``), and ``reports_behind`` gives exactly the reports that a
number counts. Formulas, assumptions and papers: docs/methods/indicators.md. Caveats: a report
is counted where it lies in today's boundaries; what a source corrects in a report (its place,
its kind) corrects the past as well.
"""

from __future__ import annotations

import calendar
import dataclasses
import datetime as dt
from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from data import lives as life
from data import targets
from data.analyses.ground import ground
from data.analyses.indicator_asked import Asked, columns_for, filter_tables, unit_weights
from data.analyses.indicator_compared import readings, scatters, told
from data.analyses.indicator_numbers import behind, curves, numbers
from data.analyses.indicator_rows import one_row, row_set
from data.analyses.indicator_terms import (
    AGE_BANDS,
    MEANINGS,
    WHOLE,
    Change,
    Dimension,
    Freshness,
    Funnel,
    Indicator,
    IndicatorQuery,
    IndicatorResult,
    IndicatorSettings,
    Kind,
    Meaning,
    Part,
    Reading,
    RemedyCurve,
    Row,
    month_query,
)
from data.analyses.measures import Span
from data.eventcolumns import as_moment, minutes
from geo.errors import InputError
from geo.remarks import Remark, caution, decided

__all__ = [
    "AGE_BANDS", "MEANINGS", "WHOLE", "Change", "Dimension", "Freshness", "Funnel", "Indicator",
    "IndicatorQuery", "IndicatorResult", "IndicatorSettings", "Kind", "Meaning", "Part", "Reading",
    "RemedyCurve", "Row", "indicators", "month_query", "remedy_curves", "reports_behind",
]  # fmt: skip

_MONTH_DAYS = 365.2425 / 12
Tick = Callable[[float], None]
Key = int | str | None


def indicators(
    conn: Connection,
    query: IndicatorQuery,
    settings: IndicatorSettings | None = None,
    *,
    tick: Tick | None = None,
) -> IndicatorResult:
    """All indicators of all rows.

    Parameters
    ----------
    tick : called with the share done where the tables have to be read; may raise Cancelled.

    Raises
    ------
    InputError : no such territory or code, or the period begins after all that is known.
    """
    asked = _asked(conn, query, settings or IndicatorSettings(), tick=tick)
    if query.by is Dimension.MONTH:
        return _by_month(asked)
    period = _Period.of(asked, query.start, query.end)
    now, ages, negative = numbers(asked, period.span, period.months)
    earlier = period.before(asked)
    before, _, _ = numbers(asked, earlier.span, earlier.months)
    goals = targets.valid(conn, query.territory_id, query.end)
    all_told, funnels = told(asked, now, before, period.span, earlier.span, scatters(asked, period.span))
    names = zip(asked.rows.keys, asked.rows.name_ar, asked.rows.name_en, strict=True)
    rows = tuple(
        row
        for place, (key, name_ar, name_en) in enumerate(names)
        if _shown(
            asked,
            row := Row(
                key, name_ar, name_en, readings(asked, all_told, place, goals), tuple(ages[place].tolist())
            ),
        )
    )
    total = readings(asked, all_told, len(asked.rows), goals, whole=True)
    whole = Row(None, "", "", total, tuple(ages[-1].tolist()))
    return _result(asked, period, whole, rows, funnels, negative)


def reports_behind(
    conn: Connection,
    query: IndicatorQuery,
    indicator: Indicator,
    key: Key,
    part: Part = "count",
    *,
    band: int | None = None,
    settings: IndicatorSettings | None = None,
    tick: Tick | None = None,
) -> npt.NDArray[np.int64]:
    """``report.id`` of the reports behind a number, (k,) in order of opening.

    Parameters
    ----------
    key : of the row (None for reports that have none), or ``WHOLE``.
    part : ``count``, those counted; ``base``, those that they are a share of.
    band : index into ``AGE_BANDS``, for the ages of ``Indicator.BACKLOG``.

    Raises
    ------
    InputError : no such row, or the indicator has no meaning for it.
    """
    asked = _asked(conn, query, settings or IndicatorSettings(), ids=True, tick=tick)
    period = _Period.of(asked, query.start, query.end)
    row = -1
    if query.by is Dimension.MONTH and key != WHOLE:
        span = next((one for one in _months(query) if f"{one[0]:%Y-%m}" == key), None)
        if span is None:
            raise InputError(f"{key} is no month of this question.")
        period = _Period.of(asked, *span)
    elif key != WHOLE:
        row = _place(asked, key)
    chosen = behind(asked, period.span, indicator, row, part, band)
    found: npt.NDArray[np.int64] = asked.lives.columns["id"][chosen]
    return found


def remedy_curves(
    conn: Connection,
    query: IndicatorQuery,
    keys: tuple[Key, ...] = (WHOLE,),
    settings: IndicatorSettings | None = None,
    *,
    tick: Tick | None = None,
) -> tuple[RemedyCurve, ...]:
    """Curves of time to remedy of the rows named, in that order; months have only ``WHOLE``.

    Raises
    ------
    InputError : no such row.
    """
    asked = _asked(conn, query, settings or IndicatorSettings(), tick=tick)
    by_row, whole = curves(asked, _Period.of(asked, query.start, query.end).span)
    found = []
    for key in keys:
        group = 0 if key == WHOLE else _place(asked, key)
        one = whole if key == WHOLE else by_row
        curve = one.curve(group)
        median, p90 = (None if np.isnan(at) else float(at) for at in one.reached[group])
        found.append(
            RemedyCurve(
                key, curve.time, curve.remaining, curve.low, curve.high, curve.at_risk,
                int(one.followed[group]), int(one.done[group]), median, p90,
            )
        )  # fmt: skip
    return tuple(found)


# ---- the question made ready ----


def _asked(
    conn: Connection,
    query: IndicatorQuery,
    settings: IndicatorSettings,
    *,
    ids: bool = False,
    tick: Tick | None = None,
) -> Asked:
    found = life.load(conn, query.territory_id, columns_for(query, ids=ids), known=query.known_at, tick=tick)
    by_month = query.by is Dimension.MONTH
    return Asked(
        conn=conn,
        query=query,
        settings=settings,
        lives=found,
        rows=one_row() if by_month else row_set(conn, found, query.by),
        ground=ground(conn, found.facts, settings.ground, settings.ground_resolution),
        units=unit_weights(conn),
        tables=filter_tables(conn, query),
    )


def _place(asked: Asked, key: Key) -> int:
    if key not in asked.rows.keys or asked.query.by is Dimension.MONTH:
        raise InputError(f"There is no row {key!r} in an answer by {asked.query.by}.")
    return asked.rows.keys.index(key)


@dataclasses.dataclass(frozen=True, slots=True)
class _Period:
    """Days, the same in minutes up to the moment of what is known, and how many months that is."""

    start: dt.date
    end: dt.date
    span: Span
    months: float

    @classmethod
    def of(cls, asked: Asked, start: dt.date, end: dt.date) -> _Period:
        zone = ZoneInfo(asked.lives.facts.timezone)
        begins, ends = (
            minutes(dt.datetime.combine(day, dt.time(), zone)) for day in (start, end + dt.timedelta(days=1))
        )
        known = minutes(asked.lives.freshness.read_at)
        if begins >= known and not asked.lives.freshness.stale and asked.query.known_at is None:
            # Nothing came since the reading: it is as good for now.
            known = minutes(asked.conn.execute(text("SELECT now()")).scalar_one())
        if begins >= known:
            raise InputError(
                f"The period begins on {start}, and the reports were read at {as_moment(known):%Y-%m-%d %H:%M} "
                "UTC: choose an earlier one, or refresh (./rasd refresh)."
            )
        span = Span(begins, min(ends, known))
        whole = _whole_months(start, end)
        share = (span.end - begins) / (ends - begins)
        return cls(start, end, span, (whole or (ends - begins) / 1440 / _MONTH_DAYS) * share)

    def before(self, asked: Asked) -> _Period:
        """As many months, or days, just before."""
        last = self.start - dt.timedelta(days=1)
        whole = _whole_months(self.start, self.end)
        if whole:
            number = self.start.year * 12 + self.start.month - 1 - whole
            return _Period.of(asked, dt.date(number // 12, number % 12 + 1, 1), last)
        return _Period.of(asked, last - (self.end - self.start), last)


def _whole_months(start: dt.date, end: dt.date) -> int:
    """How many calendar months a period is; 0 when it is none."""
    if start.day != 1 or end.day != calendar.monthrange(end.year, end.month)[1]:
        return 0
    return end.year * 12 + end.month - start.year * 12 - start.month + 1


def _months(query: IndicatorQuery) -> list[tuple[dt.date, dt.date]]:
    """First and last day of each month that a period touches."""
    found, first = [], query.start.replace(day=1)
    while first <= query.end:
        last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        found.append((first, last))
        first = last + dt.timedelta(days=1)
    return found


# ---- the answer put together ----


def _by_month(asked: Asked) -> IndicatorResult:
    """Each month as of its own end; the whole as of the period's."""
    query, known = asked.query, minutes(asked.lives.freshness.read_at)
    whole = _Period.of(asked, query.start, query.end)
    zone = ZoneInfo(asked.lives.facts.timezone)
    spans = [
        span for span in _months(query) if minutes(dt.datetime.combine(span[0], dt.time(), zone)) < known
    ]
    chain = [_Period.of(asked, *span) for span in spans]
    chain.insert(0, chain[0].before(asked))
    scatter = scatters(asked, chain[-1].span)
    answers = [numbers(asked, one.span, one.months) for one in chain]
    rows = []
    for place in range(1, len(chain)):
        one, (now, ages, _) = chain[place], answers[place]
        told_of = told(asked, now, answers[place - 1][0], one.span, chain[place - 1].span, scatter)[0]
        goals = targets.valid(asked.conn, query.territory_id, one.end)
        row = readings(asked, told_of, 1, goals, whole=True)
        rows.append(Row(f"{one.start:%Y-%m}", "", "", row, tuple(ages[-1].tolist())))
    now, ages, negative = numbers(asked, whole.span, whole.months)
    earlier = whole.before(asked)
    before, _, _ = numbers(asked, earlier.span, earlier.months)
    told_of = told(asked, now, before, whole.span, earlier.span, scatter)[0]
    goals = targets.valid(asked.conn, query.territory_id, query.end)
    total = Row(None, "", "", readings(asked, told_of, 1, goals, whole=True), tuple(ages[-1].tolist()))
    return _result(asked, whole, total, tuple(rows), (), negative)


def _shown(asked: Asked, row: Row) -> bool:
    """Areas are shown all; other rows, and reports that have none, where there is anything to tell."""
    if row.key is not None and asked.query.by in (Dimension.MUNICIPALITY, Dimension.DISTRICT):
        chosen = asked.query.municipalities if asked.query.by is Dimension.MUNICIPALITY else ()
        chosen = asked.query.districts if asked.query.by is Dimension.DISTRICT else chosen
        return not chosen or row.key in chosen
    return any(reading.count or reading.base for reading in row.readings if _own(reading))


def _own(reading: Reading) -> bool:
    """Whether a reading's base is the row's own (a part of all has everyone's)."""
    return reading.indicator is not Indicator.CONTRIBUTION or reading.count > 0


def _result(
    asked: Asked,
    period: _Period,
    whole: Row,
    rows: tuple[Row, ...],
    funnels: tuple[Funnel, ...],
    negative: int,
) -> IndicatorResult:
    fresh, facts = asked.lives.freshness, asked.lives.facts
    remarks: list[Remark] = list(asked.ground.remarks)
    if period.span.end < minutes(
        dt.datetime.combine(period.end + dt.timedelta(days=1), dt.time(), ZoneInfo(facts.timezone))
    ):
        remarks.append(caution("indicators_unfinished", day=f"{as_moment(period.span.end):%Y-%m-%d}"))
    if negative:
        remarks.append(caution("indicators_negative", reports=negative))
    if fresh.later_events:
        remarks.append(caution("indicators_later", steps=fresh.later_events))
    if fresh.later_data:
        remarks.append(caution("indicators_outdated"))
    if not fresh.packed and asked.query.known_at is None:
        remarks.append(decided("indicators_own"))
    vpi = whole.reading(Indicator.VPI)
    return IndicatorResult(
        query=asked.query,
        settings=asked.settings,
        timezone=facts.timezone,
        simulated=facts.simulated,
        as_of=as_moment(period.span.end),
        freshness=fresh,
        whole=whole,
        rows=rows,
        funnels=funnels,
        ground=asked.ground.kind,
        ground_km2=0.0 if vpi is None else vpi.over / period.months,
        remarks=tuple(remarks),
    )
