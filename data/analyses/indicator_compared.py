"""Numbers of indicators against each other: the period before, the other rows, the target.

Counts change by a ratio of rates per day, whose interval allows for as much scatter as the
months before had; shares and times by a difference. Rows are compared by the funnel and by
values drawn towards the whole (``geo/funnel.py``, ``geo/rates.py``); rows that cannot be told
from the whole share one rank. Caveat: a stock (what is open on a day) is counted, not sampled,
so its change has no interval.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from data.analyses.indicator_asked import Asked, Numbers
from data.analyses.indicator_numbers import DOUBTFUL, SAMPLED, monthly_counts
from data.analyses.indicator_terms import (
    MEANINGS,
    Change,
    Dimension,
    Funnel,
    Indicator,
    Reading,
)
from data.analyses.measures import Span
from data.targets import Target, target_for
from geo.changes import difference_limits, ratio_limits
from geo.funnel import position, ranks, shrunk_shares, spread
from geo.rates import shrunk_rates
from geo.ratios import dispersion

I = Indicator  # noqa: E741
Floats = NDArray[np.float64]
_SIDES: tuple[Literal["low", "inside", "high"], ...] = ("low", "inside", "high")
#: Flows, whose changes have an interval, and the series that tells how much they scatter.
_FLOWS = {I.RECEIVED: I.RECEIVED, I.VPI: I.RECEIVED, I.CLOSED: I.CLOSED} | dict.fromkeys(
    (I.SUSPICIOUS, *DOUBTFUL), I.CLOSED
)
_AREAS = (Dimension.MUNICIPALITY, Dimension.DISTRICT)


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """One indicator with its comparisons, arrays (rows + 1,) as in Numbers; nan or 0 for none."""

    now: Numbers
    before: Floats
    kind: Literal["ratio", "difference"]
    change: tuple[Floats, Floats, Floats]
    shrunken: Floats
    side: NDArray[np.int8]  # of the funnel; 2 where nothing is compared
    rank: NDArray[np.int64]


@functools.cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def scatters(asked: Asked, span: Span) -> dict[Indicator, float]:
    """How much more than chance the counts of the months before scatter, all rows together."""
    return {code: dispersion(list(counts)) for code, counts in monthly_counts(asked, span).items()}


def told(
    asked: Asked,
    now: dict[Indicator, Numbers],
    before: dict[Indicator, Numbers],
    span: Span,
    earlier: Span,
    scatter: dict[Indicator, float],
) -> tuple[dict[Indicator, Told], tuple[Funnel, ...]]:
    """All indicators with their changes and, among rows, their comparisons."""
    found, funnels = {}, []
    for code in Indicator:
        if code not in now:
            continue
        one, then = now[code], before[code]
        size = len(one.value)
        shrunken, side = np.full(size, np.nan), np.full(size, 2, dtype=np.int8)
        rank = np.zeros(size, dtype=np.int64)
        if asked.query.by is not Dimension.MONTH:
            rows = np.array([key is not None for key in asked.rows.keys] + [False])
            # Forty rows are no work for several threads: waking them takes longer than the fit.
            with _threads().limit(limits=1):
                funnel = _compare(asked, code, one, rows, (shrunken, side, rank))
            funnels += [funnel] if funnel is not None else []
        kind: Literal["ratio", "difference"] = (
            "ratio" if MEANINGS[code].kind in ("count", "rate") else "difference"
        )
        found[code] = Told(
            one,
            then.value,
            kind,
            _change(code, one, then, span, earlier, scatter, asked.settings.level),
            shrunken,
            side,
            rank,
        )
    return found, tuple(funnels)


def _change(
    code: Indicator,
    now: Numbers,
    before: Numbers,
    span: Span,
    earlier: Span,
    scatter: dict[Indicator, float],
    level: float,
) -> tuple[Floats, Floats, Floats]:
    if MEANINGS[code].kind in ("share", "days"):
        return difference_limits((now.value, now.low, now.high), (before.value, before.low, before.high))
    if code in _FLOWS:
        weight = now.weight
        ratio, low, high = ratio_limits(
            now.amount / weight,
            before.amount / weight,
            span.days,
            earlier.days,
            dispersion=scatter.get(_FLOWS[code], 1.0),
            level=level,
        )
        return ratio, low, high
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = now.value / before.value
    return ratio, np.full(len(ratio), np.nan), np.full(len(ratio), np.nan)


def _compare(
    asked: Asked,
    code: Indicator,
    now: Numbers,
    rows: NDArray[np.bool_],
    out: tuple[Floats, NDArray[np.int8], NDArray[np.int64]],
) -> Funnel | None:
    """Fill in shrunken values, sides of the funnel and ranks of the rows; the funnel, if there is one."""
    shrunken, side, rank = out
    better = MEANINGS[code].better
    level = asked.settings.level
    if code in SAMPLED:
        use = np.flatnonzero(rows & (now.base > 0))
        if len(use) < 2:
            return None
        count, base = now.count[use].astype(float), now.base[use].astype(float)
        fit = shrunk_shares(count, base, level)
        against = spread(count, base)
        shrunken[use], side[use] = fit.share, position(count, base, against)
        differs = np.where(fit.low > against.overall, 1, np.where(fit.high < against.overall, -1, 0))
        rank[use] = ranks(fit.share, differs, better)
        return Funnel(code, against.overall, against.spread, against.rows)
    if code is I.VPI and asked.query.by in _AREAS:
        use = np.flatnonzero(rows & (now.over > 0))
        if len(use) < 2 or now.amount[use].sum() <= 0:
            return None
        weight = now.weight
        count, size = now.amount[use] / weight, now.over[use]
        rates = shrunk_rates(count, size, level)
        against = spread(count, size, "rate")
        shrunken[use], side[use] = rates.rate * weight, position(count, size, against)
        differs = np.where(rates.low > against.overall, 1, np.where(rates.high < against.overall, -1, 0))
        rank[use] = ranks(rates.rate, differs, better)
        return Funnel(code, against.overall * weight, against.spread, against.rows, weight)
    if MEANINGS[code].kind == "days":
        use = np.flatnonzero(rows & ~np.isnan(now.value))
        if len(use) >= 2 and not np.isnan(now.value[-1]):
            differs = np.where(
                now.low[use] > now.value[-1], 1, np.where(now.high[use] < now.value[-1], -1, 0)
            )
            rank[use] = ranks(now.value[use], differs, better)
    return None


def readings(
    asked: Asked,
    numbers: dict[Indicator, Told],
    place: int,
    goals: tuple[Target, ...],
    *,
    whole: bool = False,
) -> tuple[Reading, ...]:
    """All readings of one row; those without meaning for it are left out."""
    by = asked.query.by
    key = None if whole or by is Dimension.MONTH else asked.rows.keys[place]
    out = []
    for code, one in numbers.items():
        if code is I.CONTRIBUTION and (whole or by is Dimension.MONTH):
            continue
        if code in (I.COVERAGE, I.VPI) and by in _AREAS and key is None and not whole:
            continue  # reports without an area lie on no ground
        value = _number(one.now.value[place])
        goal = target_for(
            goals, str(code), str(by), key, MEANINGS[code].kind == "count", whole or by is Dimension.MONTH
        )
        out.append(
            Reading(
                indicator=code,
                value=value,
                low=_number(one.now.low[place]),
                high=_number(one.now.high[place]),
                count=int(one.now.count[place]),
                base=int(one.now.base[place]),
                amount=float(one.now.amount[place]),
                over=float(one.now.over[place]),
                shrunken=_number(one.shrunken[place]),
                position=None if one.side[place] == 2 else _SIDES[int(one.side[place]) + 1],
                rank=int(one.rank[place]) or None,
                before=_number(one.before[place]),
                change=_told_change(one, place),
                target=goal,
                met=_met(code, value, goal),
            )
        )
    return tuple(out)


def _told_change(one: Told, place: int) -> Change | None:
    value, low, high = (_number(part[place]) for part in one.change)
    if value is None:
        return None
    still = 1.0 if one.kind == "ratio" else 0.0
    differs = (low is not None and low > still) or (high is not None and high < still)
    return Change(one.kind, value, low, high, differs)


def _met(code: Indicator, value: float | None, goal: float | None) -> bool | None:
    if goal is None or value is None or not MEANINGS[code].better:
        return None
    return value >= goal if MEANINGS[code].better > 0 else value <= goal


def _number(value: float) -> float | None:
    """A number as the answer has it: infinite and missing ones are none."""
    return float(value) if np.isfinite(value) else None
