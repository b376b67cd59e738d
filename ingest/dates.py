"""Dates as portals and spreadsheets write them, read into UTC.

Every value is read by its layout (``ingest/date_layouts.py``) with arithmetic on byte
columns, so a million dates cost a fraction of a second. Years 1300–1699 are Hijri (Umm
al-Qura, see ``ingest/calendars.py``). Day and month are told apart by
``ingest/date_orders.py``. Nothing is mended silently: what cannot be read, or lies
implausibly, gets a fault and, where one reading suggests itself, a proposal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import polars as pl

from ingest.calendars import (
    DAY,
    FIRST_YEAR,
    HIJRI_FIRST,
    HIJRI_LAST,
    LAST_YEAR,
    Flags,
    Ints,
    Window,
    epoch_days,
    hijri_year,
    in_window,
    localised,
)
from ingest.date_layouts import Bytes, Layout, integer, shaped
from ingest.date_orders import (
    CALENDARS,
    DateCounts,
    DateEvidence,
    DateHints,
    DateOrder,
    as_written,
    fits,
)
from ingest.text import clean, western_digits

__all__ = [
    "FAULTS",
    "DateCounts",
    "DateEvidence",
    "DateHints",
    "DateOrder",
    "ParsedDates",
    "Window",
    "parse_dates",
]

FAULTS = ("unreadable_date", "hijri_year_implausible", "ambiguous_date")
_NONE, _UNREADABLE, _IMPLAUSIBLE, _AMBIGUOUS = -1, 0, 1, 2
_NO_DAY = -(1 << 40)
_TICKS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}


@dataclass(frozen=True)
class ParsedDates:
    """(n,) each: instants in UTC, faults, proposals, and what was read."""

    utc: pl.Series  # Datetime("us", "UTC"); null where missing or not to be trusted
    fault: pl.Series  # String, one of FAULTS, or null
    proposal: pl.Series  # String, an ISO date to consider, or null
    has_time: pl.Series  # Boolean: a time of day was given
    calendar: pl.Series  # String, "gregorian" or "hijri", null where nothing was read


@dataclass
class _Out:
    """The columns of the answer while they are filled, (n,) each."""

    wall: Ints  # microseconds since 1970-01-01, on the clock that the value was written by
    offset: Ints  # microseconds east of Greenwich, where `absolute`
    absolute: Flags
    good: Flags  # an instant was read and is to be trusted
    fault: np.ndarray
    calendar: np.ndarray
    has_time: Flags
    proposal: Ints  # days since 1970-01-01, or _NO_DAY

    @classmethod
    def of(cls, n: int) -> _Out:
        def ints() -> Ints:
            return np.zeros(n, np.int64)

        def flags() -> Flags:
            return np.zeros(n, bool)

        tags = np.full((2, n), _NONE, np.int8)
        return cls(ints(), ints(), flags(), flags(), tags[0], tags[1], flags(), np.full(n, _NO_DAY))


def parse_dates(values: pl.Series, order: DateOrder, hints: DateHints, window: Window) -> ParsedDates:
    """Read a column, or a chunk of it, into UTC.

    Parameters
    ----------
    values : (n,) text, numbers (serial days, epochs) or dates that a reader has typed.
    order : what ``DateEvidence.settle`` said about the whole column.
    hints : the profile's word; ``hints.timezone`` reads wall times without offset. A wall
        time that a clock change skips is read with the offset before the change; one that
        happens twice means the first time.
    window : first and last plausible day. Hijri dates outside it are refused as
        implausible; serial numbers and epochs outside it are no dates; Gregorian dates
        outside it are read (the caller judges) and get a proposal where one suggests itself.

    Returns
    -------
    ParsedDates. ``utc`` is null with the faults unreadable_date and hijri_year_implausible;
    with ambiguous_date it holds the assumed reading and ``proposal`` the other one.
    """
    text = as_written(values)
    if text.dtype != pl.String:
        return _typed(text, hints)
    out = _Out.of(len(values))
    todo = np.ones(len(values), bool)
    for pattern in hints.formats:
        todo &= ~_by_format(text, pattern, todo, out)
    remaining = np.flatnonzero(todo)
    part = text if todo.all() else text.gather(pl.Series(remaining))
    for rows, layout, data in shaped(part):
        at = remaining[rows]
        if layout is None:
            out.fault[at] = _UNREADABLE
        elif layout.count is not None:
            _counted(at, layout, data, window, out)
        else:
            _written(at, layout, data, order, hints, window, out)
    return _finish(out, hints)


def _by_format(text: pl.Series, pattern: str, todo: Flags, out: _Out) -> Flags:
    """Read by a strptime pattern what it fits; years that would be Hijri are left."""
    read = western_digits(clean(text)).str.to_datetime(pattern, time_unit="us", strict=False)
    aware = isinstance(read.dtype, pl.Datetime) and read.dtype.time_zone is not None
    if aware:
        read = read.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    taken = read.dt.year().is_between(FIRST_YEAR, LAST_YEAR).fill_null(False).to_numpy() & todo
    out.wall[taken] = read.dt.timestamp("us").fill_null(0).to_numpy()[taken]
    out.absolute[taken] = aware
    out.good |= taken
    out.calendar[taken] = 0
    out.has_time[taken] = any(code in pattern for code in ("%H", "%I", "%k", "%l", "%T", "%R", "%X", "%c"))
    return taken


def _counted(rows: Ints, layout: Layout, data: Bytes, window: Window, out: _Out) -> None:
    """Serial days of spreadsheets (wall clock, day 25569 is 1970-01-01) and epochs (UTC)."""
    count = integer(data, layout.numbers[0])
    fraction = np.zeros(len(rows))
    if layout.fraction:
        # 15 digits hold more than a double does, and fit an integer.
        span = (layout.fraction[0], min(layout.fraction[1], layout.fraction[0] + 15))
        fraction = integer(data, span) / 10.0 ** (span[1] - span[0])
    if layout.count == "excel":
        # Spreadsheets keep fractions of a day as doubles: whole milliseconds are what they mean.
        wall = (count - 25_569) * DAY + np.rint(fraction * 86_400_000).astype(np.int64) * 1_000
        timed = wall % DAY != 0
    else:
        tick = _TICKS[layout.count or ""]
        wall = count * tick + np.rint(fraction * tick).astype(np.int64)
        out.absolute[rows] = True
        timed = np.ones(len(rows), bool)
    missing = count == 0
    good = in_window(wall // DAY, window) & ~missing
    out.wall[rows] = wall
    out.good[rows] = good
    out.has_time[rows] = timed & good
    out.calendar[rows[good]] = 0
    out.fault[rows[~good & ~missing]] = _UNREADABLE


def _written(
    rows: Ints,
    layout: Layout,
    data: Bytes,
    order: DateOrder,
    hints: DateHints,
    window: Window,
    out: _Out,
) -> None:
    """Dates of one layout: day, month and year in numbers, or the month in words."""
    numbers = [integer(data, span) for span in layout.numbers]
    year, month, day, doubt = _arranged(numbers, layout, order)
    missing = (numbers[0] == 0) & (year == 0) & (day == 0)  # 0000-00-00 of some databases
    year_span = layout.numbers[layout.year] if layout.year is not None else (0, 2)
    short = year_span[1] - year_span[0] < 4
    if short:
        year = _century(year, layout, hints, window)
    hijri = (year >= 1300) & (year < 1700)
    days, exists = epoch_days(year, month, day, hijri)
    micros, clock = _clock(layout, data)
    fault = np.full(len(rows), _NONE, np.int8)
    fault[~exists | ~clock] = _UNREADABLE
    fault[exists & hijri & ~in_window(days, window)] = _IMPLAUSIBLE
    fault[hijri & ((year < HIJRI_FIRST) | (year > HIJRI_LAST))] = _IMPLAUSIBLE
    # What the words say against what the year says: 1446م, 2024هـ.
    if layout.calendar == "gregorian":
        fault[hijri] = _UNREADABLE
    elif layout.calendar == "hijri":
        fault[~hijri & exists] = _IMPLAUSIBLE
    doubt &= exists & clock & (fault == _NONE)
    fault[doubt] = _AMBIGUOUS
    fault[missing] = _NONE

    good = exists & clock & ~missing & ((fault == _NONE) | (fault == _AMBIGUOUS))
    out.good[rows] = good
    out.wall[rows] = days * DAY + micros
    out.fault[rows] = fault
    out.calendar[rows] = np.where(good, hijri.astype(np.int8), _NONE)
    out.has_time[rows] = good & (layout.hour is not None)
    if layout.offset is not None or layout.offset_sign:
        out.absolute[rows] = True
        minutes = integer(data, layout.offset_hour) * 60 + integer(data, layout.offset_minute)
        out.offset[rows] = ((layout.offset or 0) + layout.offset_sign * minutes) * 60_000_000

    odd = (
        clock
        & ~missing
        & ((fault == _UNREADABLE) | (fault == _IMPLAUSIBLE) | (exists & ~in_window(days, window)))
    )
    told = layout.month is None
    for place in np.flatnonzero(odd & ~doubt):
        out.proposal[rows[place]] = _propose(
            int(year[place]), int(month[place]), int(day[place]), short, told, window
        )
    if doubt.any():
        other, there = epoch_days(year[doubt], day[doubt], month[doubt], hijri[doubt])
        out.proposal[rows[doubt]] = np.where(there, other, _NO_DAY)


def _arranged(numbers: list[Ints], layout: Layout, order: DateOrder) -> tuple[Ints, Ints, Ints, Flags]:
    """(year, month, day, doubt), (k,) each, of the numbers in written order."""
    n = len(numbers[0])
    doubt = np.zeros(n, bool)
    if layout.month is not None:
        year, day = (numbers[0], numbers[1]) if layout.year == 0 else (numbers[1], numbers[0])
        return year, np.full(n, layout.month), day, doubt
    a, b, c = numbers
    if layout.year == 0:
        if order.exchanged:
            doubt = fits(c, b) & (b != c)
        return a, b, c, doubt
    preferred, settled = order.for_family(layout.family)
    if preferred == "ymd" and layout.year == 2:
        preferred, settled = "dmy", False
    dmy, mdy = fits(b, a), fits(a, b)
    use_mdy = mdy if preferred == "mdy" else mdy & ~dmy
    month, day = np.where(use_mdy, a, b), np.where(use_mdy, b, a)
    if not settled:
        doubt = dmy & mdy & (a != b)
    if layout.year == 2:
        return c, month, day, doubt
    ymd = fits(b, c) & ((preferred == "ymd") | (~dmy & ~mdy))
    return np.where(ymd, a, c), np.where(ymd, b, month), np.where(ymd, c, day), doubt & ~ymd


def _century(short: Ints, layout: Layout, hints: DateHints, window: Window) -> Ints:
    """Two-digit years in full: the century that brings them into the window.

    24 is 2024; 95 is 1995; 46 fits neither century of a window that ends in 2027 and is
    1446, unless a suffix or a hint says Gregorian. Without any fit: 1969–2068.
    """
    calendar = layout.calendar or hints.calendar
    if calendar == "hijri":
        return short + 1400
    plain = np.where(short <= 68, short + 2000, short + 1900)
    if calendar != "gregorian":
        first, last = hijri_year(window[0]), hijri_year(window[1])
        plain = np.where((short + 1400 >= first) & (short + 1400 <= last), short + 1400, plain)
    for century in (1900, 2000):
        inside = (short + century >= window[0].year) & (short + century <= window[1].year)
        plain = np.where(inside, short + century, plain)
    return plain


def _clock(layout: Layout, data: Bytes) -> tuple[Ints, Flags]:
    """Microseconds since midnight, (k,), and whether the time of day exists."""
    hour = integer(data, layout.hour)
    minute = integer(data, layout.minute)
    second = integer(data, layout.second)
    good = (hour < 24) & (minute < 60) & (second <= 60)
    good |= (hour == 24) & (minute == 0) & (second == 0)  # the end of the day, as ISO 8601 had it
    if layout.half == "am":
        good &= hour <= 12
        hour = np.where(hour == 12, 0, hour)
    elif layout.half == "pm":
        hour = np.where(hour < 12, hour + 12, hour)
    micros = ((hour * 60 + minute) * 60 + second) * 1_000_000
    if layout.fraction:
        start, stop = layout.fraction
        micros = micros + integer(data, (start, min(stop, start + 6))) * 10 ** max(0, 6 - (stop - start))
    if layout.offset_sign:
        good &= (integer(data, layout.offset_hour) <= 14) & (integer(data, layout.offset_minute) < 60)
    return micros, good


def _exchanged(text: str, i: int, j: int) -> str:
    return text[:i] + text[j] + text[i + 1 : j] + text[i] + text[j + 1 :]


@lru_cache(maxsize=1 << 16)
def _propose(year: int, month: int, day: int, short: bool, numeric: bool, window: Window) -> int:
    """The one plausible day that a slip explains, or _NO_DAY.

    A slip is: day and month exchanged, two digits of the year exchanged, or the other
    calendar than the words say. Two explanations that give different days give none.
    """

    def day_of(y: int, m: int, d: int) -> int:
        days, exists = epoch_days(np.array([y]), np.array([m]), np.array([d]), np.array([1300 <= y < 1700]))
        return int(days[0]) if exists[0] and in_window(days, window)[0] else _NO_DAY

    found = {day_of(year, month, day)} - {_NO_DAY}
    if not found and month > 12:
        found = {day_of(year, day, month)} - {_NO_DAY}
    elif not found and day == 30 and 1300 <= year < 1700:
        # A month that the sky made longer than the table has it.
        found = {eve + 1 for eve in {day_of(year, month, 29)} - {_NO_DAY}}
    if not found and not short:
        years = {int(_exchanged(f"{year:04d}", i, j)) for i, j in combinations(range(4), 2)} - {year}
        # A month in words belongs to its calendar: it cannot move to the other one.
        same = {y for y in years if numeric or (1300 <= y < 1700) == (1300 <= year < 1700)}
        found = {day_of(y, month, day) for y in same} - {_NO_DAY}
    return found.pop() if len(found) == 1 else _NO_DAY


def _instants(micros: Ints, shown: Flags) -> pl.Series:
    series = pl.Series(micros).cast(pl.Datetime("us", "UTC"))
    return series if shown.all() else series.set(pl.Series(~shown), None)


def _finish(out: _Out, hints: DateHints) -> ParsedDates:
    n = len(out.good)
    micros = out.wall - out.offset
    local = np.flatnonzero(out.good & ~out.absolute)
    if len(local) == n:
        micros = localised(out.wall, hints.timezone)
    elif len(local):
        micros[local] = localised(out.wall[local], hints.timezone)
    utc = _instants(micros, out.good)
    proposal = pl.repeat(None, n, dtype=pl.String, eager=True)
    if (out.proposal != _NO_DAY).any():
        days = pl.Series(out.proposal)
        proposal = days.set(days == _NO_DAY, None).cast(pl.Int32).cast(pl.Date).dt.to_string("iso")
    return ParsedDates(
        utc.alias("utc"),
        _named(out.fault, FAULTS).alias("fault"),
        proposal.alias("proposal"),
        pl.Series("has_time", out.has_time),
        _named(out.calendar, CALENDARS).alias("calendar"),
    )


def _named(codes: np.ndarray, names: tuple[str, ...]) -> pl.Series:
    if (codes == _NONE).all():
        return pl.repeat(None, len(codes), dtype=pl.String, eager=True)
    index = pl.Series(codes.astype(np.int64))
    return pl.Series(list(names)).gather(index.set(index == _NONE, None))


def _typed(values: pl.Series, hints: DateHints) -> ParsedDates:
    """Dates that a reader has typed already: wall times, or instants with a zone.

    A column of nothing but midnights holds days: no time was given.
    """
    n = len(values)
    if isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone:
        utc = values.dt.convert_time_zone("UTC")
        timed = True
    else:
        wall = values.cast(pl.Datetime("us"))
        micros = localised(wall.dt.timestamp("us").fill_null(0).to_numpy(), hints.timezone)
        utc = _instants(micros, wall.is_not_null().to_numpy())
        timed = values.dtype != pl.Date and bool((wall.dt.truncate("1d") != wall).any())
    read = values.is_not_null()
    nothing = pl.repeat(None, n, dtype=pl.String, eager=True)
    calendar = _named(np.where(read.to_numpy(), 0, _NONE), CALENDARS)
    return ParsedDates(
        utc.alias("utc"),
        nothing.alias("fault"),
        nothing.alias("proposal"),
        (read & timed).alias("has_time"),
        calendar.alias("calendar"),
    )
