"""The rules of the indicators: which reports each number counts, and of which it is a share.

Each rule answers with positions of reports, so that a number, its interval and the list of
reports behind it cannot disagree. All rules look at the reports as of one moment (the end of
the period); what they mean in words, and why, is in docs/methods/indicators.md. Caveat:
reports are counted once each, however often the thing counted happened to them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.eventcolumns import DAY_ONLY, KIND_BITS, NO_TIME, REOPENED, UNTREATED, returned_after
from data.lives import Standing, place
from geo.spells import ASIDE, CLOSED, REFERRED

Ints = NDArray[np.int64]
_DAY = 1440


def distinct(positions: Ints) -> Ints:
    """Ascending, each once."""
    if len(positions) < 2:
        return positions
    # Sorting integers is several times faster than the hashing of numpy.unique.
    ordered = np.sort(positions)
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]]]


@dataclass(frozen=True, slots=True)
class Span:
    """A period in minutes since 2000: from its first minute up to the moment as of which it is told."""

    start: int
    end: int

    @property
    def days(self) -> float:
        return (self.end - self.start) / _DAY


@dataclass(frozen=True, slots=True)
class Counted:
    """Positions of reports, ascending and unique: those counted, and those that they are a share of."""

    count: Ints
    base: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Followed:
    """Reports followed from their opening: days, whether it ended with the remedy, (k,) each.

    ``negative``: so many were left out, because they were closed before they were opened.
    """

    report: Ints
    days: NDArray[np.float64]
    remedied: NDArray[np.bool_]
    negative: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What the rules take for granted, in minutes and numbers; see IndicatorSettings."""

    remedy: int
    reopen: int
    recurrence: int
    at_once: int
    bulk: int
    soon: int


class Rules:
    """All rules for one period, on the reports as they stood at its end.

    Parameters
    ----------
    standing : the reports as of ``span.end``.
    fits : which of some positions (k,) belong to the question, (k,) bool; None: all of them.
    referred_open : a report referred to an entity still waits (for the entity's own rows).
    """

    def __init__(
        self,
        standing: Standing,
        span: Span,
        limits: Limits,
        fits: Callable[[Ints], NDArray[np.bool_]] | None,
        *,
        referred_open: bool = False,
    ) -> None:
        self.s, self.span, self.limits = standing, span, limits
        self.columns = standing.lives.columns
        self.fits = fits
        self.referred_open = referred_open

    def _opened(self, start: int) -> Ints:
        """Reports opened from a minute up to the end."""
        return np.arange(place(self.columns["opened"], start), self.s.reports, dtype=np.int64)

    def _kept(self, positions: NDArray) -> Ints:
        """Of some positions those that belong to the question, ascending and unique."""
        known = positions[positions < self.s.reports]
        if len(known) > 1 and not (known[1:] > known[:-1]).all():
            known = distinct(known)  # of 32 bits where they are: sorted in half the time
        known = known.astype(np.int64, copy=False)
        return known if self.fits is None else known[self.fits(known)]

    def _tasks(self, positions: Ints) -> Ints:
        """Without what turned out to be no task: rejected, or a duplicate."""
        return positions[self.s.stood(positions)[0] != ASIDE]

    def closings(self, start: int, end: int) -> Ints:
        """Closings told in some minutes, as rows of the turns."""
        since = self.columns["spell_since"]
        first, last = place(since, start), place(since, end)
        return first + np.flatnonzero((self.columns["spell_kind"][first:last] & KIND_BITS) == CLOSED)

    # ---- flows and stocks ----

    def received(self) -> Counted:
        """Opened in the period."""
        return self._received

    @functools.cached_property
    def _received(self) -> Counted:
        return Counted(self._kept(self._opened(self.span.start)))

    def units(self) -> Counted:
        """Opened in the period and no rejected one or duplicate by its end: what VPI counts."""
        return Counted(self._tasks(self.received().count))

    def closed(self) -> Counted:
        """Closed as remedied in the period, at least once."""
        rows = self.closings(self.span.start, self.span.end)
        return Counted(self._kept(self.columns["spell_report"][rows]))

    def backlog(self) -> Counted:
        """Open at the end."""
        waits, kind = self.s.waiting()
        return Counted(self._kept(waits if self.referred_open else waits[kind != REFERRED]))

    def overdue(self, backlog: Counted) -> Counted:
        """Open at the end, and past their limit."""
        due = self.s.column("due")[backlog.count]
        return Counted(backlog.count[(due != NO_TIME) & (due < self.span.end)])

    # ---- shares ----

    def on_time(self) -> Counted:
        """Of the reports whose limit lay in the period, those closed by it, still so at the end."""
        due = self.s.column("due")
        base = self._kept(self.s.limits_between(self.span.start, self.span.end))
        kind, since = self.s.stood(base)
        done = (kind == CLOSED) & (since <= due[base])
        use = kind != ASIDE if self.referred_open else (kind != ASIDE) & (kind != REFERRED)
        return Counted(base[use & done], base[use])

    def reopened(self) -> Counted:
        """Of the reports closed so that their watch ended in the period, those reopened within it."""
        watch = self.limits.reopen
        rows = self.closings(self.span.start - watch, self.span.end - watch)
        c = self.columns
        soon = (c["spell_kind"][rows] & REOPENED != 0) & (
            c["spell_until"][rows].astype(np.int64) - c["spell_since"][rows] <= watch
        )
        return Counted(self._kept(c["spell_report"][rows[soon]]), self._kept(c["spell_report"][rows]))

    def quality_failed(self) -> Counted:
        """Of the reports whose quality check was decided in the period, those sent back at least once."""
        at = self.columns["check_at"]
        rows = slice(place(at, self.span.start), place(at, self.span.end))
        report, failed = self.columns["check_report"][rows], self.columns["check_failed"][rows]
        return Counted(self._kept(report[failed != 0]), self._kept(report))

    def recurrence(self, units: Counted) -> Counted:
        """Of the period's reports with a place of their own, those where the same kind had been closed."""
        spot, element = self.columns["place"], self.s.column("element")
        base = units.count[(spot[units.count] > 0) & (element[units.count] > 0)]
        return Counted(base[self._closed_before(base)], base)

    def _closed_before(self, base: Ints) -> NDArray[np.bool_]:
        """Whether the same kind had been closed in the same place, within the days before each opening, (k,)."""
        gap = self.columns["again"][base].astype(np.int64)
        spot = self.columns["place"]
        moved = self.s.changed("element")
        if len(moved):
            # Where an element was changed later, the place is looked at as it was then.
            touched = np.zeros(int(spot.max(initial=0)) + 1, dtype=bool)
            touched[spot[moved]] = True
            anew = np.flatnonzero(touched[spot[base]])
            rows = self.closings(NO_TIME + 1, self.span.end)
            report = self.columns["spell_report"][rows].astype(np.int64)
            here = (report < self.s.reports) & touched[spot[np.minimum(report, len(spot) - 1)]]
            since = self.columns["spell_since"][rows[here]].astype(np.int64)
            element, opened = self.s.column("element"), self.columns["opened"]
            gap[anew] = returned_after(
                base[anew], report[here], since, spot[: self.s.reports], element, opened
            )
        return gap <= self.limits.recurrence

    # ---- closings that deserve a look ----

    def closed_at_once(self) -> Counted:
        """Closed within minutes of the opening; closings of which only the day is told do not count."""
        rows = self._timed()
        report = self.columns["spell_report"][rows].astype(np.int64)
        took = self.columns["spell_since"][rows].astype(np.int64) - self.columns["opened"][report]
        return Counted(self._kept(report[(took >= 0) & (took <= self.limits.at_once)]))

    def closed_in_bulk(self) -> Counted:
        """Closed in a minute in which many were."""
        rows = self._timed()
        minute = self.columns["spell_since"][rows].astype(np.int64) - self.span.start
        many = np.bincount(minute, minlength=1) >= self.limits.bulk
        return Counted(self._kept(self.columns["spell_report"][rows[many[minute]]]))

    def closed_untreated(self) -> Counted:
        """Closed without any work told, though work is told there."""
        rows = self.closings(self.span.start, self.span.end)
        idle = self.columns["spell_kind"][rows] & UNTREATED != 0
        return Counted(self._kept(self.columns["spell_report"][rows[idle]]))

    def reopened_soon(self) -> Counted:
        """Reopened in the period, within days of a closing."""
        c = self.columns
        rows = self.closings(self.span.start - self.limits.soon, self.span.end)
        until = c["spell_until"][rows].astype(np.int64)
        soon = (
            (c["spell_kind"][rows] & REOPENED != 0)
            & (until >= self.span.start)
            & (until < self.span.end)
            & (until - c["spell_since"][rows] <= self.limits.soon)
        )
        return Counted(self._kept(c["spell_report"][rows[soon]]))

    def _timed(self) -> Ints:
        rows = self.closings(self.span.start, self.span.end)
        known = self.columns["spell_report"][rows] < self.s.reports
        return rows[known & (self.columns["spell_kind"][rows] & DAY_ONLY == 0)]

    # ---- time to remedy ----

    def followed(self) -> Followed:
        """Reports of the last days up to the end, from opening to remedy, else as long as they were followed.

        A referral ends the following (unless the entity itself is asked about): from then on
        it is out of the municipality's hands.
        """
        report = self._kept(self._opened(self.span.end - self.limits.remedy))
        kind, since = self.s.stood(report)
        task = kind != ASIDE
        report, kind, since = report[task], kind[task], since[task]
        remedied = kind == CLOSED
        ends = remedied if self.referred_open else remedied | (kind == REFERRED)
        until = np.where(ends, since, self.span.end)
        days = (until - self.columns["opened"][report]) / _DAY
        true = days >= 0
        return Followed(report[true], days[true], remedied[true], int(np.count_nonzero(~true)))
