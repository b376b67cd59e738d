"""Days and instants: two calendars and the clock changes of any time zone, on arrays.

Dates become days since 1970-01-01 by a table of month beginnings: Gregorian (proleptic,
1700–2199) and Umm al-Qura (1343–1500 AH, from the hijridate package, which follows the
calendar of Makkah as published by R.H. van Gent). Wall times become instants by the offset
of their day; only days on which a clock changes are looked up one by one.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

import numpy as np
import polars as pl
from hijridate import ummalqura
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Window = tuple[dt.date, dt.date]  # first and last day on which a date is plausible

FIRST_YEAR, LAST_YEAR = 1700, 2199  # of Gregorian dates that are read at all
EPOCH = dt.date(1970, 1, 1)
DAY = 86_400_000_000  # microseconds
_CHANGING = -(1 << 60)  # no offset: the clock changes on that day

HIJRI_FIRST, HIJRI_LAST = ummalqura.HIJRI_RANGE[0][0], ummalqura.HIJRI_RANGE[1][0]
# Days since 1970-01-01 of the first day of every month, and of the month after the last.
_G_STARTS: Ints = (
    np.arange((FIRST_YEAR - 1970) * 12, (LAST_YEAR + 1 - 1970) * 12 + 1)
    .astype("M8[M]").astype("M8[D]").astype(np.int64)
)  # fmt: skip
_H_STARTS: Ints = np.asarray(ummalqura.MONTH_STARTS, dtype=np.int64) - 40_588  # from reduced Julian days


def epoch_days(year: Ints, month: Ints, day: Ints, hijri: Flags) -> tuple[Ints, Flags]:
    """Days since 1970-01-01 of dates in either calendar, (n,), and which of them exist."""
    out = np.zeros(len(year), np.int64)
    good = np.zeros(len(year), bool)
    tables = ((~hijri, _G_STARTS, FIRST_YEAR, LAST_YEAR), (hijri, _H_STARTS, HIJRI_FIRST, HIJRI_LAST))
    for chosen, starts, first, last in tables:
        if not chosen.any():
            continue
        ok = chosen & (year >= first) & (year <= last) & (month >= 1) & (month <= 12) & (day >= 1)
        at = np.where(ok, (year - first) * 12 + month - 1, 0)
        begin = starts[at]
        ok &= day <= starts[at + 1] - begin
        out = np.where(ok, begin + day - 1, out)
        good |= ok
    return out, good


def in_window(days: Ints, window: Window) -> Flags:
    """Which days (n,) since 1970-01-01 lie in the window, ends included."""
    return (days >= (window[0] - EPOCH).days) & (days <= (window[1] - EPOCH).days)


def hijri_year(day: dt.date) -> int:
    """The Hijri year that a Gregorian day lies in (1343–1500)."""
    at = int(np.searchsorted(_H_STARTS, (day - EPOCH).days, side="right")) - 1
    return HIJRI_FIRST + at // 12


@lru_cache(maxsize=16)
def _day_offsets(timezone: str) -> Ints:
    """Microseconds east of Greenwich for every day from 1700 on; _CHANGING where the clock changes."""
    first = dt.date(FIRST_YEAR, 1, 1)
    midnights = pl.datetime_range(first, dt.date(LAST_YEAR + 1, 1, 2), "1d", time_unit="us", eager=True)
    utc = midnights.dt.replace_time_zone(timezone, ambiguous="null", non_existent="null")
    east = (midnights - utc.dt.convert_time_zone("UTC").dt.replace_time_zone(None)).dt.total_microseconds()
    offsets = east.fill_null(_CHANGING).to_numpy()
    return np.where(offsets[:-1] == offsets[1:], offsets[:-1], _CHANGING)


def localised(wall: Ints, timezone: str) -> Ints:
    """Wall times as instants in UTC, microseconds (n,); of an IANA time zone.

    A wall time that a clock change skips is read with the offset before the change; one that
    happens twice means the first time.
    """
    days = wall // DAY + (EPOCH - dt.date(FIRST_YEAR, 1, 1)).days
    offset = _day_offsets(timezone)[days]
    utc = wall - offset
    changing = np.flatnonzero(offset == _CHANGING)
    if len(changing):
        utc[changing] = _over_change(pl.Series(wall[changing]).cast(pl.Datetime("us")), timezone)
    return utc


def _over_change(wall: pl.Series, timezone: str) -> Ints:
    def instants(local: pl.Series) -> pl.Series:
        zoned = local.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
        return zoned.dt.timestamp("us")

    found = instants(wall)
    # Three hours earlier the change has not come yet: count on from there. A day more for
    # the day that Samoa left out when it crossed the date line.
    for hours in (3, 27):
        found = found.fill_null(instants(wall - dt.timedelta(hours=hours)) + hours * 3_600_000_000)
    return found.to_numpy()
