"""Breaks in the recording: level shifts that come within a week and nearly everywhere at once.

Of all reports, and of the share of every channel, source and type (``geo/breaks.py``).
"Everywhere" are H3 cells large enough to tell. Caveat: in a territory in whose recording
nothing changed, at most FALSE_ALARMS of such questions find a break; holidays and lockdowns
are breaks too, and a season is told from one only after two years.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from data import columns
from data.analyses.history import History
from data.query import ReportQuery
from geo.breaks import Null, Shift, everywhere, level_shifts, recurs, same_direction, simulated_null
from geo.cells import parents

What = Literal["all", "channel", "source", "type"]

FALSE_ALARMS = 0.05
SHORTEST = 2  # weeks; a shorter gap is weather
SLOW = 26  # weeks of the fastest wave that is still a season
YEAR = 52
SEASONS = 2 * YEAR  # weeks of history it takes to see whether a break comes back every year
_LEAST_SHARE = 0.002  # of all reports; rarer kinds change no map
_FINEST_AREAS, _COARSEST_AREAS = 8, 4
_LEAST_A_WEEK = 5  # reports in an area that can tell a shift
_SEED = 1998


@dataclass(frozen=True, slots=True)
class Break:
    """A change in the recording that came nearly everywhere at once.

    Attributes
    ----------
    what : "all" reports, or the share of a channel, source or type.
    key : code of the channel, id of source or type; None for all.
    name : of source or type, as the source words it; "" for others.
    first, last : first day, and last day when it ended again.
    level, expected : in it, and beside it: reports a week, or a share.
    same, areas : in how many of how many areas it went this way.
    p : chance of so large a shift anywhere in the history of what did not shift.
    """

    what: What
    key: int | None
    name: str
    first: dt.date
    last: dt.date | None
    level: float
    expected: float
    same: int
    areas: int
    p: float


@functools.lru_cache(maxsize=64)
def _null(weeks: int, memory: float) -> Null:
    """The same numbers for every question about as many weeks."""
    rng = np.random.default_rng([_SEED, weeks, round(100 * memory)])
    return simulated_null(weeks, memory, rng, slow=SLOW, shortest=SHORTEST)


@dataclass(frozen=True, slots=True, eq=False)
class _Weekly:
    """By week: in all (t,), and by area (a, t)."""

    counts: npt.NDArray
    by_area: npt.NDArray


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A level shift of a part, and the whole of which it is a share (or the days)."""

    what: What
    key: int | None
    part: _Weekly
    whole: _Weekly
    shift: Shift


def breaks(
    conn: Connection, history: History, query: ReportQuery
) -> tuple[tuple[Break, ...], tuple[Break, ...]]:
    """Breaks within the query's period, newest first, and those that come back every year."""
    weeks = history.weeks
    recent = history.week >= 0
    week, areas = history.week[recent], _areas(history, recent)
    number = int(areas.max(initial=-1)) + 1
    flat = areas * weeks + week

    def by_area(those: npt.NDArray[np.bool_] | slice) -> npt.NDArray[np.int64]:
        return np.bincount(flat[those], minlength=number * weeks).reshape(number, weeks)

    everything = by_area(slice(None))
    whole = _Weekly(everything.sum(axis=0), everything)
    if not whole.counts.any():
        return (), ()
    days = np.full(weeks, 7.0)
    time = _Weekly(days, np.broadcast_to(days, everything.shape))
    look = functools.partial(
        level_shifts, nulls=functools.partial(_null, weeks), slow=SLOW, shortest=SHORTEST
    )
    found = [
        _Found("all", None, whole, time, shift) for shift in look(whole.counts, days, level=FALSE_ALARMS / 2)
    ]
    kinds: tuple[tuple[What, npt.NDArray[np.int64]], ...] = (
        ("channel", history.channel[recent]),
        ("source", _sources(conn, history.type[recent])),
        ("type", history.type[recent]),
    )
    parts = [
        (what, key, codes, series) for what, codes in kinds for key, series in _common(codes, week, weeks)
    ]
    for what, key, codes, series in parts:
        # Bonferroni: half of the false alarms for all parts together.
        for shift in look(series, whole.counts, level=FALSE_ALARMS / 2 / len(parts), share=True):
            found.append(_Found(what, key, _Weekly(series, by_area(codes == key)), whole, shift))
    names = _names(conn, found)
    told: dict[bool, list[Break]] = {False: [], True: []}
    for one in found:
        same, able = same_direction(one.part.by_area, one.whole.by_area, one.shift)
        made = _break(history, one, names.get((one.what, one.key), ""), same, able)
        if everywhere(same, able) and _within(made, query):
            told[recurs(one.part.counts, one.whole.counts, one.shift, year=YEAR)].append(made)
    order = sorted(told[False], key=lambda b: (b.first, b.what == "all", -b.p), reverse=True)
    return tuple(order), tuple(told[True])


def _areas(history: History, recent: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Area of each recent report, numbered from 0: H3 cells large enough to tell a shift.

    The finest at which cells with enough reports a week hold seven of ten reports.
    """
    runs = history.run[recent]
    held = np.bincount(runs, minlength=len(history.run_cells))
    numbers = np.zeros(len(history.run_cells), dtype=np.int64)
    for resolution in range(_FINEST_AREAS, _COARSEST_AREAS - 1, -1):
        # Cells are in order, and so are their parents.
        up = parents(history.run_cells, resolution)
        numbers = np.cumsum(np.r_[False, up[1:] != up[:-1]][: len(up)])
        counts = np.bincount(numbers, weights=held)
        able = counts >= _LEAST_A_WEEK * history.weeks
        if counts[able].sum() >= 0.7 * counts.sum():
            break
    return np.asarray(numbers[runs], dtype=np.int64)


def _common(
    codes: npt.NDArray[np.int64], week: npt.NDArray[np.int64], weeks: int
) -> list[tuple[int, npt.NDArray[np.int64]]]:
    """Codes that hold enough reports to change a map, each with its counts by week (t,).

    None when one code holds them all.
    """
    top = int(codes.max(initial=0)) + 1
    table = np.bincount(codes * weeks + week, minlength=top * weeks).reshape(top, weeks)
    totals = table.sum(axis=1)
    least = max(50, _LEAST_SHARE * len(codes))
    return [(int(k), table[k]) for k in np.flatnonzero((totals >= least) & (totals < len(codes)))]


def _break(history: History, one: _Found, name: str, same: int, areas: int) -> Break:
    shift = one.shift
    scale = 7.0 if one.what == "all" else 1.0
    ended = shift.end < history.weeks
    return Break(
        what=one.what,
        key=one.key,
        name=name,
        first=columns.as_date(history.begins(shift.begin)),
        last=columns.as_date(history.begins(shift.end) - 1) if ended else None,
        level=shift.level * scale,
        expected=shift.expected * scale,
        same=same,
        areas=areas,
        p=shift.p,
    )


def _within(made: Break, query: ReportQuery) -> bool:
    """Whether an edge of the break lies in the query's period."""
    low, high = query.start or dt.date.min, query.end or dt.date.max
    return any(day is not None and low <= day <= high for day in (made.first, made.last))


def _sources(conn: Connection, types: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Source of each report by its type (n,); 0 for reports without a type."""
    # Served by pk_source_type.
    rows = conn.execute(
        text("SELECT id, source_id FROM source_type WHERE id = ANY(:ids)"),
        {"ids": [code for code, _ in columns.tally(types)]},
    ).all()
    table = np.zeros(int(types.max(initial=0)) + 1, dtype=np.int64)
    for row in rows:
        table[row.id] = row.source_id
    return np.asarray(table[types], dtype=np.int64)


def _names(conn: Connection, found: Iterable[_Found]) -> dict[tuple[What, int | None], str]:
    """Names of the sources and types among them, as the source words them."""
    found = list(found)
    names: dict[tuple[What, int | None], str] = {}
    queries: tuple[tuple[What, str], ...] = (
        ("source", "SELECT id, title FROM source WHERE id = ANY(:ids)"),  # pk_source
        ("type", "SELECT id, name FROM source_type WHERE id = ANY(:ids)"),  # pk_source_type
    )
    for what, statement in queries:
        ids = sorted({one.key for one in found if one.what == what and one.key is not None})
        for key, name in conn.execute(text(statement), {"ids": ids}) if ids else ():
            names[what, key] = name
    return names
