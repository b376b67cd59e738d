"""The dates of a report: opened, closed, due and updated, and what is odd about them.

A report without a usable opening date is refused. Oddities of the other dates are flagged,
with a proposal where there is one; nothing is changed silently.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from data.vocabulary import FINAL, Flag, Status
from ingest.dates import ParsedDates, parse_dates
from ingest.decisions import Decisions
from ingest.faults import Faults, equals
from ingest.text import clean
from ingest.typed import as_text

FINAL_CODES = np.array(sorted(int(status) for status in FINAL), dtype=np.int16)


class DateReader:
    """Reads the dates of one file's chunks; ``today`` judges future dates."""

    def __init__(self, mapping: dict[str, str], decisions: Decisions, today: dt.date) -> None:
        self.mapping = mapping
        self.decisions = decisions
        self.today = today

    def read(
        self, frame: pl.DataFrame, faults: Faults
    ) -> tuple[pl.Series, dict[str, pl.Series], np.ndarray, list[tuple[str, pl.Series]]]:
        """Opening dates, other dates by field, flags, and proposals by code; each (n,)."""
        flags = np.zeros(frame.height, dtype=np.int32)
        notes: list[tuple[str, pl.Series]] = []
        opened = self._parsed(frame, "opened_at")
        column = self.mapping["opened_at"]
        given = clean(as_text(frame[column])).is_not_null().to_numpy()
        faults.add("missing_date", column, ~given)
        fault = opened.fault
        for code in ("unreadable_date", "hijri_year_implausible"):
            faults.add(code, column, equals(fault, code), frame[column], opened.proposal)
        limit = dt.datetime.combine(self.today, dt.time(), dt.UTC) + dt.timedelta(days=2)
        faults.add("future_date", column, (opened.utc > limit).fill_null(False).to_numpy(), frame[column])
        flags[equals(fault, "ambiguous_date")] |= int(Flag.AMBIGUOUS_DATE)
        others: dict[str, pl.Series] = {}
        for name in ("closed_at", "due_at", "updated_at"):
            if name not in self.mapping:
                continue
            parsed = self._parsed(frame, name)
            others[name] = parsed.utc
            bad = equals(parsed.fault, "unreadable_date") | equals(parsed.fault, "hijri_year_implausible")
            flags[bad] |= int(Flag.UNREADABLE_DATE)
            flags[equals(parsed.fault, "ambiguous_date")] |= int(Flag.AMBIGUOUS_DATE)
            if bad.any():
                notes.append((f"{name}_proposal", parsed.proposal))
            if name != "due_at":
                flags[(parsed.utc > limit).fill_null(False).to_numpy()] |= int(Flag.FUTURE_DATE)
        return opened.utc, others, flags, notes

    def _parsed(self, frame: pl.DataFrame, name: str) -> ParsedDates:
        return parse_dates(
            frame[self.mapping[name]],
            self.decisions.orders[name],
            self.decisions.hints,
            window=(dt.date(1990, 1, 1), self.today + dt.timedelta(days=366)),
        )

    def closing_flags(
        self, opened: pl.Series, closed: pl.Series, notes: list[tuple[str, pl.Series]]
    ) -> np.ndarray:
        """Flags (n,) of reports closed before they were opened; adds a proposal to ``notes``."""
        early = (closed < opened).fill_null(False)
        if early.any():
            proposal = pl.select(
                pl.when(early).then(
                    pl.lit("exchange the dates: opened ")
                    + closed.dt.strftime("%Y-%m-%dT%H:%MZ")
                    + pl.lit(", closed ")
                    + opened.dt.strftime("%Y-%m-%dT%H:%MZ")
                )
            ).to_series()
            notes.append(("closed_before_opened", proposal))
        return np.where(early.to_numpy(), int(Flag.CLOSED_BEFORE_OPENED), 0).astype(np.int32)


def no_dates(n: int) -> pl.Series:
    """(n,) nulls."""
    return pl.Series([None] * n, dtype=pl.Datetime("us", "UTC"))


def status_at(
    status: np.ndarray, opened: pl.Series, closed: pl.Series | None, updated: pl.Series | None
) -> pl.Series:
    """When the status was reached: the update's date, else closing (final) or opening (others)."""
    n = len(opened)
    final = pl.Series(np.isin(status, FINAL_CODES))
    ending = closed if closed is not None else no_dates(n)
    return pl.select(
        pl.coalesce(
            updated if updated is not None else no_dates(n),
            pl.when(final).then(ending),
            pl.when(pl.Series(status == int(Status.RECEIVED))).then(opened),
        )
    ).to_series()
