"""Which of two numbers is the day: settled for a whole column, by evidence.

05/06/2024 is in May or in June; 25/06/2024 is not in doubt. The values of a column that can
be read in one way only decide for those that fit both, per family of layouts (separator,
12-hour clock, two-digit year), since one column often mixes the habits of two systems. A
profile's hint stands above evidence. What stays open is said and flagged.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl

from geo.errors import InputError
from ingest.calendars import FIRST_YEAR, LAST_YEAR, Flags, Ints
from ingest.date_layouts import Calendar, integer, shaped

Order = Literal["dmy", "mdy", "ymd"]
DecidedBy = Literal["hint", "evidence", "default"]

CALENDARS: tuple[Calendar, ...] = ("gregorian", "hijri")
# More than one contrary value in twenty is no slip of the pen: the column is not settled.
_CONTRARY = 0.05
# Enough one-way values to say that a column without any either-way value is odd.
_ENOUGH = 20


@dataclass(frozen=True)
class DateHints:
    """What a profile says about the dates of a column.

    order : how numeric dates are written; None lets the column's values decide.
    calendar : of two-digit years without suffix; longer years tell it themselves.
    timezone : of wall times without offset (IANA name).
    formats : strptime patterns tried before everything else.
    """

    order: Order | None = None
    calendar: Calendar | None = None
    timezone: str = "Asia/Riyadh"
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.order not in (None, "dmy", "mdy", "ymd"):
            raise InputError(f"Date order '{self.order}' is unknown: write dmy, mdy or ymd.")
        if self.calendar not in (None, *CALENDARS):
            raise InputError(f"Calendar '{self.calendar}' is unknown: write gregorian or hijri.")
        try:
            pl.Series([dt.datetime(2000, 1, 1)]).dt.replace_time_zone(self.timezone)
        except pl.exceptions.PolarsError as error:
            raise InputError(
                f"Time zone '{self.timezone}' is unknown: write an IANA name such as Asia/Riyadh."
            ) from error


@dataclass(frozen=True)
class DateCounts:
    """Values of a column by what their form says about the order of day and month."""

    dmy: int = 0  # readable only as day before month
    mdy: int = 0  # readable only as month before day
    ymd: int = 0  # two-digit years, readable only as year first
    ambiguous: int = 0  # readable as day-month and as month-day, giving different days
    fixed: int = 0  # the order is certain: year first, month in words, serial number


@dataclass(frozen=True)
class DateOrder:
    """How the numeric dates of one column are to be read, and why."""

    order: Order
    decided_by: DecidedBy
    counts: DateCounts = DateCounts()
    ambiguous: bool = False  # some values remain that the column did not settle
    families: tuple[tuple[str, Order, bool], ...] = ()  # (family, order, settled)
    exchanged: bool = False  # see DateEvidence.settle

    def for_family(self, family: str) -> tuple[Order, bool]:
        """The order of the values of one family, and whether it is settled."""
        for name, order, settled in self.families:
            if name == family:
                return order, settled
        return self.order, self.decided_by != "default" and not self.ambiguous

    def describe(self) -> str:
        """One or two sentences for the person who brought the file."""
        counts = self.counts
        first = {"dmy": "the day", "mdy": "the month", "ymd": "the year"}[self.order]
        numeric = counts.dmy + counts.mdy + counts.ymd + counts.ambiguous
        if not numeric and self.decided_by != "hint":
            return f"The form of each of the {counts.fixed} dates leaves no doubt about day and month."
        why = {
            "hint": "the profile says so",
            "evidence": "values that can be read in one way only say so",
            "default": "nothing in the column tells, so this is an assumption",
        }[self.decided_by]
        text = (
            f"Numeric dates are read with {first} first ({self.order}): {why}. "
            f"Only day-month fits {counts.dmy}, only month-day {counts.mdy}, both {counts.ambiguous}."
        )
        others = sorted(
            {f"{order} for '{name}'" for name, order, ok in self.families if ok and order != self.order}
        )
        if others:
            text += f" Written in another way within the column: {', '.join(others)}."
        if self.ambiguous:
            text += " The values that fit both are flagged; give the order in the profile to settle them."
        if self.exchanged:
            text += (
                " Every date with its order fixed has a day up to 12 and every other one a day above 12: "
                "a spreadsheet probably exchanged day and month; these are flagged with the other reading."
            )
        return text


@dataclass
class DateEvidence:
    """Counts over a column that tell how its numeric dates are written.

    Feed all chunks of a column to ``update`` and ask ``settle`` at the end. The counts are
    kept for each family of layouts (separator, 12-hour clock, two-digit year), because
    one column often mixes the habits of two systems.
    """

    one_way: dict[str, Counter[Order]] = field(default_factory=dict)
    both: Counter[str] = field(default_factory=Counter)
    fixed: int = 0
    fixed_low: int = 0  # of the fixed ones with a day, those with a day up to 12
    fixed_days: int = 0
    short_first: Ints = field(default_factory=lambda: np.zeros(100, np.int64))
    short_last: Ints = field(default_factory=lambda: np.zeros(100, np.int64))

    def update(self, values: pl.Series) -> None:
        """Count one chunk, (n,) of any dtype; typed dates leave no doubt and count as fixed."""
        text = as_written(values)
        if text.dtype != pl.String:
            self.fixed += len(values) - values.null_count()
            return
        for _rows, layout, data in shaped(text):
            if layout is None or layout.count is not None or layout.month is not None:
                self.fixed += 0 if layout is None else data.shape[1]
                continue
            a, b, c = (integer(data, span) for span in layout.numbers)
            if layout.year == 0:
                self.fixed += len(a)
                self.fixed_days += len(a)
                self.fixed_low += int(np.count_nonzero(c <= 12))
                continue
            dmy, mdy = fits(b, a), fits(a, b)
            counter = self.one_way.setdefault(layout.family, Counter())
            if layout.year is None:
                ymd = fits(b, c)
                counter["ymd"] += int(np.count_nonzero(ymd & ~dmy & ~mdy))
                self.short_first += np.bincount(a, minlength=100)
                self.short_last += np.bincount(c, minlength=100)
            counter["dmy"] += int(np.count_nonzero(dmy & ~mdy))
            counter["mdy"] += int(np.count_nonzero(mdy & ~dmy))
            self.both[layout.family] += int(np.count_nonzero(dmy & mdy & (a != b)))

    def _years_first(self) -> bool:
        """Whether two-digit years stand first: few distinct first numbers, a month's worth of last."""
        first, last = np.flatnonzero(self.short_first), np.flatnonzero(self.short_last)
        return bool(len(first)) and len(last) > 12 and last[-1] <= 31 and first[-1] - first[0] <= 10

    def settle(self, hints: DateHints, siblings: Sequence[DateEvidence] = ()) -> DateOrder:
        """The order of the column.

        A hint decides. Else the majority of the values that fit one order only, unless
        more than one in twenty of them is contrary. A column with no such value follows
        the other date columns of its file (``siblings``), where those agree. Else day
        before month is assumed and every value that fits both is flagged.

        ``exchanged`` marks the trace of a spreadsheet of another locale: all values that
        fit both orders were turned into real dates (day and month exchanged), the others
        stayed text.
        """
        total: Counter[Order] = Counter()
        for counter in self.one_way.values():
            total.update(counter)
        counts = DateCounts(total["dmy"], total["mdy"], total["ymd"], sum(self.both.values()), self.fixed)
        hint = hints.order or _order_of_formats(hints.formats)
        leading, sure = (hint, True) if hint else _majority(total)
        decided: DecidedBy = "hint" if hint else ("evidence" if sure else "default")
        if not hint and not total.total():
            others = [_majority(sum(sibling.one_way.values(), Counter())) for sibling in siblings]
            agreed = {order for order, settled in others if settled}
            if len(agreed) == 1:
                leading, sure, decided = agreed.pop(), True, "evidence"
        column: Order = leading or "dmy"
        families: list[tuple[str, Order, bool]] = []
        for family in sorted({*self.one_way, *self.both}):
            votes = self.one_way.get(family, Counter())
            own, own_sure = (hint, True) if hint else _majority(votes)
            if not hint and family.endswith("2") and self._years_first():
                own, own_sure = "ymd", True
            if own is not None and own_sure:
                families.append((family, own, True))
            else:
                # Without a word of its own a family follows the column; with contradictions
                # of its own it stays open.
                families.append((family, own or column, sure and own is None))
        if not sure and any(ok for _, _, ok in families):
            decided = "evidence"
        open_values = sum(self.both[name] for name, _, ok in families if not ok)
        one_way = total["dmy"] + total["mdy"]
        exchanged = (
            one_way >= _ENOUGH
            and counts.ambiguous == 0
            and self.fixed_days >= _ENOUGH
            and self.fixed_low == self.fixed_days
        )
        return DateOrder(column, decided, counts, open_values > 0, tuple(families), exchanged)


def _majority(counter: Counter[Order]) -> tuple[Order | None, bool]:
    total = sum(counter.values())
    if not total:
        return None, False
    order, votes = counter.most_common(1)[0]
    return order, total - votes <= _CONTRARY * total


def _order_of_formats(formats: tuple[str, ...]) -> Order | None:
    orders: set[Order] = set()
    for pattern in formats:
        letters = "".join(c for c in pattern.replace("%-", "%").replace("%Y", "%y") if c in "dmy")
        if letters in ("dmy", "mdy", "ymd"):
            orders.add(letters)  # type: ignore[arg-type]
    return orders.pop() if len(orders) == 1 else None


def as_written(values: pl.Series) -> pl.Series:
    """The values as text; dates that are typed already and of a usual year stay typed."""
    dtype = values.dtype
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        typed = values if dtype == pl.Date else values.dt.cast_time_unit("us")
        year = typed.dt.year()
        if year.is_between(FIRST_YEAR, LAST_YEAR).fill_null(True).all():
            return typed
        return typed.dt.to_string("iso")
    if dtype.is_float():
        whole = values.cast(pl.Int64, strict=False)
        return pl.select(
            pl.when(whole.cast(pl.Float64) == values)
            .then(whole.cast(pl.String))
            .otherwise(values.cast(pl.String))
        ).to_series()
    return values if dtype == pl.String else values.cast(pl.String)


def fits(month: Ints, day: Ints) -> Flags:
    return (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
