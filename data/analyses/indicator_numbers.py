"""The numbers of all indicators for one period, by row: counts, bases, values, intervals.

Every count comes from a rule over single reports (``measures.py``) and a sorting of reports
to rows (``indicator_rows.py``). Arrays have one entry a row, and a last one for all reports
of the question together. Caveat: intervals treat the reports of a period as a sample of what
might have been reported; they say nothing of what the records leave out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from data.analyses.indicator_asked import Asked, Numbers, by_row, nothing
from data.analyses.indicator_ground import coverage, km2_of, on_ground
from data.analyses.indicator_terms import AGE_BANDS, Indicator, Part
from data.analyses.measures import Counted, Followed, Rules, Span, distinct
from data.lives import Standing
from geo.errors import InputError
from geo.proportions import jeffreys
from geo.survival import Survival, kaplan_meier

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
I = Indicator  # noqa: E741
_DAY = 1440
#: Shares that are samples, so that they have an interval and are compared among rows.
SAMPLED = (I.ON_TIME, I.REOPENED, I.QUALITY_FAILED, I.RECURRENCE)
DOUBTFUL = (I.CLOSED_AT_ONCE, I.CLOSED_IN_BULK, I.CLOSED_UNTREATED, I.REOPENED_SOON)


def numbers(asked: Asked, span: Span, months: float) -> tuple[dict[Indicator, Numbers], Ints, int]:
    """All indicators of a period, the ages of the backlog (rows + 1, bands), and closings before openings."""
    rules = asked.rules(span)
    counted = all_counted(rules, asked)
    row = {code: by_row(asked, rules.s, one.count) for code, one in counted.items() if code is not I.COVERAGE}
    base = {code: by_row(asked, rules.s, counted[code].base) for code in SAMPLED}
    found: dict[Indicator, Numbers] = {}
    for code, count in row.items():
        found[code] = _share(asked, count, base[code]) if code in SAMPLED else _count(count)
    found |= _units(asked, rules.s, counted[I.VPI].count, months)
    seen = coverage(asked, rules.s, counted[I.COVERAGE].count, span)
    if seen is not None:
        found[I.COVERAGE] = seen
    followed = rules.followed()
    found |= _days(*_remedies(asked, rules.s, followed))
    ages = _ages(asked, rules.s, counted[I.BACKLOG].count, span)
    return found, ages, followed.negative


def all_counted(rules: Rules, asked: Asked) -> dict[Indicator, Counted]:
    """The reports of every indicator but time to remedy."""
    units, backlog = rules.units(), rules.backlog()
    received = rules.received()
    found = {
        I.VPI: units,
        I.RECEIVED: received,
        I.CLOSED: rules.closed(),
        I.ON_TIME: rules.on_time(),
        I.BACKLOG: backlog,
        I.OVERDUE: rules.overdue(backlog),
        I.REOPENED: rules.reopened(),
        I.QUALITY_FAILED: rules.quality_failed(),
        I.RECURRENCE: rules.recurrence(units),
        I.CONTRIBUTION: units,
        I.COVERAGE: Counted(on_ground(asked, received.count)),
        I.CLOSED_AT_ONCE: rules.closed_at_once(),
        I.CLOSED_IN_BULK: rules.closed_in_bulk(),
        I.CLOSED_UNTREATED: rules.closed_untreated(),
        I.REOPENED_SOON: rules.reopened_soon(),
    }
    doubtful = distinct(np.concatenate([found[code].count for code in DOUBTFUL]))
    return found | {I.SUSPICIOUS: Counted(doubtful)}


def behind(asked: Asked, span: Span, indicator: Indicator, row: int, part: Part, band: int | None) -> Ints:
    """Positions of the reports behind one number; row -1 is all reports of the question."""
    rules = asked.rules(span)
    if indicator in (I.REMEDY_MEDIAN, I.REMEDY_P90):
        followed = rules.followed()
        chosen = followed.report[followed.remedied] if part == "count" else followed.report
    else:
        one = all_counted(rules, asked)[indicator]
        chosen = one.count if part == "count" else one.base
        if part == "base" and indicator is I.CONTRIBUTION:
            chosen, row = one.count, -1
    if band is not None:
        if indicator is not I.BACKLOG or not 0 <= band < len(AGE_BANDS):
            raise InputError(f"Only the backlog has ages, in bands 0 to {len(AGE_BANDS) - 1}.")
        chosen = chosen[_bands(rules.s, chosen, span) == band]
    if row >= 0:
        chosen = chosen[asked.rows.of(rules.s, chosen) == row]
    return chosen


def curves(asked: Asked, span: Span) -> tuple[Survival, Survival]:
    """Remedies by row, and of all reports."""
    rules = asked.rules(span)
    return _remedies(asked, rules.s, rules.followed())


def monthly_counts(asked: Asked, span: Span, months: int = 12) -> dict[Indicator, NDArray[np.int64]]:
    """Reports received, and closings, by row in so many spells of 30 days before a period, (rows, k).

    Only spells that lie wholly after the first report: those before it are no data.
    """
    opened = asked.lives.columns["opened"]
    length = 30 * _DAY
    first = int(opened[0]) if len(opened) else span.start
    spells = min(months, max(0, (span.start - first) // length))
    start = span.start - spells * length
    rules = asked.rules(Span(start, span.start))
    report = rules.received().count
    found = {I.RECEIVED: (report, opened[report])}
    turns = rules.closings(start, span.start)
    own = asked.lives.columns["spell_report"][turns].astype(np.int64)
    use = own < rules.s.reports
    own, turns = own[use], turns[use]
    fit = asked.fits(rules.s, own)
    found[I.CLOSED] = (own[fit], asked.lives.columns["spell_since"][turns[fit]])
    return {
        code: np.bincount(
            asked.rows.of(rules.s, which) * spells + (when.astype(np.int64) - start) // length,
            minlength=len(asked.rows) * spells,
        ).reshape(len(asked.rows), spells)
        if spells
        else np.zeros((len(asked.rows), 0), dtype=np.int64)
        for code, (which, when) in found.items()
    }


# ---- by row ----


def _count(count: Ints) -> Numbers:
    unknown, zero = nothing(len(count)), np.zeros(len(count), dtype=np.int64)
    return Numbers(
        count.astype(float), unknown, unknown, count, zero, count.astype(float), zero.astype(float)
    )


def _share(asked: Asked, count: Ints, base: Ints) -> Numbers:
    known = base > 0
    low, high = jeffreys(count, base, asked.settings.level)
    value = np.divide(count, base, out=nothing(len(count)), where=known)
    low, high = (np.where(known, end, np.nan) for end in (low, high))
    return Numbers(value, low, high, count, base, count.astype(float), base.astype(float))


def _units(asked: Asked, standing: Standing, report: Ints, months: float) -> dict[Indicator, Numbers]:
    """VPI, and each row's part of all units."""
    element = standing.column("element")[report]
    unit = asked.units[np.minimum(element, len(asked.units) - 1)]
    row = asked.rows.of(standing, report)
    size = len(asked.rows)
    amount = np.append(np.bincount(row, unit, size), unit.sum())
    square = np.append(np.bincount(row, unit**2, size), (unit**2).sum())
    count = by_row(asked, standing, report)
    over = km2_of(asked) * months
    whole = float(square[-1] / amount[-1]) if amount[-1] > 0 else 1.0
    # Reports weigh differently: the sum scatters as that many reports of the mean weight would.
    weight = np.divide(square, amount, out=np.full(size + 1, whole), where=amount > 0)
    tail = (1 - asked.settings.level) / 2
    known = over > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.where(amount > 0, gammaincinv(np.maximum(amount / weight, 1e-9), tail), 0.0) * weight / over
        high = gammaincinv(amount / weight + 1, 1 - tail) * weight / over
        value = amount / over
    value, low, high = (np.where(known, one, np.nan) for one in (value, low, high))
    zero = np.zeros(size + 1, dtype=np.int64)
    parts = np.divide(amount, amount[-1], out=nothing(size + 1), where=amount[-1] > 0)
    unknown = nothing(size + 1)
    return {
        I.VPI: Numbers(value, low, high, count, zero, amount, over, whole),
        I.CONTRIBUTION: Numbers(
            parts,
            unknown,
            unknown,
            count,
            np.full(size + 1, count[-1]),
            amount,
            np.full(size + 1, amount[-1]),
        ),
    }


def _remedies(asked: Asked, standing: Standing, followed: Followed) -> tuple[Survival, Survival]:
    row = asked.rows.of(standing, followed.report)
    level = asked.settings.level
    whole = kaplan_meier(followed.days, followed.remedied, level=level)
    if not asked.rows.column:
        return whole, whole
    return kaplan_meier(followed.days, followed.remedied, row, len(asked.rows), level=level), whole


def _days(by_row: Survival, whole: Survival) -> dict[Indicator, Numbers]:
    count = np.append(by_row.done, whole.done).astype(np.int64)
    base = np.append(by_row.followed, whole.followed).astype(np.int64)

    def both(name: str, place: int) -> Floats:
        return np.append(getattr(by_row, name)[:, place], getattr(whole, name)[:, place])

    return {
        code: Numbers(
            both("reached", place),
            both("low", place),
            both("high", place),
            count,
            base,
            count.astype(float),
            base.astype(float),
        )
        for place, code in enumerate((I.REMEDY_MEDIAN, I.REMEDY_P90))
    }


def _bands(standing: Standing, report: Ints, span: Span) -> Ints:
    """Band of the age of each report at the end of a period, (k,)."""
    age = (span.end - asked_opened(standing, report)) // _DAY
    return np.searchsorted(AGE_BANDS, age, side="right").astype(np.int64) - 1


def asked_opened(standing: Standing, report: Ints) -> Ints:
    """Minute of opening of some reports."""
    return standing.lives.columns["opened"][report].astype(np.int64)


def _ages(asked: Asked, standing: Standing, backlog: Ints, span: Span) -> Ints:
    bands = len(AGE_BANDS)
    flat = asked.rows.of(standing, backlog) * bands + _bands(standing, backlog, span)
    counts = np.bincount(flat, minlength=len(asked.rows) * bands).reshape(-1, bands)
    return np.vstack([counts, counts.sum(axis=0)])
